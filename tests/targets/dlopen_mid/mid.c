/* SPDX-License-Identifier: Apache-2.0 */
/* The library that dlopen_mid loads while it is being profiled. */
unsigned long mid_spin(unsigned long n);

static __attribute__((noinline, noclone)) unsigned long mid_leaf(unsigned long x, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++) {
		x ^= x << 13 ^ i;
		x ^= x >> 7;
	}
	return x;
}

__attribute__((noinline)) unsigned long mid_spin(unsigned long n)
{
	unsigned long x = n;

	for (int i = 0; i < 10; i++)
		x += mid_leaf(x, n);
	return x;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "deep.h"
#include "_cgo_export.h"

#define NOINLINE __attribute__((noinline, noclone))

NOINLINE unsigned long c_leaf(unsigned long x, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++) {
		x ^= x << 13 ^ i;
		x ^= x >> 7;
	}
	return x;
}

NOINLINE unsigned long c_hot(unsigned long n)
{
	unsigned long x = n;

	for (int i = 0; i < 10; i++)
		x += c_leaf(x, n);
	return x;
}

/* Each level keeps something on its stack across the call, so that no call is a jump. */
#define MID(name, next, words)                        \
	NOINLINE unsigned long name(unsigned long n)  \
	{                                             \
		volatile unsigned long keep[words];   \
		unsigned long r;                      \
		keep[0] = n;                          \
		keep[(words)-1] = n + 1;              \
		r = next(n);                          \
		return r + keep[0] + keep[(words)-1]; \
	}

MID(c_mid11, c_hot, 3)
MID(c_mid10, c_mid11, 7)
MID(c_mid9, c_mid10, 2)
MID(c_mid8, c_mid9, 16)
MID(c_mid7, c_mid8, 5)
MID(c_mid6, c_mid7, 1)
MID(c_mid5, c_mid6, 9)
MID(c_mid4, c_mid5, 33)
MID(c_mid3, c_mid4, 4)
MID(c_mid2, c_mid3, 12)
MID(c_mid1, c_mid2, 6)

MID(c_cb3, goCallback, 5)
MID(c_cb2, c_cb3, 11)
MID(c_cb1, c_cb2, 3)

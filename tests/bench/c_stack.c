/* SPDX-License-Identifier: Apache-2.0 */
/*
 * c_stack [THREADS]: burns CPU for ever at the end of 30 calls without frame pointers. The
 * innermost function is long, so that samples fall on many addresses.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "../targets/c_deep/plug.h"

static inline uint64_t mix(uint64_t x, unsigned n)
{
	for (unsigned i = n; i < n + 8; i++) {
		x ^= x << (i % 13 + 1);
		x += i;
		x ^= x >> (i % 7 + 3);
	}
	return x;
}

static volatile uint64_t sink;

KEEP void burn(unsigned x)
{
	uint64_t a = x + 1, b = x + 2, c = x + 3, d = x + 4;

	for (int i = 0; i < 2000; i++) {
		a = mix(a, 1);
		b = mix(b, 9);
		c = mix(c, 17);
		d = mix(d, 25);
		a += d;
		b += a;
	}
	sink = a + b + c + d;
}

LINK(f28, burn, 8)
LINK_VLA(f27, f28)
LINK(f26, f27, 200)
LINK(f25, f26, 16)
LINK(f24, f25, 72)
LINK(f23, f24, 8)
LINK(f22, f23, 24)
LINK_VLA(f21, f22)
LINK(f20, f21, 8)
LINK(f19, f20, 40)
LINK(f18, f19, 8)
LINK(f17, f18, 300)
LINK(f16, f17, 16)
LINK_VLA(f15, f16)
LINK(f14, f15, 8)
LINK(f13, f14, 24)
LINK(f12, f13, 8)
LINK(f11, f12, 72)
LINK(f10, f11, 8)
LINK(f9, f10, 16)
LINK_VLA(f8, f9)
LINK(f7, f8, 8)
LINK(f6, f7, 200)
LINK(f5, f6, 8)
LINK(f4, f5, 24)
LINK(f3, f4, 8)
LINK(f2, f3, 40)
LINK(f1, f2, 8)

static void *calls(void *unused)
{
	for (unsigned x = 0;; x++)
		f1(x);
	return unused;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1;

	for (int i = 1; i < n; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, calls, NULL) != 0)
			return 1;
	}
	calls(NULL);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One more frame in a chain: never inlined, never a tail call, with a frame of its own size. */
#pragma once

#include <stddef.h>

#if defined(__clang__)
#define KEEP __attribute__((noinline, used))
#else
#define KEEP __attribute__((noinline, noclone, used))
#endif

#define LINK(name, next, bytes)                            \
	KEEP void name(unsigned x)                         \
	{                                                  \
		volatile char room[bytes];                 \
                                                           \
		room[x % (bytes)] = (char)x;               \
		next(x * 7 + (unsigned)room[x % (bytes)]); \
		room[0] = 1;                               \
	}

/* As LINK, but with live registers across the call and an array of variable length. */
#define LINK_VLA(name, next)                                                      \
	KEEP void name(unsigned x)                                                \
	{                                                                         \
		volatile char room[x % 64 + 16];                                  \
		unsigned a = x * 3, b = x * 5, c = x * 7, d = x * 11, e = x * 13; \
                                                                                  \
		room[0] = (char)x;                                                \
		next(x + 1);                                                      \
		room[1] = (char)(a + b + c + d + e + x + (unsigned)room[0]);      \
	}

typedef int (*compare_fn)(const void *, const void *);
void plug_enter(unsigned rounds, compare_fn compare);

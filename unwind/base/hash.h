/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A multiplicative hash (Knuth, volume 3, 6.4, by the golden ratio): for addresses and ids, whose
 * low bits alone would collide. Not for keys that an attacker chooses to collide, where that costs
 * more than a lookup.
 */
#pragma once

#include <stdint.h>

/* The upper `bits` bits, 1 to 64, of the product. */
static inline uint64_t uw_hash(uint64_t x, unsigned int bits)
{
	return x * 0x9e3779b97f4a7c15ull >> (64 - bits);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "sort.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

static size_t digit(uint64_t v, unsigned int shift)
{
	return v >> shift & (DIGITS - 1);
}

/* One pass of a least significant digit radix sort: stable, from one array into the other. */
static void pass(const uint64_t *from, uint64_t *to, size_t n, unsigned int shift)
{
	size_t count[DIGITS] = {0}, at = 0;

	for (size_t i = 0; i < n; i++)
		count[digit(from[i], shift)]++;
	for (size_t d = 0; d < DIGITS; d++) {
		size_t c = count[d];

		count[d] = at;
		at += c;
	}
	for (size_t i = 0; i < n; i++)
		to[count[digit(from[i], shift)]++] = from[i];
}

int prowl_sort_u64(uint64_t *values, size_t n)
{
	uint64_t differ = 0, *from = values, *to;

	if (n < 2)
		return 0;
	to = malloc(n * sizeof *to);
	if (!to)
		return -ENOMEM;
	for (size_t i = 1; i < n; i++)
		differ |= values[i] ^ values[0];
	for (unsigned int shift = 0; shift < 64; shift += DIGIT_BITS) {
		uint64_t *t = from;

		if (digit(differ, shift) == 0)
			continue;
		pass(from, to, n, shift);
		from = to;
		to = t;
	}
	if (from != values)
		memcpy(values, from, n * sizeof *values);
	free(from == values ? to : from);
	return 0;
}

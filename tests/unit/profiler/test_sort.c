/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sort.h"
#include "unit_test.h"

static int order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t random64(void)
{
	return (uint64_t)random() << 40 ^ (uint64_t)random() << 20 ^ (uint64_t)random();
}

/* Against the C library, with values that differ in these bits only. */
static void check(size_t n, uint64_t mask, uint64_t rest)
{
	uint64_t *a = malloc((n + 1) * sizeof *a), *b = malloc((n + 1) * sizeof *b);

	assert_non_null(a);
	assert_non_null(b);
	for (size_t i = 0; i < n; i++)
		a[i] = b[i] = (random64() & mask) | rest;
	a[n] = b[n] = 4711; /* not part of it */
	qsort(b, n, sizeof *b, order);
	assert_int_equal(prowl_sort_u64(a, n), 0);
	assert_memory_equal(a, b, (n + 1) * sizeof *a);
	free(a);
	free(b);
}

TEST(test_sort)
{
	static const uint64_t masks[] = {0,
					 1,
					 0x3fffff,
					 UINT64_MAX,
					 UINT64_C(1) << 63,
					 UINT64_C(0x8000000000000401),
					 UINT64_C(0x7fffff000)};
	static const size_t sizes[] = {0, 1, 2, 3, 100, 5000};

	srandom(4);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (size_t j = 0; j < sizeof masks / sizeof *masks; j++) {
			check(sizes[i], masks[j], 0);
			check(sizes[i], masks[j], UINT64_C(0xffffffff00000000));
		}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>

#include "idmap.h"
#include "unit_test.h"

TEST(test_empty)
{
	struct prowl_idmap m = {0};
	uint32_t v = 7;

	assert_false(prowl_idmap_get(&m, 1, &v));
	assert_false(prowl_idmap_get(&m, UINT64_MAX, &v));
	assert_int_equal(v, 7);
	prowl_idmap_fini(&m);
}

TEST(test_replace)
{
	struct prowl_idmap m = {0};
	uint32_t v;

	assert_int_equal(prowl_idmap_put(&m, 5, 1), 0);
	assert_int_equal(prowl_idmap_put(&m, 5, 2), 0);
	assert_int_equal(prowl_idmap_put(&m, UINT64_MAX, UINT32_MAX), 0);
	assert_int_equal(m.n, 2);
	assert_true(prowl_idmap_get(&m, 5, &v));
	assert_int_equal(v, 2);
	assert_true(prowl_idmap_get(&m, UINT64_MAX, &v));
	assert_int_equal(v, UINT32_MAX);
	assert_false(prowl_idmap_get(&m, 6, &v));
	prowl_idmap_fini(&m);
	assert_false(prowl_idmap_get(&m, 5, &v));
}

/* Keys as they come: addresses of one binary, event ids in a row, one bit each, pages. */
static void check_keys(uint64_t (*key)(uint32_t i), uint32_t n)
{
	struct prowl_idmap m = {0};
	uint32_t v;

	for (uint32_t i = 0; i < n; i++) {
		assert_false(prowl_idmap_get(&m, key(i), &v));
		assert_int_equal(prowl_idmap_put(&m, key(i), i), 0);
		assert_true(prowl_idmap_get(&m, key(i), &v));
		assert_int_equal(v, i);
		assert_true(m.n * 3 <= m.cap * 2 + 3); /* never so full that a search has no end */
	}
	assert_int_equal(m.n, n);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(prowl_idmap_get(&m, key(i), &v));
		assert_int_equal(v, i);
	}
	prowl_idmap_fini(&m);
}

static uint64_t in_a_row(uint32_t i)
{
	return i + 1ull;
}

static uint64_t one_bit(uint32_t i)
{
	return 1ull << i;
}

static uint64_t pages(uint32_t i)
{
	return 0x7f0000000000 + ((uint64_t)i << 12);
}

static uint64_t high(uint32_t i)
{
	return (i + 1ull) << 32;
}

TEST(test_keys)
{
	check_keys(in_a_row, 10000);
	check_keys(one_bit, 64);
	check_keys(pages, 10000);
	check_keys(high, 10000);
}

/* Removing from the middle of a run loses nobody behind it. */
static void check_removal(uint64_t (*key)(uint32_t i), uint32_t n)
{
	struct prowl_idmap m = {0};
	uint32_t v;

	prowl_idmap_del(&m, key(0));
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(prowl_idmap_put(&m, key(i), i), 0);
	for (uint32_t step = 3; step > 0; step--) {
		for (uint32_t i = 0; i < n; i += step)
			prowl_idmap_del(&m, key(i));
		for (uint32_t i = 0; i < n; i++) {
			bool gone = i % 3 == 0 || (step < 3 && i % 2 == 0) || step == 1;

			assert_int_equal(prowl_idmap_get(&m, key(i), &v), !gone);
			assert_true(gone || v == i);
		}
	}
	assert_int_equal(m.n, 0);
	prowl_idmap_fini(&m);
}

TEST(test_removal)
{
	check_removal(in_a_row, 1000);
	check_removal(one_bit, 64);
	check_removal(pages, 1000);
	check_removal(high, 1000);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The set of stacks. Hashes collide on demand: the linker puts a hash of ours in its place. */
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include "stackset.h"
#include "unit_test.h"

static bool collide;
static uint64_t collide_at;

uint64_t __real_prowl_stackhash_hash(const uint64_t *words, size_t n);
uint64_t __wrap_prowl_stackhash_hash(const uint64_t *words, size_t n);

uint64_t __wrap_prowl_stackhash_hash(const uint64_t *words, size_t n)
{
	return collide ? collide_at : __real_prowl_stackhash_hash(words, n);
}

static uint32_t add(struct prowl_stackset *s, const uint64_t *words, size_t n, bool expect_new)
{
	bool is_new = !expect_new;
	uint32_t at = UINT32_MAX;

	assert_int_equal(prowl_stackset_add(s, words, n, &at, &is_new), 0);
	assert_int_equal(is_new, expect_new);
	return at;
}

TEST(numbers_stacks_in_their_order)
{
	struct prowl_stackset s = {0};
	uint64_t words[100];
	const uint64_t *got;
	size_t n;

	for (uint64_t i = 0; i < 100; i++)
		words[i] = 0x401000 + i;
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(add(&s, words, i, true), i);
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(add(&s, words, i, false), i);
		got = prowl_stackset_words(&s, i, &n);
		assert_int_equal(n, i);
		assert_true(n == 0 || !memcmp(got, words, n * sizeof *words));
		assert_int_equal(prowl_stackset_hash(&s, i), __real_prowl_stackhash_hash(words, i));
	}
	assert_int_equal(s.n, 100);
	prowl_stackset_fini(&s);
	assert_int_equal(s.n, 0);
}

static void check_colliding(uint64_t at)
{
	struct prowl_stackset s = {0};
	uint64_t words[2] = {1, 2};

	collide = true;
	collide_at = at;
	for (uint32_t i = 0; i < 50; i++) {
		words[0] = i;
		assert_int_equal(add(&s, words, 2, true), i);
	}
	for (uint32_t i = 50; i-- > 0;) {
		words[0] = i;
		assert_int_equal(add(&s, words, 2, false), i);
	}
	collide = false;
	prowl_stackset_fini(&s);
}

TEST(equal_hashes_of_different_stacks)
{
	check_colliding(42);
	check_colliding(0); /* no key of the map */
	check_colliding(UINT64_MAX - 3);
}

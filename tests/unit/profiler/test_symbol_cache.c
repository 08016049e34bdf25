/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "symbol_cache.h"
#include "unit_test.h"

TEST(keeps_copies)
{
	char name[] = "inner", file[] = "a.c";
	struct uw_symbol in[] = {
		{.frame = {.name = name,
			   .readable = name,
			   .file = file,
			   .line = 3,
			   .start_line = 1}},
		{.frame = {.name = "outer", .readable = "outer()", .file = NULL}, .wrapper = true},
	};
	struct prowl_symbol_cache c = {0};
	struct uw_symbol out[UW_MAX_INLINE];
	size_t n = 7;

	assert_false(prowl_symbol_cache_get(&c, 0, 0x1000, out, &n));
	prowl_symbol_cache_put(&c, 0, 0x1000, in, 2);
	prowl_symbol_cache_put(&c, 0, 0x2000, in, 0); /* without a name, which is known, too */
	memset(name, 'x', sizeof name - 1);
	memset(file, 'x', sizeof file - 1);
	assert_true(prowl_symbol_cache_get(&c, 0, 0x1000, out, &n));
	assert_int_equal(n, 2);
	assert_string_equal(out[0].frame.name, "inner");
	assert_string_equal(out[0].frame.file, "a.c");
	assert_int_equal(out[0].frame.line, 3);
	assert_string_equal(out[1].frame.readable, "outer()");
	assert_null(out[1].frame.file);
	assert_true(out[1].wrapper);
	assert_true(prowl_symbol_cache_get(&c, 0, 0x2000, out, &n));
	assert_int_equal(n, 0);
	/* an address means something else in another image */
	assert_false(prowl_symbol_cache_get(&c, 1, 0x1000, out, &n));
	prowl_symbol_cache_fini(&c);
}

TEST(is_bounded)
{
	const struct uw_symbol in = {.frame = {.name = "f", .readable = "f", .file = "f.c"}};
	struct prowl_symbol_cache c = {0};
	struct uw_symbol out[UW_MAX_INLINE];
	size_t n;

	for (uint64_t pc = 1; pc < 3 * PROWL_SYMBOL_CACHE_MAX; pc++) {
		prowl_symbol_cache_put(&c, 65535, pc, &in, 1);
		assert_true(c.n <= PROWL_SYMBOL_CACHE_MAX);
		assert_true(prowl_symbol_cache_get(&c, 65535, pc, out, &n));
	}
	/* what has no key is not kept, and not confused */
	prowl_symbol_cache_put(&c, 65536, 5, &in, 1);
	prowl_symbol_cache_put(&c, 0, 1ull << 48, &in, 1);
	assert_false(prowl_symbol_cache_get(&c, 65536, 5, out, &n));
	assert_false(prowl_symbol_cache_get(&c, 0, 1ull << 48, out, &n));
	prowl_symbol_cache_fini(&c);
}

static bool is_odd(void *ctx, uint32_t image)
{
	return image % 2;
}

TEST(forgets_images)
{
	const struct uw_symbol in = {.frame = {.name = "f", .readable = "f", .file = "f.c"}};
	struct prowl_symbol_cache c = {0};
	struct uw_symbol out[UW_MAX_INLINE];
	size_t n;

	for (uint32_t i = 0; i < 100; i++)
		prowl_symbol_cache_put(&c, i, 0x1000 + i, &in, 1);
	prowl_symbol_cache_forget(&c, is_odd, NULL);
	assert_int_equal(c.n, 50);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(prowl_symbol_cache_get(&c, i, 0x1000 + i, out, &n), i % 2 == 0);
	/* The number of an image that has ended is another one's. */
	prowl_symbol_cache_put(&c, 1, 0x1001, &in, 1);
	assert_true(prowl_symbol_cache_get(&c, 1, 0x1001, out, &n));
	prowl_symbol_cache_fini(&c);
}

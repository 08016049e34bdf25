/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stackkey.h"

#define BASE 0x401000ull

static void round_trip(const uint64_t *pcs, uint32_t nk, uint32_t nu, uint64_t base, bool packed)
{
	struct prowl_stackkey in = {.image = 7, .labels = 5, .thread = 4711, .end = 3};
	uint64_t words[PROWL_KEY_WORDS];
	struct prowl_stackkey out;
	size_t n;

	in.nkernel = nk;
	in.nuser = nu;
	memcpy(in.pcs, pcs, (nk + nu) * sizeof *pcs);
	n = prowl_stackkey_pack(&in, base, words);
	assert_int_equal(n, PROWL_KEY_HEAD + (packed ? (nk + nu + 1) / 2 : nk + nu));
	assert_true(prowl_stackkey_head(words, n, &out));
	assert_int_equal(out.image, 7);
	assert_int_equal(out.labels, 5);
	assert_int_equal(out.thread, 4711);
	assert_int_equal(out.end, 3);
	assert_int_equal(out.nkernel, nk);
	assert_int_equal(out.nuser, nu);
	assert_true(prowl_stackkey_unpack(words, n, base, &out));
	assert_memory_equal(out.pcs, pcs, (nk + nu) * sizeof *pcs);
	/* A word less or more is no key. */
	assert_false(prowl_stackkey_unpack(words, n - 1, base, &out));
	assert_false(prowl_stackkey_unpack(words, n + 1, base, &out));
}

static void test_round_trip(void **state)
{
	const uint64_t kernel_go[] = {0xffffffff81000000,
				      0xffffffffc0001234,
				      0xffffffffffffffff,
				      BASE,
				      BASE + 1,
				      BASE + 0x7ffffffd,
				      0,
				      BASE + 12345};
	const uint64_t c[] = {0xffffffff81000000, 0x7f1234567890, BASE};
	const uint64_t below[] = {BASE - 1};
	const uint64_t far[] = {BASE + 0x7fffffff};
	const uint64_t odd_kernel[] = {0xffff888000000000};

	for (uint32_t nu = 0; nu <= 5; nu++)
		round_trip(kernel_go, 3, nu, BASE, true);
	round_trip(kernel_go, 0, 8, BASE, true);
	round_trip(kernel_go, 3, 5, 0, false);
	round_trip(c, 1, 2, BASE, false);
	round_trip(below, 0, 1, BASE, false);
	round_trip(far, 0, 1, BASE, false);
	round_trip(odd_kernel, 1, 0, BASE, false);
}

static void test_damaged(void **state)
{
	uint64_t words[PROWL_KEY_HEAD + 1] = {0, 0, (uint64_t)(PROWL_MAX_KERNEL + 1) << 32};
	struct prowl_stackkey k;

	assert_false(prowl_stackkey_head(words, 2, &k));
	assert_false(prowl_stackkey_head(words, 4, &k));
	words[2] = PROWL_MAX_USER + 1;
	assert_false(prowl_stackkey_head(words, 4, &k));
	words[2] = PROWL_MAX_USER;
	assert_true(prowl_stackkey_head(words, 4, &k));
	assert_false(prowl_stackkey_unpack(words, 4, BASE, &k));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

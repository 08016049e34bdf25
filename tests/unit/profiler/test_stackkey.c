/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stackkey.h"
#include "unit_test.h"

#define BASE 0x401000ull

static void round_trip_of(struct prowl_stackkey in, const uint64_t *pcs, uint32_t nk, uint32_t nu,
			  uint64_t base, bool packed)
{
	size_t head = in.labels || in.thread ? 2 : 1;
	uint64_t words[PROWL_KEY_WORDS];
	struct prowl_stackkey out;
	size_t n;

	in.nkernel = nk;
	in.nuser = nu;
	memcpy(in.pcs, pcs, (nk + nu) * sizeof *pcs);
	n = prowl_stackkey_pack(&in, base, words);
	assert_int_equal(n, head + (packed ? (nk + nu + 1) / 2 : nk + nu));
	assert_true(prowl_stackkey_head(words, n, &out));
	assert_int_equal(out.image, in.image);
	assert_int_equal(out.labels, in.labels);
	assert_int_equal(out.thread, in.thread);
	assert_int_equal(out.end, in.end);
	assert_int_equal(out.nkernel, nk);
	assert_int_equal(out.nuser, nu);
	assert_true(prowl_stackkey_unpack(words, n, base, SIZE_MAX, &out));
	assert_memory_equal(out.pcs, pcs, (nk + nu) * sizeof *pcs);
	/* Some of them, and no more. */
	memset(out.pcs, 0x5a, sizeof out.pcs);
	assert_true(prowl_stackkey_unpack(words, n, base, nk, &out));
	assert_memory_equal(out.pcs, pcs, nk * sizeof *pcs);
	assert_int_equal(out.pcs[nk], 0x5a5a5a5a5a5a5a5a);
	/* A word less or more is no key. */
	assert_false(prowl_stackkey_unpack(words, n - 1, base, SIZE_MAX, &out));
	assert_false(prowl_stackkey_unpack(words, n + 1, base, SIZE_MAX, &out));
}

static void round_trip(const uint64_t *pcs, uint32_t nk, uint32_t nu, uint64_t base, bool packed)
{
	const struct prowl_stackkey ids[] = {
		{.image = 7, .labels = 5, .thread = 4711, .end = 3},
		{.image = UINT32_MAX, .labels = UINT32_MAX, .thread = UINT32_MAX, .end = 255},
		{.image = 1, .thread = 1},
		{.image = 1, .labels = 1},
		{.image = 0},
	};

	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
		round_trip_of(ids[i], pcs, nk, nu, base, packed);
}

TEST(test_round_trip)
{
	const uint64_t kernel_go[] = {0xffffffff80000000,
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

/* Keys that differ in one thing only differ. */
TEST(test_tells_apart)
{
	struct prowl_stackkey k[] = {
		{.nkernel = 1, .nuser = 1},
		{.nuser = 2},
		{.nkernel = 2},
		{.nkernel = 1, .nuser = 1, .image = 1},
		{.nkernel = 1, .nuser = 1, .end = 1},
		{.nkernel = 1, .nuser = 1, .labels = 1},
		{.nkernel = 1, .nuser = 1, .thread = 1},
	};
	uint64_t words[7][PROWL_KEY_WORDS] = {0};
	size_t n[7];

	for (int i = 0; i < 7; i++) {
		k[i].pcs[0] = k[i].pcs[1] = BASE;
		n[i] = prowl_stackkey_pack(&k[i], BASE, words[i]);
		for (int j = 0; j < i; j++)
			assert_true(n[i] != n[j] || memcmp(words[i], words[j], n[i] * 8) != 0);
	}
}

TEST(test_damaged)
{
	struct prowl_stackkey in = {.nkernel = PROWL_MAX_KERNEL, .nuser = PROWL_MAX_USER}, k;
	uint64_t words[PROWL_KEY_WORDS];

	assert_int_equal(prowl_stackkey_pack(&in, BASE, words),
			 1 + (PROWL_MAX_KERNEL + PROWL_MAX_USER) / 2);
	assert_false(prowl_stackkey_head(words, 0, &k));
	assert_true(prowl_stackkey_head(words, 4, &k));
	assert_false(prowl_stackkey_unpack(words, 4, BASE, SIZE_MAX, &k));
	words[0]++;
	assert_false(prowl_stackkey_head(words, 4, &k));
	words[0] += 1 << 10;
	words[0]--;
	assert_false(prowl_stackkey_head(words, 4, &k));
	/* Labels and thread, in a word that isn't there. */
	in = (struct prowl_stackkey){.thread = 1};
	assert_int_equal(prowl_stackkey_pack(&in, BASE, words), 2);
	assert_false(prowl_stackkey_head(words, 1, &k));
}

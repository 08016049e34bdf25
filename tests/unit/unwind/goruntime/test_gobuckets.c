/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of profile buckets, built in memory in the shapes of several Go versions. */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>

#include "gobuckets.h"
#include "memcache.h"
#include "unit_test.h"

#define HEAP 0x10000000ull

enum { BYTES = 1 << 16, HEAD = 8, CYCLE = 16, FIRST = 1024, STRIDE = 512, PC = 0x401000 };

struct image {
	uint8_t bytes[BYTES];
	struct uw_mem_bytes range;
	struct uw_goglobals globals;
	const struct uw_golayout *l;
	size_t reads, fail_at; /* fail_at 0: never */
	uint32_t cycle_moves;  /* that many reads of the cycle find another one */
};

static int read_image(void *ctx, uint64_t addr, void *buf, size_t len)
{
	struct image *im = ctx;
	struct uw_mem m = uw_mem_bytes(&im->range);
	uint32_t cycle;

	if (++im->reads == im->fail_at)
		return -EFAULT;
	if (addr == HEAP + CYCLE && im->cycle_moves) {
		im->cycle_moves--;
		memcpy(&cycle, im->bytes + CYCLE, 4);
		cycle += 6; /* three cycles further, or six: the same slot is due */
		memcpy(im->bytes + CYCLE, &cycle, 4);
	}
	return uw_read(&m, addr, buf, len);
}

static void set64(struct image *im, size_t at, uint64_t v)
{
	memcpy(im->bytes + at, &v, sizeof v);
}

static void start(struct image *im, int minor, uint32_t cycle)
{
	uint32_t word;

	memset(im, 0, sizeof *im);
	im->l = uw_golayout_for(minor, 4);
	im->range = (struct uw_mem_bytes){HEAP, im->bytes, BYTES, NULL};
	im->globals.var[UW_GLOBAL_MBUCKETS].addr = HEAP + HEAD;
	im->globals.var[UW_GLOBAL_BBUCKETS].addr = HEAP + HEAD;
	im->globals.var[UW_GLOBAL_XBUCKETS].addr = HEAP + HEAD;
	im->globals.var[UW_GLOBAL_MPROF_CYCLE].addr = HEAP + CYCLE;
	word = im->l->prof_cycle_struct ? cycle : cycle << 1;
	memcpy(im->bytes + CYCLE, &word, 4);
}

static size_t place(size_t i)
{
	return FIRST + i * STRIDE;
}

/* A bucket before all others, as the runtime links a new one. Returns where its record is. */
static size_t bucket(struct image *im, size_t i, uint64_t typ, uint64_t size, size_t nstack)
{
	size_t at = place(i);
	uint64_t next;

	memcpy(&next, im->bytes + HEAD, 8);
	set64(im, at + 8, next);
	set64(im, at + 16, typ);
	set64(im, at + 32, size);
	set64(im, at + 40, nstack);
	for (size_t k = 0; k < nstack; k++)
		set64(im, at + 48 + k * 8, PC + i * 256 + k);
	set64(im, HEAD, HEAP + at);
	return at + 48 + nstack * 8;
}

/* which: 0 active, 1.. future */
static void counts(struct image *im, size_t record, size_t which, uint64_t size, uint64_t allocs,
		   uint64_t frees)
{
	size_t at = record + which * (im->l->mem_has_bytes ? 32 : 16);

	set64(im, at, allocs);
	set64(im, at + 8, frees);
	if (im->l->mem_has_bytes) {
		set64(im, at + 16, allocs * size);
		set64(im, at + 24, frees * size);
	}
}

static int read_kind(struct image *im, enum uw_bucket_kind kind, struct uw_gobuckets *ret)
{
	struct uw_mem m = {.read = read_image, .ctx = im};

	im->reads = 0;
	return uw_gobuckets_read(im->l, &im->globals, &m, kind, ret);
}

static const int versions[] = {16, 18, 20, 26, 27};

#define EACH_VERSION for (size_t v = 0; v < sizeof versions / sizeof *versions; v++)

static struct image im;

TEST(test_active_and_due)
{
	EACH_VERSION
	{
		struct uw_gobuckets b = {0};
		size_t r;

		start(&im, versions[v], 7); /* 7 % 3: future[1] is due */
		r = bucket(&im, 0, UW_BUCKET_MEM, 48, 3);
		counts(&im, r, 0, 48, 10, 4);
		counts(&im, r, 1 + 1, 48, 5, 2);
		counts(&im, r, 1 + 2, 48, 100, 50);
		bucket(&im, 1, UW_BUCKET_MEM, 16, 0);
		assert_int_equal(read_kind(&im, UW_BUCKET_MEM, &b), 0);
		assert_int_equal(b.n, 2);
		assert_int_equal(b.buckets[0].at, HEAP + place(1));
		assert_int_equal(b.buckets[1].allocs, 15);
		assert_int_equal(b.buckets[1].frees, 6);
		assert_int_equal(b.buckets[1].size, 48);
		assert_int_equal(b.buckets[1].nstack, 3);
		assert_int_equal(b.pcs[b.buckets[1].first + 2], PC + 2);
		assert_int_equal(b.cycle, 7);
		assert_false(b.no_gc);
		assert_int_equal(b.retries, 0);
		uw_gobuckets_fini(&b);
	}
}

TEST(test_before_first_collection)
{
	EACH_VERSION
	{
		struct uw_gobuckets b = {0};
		size_t r;

		start(&im, versions[v], 0);
		r = bucket(&im, 0, UW_BUCKET_MEM, 32, 2);
		counts(&im, r, 1 + 2, 32, 9, 0);
		counts(&im, r, 1 + 1, 32, 0, 3);
		assert_int_equal(read_kind(&im, UW_BUCKET_MEM, &b), 0);
		assert_true(b.no_gc);
		assert_int_equal(b.buckets[0].allocs, 9);
		assert_int_equal(b.buckets[0].frees, 3);
		uw_gobuckets_fini(&b);
	}
}

TEST(test_cycle_moves)
{
	struct uw_gobuckets b = {0};
	size_t r;

	start(&im, 27, 7);
	r = bucket(&im, 0, UW_BUCKET_MEM, 48, 1);
	counts(&im, r, 0, 48, 10, 4);
	im.cycle_moves = 4;
	assert_int_equal(read_kind(&im, UW_BUCKET_MEM, &b), 0);
	assert_int_equal(b.retries, 2);
	assert_false(b.unsettled);
	assert_int_equal(b.buckets[0].allocs, 10);
	im.cycle_moves = UINT32_MAX;
	assert_int_equal(read_kind(&im, UW_BUCKET_MEM, &b), 0);
	assert_true(b.unsettled);
	uw_gobuckets_fini(&b);
}

TEST(test_torn)
{
	struct uw_gobuckets b = {0};
	size_t r;

	start(&im, 26, 7);
	r = bucket(&im, 0, UW_BUCKET_MEM, 48, 1);
	counts(&im, r, 0, 48, 10, 4);
	set64(&im, r + 16, 9 * 48);
	assert_int_equal(read_kind(&im, UW_BUCKET_MEM, &b), 0);
	assert_int_equal(b.reread, 1);
	assert_int_equal(b.torn, 1);
	uw_gobuckets_fini(&b);
}

TEST(test_waiting)
{
	EACH_VERSION
	{
		struct uw_gobuckets b = {0};
		double f = 2.75;
		uint64_t count;
		size_t r;

		start(&im, versions[v], 7);
		r = bucket(&im, 0, UW_BUCKET_BLOCK, 0, 4);
		memcpy(&count, &f, 8);
		set64(&im, r, im.l->block_count_float ? count : 2);
		set64(&im, r + 8, 12345);
		assert_int_equal(read_kind(&im, UW_BUCKET_BLOCK, &b), 0);
		assert_int_equal(b.buckets[0].count, 2);
		assert_int_equal(b.buckets[0].ticks, 12345);
		assert_int_equal(read_kind(&im, UW_BUCKET_MUTEX, &b), -EBADMSG);
		uw_gobuckets_fini(&b);
	}
}

static void refused(void)
{
	struct uw_gobuckets b = {0};

	assert_int_equal(read_kind(&im, UW_BUCKET_MEM, &b), -EBADMSG);
	uw_gobuckets_fini(&b);
}

TEST(test_damaged)
{
	start(&im, 27, 7);
	for (size_t i = 0; i < 20; i++)
		bucket(&im, i, UW_BUCKET_MEM, 48, 2);
	set64(&im, place(0) + 8, HEAP + place(7)); /* a ring */
	refused();
	set64(&im, place(0) + 8, 12345);
	refused();
	set64(&im, place(0) + 8, 0);
	set64(&im, place(3) + 40, UW_BUCKET_MAX_STACK + 1);
	refused();
	set64(&im, place(3) + 40, 2);
	set64(&im, place(3) + 32, 1ull << 50);
	refused();
	set64(&im, place(3) + 32, 48);
	set64(&im, place(3) + 16, UW_BUCKET_BLOCK);
	refused();
}

TEST(test_missing)
{
	struct uw_gobuckets b = {0};

	start(&im, 27, 7);
	assert_int_equal(read_kind(&im, UW_BUCKET_MEM, &b), 0);
	assert_int_equal(b.n, 0);
	im.globals.var[UW_GLOBAL_MPROF_CYCLE].addr = 0;
	assert_int_equal(read_kind(&im, UW_BUCKET_MEM, &b), -ENOENT);
	uw_gobuckets_fini(&b);
}

/* The N-th read fails: an error, or, where the cache only asked for too much, all of it. */
TEST(test_failing_reads)
{
	size_t failed = 0;

	for (size_t at = 1; at < 200; at++) {
		struct uw_gobuckets b = {0};
		int r;

		start(&im, 27, 7);
		for (size_t i = 0; i < 20; i++)
			bucket(&im, i, UW_BUCKET_MEM, 48, 2);
		im.fail_at = at;
		r = read_kind(&im, UW_BUCKET_MEM, &b);
		assert_true(r == -EFAULT || (r == 0 && b.n == 20));
		failed += r != 0;
		uw_gobuckets_fini(&b);
	}
	assert_true(failed > 2);
}

TEST(test_memcache)
{
	struct uw_mem m = {.read = read_image, .ctx = &im}, cached;
	struct uw_memcache *c;
	uint64_t v;

	start(&im, 27, 7);
	set64(&im, 4096, 1);
	assert_int_equal(uw_memcache_new(&m, &c), 0);
	cached = uw_memcache_mem(c);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(uw_read_u64(&cached, HEAP + i * 8, &v), 0);
	assert_int_equal(im.reads, 1);
	set64(&im, 4096, 2);
	assert_int_equal(uw_read_u64(&cached, HEAP + 4096, &v), 0);
	assert_int_equal(v, 1);
	uw_memcache_forget(c);
	assert_int_equal(uw_read_u64(&cached, HEAP + 4096, &v), 0);
	assert_int_equal(v, 2);
	/* over the edge of two blocks, at the end, and past it */
	set64(&im, 32764, 0x1122334455667788);
	uw_memcache_forget(c);
	assert_int_equal(uw_read_u64(&cached, HEAP + 32764, &v), 0);
	assert_int_equal(v, 0x1122334455667788);
	assert_int_equal(uw_read_u64(&cached, HEAP + BYTES - 8, &v), 0);
	assert_int_equal(uw_read_u64(&cached, HEAP + BYTES - 4, &v), -EFAULT);
	uw_memcache_free(c);
}

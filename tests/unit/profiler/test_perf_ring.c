/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "perf_ring.h"
#include "unit_test.h"

enum { RING = 4096 };

/* A ring whose bytes lie in a block of exactly its size, so that a sanitizer sees any other. */
struct fixture {
	struct prowl_ring ring;
	uint8_t *data;
	uint64_t head; /* of the writer */
};

static void open_at(struct fixture *f, uint64_t tail)
{
	f->data = calloc(1, RING);
	f->head = tail;
	assert_non_null(f->data);
	assert_int_equal(prowl_ring_init(&f->ring, f->data, RING, tail, tail), 0);
}

static void close_ring(struct fixture *f)
{
	prowl_ring_fini(&f->ring);
	free(f->data);
}

static void write_bytes(struct fixture *f, const void *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		f->data[(f->head + i) & (RING - 1)] = ((const uint8_t *)p)[i];
	f->head += len;
	f->ring.head = f->head;
}

/* A record of `size` bytes that are told from each other and from those of other seeds. */
static void write_record(struct fixture *f, uint16_t size, uint8_t seed)
{
	struct perf_event_header h = {.type = seed, .size = size};
	uint8_t bytes[1 << 16];

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(seed + i * 7);
	memcpy(bytes, &h, sizeof h);
	write_bytes(f, bytes, size);
}

static void check_record(struct fixture *f, uint16_t size, uint8_t seed)
{
	bool bad = true;
	const struct perf_event_header *h = prowl_ring_peek(&f->ring, &bad);

	assert_non_null(h);
	assert_false(bad);
	assert_int_equal(h->type, seed);
	assert_int_equal(h->size, size);
	for (size_t i = sizeof *h; i < size; i++)
		assert_int_equal(((const uint8_t *)h)[i], (uint8_t)(seed + i * 7));
	/* Looking doesn't take. */
	assert_ptr_equal(prowl_ring_peek(&f->ring, &bad), h);
	prowl_ring_take(&f->ring, h);
}

static void check_end(struct fixture *f)
{
	bool bad = true;

	assert_null(prowl_ring_peek(&f->ring, &bad));
	assert_false(bad);
}

TEST(test_empty)
{
	struct fixture f;

	open_at(&f, 0);
	assert_int_equal(prowl_ring_begin(&f.ring), 0);
	check_end(&f);
	prowl_ring_end(&f.ring);
	close_ring(&f);
}

TEST(test_several)
{
	struct fixture f;

	open_at(&f, 0);
	write_record(&f, 8, 1);
	write_record(&f, 128, 2);
	write_record(&f, 16, 3);
	assert_int_equal(prowl_ring_begin(&f.ring), 152);
	check_record(&f, 8, 1);
	check_record(&f, 128, 2);
	check_record(&f, 16, 3);
	check_end(&f);
	assert_int_equal(f.ring.tail, 152);
	close_ring(&f);
}

/* Every place at which a record can cross the end, and the one at which it just doesn't. */
TEST(test_wraps)
{
	for (uint64_t start = RING - 64; start <= RING; start += 8) {
		struct fixture f;

		open_at(&f, start);
		write_record(&f, 64, 9);
		write_record(&f, 24, 10);
		check_record(&f, 64, 9);
		check_record(&f, 24, 10);
		check_end(&f);
		close_ring(&f);
	}
}

TEST(test_record_that_ends_at_the_end)
{
	struct fixture f;
	const struct perf_event_header *h;
	bool bad;

	open_at(&f, RING - 64);
	write_record(&f, 64, 5);
	h = prowl_ring_peek(&f.ring, &bad);
	assert_ptr_equal(h, f.data + RING - 64); /* in place: nothing to copy */
	check_record(&f, 64, 5);
	check_end(&f);
	close_ring(&f);
}

/* One record that fills the ring, from each place. */
TEST(test_full)
{
	for (uint64_t start = 0; start < RING; start += 8) {
		struct fixture f;

		open_at(&f, start);
		write_record(&f, RING, 6);
		assert_int_equal(prowl_ring_begin(&f.ring), RING);
		check_record(&f, RING, 6);
		check_end(&f);
		close_ring(&f);
	}
}

/* The largest record there is, in a larger ring, wrapped. */
TEST(test_largest)
{
	enum { LEN = 1 << 17, SIZE = 65528 };
	struct prowl_ring r;
	uint8_t *data = calloc(1, LEN);
	struct perf_event_header h = {.type = 1, .size = SIZE};
	const struct perf_event_header *got;
	bool bad;

	assert_non_null(data);
	memcpy(data + LEN - 16, &h, sizeof h);
	data[LEN - 1] = 0xaa;
	data[0] = 0xbb;
	data[SIZE - 17] = 0xcc;
	assert_int_equal(prowl_ring_init(&r, data, LEN, LEN - 16, LEN - 16 + SIZE), 0);
	got = prowl_ring_peek(&r, &bad);
	assert_non_null(got);
	assert_int_equal(((const uint8_t *)got)[15], 0xaa);
	assert_int_equal(((const uint8_t *)got)[16], 0xbb);
	assert_int_equal(((const uint8_t *)got)[SIZE - 1], 0xcc);
	prowl_ring_take(&r, got);
	assert_null(prowl_ring_peek(&r, &bad));
	assert_false(bad);
	prowl_ring_fini(&r);
	free(data);
}

/* A size that can't be ends the drain, and is told once. */
static void check_bad(uint16_t size, size_t waits)
{
	struct perf_event_header h = {.type = 1, .size = size};
	struct fixture f;
	bool bad = false;

	open_at(&f, 4088);
	write_record(&f, 32, 3);
	write_bytes(&f, &h, sizeof h);
	write_bytes(&f, (const uint8_t[1024]){0}, waits - sizeof h);
	check_record(&f, 32, 3);
	assert_null(prowl_ring_peek(&f.ring, &bad));
	assert_true(bad);
	check_end(&f);
	assert_int_equal(f.ring.tail, f.head);
	/* The next drain begins at what was written since. */
	write_record(&f, 40, 4);
	check_record(&f, 40, 4);
	check_end(&f);
	close_ring(&f);
}

TEST(test_bad_sizes)
{
	for (uint16_t size = 0; size < 8; size++)
		check_bad(size, 64);
	check_bad(9, 64);
	check_bad(12, 64);
	check_bad(15, 64);
	check_bad(72, 64);
	check_bad(65528, 64);
	check_bad(65535, 64);
}

/* Fewer bytes than a header has: only its first part was written. */
TEST(test_part_of_a_header)
{
	struct perf_event_header h = {.type = 1, .size = 8};

	for (size_t n = 1; n < sizeof h; n++) {
		struct fixture f;
		bool bad = false;

		open_at(&f, 64);
		write_bytes(&f, &h, n);
		assert_null(prowl_ring_peek(&f.ring, &bad));
		assert_true(bad);
		assert_int_equal(f.ring.tail, f.head);
		close_ring(&f);
	}
}

/* A writer's position more than a ring ahead: no record may be larger than the ring. */
TEST(test_larger_than_the_ring)
{
	struct perf_event_header h = {.type = 1, .size = RING + 8};
	struct fixture f;
	bool bad = false;

	open_at(&f, 8);
	write_bytes(&f, &h, sizeof h);
	f.ring.head = f.head + 2 * RING;
	assert_null(prowl_ring_peek(&f.ring, &bad));
	assert_true(bad);
	assert_int_equal(f.ring.tail, f.ring.head);
	close_ring(&f);
}

/* Positions count bytes since the ring was made: they pass 2^32, and in the end 2^64. */
TEST(test_large_positions)
{
	static const uint64_t starts[] = {UINT32_MAX + 1ull - 64, 1ull << 32, 7ull << 40,
					  UINT64_MAX - 63};

	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
		struct fixture f;

		open_at(&f, starts[i]);
		write_record(&f, 48, 1);
		write_record(&f, 48, 2);
		assert_int_equal(prowl_ring_begin(&f.ring), 96);
		check_record(&f, 48, 1);
		check_record(&f, 48, 2);
		check_end(&f);
		assert_true(f.ring.tail == starts[i] + 96);
		close_ring(&f);
	}
}

/* With a header page: the writer's position is taken once a drain, ours is given at its end. */
TEST(test_page)
{
	struct perf_event_mmap_page *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
						 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct fixture f;

	assert_true(page != MAP_FAILED);
	open_at(&f, 1ull << 33);
	f.ring.page = page;
	f.ring.map_len = 4096;
	page->data_tail = page->data_head = f.head;

	write_record(&f, 32, 1);
	write_record(&f, 16, 2);
	page->data_head = f.head;
	f.ring.head = f.ring.tail;
	assert_int_equal(prowl_ring_begin(&f.ring), 48);
	check_record(&f, 32, 1);
	/* Written meanwhile: not of this drain. */
	write_record(&f, 24, 3);
	f.ring.head = f.head - 24;
	page->data_head = f.head;
	check_record(&f, 16, 2);
	check_end(&f);
	assert_true(page->data_tail == 1ull << 33);
	prowl_ring_end(&f.ring);
	assert_true(page->data_tail == (1ull << 33) + 48);

	assert_int_equal(prowl_ring_begin(&f.ring), 24);
	check_record(&f, 24, 3);
	check_end(&f);
	prowl_ring_end(&f.ring);
	assert_true(page->data_tail == page->data_head);
	/* The writer's page is the writer's: its own position stayed. */
	assert_true(page->data_head == f.head);
	close_ring(&f);
}

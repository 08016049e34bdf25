/* SPDX-License-Identifier: Apache-2.0 */
#include "perf_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_RECORD = 1 << 16, AHEAD = 448 };

int prowl_ring_map(struct prowl_ring *r, int fd, unsigned int order)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t len = page + (page << order);
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*r = (struct prowl_ring){.page = p, .map_len = len, .mask = (page << order) - 1};
	r->data = (uint8_t *)p + page;
	r->wrap = malloc(MAX_RECORD);
	if (!r->wrap) {
		munmap(p, len);
		return -ENOMEM;
	}
	return 0;
}

int prowl_ring_init(struct prowl_ring *r, uint8_t *data, size_t len, uint64_t tail, uint64_t head)
{
	*r = (struct prowl_ring){.data = data, .mask = len - 1, .tail = tail, .head = head};
	r->wrap = malloc(MAX_RECORD);
	return r->wrap ? 0 : -ENOMEM;
}

void prowl_ring_fini(struct prowl_ring *r)
{
	if (r->page)
		munmap(r->page, r->map_len);
	free(r->wrap);
	*r = (struct prowl_ring){0};
}

size_t prowl_ring_begin(struct prowl_ring *r)
{
	if (r->page)
		r->head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);
	return r->head - r->tail;
}

/*
 * They were written on another CPU. Of the record after this one, which has been asked for: its
 * end, where a sample has the length of its stack copy. Of the one after that: as much as is
 * mostly looked at.
 */
static void expect_next(const struct prowl_ring *r, uint64_t at, uint64_t left)
{
	const struct perf_event_header *next = (const void *)(r->data + (at & r->mask));

	if (left < sizeof *next)
		return;
	at += next->size;
	__builtin_prefetch(r->data + ((at - 8) & r->mask));
	for (size_t i = 0; i < AHEAD; i += 64)
		__builtin_prefetch(r->data + ((at + i) & r->mask));
}

const struct perf_event_header *prowl_ring_peek(struct prowl_ring *r, bool *bad)
{
	uint64_t left = r->head - r->tail;
	uint64_t at = r->tail & r->mask;
	const struct perf_event_header *h = (const void *)(r->data + at);
	uint64_t to_end = r->mask + 1 - at;

	*bad = false;
	if (left == 0)
		return NULL;
	/* Records are multiples of 8 bytes and so is the ring: a header never wraps. */
	if (left < sizeof *h || h->size < sizeof *h || (h->size & 7) || h->size > left ||
	    h->size > r->mask + 1) {
		*bad = true;
		r->tail = r->head;
		return NULL;
	}
	expect_next(r, at + h->size, left - h->size);
	if (h->size <= to_end)
		return h;
	memcpy(r->wrap, h, to_end);
	memcpy(r->wrap + to_end, r->data, h->size - to_end);
	return (const void *)r->wrap;
}

void prowl_ring_take(struct prowl_ring *r, const struct perf_event_header *rec)
{
	r->tail += rec->size;
}

void prowl_ring_end(struct prowl_ring *r)
{
	if (r->page)
		__atomic_store_n(&r->page->data_tail, r->tail, __ATOMIC_RELEASE);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pull iterator over one perf ring buffer (perf_event_open(2), "MMAP layout").
 *
 * A drain takes the writer's position once and hands out the records up to it, each in one piece:
 * one that wraps around the end is copied. A record is valid until the next call. The space is
 * given back to the kernel in one step at the end of the drain. One thread per ring.
 */
#pragma once

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prowl_ring {
	struct perf_event_mmap_page *page; /* the mapping: header page and data */
	size_t map_len;
	uint8_t *data;
	uint64_t mask; /* data size - 1 */
	uint64_t tail; /* next record to read */
	uint64_t head; /* end of this drain */
	uint8_t *wrap; /* PERF_RECORD's largest size: 64 KiB */
};

/* Maps fd's buffer with 2^order data pages. -EPERM: over the locked-memory limit; else -errno. */
int prowl_ring_map(struct prowl_ring *r, int fd, unsigned int order);
/* The same over bytes that a test made: data of 2^n bytes, records in [tail, head). */
int prowl_ring_init(struct prowl_ring *r, uint8_t *data, size_t len, uint64_t tail, uint64_t head);
void prowl_ring_fini(struct prowl_ring *r);

/* Begins a drain; returns the bytes that wait. */
size_t prowl_ring_begin(struct prowl_ring *r);
/*
 * The next record without taking it, or NULL at the end of the drain. A header with an impossible
 * size ends the drain and sets *bad (the rest of the drain is given up).
 */
const struct perf_event_header *prowl_ring_peek(struct prowl_ring *r, bool *bad);
void prowl_ring_take(struct prowl_ring *r, const struct perf_event_header *rec);
/* Ends a drain: what was taken may be overwritten. */
void prowl_ring_end(struct prowl_ring *r);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a ring of perf records. The first eight say where in the ring the records begin;
 * what follows is written there, around the end. All that an event borrows is read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "perf_record.h"
#include "perf_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static uint64_t sum_of(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint64_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += b[i];
	return sum;
}

static uint64_t use(const struct prowl_event *ev, const struct perf_event_header *h)
{
	uint64_t sum = ev->time + ev->id + ev->cpu + (uint64_t)ev->pid + (uint64_t)ev->tid;

	switch (ev->type) {
	case PROWL_EVENT_SAMPLE:
		check(ev->sample.nkernel + ev->sample.nuser <= ev->sample.nchain);
		check(ev->sample.stack_len < h->size);
		for (uint32_t i = 0; i < ev->sample.nkernel; i++)
			check(ev->sample.kernel[i] < (uint64_t)PERF_CONTEXT_MAX);
		for (uint32_t i = 0; i < ev->sample.nuser; i++)
			check(ev->sample.user[i] < (uint64_t)PERF_CONTEXT_MAX);
		return sum + sum_of(ev->sample.stack, ev->sample.stack_len);
	case PROWL_EVENT_MMAP:
		return sum + strlen(ev->mmap.path);
	case PROWL_EVENT_COMM:
		return sum + strlen(ev->comm.comm);
	default:
		return sum;
	}
}

static size_t ring_len(size_t len)
{
	size_t n = 4096;

	while (n < len)
		n *= 2;
	return n;
}

static volatile uint64_t used; /* so that what is read is read */

static void drain(struct prowl_ring *r)
{
	const struct perf_event_header *h;
	uint64_t sum = 0;
	bool bad;

	prowl_ring_begin(r);
	while ((h = prowl_ring_peek(r, &bad))) {
		/* A copy that ends where the record ends: the next byte is nobody's. */
		void *copy = malloc(h->size);
		struct prowl_event ev;
		int e;

		check(copy != NULL);
		memcpy(copy, h, h->size);
		e = prowl_perf_decode(copy, &ev);
		check(e == 0 || e == -EBADMSG);
		if (e == 0)
			sum += use(&ev, copy);
		sum += prowl_perf_time(copy);
		free(copy);
		prowl_ring_take(r, h);
	}
	check(r->tail == r->head);
	used = sum;
	prowl_ring_end(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct prowl_ring ring;
	uint64_t start;
	uint8_t *data;
	size_t n;

	if (len < sizeof start || len > 1 << 20)
		return 0;
	memcpy(&start, bytes, sizeof start);
	start &= ~7ull;
	bytes += sizeof start;
	len -= sizeof start;
	n = ring_len(len);
	data = calloc(1, n);
	check(data != NULL);
	for (size_t i = 0; i < len; i++)
		data[(start + i) & (n - 1)] = bytes[i];
	check(prowl_ring_init(&ring, data, n, start, start + len) == 0);
	drain(&ring);
	prowl_ring_fini(&ring);
	free(data);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds the bytes of perf records as the kernel lays them out for PROWL_SAMPLE_TYPE with
 * sample_id_all (perf_event_open(2), "MMAP layout"), part by part and from the manual page, not
 * from the decoder.
 */
#pragma once

#include <assert.h>
#include <linux/perf_event.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct build_record {
	_Alignas(8) uint8_t bytes[1 << 16];
	size_t len;
};

static inline void rec_put(struct build_record *b, const void *p, size_t len)
{
	assert(b->len + len <= sizeof b->bytes);
	memcpy(b->bytes + b->len, p, len);
	b->len += len;
}

static inline void rec_u32(struct build_record *b, uint32_t v)
{
	rec_put(b, &v, sizeof v);
}

static inline void rec_u64(struct build_record *b, uint64_t v)
{
	rec_put(b, &v, sizeof v);
}

/* With its NUL, padded to 8 bytes. */
static inline void rec_string(struct build_record *b, const char *s)
{
	rec_put(b, s, strlen(s) + 1);
	while (b->len % 8)
		rec_put(b, "", 1);
}

static inline void rec_begin(struct build_record *b, uint32_t type, uint16_t misc)
{
	struct perf_event_header h = {.type = type, .misc = misc};

	b->len = 0;
	rec_put(b, &h, sizeof h);
}

static inline const struct perf_event_header *rec_end(struct build_record *b)
{
	struct perf_event_header *h = (void *)b->bytes;

	h->size = (uint16_t)b->len;
	return h;
}

/* What sample_id_all puts at the end of every record that is no sample. */
static inline const struct perf_event_header *rec_end_side(struct build_record *b)
{
	rec_u32(b, 4001); /* pid and tid of whom the kernel worked for */
	rec_u32(b, 4002);
	rec_u64(b, 123456789); /* time */
	rec_u32(b, 3);         /* cpu */
	rec_u32(b, 0);
	rec_u64(b, 77); /* id of the event */
	return rec_end(b);
}

enum { REC_TIME_SIDE = 123456789, REC_PERIOD = 10101010 };

struct build_sample {
	uint16_t misc;
	uint64_t ip, time;
	const uint64_t *chain;
	uint64_t nchain, claim_chain; /* what the record says, when not 0 */
	uint64_t abi;                 /* of the registers; 0: none */
	const uint64_t *regs;         /* 8 words: bx, bp, sp, ip, r12 to r15 */
	const void *stack;
	uint64_t stack_size, stack_dyn;
};

static inline const struct perf_event_header *rec_sample(struct build_record *b,
							 const struct build_sample *s)
{
	rec_begin(b, PERF_RECORD_SAMPLE, s->misc);
	rec_u64(b, 77); /* PERF_SAMPLE_IDENTIFIER */
	rec_u64(b, s->ip);
	rec_u32(b, 4001);
	rec_u32(b, 4002);
	rec_u64(b, s->time);
	rec_u32(b, 3);
	rec_u32(b, 0);
	rec_u64(b, REC_PERIOD);
	rec_u64(b, s->claim_chain ? s->claim_chain : s->nchain);
	for (uint64_t i = 0; i < s->nchain; i++)
		rec_u64(b, s->chain[i]);
	rec_u64(b, s->abi);
	for (size_t i = 0; i < 8 && s->abi; i++)
		rec_u64(b, s->regs[i]);
	rec_u64(b, s->stack_size);
	if (s->stack_size) {
		rec_put(b, s->stack, s->stack_size);
		rec_u64(b, s->stack_dyn);
	}
	return rec_end(b);
}

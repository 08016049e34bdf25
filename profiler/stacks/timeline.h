/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When each sample was taken, for profiles that keep it: a list beside the stack hash, which still
 * has every sample. A sample is identified by the hash of its key. The list is of fixed size:
 * samples beyond it are counted in the stack hash as ever and only lose their time.
 *
 * One thread at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { PROWL_TIMELINE_MAX = 1 << 18 }; /* samples; 4 MB */

struct prowl_timed {
	uint64_t stack; /* prowl_stackhash_hash() of the key */
	uint64_t time;  /* CLOCK_MONOTONIC */
};

struct prowl_timeline {
	struct prowl_timed *moments;
	size_t n;
	uint64_t overflow; /* samples that found no room */
};

/* -ENOMEM. */
int prowl_timeline_init(struct prowl_timeline *t);
void prowl_timeline_fini(struct prowl_timeline *t);

static inline void prowl_timeline_add(struct prowl_timeline *t, uint64_t stack, uint64_t time)
{
	if (t->n < PROWL_TIMELINE_MAX)
		t->moments[t->n++] = (struct prowl_timed){stack, time};
	else
		t->overflow++;
}

/* Makes room for those of the next window; what found none so far stays counted. */
static inline void prowl_timeline_clear(struct prowl_timeline *t)
{
	t->n = 0;
}

/* Once all are there. */
void prowl_timeline_sort(struct prowl_timeline *t);

/* After that: those of one stack, by time; returns their number. */
size_t prowl_timeline_of(const struct prowl_timeline *t, uint64_t stack,
			 const struct prowl_timed **ret_first);

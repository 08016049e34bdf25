/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goroutines of a Go program, read out of its memory while it runs: their state, and the stacks of
 * those at rest.
 *
 * Nothing is stopped, so each goroutine is read by itself and checked: its g is read before and
 * after its stack, and what changed meanwhile is read again, a few times. A stack that could not be
 * read whole is marked (uw_goroutine.stack), never given as something that it may not have been.
 * Reads are large or of many parts. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "goglobals.h"
#include "golayout.h"
#include "mem.h"
#include "space.h"

enum uw_gostatus { /* runtime._Gidle and so on, without the collector's bit */
		   UW_G_IDLE = 0,
		   UW_G_RUNNABLE = 1,
		   UW_G_RUNNING = 2,
		   UW_G_SYSCALL = 3,
		   UW_G_WAITING = 4,
		   UW_G_DEAD = 6,
		   UW_G_COPYSTACK = 8,
		   UW_G_PREEMPTED = 9,
		   UW_G_LEAKED = 10,
		   UW_G_DEADEXTRA = 11,
};

enum uw_goroutine_stack {
	UW_GOROUTINE_WHOLE,    /* to its root, or to where Go's own traceback ends */
	UW_GOROUTINE_CUT,      /* deeper than the limit: the inner frames */
	UW_GOROUTINE_RUNNING,  /* it runs: its registers are in no memory */
	UW_GOROUTINE_UNSTABLE, /* it changed whenever it was looked at */
	UW_GOROUTINE_BAD,      /* what was read makes no sense, or could not be read */
};

struct uw_goroutine {
	uint64_t addr, goid, parent, gopc, startpc;
	uint64_t m;         /* the thread that runs it; 0: none */
	uint64_t waitsince; /* CLOCK_MONOTONIC, ns, as noted by a garbage collection; 0: not yet */
	uint64_t labels;    /* pointer to the label set; 0: none */
	enum uw_gostatus status;
	bool scan;      /* the collector looks at its stack */
	bool locked;    /* to its thread */
	uint8_t reason; /* index into golayout's wait_reasons; 0 unless waiting */
	uint8_t runs;   /* how often it stopped running, modulo 256; always 0 before go1.17 */
	bool system;    /* of the runtime itself: Go's own profiles leave it out */
	enum uw_goroutine_stack stack;
	const uint64_t *words; /* as in gostored.h, leaf first; borrowed for the callback */
	size_t nwords;
};

struct uw_goroutines_stats {
	uint64_t seen;     /* entries of the list */
	uint64_t dead;     /* ended, or being made */
	uint64_t retries;  /* that changed while they were read, and were read again */
	uint64_t unstable; /* that never stood still */
	uint64_t bad;      /* unreadable */
	uint64_t cut;
};

enum {
	UW_GOROUTINE_MAX_WORDS = 4096, /* of one stack */
	UW_GOROUTINES_MAX = 1 << 26,
};

/*
 * The addresses of all g's, dead ones too, in an array that is the caller's to free. -ENOENT: not
 * known where they are; -EAGAIN: the list moved again and again; -EBADMSG: no list; -ENOMEM; or the
 * errno of reading.
 */
int uw_goroutines_list(const struct uw_mem *mem, const struct uw_goglobals *globals, uint64_t **ret,
		       size_t *ret_n);

struct uw_goroutines;

/* The space is borrowed. -ENOENT: no Go, or a layout without goroutines; -ENOMEM. */
int uw_goroutines_new(struct uw_space *space, struct uw_goroutines **ret);
void uw_goroutines_free(struct uw_goroutines *r);
/*
 * Calls cb for each of them that lives, in no certain order. Non-zero ends it and is returned.
 * stacks: false leaves the stacks out (words are none, stack says nothing).
 */
typedef int (*uw_goroutine_cb)(void *ctx, const struct uw_goroutine *g);
int uw_goroutines_read(struct uw_goroutines *r, const uint64_t *gs, size_t n, bool stacks,
		       uw_goroutine_cb cb, void *ctx);
const struct uw_goroutines_stats *uw_goroutines_stats(const struct uw_goroutines *r);

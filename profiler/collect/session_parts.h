/* SPDX-License-Identifier: Apache-2.0 */
/* A session's insides, shared by session*.c and what counts for them. */
#pragma once

#include "charge.h"
#include "labels.h"
#include "moments.h"
#include "procs.h"
#include "prowl.h"
#include "sampler.h"
#include "stackhash.h"
#include "stackkey.h"
#include "threads.h"
#include "timeline.h"
#include "residency.h"
#include "window.h"

/* Stacks on their way into the hash: its memory is fetched for many at once. */
enum { PROWL_PENDING = PROWL_STACKHASH_BATCH, PROWL_PENDING_WORDS = 2 * PROWL_KEY_WORDS };

struct prowl_pending {
	size_t n, used; /* keys, words */
	struct prowl_stackhash_key key[PROWL_PENDING];
	uint64_t words[PROWL_PENDING_WORDS];
};

struct prowl_session {
	struct prowl_options o;
	struct prowl_procs procs;
	struct prowl_sampler *sampler;
	struct uw_walker *walker;
	struct prowl_labels *labels; /* NULL: not asked for */
	struct prowl_moments moments;
	struct prowl_residency residency;
	struct prowl_stackhash hash;
	void *hash_mem;
	size_t hash_len;
	uintptr_t populated_to;    /* the hash's arena has its pages up to here */
	uintptr_t populated_table; /* and its last table that has them all begins here */
	struct prowl_pending pending;
	struct prowl_threads threads;   /* empty unless samples are labelled by thread */
	struct prowl_timeline timeline; /* empty unless it was asked for */
	struct prowl_result result;
	struct uw_walk_stats walks; /* what the walks had to repair, and by what */
	struct prowl_result at_window_start;
	struct prowl_pool { /* children that are gone, see charge.h */
		struct prowl_reaped reaped;
		bool known;   /* it is all that they used */
		int64_t more; /* ns charged to them beyond what is known of each */
		struct {
			int64_t more;
			uint64_t kernel;
		} at_window_start;
		struct prowl_proc forgotten; /* the sum of those that left the table */
	} pool;
	struct prowl_left {              /* targets that left the table */
		uint64_t charge, kernel; /* ns */
		struct prowl_reaped reaped;
		bool unknown; /* what their children used */
	} left;
	struct prowl_names names;
	bool several;       /* there were two processes or more at a time */
	uint64_t forgotten; /* when unpacked debug sections were let go last */
	uint64_t opened;    /* CLOCK_MONOTONIC */
	uint64_t from, to;  /* the window: samples outside of it don't count */
	int64_t wall_start; /* Unix time, ns */
	int wake_fd;
	bool stopped;                   /* no window follows: what is left belongs to this one */
	uint64_t clocked, prompt_until; /* CLOCK_MONOTONIC */
	uint64_t live_attempts;         /* of the walker, when last looked */
	struct {                        /* of the stacks, that come with the samples */
		uint32_t bytes;
		uint64_t from, to;     /* CLOCK_MONOTONIC: what s->sampler counts for */
		uint64_t samples, cut; /* when last judged */
		uint64_t damaged, throttled, seen, stray; /* by the events before these */
	} copy;
};

enum {
	/*
	 * Copies of the stack: 512 bytes repair nearly all leaves of Go, 4 KiB those with a large
	 * frame and a BP of their own, 16 KiB hold most stacks of C.
	 */
	SESSION_STACK_FASTEST = 512,
	SESSION_STACK_GO = 4096,
	SESSION_STACK_C = 16384,
	SESSION_STACK_FAST_MOST = 8192, /* above SESSION_WAKE_RATE */
	SESSION_WAKE_RATE = 1000,       /* Hz up to which each sample may wake us */
};

/* --- session.c --- */

/* With copies of the stack of that size. */
enum prowl_code session_open_sampler(struct prowl_session *s, uint32_t copy,
				     struct prowl_sampler **ret, struct prowl_err *err);

/*
 * Labels in memory are right for a moment only, so that each sample shall be read at once: unless
 * BPF copies them, and the caller reads the rings seldom.
 */
static inline bool session_is_prompt(const struct prowl_session *s)
{
	return s->labels && !(s->moments.bpf && s->o.drain_ms);
}

/* --- session_collect.c --- */

/* Reads the targets' CPU time and returns when that was. */
uint64_t session_read_clocks(struct prowl_session *s, bool first);
void session_drain(struct prowl_session *s);

/* --- session_seen.c --- */

/* Says what happened to whoever listens. */
void session_seen(struct prowl_session *s, const struct prowl_event *ev);
void session_seen_other(struct prowl_session *s, pid_t pid); /* a sample of no target */

/* --- session_window.c --- */

/*
 * What is counted from here on belongs to the next window. A process without samples keeps its time
 * for that.
 */
void prowl_session_begin_window(struct prowl_session *s);
/* The profiles of the window so far. Negative errno, or what cb returned. */
int prowl_session_profiles(struct prowl_session *s, enum prowl_group group, prowl_window_fn cb,
			   void *ctx);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that restores words of a target's memory when prowl is done, or gone. For rates.c;
 * rates.h has the manual.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { GUARDIAN_MAX = 8 };

struct guarded { /* 8 aligned bytes of the target */
	uint64_t addr, before, set;
};

enum guarded_state {
	GUARDED_UNKNOWN,
	GUARDED_RESTORED, /* or it had its old value already */
	GUARDED_FOREIGN,
	GUARDED_GONE,
	GUARDED_STUCK,
};

struct guardian {
	pid_t pid; /* 0: has ended */
	int sock;
};

/*
 * Starts one for words[0..n), n <= GUARDIAN_MAX; mem is a descriptor of /proc/PID/mem, which it
 * inherits. On return it is ready: whatever happens to the caller, words that have the value `set`
 * get `before`. max_ns as in rates.h. Negative errno.
 */
int guardian_start(struct guardian *g, int mem, const struct guarded *words, size_t n,
		   uint64_t max_ns);

/*
 * Lets it restore the words and waits for its end; states[0..n) report the results, all UNKNOWN
 * when it was killed, and the caller must do it.
 */
void guardian_end(struct guardian *g, enum guarded_state *states, size_t n);

/* Whether it was killed before it restored anything. If so, it is reaped, and *g is empty. */
bool guardian_was_killed(struct guardian *g);

/* Restores one word: used by the guardian and by the caller. */
enum guarded_state guarded_restore(int mem, const struct guarded *w);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that puts back words of a target's memory when we are done, or gone. For rates.c; the
 * manual stands in rates.h.
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
	GUARDED_RESTORED, /* also: it had its old value already */
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
 * inherits. On return it is ready: whatever happens to us from now on, words that have the value
 * `set` get `before`. max_ns as in rates.h. Negative errno.
 */
int guardian_start(struct guardian *g, int mem, const struct guarded *words, size_t n,
		   uint64_t max_ns);

/*
 * Lets it put the words back and waits for its end; states[0..n) tell what it did, all UNKNOWN when
 * it was killed, so that the caller does it himself.
 */
void guardian_end(struct guardian *g, enum guarded_state *states, size_t n);

/*
 * Whether it was killed: it is gone, and has put nothing back. It is reaped then, and *g is empty.
 */
bool guardian_was_killed(struct guardian *g);

/* Puts one word back. What guardian and caller do. */
enum guarded_state guarded_restore(int mem, const struct guarded *w);

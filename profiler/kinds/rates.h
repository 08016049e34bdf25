/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets the rates at which a live Go runtime samples its heap, block and mutex profiles, and puts
 * them back. This is the one place where prowl writes to a target, and only when it was told to.
 *
 * Before anything is written a guardian process stands by: small, in a session of its own, deaf to
 * signals, with no descriptors but a socket to us and the target's memory. When the socket closes,
 * because we are done or because we are gone (kill -9 too), or when the time is up, it puts back
 * what still is what we set. What was changed by somebody else meanwhile is left alone. The
 * descriptor of /proc/PID/mem belongs to one program image, not to a process id: after exit or exec
 * of the target there is nothing behind it, so nobody else's memory can be hit.
 *
 * One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct prowl_runtime;

enum prowl_rate { PROWL_RATE_HEAP, PROWL_RATE_BLOCK, PROWL_RATE_MUTEX, PROWL_RATES };

enum { /* what is good enough to see something and cheap enough to leave on */
       PROWL_RATE_HEAP_DEFAULT = 512 * 1024, /* bytes: Go's own */
       PROWL_RATE_BLOCK_DEFAULT = 1000000,   /* ns blocked: each longer wait, of shorter ones a
						share */
       PROWL_RATE_MUTEX_DEFAULT = 100,       /* one of so many contentions */
};

/* In Go's units of runtime.MemProfileRate, SetBlockProfileRate and SetMutexProfileFraction. */
struct prowl_rates_wish { /* zero-initialised: none */
	bool set[PROWL_RATES];
	uint64_t value[PROWL_RATES];
};

enum prowl_rate_state {
	PROWL_RATE_UNTOUCHED, /* not wished for, or it had the value already */
	PROWL_RATE_SET,
	PROWL_RATE_RESTORED,
	PROWL_RATE_FOREIGN, /* somebody else has changed it since: left as it is */
	PROWL_RATE_GONE,    /* the target exited, or executes another program */
	PROWL_RATE_STUCK,   /* could not be written back */
};

struct prowl_rate_change {
	uint64_t addr;
	uint64_t before, set; /* as stored: of the block rate in ticks of the CPU */
	enum prowl_rate_state state;
};

struct prowl_rates_report { /* of all; zero-initialised: nothing was done */
	struct prowl_rate_change change[PROWL_RATES];
};

struct prowl_rates;

/* "heap-rate", "block-rate", "mutex-rate" */
const char *prowl_rate_name(enum prowl_rate which);
/* "runtime.MemProfileRate", ... */
const char *prowl_rate_variable(enum prowl_rate which);
/* The largest value of a wish. */
uint64_t prowl_rate_max(enum prowl_rate which);

/*
 * Sets all that is wished for, or nothing. After max_ns (0: no limit) the guardian puts them back
 * even if we are still there, stopped or stuck. Errors: PROWL_UNSUPPORTED when it isn't known for
 * certain where a rate is, or what is there can't be one; PROWL_PERMISSION; PROWL_NOTHING: the
 * process is gone; PROWL_USAGE: of a core file, or a value out of range; PROWL_FAILED: another
 * prowl is at it.
 */
enum prowl_code prowl_rates_set(const struct prowl_runtime *rt, const struct prowl_rates_wish *wish,
				uint64_t max_ns, struct prowl_rates **ret, struct prowl_err *err);

/* What was done to each; valid until the object is freed. */
const struct prowl_rates_report *prowl_rates_report(const struct prowl_rates *r);
/* Of the guardian, 0 once it has ended. */
int prowl_rates_guardian(const struct prowl_rates *r);

/*
 * To be called now and then while they are set: when the guardian was killed, another one is
 * started. PROWL_FAILED when that fails: the rates are back then. *ret_anew: one was started.
 */
enum prowl_code prowl_rates_tend(struct prowl_rates *r, bool *ret_anew, struct prowl_err *err);

/*
 * Puts them back, waits for that and brings the states up to date; once more is no error. False
 * when one is STUCK.
 */
bool prowl_rates_restore(struct prowl_rates *r);
/* Restores what is still set. NULL is allowed. */
void prowl_rates_free(struct prowl_rates *r);

/* --- rates that somebody has left behind --- */

struct prowl_rate_now {
	bool known;     /* where it is, for certain */
	uint64_t value; /* in Go's units, as of a wish; of the block rate to some 1e-3 */
	uint64_t start; /* what it is when the program starts */
};

/* What they are. Reads only. */
enum prowl_code prowl_rates_look(const struct prowl_runtime *rt,
				 struct prowl_rate_now now[PROWL_RATES], struct prowl_err *err);

/*
 * Sets all that is wished for, 0 included, and leaves it: nobody puts it back. Errors as of
 * prowl_rates_set; report->change tells what was there before.
 */
enum prowl_code prowl_rates_put(const struct prowl_runtime *rt, const struct prowl_rates_wish *wish,
				struct prowl_rates_report *report, struct prowl_err *err);

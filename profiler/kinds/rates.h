/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets the rates at which a live Go runtime samples its heap, block and mutex profiles, and
 * restores them. The only place where prowl writes to a target, and only on request.
 *
 * Before anything is written, a guardian process is started: small, in a session of its own,
 * ignoring signals, with no descriptors but a socket to us and the target's memory. When the socket
 * closes, because we are done or killed (kill -9 too), or when its time is up, it restores every
 * word that still has our value. Words changed by others meanwhile are left alone. The descriptor
 * of /proc/PID/mem belongs to one program image, not to a process id: after exit or exec of the
 * target it leads nowhere, so no other process can be hit.
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

enum { /* frequent enough to see something, cheap enough to leave on */
       PROWL_RATE_HEAP_DEFAULT = 512 * 1024, /* bytes: Go's own */
       PROWL_RATE_BLOCK_DEFAULT =
	       1000000,                /* ns blocked: every longer wait, a share of shorter ones */
       PROWL_RATE_MUTEX_DEFAULT = 100, /* one in so many contentions */
};

/* In Go's units of runtime.MemProfileRate, SetBlockProfileRate and SetMutexProfileFraction. */
struct prowl_rates_wish { /* zero-initialised: none */
	bool set[PROWL_RATES];
	uint64_t value[PROWL_RATES];
};

enum prowl_rate_state {
	PROWL_RATE_UNTOUCHED, /* not requested, or it had the value already */
	PROWL_RATE_SET,
	PROWL_RATE_RESTORED,
	PROWL_RATE_FOREIGN, /* changed by others since: left as it is */
	PROWL_RATE_GONE,    /* the target exited, or executes another program */
	PROWL_RATE_STUCK,   /* could not be written back */
};

struct prowl_rate_change {
	uint64_t addr;
	uint64_t before, set; /* as stored: the block rate in CPU ticks */
	enum prowl_rate_state state;
};

struct prowl_rates_report { /* of all rates; zero-initialised: nothing was changed */
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
 * Sets all requested rates, or none. After max_ns (0: no limit) the guardian restores them even if
 * we still exist, stopped or stuck. PROWL_UNSUPPORTED: the place of a rate is not known for
 * certain, or its content can't be a rate; PROWL_PERMISSION; PROWL_NOTHING: the process is gone;
 * PROWL_USAGE: a core file, or a value out of range; PROWL_FAILED: another prowl has set rates in
 * the process.
 */
enum prowl_code prowl_rates_set(const struct prowl_runtime *rt, const struct prowl_rates_wish *wish,
				uint64_t max_ns, struct prowl_rates **ret, struct prowl_err *err);

/* What was changed; valid until the object is freed. */
const struct prowl_rates_report *prowl_rates_report(const struct prowl_rates *r);
/* The pid of the guardian, 0 once it has ended. */
int prowl_rates_guardian(const struct prowl_rates *r);

/*
 * Call it now and then while rates are set: starts another guardian if it was killed (*ret_anew).
 * PROWL_FAILED when that fails: the rates were restored.
 */
enum prowl_code prowl_rates_tend(struct prowl_rates *r, bool *ret_anew, struct prowl_err *err);

/*
 * Restores the rates, waits for that and updates the states; may be called again. False when one is
 * STUCK.
 */
bool prowl_rates_restore(struct prowl_rates *r);
/* Restores rates that are still set. NULL is allowed. */
void prowl_rates_free(struct prowl_rates *r);

/* --- rates that an earlier run left behind --- */

struct prowl_rate_now {
	bool known;     /* its place is known for certain */
	uint64_t value; /* in Go's units, as in a wish; the block rate to some 1e-3 */
	uint64_t start; /* its value when the program starts */
};

/* The present rates. Only reads. */
enum prowl_code prowl_rates_look(const struct prowl_runtime *rt,
				 struct prowl_rate_now now[PROWL_RATES], struct prowl_err *err);

/*
 * Sets all requested rates, 0 included, for good. Errors as of prowl_rates_set; report->change has
 * the values before.
 */
enum prowl_code prowl_rates_put(const struct prowl_runtime *rt, const struct prowl_rates_wish *wish,
				struct prowl_rates_report *report, struct prowl_err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profiles that a Go runtime records by itself, read from outside: heap, allocs, block, mutex,
 * threadcreate. The result has what the process' own /debug/pprof endpoint would have given at the
 * same instant: sample types, values and their scaling, stacks. Block and mutex stacks of go1.23
 * and later that are deeper than GODEBUG profstackdepth (128) end a few frames further out than
 * Go's own, since all that was recorded is shown.
 *
 *	prowl_recorded_open    a process, or a core file
 *	prowl_recorded_start   only for the difference over a window: what there is at its start
 *	prowl_recorded_build   what there is now, or what came since the start: a profile
 *
 * A process may have several Go runtimes: the profile has the records of all, each with the label
 * "runtime".
 *
 * Only reads, but for prowl_recorded_set_rates; nothing is stopped. Belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "rates.h"
#include "who.h"

struct pprof_profile;
struct prowl_recorded;

enum prowl_recorded_kind {
	PROWL_HEAP,
	PROWL_ALLOCS,
	PROWL_BLOCK,
	PROWL_MUTEX,
	PROWL_THREADCREATE,
};

struct prowl_recorded_result {
	struct prowl_target target;
	size_t records; /* buckets, or threads */
	size_t samples; /* in the profile */
	uint64_t rate;  /* bytes; ticks of the CPU; fraction; 0: off */
	bool unscaled;  /* rate is 0, and values are of the sampled events only */
	uint32_t retries, reread, torn;
	bool unsettled;            /* collections came faster than the list could be read */
	bool no_gc;                /* heap: there was none yet */
	uint64_t outside, unknown; /* stack words that no mapping holds; without a name */
	bool ticks_measured;       /* the unit of time is this machine's, measured */
};

/* "heap". */
const char *prowl_recorded_name(enum prowl_recorded_kind kind);

/* Codes as of prowl_runtime_open. */
enum prowl_code prowl_recorded_open(enum prowl_recorded_kind kind, const struct prowl_who *who,
				    struct prowl_recorded **ret, struct prowl_err *err);
void prowl_recorded_free(struct prowl_recorded *r);

/*
 * Before start: sets rates in the process (rates.h), which build puts back as soon as it has read
 * the records; so does free.
 */
/* In a process with several Go runtimes: of the first one. */
enum prowl_code prowl_recorded_set_rates(struct prowl_recorded *r,
					 const struct prowl_rates_wish *wish, uint64_t max_ns,
					 struct prowl_err *err);
/* While they are set, now and then: see prowl_rates_tend. */
enum prowl_code prowl_recorded_tend(struct prowl_recorded *r, bool *ret_anew,
				    struct prowl_err *err);
/* What was done to them; NULL: nothing was set. */
const struct prowl_rates_report *prowl_recorded_rates(const struct prowl_recorded *r);

enum prowl_code prowl_recorded_start(struct prowl_recorded *r, struct prowl_err *err);
/*
 * PROWL_NOTHING: the runtime keeps no such record, with the reason and the ways out; there is no
 * sample; or the process has ended or executes another program. PROWL_UNSUPPORTED: its variables
 * were not found. The caller frees with pprof_profile_free.
 */
enum prowl_code prowl_recorded_build(struct prowl_recorded *r, struct pprof_profile **ret,
				     struct prowl_err *err);
/* What is known; complete after build. */
const struct prowl_recorded_result *prowl_recorded_result(const struct prowl_recorded *r);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profiles that a Go runtime records by itself, read from outside: heap, allocs, block, mutex,
 * threadcreate. The result has what the process' own /debug/pprof endpoint would have given at the
 * same instant: sample types, values and their scaling, stacks. Block and mutex stacks of go1.23
 * and later that are deeper than GODEBUG profstackdepth (128) end a few frames further out than
 * Go's own, since all that was recorded is shown.
 *
 *	prowl_rtprofile_open    a process, or a core file
 *	prowl_rtprofile_start   only for the difference over a window: what there is at its start
 *	prowl_rtprofile_build   what there is now, or what came since the start: a profile
 *
 * A process may have several Go runtimes: the profile has the records of all, each with the label
 * "runtime".
 *
 * Only reads, but for prowl_rtprofile_set_rates; nothing is stopped. Belongs to one thread.
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
struct prowl_rtprofile;

enum prowl_rtprofile_kind {
	PROWL_HEAP,
	PROWL_ALLOCS,
	PROWL_BLOCK,
	PROWL_MUTEX,
	PROWL_THREADCREATE,
};

struct prowl_rtprofile_result {
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
const char *prowl_rtprofile_name(enum prowl_rtprofile_kind kind);

/* Codes as of prowl_runtime_open. */
enum prowl_code prowl_rtprofile_open(enum prowl_rtprofile_kind kind, const struct prowl_who *who,
				     struct prowl_rtprofile **ret, struct prowl_err *err);
void prowl_rtprofile_free(struct prowl_rtprofile *r);

/*
 * Before start: sets rates in the process (rates.h), which build puts back as soon as it has read
 * the records; so does free.
 */
/* In a process with several Go runtimes: of the first one. */
enum prowl_code prowl_rtprofile_set_rates(struct prowl_rtprofile *r,
					  const struct prowl_rates_wish *wish, uint64_t max_ns,
					  struct prowl_err *err);
/*
 * Waits for ns, or until wake_fd (0: none) is readable, while rates are set or not. on_guardian is
 * called when their guardian was killed and another one was started (prowl_rates_tend).
 */
enum prowl_code prowl_rtprofile_wait(struct prowl_rtprofile *r, uint64_t ns, int wake_fd,
				     void (*on_guardian)(void *ctx), void *ctx,
				     struct prowl_err *err);
/* What was done to them; NULL: nothing was set. */
const struct prowl_rates_report *prowl_rtprofile_rates(const struct prowl_rtprofile *r);

enum prowl_code prowl_rtprofile_start(struct prowl_rtprofile *r, struct prowl_err *err);
/*
 * PROWL_NOTHING: the runtime keeps no such record, with the reason and the ways out; there is no
 * sample; or the process has ended or executes another program. PROWL_UNSUPPORTED: its variables
 * were not found. The caller frees with pprof_profile_free.
 */
enum prowl_code prowl_rtprofile_build(struct prowl_rtprofile *r, struct pprof_profile **ret,
				      struct prowl_err *err);
/* What is known; complete after build. */
const struct prowl_rtprofile_result *prowl_rtprofile_result(const struct prowl_rtprofile *r);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles that a Go runtime keeps by itself, read from outside: heap, allocs, block, mutex,
 * threadcreate. The result has what the process' own /debug/pprof endpoint would have returned at
 * the same instant: sample types, values and their scaling, stacks. Block and mutex stacks of
 * go1.23 and later that are deeper than GODEBUG profstackdepth (128) end a few frames further out
 * than Go's own: all recorded frames are shown.
 *
 *	prowl_rtprofile_open   opens a process or a core file
 *	prowl_rtprofile_start  for a difference over a window only: takes the first snapshot
 *	prowl_rtprofile_build  makes the profile of the present records, or of their change
 *
 * A process may have several Go runtimes: the profile has the records of all, each with the label
 * "runtime".
 *
 * Only reads, except prowl_rtprofile_set_rates; nothing is stopped. Belongs to one thread.
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
	bool unscaled;  /* rate is 0: values count sampled events only */
	uint32_t retries, reread, torn;
	bool unsettled;            /* collections came faster than the list could be read */
	bool no_gc;                /* heap: no collection yet */
	uint64_t outside, unknown; /* stack words outside of every mapping; without a name */
	bool ticks_measured;       /* the length of a tick was measured on this machine */
};

/* "heap". */
const char *prowl_rtprofile_name(enum prowl_rtprofile_kind kind);

/* Codes as of prowl_runtime_open. */
enum prowl_code prowl_rtprofile_open(enum prowl_rtprofile_kind kind, const struct prowl_who *who,
				     struct prowl_rtprofile **ret, struct prowl_err *err);
void prowl_rtprofile_free(struct prowl_rtprofile *r);

/*
 * Before start: sets rates in the process (rates.h), of its first runtime. build restores them as
 * soon as it has read the records; so does free.
 */
enum prowl_code prowl_rtprofile_set_rates(struct prowl_rtprofile *r,
					  const struct prowl_rates_wish *wish, uint64_t max_ns,
					  struct prowl_err *err);
/*
 * Waits for ns, or until wake_fd (0: none) is readable. on_guardian is called when the guardian of
 * the rates was killed and another one was started (prowl_rates_tend).
 */
enum prowl_code prowl_rtprofile_wait(struct prowl_rtprofile *r, uint64_t ns, int wake_fd,
				     void (*on_guardian)(void *ctx), void *ctx,
				     struct prowl_err *err);
/* What was changed; NULL: nothing was set. */
const struct prowl_rates_report *prowl_rtprofile_rates(const struct prowl_rtprofile *r);

enum prowl_code prowl_rtprofile_start(struct prowl_rtprofile *r, struct prowl_err *err);
/*
 * PROWL_NOTHING: the runtime keeps no such records (the sentence says why, the hint how to change
 * that), there are no samples, or the process has ended or executes another program.
 * PROWL_UNSUPPORTED: the variables of the runtime were not found. The caller frees with
 * pprof_profile_free.
 */
enum prowl_code prowl_rtprofile_build(struct prowl_rtprofile *r, struct pprof_profile **ret,
				      struct prowl_err *err);
/* Valid as long as r; complete after build. */
const struct prowl_rtprofile_result *prowl_rtprofile_result(const struct prowl_rtprofile *r);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The history of prowl top: the tables of the last windows, one table of all windows, and the
 * profile of all windows for writing it to a file.
 *
 * Memory is bounded: a profile with more than TOP_HISTORY_STACKS different stacks (some 150 bytes
 * each) loses its oldest eighth. The tables grow with the number of functions.
 *
 * One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pprof.h"
#include "pprof_report.h"

enum {
	TOP_HISTORY_STACKS = 200000,
	TOP_HISTORY_PART = TOP_HISTORY_STACKS / 8,
};

struct top_counts { /* of one window, or of several, added up */
	uint64_t span_ns, cpu_ns;
	uint64_t samples, lost;
	uint64_t truncated; /* stacks that did not end at their root */
	uint64_t unknown;   /* samples with a frame without a name */
};

struct top_history;

/*
 * recent_ns: the time of the last windows together, at least one. keep_profile false: the profile
 * is not needed. -ENOMEM.
 */
int top_history_new(uint64_t recent_ns, bool keep_profile, struct top_history **ret);
void top_history_free(struct top_history *h);

/* Takes the profile of a window, whatever it returns. -ENOMEM, or as pprof_merge. */
int top_history_add(struct top_history *h, struct pprof_profile *window,
		    const struct top_counts *counts);

/* Tables for the caller to free, and their counts. */
int top_history_recent(const struct top_history *h, struct pprof_functions **ret,
		       struct top_counts *counts);
int top_history_all(const struct top_history *h, struct pprof_functions **ret,
		    struct top_counts *counts);

/* The profile of all windows that are still there, for the caller to free. -ENODATA: none yet. */
int top_history_profile(const struct top_history *h, struct pprof_profile **ret);
/* Whether the beginning was dropped. */
bool top_history_cut(const struct top_history *h);

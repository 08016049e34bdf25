/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The samples of a profile by thread, each thread's in the order of time.
 *
 * Tracks are distinguished by labels: a process (PPROF_LABEL_PID), a thread of it
 * (PPROF_LABEL_THREAD_ID), or all samples where there are no such labels. In a track, samples with
 * a time (PPROF_LABEL_TIME) come first, by time; the others follow, by stack, so that equal stacks
 * are neighbours.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frames.h"
#include "pprof.h"

#define TRACKS_NO_TIME INT64_MAX

struct track {
	struct track_id { /* strings and numbers of labels; 0 where there is none */
		uint32_t pid_text, tid_text, comm, name;
		int64_t pid, tid;
	} id;
	size_t first, n; /* in items */
	uint64_t weight; /* of the type that tracks are sorted by, without signs */
};

struct track_item {
	uint32_t sample, track;
	int64_t time; /* when it ended, Unix ns; TRACKS_NO_TIME */
	bool repeats; /* no time, same stack as the item before */
};

struct tracks {
	const struct frames *f;
	size_t n, cap;
	struct track *track; /* the heaviest first */
	struct track_item *items;
};

/* `type` is what tracks are sorted by. -ENOMEM. */
int pp_tracks_init(struct tracks *l, const struct frames *f, size_t type);
void pp_tracks_fini(struct tracks *l);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moments in a session: whose samples have them, what a walk gets of them, how many there were.
 * One thread.
 */
#pragma once

#include "bpf.h"
#include "event.h"
#include "procs.h"
#include "walk.h"

struct prowl_moments {
	struct prowl_bpf *bpf; /* NULL: none */
	const char *why_not;   /* in words, where bpf is NULL */
	uint64_t samples;      /* with one */
	uint64_t lost;         /* those that found no room in a ring, as far as known */
};

/* Loads the program unless `off` or PROWL_NO_BPF says not to. That it can't be is no error. */
void prowl_moments_open(struct prowl_moments *m, bool off, bool labels);
void prowl_moments_close(struct prowl_moments *m);

/* Takes note of a process' present image. Cheap: for each sample. */
void prowl_moments_follow(struct prowl_moments *m, struct prowl_proc *p);
/* It has exited, with all of its threads: its number may be another process' soon. */
void prowl_moments_gone(struct prowl_moments *m, struct prowl_proc *p);

/* What the sample's moment adds to it, and counts. */
void prowl_moments_of(struct prowl_moments *m, struct prowl_proc *p, const struct prowl_event *ev,
		      struct uw_sample *us);

/* Of so many lost records, those that were samples. */
uint64_t prowl_moments_lost_samples(struct prowl_moments *m, uint64_t lost);

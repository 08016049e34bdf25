/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where goroutines spend their time, waiting or running. All of them, or a random part if there are
 * many, are read some times a second ("looks"); each look represents the time since the previous
 * one. Stacks of running goroutines come from CPU samples taken meanwhile.
 *
 * The profile has a value in nanoseconds for each class of state, and their sum ("wall"). Nothing
 * is stopped or written. Own CPU time stays within a budget: when reading all of them costs too
 * much, fewer are read, and each has more weight.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "err.h"
#include "who.h"

struct pprof_profile;
struct prowl_wall;

struct prowl_wall_options {
	unsigned int rate;   /* looks a second; 0: 10 */
	double max_overhead; /* own CPU time while looking, as a fraction of one CPU; 0: 0.01 */
	/* CLOCK_MONOTONIC, and CPU time of the process and the thread; NULL: the real ones. */
	uint64_t (*clock)(clockid_t id);
	int wake_fd; /* an eventfd of the caller's for prowl_wall_wake_fd; 0: none */
};

struct prowl_wall_result {
	struct prowl_target target;
	uint64_t duration_ns;
	uint64_t looks, skipped; /* skipped: for the budget */
	uint64_t goroutines;     /* of the program, on average; an estimate where part < 1 */
	uint64_t seen;           /* goroutines read, the runtime's too, summed over all looks */
	uint64_t unread;         /* of which were not read as a whole */
	double part;             /* fraction of the goroutines that a look read, on average */
	uint64_t cpu_ns;         /* own, while looking */
	uint64_t wall_ns;        /* in the profile */
	uint64_t cpu_samples;    /* for the stacks of running goroutines */
	bool cpu_failed;         /* no permission for them */
};

enum prowl_code prowl_wall_open(pid_t pid, const struct prowl_wall_options *o,
				struct prowl_wall **ret, struct prowl_err *err);
void prowl_wall_free(struct prowl_wall *w);
/* Readable when something was written to it: ends prowl_wall_run. Write 8 bytes (eventfd). */
int prowl_wall_wake_fd(const struct prowl_wall *w);
enum prowl_code prowl_wall_run(struct prowl_wall *w, uint64_t duration_ns, struct prowl_err *err);
/* Once. The caller frees it with pprof_profile_free. */
enum prowl_code prowl_wall_build(struct prowl_wall *w, struct pprof_profile **ret,
				 struct prowl_err *err);
const struct prowl_wall_result *prowl_wall_result(const struct prowl_wall *w);

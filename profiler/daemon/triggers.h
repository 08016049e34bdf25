/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When triggers fire: figures of processes over time in, decisions out. Knows no files and no
 * clocks; one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config_triggers.h"
#include "roster.h"

struct trigger_figures { /* of a process at one time; negative: not known */
	double value[PROWL_TRIGGER_FIGURES];
	double limit; /* of its cgroup's memory, bytes */
};

struct triggers;

/*
 * The list is borrowed. max_per_hour: of a trigger, all processes together, so that a bad
 * deployment doesn't fill the disk. NULL: no memory.
 */
struct triggers *triggers_new(const struct prowl_trigger *list, size_t n,
			      unsigned int max_per_hour);
void triggers_free(struct triggers *t);

/*
 * What is known of a process at `now` (any clock, ns). Calls fire for each trigger whose conditions
 * hold for long enough, and which hasn't fired too often; `why` is what it saw, "memory 93 %".
 */
void triggers_look(struct triggers *t, struct roster_id id, uint64_t now,
		   const struct trigger_figures *f,
		   void (*fire)(void *ctx, const struct prowl_trigger *trigger, const char *why),
		   void *ctx);

/* Forgets processes that were not looked at since then. */
void triggers_forget(struct triggers *t, uint64_t before);

/*
 * When to look again at memory that grows towards a limit: a quarter of the time that is left, from
 * 20 ms to 1 s. Bytes, ns.
 */
uint64_t triggers_next(double before, double is, uint64_t elapsed, double limit);

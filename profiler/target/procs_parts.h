/* SPDX-License-Identifier: Apache-2.0 */
/* What procs*.c share. */
#pragma once

#include "clock.h"
#include "procs.h"

static inline uint64_t procs_now(const struct prowl_procs *t)
{
	return t->now ? t->now() : prowl_now();
}

/* Reads the CPU time of a process that still runs; `first` begins what is charged to it. */
void procs_clock_one(const struct prowl_procs *t, struct prowl_proc *p, bool first);
/* As it was at the reading before, or in the beginning. */
void procs_clock_back(struct prowl_proc *p);

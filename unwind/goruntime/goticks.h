/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unit in which a Go runtime measures how long goroutines waited: ticks of the CPU's clock, and
 * how many of them are a second.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch.h"
#include "goglobals.h"
#include "golayout.h"
#include "mem.h"

enum uw_goticks_source {
	UW_TICKS_NANOSECONDS, /* the architecture's runtime counts in nanoseconds */
	UW_TICKS_RUNTIME,     /* as the runtime itself has computed it */
	UW_TICKS_START,       /* from the two clocks at its start, which the runtime would use */
	UW_TICKS_MEASURED,    /* of this machine's clock, just now: takes 50 ms */
};

/*
 * `machine` is that of the ELF file; `same_boot`: the target runs here and now, so that its clocks
 * are ours. -ENOTSUP on a machine that has no such clock.
 */
int uw_goticks_per_second(const struct uw_golayout *layout, const struct uw_goglobals *globals,
			  const struct uw_mem *mem, uint16_t machine, bool same_boot, double *ret,
			  enum uw_goticks_source *ret_source);

/* Ticks a second of this machine, measured for 50 ms, to some 1e-4; 1e9 where they are ns. */
double uw_goticks_measure(const struct uw_arch *arch);

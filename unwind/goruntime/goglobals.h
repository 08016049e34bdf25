/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the Go runtime of one process keeps what its profiles and figures are made of: addresses of
 * its global variables, found by symbol where the file has them, else by the code that uses them,
 * else by their values in memory.
 *
 * Every address is checked: aligned, inside the data or bss of Go's module. What can't be located
 * with certainty is MISSING; no guess is made. One thread, as the space.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "space.h"

enum uw_goglobal {
	UW_GLOBAL_ALLGS,    /* []*g */
	UW_GLOBAL_ALLGLEN,  /* uintptr: allgs' length, read before its pointer */
	UW_GLOBAL_ALLGPTR,  /* **g: allgs' pointer */
	UW_GLOBAL_MBUCKETS, /* *bucket: heads of the lists of profile buckets, linked by allnext */
	UW_GLOBAL_XBUCKETS, /* mutex */
	UW_GLOBAL_BBUCKETS, /* block */
	UW_GLOBAL_MPROF_CYCLE,        /* u32, see golayout.h, prof_cycle_struct */
	UW_GLOBAL_MEM_PROFILE_RATE,   /* int */
	UW_GLOBAL_BLOCK_PROFILE_RATE, /* u64, in ticks of the CPU */
	UW_GLOBAL_MUTEX_PROFILE_RATE, /* u64 */
	UW_GLOBAL_ALLM,               /* *m, linked by alllink */
	UW_GLOBAL_SCHED,              /* schedt */
	UW_GLOBAL_ALLP,               /* []*p */
	UW_GLOBAL_GOMAXPROCS,         /* i32 */
	UW_GLOBAL_MEMSTATS,           /* mstats */
	UW_GLOBAL_GC_CONTROLLER,      /* gcControllerState; missing in go1.16 */
	UW_GLOBAL_TICKS,              /* see golayout.h, ticks */
	UW_GLOBAL_COUNT,
};

enum uw_goglobal_source {
	UW_GLOBAL_MISSING,
	UW_GLOBAL_BY_SYMBOL,
	UW_GLOBAL_BY_CODE,
	UW_GLOBAL_BY_VALUE, /* seen in memory: for lists that are not empty */
};

struct uw_goglobals {
	struct {
		uint64_t addr; /* in the target; 0: missing */
		enum uw_goglobal_source source;
	} var[UW_GLOBAL_COUNT];
	uint64_t data_lo, data_hi; /* all of the module's data and bss, in the target */
};

/*
 * Without symbols TICKS is found only in programs that read their block or mutex profile, and in
 * programs that were not compiled as usual (-gcflags=-l) ALLGLEN, ALLGPTR, XBUCKETS, BBUCKETS,
 * MPROF_CYCLE and MEM_PROFILE_RATE may be missing.
 *
 * Looks for all of them in the image's Go module. -ENOENT: the image has no Go. That single
 * variables are missing is no error. Values are looked for in memory only where lists are still
 * missing after the code was asked (`by_value`), since that reads all of the data.
 */
int uw_goglobals_find(struct uw_space *space, bool by_value, struct uw_goglobals *ret);

/* The runtime's own name, "runtime.allgs". */
const char *uw_goglobal_name(enum uw_goglobal which);
/* "symbol", "code", "value" or "missing". */
const char *uw_goglobal_source_name(enum uw_goglobal_source source);

static inline uint64_t uw_goglobal(const struct uw_goglobals *g, enum uw_goglobal which)
{
	return g->var[which].addr;
}

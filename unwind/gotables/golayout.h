/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between Go versions, as data: one row a release line, chosen once when a binary is
 * opened. Everything else reads offsets from the row and knows no versions.
 *
 * Offsets are in bytes and the same on amd64 and arm64 (the generator checks that). UW_GO_NONE
 * marks a field that the version does not have. The rows in golayout_table.c are written by
 * tests/golayout/golayout.go from the DWARF of programs built with each toolchain.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	UW_GO_NONE = 0xffff,

	/* First word of pclntab, cmd/link/internal/ld/pcln.go. */
	UW_GO_MAGIC_12 = 0xfffffffb, /* 1.2 to 1.15: too old for us */

	/* Of all versions: runtime/symtab.go and internal/abi/symtab.go. */
	UW_GO_PCDATA_INLTREE = 2,
	UW_GO_FUNCDATA_INLTREE = 3,

	/* runtime.findfuncbucket: u32 index, then a u8 to add for each 256 of 4,096 bytes. */
	UW_GO_FIND_SPAN = 4096,
	UW_GO_FIND_STEP = 256,
	UW_GO_FIND_BYTES = 20,
};

struct uw_golayout {
	uint8_t minor, patch; /* the first release that the row is for: go1.minor.patch */
	uint32_t magic;

	/* Width of the pcs in functab and _func and of funcdata: 8 are addresses, 4 are offsets
	 * from moduledata.text (pcs) and moduledata.gofunc (funcdata). */
	uint8_t pc_size;

	uint8_t id_systemstack, id_wrapper; /* numbers in _func.funcID */

	/* runtime/pprof.labelMap: true is a slice in g.labels' target, false a pointer to a map. */
	bool labels_slice;

	/* Frame pointers on amd64: a prologue stores BP after it has made the frame, not before
	 * (up to go1.20); a chain lacks the caller of assembly that has no frame of its own, such
	 * as systemstack (up to go1.20). */
	bool fp_saved_late, fp_skips_frameless;

	struct { /* runtime.pcHeader */
		uint16_t nfunc, funcname, cu, filetab, pctab, pcln;
	} header;

	struct { /* runtime._func; npcdata words of u32 follow nfuncdata, which is the last byte */
		uint16_t name, pcsp, pcfile, pcln, npcdata, cu, start_line, id, flag, nfuncdata;
	} func;

	struct { /* runtime.inlinedCall; parent is NONE where the tree is walked by parent_pc */
		uint16_t size, parent, id, file, line, name, parent_pc, start_line;
	} inl;

	struct { /* runtime.moduledata */
		uint16_t size;
		uint16_t funcnametab, cutab, filetab, pctab, pclntable, ftab; /* slices */
		uint16_t minpc, maxpc, text, etext;
		uint16_t noptrdata, enoptrdata, data, edata, bss, ebss, noptrbss, enoptrbss, end;
		uint16_t types, etypes, rodata, gofunc;
		uint16_t textsectmap; /* slice */
		uint16_t modulename;  /* string */
		uint16_t hasmain, bad, next;
	} module;

	struct { /* runtime.g */
		uint16_t size;
		uint16_t stack; /* lo; hi is 8 further */
		uint16_t panic, defer, m, sched, syscallsp, syscallpc, syscallbp;
		uint16_t atomicstatus, goid, schedlink, waitsince, waitreason, lockedm;
		uint16_t parent_goid, gopc, ancestors, startpc, waiting, labels;
		uint16_t running_cleanups, bubble;
		uint16_t tracking_seq; /* uint8, counts how often it stopped running */
	} g;

	struct { /* runtime.gobuf, which lies at g.sched */
		uint16_t sp, pc, g, lr, bp;
	} gobuf;

	struct { /* runtime.m */
		uint16_t size;
		uint16_t g0, morebuf, procid, gsignal, tls, curg, p, id, incgo, ncgo;
		uint16_t alllink, lockedg, createstack, freelink, vdso_sp, vdso_pc;
	} m;

	struct { /* runtime.p; p.runq holds 256 words */
		uint16_t status, schedtick, m, runqhead, runqtail, runq, runnext;
	} p;

	struct { /* runtime.sudog */
		uint16_t g, elem, is_select, waitlink, c;
	} sudog;

	struct { /* runtime.schedt; runqsize is the length of the global run queue */
		uint16_t goidgen, nmidle, nmidlelocked, maxmcount, nmsys, ngsys, npidle, nmspinning;
		uint16_t runqsize, gcwaiting;
	} sched;

	struct { /* runtime.mstats; pause_ns and pause_end are rings of 256, last at numgc + 255 */
		uint16_t buckhash_sys, numgc, numforcedgc, gc_cpu_fraction, last_gc_unix;
		uint16_t pause_total_ns, pause_ns, pause_end;
		uint16_t heap_live; /* go1.16 only: from go1.17 on it is gc.heap_live */
	} memstats;

	struct { /* runtime.gcControllerState; NONE where the version hasn't the field */
		uint16_t gc_percent, memory_limit, heap_live, heap_marked, heap_goal;
		uint16_t gc_percent_heap_goal, heap_in_use, heap_released, heap_free;
		uint16_t total_alloc, total_free, mapped_ready;
	} gc;

	struct { /* of runtime.ticks: int64 each */
		uint16_t val, start_ticks, start_time;
	} ticks;

	/* A memRecordCycle is {allocs, frees} of 8 bytes each, up to go1.26 followed by
	 * {alloc_bytes, free_bytes}; a memRecord is `active` and three `future` ones. */
	bool mem_has_bytes;
	bool block_count_float;    /* blockRecord.count is a float64, not an int64 */
	bool mutex_scaled_on_read; /* contentions are stored unscaled (up to go1.19) */
	bool prof_cycle_struct;    /* mProf{cycle u32, flushed bool}, not mProfHolder (to go1.18) */
	uint16_t stack_depth;      /* of recorded stacks by default: 32, from go1.23 on 128 */

	/* runtime.waitReasonStrings; NULL past the last one. */
	const char *const *wait_reasons;
	uint8_t wait_reasons_count;
};

extern const struct uw_golayout uw_golayouts[]; /* ascending by version */
extern const size_t uw_golayouts_count;

/* The row for go1.minor.patch; the newest for newer ones; NULL for older than the oldest. */
const struct uw_golayout *uw_golayout_for(int minor, int patch);
/* The newest row with that pclntab magic, or NULL: what is left when a binary hides its version. */
const struct uw_golayout *uw_golayout_magic(uint32_t magic);
/* True when no row was made for this minor version. */
bool uw_golayout_guessed(int minor);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks C frames by their call frame information (.eh_frame), with libunwind's remote unwinder over
 * our own readers: registers of a sample, memory through a struct uw_mem, tables from the mapped
 * files. Nothing of the target is stopped or written.
 *
 * One object per address space, used by one thread at a time (libunwind's per-address-space cache).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf.h"
#include "mem.h"
#include "regs.h"

struct uw_cfi;

/* What the walker asks of its owner. */
struct uw_cfi_ops {
	/* The file that is mapped at pc and its load bias; false when nothing executable is there.
	 */
	bool (*find)(void *ctx, uint64_t pc, const struct uw_elf **elf, uint64_t *bias);
	/* True where the C walk ends and another rule takes over: pc is in Go text. */
	bool (*stop)(void *ctx, uint64_t pc);
	void *ctx;
};

enum uw_cfi_end {
	UW_CFI_STOPPED,  /* ops.stop said so: regs are those of the frame at that pc */
	UW_CFI_ROOT,     /* the outermost C frame: a thread's or process's start */
	UW_CFI_NO_TABLE, /* no unwind information for the last pc */
	UW_CFI_NO_MEM,   /* a needed word could not be read (the stack copy was too short) */
	UW_CFI_LIMIT,    /* max frames */
	UW_CFI_BAD,      /* the walk did not advance, or libunwind gave up */
};

/* ops is copied. -ENOTSUP: not for this processor; -ENOMEM. */
int uw_cfi_new(const struct uw_cfi_ops *ops, struct uw_cfi **ret);
void uw_cfi_free(struct uw_cfi *c);
/*
 * Forgets what was cached: the target's mappings changed. Until then the files that ops.find named
 * must stay open.
 */
void uw_cfi_flush(struct uw_cfi *c);

/*
 * Walks from regs. pcs[0] is regs->ip, the following ones return addresses, so that pc - 1 lies in
 * the call; a frame that a signal interrupted (below its trampoline) is given as its pc + 1 for the
 * same reason. The pc at which ops.stop said true is not among them; ops.stop is asked for callers
 * only, not for regs->ip. mem is asked for whatever is not in a read-only segment of a mapped file.
 *
 * On return regs are those of the last frame reached: for UW_CFI_STOPPED the frame in Go, for
 * UW_CFI_NO_TABLE the last one in pcs, for UW_CFI_LIMIT the one after it, each with ip, sp and the
 * callee-saved registers right; otherwise only ip and sp count.
 */
enum uw_cfi_end uw_cfi_walk(struct uw_cfi *c, struct uw_regs *regs, const struct uw_mem *mem,
			    uint64_t *pcs, size_t max, size_t *ret_n);

/* Start of the function that holds pc, by the table of its file; 0 when there is none. */
uint64_t uw_cfi_function(struct uw_cfi *c, uint64_t pc);

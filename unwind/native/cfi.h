/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks C frames by their call frame information (.eh_frame, .debug_frame): registers of a sample,
 * memory through a struct uw_mem, tables from the mapped files. Nothing of the target is stopped or
 * written.
 *
 * Code without a table (assembly, musl's libc, what a JIT has written) is stepped over by its frame
 * pointer, where the code confirms it: the word behind the frame pointer must be a return address,
 * and the call that it belongs to a call of this code. Where only the first is known, frames may be
 * missing between the two: that place is marked.
 *
 * One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch.h"
#include "eh_frame.h"
#include "mem.h"
#include "regs.h"

struct uw_cfi;

enum uw_cfi_call { UW_CFI_NO_CALL, UW_CFI_CALL_TO, UW_CFI_CALL_SOMEWHERE };

/* What the walker asks of its owner. */
struct uw_cfi_ops {
	/* The tables of the file that is mapped at pc, and its load bias; false when none is. */
	bool (*find)(void *ctx, uint64_t pc, struct uw_eh_frame **tables, uint64_t *bias);
	/* True where the C walk ends and another rule takes over: pc is in Go text. */
	bool (*stop)(void *ctx, uint64_t pc);
	/*
	 * Is ret the address behind a call instruction? *target is what a direct call calls. May be
	 * NULL: then no frame pointer is followed.
	 */
	enum uw_cfi_call (*call)(void *ctx, uint64_t ret, uint64_t *target);
	/* Where a symbol says that the function of pc begins; 0: none does. */
	uint64_t (*start)(void *ctx, uint64_t pc);
	void *ctx;
};

enum uw_cfi_end {
	UW_CFI_STOPPED,     /* ops.stop said so: regs are those of the frame at that pc */
	UW_CFI_INTERRUPTED, /* the same, but a signal interrupted it: it was not calling */
	UW_CFI_ROOT,        /* the outermost C frame: a thread's or process's start */
	UW_CFI_NO_TABLE, /* no unwind information for the last pc, and no frame pointer to trust */
	UW_CFI_NO_MEM,   /* a needed word could not be read (the stack copy was too short) */
	UW_CFI_LIMIT,    /* max frames */
	UW_CFI_BAD,      /* the walk did not advance, or a table is damaged or without end */
};

/* ops is copied. -ENOMEM. */
int uw_cfi_new(const struct uw_cfi_ops *ops, struct uw_cfi **ret);
void uw_cfi_free(struct uw_cfi *c);
/*
 * The mappings that the next walks are in, of a process of that machine. One number means one state
 * of one process for ever, as what was found for a pc is kept by it; the tables that ops.find named
 * must live as long.
 */
void uw_cfi_enter(struct uw_cfi *c, const struct uw_arch *arch, uint64_t version);

/*
 * Walks from regs. pcs[0] is regs->ip, the following ones return addresses, so that pc - 1 lies in
 * the call; a frame that a signal interrupted (below its trampoline) is given as its pc + 1 for the
 * same reason; 0 is a placeholder for frames that may be missing. The pc at which ops.stop said
 * true is not among them; ops.stop is asked for callers only, not for regs->ip.
 *
 * On return regs are those of the last frame reached: for UW_CFI_STOPPED and UW_CFI_INTERRUPTED the
 * frame in Go, for UW_CFI_NO_TABLE the last one in pcs, for UW_CFI_LIMIT the one after it, each
 * with ip, sp and the callee-saved registers right; otherwise only ip and sp count.
 */
enum uw_cfi_end uw_cfi_walk(struct uw_cfi *c, struct uw_regs *regs, const struct uw_mem *mem,
			    uint64_t *pcs, size_t max, size_t *ret_n);

/* Start of the function that holds pc, by the table of its file; 0 when there is none. */
uint64_t uw_cfi_function(struct uw_cfi *c, uint64_t pc);

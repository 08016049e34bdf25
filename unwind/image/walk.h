/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk: one sample's registers, stack copy and frame-pointer chain → the addresses of its user
 * frames, leaf first.
 *
 * Go's own traceback reads the whole stack; a sampler that stops no thread can't. It has what the
 * kernel takes at the instant of the sample: registers, the top of the stack, and the chain of
 * frame pointers. The chain is right except around the leaf (Go's leaf functions have no frame) and
 * where code switches stacks; both are repaired here by Go's own tables (pcsp). Words that only the
 * live process could give are read only where the result can be verified; else the walk ends and
 * says so.
 *
 * Addresses given are lookup addresses: the interrupted pc as it is, for callers an address inside
 * the call instruction (return address - 1).
 *
 * A walker belongs to one thread. It keeps caches keyed by pc; the version of the space shows when
 * they are stale.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "regs.h"
#include "space.h"

enum uw_end {                   /* why a walk ended */
	      UW_END_ROOT,      /* at a true root: goroutine entry, thread start, process start */
	      UW_END_SWITCH,    /* at a stack switch of the scheduler (mcall, gogo), where Go's own
				   ends too */
	      UW_END_TRUNCATED, /* more frames than the kernel or the caller takes */
	      UW_END_NO_MEM,    /* a needed word was not in the stack copy */
	      UW_END_UNKNOWN,   /* an address that no mapping or table explains */
	      UW_END_NO_REGS,   /* the kernel gave no user registers (a kernel thread, an exiting
				   task) */
	      UW_END_COUNT,
};

struct uw_piece { /* memory of the target as it was at the very time of the sample */
	uint64_t addr;
	const void *bytes;
	uint32_t len;
};

/*
 * All words of a walk are read through one reader: the copy of the stack, then the pieces, then,
 * where allowed, live memory. A walk of the copy and the pieces alone is exact; one that used live
 * words is believed only when every step is a call that the code has and it reaches a root.
 *
 * A walk that leaves the stack of the sample reads these (offsets: golayout.h); pieces of other
 * memory are of no use. A piece may hold more than that, pieces may overlap (the first that holds a
 * word whole is asked), and any may be missing.
 *
 *  g = the sample's R14, or what the thread's TLS held:  g.stack (lo, hi), g.m, g.sched
 *  m = g.m:          m.g0, m.morebuf (sp, pc, g), m.gsignal, m.curg
 *  curg = m.curg:    g.stack, g.m, g.sched (sp, pc, bp), g.syscallsp, g.syscallpc
 *  g0 = m.g0:        g.stack, g.m, g.sched (sp, bp)
 *  SP on g0's stack or in C (newstack, systemstack, mcall, asmcgocall ...): the bytes from
 *                    curg.sched.sp up to curg.stack.hi, some KiB of them
 *  SP on curg's stack with g0.sched.sp != g0's of a thread at rest (a callback from C): the bytes
 *                    from g0.sched.sp up, some KiB: crosscall2's frame, C's, asmcgocall's. The
 *                    goroutine's own frames are on the stack at SP: the copy has them.
 *  SP on a signal stack (m.gsignal's, or C's sigaltstack): nothing; the context that was
 *                    interrupted lies in the copy at SP.
 */
struct uw_sample {                  /* borrowed from the ring for the time of the call */
	const struct uw_regs *regs; /* NULL: none */
	const uint64_t *chain;      /* the kernel's user call chain, leaf first; may be empty */
	size_t nchain;
	bool chain_full;   /* the kernel stopped at its own depth limit */
	const void *stack; /* copy of the bytes at regs->sp */
	size_t stack_len;
	const struct uw_piece *pieces; /* what else was copied then; may be none */
	size_t npieces;
	uint64_t g; /* what the thread's TLS held as Go's g; 0: not known */
};

struct uw_walk_stats {          /* facts of all walks, for the counters in the profile */
	uint64_t lookups;       /* addresses that were looked up in the files' tables */
	uint64_t repaired;      /* the leaf's caller was missing in the chain and was inserted */
	uint64_t cfi;           /* walks that went through C frames by unwind information */
	uint64_t live_attempts; /* walks that asked live memory: drain soon after them */
	uint64_t live;          /* those that it completed, each step verified */
	uint64_t exact;         /* walks that pieces completed, without live memory */
	uint64_t given_up;      /* walks of both kinds that were not completed */
	uint64_t gaps;       /* places in C stacks where frames may be missing, shown as unknown */
	uint64_t off_stack;  /* chains that left the stack and were cut */
	uint64_t copy_short; /* walks not completed that a larger stack copy may have completed */
};

struct uw_walker;

int uw_walker_new(struct uw_walker **ret);
void uw_walker_free(struct uw_walker *w);
/*
 * Empties its caches and returns their memory: between two uses of a walker, and before files are
 * freed that it has walked through. The counters stay.
 */
void uw_walker_forget(struct uw_walker *w);

/*
 * How often the walks from now on may pause for some 50 us each, to look once more at live memory
 * that did not fit the sample. 0 at first. Set anew for each batch, so that a batch has an end.
 */
void uw_walker_patience(struct uw_walker *w, unsigned int pauses);

/* A walk from this address comes soon: has the memory ready that it will need first. */
void uw_walker_expect(struct uw_walker *w, uint64_t ip);

/* Walks one sample of `space`. Writes at most max (>= 8) addresses; returns their number. */
size_t uw_walk(struct uw_walker *w, struct uw_space *space, const struct uw_sample *sample,
	       uint64_t *pcs, size_t max, enum uw_end *ret_end);

const struct uw_walk_stats *uw_walker_stats(const struct uw_walker *w);

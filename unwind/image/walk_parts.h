/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk's insides, shared by walk.c (callers, chains, leaves in Go), walk_pc.c (addresses),
 * walk_native.c (C frames), walk_words.c (memory), walk_live.c (live memory and what it proves) and
 * walk_switch.c (other stacks).
 */
#pragma once

#include "golayout.h"
#include "walk.h"

enum {
	SET_BITS = 13,
	SET_WAYS = 3,
	PLAIN_BITS = 14,
	FUNC_BITS = 11,
	FUNC_SPAN = 256, /* bytes of text that share a slot */
	MAX_C_FRAMES = 256,
	MAX_FRAMES = 4096, /* steps of one walk, whatever its caller takes */
	LIVE_TRIES = 4,
	WALK_PAGE = 4096,
	WALK_WINDOW = 4 * WALK_PAGE,
};

/* runtime.morestack_noctxt: like UW_GO_MORESTACK, which it jumps to, but on its caller's stack. */
enum { WALK_MORESTACK_NOCTXT = 0x80 };

enum kind { K_EMPTY, K_GO, K_NATIVE, K_VDSO, K_ANON, K_UNMAPPED };

struct pc_info { /* what is known of one address; 20 bytes */
	uint32_t pc_lo, pc_hi;
	uint32_t version; /* of the space it was looked up in, its low half */
	int32_t delta;    /* Go: pcsp at pc itself; with has_frame */
	uint8_t kind;
	uint8_t special;
	uint8_t flags;
	bool has_call : 1;   /* after_call was looked up: see walk_is_after_call */
	bool after_call : 1; /* the bytes before pc + 1 are a call: pc + 1 can be a return address
			      */
	bool has_frame : 1;  /* delta and saves_bp were looked up: see walk_frame_info */
	bool saves_bp : 1;   /* the instruction at pc stores BP to the frame: it is not there yet */
};

struct pc_set { /* one cache line: what is known of the addresses of one hash */
	_Alignas(64) struct pc_info way[SET_WAYS];
	uint32_t next; /* way to give up */
};
_Static_assert(sizeof(struct pc_set) == 64, "a set is a cache line");

struct near_func {        /* the function last met in a piece of text; direct-mapped */
	uint64_t version; /* of its space; 0 is none's */
	uint64_t bias;    /* of its module */
	struct uw_go_func f;
};

struct uw_walker {
	struct pc_set cache[1 << SET_BITS];
	/*
	 * Callers to which no rule applies: Go text, after a call, neither special nor flagged. The
	 * low halves of their lookup addresses, of one space: nearly all frames of nearly all
	 * stacks are recognized by four bytes.
	 */
	uint32_t plain[1 << PLAIN_BITS];
	uint64_t plain_version;
	struct near_func funcs[1 << FUNC_BITS];
	unsigned int patience; /* pauses that are left */
	struct uw_walk_stats stats;
	struct uw_cfi *cfi;
	struct uw_space *space; /* of the walk under way */
	struct {                /* live memory that was read last: good for one walk */
		uint64_t addr;
		size_t len;
		uint8_t bytes[WALK_WINDOW];
	} window;
};

enum { LARGEST_COPY = 65536 }; /* of a stack, that a sample may bring along */

struct walk { /* one that is under way */
	struct uw_walker *w;
	const struct uw_sample *s;
	uint64_t *pcs;
	size_t n, max;
	size_t sure;    /* frames that were there before the first live word */
	bool lived;     /* a live word was used */
	bool pieced;    /* a piece was used */
	bool gap;       /* some frames between others could not be recovered */
	bool callback;  /* the frame pushed last is runtime.cgocallback */
	bool morestack; /* ... runtime.morestack */
	bool switched;  /* on to the stack of a goroutine that grows */
	bool beyond;    /* a word of the sample's stack was wanted that lies beyond the copy */
	bool exact;     /* the next caller was interrupted, not calling: its pc is meant as it is */
	/* For log.h, of the end: why, at which address, and which word was missing last. */
	const char *why;
	uint64_t why_at, missing;
};

struct go_frame {
	uint64_t pc, sp; /* pc as it is, not the lookup address */
	uint64_t bp;     /* what BP was, where that is known */
};

enum step { STEP_ON, STEP_DONE };

/* --- walk_pc.c ------------------------------------------------------------------- */

/* Valid until the next call. */
struct pc_info *walk_info(struct uw_walker *w, uint64_t pc);
/* The same with what only a leaf, or a walk by pcsp, asks for. */
const struct pc_info *walk_frame_info(struct uw_walker *w, uint64_t pc);
bool walk_is_after_call(struct uw_walker *w, struct pc_info *i);
bool walk_func_at(struct uw_walker *w, uint64_t pc, struct uw_go_func *ret);
/* The runtime of the frame that was pushed last; the chosen one where that is not Go. */
const struct uw_go *walk_runtime(const struct walk *k);

/* --- walk.c ---------------------------------------------------------------------- */

bool walk_push(struct walk *k, uint64_t pc);
/* Takes one caller, given as return address. STEP_DONE sets *end. */
enum step walk_take_caller(struct walk *k, uint64_t ret, enum uw_end *end);
/* The kernel's chain from there on. */
enum uw_end walk_follow_chain(struct walk *k, size_t from);
/* Frame pointers from the frame at bp, in whatever memory there is. */
enum uw_end walk_follow_fp(struct walk *k, uint64_t bp);
/* Goes on where code of Go was interrupted; the chain from `from` on are its callers, or none. */
enum uw_end walk_interrupted(struct walk *k, const struct go_frame *r, size_t from);

/* These bytes were wanted: whether they end behind the stack copy, where a larger one may have
 * them. */
static inline void walk_note_beyond(struct walk *k, uint64_t addr, size_t len)
{
	k->beyond |= addr + len - 1 - (k->s->regs->sp + k->s->stack_len) < LARGEST_COPY;
}

/* An end that is not a root, with its reason. */
static inline enum uw_end walk_ends(struct walk *k, enum uw_end end, const char *why, uint64_t at)
{
	k->why = why;
	k->why_at = at;
	return end;
}

/* --- walk_native.c --------------------------------------------------------------- */

struct uw_cfi *walk_cfi(struct uw_walker *w);
/* What uw_cfi_walk gives: 0 is a placeholder for frames that may be missing. */
bool walk_push_c(struct walk *k, const uint64_t *pcs, size_t n);
enum uw_end walk_c_leaf(struct walk *k);
/*
 * Code without a file (a JIT): believed as far as frame pointers lead to a root, by Go's rules or
 * by those of C.
 */
enum uw_end walk_unknown_leaf(struct walk *k, const struct pc_info *leaf);

/* --- walk_words.c ---------------------------------------------------------------- */

/* As it was: from the copy of the stack and the pieces. */
bool walk_exact(struct walk *k, uint64_t addr, void *buf, size_t len);
/* The same; what they don't have, as it is now. */
bool walk_read(struct walk *k, uint64_t addr, void *buf, size_t len);
/* Aligned words by walk_exact and walk_read. */
bool walk_exact_word(struct walk *k, uint64_t addr, uint64_t *ret);
bool walk_word(struct walk *k, uint64_t addr, uint64_t *ret);
/* walk_read as a reader; borrows k. */
struct uw_mem walk_mem(struct walk *k);
/* Live memory is read anew from now on. */
void walk_forget(struct walk *k);
/* Goes back to the first n frames, as if no live word was used after them. */
void walk_back_to(struct walk *k, size_t n, bool lived);
/* A live word is used, or was wanted: the frames from here on are not sure by themselves. */
void walk_note_live(struct walk *k);

/* --- walk_live.c ----------------------------------------------------------------- */

/* The direct call that ends at ret: its target, or 0 when the call is indirect. */
uint64_t walk_target_of(struct uw_space *s, uint64_t ret);
/* Does the code say that ret can be where the function last pushed returns to? */
bool walk_call_fits(const struct walk *k, uint64_t ret);
/* One frame further by pcsp; f->bp is what the frame saved, 0 where it has no room for it. */
bool walk_go_step(struct walk *k, struct go_frame *f);
/* Takes f and its callers, by pcsp. */
enum uw_end walk_go_frames(struct walk *k, struct go_frame f);
/* The frames of Go above C code that was unwound down to them, whose leaf is c_pc. */
enum uw_end walk_go_below_c(struct walk *k, uint64_t bp, uint64_t c_pc);
/* The chain has reached runtime.cgocallback; the same where its frame is known. */
enum uw_end walk_callback(struct walk *k);
enum uw_end walk_callback_at(struct walk *k, const struct go_frame *f);

/* --- walk_switch.c --------------------------------------------------------------- */

struct walk_thread { /* of the runtime, as the sample's g leads to it */
	const struct uw_golayout *l;
	uint64_t g, m, g0, curg;
};

bool walk_thread_of(struct walk *k, struct walk_thread *ret);

/* The frame pushed last is runtime.morestack; the chain's from `from` on are of old Go only. */
enum uw_end walk_morestack(struct walk *k, size_t from);
/* A leaf in the few instructions of morestack. */
enum uw_end walk_morestack_leaf(struct walk *k);

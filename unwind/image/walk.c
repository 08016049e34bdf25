/* SPDX-License-Identifier: Apache-2.0 */
#include "walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "walk_parts.h"
#include "hash.h"

enum {
	DUFF_ROOM = 64, /* how far below SP the fake frame of duffzero and duffcopy lies */
};
#define MAX_STACK_SPAN (256ull << 20) /* Go's largest stack is 1 GB by default; frames are not */

int uw_walker_new(struct uw_walker **ret)
{
	struct uw_walker *w = aligned_alloc(_Alignof(struct uw_walker), sizeof *w);

	if (!w)
		return -ENOMEM;
	memset(w, 0, sizeof *w);
	*ret = w;
	return 0;
}

void uw_walker_free(struct uw_walker *w)
{
	if (!w)
		return;
	uw_cfi_free(w->cfi);
	free(w);
}

void uw_walker_forget(struct uw_walker *w)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)w + page - 1) & ~(page - 1);
	uintptr_t to = (uintptr_t)&w->patience & ~(page - 1);

	uw_cfi_free(w->cfi);
	w->cfi = NULL;
	w->space = NULL;
	w->window.len = 0;
	/* Zeros are an empty cache; whole pages are returned instead, and come back as zeros. */
	if (from >= to || madvise((void *)from, to - from, MADV_DONTNEED) < 0)
		to = from;
	memset(w, 0, from - (uintptr_t)w);
	memset((void *)to, 0, (uintptr_t)&w->patience - to);
}

void uw_walker_patience(struct uw_walker *w, unsigned int pauses)
{
	w->patience = pauses;
}

const struct uw_walk_stats *uw_walker_stats(const struct uw_walker *w)
{
	return &w->stats;
}

bool walk_push(struct walk *k, uint64_t pc)
{
	if (k->n == k->max)
		return false;
	k->pcs[k->n++] = pc;
	return true;
}

static uint64_t lookup_pc(const struct walk *k, uint64_t ret)
{
	return k->exact ? ret : ret - 1;
}

static uint32_t *plain_slot(struct uw_walker *w, uint64_t pc)
{
	return &w->plain[uw_hash(pc, PLAIN_BITS)];
}

static bool is_plain(struct uw_walker *w, uint64_t pc)
{
	const struct uw_space *s = w->space;

	return pc >= s->go_lo && pc < s->go_hi && w->plain_version == s->version &&
	       *plain_slot(w, pc) == (uint32_t)pc;
}

static void note_plain(struct uw_walker *w, uint64_t pc)
{
	const struct uw_space *s = w->space;

	if (s->go_hi - s->go_lo > UINT32_MAX)
		return; /* half an address would be ambiguous */
	if (w->plain_version != s->version) {
		memset(w->plain, 0, sizeof w->plain);
		w->plain_version = s->version;
	}
	*plain_slot(w, pc) = (uint32_t)pc;
}

static const char too_many[] = "more frames than the caller of the walk takes";

enum step walk_take_caller(struct walk *k, uint64_t ret, enum uw_end *end)
{
	uint64_t pc = lookup_pc(k, ret);
	struct pc_info *i;

	if (!k->exact && is_plain(k->w, pc)) {
		if (walk_push(k, pc))
			return STEP_ON;
		*end = walk_ends(k, UW_END_TRUNCATED, too_many, pc);
		return STEP_DONE;
	}
	i = walk_info(k->w, pc);

	switch (i->kind) {
	case K_GO:
		if (i->special == UW_GO_GOEXIT) {
			*end = UW_END_ROOT;
			return STEP_DONE;
		}
		break;
	case K_NATIVE:
	case K_VDSO:
		break;
	default:
		k->w->stats.off_stack++;
		*end = walk_ends(k, UW_END_UNKNOWN, "the caller is in no file", pc);
		return STEP_DONE;
	}
	if (!k->exact && !walk_is_after_call(k->w, i)) {
		k->w->stats.off_stack++;
		*end = walk_ends(k, UW_END_UNKNOWN, "no call is before the caller's address", pc);
		return STEP_DONE;
	}
	if (!walk_push(k, pc)) {
		*end = walk_ends(k, UW_END_TRUNCATED, too_many, pc);
		return STEP_DONE;
	}
	k->exact = false;
	if (i->kind != K_GO)
		return STEP_ON;
	switch (i->special) {
	case UW_GO_MSTART:
	case UW_GO_RT0:
		*end = UW_END_ROOT;
		return STEP_DONE;
	case UW_GO_MCALL:
	case UW_GO_GOGO:
		*end = UW_END_SWITCH;
		return STEP_DONE;
	case UW_GO_SIGPANIC:
	case UW_GO_ASYNCPREEMPT:
	case UW_GO_DEBUGCALL:
		k->exact = true;
		break;
	case UW_GO_CGOCALLBACK:
		k->callback = true;
		break;
	case UW_GO_MORESTACK:
		k->morestack = true;
		break;
	case UW_GO_SIGTRAMP: /* Go's own ends there, too */
		*end = UW_END_ROOT;
		return STEP_DONE;
	default:
		if (i->flags & UW_GO_TOPFRAME) {
			*end = UW_END_ROOT;
			return STEP_DONE;
		}
		if (i->special == UW_GO_NORMAL && i->after_call)
			note_plain(k->w, pc);
		break;
	}
	return STEP_ON;
}

/* --- chains ---------------------------------------------------------------------- */

/*
 * The address of the frame that gave chain[j], by frame pointers from the sample's on: with `live`
 * in whatever memory there is. 0 where it is unknown, or where memory says something else.
 */
static uint64_t frame_of(struct walk *k, size_t j, bool live)
{
	uint64_t bp = k->s->regs->bp, ret, next;

	for (size_t i = 1;; i++) {
		if (!(live ? walk_word(k, bp + 8, &ret) : walk_exact_word(k, bp + 8, &ret)) ||
		    ret != k->s->chain[i])
			return 0;
		if (i == j)
			return bp;
		if (!(live ? walk_word(k, bp, &next) : walk_exact_word(k, bp, &next)) || next <= bp)
			return 0;
		bp = next;
	}
}

/*
 * The kernel stopped at its own limit. Frames that far from the leaf seldom change, so that memory
 * still has them some time later: as many as the kernel gave must be there as they were.
 */
static enum uw_end beyond_chain(struct walk *k)
{
	uint64_t bp = k->s->nchain > 1 ? frame_of(k, k->s->nchain - 1, true) : 0, next;

	if (bp == 0 || !walk_word(k, bp, &next) || next <= bp)
		return walk_ends(k, UW_END_TRUNCATED,
				 "the kernel's chain is full, and memory has another one now", bp);
	return walk_follow_fp(k, next);
}

/* Where the frame pushed last is one at which a walk leaves its stack. */
static bool at_switch(struct walk *k, size_t from, enum uw_end *end)
{
	if (k->callback)
		*end = walk_callback(k);
	else if (k->morestack)
		*end = walk_morestack(k, from);
	else
		return false;
	return true;
}

/*
 * chain[j] was interrupted. Where it had no frame the chain lacks its caller, which lies next to
 * where the address was found.
 */
static enum uw_end chain_interrupted(struct walk *k, size_t j)
{
	uint64_t pc = k->s->chain[j], bp = frame_of(k, j, false);
	struct go_frame f = {.pc = pc};
	const struct pc_info *i;
	size_t n = k->n;
	bool lived = k->lived;
	enum uw_end end;

	if (!bp)
		bp = frame_of(k, j, true);
	f.sp = bp + 16;
	if (bp && walk_word(k, bp, &f.bp))
		return walk_interrupted(k, &f, j + 1);
	walk_back_to(k, n, lived);
	k->exact = true;
	if (walk_take_caller(k, pc, &end) == STEP_DONE)
		return end;
	i = walk_frame_info(k->w, pc);
	if (i->kind == K_GO && i->delta < 8) {
		k->gap = true;
		if (!walk_push(k, 0))
			return walk_ends(k, UW_END_TRUNCATED, too_many, pc);
	}
	return walk_follow_chain(k, j + 1);
}

enum uw_end walk_follow_chain(struct walk *k, size_t from)
{
	enum uw_end end;

	for (size_t j = from; j < k->s->nchain; j++) {
		if (k->exact)
			return chain_interrupted(k, j);
		if (walk_take_caller(k, k->s->chain[j], &end) == STEP_DONE ||
		    at_switch(k, j + 1, &end))
			return end;
	}
	return k->s->chain_full ? beyond_chain(k)
				: walk_ends(k, UW_END_UNKNOWN, "the kernel's chain ends", 0);
}

enum uw_end walk_follow_fp(struct walk *k, uint64_t bp)
{
	enum uw_end end;

	for (size_t j = 0; j < MAX_FRAMES; j++) {
		uint64_t next, ret;

		if (bp == 0)
			return walk_ends(k, UW_END_UNKNOWN, "a frame pointer is 0", 0);
		if (!walk_word(k, bp, &next) || !walk_word(k, bp + 8, &ret) ||
		    (k->lived && !walk_call_fits(k, ret)))
			return walk_ends(k, UW_END_NO_MEM, "no frame, or another one, is at", bp);
		if (k->exact)
			return walk_interrupted(k, &(struct go_frame){ret, bp + 16, next},
						SIZE_MAX);
		if (walk_take_caller(k, ret, &end) == STEP_DONE || at_switch(k, SIZE_MAX, &end))
			return end;
		if (next != 0 && next <= bp)
			return walk_ends(k, UW_END_UNKNOWN, "frame pointers go down at", bp);
		bp = next;
	}
	return walk_ends(k, UW_END_TRUNCATED, too_many, bp);
}

/* The chain from there on where there is one, else frame pointers from bp on. */
static enum uw_end follow(struct walk *k, uint64_t bp, size_t from)
{
	return from == SIZE_MAX ? walk_follow_fp(k, bp) : walk_follow_chain(k, from);
}

/* --- a leaf in Go ---------------------------------------------------------------- */

static bool sp_is_usable(const struct pc_info *i)
{
	if (i->delta < 0 || (i->flags & UW_GO_SPWRITE))
		return false;
	switch (i->special) {
	case UW_GO_SYSTEMSTACK:
	case UW_GO_MCALL:
	case UW_GO_ASMCGOCALL:
	case UW_GO_GOGO:
	case UW_GO_MORESTACK:
	case UW_GO_VDSO_CALLER:
		return false;
	default:
		return true;
	}
}

static bool is_injected(uint8_t special)
{
	return special == UW_GO_SIGPANIC || special == UW_GO_ASYNCPREEMPT ||
	       special == UW_GO_DEBUGCALL;
}

static bool can_be_frame(uint64_t bp, uint64_t cfa)
{
	return bp > cfa - 16 && bp - cfa < MAX_STACK_SPAN && !(bp & 7);
}

/* The caller of the leaf, which the chain may skip, was interrupted or calls. */
static enum uw_end take_inserted(struct walk *k, const struct go_frame *caller, size_t from)
{
	enum uw_end end;

	if (k->exact)
		return walk_interrupted(k, caller, from);
	if (k->lived && !walk_call_fits(k, caller->pc))
		return walk_ends(k, UW_END_NO_MEM, "the code has no such call before", caller->pc);
	if (walk_take_caller(k, caller->pc, &end) == STEP_DONE || at_switch(k, from, &end))
		return end;
	return follow(k, caller->bp, from);
}

/*
 * The frame-pointer chain of a sample skips the leaf's caller whenever the leaf has no frame, or
 * not yet, or no longer. pcsp gives the place of the return address; the value of BP shows which
 * frame the chain begins with: chain[from] is the caller of the frame at BP.
 */
static enum uw_end above_leaf(struct walk *k, const struct pc_info *leaf, const struct go_frame *r,
			      size_t from)
{
	uint64_t cfa = r->sp + (uint64_t)leaf->delta + 8, saved;
	struct go_frame caller = {.sp = cfa, .bp = r->bp};
	bool duff = r->bp < r->sp && r->sp - r->bp <= DUFF_ROOM && from != SIZE_MAX;
	size_t on = duff ? from + 1 : from;

	if (!sp_is_usable(leaf))
		return follow(k, r->bp, on);
	if (!duff && r->bp == cfa - 16) {
		if (k->exact && walk_word(k, r->bp, &caller.bp) &&
		    walk_word(k, cfa - 8, &caller.pc))
			return walk_interrupted(k, &caller, from == SIZE_MAX ? from : from + 1);
		return follow(k, r->bp, on);
	}
	if (duff && (!walk_exact_word(k, cfa - 8, &caller.pc) ||
		     (on < k->s->nchain && k->s->chain[on] == caller.pc)))
		return follow(k, r->bp, on);
	if (!duff && !walk_word(k, cfa - 8, &caller.pc))
		return walk_ends(k, UW_END_NO_MEM, "the leaf's return address can't be read at",
				 cfa - 8);
	k->w->stats.repaired++;
	if (!duff && leaf->delta >= 8 && !leaf->saves_bp && walk_word(k, cfa - 16, &saved) &&
	    saved != r->bp && (saved == 0 || can_be_frame(saved, cfa))) {
		caller.bp = saved;
		on = SIZE_MAX;
	}
	return take_inserted(k, &caller, on);
}

enum uw_end walk_interrupted(struct walk *k, const struct go_frame *r, size_t from)
{
	struct pc_info i;
	enum uw_end end;

	k->exact = true;
	if (walk_take_caller(k, r->pc, &end) == STEP_DONE)
		return end;
	i = *walk_frame_info(k->w, r->pc);
	if (i.kind != K_GO)
		return follow(k, r->bp, from);
	return above_leaf(k, &i, r, from);
}

static enum uw_end walk_go_leaf(struct walk *k, const struct pc_info *leaf)
{
	const struct uw_regs *r = k->s->regs;

	switch (leaf->special) {
	case UW_GO_GOEXIT:
	case UW_GO_MSTART:
	case UW_GO_RT0:
	case UW_GO_SIGTRAMP:
	case UW_GO_SIGRETURN:
		return UW_END_ROOT;
	case UW_GO_MCALL:
	case UW_GO_GOGO:
		return UW_END_SWITCH;
	case UW_GO_MORESTACK:
	case WALK_MORESTACK_NOCTXT:
		return walk_morestack_leaf(k);
	default:
		break;
	}
	if (leaf->flags & UW_GO_TOPFRAME)
		return UW_END_ROOT;
	k->exact = is_injected(leaf->special);
	return above_leaf(k, leaf, &(struct go_frame){r->ip, r->sp, r->bp}, 1);
}

/*
 * Words that were read some time after the sample are believed where they lead to a root, and every
 * step is a call that the code has; else only what was there before them.
 */
static enum uw_end settle(struct walk *k, enum uw_end end)
{
	struct uw_walk_stats *s = &k->w->stats;
	bool whole = end == UW_END_ROOT || end == UW_END_SWITCH;

	if (!k->lived) {
		s->exact += k->pieced && whole && !k->gap;
		s->given_up += k->gap || (k->pieced && !whole);
		return end;
	}
	s->live_attempts++;
	s->live += whole && !k->gap;
	s->given_up += !whole || k->gap;
	if (whole)
		return end;
	k->n = k->sure;
	return UW_END_NO_MEM;
}

/* Whether it may have ended for want of a larger stack copy. */
static bool copy_was_short(const struct walk *k, enum uw_end end)
{
	return (end == UW_END_NO_MEM || end == UW_END_TRUNCATED) && !k->switched &&
	       (k->beyond || k->s->chain_full);
}

static void report(const struct walk *k, enum uw_end end)
{
	static const char *const names[UW_END_COUNT] = {[UW_END_TRUNCATED] = "truncated",
							[UW_END_NO_MEM] = "no memory",
							[UW_END_UNKNOWN] = "unknown"};
	const struct uw_sample *s = k->s;
	char missing[64] = "";

	if (k->missing)
		snprintf(missing, sizeof missing, "; last word missing: %#" PRIx64, k->missing);
	uw_log(UW_LOG_WALK,
	       "pid %d, ip %#" PRIx64 ", sp %#" PRIx64 ": %s after %zu frames: %s %#" PRIx64
	       " (stack copy of %zu bytes, chain of %zu, %zu pieces, live memory %s%s)",
	       (int)k->w->space->pid, s->regs->ip, s->regs->sp, names[end], k->n,
	       k->why ? k->why : "no reason kept", k->why_at, s->stack_len, s->nchain, s->npieces,
	       k->lived ? "asked" : "not asked", missing);
}

size_t uw_walk(struct uw_walker *w, struct uw_space *space, const struct uw_sample *sample,
	       uint64_t *pcs, size_t max, enum uw_end *ret_end)
{
	struct walk k = {.w = w, .s = sample, .pcs = pcs, .max = max};
	struct pc_info leaf;

	w->space = space;
	w->window.len = 0;
	if (!sample->regs) {
		*ret_end = UW_END_NO_REGS;
		return 0;
	}
	walk_push(&k, sample->regs->ip);
	if (!space->arch || !space->arch->call_len) { /* a machine of which only files are known */
		*ret_end = UW_END_UNKNOWN;
		return k.n;
	}
	leaf = *walk_frame_info(w, sample->regs->ip);
	switch (leaf.kind) {
	case K_GO:
		*ret_end = walk_go_leaf(&k, &leaf);
		break;
	case K_NATIVE:
	case K_VDSO:
		*ret_end = walk_c_leaf(&k);
		break;
	default:
		*ret_end = walk_unknown_leaf(&k, &leaf);
		break;
	}
	*ret_end = settle(&k, *ret_end);
	w->stats.copy_short += copy_was_short(&k, *ret_end);
	if (*ret_end != UW_END_ROOT && *ret_end != UW_END_SWITCH && uw_log_on(UW_LOG_WALK))
		report(&k, *ret_end);
	return k.n;
}

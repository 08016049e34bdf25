/* SPDX-License-Identifier: Apache-2.0 */
#include "walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "walk_parts.h"

enum {
	DUFF_ROOM = 64,    /* how far below SP the fake frame of duffzero and duffcopy lies */
	MAX_CALL = 16,     /* bytes of a call, on any machine */
	NOCTXT_BYTES = 64, /* of runtime.morestack_noctxt, with what fills it up */
};
#define MAX_STACK_SPAN (256ull << 20) /* Go's largest stack is 1 GB by default; frames are not */

/* --- what an address is ---------------------------------------------------------- */

/* The bytes before addr: as many as the longest call has, fewer at the start of a segment. */
static const uint8_t *code_before(const struct uw_arch *arch, const struct uw_elf *elf,
				  uint64_t addr, size_t *n)
{
	for (*n = arch->max_call; *n >= 2; (*n)--) {
		const uint8_t *p = uw_elf_at(elf, addr - *n, *n);

		if (p)
			return p;
	}
	return NULL;
}

/* The prologue of go1.20 and older between making and filling the frame. */
static bool is_bp_save(const struct uw_arch *arch, const struct uw_elf *elf, uint64_t addr)
{
	const uint8_t *p = uw_elf_at(elf, addr, arch->save_len);

	return p && arch->saves_fp(p);
}

/*
 * uw_go_func_at by the functions met before: an interrupted address is mostly new, its function
 * seldom. Three reads of tables that lie in no cache are saved.
 */
bool walk_func_at(struct uw_walker *w, uint64_t pc, struct uw_go_func *ret)
{
	const struct uw_space *s = w->space;
	uint64_t h = pc / FUNC_SPAN * 0x9e3779b97f4a7c15ull;
	struct near_func *n = &w->funcs[h >> (64 - FUNC_BITS)];
	uint64_t at = pc - n->bias;

	if (n->version != s->version || at < n->f.entry || at >= n->f.end) {
		const struct uw_go_module *mod = uw_space_go_at(s, pc);
		struct uw_go_func f;

		if (!mod || !uw_go_func_at(mod->go, pc - mod->bias, &f))
			return false;
		*n = (struct near_func){s->version, mod->bias, f};
	}
	*ret = n->f;
	return true;
}

/* MOV $0, DX; JMP runtime.morestack: told by its code, since it has no number nor flag. */
static bool is_noctxt(const struct uw_arch *arch, const struct uw_go *go, const struct uw_elf *elf,
		      const struct uw_go_func *f)
{
	const uint8_t *p = f->end - f->entry <= NOCTXT_BYTES
				   ? uw_elf_at(elf, f->entry, arch->noctxt_len)
				   : NULL;
	uint64_t target = p ? arch->noctxt_target(p, f->entry + arch->noctxt_len) : 0;
	struct uw_go_func to;

	return target && uw_go_func_at(go, target, &to) && to.special == UW_GO_MORESTACK;
}

/* Where it finds K_GO, *f is the function. */
static void look_up(struct uw_walker *w, uint64_t pc, struct pc_info *i, struct uw_go_func *f)
{
	struct uw_space *s = w->space;
	struct uw_mapping *m = uw_space_at(s, pc);
	const struct uw_elf *elf = NULL;
	uint64_t bias = 0;

	*i = (struct pc_info){.pc_lo = (uint32_t)pc,
			      .pc_hi = (uint32_t)(pc >> 32),
			      .version = (uint32_t)s->version,
			      .delta = -1};
	if (!m) {
		i->kind = K_UNMAPPED;
		return;
	}
	if (!uw_space_elf(s, m, &elf, &bias)) {
		i->kind = K_ANON;
		return;
	}
	if (uw_space_go(s) && walk_func_at(w, pc, f)) {
		i->kind = K_GO;
		i->special = is_noctxt(s->arch, uw_space_go_at(s, pc)->go, elf, f)
				     ? WALK_MORESTACK_NOCTXT
				     : (uint8_t)f->special;
		i->flags = f->flags;
		return;
	}
	i->kind = m->vdso ? K_VDSO : K_NATIVE;
}

static struct pc_set *set_of(struct uw_walker *w, uint64_t pc)
{
	return &w->cache[(pc * 0x9e3779b97f4a7c15ull) >> (64 - SET_BITS)];
}

static uint64_t pc_of(const struct pc_info *i)
{
	return (uint64_t)i->pc_hi << 32 | i->pc_lo;
}

/* Its entry; or, with *fresh set, one that is to be looked up. */
static struct pc_info *slot_of(struct uw_walker *w, uint64_t pc, bool *fresh)
{
	struct pc_set *s = set_of(w, pc);
	uint32_t version = (uint32_t)w->space->version;
	struct pc_info *i;

	*fresh = false;
	for (i = s->way; i < s->way + SET_WAYS; i++)
		if (i->pc_lo == (uint32_t)pc && i->version == version && pc_of(i) == pc &&
		    i->kind != K_EMPTY)
			return i;
	*fresh = true;
	w->stats.lookups++;
	i = &s->way[s->next];
	s->next = (s->next + 1) % SET_WAYS;
	return i;
}

/* Valid until the next call. */
struct pc_info *walk_info(struct uw_walker *w, uint64_t pc)
{
	struct uw_go_func unused;
	bool fresh;
	struct pc_info *i = slot_of(w, pc, &fresh);

	if (fresh)
		look_up(w, pc, i, &unused);
	return i;
}

/*
 * Can the address + 1 be a return address? Reads the code, which is nobody's memory yet: asked only
 * of callers.
 */
bool walk_is_after_call(struct uw_walker *w, struct pc_info *i)
{
	const struct uw_elf *elf;
	struct uw_mapping *m;
	const uint8_t *code;
	const struct uw_arch *arch = w->space->arch;
	uint8_t made[MAX_CALL]; /* code that is in no file */
	uint64_t bias;
	size_t n;

	if (i->has_call)
		return i->after_call;
	i->has_call = true;
	m = uw_space_at(w->space, pc_of(i));
	if (m && uw_space_elf(w->space, m, &elf, &bias)) {
		code = code_before(arch, elf, pc_of(i) + 1 - bias, &n);
		i->after_call = code && arch->ends_in_call(code, n);
	} else if (i->kind == K_ANON && uw_read(&w->space->live, pc_of(i) + 1 - arch->max_call,
						made, arch->max_call) == 0) {
		i->after_call = arch->ends_in_call(made, arch->max_call);
	}
	return i->after_call;
}

/* The same with what only a leaf, or a walk by pcsp, asks for. */
const struct pc_info *walk_frame_info(struct uw_walker *w, uint64_t pc)
{
	bool fresh;
	struct pc_info *i = slot_of(w, pc, &fresh);
	struct uw_space *s = w->space;
	const struct uw_go_module *mod;
	const struct uw_elf *elf;
	struct uw_mapping *m;
	struct uw_go_func f;
	uint64_t bias;

	if (fresh)
		look_up(w, pc, i, &f);
	if (i->kind != K_GO || i->has_frame || (!fresh && !walk_func_at(w, pc, &f)))
		return i;
	i->has_frame = true;
	mod = uw_space_go_at(s, pc);
	i->delta = uw_go_sp_delta(mod->go, &f, pc - mod->bias);
	if (!uw_go_layout(mod->go)->fp_saved_late)
		return i;
	m = uw_space_at(s, pc);
	i->saves_bp = m && uw_space_elf(s, m, &elf, &bias) && is_bp_save(s->arch, elf, pc - bias);
	return i;
}

const struct uw_go *walk_runtime(const struct walk *k)
{
	const struct uw_space *s = k->w->space;
	const struct uw_go_module *mod = k->n ? uw_space_go_at(s, k->pcs[k->n - 1]) : NULL;

	return mod ? s->mods[mod->runtime].go : s->go;
}

/* --- C frames -------------------------------------------------------------------- */

static bool cfi_find(void *ctx, uint64_t pc, struct uw_eh_frame **tables, uint64_t *bias)
{
	struct uw_walker *w = ctx;
	struct uw_mapping *m = uw_space_at(w->space, pc);
	const struct uw_elf *elf;

	if (!m || !uw_space_elf(w->space, m, &elf, bias))
		return false;
	*tables = uw_binary_eh_frame(m->bin);
	return *tables != NULL;
}

static bool cfi_stop(void *ctx, uint64_t pc)
{
	struct uw_walker *w = ctx;
	struct uw_space *s = w->space;

	return uw_space_go(s) && pc >= s->go_lo && pc < s->go_hi && walk_info(w, pc)->kind == K_GO;
}

static enum uw_cfi_call cfi_call(void *ctx, uint64_t ret, uint64_t *target)
{
	struct uw_walker *w = ctx;

	if (!walk_is_after_call(w, walk_info(w, ret - 1)))
		return UW_CFI_NO_CALL;
	*target = walk_target_of(w->space, ret);
	return *target ? UW_CFI_CALL_TO : UW_CFI_CALL_SOMEWHERE;
}

static uint64_t cfi_start(void *ctx, uint64_t pc)
{
	struct uw_walker *w = ctx;
	struct uw_mapping *m = uw_space_at(w->space, pc);
	const struct uw_elf *elf;
	struct uw_elfsym *sym;
	uint64_t bias, start;

	if (!m || !uw_space_elf(w->space, m, &elf, &bias))
		return 0;
	sym = uw_binary_sym(m->bin);
	start = sym ? uw_elfsym_start(sym, pc - bias) : 0;
	return start ? start + bias : 0;
}

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

void uw_walker_expect(struct uw_walker *w, uint64_t ip)
{
	__builtin_prefetch(set_of(w, ip));
}

void uw_walker_patience(struct uw_walker *w, unsigned int pauses)
{
	w->patience = pauses;
}

const struct uw_walk_stats *uw_walker_stats(const struct uw_walker *w)
{
	return &w->stats;
}

struct uw_cfi *walk_cfi(struct uw_walker *w)
{
	if (!w->cfi) {
		struct uw_cfi_ops ops = {.find = cfi_find,
					 .stop = cfi_stop,
					 .call = cfi_call,
					 .start = cfi_start,
					 .ctx = w};

		if (uw_cfi_new(&ops, &w->cfi) < 0)
			w->cfi = NULL;
	}
	if (w->cfi)
		uw_cfi_enter(w->cfi, w->space->arch, w->space->version);
	return w->cfi;
}

bool walk_push(struct walk *k, uint64_t pc)
{
	if (k->n == k->max)
		return false;
	k->pcs[k->n++] = pc;
	return true;
}

bool walk_push_c(struct walk *k, const uint64_t *pcs, size_t n)
{
	for (size_t j = 0; j < n; j++) {
		if (!walk_push(k, pcs[j] ? pcs[j] - 1 : 0))
			return false;
		k->w->stats.gaps += pcs[j] == 0;
	}
	return true;
}

static uint64_t lookup_pc(const struct walk *k, uint64_t ret)
{
	return k->exact ? ret : ret - 1;
}

static uint32_t *plain_slot(struct uw_walker *w, uint64_t pc)
{
	return &w->plain[(pc * 0x9e3779b97f4a7c15ull) >> (64 - PLAIN_BITS)];
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
		return; /* half an address would not tell */
	if (w->plain_version != s->version) {
		memset(w->plain, 0, sizeof w->plain);
		w->plain_version = s->version;
	}
	*plain_slot(w, pc) = (uint32_t)pc;
}

enum step walk_take_caller(struct walk *k, uint64_t ret, enum uw_end *end)
{
	uint64_t pc = lookup_pc(k, ret);
	struct pc_info *i;

	if (!k->exact && is_plain(k->w, pc)) {
		if (walk_push(k, pc))
			return STEP_ON;
		*end = UW_END_TRUNCATED;
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
		k->w->stats.derailed++;
		*end = UW_END_UNKNOWN;
		return STEP_DONE;
	}
	if (!k->exact && !walk_is_after_call(k->w, i)) {
		k->w->stats.derailed++;
		*end = UW_END_UNKNOWN;
		return STEP_DONE;
	}
	if (!walk_push(k, pc)) {
		*end = UW_END_TRUNCATED;
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
 * in whatever memory there is. 0 where it can't be told, or where memory says something else.
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
		return UW_END_TRUNCATED;
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
			return UW_END_TRUNCATED;
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
	return k->s->chain_full ? beyond_chain(k) : UW_END_UNKNOWN;
}

enum uw_end walk_follow_fp(struct walk *k, uint64_t bp)
{
	enum uw_end end;

	for (size_t j = 0; j < MAX_FRAMES; j++) {
		uint64_t next, ret;

		if (bp == 0)
			return UW_END_UNKNOWN;
		if (!walk_word(k, bp, &next) || !walk_word(k, bp + 8, &ret) ||
		    (k->lived && !walk_call_fits(k, ret)))
			return UW_END_NO_MEM;
		if (k->exact)
			return walk_interrupted(k, &(struct go_frame){ret, bp + 16, next},
						SIZE_MAX);
		if (walk_take_caller(k, ret, &end) == STEP_DONE || at_switch(k, SIZE_MAX, &end))
			return end;
		if (next != 0 && next <= bp)
			return UW_END_UNKNOWN;
		bp = next;
	}
	return UW_END_TRUNCATED;
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
		return UW_END_NO_MEM;
	if (walk_take_caller(k, caller->pc, &end) == STEP_DONE || at_switch(k, from, &end))
		return end;
	return follow(k, caller->bp, from);
}

/*
 * The frame-pointer chain of a sample skips the leaf's caller whenever the leaf has no frame, or
 * not yet, or no longer. pcsp tells where the return address lies; the value of BP tells which
 * frame the chain begins with: chain[from] is what lies above the frame at BP.
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
		return UW_END_NO_MEM;
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

/* --- a leaf outside of Go -------------------------------------------------------- */

/*
 * C code has been unwound down to a frame of Go, at whose instant the registers are r. Where the C
 * code left BP alone, or kept frame pointers, the kernel's chain goes on from there.
 */
static enum uw_end resume_go(struct walk *k, const struct uw_regs *r)
{
	enum uw_end end;

	if (walk_take_caller(k, r->ip, &end) == STEP_DONE)
		return end;
	if (r->bp == k->s->regs->bp)
		return walk_follow_chain(k, 1);
	for (size_t j = 1; j + 1 < k->s->nchain; j++) {
		if (k->s->chain[j] == r->ip)
			return walk_follow_chain(k, j + 1);
	}
	return walk_go_below_c(k, r->bp, k->n > 1 ? k->pcs[k->n - 2] : 0);
}

static int read_exact(void *ctx, uint64_t addr, void *buf, size_t len)
{
	return walk_exact(ctx, addr, buf, len) ? 0 : -EFAULT;
}

static enum uw_end walk_c_leaf(struct walk *k)
{
	struct uw_cfi *cfi = walk_cfi(k->w);
	struct uw_regs r = *k->s->regs;
	struct uw_mem mem = {.read = read_exact, .ctx = k};
	uint64_t pcs[MAX_C_FRAMES];
	enum uw_cfi_end end = UW_CFI_NO_TABLE;
	size_t n = 0;

	if (cfi)
		end = uw_cfi_walk(cfi, &r, &mem, pcs, MAX_C_FRAMES, &n);
	k->w->stats.cfi++;
	if (n > 0 && !walk_push_c(k, pcs + 1, n - 1))
		return UW_END_TRUNCATED;
	switch (end) {
	case UW_CFI_STOPPED:
		return resume_go(k, &r);
	case UW_CFI_INTERRUPTED: /* by a signal, whose handler runs on a stack of its own */
		return walk_interrupted(k, &(struct go_frame){r.ip, r.sp, r.bp}, SIZE_MAX);
	case UW_CFI_ROOT:
		return UW_END_ROOT;
	case UW_CFI_LIMIT:
		return UW_END_TRUNCATED;
	case UW_CFI_NO_MEM:
		return UW_END_NO_MEM;
	default:
		return UW_END_UNKNOWN;
	}
}

/*
 * Code without a file (a JIT): believed as far as frame pointers lead to a root, by Go's rules or
 * by those of C.
 */
static enum uw_end walk_unknown_leaf(struct walk *k, const struct pc_info *leaf)
{
	size_t n = k->n;
	enum uw_end end = walk_follow_chain(k, 1);

	if (end != UW_END_ROOT && leaf->kind == K_ANON) {
		walk_back_to(k, n, false);
		end = walk_c_leaf(k);
	}
	if (end == UW_END_ROOT)
		return end;
	walk_back_to(k, n, false);
	return UW_END_UNKNOWN;
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
	s->live_wanted++;
	s->live += whole && !k->gap;
	s->given_up += !whole || k->gap;
	if (whole)
		return end;
	k->n = k->sure;
	return UW_END_NO_MEM;
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
	return k.n;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	CACHE_BITS = 12,
	MAX_C_FRAMES = 256,
	MAX_LIVE_FRAMES = 512,
	DUFF_ROOM = 64, /* how far below SP the fake frame of duffzero and duffcopy lies */
};
#define MAX_STACK_SPAN (256ull << 20) /* Go's largest stack is 1 GB by default; frames are not */

enum kind { K_EMPTY, K_GO, K_NATIVE, K_VDSO, K_ANON, K_UNMAPPED };

struct pc_info { /* what is known of one address; a direct-mapped cache entry */
	uint64_t pc;
	uint64_t version; /* of the space it was looked up in */
	uint64_t entry;   /* Go: runtime address of the physical function */
	int32_t delta;    /* Go: pcsp at pc itself */
	uint8_t kind;
	uint8_t special;
	uint8_t flags;
	bool after_call; /* the bytes before pc + 1 are a call: pc + 1 can be a return address */
	bool saves_bp;   /* the instruction at pc stores BP to the frame: it is not there yet */
};

struct uw_walker {
	struct pc_info cache[1 << CACHE_BITS];
	struct uw_walk_stats stats;
	struct uw_cfi *cfi;
	uint64_t cfi_version;
	struct uw_space *space; /* of the walk under way */
};

/* --- what an address is ------------------------------------------------------------------------
 */

/* amd64: does a call instruction end right before `end`? code holds the n bytes before it. */
static bool ends_in_call(const uint8_t *code, size_t n)
{
	if (n >= 5 && code[n - 5] == 0xe8)
		return true;
	/* ff /2 with every addressing form: 2 to 7 bytes */
	for (size_t len = 2; len <= 7 && len <= n; len++) {
		const uint8_t *p = code + n - len;

		if (p[0] == 0xff && ((p[1] >> 3) & 7) == 2)
			return true;
	}
	return false;
}

static const uint8_t *code_before(const struct uw_elf *elf, uint64_t addr, size_t *n)
{
	for (*n = 7; *n >= 2; (*n)--) {
		const uint8_t *p = uw_elf_at(elf, addr - *n, *n);

		if (p)
			return p;
	}
	return NULL;
}

/* mov %rbp, disp(%rsp): the prologue of go1.20 and older between making and filling the frame. */
static bool is_bp_save(const struct uw_elf *elf, uint64_t addr)
{
	const uint8_t *p = uw_elf_at(elf, addr, 4);

	return p && p[0] == 0x48 && p[1] == 0x89 && (p[2] == 0x6c || p[2] == 0xac) && p[3] == 0x24;
}

static void look_up(struct uw_space *s, uint64_t pc, struct pc_info *i)
{
	struct uw_mapping *m = uw_space_at(s, pc);
	const struct uw_elf *elf = NULL;
	struct uw_go *go;
	struct uw_go_func f;
	uint64_t bias = 0;
	const uint8_t *code;
	size_t n;

	*i = (struct pc_info){.pc = pc, .version = s->version, .delta = -1};
	if (!m) {
		i->kind = K_UNMAPPED;
		return;
	}
	if (!uw_space_elf(s, m, &elf, &bias)) {
		i->kind = K_ANON;
		return;
	}
	code = code_before(elf, pc + 1 - bias, &n);
	i->after_call = code && ends_in_call(code, n);
	go = uw_space_go(s);
	if (go && pc >= s->go_lo && pc < s->go_hi && uw_go_func_at(go, pc - s->go_bias, &f)) {
		i->kind = K_GO;
		i->entry = f.entry + s->go_bias;
		i->special = (uint8_t)f.special;
		i->flags = f.flags;
		i->delta = uw_go_sp_delta(go, &f, pc - s->go_bias);
		i->saves_bp = uw_go_minor(go) <= 20 && is_bp_save(elf, pc - bias);
		return;
	}
	i->kind = m->vdso ? K_VDSO : K_NATIVE;
}

static const struct pc_info *info(struct uw_walker *w, uint64_t pc)
{
	uint64_t h = pc * 0x9e3779b97f4a7c15ull;
	struct pc_info *i = &w->cache[h >> (64 - CACHE_BITS)];

	if (i->pc != pc || i->version != w->space->version || i->kind == K_EMPTY)
		look_up(w->space, pc, i);
	return i;
}

/* --- C frames ------------------------------------------------------------------------------------
 */

static bool cfi_find(void *ctx, uint64_t pc, const struct uw_elf **elf, uint64_t *bias)
{
	struct uw_walker *w = ctx;
	struct uw_mapping *m = uw_space_at(w->space, pc);

	return m && uw_space_elf(w->space, m, elf, bias);
}

static bool cfi_stop(void *ctx, uint64_t pc)
{
	struct uw_walker *w = ctx;

	return info(w, pc)->kind == K_GO;
}

int uw_walker_new(struct uw_walker **ret)
{
	struct uw_walker *w = calloc(1, sizeof *w);

	if (!w)
		return -ENOMEM;
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

const struct uw_walk_stats *uw_walker_stats(const struct uw_walker *w)
{
	return &w->stats;
}

static struct uw_cfi *cfi_of(struct uw_walker *w)
{
	if (!w->cfi) {
		struct uw_cfi_ops ops = {.find = cfi_find, .stop = cfi_stop, .ctx = w};

		if (uw_cfi_new(&ops, &w->cfi) < 0)
			w->cfi = NULL;
	} else if (w->cfi_version != w->space->version) {
		uw_cfi_flush(w->cfi);
	}
	w->cfi_version = w->space->version;
	return w->cfi;
}

/* --- a walk under way ----------------------------------------------------------------------------
 */

struct walk {
	struct uw_walker *w;
	const struct uw_sample *s;
	uint64_t *pcs;
	size_t n, max;
	bool exact; /* the next caller was interrupted, not calling: its pc is meant as it is */
};

static bool push(struct walk *k, uint64_t pc)
{
	if (k->n == k->max)
		return false;
	k->pcs[k->n++] = pc;
	return true;
}

static bool stack_word(const struct walk *k, uint64_t addr, uint64_t *ret)
{
	uint64_t sp = k->s->regs->sp;

	if (addr < sp || addr - sp > k->s->stack_len || k->s->stack_len - (addr - sp) < 8)
		return false;
	memcpy(ret, (const char *)k->s->stack + (addr - sp), 8);
	return true;
}

static uint64_t lookup_pc(const struct walk *k, uint64_t ret)
{
	return k->exact ? ret : ret - 1;
}

enum step { STEP_ON, STEP_DONE };

/* Takes one caller, given as return address. STEP_DONE sets *end. */
static enum step take_caller(struct walk *k, uint64_t ret, enum uw_end *end)
{
	uint64_t pc = lookup_pc(k, ret);
	const struct pc_info *i = info(k->w, pc);

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
	if (!k->exact && !i->after_call) {
		k->w->stats.derailed++;
		*end = UW_END_UNKNOWN;
		return STEP_DONE;
	}
	if (!push(k, pc)) {
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
	default:
		if (i->flags & UW_GO_TOPFRAME) {
			*end = UW_END_ROOT;
			return STEP_DONE;
		}
		break;
	}
	return STEP_ON;
}

/* The chain is used up and no root was seen. */
static enum uw_end chain_end(const struct walk *k)
{
	const struct pc_info *last = info(k->w, k->pcs[k->n - 1]);

	if (last->kind == K_GO && last->special == UW_GO_MORESTACK)
		return UW_END_SWITCH;
	return k->s->chain_full ? UW_END_TRUNCATED : UW_END_UNKNOWN;
}

static enum uw_end follow_chain(struct walk *k, size_t from)
{
	enum uw_end end;

	for (size_t j = from; j < k->s->nchain; j++) {
		if (take_caller(k, k->s->chain[j], &end) == STEP_DONE)
			return end;
	}
	return chain_end(k);
}

/* Follows frame pointers by the words that `read` gives, from the frame at bp. */
static enum uw_end follow_fp(struct walk *k, uint64_t bp, bool live)
{
	enum uw_end end;

	for (size_t j = 0; j < MAX_LIVE_FRAMES; j++) {
		uint64_t frame[2];

		if (bp == 0)
			return chain_end(k);
		if (bp & 7)
			return UW_END_UNKNOWN;
		if (live ? uw_read(&k->w->space->live, bp, frame, sizeof frame) < 0
			 : !(stack_word(k, bp, &frame[0]) && stack_word(k, bp + 8, &frame[1])))
			return UW_END_NO_MEM;
		if (take_caller(k, frame[1], &end) == STEP_DONE)
			return end;
		if (frame[0] != 0 && frame[0] <= bp)
			return UW_END_UNKNOWN;
		bp = frame[0];
	}
	return UW_END_TRUNCATED;
}

/*
 * The same from live memory, long after the sample: only a chain that is Go from end to end and
 * reaches a root is believed, else it is taken back.
 */
static enum uw_end follow_live(struct walk *k, uint64_t bp)
{
	size_t n = k->n;
	enum uw_end end = follow_fp(k, bp, true);

	if (end == UW_END_ROOT || end == UW_END_SWITCH) {
		bool all_go = true;

		for (size_t j = n; j < k->n; j++)
			all_go &= info(k->w, k->pcs[j])->kind == K_GO;
		if (all_go) {
			k->w->stats.live++;
			return end;
		}
	}
	k->n = n;
	return UW_END_NO_MEM;
}

/* --- a leaf in Go
 * ---------------------------------------------------------------------------------- */

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

/*
 * The frame-pointer chain of a sample skips the leaf's caller whenever the leaf has no frame, or
 * not yet, or no longer. pcsp tells where the return address lies; the value of BP tells which
 * frame the chain begins with.
 */
static enum uw_end walk_go_leaf(struct walk *k, const struct pc_info *leaf)
{
	const struct uw_regs *r = k->s->regs;
	uint64_t cfa, ret, saved, bp = r->bp;
	bool exact, duff = bp < r->sp && r->sp - bp <= DUFF_ROOM;
	size_t from = duff ? 2 : 1;
	enum uw_end end;

	if (leaf->special == UW_GO_GOEXIT || leaf->special == UW_GO_MSTART ||
	    leaf->special == UW_GO_RT0)
		return UW_END_ROOT;
	exact = leaf->special == UW_GO_SIGPANIC || leaf->special == UW_GO_ASYNCPREEMPT ||
		leaf->special == UW_GO_DEBUGCALL;
	k->exact = exact;
	if (leaf->special == UW_GO_MCALL || leaf->special == UW_GO_GOGO)
		return UW_END_SWITCH;
	if (!sp_is_usable(leaf))
		return follow_chain(k, from);
	cfa = r->sp + (uint64_t)leaf->delta + 8;
	if (!duff && bp == cfa - 16)
		return follow_chain(k, from);
	if (!stack_word(k, cfa - 8, &ret))
		return duff ? follow_chain(k, from) : UW_END_NO_MEM;
	if (duff && from < k->s->nchain && k->s->chain[from] == ret)
		return follow_chain(k, from);
	k->w->stats.repaired++;
	if (take_caller(k, ret, &end) == STEP_DONE)
		return end;
	if (duff)
		return follow_chain(k, from);
	if (leaf->delta >= 8 && !leaf->saves_bp && stack_word(k, cfa - 16, &saved) && saved != bp &&
	    (saved == 0 || (saved > cfa - 16 && saved - cfa < MAX_STACK_SPAN && !(saved & 7))))
		return follow_fp(k, saved, false);
	return follow_chain(k, from);
}

/* --- a leaf outside of Go
 * ---------------------------------------------------------------------------- */

/*
 * C code has been unwound down to a frame of Go, at whose instant the registers are r. Where the C
 * code left BP alone, or kept frame pointers, the kernel's chain goes on from there.
 */
static enum uw_end resume_go(struct walk *k, const struct uw_regs *r)
{
	enum uw_end end;

	if (take_caller(k, r->ip, &end) == STEP_DONE)
		return end;
	if (r->bp == k->s->regs->bp)
		return follow_chain(k, 1);
	for (size_t j = 1; j + 1 < k->s->nchain; j++) {
		if (k->s->chain[j] == r->ip)
			return follow_chain(k, j + 1);
	}
	return follow_live(k, r->bp);
}

static enum uw_end walk_c_leaf(struct walk *k)
{
	struct uw_cfi *cfi = cfi_of(k->w);
	struct uw_regs r = *k->s->regs;
	struct uw_mem_bytes copy = {
		.base = r.sp, .bytes = k->s->stack, .len = k->s->stack_len, .below = NULL};
	struct uw_mem mem = uw_mem_bytes(&copy);
	uint64_t pcs[MAX_C_FRAMES];
	enum uw_cfi_end end = UW_CFI_NO_TABLE;
	size_t n = 0;

	if (cfi)
		end = uw_cfi_walk(cfi, &r, &mem, pcs, MAX_C_FRAMES, &n);
	k->w->stats.cfi++;
	for (size_t j = 1; j < n; j++) {
		if (!push(k, pcs[j] - 1))
			return UW_END_TRUNCATED;
	}
	switch (end) {
	case UW_CFI_STOPPED:
		return resume_go(k, &r);
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

/* Code without a file (a JIT): believed as far as frame pointers lead to a root. */
static enum uw_end walk_unknown_leaf(struct walk *k)
{
	size_t n = k->n;
	enum uw_end end = follow_chain(k, 1);

	if (end == UW_END_ROOT)
		return end;
	k->n = n;
	return UW_END_UNKNOWN;
}

size_t uw_walk(struct uw_walker *w, struct uw_space *space, const struct uw_sample *sample,
	       uint64_t *pcs, size_t max, enum uw_end *ret_end)
{
	struct walk k = {.w = w, .s = sample, .pcs = pcs, .max = max};
	struct pc_info leaf;

	w->space = space;
	if (!sample->regs) {
		*ret_end = UW_END_NO_REGS;
		return 0;
	}
	push(&k, sample->regs->ip);
	leaf = *info(w, sample->regs->ip);
	switch (leaf.kind) {
	case K_GO:
		*ret_end = walk_go_leaf(&k, &leaf);
		break;
	case K_NATIVE:
	case K_VDSO:
		*ret_end = walk_c_leaf(&k);
		break;
	default:
		*ret_end = walk_unknown_leaf(&k);
		break;
	}
	return k.n;
}

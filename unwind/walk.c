/* SPDX-License-Identifier: Apache-2.0 */
#include "walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	SET_BITS = 13,
	SET_WAYS = 3,
	PLAIN_BITS = 14,
	FUNC_BITS = 11,
	FUNC_SPAN = 256, /* bytes of text that share a slot */
	MAX_C_FRAMES = 256,
	MAX_LIVE_FRAMES = 512,
	LIVE_TRIES = 4,
	STUB_CODE = 96, /* bytes before a stub's call that are looked at */
	LIVE_PAUSE_NS = 50000,
	DUFF_ROOM = 64, /* how far below SP the fake frame of duffzero and duffcopy lies */
};
#define MAX_STACK_SPAN (256ull << 20) /* Go's largest stack is 1 GB by default; frames are not */

/* Offsets that all of go1.16 to go1.27 share: g.m, g.sched.sp, m.g0. */
enum { G_M = 48, G_SCHED_SP = 56, M_G0 = 0 };

enum kind { K_EMPTY, K_GO, K_NATIVE, K_VDSO, K_ANON, K_UNMAPPED };

struct pc_info { /* what is known of one address; 20 bytes */
	uint32_t pc_lo, pc_hi;
	uint32_t version; /* of the space it was looked up in, its low half */
	int32_t delta;    /* Go: pcsp at pc itself; with has_frame */
	uint8_t kind;
	uint8_t special;
	uint8_t flags;
	bool has_call : 1;   /* after_call was looked up: see is_after_call */
	bool after_call : 1; /* the bytes before pc + 1 are a call: pc + 1 can be a return address
			      */
	bool has_frame : 1;  /* delta and saves_bp were looked up: see frame_info */
	bool saves_bp : 1;   /* the instruction at pc stores BP to the frame: it is not there yet */
};

struct pc_set { /* one cache line: what is known of the addresses of one hash */
	_Alignas(64) struct pc_info way[SET_WAYS];
	uint32_t next; /* way to give up */
};
_Static_assert(sizeof(struct pc_set) == 64, "a set is a cache line");

struct near_func {        /* the function last met in a piece of text; direct-mapped */
	uint64_t version; /* of its space; 0 is none's */
	struct uw_go_func f;
};

struct uw_walker {
	struct pc_set cache[1 << SET_BITS];
	/*
	 * Callers to which no rule applies: Go text, after a call, neither special nor flagged. The
	 * low halves of their lookup addresses, of one space: nearly all frames of nearly all
	 * stacks are told by four bytes.
	 */
	uint32_t plain[1 << PLAIN_BITS];
	uint64_t plain_version;
	struct near_func funcs[1 << FUNC_BITS];
	unsigned int patience; /* pauses that are left */
	struct uw_walk_stats stats;
	struct uw_cfi *cfi;
	uint64_t cfi_version;
	struct uw_space *space; /* of the walk under way */
};

/* --- what an address is ---------------------------------------------------------- */

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

/*
 * uw_go_func_at by the functions met before: an interrupted address is mostly new, its function
 * seldom. Three reads of tables that lie in no cache are saved.
 */
static bool func_at(struct uw_walker *w, uint64_t pc, struct uw_go_func *ret)
{
	const struct uw_space *s = w->space;
	uint64_t h = pc / FUNC_SPAN * 0x9e3779b97f4a7c15ull, at = pc - s->go_bias;
	struct near_func *n = &w->funcs[h >> (64 - FUNC_BITS)];

	if (n->version != s->version || at < n->f.entry || at >= n->f.end) {
		struct uw_go_func f;

		if (!uw_go_func_at(s->go, at, &f))
			return false;
		*n = (struct near_func){s->version, f};
	}
	*ret = n->f;
	return true;
}

/* Where it finds K_GO, *f is the function. */
static void look_up(struct uw_walker *w, uint64_t pc, struct pc_info *i, struct uw_go_func *f)
{
	struct uw_space *s = w->space;
	struct uw_mapping *m = uw_space_at(s, pc);
	const struct uw_elf *elf = NULL;
	struct uw_go *go;
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
	go = uw_space_go(s);
	if (go && pc >= s->go_lo && pc < s->go_hi && func_at(w, pc, f)) {
		i->kind = K_GO;
		i->special = (uint8_t)f->special;
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
static struct pc_info *info(struct uw_walker *w, uint64_t pc)
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
static bool is_after_call(struct uw_walker *w, struct pc_info *i)
{
	const struct uw_elf *elf;
	struct uw_mapping *m;
	const uint8_t *code;
	uint64_t bias;
	size_t n;

	if (i->has_call)
		return i->after_call;
	i->has_call = true;
	m = uw_space_at(w->space, pc_of(i));
	if (m && uw_space_elf(w->space, m, &elf, &bias)) {
		code = code_before(elf, pc_of(i) + 1 - bias, &n);
		i->after_call = code && ends_in_call(code, n);
	}
	return i->after_call;
}

/* The same with what only a leaf, or a walk by pcsp, asks for. */
static const struct pc_info *frame_info(struct uw_walker *w, uint64_t pc)
{
	bool fresh;
	struct pc_info *i = slot_of(w, pc, &fresh);
	struct uw_space *s = w->space;
	const struct uw_elf *elf;
	struct uw_mapping *m;
	struct uw_go_func f;
	uint64_t bias;

	if (fresh)
		look_up(w, pc, i, &f);
	if (i->kind != K_GO || i->has_frame || (!fresh && !func_at(w, pc, &f)))
		return i;
	i->has_frame = true;
	i->delta = uw_go_sp_delta(s->go, &f, pc - s->go_bias);
	if (uw_go_minor(s->go) > 20)
		return i;
	m = uw_space_at(s, pc);
	i->saves_bp = m && uw_space_elf(s, m, &elf, &bias) && is_bp_save(elf, pc - bias);
	return i;
}

/* --- C frames -------------------------------------------------------------------- */

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

/* --- a walk under way ------------------------------------------------------------ */

struct walk {
	struct uw_walker *w;
	const struct uw_sample *s;
	uint64_t *pcs;
	size_t n, max;
	bool callback; /* the frame pushed last is runtime.cgocallback */
	bool exact;    /* the next caller was interrupted, not calling: its pc is meant as it is */
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

/* Takes one caller, given as return address. STEP_DONE sets *end. */
static enum step take_caller(struct walk *k, uint64_t ret, enum uw_end *end)
{
	uint64_t pc = lookup_pc(k, ret);
	struct pc_info *i;

	if (!k->exact && is_plain(k->w, pc)) {
		if (push(k, pc))
			return STEP_ON;
		*end = UW_END_TRUNCATED;
		return STEP_DONE;
	}
	i = info(k->w, pc);

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
	if (!k->exact && !is_after_call(k->w, i)) {
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
	case UW_GO_CGOCALLBACK:
		k->callback = true;
		break;
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

/* The chain is used up and no root was seen. */
static enum uw_end chain_end(const struct walk *k)
{
	const struct pc_info *last = info(k->w, k->pcs[k->n - 1]);

	if (last->kind == K_GO && last->special == UW_GO_MORESTACK)
		return UW_END_SWITCH;
	return k->s->chain_full ? UW_END_TRUNCATED : UW_END_UNKNOWN;
}

static enum uw_end resume_callback(struct walk *k);

static enum uw_end follow_chain(struct walk *k, size_t from)
{
	enum uw_end end;

	for (size_t j = from; j < k->s->nchain; j++) {
		if (take_caller(k, k->s->chain[j], &end) == STEP_DONE)
			return end;
		if (k->callback)
			return resume_callback(k);
	}
	return chain_end(k);
}

/* A word of the stack as it was: from the copy. With `live`, beyond the copy as it is now. */
static bool word(const struct walk *k, uint64_t addr, bool live, uint64_t *ret)
{
	if (addr & 7)
		return false;
	return stack_word(k, addr, ret) ||
	       (live && uw_read_u64(&k->w->space->live, addr, ret) == 0);
}

/* The direct call that ends at ret: its target, or 0 when the call is indirect. */
static uint64_t target_of(const struct walk *k, uint64_t ret)
{
	struct uw_mapping *m = uw_space_at(k->w->space, ret - 1);
	const struct uw_elf *elf;
	const uint8_t *p;
	uint64_t bias;
	int32_t rel;

	if (!m || !uw_space_elf(k->w->space, m, &elf, &bias))
		return 0;
	p = uw_elf_at(elf, ret - 5 - bias, 5);
	if (!p || p[0] != 0xe8)
		return 0;
	memcpy(&rel, p + 1, 4);
	return ret + (uint64_t)(int64_t)rel;
}

/*
 * Does the code say that ret can be where the function last pushed returns to? A direct call must
 * name it. asmcgocall is called directly, by runtime.cgocall; in go1.20 and older it has no frame,
 * so that the chain gives the caller of runtime.cgocall (which uw_repair puts back).
 */
static bool call_fits(const struct walk *k, uint64_t ret)
{
	const struct pc_info *callee = info(k->w, k->pcs[k->n - 1]);
	bool from_c = callee->special == UW_GO_ASMCGOCALL;
	struct uw_space *s = k->w->space;
	struct uw_go_func f;
	uint64_t target;

	if (callee->kind != K_GO || !uw_go_func_at(s->go, k->pcs[k->n - 1] - s->go_bias, &f))
		return false;
	target = target_of(k, ret);
	if (target == f.entry + s->go_bias)
		return true;
	if (target == 0)
		return !from_c;
	return from_c && uw_go_func_at(s->go, target - s->go_bias, &f) &&
	       !strcmp(uw_go_func_name(s->go, &f), "runtime.cgocall");
}

/* Follows frame pointers from the frame at bp, through the stack copy. */
static enum uw_end follow_fp(struct walk *k, uint64_t bp)
{
	enum uw_end end;

	for (size_t j = 0; j < MAX_LIVE_FRAMES; j++) {
		uint64_t next, ret;

		if (bp == 0)
			return chain_end(k);
		if (!word(k, bp, false, &next) || !word(k, bp + 8, false, &ret))
			return UW_END_NO_MEM;
		if (take_caller(k, ret, &end) == STEP_DONE)
			return end;
		if (next != 0 && next <= bp)
			return UW_END_UNKNOWN;
		bp = next;
	}
	return UW_END_TRUNCATED;
}

/*
 * The same from live memory, some time after the sample: believed only when every step is a call
 * that the code has, all of it is Go, and it reaches a root; else it is taken back.
 */
static enum uw_end follow_live_once(struct walk *k, uint64_t bp)
{
	enum uw_end end = UW_END_NO_MEM;

	for (size_t j = 0; j < MAX_LIVE_FRAMES; j++) {
		uint64_t next, ret;

		if (!word(k, bp, true, &next) || !word(k, bp + 8, true, &ret))
			return UW_END_NO_MEM;
		if (info(k->w, ret - 1)->special != UW_GO_GOEXIT && !call_fits(k, ret))
			return UW_END_NO_MEM;
		if (take_caller(k, ret, &end) == STEP_DONE)
			return end;
		if (next <= bp)
			return UW_END_NO_MEM;
		bp = next;
	}
	return UW_END_NO_MEM;
}

/*
 * Does the Go stub whose call of runtime.cgocall is at pc (its frame is the first below asmcgocall
 * that is not runtime.cgocall) pass the C function that holds c_pc? The stub loads it from a
 * variable. True also where the code doesn't tell.
 */
static bool stub_fits(struct walk *k, size_t from, uint64_t c_pc)
{
	struct uw_space *s = k->w->space;
	struct uw_cfi *cfi = cfi_of(k->w);
	const struct uw_elf *elf;
	struct uw_go_func f;
	struct uw_mapping *m;
	uint64_t bias, at, function = cfi ? uw_cfi_function(cfi, c_pc) : 0;
	bool told = false;

	while (from < k->n && uw_go_func_at(s->go, k->pcs[from] - s->go_bias, &f) &&
	       !strcmp(uw_go_func_name(s->go, &f), "runtime.cgocall"))
		from++;
	m = from < k->n ? uw_space_at(s, k->pcs[from]) : NULL;
	if (!function || !m || !uw_space_elf(s, m, &elf, &bias))
		return true;
	at = k->pcs[from] + 1 - 5 - bias; /* of the call */
	for (uint64_t i = at - 7; i + STUB_CODE > at; i--) {
		const uint8_t *p = uw_elf_at(elf, i, 7);
		uint64_t value = 0;
		int32_t rel;

		/* mov rel(%rip), reg */
		if (!p || (p[0] & 0xfb) != 0x48 || p[1] != 0x8b || (p[2] & 0xc7) != 0x05)
			continue;
		memcpy(&rel, p + 3, 4);
		if (uw_read_u64(&s->live, i + 7 + bias + (uint64_t)(int64_t)rel, &value) < 0 ||
		    info(k->w, value)->kind != K_NATIVE)
			continue;
		if (value == function)
			return true;
		told = true;
	}
	return !told;
}

/*
 * A thread that calls C in a loop is back in the same call soon after it has left it. False: no
 * time is left for waiting.
 */
static bool live_pause(struct walk *k)
{
	struct timespec pause = {.tv_nsec = LIVE_PAUSE_NS};

	if (k->w->patience == 0)
		return false;
	k->w->patience--;
	nanosleep(&pause, NULL);
	return true;
}

static enum uw_end follow_live(struct walk *k, uint64_t bp, uint64_t c_pc)
{
	size_t n = k->n;

	k->w->stats.live_wanted++;
	for (int try = 0; try == 0 || (try < LIVE_TRIES && live_pause(k)); try++) {
		if (follow_live_once(k, bp) == UW_END_ROOT && stub_fits(k, n, c_pc)) {
			k->w->stats.live++;
			return UW_END_ROOT;
		}
		k->n = n;
		k->exact = false;
	}
	return UW_END_NO_MEM;
}

/* --- Go called by C -------------------------------------------------------------- */

/*
 * Where C called back into Go, the chain of frame pointers runs through C frames that need not
 * have any. The goroutine's own stack is contiguous: its frames are found by pcsp alone, as Go's
 * traceback does, first down to runtime.cgocallback, then, below it, those that had called C. The C
 * frames between lie on the thread's stack, which stands still as long as the callback runs.
 */
struct go_frame {
	uint64_t pc, sp; /* pc as it is, not the lookup address */
};

static bool go_step(struct walk *k, struct go_frame *f, bool live, uint64_t *saved_bp)
{
	const struct pc_info *i = frame_info(k->w, f->pc);
	uint64_t cfa = f->sp + (uint64_t)i->delta + 8;

	if (i->kind != K_GO || i->delta < 0)
		return false;
	*saved_bp = 0;
	if (i->delta >= 8)
		word(k, cfa - 16, live, saved_bp);
	if (!word(k, cfa - 8, live, &f->pc))
		return false;
	f->sp = cfa;
	return true;
}

/*
 * The registers of the C code that called crosscall2, whose frame at its call of cgocallback begins
 * at sp. It keeps the registers that C wants back right above the three arguments of that call:
 * BX, R12 to R15, BP (src/runtime/cgo/asm_amd64.s, go1.16 to go1.27). From go1.21 on it has a frame
 * pointer of its own, so that the word for BP is its, which leads to C's.
 */
static bool crosscall_regs(struct walk *k, uint64_t ret, uint64_t sp, struct uw_regs *r)
{
	const struct uw_mem *live = &k->w->space->live;
	const struct pc_info *i = frame_info(k->w, ret);
	uint64_t saved[6];

	if (i->kind != K_GO || i->delta < 72 || i->delta > 256)
		return false;
	r->sp = sp + (uint64_t)i->delta + 8;
	if (uw_read(live, sp + 24, saved, sizeof saved) < 0 ||
	    uw_read_u64(live, r->sp - 8, &r->ip) < 0)
		return false;
	if (saved[5] == r->sp - 16 && uw_read_u64(live, r->sp - 16, &saved[5]) < 0)
		return false;
	r->bx = saved[0];
	r->r12 = saved[1];
	r->r13 = saved[2];
	r->r14 = saved[3];
	r->r15 = saved[4];
	r->bp = saved[5];
	return true;
}

/* The C frames of a callback: from crosscall2, which C called, down to asmcgocall. */
static bool callback_c_frames(struct walk *k, uint64_t bp)
{
	const struct uw_mem *live = &k->w->space->live;
	struct uw_cfi *cfi = cfi_of(k->w);
	uint64_t frame[2], pcs[MAX_C_FRAMES];
	struct uw_regs r = {0};
	size_t n = 0;

	if (!cfi || bp == 0 || uw_read(live, bp, frame, sizeof frame) < 0 ||
	    !is_after_call(k->w, info(k->w, frame[1] - 1)) ||
	    !crosscall_regs(k, frame[1], bp + 16, &r) || !is_after_call(k->w, info(k->w, r.ip - 1)))
		return false;
	if (!push(k, frame[1] - 1) ||
	    uw_cfi_walk(cfi, &r, live, pcs, MAX_C_FRAMES, &n) != UW_CFI_STOPPED)
		return false;
	for (size_t j = 0; j < n; j++) {
		if (!push(k, pcs[j] - 1))
			return false;
	}
	return info(k->w, r.ip - 1)->special == UW_GO_ASMCGOCALL && push(k, r.ip - 1);
}

/*
 * While a callback runs, the thread's g0 remembers where on C's stack cgocallback left it: two
 * words below its frame pointer in go1.16 to go1.27. g is in R14 at the leaf (go1.17+).
 */
static bool callback_runs(struct walk *k, uint64_t bp)
{
	const struct uw_mem *live = &k->w->space->live;
	uint64_t m, g0, sp;

	return uw_read_u64(live, k->s->regs->r14 + G_M, &m) == 0 &&
	       uw_read_u64(live, m + M_G0, &g0) == 0 &&
	       uw_read_u64(live, g0 + G_SCHED_SP, &sp) == 0 && sp <= bp && bp - sp <= 32;
}

/* The frames of Go below the callback, up to the root; the first one is runtime.cgocall's. */
static enum uw_end callback_go_frames(struct walk *k, struct go_frame f)
{
	enum uw_end end;
	uint64_t unused;

	/* systemstack_switch stands for where asmcgocall had left the goroutine's stack. */
	if (!go_step(k, &f, true, &unused) || !go_step(k, &f, true, &unused))
		return UW_END_NO_MEM;
	for (size_t j = 0; j < MAX_LIVE_FRAMES; j++) {
		if (take_caller(k, f.pc, &end) == STEP_DONE)
			return end;
		if (info(k->w, f.pc)->special == UW_GO_CGOCALLBACK ||
		    !go_step(k, &f, true, &unused))
			return UW_END_NO_MEM;
	}
	return UW_END_TRUNCATED;
}

/* Goes on below runtime.cgocallback, whose frame is f; c_bp is the frame pointer on C's stack. */
static enum uw_end below_callback(struct walk *k, const struct go_frame *f, uint64_t c_bp)
{
	size_t n = k->n, c_end;
	enum uw_end end;

	for (int try = 0; try == 0 || (try < LIVE_TRIES && live_pause(k)); try++) {
		k->n = n;
		if (callback_runs(k, c_bp) && callback_c_frames(k, c_bp)) {
			c_end = k->n;
			end = callback_go_frames(k, *f);
			if (callback_runs(k, c_bp) && stub_fits(k, c_end, k->pcs[c_end - 2])) {
				k->w->stats.live++;
				return end;
			}
		}
	}
	k->n = n;
	if (!push(k, 0)) /* C frames that nobody could tell */
		return UW_END_TRUNCATED;
	return callback_go_frames(k, *f);
}

/* The chain has reached runtime.cgocallback: finds its frame from the leaf on. */
static enum uw_end resume_callback(struct walk *k)
{
	struct go_frame f = {k->s->regs->ip, k->s->regs->sp};
	uint64_t saved_bp = 0;

	k->callback = false;
	k->w->stats.live_wanted++;
	for (size_t j = 0; j < MAX_LIVE_FRAMES; j++) {
		const struct pc_info *i = info(k->w, f.pc);

		if (i->special == UW_GO_CGOCALLBACK)
			return below_callback(k, &f, saved_bp);
		if ((i->flags & UW_GO_SPWRITE) || !go_step(k, &f, true, &saved_bp))
			break;
	}
	return UW_END_NO_MEM;
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
	    leaf->special == UW_GO_RT0 || leaf->special == UW_GO_SIGTRAMP ||
	    leaf->special == UW_GO_SIGRETURN || (leaf->flags & UW_GO_TOPFRAME))
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
		return follow_fp(k, saved);
	return follow_chain(k, from);
}

/* --- a leaf outside of Go -------------------------------------------------------- */

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
	return follow_live(k, r->bp, k->n > 1 ? k->pcs[k->n - 2] : 0);
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
	leaf = *frame_info(w, sample->regs->ip);
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

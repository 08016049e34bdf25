/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <time.h>

#include "walk_parts.h"

enum {
	STUB_CODE = 96,      /* bytes before a stub's call that are looked at */
	MAX_CROSSCALL = 256, /* bytes of crosscall2's frame */
	LIVE_PAUSE_NS = 50000,
};

uint64_t walk_target_of(struct uw_space *s, uint64_t ret)
{
	struct uw_mapping *m = uw_space_at(s, ret - 1);
	const struct uw_elf *elf;
	const uint8_t *p;
	uint64_t bias;

	if (!m || !uw_space_elf(s, m, &elf, &bias))
		return 0;
	p = uw_elf_at(elf, ret - s->arch->call_len - bias, s->arch->call_len);
	return p ? s->arch->call_target(p, ret) : 0;
}

/*
 * A direct call must name the callee. asmcgocall is called directly, by runtime.cgocall; in go1.20
 * and older it has no frame, so that the chain gives the caller of runtime.cgocall (which uw_repair
 * puts back).
 */
bool walk_call_fits(const struct walk *k, uint64_t ret)
{
	const struct pc_info *callee = walk_info(k->w, k->pcs[k->n - 1]);
	bool from_c = callee->special == UW_GO_ASMCGOCALL;
	const struct uw_go_module *mod;
	struct uw_go_func f;
	uint64_t target;

	if (k->exact || k->pcs[k->n - 1] == 0)
		return true; /* interrupted, not called; or what was called is not known */
	if (walk_info(k->w, ret - 1)->special == UW_GO_GOEXIT)
		return true;
	callee = walk_info(k->w, k->pcs[k->n - 1]);
	mod = uw_space_go_at(k->w->space, k->pcs[k->n - 1]);
	if (callee->kind != K_GO || !mod ||
	    !uw_go_func_at(mod->go, k->pcs[k->n - 1] - mod->bias, &f))
		return false;
	target = walk_target_of(k->w->space, ret);
	if (target == f.entry + mod->bias)
		return true;
	if (target == 0)
		return !from_c;
	return from_c && uw_go_func_at(mod->go, target - mod->bias, &f) &&
	       !strcmp(uw_go_func_name(mod->go, &f), "runtime.cgocall");
}

/* All references are asked for. */
static bool any_target(void *ctx, uint64_t target)
{
	(void)ctx;
	(void)target;
	return true;
}

/*
 * Does the Go stub whose call of runtime.cgocall is at pc (its frame is the first below asmcgocall
 * that is not runtime.cgocall) pass the C function that holds c_pc? The stub loads it from a
 * variable. True also where the code doesn't show it.
 */
static bool stub_fits(struct walk *k, size_t from, uint64_t c_pc)
{
	struct uw_space *s = k->w->space;
	struct uw_cfi *cfi = walk_cfi(k->w);
	const struct uw_go_module *mod;
	const struct uw_elf *elf;
	struct uw_go_func f;
	struct uw_ref_filter all = {.wanted = any_target};
	struct uw_ref refs[STUB_CODE];
	struct uw_mapping *m;
	uint64_t bias, at, code, function = cfi ? uw_cfi_function(cfi, c_pc) : 0;
	bool loads_other = false;
	const uint8_t *p;
	size_t n;

	while (from < k->n && (mod = uw_space_go_at(s, k->pcs[from])) &&
	       uw_go_func_at(mod->go, k->pcs[from] - mod->bias, &f) &&
	       !strcmp(uw_go_func_name(mod->go, &f), "runtime.cgocall"))
		from++;
	m = from < k->n ? uw_space_at(s, k->pcs[from]) : NULL;
	if (!function || !m || !uw_space_elf(s, m, &elf, &bias))
		return true;
	at = k->pcs[from] + 1 - s->arch->call_len - bias; /* of the call */
	code = at - f.entry > STUB_CODE ? at - STUB_CODE : f.entry;
	p = uw_elf_at(elf, code, at - code);
	n = p ? uw_code_refs(s->arch->machine, p, at - code, code, &all, refs, STUB_CODE) : 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t value = 0;

		if (refs[i].kind != UW_REF_LOAD || refs[i].width != sizeof value ||
		    uw_read_u64(&s->live, refs[i].target + bias, &value) < 0 ||
		    walk_info(k->w, value)->kind != K_NATIVE)
			continue;
		if (value == function)
			return true;
		loads_other = true;
	}
	return !loads_other;
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

enum uw_end walk_go_below_c(struct walk *k, uint64_t bp, uint64_t c_pc)
{
	size_t n = k->n, sure = k->sure;
	bool lived = k->lived;
	enum uw_end end;

	for (int try = 0; try == 0 || (try < LIVE_TRIES && live_pause(k)); try++) {
		walk_back_to(k, n, lived);
		end = walk_follow_fp(k, bp);
		if (!k->lived || (end == UW_END_ROOT && stub_fits(k, n, c_pc)))
			return end;
		walk_forget(k);
	}
	k->lived = true;
	k->sure = lived ? sure : n;
	return walk_ends(k, UW_END_NO_MEM, "Go's frames below C have moved on, from frame pointer",
			 bp);
}

/* --- Go by pcsp ------------------------------------------------------------------ */

bool walk_go_step(struct walk *k, struct go_frame *f)
{
	const struct pc_info *i = walk_frame_info(k->w, f->pc);
	uint64_t cfa = f->sp + (uint64_t)i->delta + 8;

	if (i->kind != K_GO || i->delta < 0)
		return false;
	f->bp = 0;
	if (i->delta >= 8)
		walk_word(k, cfa - 16, &f->bp);
	if (!walk_word(k, cfa - 8, &f->pc))
		return false;
	f->sp = cfa;
	return true;
}

enum uw_end walk_go_frames(struct walk *k, struct go_frame f)
{
	enum uw_end end;

	for (size_t j = 0; j < MAX_FRAMES; j++) {
		if (k->lived && !walk_call_fits(k, f.pc))
			return walk_ends(k, UW_END_NO_MEM, "the code has no such call before",
					 f.pc);
		if (walk_take_caller(k, f.pc, &end) == STEP_DONE)
			return end;
		if (k->morestack || (walk_info(k->w, f.pc)->flags & UW_GO_SPWRITE))
			return walk_ends(k, UW_END_NO_MEM, "the stack is switched in", f.pc);
		if (k->callback)
			return walk_callback_at(k, &f);
		if (!walk_go_step(k, &f))
			return walk_ends(k, UW_END_NO_MEM, "no return address for", f.pc);
	}
	return walk_ends(k, UW_END_TRUNCATED, "too many frames", f.pc);
}

/* --- Go called by C -------------------------------------------------------------- */

/*
 * Where C called back into Go, the chain of frame pointers runs through C frames that need not
 * have any. The goroutine's own stack is contiguous: its frames are found by pcsp alone, as Go's
 * traceback does, first down to runtime.cgocallback, then, below it, those that called C. The C
 * frames between lie on the thread's stack, which stands still as long as the callback runs.
 */

/*
 * The registers of the C code that called crosscall2, whose frame at its call of cgocallback begins
 * at sp (struct uw_crosscall). From go1.21 on it has a frame pointer of its own, so that the word
 * for BP is its, which leads to C's.
 */
static bool crosscall_regs(struct walk *k, uint64_t ret, uint64_t sp, struct uw_regs *r)
{
	const struct pc_info *i = walk_frame_info(k->w, ret);
	const struct uw_crosscall *c = k->w->space->arch->crosscall;
	uint64_t saved[UW_SLOTS], slots[UW_SLOTS] = {0}, ip, end;

	if (i->kind != K_GO || !c || i->delta < c->at + 8 * c->n || i->delta > MAX_CROSSCALL)
		return false;
	end = sp + (uint64_t)i->delta + 8;
	if (!walk_read(k, sp + c->at, saved, c->n * sizeof *saved) || !walk_word(k, end - 8, &ip))
		return false;
	for (size_t j = 0; j < c->n; j++)
		slots[c->slot[j]] = saved[j];
	if (slots[UW_BP] == end - 16 && !walk_word(k, end - 16, &slots[UW_BP]))
		return false;
	memcpy(r, slots, sizeof *r);
	r->sp = end;
	r->ip = ip;
	return true;
}

/* The C frames of a callback: from crosscall2, which C called, down to asmcgocall. */
static bool callback_c_frames(struct walk *k, uint64_t bp)
{
	struct uw_mem mem = walk_mem(k);
	struct uw_cfi *cfi = walk_cfi(k->w);
	uint64_t frame[2], pcs[MAX_C_FRAMES];
	struct uw_regs r = {0};
	size_t n = 0;

	if (!cfi || bp == 0 || !walk_read(k, bp, frame, sizeof frame) ||
	    !walk_is_after_call(k->w, walk_info(k->w, frame[1] - 1)) ||
	    !crosscall_regs(k, frame[1], bp + 16, &r) ||
	    !walk_is_after_call(k->w, walk_info(k->w, r.ip - 1)))
		return false;
	if (!walk_push(k, frame[1] - 1) ||
	    uw_cfi_walk(cfi, &r, &mem, pcs, MAX_C_FRAMES, &n) != UW_CFI_STOPPED)
		return false;
	if (!walk_push_c(k, pcs, n))
		return false;
	return walk_info(k->w, r.ip - 1)->special == UW_GO_ASMCGOCALL && walk_push(k, r.ip - 1);
}

/*
 * While a callback runs, the thread's g0 remembers where on C's stack cgocallback left it: two
 * words below its frame pointer in go1.16 to go1.27.
 */
static bool callback_runs(struct walk *k, uint64_t bp)
{
	struct walk_thread t;
	uint64_t sp;

	return walk_thread_of(k, &t) && walk_word(k, t.g0 + t.l->g.sched + t.l->gobuf.sp, &sp) &&
	       sp <= bp && bp - sp <= 32;
}

/* The frames of Go below the callback, up to the root; the first one is runtime.cgocall's. */
static enum uw_end callback_go_frames(struct walk *k, struct go_frame f)
{
	/* systemstack_switch marks where asmcgocall left the goroutine's stack. */
	if (!walk_go_step(k, &f) || !walk_go_step(k, &f))
		return walk_ends(k, UW_END_NO_MEM, "no return address for", f.pc);
	return walk_go_frames(k, f);
}

/* Below runtime.cgocallback, whose frame is f; f->bp is the frame pointer on C's stack. */
enum uw_end walk_callback_at(struct walk *k, const struct go_frame *f)
{
	size_t n = k->n, c_end;
	bool lived = k->lived;
	enum uw_end end;

	k->callback = false;
	for (int try = 0; try == 0 || (try < LIVE_TRIES && live_pause(k)); try++) {
		walk_back_to(k, n, lived);
		if (callback_runs(k, f->bp) && callback_c_frames(k, f->bp)) {
			c_end = k->n;
			end = callback_go_frames(k, *f);
			if (!k->lived)
				return end;
			walk_forget(k);
			if (callback_runs(k, f->bp) && stub_fits(k, c_end, k->pcs[c_end - 2]))
				return end;
		}
		walk_forget(k);
	}
	walk_back_to(k, n, lived);
	if (!walk_push(k, 0)) /* C frames that could not be recovered */
		return walk_ends(k, UW_END_TRUNCATED, "more frames than the caller takes", f->pc);
	k->gap = true;
	return callback_go_frames(k, *f);
}

/* Finds the frame of runtime.cgocallback from the leaf on. */
enum uw_end walk_callback(struct walk *k)
{
	struct go_frame f = {.pc = k->s->regs->ip, .sp = k->s->regs->sp};

	k->callback = false;
	for (size_t j = 0; j < MAX_FRAMES; j++) {
		const struct pc_info *i = walk_info(k->w, f.pc);

		if (i->special == UW_GO_CGOCALLBACK)
			return walk_callback_at(k, &f);
		if ((i->flags & UW_GO_SPWRITE) || !walk_go_step(k, &f))
			break;
	}
	walk_note_live(k);
	return walk_ends(k, UW_END_NO_MEM, "the frame of cgocallback was not found from", f.pc);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks that go on elsewhere. runtime.morestack leaves the stack of a goroutine that has to grow
 * and calls newstack on the thread's own: Go's traceback goes on at the goroutine, at the function
 * that grows, and so does this.
 *
 * Where the goroutine was says g.sched, which lasts some microseconds. As pieces it is exact. Else
 * there is what the stack copy has, exact as well: newstack keeps a copy of m.morebuf, which names
 * the caller of the function that grows (of go1.16 to go1.27), and copystack keeps where the old
 * stack ends, where the new one does, and how much is in use. Only the callers are then read from
 * live memory, from the new stack or from the old one.
 */
#include <string.h>

#include "walk_parts.h"

enum {
	GROWTH_BYTES = 0x800, /* of the frames of newstack and what it calls */
	GROWTH_WORDS = GROWTH_BYTES / 8,
	STACK_ALIGN = 2048, /* ends of Go's stacks */
};
#define MIN_POINTER (1ull << 16)
#define MAX_POINTER (1ull << 47)
#define MAX_USED    (1ull << 30)

/* The g of the sample: of the thread's own storage where that is known. */
static uint64_t walk_g(const struct walk *k)
{
	return k->s->g ? k->s->g : uw_regs_g(k->s->regs);
}

bool walk_thread_of(struct walk *k, struct walk_thread *ret)
{
	struct uw_go *go = uw_space_go(k->w->space);
	const struct uw_golayout *l = go ? uw_go_layout(go) : NULL;

	if (!l)
		return false;
	*ret = (struct walk_thread){.l = l, .g = walk_g(k)};
	return walk_word(k, ret->g + l->g.m, &ret->m) && walk_word(k, ret->m + l->m.g0, &ret->g0) &&
	       walk_word(k, ret->m + l->m.curg, &ret->curg) &&
	       (ret->g == ret->g0 || ret->g == ret->curg);
}

/* --- the function that grows ----------------------------------------------------- */

static bool calls_morestack(struct walk *k, uint64_t ret)
{
	uint64_t target = walk_target_of(k->w->space, ret);
	const struct pc_info *i = target ? walk_info(k->w, target) : NULL;

	return i && i->kind == K_GO &&
	       (i->special == UW_GO_MORESTACK || i->special == WALK_MORESTACK_NOCTXT);
}

/* Where the function at `entry` calls morestack: at its end, as a return address; or 0. */
static uint64_t morestack_call(struct walk *k, uint64_t entry)
{
	const struct uw_go_module *mod = uw_space_go_at(k->w->space, entry);
	uint64_t call = k->w->space->arch->call_len;
	struct uw_go_func f;

	if (!mod || !walk_func_at(k->w, entry, &f) || f.entry != entry - mod->bias)
		return 0;
	for (uint64_t end = f.end + mod->bias; end >= entry + call; end--) {
		uint64_t target = walk_target_of(k->w->space, end);

		if (target && target % 16 == 0 && calls_morestack(k, end))
			return end;
	}
	return 0;
}

/* Has the scheduler taken the goroutine from the thread? Then Go's own ends here, too. */
static bool is_dropped(const struct walk *k)
{
	const struct uw_space *s = k->w->space;
	struct uw_go_func f;

	for (size_t i = 0; i < k->n; i++) {
		const struct uw_go_module *mod = uw_space_go_at(s, k->pcs[i]);

		if (mod && uw_go_func_at(mod->go, k->pcs[i] - mod->bias, &f) &&
		    !strcmp(uw_go_func_name(mod->go, &f), "runtime.schedule"))
			return true;
	}
	return false;
}

/* --- by pieces ------------------------------------------------------------------- */

static bool exact_sched(struct walk *k, struct go_frame *f)
{
	const struct uw_golayout *l = uw_go_layout(walk_runtime(k));
	uint64_t g = walk_g(k), m, curg, of;

	return k->s->npieces > 0 && walk_exact_word(k, g + l->g.m, &m) &&
	       walk_exact_word(k, m + l->m.curg, &curg) && curg != 0 &&
	       walk_exact_word(k, curg + l->g.m, &of) && of == m &&
	       walk_exact_word(k, curg + l->g.sched + l->gobuf.sp, &f->sp) && f->sp != 0 &&
	       walk_exact_word(k, curg + l->g.sched + l->gobuf.pc, &f->pc);
}

/* --- by what newstack keeps ------------------------------------------------------ */

struct growth {
	uint64_t sp, pc, g; /* of m.morebuf: of the caller of the function that grows */
	uint64_t grows;     /* that function, as the return address of its call of morestack */
	uint64_t words[GROWTH_WORDS];
	size_t n;
};

/* The stack copy up to the call of newstack, which returns to `ret`. */
static bool growth_words(struct walk *k, uint64_t ret, struct growth *w)
{
	uint64_t at = k->s->regs->sp, v;
	uint64_t from;

	while (walk_exact_word(k, at, &v) && v != ret)
		at += 8;
	if (!walk_exact_word(k, at, &v))
		return false;
	from = at - k->s->regs->sp > GROWTH_BYTES ? at - GROWTH_BYTES : k->s->regs->sp;
	for (w->n = 0; from < at; from += 8)
		walk_exact_word(k, from, &w->words[w->n++]);
	return true;
}

static bool is_pointer(uint64_t v)
{
	return v >= MIN_POINTER && v < MAX_POINTER && v % 8 == 0;
}

static size_t count(const struct growth *w, uint64_t v)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->words[i] == v;
	return n;
}

/*
 * The function that grows, as the return address of its call of morestack: that which its caller
 * calls; where the call is indirect, the one that g.sched still names.
 */
static uint64_t growing(struct walk *k, uint64_t caller, uint64_t g)
{
	const struct uw_golayout *l = uw_go_layout(walk_runtime(k));
	uint64_t target = walk_target_of(k->w->space, caller), pc;

	if (target)
		return morestack_call(k, target);
	return walk_word(k, g + l->g.sched + l->gobuf.pc, &pc) && calls_morestack(k, pc) ? pc : 0;
}

/*
 * Where the thread's own stack ends. It stays as it is, so that live memory is as good as any. What
 * the copy holds where that is unknown.
 */
static uint64_t own_stack_end(struct walk *k)
{
	const struct uw_golayout *l = uw_go_layout(walk_runtime(k));
	uint64_t g = walk_g(k), sp = k->s->regs->sp, stack[2];

	if (!walk_exact(k, g + l->g.stack, stack, sizeof stack) &&
	    uw_read(&k->w->space->live, g + l->g.stack, stack, sizeof stack) < 0)
		return sp + k->s->stack_len;
	return stack[0] <= sp && sp < stack[1] ? stack[1] : sp + k->s->stack_len;
}

/*
 * newstack's frame is `frame` bytes, the last of the words. In it lie sp, pc and g in a row; g also
 * by itself, and not everything else there is of this call.
 */
static bool find_morebuf(struct walk *k, size_t frame, struct growth *w)
{
	size_t from = w->n > frame / 8 ? w->n - frame / 8 : 0;
	uint64_t lo = k->s->regs->sp, hi = own_stack_end(k);

	for (size_t i = from; i + 3 <= w->n; i++) {
		const uint64_t *v = &w->words[i];
		struct pc_info *at;

		if (!is_pointer(v[0]) || !is_pointer(v[2]) || count(w, v[2]) < 2 ||
		    (v[0] >= lo && v[0] < hi))
			continue;
		at = walk_info(k->w, v[1] - 1);
		if (at->kind != K_GO ||
		    (at->special != UW_GO_GOEXIT && !walk_is_after_call(k->w, at)))
			continue;
		w->grows = growing(k, v[1], v[2]);
		w->sp = v[0];
		w->pc = v[1];
		w->g = v[2];
		if (w->grows)
			return true;
	}
	return false;
}

/* How much of the stack is in use: copystack keeps it, and where the old stack ended. 0: unknown */
static uint64_t used(const struct growth *w)
{
	for (size_t i = 0; i < w->n; i++) {
		uint64_t hi = w->words[i], len = hi - (w->sp - 8);

		if (hi % STACK_ALIGN == 0 && hi > w->sp && len < MAX_USED && count(w, len) > 0)
			return len;
	}
	return 0;
}

/* The callers, where the return address of the function that grows lies at `at` now. */
static bool callers_at(struct walk *k, const struct growth *w, uint64_t at, enum uw_end *end)
{
	size_t n = k->n;
	uint64_t ret;

	if (!is_pointer(at) || !walk_word(k, at, &ret) || ret != w->pc)
		return false;
	*end = walk_go_frames(k, (struct go_frame){.pc = ret, .sp = at + 8});
	if (*end == UW_END_ROOT)
		return true;
	walk_back_to(k, n, k->lived);
	return false;
}

/* On the stack that g has now, on the new one, on the old one. */
static enum uw_end find_callers(struct walk *k, const struct growth *w)
{
	const struct uw_golayout *l = uw_go_layout(walk_runtime(k));
	uint64_t len = used(w), hi, sp;
	enum uw_end end;

	if (walk_word(k, w->g + l->g.sched + l->gobuf.sp, &sp) && callers_at(k, w, sp, &end))
		return end;
	if (len && walk_word(k, w->g + l->g.stack + 8, &hi) && callers_at(k, w, hi - len, &end))
		return end;
	for (size_t i = w->n; len && i-- > 0;) {
		hi = w->words[i];
		if (is_pointer(hi) && hi % STACK_ALIGN == 0 && callers_at(k, w, hi - len, &end))
			return end;
	}
	return callers_at(k, w, w->sp - 8, &end) ? end : UW_END_NO_MEM;
}

/* Of go1.20 and older: morestack leaves BP alone, so that the chain has all callers but these. */
static enum uw_end old_morestack(struct walk *k, size_t from, bool found, const struct growth *w)
{
	size_t n = k->n;
	bool lived = k->lived;
	enum uw_end end;

	if (found && walk_push(k, w->grows - 1) && walk_call_fits(k, w->pc)) {
		if (walk_take_caller(k, w->pc, &end) == STEP_DONE)
			return end;
		return walk_follow_chain(k, from);
	}
	walk_back_to(k, n, lived);
	k->gap = true;
	return walk_push(k, 0) ? walk_follow_chain(k, from) : UW_END_TRUNCATED;
}

enum uw_end walk_morestack(struct walk *k, size_t from)
{
	uint64_t ret = k->pcs[k->n - 1] + 1;
	const struct pc_info *newstack;
	struct go_frame f;
	struct growth w;
	bool found;

	k->morestack = false;
	k->switched = true;
	k->n--;
	if (is_dropped(k))
		return UW_END_SWITCH;
	if (exact_sched(k, &f))
		return walk_go_frames(k, f);
	newstack = walk_frame_info(k->w, k->pcs[k->n - 1] + (k->n > 1));
	found = newstack->kind == K_GO && newstack->delta > 0 && growth_words(k, ret, &w) &&
		find_morebuf(k, (size_t)newstack->delta, &w);
	if (from < k->s->nchain && uw_go_layout(walk_runtime(k))->fp_skips_frameless)
		return old_morestack(k, from, found, &w);
	if (found && walk_push(k, w.grows - 1))
		return find_callers(k, &w);
	walk_note_live(k);
	return walk_ends(k, UW_END_NO_MEM, "the goroutine that grows was not found, below", ret);
}

/* Still on the goroutine's stack: the return address into the function that grows, and its own. */
enum uw_end walk_morestack_leaf(struct walk *k)
{
	uint64_t sp = k->s->regs->sp, in, ret;
	enum uw_end end;

	if (!walk_exact_word(k, sp, &in) || !calls_morestack(k, in) ||
	    !walk_exact_word(k, sp + 8, &ret))
		return walk_ends(k, UW_END_NO_MEM, "no function that grows is on the stack at", sp);
	k->w->stats.repaired++;
	if (walk_take_caller(k, in, &end) == STEP_DONE ||
	    walk_take_caller(k, ret, &end) == STEP_DONE)
		return end;
	return walk_follow_chain(k, 1);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* C frames of a walk, by cfi.h, and leaves that are not in Go. */
#include <errno.h>

#include "walk_parts.h"

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

bool walk_push_c(struct walk *k, const uint64_t *pcs, size_t n)
{
	for (size_t j = 0; j < n; j++) {
		if (!walk_push(k, pcs[j] ? pcs[j] - 1 : 0))
			return false;
		k->w->stats.gaps += pcs[j] == 0;
	}
	return true;
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
	struct walk *k = ctx;

	if (walk_exact(k, addr, buf, len))
		return 0;
	walk_note_beyond(k, addr, len);
	k->missing = addr;
	return -EFAULT;
}

static const char *cfi_why(enum uw_cfi_end end)
{
	switch (end) {
	case UW_CFI_NO_TABLE:
		return "no unwind information, and no frame pointer to trust, for";
	case UW_CFI_NO_MEM:
		return "a register was saved where nothing can be read, by";
	case UW_CFI_LIMIT:
		return "too many C frames, up to";
	case UW_CFI_BAD:
		return "damaged unwind information for";
	default:
		return NULL;
	}
}

enum uw_end walk_c_leaf(struct walk *k)
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
	walk_ends(k, UW_END_UNKNOWN, cfi_why(end), r.ip);
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
enum uw_end walk_unknown_leaf(struct walk *k, const struct pc_info *leaf)
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
	return walk_ends(k, UW_END_UNKNOWN, "the code is in no file:", k->s->regs->ip);
}

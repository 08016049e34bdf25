/* SPDX-License-Identifier: Apache-2.0 */
#include "cfi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cfi_row_parts.h"
#include "hash.h"

enum {
	ROW_BITS = 12, /* sets of rows */
	ROW_WAYS = 2,
	/* Bytes of instructions and expressions that one walk may run: thirty frames that are not
	 * in the cache take some thousand. */
	BUDGET = 1 << 16,
	MAX_SAVED = 16,      /* words of a frame that are read at once */
	MAX_FRAME = 1 << 20, /* bytes of a frame that a frame pointer is believed to span */
	STUB_BYTES = 12,     /* of a stub of the procedure linkage table */
	MAX_SIGNAL_WORDS = 32,
};

enum row_kind {
	ROW_NONE, /* not made */
	ROW_TOLD,
	ROW_UNTOLD, /* no table has the pc */
	ROW_BAD,    /* one has, but says nothing that can be used */
};

struct cached_row {
	uint64_t pc;
	uint32_t version; /* the low half is enough: see pc */
	uint8_t kind;
	struct uw_cfi_row row;
};

struct row_set {
	struct cached_row way[ROW_WAYS];
};

struct uw_cfi {
	struct uw_cfi_ops ops;
	const struct uw_arch *arch;
	uint64_t version;
	uint32_t budget; /* of the walk under way */
	const struct uw_mem *mem;
	struct row_set *rows;
	uint8_t turn; /* way to give up next */
};

/* --- rows ------------------------------------------------------------------------ */

static struct uw_eh_frame *tables_at(struct uw_cfi *c, uint64_t pc, uint64_t *bias)
{
	struct uw_eh_frame *t;

	if (!c->ops.find(c->ops.ctx, pc, &t, bias) ||
	    uw_eh_frame_elf(t)->machine != c->arch->machine)
		return NULL;
	return t;
}

static void make_row(struct uw_cfi *c, uint64_t pc, struct cached_row *r)
{
	struct uw_eh_frame *t;
	struct uw_fde fde;
	uint64_t bias;

	*r = (struct cached_row){.pc = pc, .version = (uint32_t)c->version, .kind = ROW_UNTOLD};
	t = tables_at(c, pc, &bias);
	if (t && uw_eh_frame_find(t, pc - bias, &fde))
		r->kind = uw_cfi_row_make(uw_eh_frame_elf(t), &fde, pc - bias, &c->budget, &r->row)
				  ? ROW_TOLD
				  : ROW_BAD;
}

/* The row of the instruction at pc; its absence is kept as well. Valid until the next call. */
static const struct cached_row *row_at(struct uw_cfi *c, uint64_t pc)
{
	struct row_set *s = &c->rows[uw_hash(pc, ROW_BITS)];
	struct cached_row *r;

	for (r = s->way; r < s->way + ROW_WAYS; r++) {
		if (r->pc == pc && r->version == (uint32_t)c->version && r->kind != ROW_NONE)
			return r;
	}
	r = &s->way[c->turn++ % ROW_WAYS];
	make_row(c, pc, r);
	if (c->budget == 0)
		r->kind = ROW_NONE; /* what was too much for this walk need not be for another */
	return r;
}

uint64_t uw_cfi_function(struct uw_cfi *c, uint64_t pc)
{
	struct uw_fde fde;
	uint64_t bias;
	struct uw_eh_frame *t = tables_at(c, pc, &bias);

	return t && uw_eh_frame_find(t, pc - bias, &fde) ? fde.start + bias : 0;
}

/* --- a step by a row ------------------------------------------------------------- */

static bool known(const struct uw_cfi_frame *f, size_t slot)
{
	return f->known >> slot & 1;
}

static void put(struct uw_cfi_frame *f, size_t slot, uint64_t v)
{
	f->r[slot] = v;
	f->known |= (uint8_t)(1 << slot);
}

static int evaluate(struct uw_cfi *c, const struct uw_cfi_frame *f, uint64_t pc, int32_t place,
		    const uint64_t *first, uint64_t *ret)
{
	uint64_t bias;
	struct uw_eh_frame *t = tables_at(c, pc, &bias);

	return t ? uw_cfi_eval(uw_eh_frame_elf(t), place, bias, f, first, c->mem, &c->budget, ret)
		 : -EINVAL;
}

static int find_cfa(struct uw_cfi *c, const struct uw_cfi_frame *f, uint64_t pc,
		    const struct uw_cfi_row *row, uint64_t *ret)
{
	if (row->cfa_slot == UW_SLOTS)
		return evaluate(c, f, pc, row->cfa, NULL, ret);
	if (!known(f, row->cfa_slot))
		return -EINVAL;
	*ret = f->r[row->cfa_slot] + (uint64_t)(int64_t)row->cfa;
	return 0;
}

/*
 * The words that were saved, by one read where they lie close together, as they mostly do. What
 * lies below the stack pointer has been popped already: compilers don't say that a register is
 * back, as its value, too, stays in memory.
 */
static int load_saved(struct uw_cfi *c, struct uw_cfi_frame *f, const struct uw_cfi_row *row,
		      uint64_t cfa)
{
	uint64_t sp = row->signal ? 0 : f->r[UW_SP], words[MAX_SAVED];
	int32_t low = INT32_MAX, high = INT32_MIN;
	bool block;

	for (unsigned left = row->saved; left; left &= left - 1) {
		int32_t at = row->at[__builtin_ctz(left)];

		if (cfa + (uint64_t)(int64_t)at < sp)
			continue;
		low = at < low ? at : low;
		high = at > high ? at : high;
	}
	block = low <= high && (int64_t)high - low <= (int64_t)sizeof words - 8 && c->mem &&
		uw_read(c->mem, cfa + (uint64_t)(int64_t)low, words, (size_t)(high - low) + 8) == 0;
	for (unsigned left = row->saved; left; left &= left - 1) {
		size_t i = (size_t)__builtin_ctz(left);
		uint64_t addr = cfa + (uint64_t)(int64_t)row->at[i], v = 0;

		if (addr < sp && i != UW_IP)
			continue;
		if (block && row->at[i] >= low && row->at[i] <= high)
			memcpy(&v, (const char *)words + (row->at[i] - low), sizeof v);
		else if (!c->mem || uw_read_u64(c->mem, addr, &v) < 0)
			return -EFAULT;
		put(f, i, v);
	}
	return 0;
}

static int apply_other(struct uw_cfi *c, const struct uw_cfi_frame *f, uint64_t pc,
		       const struct uw_cfi_row *row, uint64_t cfa, size_t slot, uint64_t *ret)
{
	int32_t at = row->at[slot];
	int r;

	switch (row->rule[slot]) {
	case UW_RULE_CFA:
		*ret = cfa + (uint64_t)(int64_t)at;
		return 0;
	case UW_RULE_REG:
		*ret = f->r[at];
		return known(f, (size_t)at) ? 0 : -ENODATA;
	case UW_RULE_AT:
		r = evaluate(c, f, pc, at, &cfa, ret);
		if (r == 0 && (!c->mem || uw_read_u64(c->mem, *ret, ret) < 0))
			r = -EFAULT;
		return r;
	case UW_RULE_VALUE:
		return evaluate(c, f, pc, at, &cfa, ret);
	default:
		return -ENODATA;
	}
}

/* 1: *f is the caller's frame; 0: there is none; -EFAULT, -EINVAL. */
static int step(struct uw_cfi *c, struct uw_cfi_frame *f, uint64_t pc, const struct uw_cfi_row *row)
{
	struct uw_cfi_frame next = *f;
	uint64_t cfa, v = 0;
	int r;

	if (row->rule[UW_IP] == UW_RULE_LOST)
		return 0;
	r = find_cfa(c, f, pc, row, &cfa);
	if (r == 0)
		r = load_saved(c, &next, row, cfa);
	if (r < 0)
		return r;
	for (unsigned left = row->others; left; left &= left - 1) {
		size_t i = (size_t)__builtin_ctz(left);

		r = apply_other(c, f, pc, row, cfa, i, &v);
		if (r == 0)
			put(&next, i, v);
		else if (r == -ENODATA && i != UW_IP && i != UW_SP)
			next.known &= (uint8_t) ~(1 << i);
		else
			return r == -ENODATA ? -EINVAL : r;
	}
	*f = next;
	return f->r[UW_IP] != 0;
}

/* --- a step without a table ------------------------------------------------------ */

/*
 * At the first instruction of a stub of the procedure linkage table nothing but the return address
 * is on the stack. GNU ld describes these stubs in .eh_frame, lld doesn't.
 */
static bool is_stub(const struct uw_arch *arch, const struct uw_elf *elf, uint64_t at)
{
	const uint8_t *p = uw_elf_at(elf, at, STUB_BYTES);
	bool stub = false;

	for (size_t i = 0; i < elf->nsections && !stub; i++) {
		const struct uw_section *s = &elf->sections[i];

		stub = strncmp(s->name, ".plt", 4) == 0 && at - s->vaddr < s->size;
	}
	return stub && p && arch->is_stub && arch->is_stub(p, STUB_BYTES);
}

static bool leave_stub(struct uw_cfi *c, struct uw_cfi_frame *f)
{
	uint64_t bias, ret = 0;
	struct uw_eh_frame *t = tables_at(c, f->r[UW_IP], &bias);

	if (!t || !is_stub(c->arch, uw_eh_frame_elf(t), f->r[UW_IP] - bias) || !c->mem ||
	    uw_read_u64(c->mem, f->r[UW_SP], &ret) < 0)
		return false;
	f->r[UW_IP] = ret;
	f->r[UW_SP] += 8;
	return true;
}

/* Where signal handlers return to, of a libc that doesn't describe it (struct uw_sigreturn). */
static bool leave_handler(struct uw_cfi *c, struct uw_cfi_frame *f)
{
	const struct uw_sigreturn *s = c->arch->sigreturn;
	uint64_t bias, words[MAX_SIGNAL_WORDS];
	struct uw_eh_frame *t = tables_at(c, f->r[UW_IP], &bias);
	const uint8_t *p = t && s ? uw_elf_at(uw_eh_frame_elf(t), f->r[UW_IP] - bias, s->len)
				  : NULL;

	if (!p || memcmp(p, s->code, s->len) != 0 || !c->mem || s->nwords > MAX_SIGNAL_WORDS ||
	    uw_read(c->mem, f->r[UW_SP] + s->regs, words, s->nwords * sizeof *words) < 0)
		return false;
	for (size_t i = 0; i < UW_SLOTS; i++)
		f->r[i] = words[s->word[i]];
	f->known = (1 << UW_SLOTS) - 1;
	return true;
}

/* Is it a call of the function of pc, by its symbol? */
static bool is_called(struct uw_cfi *c, enum uw_cfi_call call, uint64_t target, uint64_t pc)
{
	return call == UW_CFI_CALL_TO && target == c->ops.start(c->ops.ctx, pc);
}

/* A function that has made no frame yet, or makes none. */
static bool leave_frameless(struct uw_cfi *c, struct uw_cfi_frame *f)
{
	uint64_t ret = 0, target = 0;
	enum uw_cfi_call call;

	if (uw_read_u64(c->mem, f->r[UW_SP], &ret) < 0)
		return false;
	call = c->ops.call(c->ops.ctx, ret, &target);
	if (!is_called(c, call, target, f->r[UW_IP]))
		return false;
	f->r[UW_IP] = ret;
	f->r[UW_SP] += 8;
	return true;
}

/* *sure: the caller's code calls this one. The other registers that it saved are unknown. */
static bool leave_by_bp(struct uw_cfi *c, struct uw_cfi_frame *f, uint64_t pc, bool *sure)
{
	uint64_t bp = f->r[UW_BP], words[2], target = 0, bias;
	enum uw_cfi_call call;

	if (!known(f, UW_BP) || bp & 7 || bp < f->r[UW_SP] || bp - f->r[UW_SP] > MAX_FRAME ||
	    uw_read(c->mem, bp, words, sizeof words) < 0)
		return false;
	call = c->ops.call(c->ops.ctx, words[1], &target);
	if (call == UW_CFI_NO_CALL)
		return false;
	/* Code in no file is unknown anyway: no frame needs to say so once more. */
	*sure = is_called(c, call, target, pc) || !tables_at(c, pc, &bias);
	f->known = 1 << UW_BP | 1 << UW_SP | 1 << UW_IP;
	f->r[UW_BP] = words[0];
	f->r[UW_SP] = bp + sizeof words;
	f->r[UW_IP] = words[1];
	return true;
}

/* --- the walk -------------------------------------------------------------------- */

struct walk {
	struct uw_cfi *c;
	struct uw_cfi_frame f;
	uint64_t pc; /* inside of the instruction meant */
	bool interrupted;
	uint64_t *pcs;
	size_t n, max;
};

/* By no table: as step(). */
static int step_untold(struct walk *k)
{
	bool leaf = k->n == 1, sure = true;

	/* All that follows expects return addresses on the stack. */
	if (k->c->arch->link_register || !k->c->mem)
		return -ENOENT;
	if (leaf && leave_stub(k->c, &k->f))
		return 1;
	if (leave_handler(k->c, &k->f)) {
		if (!leaf)
			k->pcs[k->n - 1]++; /* it was not called, but is begun with */
		k->interrupted = true;
		return 1;
	}
	if (!k->c->ops.call)
		return -ENOENT;
	if (leaf && leave_frameless(k->c, &k->f))
		return 1;
	if (!leave_by_bp(k->c, &k->f, k->pc, &sure))
		return -ENOENT;
	if (!sure && k->n == k->max)
		return -ENOSPC; /* without the mark it would be taken for sure */
	if (!sure)
		k->pcs[k->n++] = 0;
	return k->f.r[UW_IP] != 0;
}

static bool next_frame(struct walk *k, enum uw_cfi_end *end)
{
	const struct cached_row *row = row_at(k->c, k->pc);
	uint64_t sp = k->f.r[UW_SP];
	int r;

	k->interrupted = false;
	if (row->kind == ROW_TOLD) {
		k->interrupted = row->row.signal;
		r = step(k->c, &k->f, k->pc, &row->row);
	} else {
		r = row->kind == ROW_UNTOLD ? step_untold(k) : -EINVAL;
	}
	if (r <= 0) {
		*end = r == 0         ? UW_CFI_ROOT
		       : r == -ENOENT ? UW_CFI_NO_TABLE
		       : r == -EFAULT ? UW_CFI_NO_MEM
		       : r == -ENOSPC ? UW_CFI_LIMIT
				      : UW_CFI_BAD;
		return false;
	}
	/* A stack only shrinks towards its callers; signals may switch to another one. */
	if (k->f.r[UW_SP] < sp && !k->interrupted) {
		*end = UW_CFI_BAD;
		return false;
	}
	k->pc = k->interrupted ? k->f.r[UW_IP] : k->f.r[UW_IP] - 1;
	*end = k->interrupted ? UW_CFI_INTERRUPTED : UW_CFI_STOPPED;
	return !k->c->ops.stop(k->c->ops.ctx, k->pc);
}

enum uw_cfi_end uw_cfi_walk(struct uw_cfi *c, struct uw_regs *regs, const struct uw_mem *mem,
			    uint64_t *pcs, size_t max, size_t *ret_n)
{
	struct walk k = {.c = c, .pcs = pcs, .max = max, .pc = regs->ip};
	enum uw_cfi_end end = UW_CFI_LIMIT;

	c->mem = mem;
	c->budget = BUDGET;
	memcpy(k.f.r, regs, sizeof k.f.r);
	k.f.known = (1 << UW_SLOTS) - 1;
	while (k.n < max) {
		pcs[k.n++] = k.interrupted ? k.f.r[UW_IP] + 1 : k.f.r[UW_IP];
		if (!next_frame(&k, &end))
			break;
		end = UW_CFI_LIMIT;
	}
	memcpy(regs, k.f.r, sizeof k.f.r);
	*ret_n = k.n;
	return end;
}

int uw_cfi_new(const struct uw_cfi_ops *ops, struct uw_cfi **ret)
{
	struct uw_cfi *c;

	c = calloc(1, sizeof *c);
	if (!c)
		return -ENOMEM;
	c->ops = *ops;
	c->arch = uw_arch_host();
	c->rows = calloc(1 << ROW_BITS, sizeof *c->rows);
	if (!c->rows) {
		free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void uw_cfi_enter(struct uw_cfi *c, const struct uw_arch *arch, uint64_t version)
{
	c->arch = arch;
	c->version = version;
}

void uw_cfi_free(struct uw_cfi *c)
{
	if (!c)
		return;
	free(c->rows);
	free(c);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* DWARF 5, section 6.4.2 (instructions). */
#include "cfi_row_parts.h"

#include <errno.h>
#include <limits.h>

#include "arch.h"

enum {
	MAX_REMEMBERED = 8,
};

struct rule {
	uint8_t kind;
	int64_t at;
};

/* What the instructions have said so far. */
struct state {
	struct rule regs[UW_SLOTS];
	uint64_t cfa_column;
	int64_t cfa_offset;
	uint64_t cfa_place; /* of an expression */
	bool has_cfa, cfa_is_expression;
};

struct machine {
	const struct uw_arch *arch;
	const struct uw_elf *elf;
	const struct uw_fde *fde;
	struct state now, initial, remembered[MAX_REMEMBERED];
	size_t nremembered;
	uint64_t loc, pc;
	uint32_t *budget;
	bool done; /* the row after this one is beyond pc */
	bool bad;
};

static void set_rule(struct machine *m, uint64_t column, uint8_t kind, int64_t at)
{
	size_t slot = uw_arch_slot(m->arch, column);

	if (slot != UW_ARCH_NO_SLOT)
		m->now.regs[slot] = (struct rule){kind, at};
}

static void set_cfa(struct machine *m, uint64_t column, int64_t offset)
{
	m->now.cfa_column = column;
	m->now.cfa_offset = offset;
	m->now.has_cfa = true;
	m->now.cfa_is_expression = false;
}

static int64_t scaled(struct machine *m, int64_t n)
{
	int64_t v;

	if (__builtin_mul_overflow(n, m->fde->data_align, &v))
		m->bad = true;
	return m->bad ? 0 : v;
}

static int64_t factored(struct machine *m, struct uw_bytes *b)
{
	uint64_t n = uw_bytes_uvarint(b);

	m->bad |= n > INT64_MAX;
	return m->bad ? 0 : scaled(m, (int64_t)n);
}

/* Steps over an expression; its place is that of its length. */
static uint64_t take_expression(struct machine *m, struct uw_bytes *b)
{
	uint64_t place = (uint64_t)(b->at - m->elf->bytes);

	uw_bytes_take(b, uw_bytes_uvarint(b));
	return place;
}

static void advance(struct machine *m, uint64_t delta)
{
	if (__builtin_mul_overflow(delta, m->fde->code_align, &delta) || !m->now.has_cfa ||
	    __builtin_add_overflow(m->loc, delta, &m->loc))
		m->bad = true;
	m->done = m->loc > m->pc;
}

static void set_loc(struct machine *m, struct uw_bytes *b)
{
	uint64_t at = m->fde->set_loc + (uint64_t)(b->at - m->fde->own.at);
	uint64_t loc = uw_eh_pointer(b, at, m->fde->encoding);

	if (loc < m->loc)
		m->bad = true;
	else
		advance(m, 0);
	m->loc = loc;
	m->done = m->loc > m->pc;
}

static void restore(struct machine *m, uint64_t column)
{
	size_t slot = uw_arch_slot(m->arch, column);

	if (slot != UW_ARCH_NO_SLOT)
		m->now.regs[slot] = m->initial.regs[slot];
}

static void remember(struct machine *m)
{
	if (m->nremembered == MAX_REMEMBERED)
		m->bad = true;
	else
		m->remembered[m->nremembered++] = m->now;
}

static void recall(struct machine *m)
{
	if (m->nremembered == 0)
		m->bad = true;
	else
		m->now = m->remembered[--m->nremembered];
}

static void move_cfa(struct machine *m, int64_t offset)
{
	m->bad |= m->now.cfa_is_expression;
	m->now.cfa_offset = offset;
}

/* DW_CFA_def_cfa_register keeps the offset, so that there must be one. */
static void base_cfa(struct machine *m, uint64_t column)
{
	m->bad |= !m->now.has_cfa || m->now.cfa_is_expression;
	m->now.cfa_column = column;
}

static void cfa_rule(struct machine *m, uint8_t op, struct uw_bytes *b)
{
	uint64_t column;

	switch (op) {
	case 0x0c: /* def_cfa */
		column = uw_bytes_uvarint(b);
		set_cfa(m, column, (int64_t)uw_bytes_uvarint(b));
		break;
	case 0x12: /* def_cfa_sf */
		column = uw_bytes_uvarint(b);
		set_cfa(m, column, scaled(m, uw_bytes_svarint(b)));
		break;
	case 0x0d: /* def_cfa_register */
		base_cfa(m, uw_bytes_uvarint(b));
		break;
	case 0x0e: /* def_cfa_offset */
		move_cfa(m, (int64_t)uw_bytes_uvarint(b));
		break;
	case 0x13: /* def_cfa_offset_sf */
		move_cfa(m, scaled(m, uw_bytes_svarint(b)));
		break;
	default: /* def_cfa_expression */
		m->now.cfa_place = take_expression(m, b);
		m->now.has_cfa = m->now.cfa_is_expression = true;
	}
}

static void register_rule(struct machine *m, uint8_t op, struct uw_bytes *b)
{
	uint64_t column = uw_bytes_uvarint(b);
	size_t slot;

	switch (op) {
	case 0x05: /* offset_extended */
		set_rule(m, column, UW_RULE_SAVED, factored(m, b));
		break;
	case 0x11: /* offset_extended_sf */
		set_rule(m, column, UW_RULE_SAVED, scaled(m, uw_bytes_svarint(b)));
		break;
	case 0x2f: /* GNU_negative_offset_extended */
		set_rule(m, column, UW_RULE_SAVED,
			 scaled(m, -(int64_t)(uw_bytes_uvarint(b) & INT64_MAX)));
		break;
	case 0x06: /* restore_extended */
		restore(m, column);
		break;
	case 0x07: /* undefined */
		set_rule(m, column, UW_RULE_LOST, 0);
		break;
	case 0x08: /* same_value */
		set_rule(m, column, UW_RULE_SAME, 0);
		break;
	case 0x09: /* register */
		slot = uw_arch_slot(m->arch, uw_bytes_uvarint(b));
		set_rule(m, column, slot == UW_ARCH_NO_SLOT ? UW_RULE_LOST : UW_RULE_REG,
			 (int64_t)slot);
		break;
	case 0x10: /* expression */
		set_rule(m, column, UW_RULE_AT, (int64_t)take_expression(m, b));
		break;
	case 0x16: /* val_expression */
		set_rule(m, column, UW_RULE_VALUE, (int64_t)take_expression(m, b));
		break;
	case 0x14: /* val_offset */
		set_rule(m, column, UW_RULE_CFA, factored(m, b));
		break;
	default: /* 0x15: val_offset_sf */
		set_rule(m, column, UW_RULE_CFA, scaled(m, uw_bytes_svarint(b)));
	}
}

static void instruction(struct machine *m, struct uw_bytes *b)
{
	uint8_t op = uw_bytes_u8(b);

	switch (op) {
	case 0x40 ... 0x7f:
		advance(m, op & 0x3f);
		break;
	case 0x80 ... 0xbf: /* offset */
		set_rule(m, op & 0x3f, UW_RULE_SAVED, factored(m, b));
		break;
	case 0xc0 ... 0xff:
		restore(m, op & 0x3f);
		break;
	case 0x00: /* nop */
		break;
	case 0x01:
		set_loc(m, b);
		break;
	case 0x02:
		advance(m, uw_bytes_u8(b));
		break;
	case 0x03:
		advance(m, uw_bytes_u16(b));
		break;
	case 0x04:
		advance(m, uw_bytes_u32(b));
		break;
	case 0x0a:
		remember(m);
		break;
	case 0x0b:
		recall(m);
		break;
	case 0x0c ... 0x0f:
	case 0x12 ... 0x13:
		cfa_rule(m, op, b);
		break;
	case 0x05 ... 0x09:
	case 0x10 ... 0x11:
	case 0x14 ... 0x16:
	case 0x2f:
		register_rule(m, op, b);
		break;
	case 0x2e: /* GNU_args_size */
		uw_bytes_uvarint(b);
		break;
	case 0x2d: /* AARCH64_negate_ra_state; elsewhere it is for register windows */
		m->bad |= !m->arch->signs_returns;
		break;
	default:
		m->bad = true;
	}
}

static bool run(struct machine *m, struct uw_bytes b)
{
	while (!m->done && !m->bad && uw_bytes_left(&b)) {
		const uint8_t *from = b.at;
		uint64_t used;

		instruction(m, &b);
		used = (uint64_t)(b.at - from);
		if (!uw_cfi_spend(m->budget, used) || b.bad)
			return false;
	}
	return !m->bad;
}

static bool put_at(const struct machine *m, const struct rule *r, int32_t *at)
{
	/* Places of expressions use all 32 bits. */
	bool place = r->kind == UW_RULE_AT || r->kind == UW_RULE_VALUE;

	if (place ? r->at > UINT32_MAX : r->at < INT32_MIN || r->at > INT32_MAX)
		return false;
	*at = (int32_t)(uint32_t)r->at;
	return true;
}

static bool put_cfa(const struct machine *m, struct uw_cfi_row *row)
{
	struct rule r = {UW_RULE_CFA, m->now.cfa_offset};

	row->cfa_slot = (uint8_t)uw_arch_slot(m->arch, m->now.cfa_column);
	if (m->now.cfa_is_expression) {
		r = (struct rule){UW_RULE_VALUE, (int64_t)m->now.cfa_place};
		row->cfa_slot = UW_ARCH_NO_SLOT;
	} else if (row->cfa_slot == UW_ARCH_NO_SLOT) {
		return false;
	}
	return m->now.has_cfa && put_at(m, &r, &row->cfa);
}

static bool put_row(struct machine *m, struct uw_cfi_row *row)
{
	size_t ra = uw_arch_slot(m->arch, m->fde->ra);

	*row = (struct uw_cfi_row){.signal = m->fde->signal};
	if (ra == UW_ARCH_NO_SLOT || !put_cfa(m, row))
		return false;
	if (ra != UW_IP) {
		m->now.regs[UW_IP] = m->now.regs[ra];
		if (m->now.regs[ra].kind == UW_RULE_SAME)
			m->now.regs[UW_IP] = (struct rule){UW_RULE_REG, (int64_t)ra};
	} else if (m->now.regs[UW_IP].kind == UW_RULE_SAME) {
		return false; /* the caller would be where the callee is */
	}
	for (size_t i = 0; i < UW_SLOTS; i++) {
		row->rule[i] = m->now.regs[i].kind;
		if (!put_at(m, &m->now.regs[i], &row->at[i]))
			return false;
		if (row->rule[i] == UW_RULE_SAVED)
			row->saved |= (uint8_t)(1 << i);
		else if (row->rule[i] != UW_RULE_SAME)
			row->others |= (uint8_t)(1 << i);
	}
	return true;
}

bool uw_cfi_row_make(const struct uw_elf *elf, const struct uw_fde *fde, uint64_t pc,
		     uint32_t *budget, struct uw_cfi_row *row)
{
	struct machine m = {.arch = uw_arch_of(elf->machine),
			    .elf = elf,
			    .fde = fde,
			    .loc = fde->start,
			    .pc = pc,
			    .budget = budget};

	if (!m.arch)
		return false;
	/* By default the callee leaves its caller's stack as it was at the call. */
	m.now.regs[UW_SP] = (struct rule){UW_RULE_CFA, 0};
	m.pc = UINT64_MAX; /* the common ones are for all locations */
	if (!run(&m, fde->common))
		return false;
	m.initial = m.now;
	m.pc = pc;
	return run(&m, fde->own) && put_row(&m, row);
}

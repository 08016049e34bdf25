/* SPDX-License-Identifier: Apache-2.0 */
/* What is known so far: files, goroutines at rest, the runtime's variables. */
#include <elf.h>
#include <string.h>

#include "arch.h"

static uint32_t u32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

/* --- what code refers to --------------------------------------------------------- */

enum {
	REGS = 32,
	REG_TMP = 27, /* the assembler's own: an address in it is part of a load or store */
	MAX_ADDR_USES =
		24, /* instructions for which an address is believed to stay in a register */
};

struct reg {
	bool page;  /* set by ADRP */
	bool addr;  /* set by ADD to a page: all of an address */
	bool imm;   /* set by MOVZ */
	uint64_t v; /* what it is */
	size_t at;  /* the instruction that set it */
};

/* LDR and STR with an unsigned offset, LDAR and STLR: kind, width, offset; false: another one. */
static bool access_of(uint32_t w, uint8_t *kind, uint8_t *width, uint64_t *off)
{
	uint64_t imm = w >> 10 & 0xfff;

	switch (w & 0xffc00000) {
	case 0xf9400000:
	case 0xf9000000:
		*kind = w & 0x400000 ? UW_REF_LOAD : UW_REF_STORE;
		*width = 8;
		*off = imm * 8;
		return true;
	case 0xb9400000:
	case 0xb9000000:
		*kind = w & 0x400000 ? UW_REF_LOAD : UW_REF_STORE;
		*width = 4;
		*off = imm * 4;
		return true;
	case 0xb9800000:
		*kind = UW_REF_SIGNED;
		*width = 4;
		*off = imm * 4;
		return true;
	default:
		break;
	}
	if ((w & 0xbffffc00) != 0x88dffc00 && (w & 0xbffffc00) != 0x889ffc00)
		return false;
	*kind = w & 0x400000 ? UW_REF_LOAD : UW_REF_STORE;
	*width = w & 0x40000000 ? 8 : 4;
	*off = 0;
	return true;
}

/* ADRP, ADD, MOVZ: what they leave in a register. */
static bool set_by(uint32_t w, uint64_t pc, size_t i, struct reg *regs, struct uw_ref *ref)
{
	uint32_t rd = w & 31, rn = w >> 5 & 31;
	struct reg from = regs[rn];

	if ((w & 0x9f000000) == 0x90000000) { /* ADRP */
		int64_t pages = (int64_t)((uint64_t)(w >> 5 & 0x7ffff) << 45) >> 43;

		regs[rd] = (struct reg){.page = true, .at = i};
		regs[rd].v = (pc & ~0xfffull) + ((uint64_t)(pages | (w >> 29 & 3)) << 12);
		return true;
	}
	if ((w & 0xffc00000) == 0x91000000) { /* ADD of an unshifted 12 bit number */
		regs[rd] = (struct reg){.addr = from.page, .at = i};
		regs[rd].v = from.v + (w >> 10 & 0xfff);
		if (from.page && rd != REG_TMP) {
			ref->kind = UW_REF_LEA;
			ref->width = 8;
			ref->target = regs[rd].v;
		}
		return true;
	}
	if ((w & 0x7fe00000) == 0x52800000) { /* MOVZ, unshifted */
		regs[rd] = (struct reg){.imm = true, .v = w >> 5 & 0xffff, .at = i};
		return true;
	}
	return false;
}

static bool known(const struct reg *r, size_t i)
{
	return (r->page || r->addr) && i - r->at <= MAX_ADDR_USES;
}

static void use_by(uint32_t w, size_t i, struct reg *regs, struct uw_ref *ref)
{
	uint32_t rt = w & 31, rn = w >> 5 & 31;
	uint8_t kind, width;
	uint64_t off;

	if ((w & 0x1c000000) == 0x14000000) /* branches and system instructions have no rd */
		return;
	if (!access_of(w, &kind, &width, &off)) {
		/* Whatever it is, mostly it writes to rd. */
		regs[rt] = (struct reg){0};
		return;
	}
	if (known(&regs[rn], i)) {
		ref->kind = kind;
		ref->width = width;
		ref->target = regs[rn].v + off;
		ref->has_imm = kind == UW_REF_STORE && regs[rt].imm;
		ref->imm = ref->has_imm ? (int32_t)regs[rt].v : 0;
	}
	if (kind != UW_REF_STORE)
		regs[rt] = (struct reg){0};
}

/* LDP and STP of two words are two accesses; *second is filled for the other word. */
static bool pair_by(uint32_t w, size_t i, struct reg *regs, struct uw_ref *ref,
		    struct uw_ref *second)
{
	const struct reg base = regs[w >> 5 & 31];
	bool load = w & 0x400000;
	int64_t off = (int64_t)((uint64_t)(w >> 15 & 0x7f) << 57) >> 57;

	if ((w & 0xff800000) != 0xa9000000)
		return false;
	if (load)
		regs[w & 31] = regs[w >> 10 & 31] = (struct reg){0};
	if (known(&base, i)) {
		ref->kind = load ? UW_REF_LOAD : UW_REF_STORE;
		ref->width = 8;
		ref->target = base.v + (uint64_t)(off * 8);
		*second = *ref;
		second->target += 8;
	}
	return true;
}

static void refs(const uint8_t *code, size_t len, uint64_t addr, struct uw_ref_out *o)
{
	struct reg regs[REGS] = {0};

	for (size_t i = 0; i < len / 4; i++) {
		struct uw_ref ref = {.at = (uint32_t)i * 4, .next = (uint32_t)i * 4 + 4};
		struct uw_ref second = {0};
		uint32_t w = u32_at(code + i * 4);

		if (!set_by(w, addr + i * 4, i, regs, &ref) && !pair_by(w, i, regs, &ref, &second))
			use_by(w, i, regs, &ref);
		if (ref.kind)
			uw_ref_add(o, &ref);
		if (second.kind)
			uw_ref_add(o, &second);
	}
}

/* --- registers ------------------------------------------------------------------- */

#define N UW_ARCH_NO_SLOT
static const uint8_t dwarf_slots[] = {
	N, N, N, N, N, N, N, N, N, N, N, N, N, N,     N,     N,
	N, N, N, N, N, N, N, N, N, N, N, N, N, UW_BP, UW_BX, UW_SP,
};
#undef N

const struct uw_arch uw_arch_arm64 = {
	.id = UW_ARM64,
	.machine = EM_AARCH64,
	.name = "arm64",
	.quantum = 4,
	.link_register = true,
	.ticks_are_ns = true,
	.refs = refs,
	.dwarf_slots = dwarf_slots,
	.ndwarf_slots = sizeof dwarf_slots,
	.signs_returns = true,
};

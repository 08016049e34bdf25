/* SPDX-License-Identifier: Apache-2.0 */
#include "coderefs.h"

#include <elf.h>
#include <string.h>

struct out {
	const struct uw_ref_filter *filter;
	struct uw_ref *refs;
	size_t n, max;
};

static void add(struct out *o, const struct uw_ref *ref)
{
	if (o->n < o->max && o->filter->wanted(o->filter->ctx, ref->target))
		o->refs[o->n++] = *ref;
}

/* --- amd64 --- */

enum {
	REX = 0x40,
	REX_MASK = 0xf0,
	REX_W = 8,
	MODRM_RIP = 5, /* mod 0, rm 5: relative to the next instruction */
	MODRM_RIP_MASK = 0xc7,
	MODRM_REG_MASK = 0x38,
	MODRM_REG_7 = 0x38,
	RIP_OPERAND = 6, /* opcode, ModRM, four bytes of displacement */
};

static int32_t i32_at(const uint8_t *p)
{
	int32_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

/* The kind of the instruction with this opcode and ModRM, 0 for none that counts. */
static uint8_t kind_amd64(uint8_t opcode, uint8_t modrm, size_t *imm_len)
{
	*imm_len = 0;
	switch (opcode) {
	case 0x8b:
		return UW_REF_LOAD;
	case 0x63:
		return UW_REF_SIGNED;
	case 0x89:
	case 0x87: /* xchg: Go's atomic store */
		return UW_REF_STORE;
	case 0x8d:
		return UW_REF_LEA;
	case 0x39:
	case 0x3b:
		return UW_REF_CMP;
	case 0x83:
		*imm_len = 1;
		return (modrm & MODRM_REG_MASK) == MODRM_REG_7 ? UW_REF_CMP : 0;
	case 0x81:
		*imm_len = 4;
		return (modrm & MODRM_REG_MASK) == MODRM_REG_7 ? UW_REF_CMP : 0;
	case 0xc7:
		*imm_len = 4;
		return (modrm & MODRM_REG_MASK) == 0 ? UW_REF_STORE : 0;
	default:
		return 0;
	}
}

static void refs_amd64(const uint8_t *code, size_t len, uint64_t addr, struct out *o)
{
	for (size_t i = 0; i + RIP_OPERAND <= len; i++) {
		const uint8_t *p = code + i;
		struct uw_ref ref;
		size_t imm_len;
		bool wide;

		if ((p[1] & MODRM_RIP_MASK) != MODRM_RIP)
			continue;
		ref = (struct uw_ref){.kind = kind_amd64(p[0], p[1], &imm_len)};
		if (!ref.kind || i + RIP_OPERAND + imm_len > len)
			continue;
		wide = i > 0 && (p[-1] & REX_MASK) == REX && (p[-1] & REX_W);
		ref.at = (uint32_t)i;
		ref.next = (uint32_t)(i + RIP_OPERAND + imm_len);
		ref.target = addr + ref.next + (uint64_t)(int64_t)i32_at(p + 2);
		ref.width = wide && ref.kind != UW_REF_SIGNED ? 8 : 4;
		if (imm_len) {
			ref.has_imm = true;
			ref.imm = imm_len == 1 ? (int8_t)p[RIP_OPERAND] : i32_at(p + RIP_OPERAND);
		}
		add(o, &ref);
	}
}

/* --- arm64 --- */

enum {
	REGS = 32,
	REG_TMP = 27, /* the assembler's own: an address in it is part of a load or store */
	MAX_ADDR_USES =
		24, /* instructions for which an address is believed to stay in a register */
};

struct reg_arm64 {
	bool page;  /* set by ADRP */
	bool addr;  /* set by ADD to a page: all of an address */
	bool imm;   /* set by MOVZ */
	uint64_t v; /* what it is */
	size_t at;  /* the instruction that set it */
};

/* LDR and STR with an unsigned offset, LDAR and STLR: kind, width, offset; false: another one. */
static bool access_arm64(uint32_t w, uint8_t *kind, uint8_t *width, uint64_t *off)
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
static bool set_arm64(uint32_t w, uint64_t pc, size_t i, struct reg_arm64 *regs, struct uw_ref *ref)
{
	uint32_t rd = w & 31, rn = w >> 5 & 31;
	struct reg_arm64 from = regs[rn];

	if ((w & 0x9f000000) == 0x90000000) { /* ADRP */
		int64_t pages = (int64_t)((uint64_t)(w >> 5 & 0x7ffff) << 45) >> 43;

		regs[rd] = (struct reg_arm64){.page = true, .at = i};
		regs[rd].v = (pc & ~0xfffull) + ((uint64_t)(pages | (w >> 29 & 3)) << 12);
		return true;
	}
	if ((w & 0xffc00000) == 0x91000000) { /* ADD of an unshifted 12 bit number */
		regs[rd] = (struct reg_arm64){.addr = from.page, .at = i};
		regs[rd].v = from.v + (w >> 10 & 0xfff);
		if (from.page && rd != REG_TMP) {
			ref->kind = UW_REF_LEA;
			ref->width = 8;
			ref->target = regs[rd].v;
		}
		return true;
	}
	if ((w & 0x7fe00000) == 0x52800000) { /* MOVZ, unshifted */
		regs[rd] = (struct reg_arm64){.imm = true, .v = w >> 5 & 0xffff, .at = i};
		return true;
	}
	return false;
}

static bool known(const struct reg_arm64 *r, size_t i)
{
	return (r->page || r->addr) && i - r->at <= MAX_ADDR_USES;
}

static void use_arm64(uint32_t w, size_t i, struct reg_arm64 *regs, struct uw_ref *ref)
{
	uint32_t rt = w & 31, rn = w >> 5 & 31;
	uint8_t kind, width;
	uint64_t off;

	if ((w & 0x1c000000) == 0x14000000) /* branches and system instructions have no rd */
		return;
	if (!access_arm64(w, &kind, &width, &off)) {
		/* Whatever it is, mostly it writes to rd. */
		regs[rt] = (struct reg_arm64){0};
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
		regs[rt] = (struct reg_arm64){0};
}

/* LDP and STP of two words are two accesses; *second is filled for the other word. */
static bool pair_arm64(uint32_t w, size_t i, struct reg_arm64 *regs, struct uw_ref *ref,
		       struct uw_ref *second)
{
	const struct reg_arm64 base = regs[w >> 5 & 31];
	bool load = w & 0x400000;
	int64_t off = (int64_t)((uint64_t)(w >> 15 & 0x7f) << 57) >> 57;

	if ((w & 0xff800000) != 0xa9000000)
		return false;
	if (load)
		regs[w & 31] = regs[w >> 10 & 31] = (struct reg_arm64){0};
	if (known(&base, i)) {
		ref->kind = load ? UW_REF_LOAD : UW_REF_STORE;
		ref->width = 8;
		ref->target = base.v + (uint64_t)(off * 8);
		*second = *ref;
		second->target += 8;
	}
	return true;
}

static void refs_arm64(const uint8_t *code, size_t len, uint64_t addr, struct out *o)
{
	struct reg_arm64 regs[REGS] = {0};

	for (size_t i = 0; i < len / 4; i++) {
		struct uw_ref ref = {.at = (uint32_t)i * 4, .next = (uint32_t)i * 4 + 4};
		struct uw_ref second = {0};
		uint32_t w = (uint32_t)i32_at(code + i * 4);

		if (!set_arm64(w, addr + i * 4, i, regs, &ref) &&
		    !pair_arm64(w, i, regs, &ref, &second))
			use_arm64(w, i, regs, &ref);
		if (ref.kind)
			add(o, &ref);
		if (second.kind)
			add(o, &second);
	}
}

size_t uw_code_refs(uint16_t machine, const uint8_t *code, size_t len, uint64_t addr,
		    const struct uw_ref_filter *filter, struct uw_ref *ret, size_t max)
{
	struct out o = {filter, ret, 0, max};

	if (machine == EM_X86_64)
		refs_amd64(code, len, addr, &o);
	else if (machine == EM_AARCH64)
		refs_arm64(code, len, addr, &o);
	return o.n;
}

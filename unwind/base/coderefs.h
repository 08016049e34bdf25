/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which variables a piece of machine code refers to: the memory operands that a compiler writes
 * relative to the program counter, in their order. No disassembler: on amd64 each byte is taken for
 * the start of an instruction, so that a few answers are accidents of other instructions' bytes.
 * The caller keeps those that point to where variables are, and asks for more than one sign.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum uw_ref_kind {
	UW_REF_LOAD = 1,    /* also an atomic one */
	UW_REF_STORE = 2,   /* of a register, or of `imm` where has_imm */
	UW_REF_LEA = 4,     /* its address is taken */
	UW_REF_CMP = 8,     /* compared with `imm`, or with a register */
	UW_REF_SIGNED = 16, /* a load of 32 bits, widened with its sign */
};

struct uw_ref {
	uint32_t at;     /* of the instruction, bytes from the start of the code */
	uint32_t next;   /* of the one behind it */
	uint64_t target; /* address */
	uint8_t kind;
	uint8_t width; /* bytes: 4 or 8; 8 for UW_REF_LEA */
	bool has_imm;
	int32_t imm;
};

/* What the code and the targets are kept by. */
struct uw_ref_filter {
	bool (*wanted)(void *ctx, uint64_t target);
	void *ctx;
};

/* Where the finders of the machines (arch_*.c) put them. */
struct uw_ref_out {
	const struct uw_ref_filter *filter;
	struct uw_ref *refs;
	size_t n, max;
};

/* Adds it if it is wanted and there is room. */
void uw_ref_add(struct uw_ref_out *o, const struct uw_ref *ref);

/*
 * The references of code[0..len), which lies at addr, to wanted targets; at most max of them.
 * machine is ELF's number; one that uw_arch_of doesn't know gives none.
 */
size_t uw_code_refs(uint16_t machine, const uint8_t *code, size_t len, uint64_t addr,
		    const struct uw_ref_filter *filter, struct uw_ref *ret, size_t max);

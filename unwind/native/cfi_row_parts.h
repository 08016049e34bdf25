/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row of call frame information: where a function keeps its caller's registers while it is at a
 * certain instruction. Made by running the instructions of its entry, which are foreign: their
 * number is bounded by a budget, and what compilers don't write is refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "eh_frame.h"
#include "mem.h"
#include "regs.h"

enum uw_rule {                /* the caller's value of a register */
	       UW_RULE_SAME,  /* is the present one */
	       UW_RULE_LOST,  /* is unknown; of the return address: there is no caller */
	       UW_RULE_SAVED, /* is the word at CFA + at */
	       UW_RULE_CFA,   /* is CFA + at */
	       UW_RULE_REG,   /* is that of the slot `at` */
	       UW_RULE_AT,    /* is the word at what the expression gives */
	       UW_RULE_VALUE, /* is what the expression gives */
};

struct uw_cfi_row {
	uint8_t rule[UW_SLOTS];
	int32_t at[UW_SLOTS]; /* of an expression: its place in the file */
	int32_t cfa;          /* added to the slot, or the place of an expression */
	uint8_t cfa_slot;     /* UW_SLOTS: an expression */
	bool signal;          /* the caller was interrupted by a signal, it did not call */
	uint8_t saved;        /* bit by slot: those of UW_RULE_SAVED */
	uint8_t others;       /* those of neither UW_RULE_SAVED nor UW_RULE_SAME */
};

/*
 * The row of the instruction at pc (link-time), which fde covers. False: it can't be used, or
 * *budget, which counts the bytes of instructions, is spent: it is 0 then.
 */
bool uw_cfi_row_make(const struct uw_elf *elf, const struct uw_fde *fde, uint64_t pc,
		     uint32_t *budget, struct uw_cfi_row *row);

/* What an expression is about. */
struct uw_cfi_frame {
	uint64_t r[UW_SLOTS];
	uint8_t known; /* bit by slot */
};

/*
 * Evaluates the expression at a place of the file over the registers of f; `first` is on the stack
 * if it isn't NULL. -EFAULT: a word could not be read; -EINVAL: not an expression of a kind that
 * compilers write, or *budget is spent.
 */
int uw_cfi_eval(const struct uw_elf *elf, int32_t place, uint64_t bias,
		const struct uw_cfi_frame *f, const uint64_t *first, const struct uw_mem *mem,
		uint32_t *budget, uint64_t *ret);

/* Takes n bytes of a budget; false when that is more than is left, which is then 0. */
static inline bool uw_cfi_spend(uint32_t *budget, uint64_t n)
{
	bool enough = n < *budget;

	*budget = enough ? *budget - (uint32_t)n : 0;
	return enough;
}

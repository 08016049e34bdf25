/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The single ways in which goglobals.c finds the runtime's variables. Private to it and to tests,
 * which compare one way with another.
 */
#pragma once

#include "elf.h"
#include "goglobals.h"
#include "gosym.h"

enum { /* bits */
       UW_WAY_SYMBOL = 1,
       UW_WAY_CODE = 2,
       UW_WAY_VALUE = 4,
};

/* uw_goglobals_find by these ways only, in that order. */
int uw_goglobals_find_by(struct uw_space *space, unsigned int ways, struct uw_goglobals *ret);

/*
 * Fills variables that are still missing in ret, with link-time addresses: from the symbol table,
 * or from the code of the functions that use them.
 */
void uw_goglobals_by_symbol(const struct uw_elf *elf, const struct uw_go *go,
			    struct uw_goglobals *ret);
void uw_goglobals_by_code(const struct uw_elf *elf, const struct uw_go *go,
			  struct uw_goglobals *ret);

/*
 * Fills lists that are still missing in ret, by the content of the target's variables; ret has
 * addresses of the target.
 */
void uw_goglobals_by_value(const struct uw_go *go, const struct uw_mem *live, uint64_t bias,
			   struct uw_goglobals *ret);

/*
 * Removes from ret, which has addresses of the target, variables that were not found by symbol and
 * don't hold what they must hold. Those that can't be read stay.
 */
void uw_goglobals_verify(const struct uw_go *go, const struct uw_mem *live, uint64_t bias,
			 struct uw_goglobals *ret);

/* Puts an address that is the variable's by its alignment and lies in the module's data. */
bool uw_goglobals_put(const struct uw_go *go, enum uw_goglobal which, uint64_t addr,
		      enum uw_goglobal_source source, struct uw_goglobals *ret);

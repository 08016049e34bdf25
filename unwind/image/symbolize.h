/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of one address space → frames with names: Go's tables first, then the file's own
 * symbols. Addresses are lookup addresses, as uw_walk gives them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"
#include "space.h"

struct uw_symbol {
	struct uw_frame frame;
	bool wrapper; /* made by Go's compiler: shown only when it called gopanic, sigpanic,
			 panicwrap */
};

enum uw_kind { UW_KIND_GO, UW_KIND_NATIVE, UW_KIND_UNKNOWN };

/*
 * The frames at pc, innermost inlined first; 0 when no name is known. *ret_map is the mapping at pc
 * or NULL. Strings live as long as the space.
 */
size_t uw_symbolize(struct uw_space *s, uint64_t pc, struct uw_symbol *syms, size_t max,
		    enum uw_kind *ret_kind, const struct uw_mapping **ret_map);

/*
 * Puts back what a frame-pointer chain of go1.20 and older skips in its middle: functions without a
 * frame of their own between two that have one (runtime.systemstack's caller, runtime.cgocall,
 * gcWriteBarrier). The code itself shows it: the call before the return address names the function
 * that was called; a function that is not the callee found, but calls it, was skipped. Works
 * on a finished stack and needs no memory of the target. Returns the new length, at most max. The
 * repairer is a cache; one thread uses it at a time.
 */
struct uw_repairer;

int uw_repairer_new(struct uw_repairer **ret);
void uw_repairer_free(struct uw_repairer *r);
size_t uw_repair(struct uw_repairer *c, struct uw_space *s, const uint64_t *pcs, size_t n,
		 uint64_t *out, size_t max);

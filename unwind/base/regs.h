/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user registers of a sample: the callee-saved ones that a C unwinder needs, and the one that
 * holds Go's g. Bit numbers are the kernel's (arch/x86/include/uapi/asm/perf_regs.h).
 */
#pragma once

#include <stdint.h>

struct uw_regs {
	uint64_t bx, bp, sp, ip, r12, r13, r14, r15;
};

/* The kernel's sample_regs_user mask for exactly these registers, in this order (amd64). */
#define UW_REGS_MASK_AMD64                                                                     \
	((1ull << 1) | (1ull << 6) | (1ull << 7) | (1ull << 8) | (1ull << 20) | (1ull << 21) | \
	 (1ull << 22) | (1ull << 23))
#define UW_REGS_COUNT 8

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user registers of a sample: the callee-saved ones that a C unwinder needs, and the one that
 * holds Go's g. They have amd64's names; on another machine a name is a role (arch_*.c):
 *
 *	name  amd64  arm64
 *	ip    rip    pc
 *	sp    rsp    sp
 *	bp    rbp    x29, the frame pointer
 *	bx    rbx    x30, the link register
 *	r14   r14    x28, Go's g
 */
#pragma once

#include <stdint.h>

struct uw_regs {
	uint64_t bx, bp, sp, ip, r12, r13, r14, r15;
};

/* The same as indices. */
enum uw_slot { UW_BX, UW_BP, UW_SP, UW_IP, UW_R12, UW_R13, UW_R14, UW_R15, UW_SLOTS };
_Static_assert(sizeof(struct uw_regs) == UW_SLOTS * sizeof(uint64_t), "a slot a register");

#define UW_REGS_COUNT UW_SLOTS

/* What Go's own code keeps there: the g of the goroutine that runs (go1.17 and newer). */
static inline uint64_t uw_regs_g(const struct uw_regs *r)
{
	return r->r14;
}

// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func ticks() uint64
TEXT ·ticks(SB), NOSPLIT, $0-8
	WORD	$0xd53be040 // MRS CNTVCT_EL0, R0
	MOVD	R0, ret+0(FP)
	RET

/* SPDX-License-Identifier: Apache-2.0 */
#include "arch.h"

#include <elf.h>

const struct uw_arch *uw_arch_of(uint16_t machine)
{
	switch (machine) {
	case EM_X86_64:
		return &uw_arch_amd64;
	case EM_AARCH64:
		return &uw_arch_arm64;
	default:
		return NULL;
	}
}

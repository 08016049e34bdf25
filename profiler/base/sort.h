/* SPDX-License-Identifier: Apache-2.0 */
/* Sorting many addresses. Private. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Sorts ascending. The time grows only with n and with the number of bits in which values differ:
 * two passes for addresses of one program. -ENOMEM (n words of scratch) leaves them unchanged.
 */
int prowl_sort_u64(uint64_t *values, size_t n);

/* SPDX-License-Identifier: Apache-2.0 */
/* Sorting many addresses. Private. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Sorts ascending, in time that grows with n alone and with how many bits the values differ in:
 * addresses of one program in two passes. -ENOMEM (n words of scratch) leaves them as they were.
 */
int prowl_sort_u64(uint64_t *values, size_t n);

/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel symbols, from /proc/kallsyms. Immutable once read; any thread may ask. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uw_kallsyms;

/*
 * Reads all of fd (kept by the caller), text symbols only. -EPERM: the kernel hides the addresses
 * (kptr_restrict, or no CAP_SYSLOG): all are 0. -ENOMEM, or the errno of read.
 */
int uw_kallsyms_read(int fd, struct uw_kallsyms **ret);
void uw_kallsyms_free(struct uw_kallsyms *k);

/*
 * The symbol that covers pc, or NULL; *module is the module's name or NULL for the kernel itself.
 * Borrowed from k. Addresses past the last symbol of a region are not named.
 */
const char *uw_kallsyms_name(const struct uw_kallsyms *k, uint64_t pc, const char **module,
			     uint64_t *start);

/* SPDX-License-Identifier: Apache-2.0 */
/* A table of kernel symbols, entry by entry: for kallsyms.c and kallsyms_file.c only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uw_kallsyms;

struct uw_ksym {
	uint64_t addr;
	const char *name;   /* NULL: nothing is known from here to the next entry */
	const char *module; /* NULL: the kernel itself */
};

/* Zero-initialised is the first entry. */
struct uw_ktable_pos {
	size_t entry, region;
};

/* An empty table with room for so many symbols. */
int uw_ktable_new(size_t max_symbols, struct uw_kallsyms **ret);

/* Symbols come in ascending order; s reaches to end. Its strings are copied. */
int uw_ktable_add(struct uw_kallsyms *k, const struct uw_ksym *s, uint64_t end);

/* All entries in ascending order; false: there are no more. Strings are borrowed from k. */
bool uw_ktable_next(const struct uw_kallsyms *k, struct uw_ktable_pos *pos, struct uw_ksym *ret);

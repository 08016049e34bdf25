/* SPDX-License-Identifier: Apache-2.0 */
/* Of elfsym.c and elfsym_debug.c. */
#pragma once

#include <gelf.h>

#include "dwarf_parts.h"
#include "elfsym.h"

enum { ELFSYM_MAX_TABLES = 3 };

struct elfsym_section {
	uint64_t start, end; /* empty unless it holds code */
};

/* One symbol table. Its Elf handle outlives it. */
struct elfsym_table {
	const Elf64_Sym *syms;
	size_t n;
	const char *strings; /* ends with a NUL */
	size_t strings_len;
	struct elfsym_section *sections;
	size_t nsections;
};

/* A raw name and its readable form, kept so that each is demangled once. */
struct elfsym_readable {
	const char *raw;
	char *text; /* NULL: the raw name is as good as it gets */
};

struct uw_elfsym {
	const struct uw_elf *elf;
	char *path;
	bool built, dwarf_tried, debug_tried;
	struct elfsym_table tables[ELFSYM_MAX_TABLES];
	size_t ntables;
	/* Address - base in the upper half; table << TABLE_SHIFT | symbol in the lower one. Sorted.
	 */
	uint64_t *index;
	size_t n;
	uint64_t base;
	struct uw_elf *debug; /* the separate file, or NULL */
	bool trusted;         /* it was put there by the administrator */
	struct uw_care *care, own;
	void *mini_bytes;
	Elf *mini;
	struct uw_dwarf *dwarf;
	struct elfsym_readable *readable; /* open addressing, power of two */
	size_t nreadable, readable_cap;
};

/* Looks for the separate debug file, once; true: s->debug is there. */
bool elfsym_find_debug(struct uw_elfsym *s);
/* .gnu_debugdata: an xz-packed ELF file with the function symbols that .dynsym lacks. NULL: none.
 */
Elf *elfsym_open_mini(struct uw_elfsym *s);

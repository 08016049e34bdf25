/* SPDX-License-Identifier: Apache-2.0 */
/* Of kallsyms.c, kallsyms_text.c and kallsyms_file.c: a table of kernel symbols, entry by entry. */
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

/* --- kallsyms_text.c ------------------------------------------------------------- */

/* One line of the file; strings point into the read buffer. */
struct kallsyms_symbol {
	uint64_t addr;
	const char *name, *module;
	uint32_t name_len, module_len;
	uint8_t rank; /* which of two symbols at one address names it: the higher one */
};

struct kallsyms_sink {
	int (*symbol)(struct kallsyms_sink *sink, const struct kallsyms_symbol *s);
	/* The read buffer is about to change: strings of earlier symbols become invalid. May be
	 * NULL. */
	int (*commit)(struct kallsyms_sink *sink);
};

/*
 * Gives each symbol of code in /proc/kallsyms to the sink. -EPERM: all addresses are hidden;
 * -ENODATA: there are none; -EBADMSG: no such file.
 */
int kallsyms_stream(int fd, struct kallsyms_sink *sink);

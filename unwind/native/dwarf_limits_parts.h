/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits on files that are given to libdw. It reads tables of any length, makes objects for each of
 * their entries, and unpacks whatever is packed; so the sizes are checked first.
 */
#pragma once

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uw_dwarf_limits {
	const uint8_t *lines; /* .debug_line, of the Elf handle; NULL: none */
	size_t nlines;
	bool no_aranges; /* .debug_aranges is too large to be asked */
};

/* Bytes that libdw would unpack the debug sections into. */
uint64_t uw_dwarf_packed(Elf *elf);

/* Whether the numbers of units and abbreviations, of unpacked sections, are within the limits. */
bool uw_dwarf_within(Elf *elf, struct uw_dwarf_limits *ret);

/* Whether the line program at that offset is within the limits. */
bool uw_dwarf_lines_within(const struct uw_dwarf_limits *l, uint64_t offset);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libdw may be given. It reads tables as long as they are, makes objects for each of their
 * entries, and unpacks whatever is packed; so the sizes are looked at first.
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

/* Of sections that are unpacked: whether there are no more units and abbreviations than can be. */
bool uw_dwarf_within(Elf *elf, struct uw_dwarf_limits *ret);

/* Whether the lines of a unit, whose program begins at that offset, are no more than can be. */
bool uw_dwarf_lines_within(const struct uw_dwarf_limits *l, uint64_t offset);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines and inlined functions of native code, from DWARF by libdw.
 *
 * Only the compilation unit that covers an asked address is read: found through .debug_aranges, or,
 * where the compiler wrote none (clang), through the ranges of all units, listed once. What is kept
 * a unit is a table of its functions and what libdw caches. Not thread safe.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "care.h"
#include "frame.h"

struct uw_dwarf;

/*
 * fd, of an ELF file that uw_elf_open has taken, is borrowed and must outlive the object, as must
 * care; NULL: the file is trusted, and may unpack to 1 GiB. -ENODATA: no .debug_info; -EFBIG: more
 * than the file may cost; -ENOMEM.
 */
int uw_dwarf_new(int fd, struct uw_care *care, struct uw_dwarf **ret);
void uw_dwarf_free(struct uw_dwarf *d);

/* Bytes of memory that its sections were unpacked into; 0 when they are read from the file. */
size_t uw_dwarf_unpacked(const struct uw_dwarf *d);

/*
 * The frames at link-time address pc: inlined functions innermost first, the function that they are
 * in last (also when there are more than max: the outer inlined ones are cut). name, file, line and
 * start_line are set, name to NULL where DWARF has none; the rest is zero. 0: pc is in no function
 * that DWARF knows. Strings live as long as d.
 */
size_t uw_dwarf_frames(struct uw_dwarf *d, uint64_t pc, struct uw_frame *frames, size_t max);

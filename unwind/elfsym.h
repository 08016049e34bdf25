/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of native (C, C++, Rust) code of one ELF file: symbol tables (.symtab, .dynsym,
 * .gnu_debugdata, a separate debug file by build id or .gnu_debuglink), DWARF lines and inlined
 * functions where present (libdw), demangled by libiberty.
 *
 * Built when first asked for. Not thread safe: one thread symbolises a file at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf.h"
#include "frame.h"

struct uw_elfsym;

/* elf is borrowed and must outlive the object. Never fails for a file without symbols: it then
 * answers no question. -ENOMEM only. */
int uw_elfsym_new(const struct uw_elf *elf, struct uw_elfsym **ret);
void uw_elfsym_free(struct uw_elfsym *s);

/*
 * The frames at link-time address pc, innermost inlined first; 0 when no symbol covers it. A symbol
 * without a size covers up to the next one, but never past its section. Strings live as long as s.
 */
size_t uw_elfsym_frames(struct uw_elfsym *s, uint64_t pc, struct uw_frame *frames, size_t max);

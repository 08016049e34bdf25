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

#include "care.h"
#include "elf.h"
#include "frame.h"

struct uw_elfsym;

/*
 * elf is borrowed and must outlive the object. path, which may be NULL, is where the file was
 * found; it gives the places where a file named by .gnu_debuglink can be (beside it, in .debug/
 * beside it, under /usr/lib/debug). A separate file is used only when its build id, or else its
 * checksum, fits. Never fails for a file without symbols: it then answers no question. -ENOMEM
 * only.
 */
int uw_elfsym_new(const struct uw_elf *elf, const char *path, struct uw_elfsym **ret);
void uw_elfsym_free(struct uw_elfsym *s);

/*
 * From now on the cost of the file is counted in care, together with other files; care is borrowed.
 * Otherwise each file has the limits for itself.
 */
void uw_elfsym_share(struct uw_elfsym *s, struct uw_care *care);

/*
 * Frees unpacked debug sections, which may take many megabytes; the next look-up unpacks them
 * again. Strings of earlier frames become invalid.
 */
void uw_elfsym_forget(struct uw_elfsym *s);

/* Start of the function that holds pc, by its symbol; 0: no symbol has it. Needs no DWARF. */
uint64_t uw_elfsym_start(struct uw_elfsym *s, uint64_t pc);

/*
 * The frames at link-time address pc, innermost inlined first, the physical function last; 0 when
 * no symbol covers it. pc must lie inside the instruction meant: the interrupted pc itself, or
 * return address - 1 for callers. A symbol without a size covers up to the next one, but never past
 * its section. Strings live as long as s. The first call builds the index: about 10 ms and 8 bytes
 * a symbol for 100,000 symbols.
 */
size_t uw_elfsym_frames(struct uw_elfsym *s, uint64_t pc, struct uw_frame *frames, size_t max);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that is in memory only: its text was never the mapping of a file, as with packers of
 * executables. The memory is copied once into a file of our own that looks like a linked program: a
 * segment for each mapping, link-time addresses equal to those in memory (bias 0), no sections. All
 * readers of files read it as they read any other.
 *
 * Only what begins like a program is copied, so that the code of a JIT costs one small read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps.h"
#include "mem.h"

enum {
	UW_MEMELF_SEGMENTS = 64,
	UW_MEMELF_HEAD = 8192, /* bytes of the text that are looked at */
};

struct uw_memelf_part { /* one mapping of the program; ascending, disjoint */
	uint64_t start, end;
	uint8_t prot;    /* as of mmap(2) */
	uint64_t offset; /* out: of its bytes in the file */
};

/* Does executable memory at start begin like a program: an ELF header, or Go's build id? */
bool uw_memelf_begins(const struct uw_mem *mem, uint64_t start, uint64_t end);
/*
 * Copies the parts, at most 256 MiB, and of each that is written to at most 16 MiB. machine is that
 * of the process, as ELF numbers it. Returns a file
 * descriptor or negative errno (-EFBIG: more than that).
 */
int uw_memelf_make(const struct uw_mem *mem, uint16_t machine, struct uw_memelf_part *parts,
		   size_t n);

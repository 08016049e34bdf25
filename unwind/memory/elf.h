/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ELF file, opened once and kept: its bytes mapped read-only, its program headers, its
 * identity.
 *
 * Built on libelf (gelf) for headers and sections; the hot readers work on the mapped bytes.
 * All addresses here are link-time addresses (the p_vaddr of the file); a mapping of the file in a
 * process adds a bias. The object is immutable once opened: any thread may read it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "diag.h"

struct uw_segment { /* one PT_LOAD, in file order */
	uint64_t vaddr, memsz;
	uint64_t offset, filesz; /* filesz is cut to the file's real length */
	uint32_t flags;          /* PF_R | PF_W | PF_X */
};

struct uw_section {
	const char *name; /* borrowed from the file */
	uint64_t vaddr, offset;
	uint64_t size; /* cut to the file's real length, except for SHT_NOBITS */
	uint32_t type; /* SHT_NOBITS has no bytes in the file */
};

struct uw_elf {
	int fd; /* owned */
	const uint8_t *bytes;
	size_t size;
	uint16_t machine; /* EM_X86_64, EM_AARCH64 */
	uint16_t type;    /* ET_EXEC, ET_DYN */
	uint64_t entry;
	size_t nsegs;
	struct uw_segment *segs;
	size_t nsections; /* 0 when the file has no (readable) section headers */
	struct uw_section *sections;
	char build_id[129]; /* lower-case hex of NT_GNU_BUILD_ID, else "" */
	void *handle; /* libelf's Elf, borrowed by elfsym.c and dwarf.c; one thread at a time */
};

/*
 * Opens path for reading if it is a regular file, else negative errno (-EINVAL: it is not). The
 * path may be a target's choice: a FIFO or a device there, or a link to one, is not opened, because
 * that alone may do something. *st is the file's.
 */
int uw_open_regular(const char *path, struct stat *st);

/* Whether libelf may be given these bytes: a file of a kind that uw_elf_open takes. */
bool uw_elf_openable(const void *bytes, size_t size);

/*
 * Opens the file behind fd and takes fd over, also on failure. Little endian 64-bit only.
 * -ENOEXEC: not ELF or damaged; -ENOTSUP: another class, byte order; else the errno of mmap.
 */
int uw_elf_open(int fd, struct uw_elf **ret, struct uw_diag *diag);
void uw_elf_free(struct uw_elf *elf);

/* The bytes [vaddr, vaddr+len) of the file image, or NULL unless all of them lie in the file. */
const uint8_t *uw_elf_at(const struct uw_elf *elf, uint64_t vaddr, size_t len);

/* Bytes of the file image from vaddr to the end of its segment's file part; 0 when not in one. */
size_t uw_elf_room(const struct uw_elf *elf, uint64_t vaddr);

/* Gives the pages of the mapping back to the page cache: they count as our memory while mapped in.
 */
void uw_elf_trim(const struct uw_elf *elf);

/* A section by name; false when the file has none (section headers are a hint, never needed). */
bool uw_elf_section(const struct uw_elf *elf, const char *name, struct uw_section *ret);

/*
 * Load bias (runtime address minus link-time address) of a mapping of this file that starts at
 * `start` for file offset `offset`, both page aligned. Returns false when no PT_LOAD covers offset.
 */
bool uw_elf_bias(const struct uw_elf *elf, uint64_t start, uint64_t offset, uint64_t *ret);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file that targets map: opened when its mapping is first seen, parsed when it is first asked.
 * An exited, replaced or containerised target therefore still resolves. Shared by all processes
 * that map the same file (device and inode).
 *
 * Lifetime: a binary is freed with its last reference. An address space (space.h) has one reference
 * to each binary that it has ever mapped, until uw_space_fini. So what a binary lends (strings of
 * frames, tables, an ELF file) lasts as long as a space that maps it: code that keeps such things
 * longer keeps the space, or takes a reference. uw_binaries_fini frees all that are left; spaces
 * are finished before.
 *
 * Not thread safe: the owner (a session) serialises.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "eh_frame.h"
#include "elf.h"
#include "elfsym.h"
#include "gosym.h"
#include "mem.h"

struct uw_binary {
	unsigned int refs;
	uint64_t dev, ino; /* 0, 0 for what is no file (the vDSO) */
	char *path;        /* as the target names it */
	char *host_path;   /* as it can be opened from here, while the target lives; may be NULL */
	int fd;            /* open until the file is parsed, then -1: the elf owns it */
	bool parsed, go_tried, sym_tried, no_fd;
	struct uw_elf *elf;           /* NULL: not ELF, or it could not be opened */
	struct uw_eh_frame *eh_frame; /* NULL until asked */
	struct uw_go *go;             /* NULL: no Go tables */
	struct uw_elfsym *sym;        /* NULL until asked */
	int go_error;                 /* why go is NULL: negative errno of uw_go_open, or 0 */
	struct uw_diag go_diag;
	struct uw_care *care; /* the registry's */
	/* The registry's list of all, and of those in one slot. */
	struct uw_binaries *reg;
	struct uw_binary *prev, *next, *chain;
};

struct uw_binaries { /* the registry; zero-initialised is empty */
	struct uw_binary *first;
	struct uw_binary **slots; /* hashed by dev and ino; a power of two */
	size_t nslots, n;
	uint64_t versions;   /* the last version number given to an address space */
	struct uw_care care; /* what its files may cost */
};

/* Takes fd (may be -1: known by name only). Returns a reference, or NULL without memory. */
struct uw_binary *uw_binary_get(struct uw_binaries *reg, uint64_t dev, uint64_t ino,
				const char *path, const char *host_path, int fd);
struct uw_binary *uw_binary_find(struct uw_binaries *reg, uint64_t dev, uint64_t ino);
struct uw_binary *uw_binary_ref(struct uw_binary *b);
/* Gives one reference back; NULL is fine. */
void uw_binary_unref(struct uw_binary *b);
void uw_binaries_fini(struct uw_binaries *reg);

/* The parts, made on first use; NULL when the file has none. */
const struct uw_elf *uw_binary_elf(struct uw_binary *b);
struct uw_go *uw_binary_go(struct uw_binary *b, const struct uw_mem *live, uint64_t bias);
struct uw_elfsym *uw_binary_sym(struct uw_binary *b);
struct uw_eh_frame *uw_binary_eh_frame(struct uw_binary *b);

/* uw_elfsym_forget for all: the strings of frames of native code end. */
void uw_binaries_forget(struct uw_binaries *reg);
/* uw_elf_trim for all files. */
void uw_binaries_trim(struct uw_binaries *reg);

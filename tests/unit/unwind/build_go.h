/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds small Go binaries in memory: an ELF file with build information, pclntab and moduledata as
 * the linker of any known Go version lays them out. The layout is that of the
 * rows of golayout.h, whose numbers are checked against real toolchains elsewhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf.h"
#include "golayout.h"
#include "mem.h"

struct build_step { /* `value` for the next `bytes` of text; an array ends with {0, 0} */
	uint32_t bytes;
	int32_t value;
};

struct build_inlined {
	const char *name;
	int parent; /* index in the tree, -1 is the physical function */
	uint8_t id;
	int file, line;     /* of the call */
	uint32_t parent_pc; /* of the call, from the entry */
	int32_t start_line;
};

struct build_func {
	const char *name;
	uint32_t size;
	uint8_t id, flag;
	int32_t start_line;
	const struct build_step *sp, *file, *line, *inl; /* NULL: no table */
	const struct build_inlined *tree;
	size_t ntree;
};

enum build_pointers {
	BUILD_LINKED, /* link-time addresses in the file, as Go's and GNU's linkers leave them */
	BUILD_ZERO,   /* left to the loader */
	BUILD_LOADED, /* as in memory, with `bias` added */
};

struct build_go {
	const struct uw_golayout *layout;
	uint16_t machine;            /* EM_X86_64 unless set */
	const char *version, *mod;   /* NULL: no build information */
	bool sections;               /* write section headers */
	const char *pclntab_section; /* its name; NULL: ".gopclntab" */
	enum build_pointers pointers;
	uint64_t bias;
	size_t second_sect; /* the functions from this one on go to a second text section; 0: none
			     */
	const struct build_func *funcs;
	size_t nfuncs;
	const char *const *files;
	size_t nfiles;
};

struct built_go {
	uint8_t *bytes;
	size_t size;
	uint64_t text, header, moduledata;                    /* link-time addresses */
	size_t header_at, moduledata_at, blob_at, tables_end; /* where they lie in bytes */
	uint64_t *entries;                                    /* of the functions; nfuncs + 1 */
};

struct built_go build_go(const struct build_go *what);
void built_go_fini(struct built_go *b);

/* The built file behind a descriptor, and opened. */
int built_go_fd(const struct built_go *b);
struct uw_elf *built_go_elf(const struct built_go *b);

/* The built file as loaded at bias; *loaded holds what the reader needs. */
struct loaded_go {
	const struct built_go *file;
	uint64_t bias;
	unsigned reads;
};
struct uw_mem loaded_go_mem(struct loaded_go *loaded);

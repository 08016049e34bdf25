/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address space of one process image: its executable mappings and the files behind them.
 *
 * Filled from /proc/PID/maps at attach and kept up by mapping records afterwards. One image never
 * gives one address two meanings: when a new file replaces another one at the same place (dlclose,
 * dlopen), the caller makes a new image by uw_space_clone, so that addresses that were taken
 * before still resolve as they did. Not thread safe; the session that owns it serialises.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "binary.h"
#include "cfi.h"

struct uw_mapping { /* executable only; sorted by start, disjoint */
	uint64_t start, end;
	uint64_t offset;       /* file offset of start */
	struct uw_binary *bin; /* NULL: anonymous (JIT code) */
	uint64_t bias;         /* valid when has_bias: runtime minus link-time address */
	bool has_bias, vdso;
	bool bias_tried;
};

struct uw_space {
	struct uw_mapping *maps;
	size_t n, cap;
	struct uw_binaries *reg;
	struct uw_mem live; /* the process; reads fail once it is gone */
	pid_t pid;
	uint64_t version; /* new with every change and unique in a registry: caches compare it */
	/* The Go part: the first mapped file with Go tables (the executable, or a c-shared
	 * library). */
	bool go_tried;
	struct uw_go *go;
	struct uw_binary *go_bin; /* whose tables they are */
	uint64_t go_bias;
	uint64_t go_lo, go_hi;      /* runtime addresses of Go text; empty when there is no Go */
	struct uw_go_cursor cursor; /* of uw_symbolize */
	struct uw_binary *exe;
};

void uw_space_init(struct uw_space *s, struct uw_binaries *reg, pid_t pid);
void uw_space_fini(struct uw_space *s);
int uw_space_clone(const struct uw_space *from, struct uw_space *to);

/*
 * Reads /proc/PID/maps. Returns 0 or negative errno (-ESRCH, -EACCES ...). Every file is opened now
 * (through /proc/PID/exe, /proc/PID/root or /proc/PID/map_files), none is parsed.
 */
int uw_space_load(struct uw_space *s);

struct uw_map_event { /* one new executable mapping */
	uint64_t start, end, offset;
	uint64_t dev, ino; /* dev as makedev(3) gives it; ino 0: not a file */
	const char *path;  /* "" for anonymous memory */
};

/* True when the event would put another file where the space has one already. */
bool uw_space_conflicts(const struct uw_space *s, const struct uw_map_event *e);
int uw_space_add(struct uw_space *s, const struct uw_map_event *e);

/* The mapping at pc, or NULL. */
struct uw_mapping *uw_space_at(struct uw_space *s, uint64_t pc);
/* Its file and bias; false when it has no ELF file. */
bool uw_space_elf(struct uw_space *s, struct uw_mapping *m, const struct uw_elf **elf,
		  uint64_t *bias);
/* The Go tables of this image or NULL; on success go_bias, go_lo, go_hi are set. */
struct uw_go *uw_space_go(struct uw_space *s);
/*
 * Whether the tables of uw_space_go are those in memory, as `mem` has it: moduledata there must say
 * the same. -ENODATA: it can't be read; -ESTALE: it says something else; -ENOENT: there is no Go.
 */
int uw_space_check_go(struct uw_space *s, const struct uw_mem *mem);

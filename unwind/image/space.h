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

#include "arch.h"
#include "binary.h"
#include "cfi.h"

struct uw_near { /* a mapping of a file, beside anonymous memory or where that is now */
	struct uw_binary *bin; /* NULL: none */
	uint64_t start, offset;
};

struct uw_mapping { /* executable only; sorted by start, disjoint */
	uint64_t start, end;
	uint64_t offset;       /* file offset of start */
	struct uw_binary *bin; /* NULL: anonymous (JIT code) */
	uint64_t bias;         /* valid when has_bias: runtime minus link-time address */
	bool has_bias, vdso;
	bool bias_tried;
	/*
	 * Memory that is no program's file, but was proved to hold the text of one (space_anon.c):
	 * bin is that file, or our copy of the memory, and mapped what it was mapped from.
	 */
	bool copied;
	struct uw_binary *mapped;
	struct uw_near near[2]; /* whose text it may be */
	uint64_t run;           /* where the anonymous memory around it begins */
};

/* One Go module: a text with its tables. A program has one; each plugin and each shared library
 * that is written in Go is one more. */
struct uw_go_module {
	uint64_t lo, hi; /* runtime addresses of its text */
	struct uw_go *go;
	struct uw_binary *bin; /* whose tables they are */
	uint64_t bias;
	/* Index of the module that its runtime is in: its own, but for plugins. */
	size_t runtime;
};

enum { UW_MAX_GO_MODULES = 256 };

struct uw_space {
	struct uw_mapping *maps;
	size_t n, cap;
	struct uw_binaries *reg;
	/* A reference each to all binaries that were mapped: a hash set, a power of two. */
	struct uw_binary **held;
	size_t nheld, held_cap;
	const struct uw_arch *arch; /* this machine's, or the core file's; NULL: not supported */
	struct uw_mem live;         /* the process; reads fail once it is gone */
	pid_t pid;
	pid_t living;     /* whose files below /proc are read (task.h), as of the last load */
	uint64_t version; /* new with every change and unique in a registry: caches compare it */
	/* The Go part: all modules, ascending, and the one that is meant by the functions which ask
	 * for one: the executable, or the first one with a runtime, until another one is chosen. */
	bool go_tried;
	struct uw_go_module *mods;
	size_t nmods;
	size_t chosen, first; /* first: chosen at first */
	struct uw_go *go;
	struct uw_binary *go_bin; /* whose tables they are */
	uint64_t go_bias;
	uint64_t go_lo, go_hi;      /* runtime addresses of Go text; empty when there is no Go */
	struct uw_go_cursor cursor; /* of uw_symbolize */
	struct uw_binary *exe;
	/* A file that came by a record is not whole before the loader is done with it. */
	bool fresh;
	unsigned int go_again; /* so often it was looked for once more */
	uint64_t go_next;      /* when to do that; ns of CLOCK_MONOTONIC, 0: not at all */
};

void uw_space_init(struct uw_space *s, struct uw_binaries *reg, pid_t pid);
/* Gives its binaries back; the registry frees those that no other space has. */
void uw_space_fini(struct uw_space *s);
/* The clone holds only the binaries that are mapped now. */
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
/* The chosen Go tables of this image or NULL; on success go_bias, go_lo, go_hi are set. */
struct uw_go *uw_space_go(struct uw_space *s);
/*
 * Chooses the module `which` of mods, in the order of addresses. Readers of a runtime (goglobals,
 * goroutines, ...) read that of the chosen one; stacks go through all of them.
 */
void uw_space_choose_go(struct uw_space *s, size_t which);
/* How many runtimes there are: 0 without Go. */
size_t uw_space_runtimes(struct uw_space *s);
/* The module that the which-th runtime is in: 0 is the one that uw_space_go chose. */
size_t uw_space_runtime(const struct uw_space *s, size_t which);
/* Makes these tables the only ones, for a caller that knows them; false without memory. */
bool uw_space_set_go(struct uw_space *s, struct uw_go *go, struct uw_binary *bin, uint64_t bias);
const struct uw_go_module *uw_space_go_other(const struct uw_space *s, uint64_t pc);

/* The module whose text holds pc, or NULL. After uw_space_go. */
static inline const struct uw_go_module *uw_space_go_at(const struct uw_space *s, uint64_t pc)
{
	if (pc >= s->go_lo && pc < s->go_hi)
		return &s->mods[s->chosen];
	return s->nmods > 1 ? uw_space_go_other(s, pc) : NULL;
}

enum { UW_MAX_RUN_GAP = 4 << 20 }; /* between two segments of one program in memory, at most */

/*
 * No file, or one that has bytes only while it is mapped (memfd_create(2), large pages): a program
 * may have its text there. Arguments as of /proc/PID/maps.
 */
bool uw_space_is_anonymous(uint64_t ino, const char *path);

/* Keeps a reference to b, which it takes over, until uw_space_fini. -ENOMEM: it was given back.
 * Private to the room. */
int uw_space_hold(struct uw_space *s, struct uw_binary *b);

/*
 * Whether memory at m, which is no file with a program, has the text of one after all: then sets
 * its bin, offset and bias. Private to space*.c.
 */
bool uw_space_prove(struct uw_space *s, struct uw_mapping *m);

/*
 * Whether the tables that uw_space_go has found are those in memory, as `mem` has it: moduledata
 * there must say the same. -ENODATA: it can't be read; -ESTALE: it says something else; -ENOENT:
 * there is no Go, or it was not looked for.
 */
int uw_space_check_go(const struct uw_space *s, const struct uw_mem *mem);

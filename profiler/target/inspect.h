/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program, process or core file in full: build information, facts of its tables, and what may
 * be read of it. Nothing is written to a process, none is stopped.
 *
 * Objects are plain data that belong to the caller; any thread may call, each with its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "program.h"

struct prowl_mapping_info {
	uint64_t start, end, offset;
	uint64_t bias; /* runtime address minus link-time address; valid when has_bias */
	bool has_bias, has_elf;
	char build_id[129];
	char *path; /* "" for anonymous memory */
};

struct prowl_go_module {
	char *path;
	char go_version[128];
	uint64_t text_lo, text_hi;
	size_t functions;
	size_t runtime; /* index of the module whose runtime it uses */
};

struct prowl_info {
	pid_t pid; /* 0: of a file */
	char comm[64];
	char *path; /* of the Go binary: as the process names it, or as given */
	struct prowl_program program;
	char go_build_id[256];
	int minor;           /* 24 for go1.24.4 */
	char layout[32];     /* the row of the table of layouts, "go1.24.0" */
	bool layout_guessed; /* newer than every known version */
	size_t functions;
	uint64_t text_lo, text_hi; /* Go text: runtime addresses of a process, else link-time */
	uint64_t moduledata;       /* likewise */
	uint64_t bias;
	/* All Go modules of a process: the program (or library) described above, its plugins, and
	 * modules with another runtime; ascending by address. */
	struct prowl_go_module *modules;
	size_t nmodules, main_module, nruntimes;
	struct prowl_mapping_info *mappings; /* executable ones; none of a file */
	size_t nmappings;
	bool sampler_works;
	char sampler[64];      /* what `profile` would use, or "none" */
	char sampler_why[512]; /* the reason for it */
	int memory_error;      /* negative errno of reading the memory of the process, or 0 */
	bool is_core;          /* of a core file, which has pid and comm */
	struct prowl_core_facts {
		size_t threads;
		int signal;          /* signal that ended the process; 0: none (gcore) */
		uint64_t memory;     /* bytes that the core has */
		uint64_t missing;    /* bytes missing because it was cut short */
		size_t libs_missing; /* mapped files that can't be opened here */
		size_t libs_changed; /* or that differ from what was mapped */
		bool proved; /* the program's file equals the parts that the core has of it */
	} core;
};

/*
 * PROWL_NOTHING: no such process; PROWL_PERMISSION; PROWL_UNSUPPORTED: not Go, too old, damaged.
 * The result is freed by prowl_info_free.
 */
enum prowl_code prowl_inspect_pid(pid_t pid, struct prowl_info **ret, struct prowl_err *err);
enum prowl_code prowl_inspect_file(const char *path, struct prowl_info **ret,
				   struct prowl_err *err);
/*
 * Of a core file; exe: the program that wrote it, NULL for the one that it names. PROWL_FAILED: no
 * core file, damaged, or the program can't be opened; PROWL_USAGE: exe is another program.
 */
enum prowl_code prowl_inspect_core(const char *core, const char *exe, struct prowl_info **ret,
				   struct prowl_err *err);
void prowl_info_free(struct prowl_info *info);

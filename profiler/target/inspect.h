/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be told of a program or a process without sampling it: its build information, what its
 * tables say, and what we may read of it. Nothing is written to a process, none is stopped.
 *
 * Objects are plain data that belong to the caller; any thread may call, each with its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/* --- build information ---------------------------------------------------------------------- */

struct prowl_module { /* strings are "" where the build information has none */
	char *path, *version, *sum;
	char *new_path, *new_version; /* of the module that replaces it; new_path "" for none */
};

struct prowl_setting {
	char *key, *value;
};

struct prowl_buildinfo { /* zero-initialised is empty */
	char *path;      /* import path of the main package */
	struct prowl_module main;
	struct prowl_module *deps;
	size_t ndeps;
	struct prowl_setting *settings; /* in the order of the file */
	size_t nsettings;
	char *store; /* private: the text that the strings point into */
};

/*
 * Parses the module text of a Go program (one fact a line, fields apart by tabs, keys and values of
 * settings quoted as in Go source where they hold white space or quotes). Unknown lines are left
 * out. Returns 0 or -ENOMEM.
 */
int prowl_buildinfo_parse(const char *text, size_t len, struct prowl_buildinfo *ret);
void prowl_buildinfo_fini(struct prowl_buildinfo *b);
/* The value of a setting, or NULL. */
const char *prowl_buildinfo_setting(const struct prowl_buildinfo *b, const char *key);

/* --- programs ------------------------------------------------------------------------------- */

struct prowl_program {
	bool elf, go;
	char go_version[128]; /* "go1.24.4 X:foo"; "" when unknown */
	char machine[16];     /* "amd64", "arm64", or the number of the ELF header */
	char build_id[129];   /* GNU build id in hex, or "" */
	bool stripped;        /* no symbol table */
	bool pie;
	bool cgo;     /* C code is linked in */
	bool dynamic; /* asks for a dynamic loader */
	struct prowl_buildinfo build;
};

/*
 * Looks at headers, sections and build information only: well below a millisecond, whatever the
 * size of the file. Takes fd over. Returns 0, also when it is not Go or not ELF (see there), or
 * negative errno.
 */
int prowl_program_read(int fd, struct prowl_program *ret);
void prowl_program_fini(struct prowl_program *p);

struct uw_elf;
struct uw_go;
/* The same of a file whose tables are known. Returns 0 or -ENOMEM. */
int prowl_program_describe(const struct uw_elf *elf, const struct uw_go *go,
			   struct prowl_program *ret);
/* Of a Go program: whether there is C code in it (cgo). */
bool prowl_elf_has_c(const struct uw_elf *elf);

/* --- processes ------------------------------------------------------------------------------ */

struct prowl_process {
	pid_t pid;
	pid_t living; /* a thread of it that lives: pid, unless its main thread has ended */
	bool zombie;  /* all of it has ended; it waits for its parent */
	bool changed; /* what it executes is not the code of its file */
	uid_t uid;
	char user[33]; /* name of the owner, or the number */
	char comm[64];
	char exe[4096];       /* as the process sees it, without the mark of a deleted file */
	bool deleted;         /* the program's file has no name any more */
	bool other_namespace; /* another pid or mount namespace than ours: a container */
	uint64_t rss;         /* bytes */
	unsigned int threads;
	int exe_error;    /* the program can't be read: negative errno; `program` is empty */
	int maps_error;   /* negative errno of reading /proc/PID/maps, 0: readable */
	int memory_error; /* of process_vm_readv: heap and goroutines need it */
	int perf_error;   /* of opening a perf event for its user code */
	/* Where its Go is if not in exe: a library, "[anon]" for memory only; else "". */
	char go_file[4096];
	const struct prowl_program *program; /* borrowed, valid during the callback */
};

enum prowl_list_flags {
	PROWL_LIST_ALL = 1,   /* programs that are not Go too */
	PROWL_LIST_QUICK = 2, /* only pid, comm, exe and program; nothing is probed */
};

struct prowl_list_result {
	size_t listed, hidden; /* hidden: whose program could not be read, not listed */
};

/*
 * Calls cb for each process but kernel threads and ourselves, ascending by pid. Without
 * PROWL_LIST_ALL only Go programs are listed. Non-zero of cb ends the list.
 */
enum prowl_code prowl_list(unsigned int flags, int (*cb)(void *ctx, const struct prowl_process *p),
			   void *ctx, struct prowl_list_result *ret, struct prowl_err *err);

/* Where the program of a process is (as /proc/PID/exe tells), also if its main thread has ended. */
ssize_t prowl_read_exe(pid_t pid, char *buf, size_t len);

/* What keeps us from profiling p, in a few words; "" when nothing does. */
void prowl_process_obstacle(const struct prowl_process *p, char *buf, size_t len);

/* Can addresses of pid be read, its memory, can it be sampled? Negative errno each, or 0. */
int prowl_probe_maps(pid_t pid);
int prowl_probe_memory(pid_t pid);
/* Opens a disabled CPU-clock event: of one process (cpu -1), or pid -1 of one CPU. */
int prowl_probe_perf(pid_t pid, int cpu, bool kernel);

/* --- one program or process, in full -------------------------------------------------------- */

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
	pid_t pid; /* 0: a file was looked at */
	char comm[64];
	char *path; /* of the Go binary: as the process names it, or as it was given */
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
	bool is_core;          /* a core file was looked at: pid and comm are what it says */
	struct prowl_core_facts {
		size_t threads;
		int signal;          /* that ended the process; 0: none (gcore) */
		uint64_t memory;     /* bytes that the core has */
		uint64_t missing;    /* bytes that it should have, but it was cut short */
		size_t libs_missing; /* mapped files that can't be opened here */
		size_t libs_changed; /* or are not what was mapped */
		bool proved; /* the program's file was compared with what the core has of it */
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

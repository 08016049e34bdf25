/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts of a program file: its ELF header and sections, and the build information of Go.
 *
 * Objects are plain data that belong to the caller; any thread may call, each with its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct uw_elf;
struct uw_go;

/* --- build information --- */

struct prowl_module { /* missing strings are "" */
	char *path, *version, *sum;
	char *new_path, *new_version; /* the module that replaces it; new_path "": none */
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
 * Parses the module text of a Go program: one fact a line, fields separated by tabs, keys and
 * values of settings quoted as in Go source if they have white space or quotes. Unknown lines are
 * skipped. Returns 0 or -ENOMEM.
 */
int prowl_buildinfo_parse(const char *text, size_t len, struct prowl_buildinfo *ret);
void prowl_buildinfo_fini(struct prowl_buildinfo *b);
/* The value of a setting, or NULL. */
const char *prowl_buildinfo_setting(const struct prowl_buildinfo *b, const char *key);

/* --- programs --- */

struct prowl_program {
	bool elf, go;
	char go_version[128];  /* "go1.24.4 X:foo"; "" when unknown */
	char machine[16];      /* "amd64", "arm64", or the number of the ELF header */
	char build_id[129];    /* GNU build id in hex, or "" */
	char go_build_id[256]; /* Go's own, or "" */
	bool stripped;         /* no symbol table */
	bool pie;
	bool cgo;     /* C code is linked in */
	bool dynamic; /* needs a dynamic loader */
	struct prowl_buildinfo build;
};

/*
 * Reads headers, sections and build information only: well below a millisecond, whatever the size
 * of the file. Takes fd over. Returns 0, also if it is not Go or not ELF (members elf and go), or
 * negative errno.
 */
int prowl_program_read(int fd, struct prowl_program *ret);
void prowl_program_fini(struct prowl_program *p);

/* The same for a file whose tables are open. Returns 0 or -ENOMEM. */
int prowl_program_describe(const struct uw_elf *elf, const struct uw_go *go,
			   struct prowl_program *ret);
/* Whether a Go program has C code (cgo). */
bool prowl_elf_has_c(const struct uw_elf *elf);

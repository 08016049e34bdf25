/* SPDX-License-Identifier: Apache-2.0 */
/* Options that several commands have: their rows, and the checks that belong to them. */
#pragma once

#include "opts.h"
#include "target.h"
#include "who.h"

struct pprof_exporter;

struct common_opts {
	struct target_pids pids;
	const char *name;
	struct prowl_who who; /* common_find_named sets the pid where one is wanted */
	uint64_t duration_ns; /* 0: not given */
	const char *output, *format;
	const struct pprof_exporter *out; /* set by common_check_output */
};

/* Types and fields take no parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
/* clang-format off */
/* One process, in a pid_t. */
#define OPT_PID(h, type, field) \
	{.letter = 'p', .name = "pid", .arg = "PID", .help = (h), .take = opts_pid, \
	 .at = OPT_FIELD(type, field, pid_t)}

/* Rows for a struct with a common_opts in it: its type and the name of that field. */
#define COMMON_PIDS(h, type, field) \
	{.letter = 'p', .name = "pid", .arg = "PID", .help = (h), .take = common_take_pid, \
	 .at = OPT_FIELD(type, field.pids, struct target_pids)}
#define COMMON_NAME(h, type, field) \
	{.letter = 'n', .name = "name", .arg = "NAME", .help = (h), .take = common_take_name, \
	 .at = OPT_FIELD(type, field.name, const char *)}
#define COMMON_CORE(h, type, field) \
	OPT_TEXT(0, "core", "FILE", h, type, field.who.core), \
	OPT_TEXT(0, "exe", "FILE", \
		 "program that wrote the core file, where the core names another place", \
		 type, field.who.exe)
#define COMMON_SECONDS(h, type, field) OPT_TIME('d', "seconds", h, type, field.duration_ns)
#define COMMON_OUTPUT(kind, type, field) \
	OPT_TEXT('o', "output", "FILE", \
		 "- is stdout (default prowl.NAME.PID." kind ".TIME.pb.gz)", type, field.output), \
	{.letter = 'f', .name = "format", .arg = "FORMAT", .help = "(default by the file's name)", \
	 .take = opts_text, .at = OPT_FIELD(type, field.format, const char *), \
	 .word = output_name}

#define OPT_JSON(h, type, field) OPT_FLAG(0, "json", h, type, field)
#define OPT_QUIET(h) {.letter = 'q', .name = "quiet", .help = (h), .take = common_take_quiet}
#define OPT_VERBOSE(h) {.letter = 'v', .name = "verbose", .help = (h), .take = common_take_verbose}
#define OPT_COLOR \
	{.name = "color", .arg = "WHEN", .help = "", .take = common_take_color, \
	 .words = common_color_words}
/* What commands say. */
#define COMMON_SAY OPT_QUIET("only errors"), OPT_VERBOSE("say more"), OPT_COLOR
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

extern const char *const common_color_words[];

bool common_take_pid(const struct opt *o, void *field, const char *arg);
bool common_take_name(const struct opt *o, void *field, const char *arg);
bool common_take_quiet(const struct opt *o, void *field, const char *arg);
bool common_take_verbose(const struct opt *o, void *field, const char *arg);
bool common_take_color(const struct opt *o, void *field, const char *arg);

/* Ways to name a target besides --pid. */
enum { BY_NAME = 1, BY_CORE = 2, BY_COMMAND = 4 };

/* Whether a target is given, in one of the ways, and --exe only with --core. */
enum prowl_code common_check_target(const struct common_opts *c, unsigned int ways);

/* Finds the processes of --name. With one, several are an error. */
enum prowl_code common_find_named(struct common_opts *c, bool one);

/* Chooses the format; whether the output can be written. */
enum prowl_code common_check_output(struct common_opts *c);

/* Whether --exe comes with --core, for commands with fields of their own. */
enum prowl_code common_check_exe(const char *core, const char *exe);

/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison at the end of `diff` and `bench`: its options, files and verdict. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common_opts.h"
#include "pprof.h"
#include "pprof_compare.h"

struct diff_rules;

/* Types and fields take no parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
/* clang-format off */
/* Rows of a command's table of options, for a struct with a gate in it. */
#define GATE_OPTIONS(T, f) \
	OPT_TEXT('t', "type", "NAME", \
		 "which values: cpu, alloc_space, ... (default: the profiles')", \
		 T, f.o.sample_type), \
	OPT_WORD(0, "by", "WHAT", "(default: function)", T, f.o.by, gate_by_words), \
	{.name = "tolerance", .arg = "SHARE", .take = gate_take_share, \
	 .at = OPT_FIELD(T, f.o.tolerance, double), \
	 .help = "an increase that is none (default: 5%)"}, \
	{.name = "q", .arg = "SHARE", .take = gate_take_part, .at = OPT_FIELD(T, f.o.q, double), \
	 .help = "false discoveries among the functions found (default: 5%)"}, \
	{.name = "min-share", .arg = "SHARE", .take = gate_take_part, \
	 .at = OPT_FIELD(T, f.o.min_share, double), \
	 .help = "smaller parts of the total are not judged (default: 0.5%)"}, \
	{.name = "rules", .arg = "FILE", .take = gate_take_rules, \
	 .at = OPT_FIELD(T, f.rules, struct diff_rules *), \
	 .help = "tolerances of single functions, and what is accepted (YAML)"}, \
	OPT_WORD(0, "fail-on", "WHAT", "(default: any)", T, f.fail_on, gate_fail_words), \
	{.letter = 'f', .name = "format", .arg = "FORMAT", .take = opts_text, \
	 .at = OPT_FIELD(T, f.format, const char *), .word = gate_format_name, \
	 .help = "(default by the file's name, else text)"}, \
	{.letter = 'o', .name = "output", .arg = "FILE", .take = gate_take_output, \
	 .at = OPT_FIELD(T, f, struct gate), \
	 .help = "default: standard output; may be given several times"}, \
	OPT_NUMBER('n', "lines", "unchanged functions that are listed (default: 10)", \
		   T, f.lines, 0, 1000000), \
	OPT_COLOR
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

extern const char *const gate_by_words[], *const gate_mode_words[], *const gate_fail_words[];
/* The name of each format, NULL behind the last one. */
const char *gate_format_name(size_t index);

enum { GATE_LINES = 10 }; /* default of --lines */

enum gate_fail_on { GATE_FAIL_ANY, GATE_FAIL_TOTAL, GATE_FAIL_FUNCTION, GATE_FAIL_NEVER };

struct gate_side {
	char **paths; /* owned */
	size_t n;
};

struct gate { /* zero-initialised, but for lines; private but for base and head */
	struct pprof_compare_options o;
	struct gate_side base, head;
	double *operations;
	size_t noperations;
	struct diff_rules *rules;
	struct pprof_profile **profiles; /* base, then head */
	const char *format, *ops;
	const char *outputs[8];
	size_t noutputs;
	const char *base_name, *head_name; /* names of the sides; NULL: their first files */
	enum gate_fail_on fail_on;
	uint64_t lines;
	char *warnings[8]; /* at most one of each kind */
	size_t nwarnings;
};

/* Adds a file. False: no memory. */
bool gate_take(struct gate_side *s, const char *path);
/* For the rows above. */
bool gate_take_share(const struct opt *o, void *field, const char *arg);
bool gate_take_part(const struct opt *o, void *field, const char *arg);
bool gate_take_rules(const struct opt *o, void *field, const char *arg);
bool gate_take_output(const struct opt *o, void *field, const char *arg);
/* Whether the outputs can be written. */
enum prowl_code gate_check_outputs(struct gate *g);
/* Whether the options fit together and with the files, too. */
enum prowl_code gate_check(struct gate *g);
/* Loads, compares, writes; the exit code. */
enum prowl_code gate_compare(struct gate *g);
void gate_fini(struct gate *g);

/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison that `diff` and `bench` end with: its options, its files, its answer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pprof.h"
#include "pprof_compare.h"

struct diff_rules;

enum { /* ids of the options below: a command's own must be others */
       GATE_FORMAT = 200,
       GATE_OUTPUT,
       GATE_TYPE,
       GATE_BY,
       GATE_MODE,
       GATE_OPERATIONS,
       GATE_TOLERANCE,
       GATE_Q,
       GATE_MIN_SHARE,
       GATE_RULES,
       GATE_FAIL_ON,
       GATE_LINES,
       GATE_COLOR,
};

/* For a command's table of options. */
#define GATE_OPTIONS                                                                             \
	{'t', "type", "NAME", "which values: cpu, alloc_space, ... (default: the profiles')",    \
	 GATE_TYPE},                                                                             \
		{0, "by", "WHAT", "function (default), file, package or line", GATE_BY},         \
		{0, "tolerance", "SHARE", "an increase that is none (default: 5%)",              \
		 GATE_TOLERANCE},                                                                \
		{0, "q", "SHARE", "false discoveries among the functions found (default: 5%)",   \
		 GATE_Q},                                                                        \
		{0, "min-share", "SHARE",                                                        \
		 "smaller parts of the total are not judged (default: 0.5%)", GATE_MIN_SHARE},   \
		{0, "rules", "FILE",                                                             \
		 "tolerances of single functions, and what is accepted (YAML)", GATE_RULES},     \
		{0, "fail-on", "WHAT", "any (default), total, function or never", GATE_FAIL_ON}, \
		{'f', "format", "FORMAT",                                                        \
		 "text (default), markdown, json, junit, github, html, svg or pprof",            \
		 GATE_FORMAT},                                                                   \
		{'o', "output", "FILE", "default: standard output; may be given several times",  \
		 GATE_OUTPUT},                                                                   \
		{'n', "lines", "N", "unchanged functions that are listed (default: 10)",         \
		 GATE_LINES},                                                                    \
	{                                                                                        \
		0, "color", "WHEN", "auto, always or never", GATE_COLOR                          \
	}

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
	const char *base_name,
		*head_name; /* what the sides are called; NULL: by their first files */
	enum gate_fail_on fail_on;
	uint64_t lines;
	char *warnings[8]; /* of a kind one */
	size_t nwarnings;
};

/* Adds a file. False: no memory. */
bool gate_take(struct gate_side *s, const char *path);
/* One of the options above; false after saying what is wrong. arg is borrowed. */
bool gate_option(struct gate *g, int id, const char *arg);
/* May the outputs be written, and in which forms? False after saying what is wrong. */
bool gate_check_outputs(struct gate *g);
/* Do the options fit together and with the files? False after saying what doesn't. */
bool gate_check(struct gate *g);
/* Loads, compares, writes; the exit code. */
int gate_compare(struct gate *g);
void gate_fini(struct gate *g);

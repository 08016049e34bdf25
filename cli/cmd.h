/* SPDX-License-Identifier: Apache-2.0 */
/* The commands: a table from which dispatch, help and completions are made. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "opts.h"

struct cmd {
	const char *name;
	const char *usage;   /* what follows the name: "[options] FILE" */
	const char *summary; /* one line */
	const char *text;    /* examples and details for --help; may be NULL */
	const struct opt *opts;
	unsigned int may; /* PROWL_MAY_...: of the privilege that the program file has; 0: none */
	int (*run)(int argc,
		   char **argv); /* argv[0] is the command's name; returns the exit code */
};

extern const struct cmd *const commands[]; /* ends with NULL */
const struct cmd *cmd_find(const char *name);

/* What prowl --help prints. */
void cmd_usage(FILE *f);

extern const struct cmd cmd_profile;
extern const struct cmd cmd_heap;
extern const struct cmd cmd_allocs;
extern const struct cmd cmd_block;
extern const struct cmd cmd_mutex;
extern const struct cmd cmd_threadcreate;
extern const struct cmd cmd_goroutine;
extern const struct cmd cmd_wall;
extern const struct cmd cmd_top;
extern const struct cmd cmd_report;
extern const struct cmd cmd_diff;
extern const struct cmd cmd_bench;
extern const struct cmd cmd_baseline;
extern const struct cmd cmd_open;
extern const struct cmd cmd_ps;
extern const struct cmd cmd_info;
extern const struct cmd cmd_rates;
extern const struct cmd cmd_doctor;
extern const struct cmd cmd_completion;
extern const struct cmd cmd_help;
extern const struct cmd cmd_version;

/* SPDX-License-Identifier: Apache-2.0 */
/* The commands: a table from which dispatch, help and completions are made. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "err.h"
#include "opts.h"

struct cmd {
	const char *name;
	const char *usage;   /* what follows the name: "[options] FILE" */
	const char *summary; /* one line */
	const char *text;    /* examples and details for --help; may be NULL */
	const struct opt *opts;
	enum operands operands;
	unsigned int may; /* PROWL_MAY_...: of the privilege that the program file has; 0: none */
	bool no_sigpipe;  /* a reader that goes away is an error to report, not the end of prowl */
	/*
	 * Of a command that is only a first word: what follows it, up to NULL. Each is named by
	 * both words ("daemon check"). Of such a command nothing but name, usage, summary and text
	 * counts.
	 */
	const struct cmd *const *verbs;

	size_t size;          /* of the struct that the options are stored in */
	const void *defaults; /* such a struct; NULL: all zero */

	/*
	 * The command, in this order; all but run may be NULL. `options` is the struct, `words` are
	 * the n operands.
	 */
	/*
	 * Parses what the table can't express, and removes it from argv. False after an error
	 * message.
	 */
	bool (*begin)(void *options, int *argc, char **argv);
	/* Whether the options fit together. Anything but PROWL_OK after an error message. */
	enum prowl_code (*check)(void *options, char **words, size_t n);
	/* The exit code; `profile` of a command passes on the command's own. */
	enum prowl_code (*run)(void *options, char **words, size_t n);
	void (*fini)(void *options);
};

extern const struct cmd *const commands[]; /* ends with NULL */
const struct cmd *cmd_find(const char *name);
/* The last word of its name, which is the one behind `prowl` or behind the first word. */
const char *cmd_word(const struct cmd *cmd);
/* The verb of a command; NULL: there is none of that name. */
const struct cmd *cmd_verb(const struct cmd *cmd, const char *word);
/* What the words behind `prowl` may need: PROWL_MAY_... */
unsigned int cmd_may(int argc, char **argv);

/* Parses the options, checks and runs, or finds the verb. argv[0] is the command's last word. */
enum prowl_code cmd_run(const struct cmd *cmd, int argc, char **argv);

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
extern const struct cmd cmd_daemon;
extern const struct cmd cmd_completion;
extern const struct cmd cmd_help;
extern const struct cmd cmd_version;

/* SPDX-License-Identifier: Apache-2.0 */
/* Options as data: parsing (getopt_long), help and completions come from the same tables. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct opt {
	char letter;      /* short form, or 0 */
	const char *name; /* long form; NULL ends a table */
	const char *arg;  /* name of the argument, or NULL */
	const char *help;
	int id; /* what opts_next returns */
};

#define OPT_END   \
	{         \
		0 \
	}

struct cmd;

struct opts { /* a parse under way */
	const struct cmd *cmd;
	int argc;
	char **argv;
	char *shorts;
	void *longs;
};

enum {
	OPTS_DONE = -1,
	OPTS_EXIT = -2, /* help was printed (exit 0) or the usage was wrong (exit 2): see *code */
};

/* Initialises the parse of argv for cmd; -h and --help are known to every command. */
void opts_init(struct opts *o, const struct cmd *cmd, int argc, char **argv);
/* Is the next word this option's argument? "-n5" and "--lines=5" have theirs with them. */
bool opts_takes_next(const struct cmd *cmd, const char *word);
/*
 * For commands whose operands are files: moves options that come after operands before them, in
 * argv, up to a "--". Call it before opts_init.
 */
void opts_permute(const struct cmd *cmd, int argc, char **argv);
/* The next option's id, with its argument in *arg; OPTS_DONE: *first is the first operand. */
int opts_next(struct opts *o, const char **arg, int *first, int *code);
void opts_fini(struct opts *o);

/*
 * All of that for a command that takes options only: calls take for each, with ctx. 0: go on; else
 * an exit code, or -1 when help was printed (exit 0).
 */
int opts_parse(const struct cmd *cmd, int argc, char **argv,
	       bool (*take)(void *ctx, int id, const char *arg), void *ctx);

void opts_print_help(const struct cmd *cmd);

/* Parsers of arguments; they print what is wrong and return false. */
bool opts_pid(const char *s, pid_t *ret);
bool opts_number(const char *name, const char *s, uint64_t min, uint64_t max, uint64_t *ret);
/* "5", "5s", "250ms", "2m", "1m30s", "1h" → nanoseconds. */
bool opts_duration(const char *name, const char *s, uint64_t *ret);

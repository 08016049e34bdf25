/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options as data. A command has a struct of options and a table that says, row by row, which
 * option is stored in which field. Parsing (getopt_long), help and completions come from the table.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

struct opt {
	char letter;      /* short form, or 0 */
	const char *name; /* long form; NULL ends a table */
	const char *arg;  /* name of the argument, or NULL */
	const char *help;
	/* Stores the argument in the field; false after an error message. */
	bool (*take)(const struct opt *o, void *field, const char *arg);
	size_t at;                         /* of the field in the struct of options */
	uint64_t min, max;                 /* of numbers */
	const char *const *words;          /* all arguments that it takes, up to NULL; or NULL */
	const char *(*word)(size_t index); /* the same from another table: NULL behind the last */
};

#define OPT_END   \
	{         \
		0 \
	}

/* Types and fields take no parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
/* Where a field is; does not compile for a field of another type. */
#define OPT_FIELD(type, field, T) _Generic(((type *)0)->field, T : offsetof(type, field))

/* clang-format off */
/* Rows: short form, long form, [argument,] help, then the struct of options and its field. */
#define OPT_FLAG(l, n, h, type, field) \
	{.letter = (l), .name = (n), .help = (h), .take = opts_flag, \
	 .at = OPT_FIELD(type, field, bool)}
#define OPT_TEXT(l, n, a, h, type, field) \
	{.letter = (l), .name = (n), .arg = (a), .help = (h), .take = opts_text, \
	 .at = OPT_FIELD(type, field, const char *)}
#define OPT_NUMBER(l, n, h, type, field, lo, hi) \
	{.letter = (l), .name = (n), .arg = "N", .help = (h), .take = opts_u64, \
	 .at = OPT_FIELD(type, field, uint64_t), .min = (lo), .max = (hi)}
#define OPT_UINT(l, n, a, h, type, field, lo, hi) \
	{.letter = (l), .name = (n), .arg = (a), .help = (h), .take = opts_uint, \
	 .at = OPT_FIELD(type, field, unsigned int), .min = (lo), .max = (hi)}
#define OPT_TIME(l, n, h, type, field) \
	{.letter = (l), .name = (n), .arg = "TIME", .help = (h), .take = opts_time, \
	 .at = OPT_FIELD(type, field, uint64_t)}
/* An enum whose values are the indices of the words. */
#define OPT_WORD(l, n, a, h, type, field, list) \
	{.letter = (l), .name = (n), .arg = (a), .help = (h), .take = opts_word, \
	 .at = OPT_FIELD(type, field, unsigned int), .words = (list)}
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

struct cmd;

/* What a command takes besides options. */
enum operands {
	OPERANDS_NONE,
	OPERANDS_WORDS,
	OPERANDS_FILES,   /* options may come behind them */
	OPERANDS_COMMAND, /* all from the first one on belongs to the command */
};

enum opts_end { OPTS_RUN, OPTS_HELP /* was printed */, OPTS_WRONG /* was said */ };

/*
 * Stores the options of argv in the command's struct. -h and --help are options of every command.
 * *first is the first operand; there is none where the command takes none.
 */
enum opts_end opts_parse(const struct cmd *cmd, int argc, char **argv, void *options, int *first);

/* Whether the next word is this option's argument: "-n 5", but not "-n5" or "--lines=5". */
bool opts_takes_next(const struct cmd *cmd, const char *word);

void opts_print_help(const struct cmd *cmd);

/* The index-th argument that an option of few words takes; NULL behind the last. */
const char *opts_choice(const struct opt *o, size_t index);

/* The help of an option: its words, if any, and the text behind them. */
enum { OPTS_HELP_LEN = 512 };
const char *opts_help(const struct opt *o, char buf[OPTS_HELP_LEN]);

/* "a, b or c" of an option's words. */
const char *opts_choices(const struct opt *o, const char *last, char *buf, size_t len);

/* For `take` of a row. */
bool opts_flag(const struct opt *o, void *field, const char *arg);
bool opts_text(const struct opt *o, void *field, const char *arg);
bool opts_u64(const struct opt *o, void *field, const char *arg);
bool opts_uint(const struct opt *o, void *field, const char *arg);
/* "5", "5s", "250ms", "2m", "1m30s", "1h" → nanoseconds. */
bool opts_time(const struct opt *o, void *field, const char *arg);
bool opts_word(const struct opt *o, void *field, const char *arg);
bool opts_pid(const struct opt *o, void *field, const char *arg);
/* A process id; false after saying that it is none. */
bool opts_parse_pid(const char *s, pid_t *ret);

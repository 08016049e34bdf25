/* SPDX-License-Identifier: Apache-2.0 */
/* All commands, in the order in which help lists them; help and version themselves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "http.h"
#include "stop.h"
#include "term.h"
#include "top_screen.h"

const struct cmd *const commands[] = {
	&cmd_profile,   &cmd_heap,       &cmd_allocs, &cmd_block,   &cmd_mutex, &cmd_threadcreate,
	&cmd_goroutine, &cmd_wall,       &cmd_top,    &cmd_report,  &cmd_open,  &cmd_diff,
	&cmd_bench,     &cmd_baseline,   &cmd_ps,     &cmd_info,    &cmd_rates, &cmd_doctor,
	&cmd_daemon,    &cmd_completion, &cmd_help,   &cmd_version, NULL,
};

const struct cmd *cmd_find(const char *name)
{
	for (const struct cmd *const *c = commands; *c; c++) {
		if (!strcmp((*c)->name, name))
			return *c;
	}
	return NULL;
}

const char *cmd_word(const struct cmd *cmd)
{
	const char *space = strrchr(cmd->name, ' ');

	return space ? space + 1 : cmd->name;
}

const struct cmd *cmd_verb(const struct cmd *cmd, const char *word)
{
	for (const struct cmd *const *v = cmd->verbs; v && *v; v++) {
		if (!strcmp(cmd_word(*v), word))
			return *v;
	}
	return NULL;
}

unsigned int cmd_may(int argc, char **argv)
{
	const struct cmd *c = argc > 0 ? cmd_find(argv[0]) : NULL;

	if (c && c->verbs)
		c = argc > 1 ? cmd_verb(c, argv[1]) : NULL;
	return c ? c->may : 0;
}

/* --- running one ------------------------------------------------------------------ */

static enum prowl_code parse_and_run(const struct cmd *cmd, void *options, int argc, char **argv)
{
	enum prowl_code code = PROWL_OK;
	int first;

	if (cmd->begin && !cmd->begin(options, &argc, argv))
		return PROWL_USAGE;
	switch (opts_parse(cmd, argc, argv, options, &first)) {
	case OPTS_HELP:
		return PROWL_OK;
	case OPTS_WRONG:
		return PROWL_USAGE;
	case OPTS_RUN:
		break;
	}
	if (cmd->check)
		code = cmd->check(options, argv + first, (size_t)(argc - first));
	return code == PROWL_OK ? cmd->run(options, argv + first, (size_t)(argc - first)) : code;
}

/* "prowl daemon --help", or a verb with its own options. */
static enum prowl_code run_verb(const struct cmd *cmd, int argc, char **argv)
{
	const struct cmd *verb;
	int first;

	if (argc < 2) {
		say_error("what to do? prowl %s %s; prowl %s --help lists the verbs", cmd->name,
			  cmd->usage, cmd->name);
		return PROWL_USAGE;
	}
	if (argv[1][0] == '-')
		return opts_parse(cmd, argc, argv, NULL, &first) == OPTS_HELP ? PROWL_OK
									      : PROWL_USAGE;
	verb = cmd_verb(cmd, argv[1]);
	if (verb)
		return cmd_run(verb, argc - 1, argv + 1);
	say_error("there is no 'prowl %s %s'; prowl %s --help lists the verbs", cmd->name, argv[1],
		  cmd->name);
	return PROWL_USAGE;
}

enum prowl_code cmd_run(const struct cmd *cmd, int argc, char **argv)
{
	void *options = calloc(1, cmd->size + 1);
	enum prowl_code code;

	if (cmd->verbs) {
		free(options);
		return run_verb(cmd, argc, argv);
	}
	if (!options) {
		say_error("out of memory");
		return PROWL_FAILED;
	}
	if (cmd->defaults)
		memcpy(options, cmd->defaults, cmd->size);
	if (cmd->no_sigpipe)
		stop_ignore_pipe();
	code = parse_and_run(cmd, options, argc, argv);
	if (cmd->fini)
		cmd->fini(options);
	free(options);
	return code;
}

/* --- help and version ------------------------------------------------------------- */

void cmd_usage(FILE *f)
{
	fprintf(f, "prowl looks at running Go processes from outside and writes pprof profiles.\n\n"
		   "  prowl profile --pid 4242 --seconds 10    CPU profile of a process\n"
		   "  prowl profile -- ./server -port 8080     of a command\n"
		   "  prowl report prowl.*.pb.gz               look at a profile\n\n"
		   "Commands:\n");
	for (const struct cmd *const *c = commands; *c; c++)
		fprintf(f, "  %-12s %s\n", (*c)->name, (*c)->summary);
	fprintf(f,
		"\nprowl COMMAND --help prints its options. prowl --version prints the version.\n");
}

static enum prowl_code run_help(void *options, char **words, size_t n)
{
	const struct cmd *c = n ? cmd_find(words[0]) : NULL;

	if (c && c->verbs && n > 1) {
		c = cmd_verb(c, words[1]);
		if (!c) {
			say_error("there is no command '%s %s'", words[0], words[1]);
			return PROWL_USAGE;
		}
	}
	if (n && !c) {
		say_error("there is no command '%s'", words[0]);
		return PROWL_USAGE;
	}
	if (c)
		opts_print_help(c);
	else
		cmd_usage(stdout);
	return PROWL_OK;
}

const struct cmd cmd_help = {
	.name = "help",
	.usage = "[COMMAND [VERB]]",
	.summary = "print help",
	.operands = OPERANDS_WORDS,
	.run = run_help,
};

static enum prowl_code run_version(void *options, char **words, size_t n)
{
	printf("prowl " PROWL_VERSION "\n");
	if (!top_screen_built())
		puts("without: the screen of prowl top (ncurses)");
	if (!http_built())
		puts("without: prowl open (libmicrohttpd)");
	return PROWL_OK;
}

const struct cmd cmd_version = {
	.name = "version",
	.usage = "",
	.summary = "print the version",
	.operands = OPERANDS_WORDS,
	.run = run_version,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* All commands, in the order in which help lists them; help and version themselves. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "http.h"
#include "term.h"
#include "top_screen.h"

const struct cmd *const commands[] = {
	&cmd_profile,    &cmd_heap,     &cmd_allocs,  &cmd_block,  &cmd_mutex, &cmd_threadcreate,
	&cmd_goroutine,  &cmd_wall,     &cmd_top,     &cmd_report, &cmd_open,  &cmd_diff,
	&cmd_bench,      &cmd_baseline, &cmd_ps,      &cmd_info,   &cmd_rates, &cmd_doctor,
	&cmd_completion, &cmd_help,     &cmd_version, NULL,
};

const struct cmd *cmd_find(const char *name)
{
	for (const struct cmd *const *c = commands; *c; c++) {
		if (!strcmp((*c)->name, name))
			return *c;
	}
	return NULL;
}

void cmd_usage(FILE *f)
{
	fprintf(f, "prowl looks at running Go processes from outside and writes pprof profiles.\n\n"
		   "  prowl profile --pid 4242 --seconds 10    CPU profile of a process\n"
		   "  prowl profile -- ./server -port 8080     of a command\n"
		   "  prowl report prowl.*.pb.gz               look at a profile\n\n"
		   "Commands:\n");
	for (const struct cmd *const *c = commands; *c; c++)
		fprintf(f, "  %-12s %s\n", (*c)->name, (*c)->summary);
	fprintf(f, "\nprowl COMMAND --help tells more. prowl --version prints the version.\n");
}

static int run_help(int argc, char **argv)
{
	const struct cmd *c;

	if (argc < 2) {
		cmd_usage(stdout);
		return 0;
	}
	c = cmd_find(argv[1]);
	if (!c) {
		say_error("there is no command '%s'", argv[1]);
		return PROWL_USAGE;
	}
	opts_print_help(c);
	return 0;
}

const struct cmd cmd_help = {
	.name = "help", .usage = "[COMMAND]", .summary = "print help", .run = run_help};

static int run_version(int argc, char **argv)
{
	printf("prowl " PROWL_VERSION "\n");
	if (!top_screen_built())
		puts("without: the screen of prowl top (ncurses)");
	if (!http_built())
		puts("without: prowl open (libmicrohttpd)");
	return 0;
}

const struct cmd cmd_version = {
	.name = "version", .usage = "", .summary = "print the version", .run = run_version};

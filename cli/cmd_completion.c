/* SPDX-License-Identifier: Apache-2.0 */
/* Completions for bash, zsh and fish, made from the tables of commands and options. */
#include <string.h>

#include "cmd.h"
#include "output.h"
#include "term.h"

static bool takes_file(const char *name)
{
	return !strcmp(name, "report") || !strcmp(name, "open") || !strcmp(name, "info");
}

static void bash(void)
{
	printf("# bash completion for prowl\n"
	       "_prowl() {\n"
	       "\tlocal cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" words=\n"
	       "\tcase \"$prev\" in\n"
	       "\t-p|--pid)\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$(prowl ps -q 2>/dev/null)\" -- \"$cur\"))\n"
	       "\t\treturn ;;\n"
	       "\t-f|--format)\n"
	       "\t\tCOMPREPLY=($(compgen -W '");
	for (size_t i = 0; output_name(i); i++)
		printf("%s ", output_name(i));
	printf("' -- \"$cur\"))\n"
	       "\t\treturn ;;\n"
	       "\t--color)\n"
	       "\t\tCOMPREPLY=($(compgen -W 'auto always never' -- \"$cur\"))\n"
	       "\t\treturn ;;\n"
	       "\tesac\n"
	       "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W '");
	for (const struct cmd *const *c = commands; *c; c++)
		printf("%s ", (*c)->name);
	printf("--help --version' -- \"$cur\"))\n\t\treturn\n\tfi\n\tcase \"${COMP_WORDS[1]}\" in\n");
	for (const struct cmd *const *c = commands; *c; c++) {
		printf("\t%s) words='", (*c)->name);
		for (const struct opt *o = (*c)->opts; o && o->name; o++)
			printf("--%s ", o->name);
		printf("--help' ;;\n");
	}
	printf("\tesac\n"
	       "\tif [[ \"$cur\" == -* ]]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	       "\telse\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	       "\tfi\n"
	       "}\n"
	       "complete -o filenames -F _prowl prowl\n");
}

/* Single quotes can't stand in a single-quoted word of a shell. */
static void quoted(const char *s)
{
	for (; *s; s++) {
		if (*s == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*s);
	}
}

static void zsh_text(const char *s)
{
	for (; *s; s++) {
		if (strchr("[]:", *s))
			putchar('\\');
		if (*s == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*s);
	}
}

static void zsh(void)
{
	printf("#compdef prowl\n"
	       "_prowl() {\n"
	       "\tlocal -a cmds\n"
	       "\tcmds=(\n");
	for (const struct cmd *const *c = commands; *c; c++) {
		printf("\t\t'%s:", (*c)->name);
		zsh_text((*c)->summary);
		printf("'\n");
	}
	printf("\t)\n"
	       "\tif (( CURRENT == 2 )); then\n"
	       "\t\t_describe command cmds\n"
	       "\t\treturn\n"
	       "\tfi\n"
	       "\tlocal cmd=${words[2]}\n"
	       "\tshift words\n"
	       "\t(( CURRENT-- ))\n"
	       "\tcase $cmd in\n");
	for (const struct cmd *const *c = commands; *c; c++) {
		printf("\t%s)\n\t\t_arguments", (*c)->name);
		for (const struct opt *o = (*c)->opts; o && o->name; o++) {
			printf(" \\\n\t\t\t'--%s%s[", o->name, o->arg ? "=" : "");
			zsh_text(o->help);
			printf("]");
			if (o->arg && !strcmp(o->name, "pid"))
				printf(":pid:($(prowl ps -q 2>/dev/null))");
			else if (o->arg)
				printf(":%s:%s", o->arg, !strcmp(o->arg, "FILE") ? "_files" : " ");
			printf("'");
		}
		if (takes_file((*c)->name))
			printf(" \\\n\t\t\t'*:file:_files'");
		printf("\n\t\t;;\n");
	}
	printf("\tesac\n}\n_prowl \"$@\"\n");
}

static void fish(void)
{
	printf("# fish completion for prowl\n");
	for (const struct cmd *const *c = commands; *c; c++) {
		printf("complete -c prowl -n __fish_use_subcommand -f -a %s -d '", (*c)->name);
		quoted((*c)->summary);
		printf("'\n");
		for (const struct opt *o = (*c)->opts; o && o->name; o++) {
			printf("complete -c prowl -n '__fish_seen_subcommand_from %s' -l %s",
			       (*c)->name, o->name);
			if (o->letter)
				printf(" -s %c", o->letter);
			if (o->arg)
				printf(" -r");
			if (!strcmp(o->name, "pid"))
				printf(" -f -a '(prowl ps -q 2>/dev/null)'");
			printf(" -d '");
			quoted(o->help);
			printf("'\n");
		}
	}
}

static int run(int argc, char **argv)
{
	struct opts o;
	const char *arg;
	int first, code;
	int id;

	opts_init(&o, &cmd_completion, argc, argv);
	id = opts_next(&o, &arg, &first, &code);
	opts_fini(&o);
	if (id == OPTS_EXIT)
		return code;
	if (first + 1 == argc && !strcmp(argv[first], "bash"))
		bash();
	else if (first + 1 == argc && !strcmp(argv[first], "zsh"))
		zsh();
	else if (first + 1 == argc && !strcmp(argv[first], "fish"))
		fish();
	else {
		say_error("which shell? prowl completion bash|zsh|fish");
		return PROWL_USAGE;
	}
	return PROWL_OK;
}

const struct cmd cmd_completion = {
	.name = "completion",
	.usage = "bash|zsh|fish",
	.summary = "print completions for a shell",
	.text = "  source <(prowl completion bash)\n",
	.run = run,
};

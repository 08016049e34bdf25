/* SPDX-License-Identifier: Apache-2.0 */
/* Completions for bash, zsh and fish, made from the tables of commands and options. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "term.h"

/* Arguments of options that take one of a few words, command by command. */
static void bash_choices(void)
{
	printf("\tcase \"${COMP_WORDS[1]} $prev\" in\n");
	for (const struct cmd *const *c = commands; *c; c++) {
		for (const struct opt *o = (*c)->opts; o && o->name; o++) {
			if (!opts_choice(o, 0))
				continue;
			printf("\t'%s --%s'", (*c)->name, o->name);
			if (o->letter)
				printf("|'%s -%c'", (*c)->name, o->letter);
			printf(")\n\t\tCOMPREPLY=($(compgen -W '");
			for (size_t i = 0; opts_choice(o, i); i++)
				printf("%s ", opts_choice(o, i));
			printf("' -- \"$cur\"))\n\t\treturn ;;\n");
		}
	}
	printf("\tesac\n");
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
	       "\tesac\n");
	bash_choices();
	printf("\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
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

/* Escapes single quotes for a single-quoted word. */
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

static void zsh_choices(const struct opt *o)
{
	printf(":%s:(", o->arg);
	for (size_t i = 0; opts_choice(o, i); i++)
		printf("%s%s", i ? " " : "", opts_choice(o, i));
	putchar(')');
}

static void zsh(void)
{
	char help[OPTS_HELP_LEN];

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
			zsh_text(opts_help(o, help));
			printf("]");
			if (o->arg && !strcmp(o->name, "pid"))
				printf(":pid:($(prowl ps -q 2>/dev/null))");
			else if (opts_choice(o, 0))
				zsh_choices(o);
			else if (o->arg)
				printf(":%s:%s", o->arg, !strcmp(o->arg, "FILE") ? "_files" : " ");
			printf("'");
		}
		if ((*c)->operands == OPERANDS_FILES)
			printf(" \\\n\t\t\t'*:file:_files'");
		printf("\n\t\t;;\n");
	}
	printf("\tesac\n}\n_prowl \"$@\"\n");
}

static void fish_choices(const struct opt *o)
{
	for (size_t i = 0; opts_choice(o, i); i++)
		printf("%s%s", i ? " " : " -f -a '", opts_choice(o, i));
	if (opts_choice(o, 0))
		putchar('\'');
}

static void fish(void)
{
	char help[OPTS_HELP_LEN];

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
			fish_choices(o);
			printf(" -d '");
			quoted(opts_help(o, help));
			printf("'\n");
		}
	}
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	static const struct {
		const char *shell;
		void (*print)(void);
	} shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

	for (size_t i = 0; n == 1 && i < sizeof shells / sizeof *shells; i++) {
		if (strcmp(words[0], shells[i].shell) != 0)
			continue;
		shells[i].print();
		return PROWL_OK;
	}
	say_error("which shell? prowl completion bash|zsh|fish");
	return PROWL_USAGE;
}

const struct cmd cmd_completion = {
	.name = "completion",
	.usage = "bash|zsh|fish",
	.summary = "print completions for a shell",
	.text = "  source <(prowl completion bash)\n",
	.operands = OPERANDS_WORDS,
	.run = run,
};

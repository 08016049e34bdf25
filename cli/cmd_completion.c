/* SPDX-License-Identifier: Apache-2.0 */
/* Completions for bash, zsh and fish, made from the tables of commands and options. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "term.h"

/* Calls it for each command, and for each verb of those that have some. */
static void for_each(void (*print)(const struct cmd *c))
{
	for (const struct cmd *const *c = commands; *c; c++) {
		print(*c);
		for (const struct cmd *const *v = (*c)->verbs; v && *v; v++)
			print(*v);
	}
}

static void words_of(const struct cmd *const *list)
{
	for (const struct cmd *const *c = list; c && *c; c++)
		printf("%s ", cmd_word(*c));
}

/* --- bash ------------------------------------------------------------------------- */

/* Arguments of options that take one of a few words. */
static void bash_choices(const struct cmd *c)
{
	for (const struct opt *o = c->opts; o && o->name; o++) {
		if (!opts_choice(o, 0))
			continue;
		printf("\t'%s --%s'", c->name, o->name);
		if (o->letter)
			printf("|'%s -%c'", c->name, o->letter);
		printf(")\n\t\tCOMPREPLY=($(compgen -W '");
		for (size_t i = 0; opts_choice(o, i); i++)
			printf("%s ", opts_choice(o, i));
		printf("' -- \"$cur\"))\n\t\treturn ;;\n");
	}
}

static void bash_options(const struct cmd *c)
{
	printf("\t'%s') words='", c->name);
	for (const struct opt *o = c->opts; o && o->name; o++)
		printf("--%s ", o->name);
	printf("--help' ;;\n");
}

/* A command with verbs: behind them "$cmd" is both words. */
static void bash_verbs(const struct cmd *c)
{
	if (!c->verbs)
		return;
	printf("\t%s)\n"
	       "\t\tif [ \"$COMP_CWORD\" -eq 2 ] && [[ \"$cur\" != -* ]]; then\n"
	       "\t\t\tCOMPREPLY=($(compgen -W '",
	       c->name);
	words_of(c->verbs);
	printf("' -- \"$cur\"))\n"
	       "\t\t\treturn\n"
	       "\t\tfi\n"
	       "\t\t[ \"$COMP_CWORD\" -eq 2 ] || cmd=\"$cmd ${COMP_WORDS[2]}\" ;;\n");
}

static void bash(void)
{
	printf("# bash completion for prowl\n"
	       "_prowl() {\n"
	       "\tlocal cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" words=\n"
	       "\tlocal cmd=\"${COMP_WORDS[1]}\"\n"
	       "\tcase \"$prev\" in\n"
	       "\t-p|--pid)\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$(prowl ps -q 2>/dev/null)\" -- \"$cur\"))\n"
	       "\t\treturn ;;\n"
	       "\tesac\n"
	       "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W '");
	words_of(commands);
	printf("--help --version' -- \"$cur\"))\n\t\treturn\n\tfi\n\tcase \"$cmd\" in\n");
	for_each(bash_verbs);
	printf("\tesac\n\tcase \"$cmd $prev\" in\n");
	for_each(bash_choices);
	printf("\tesac\n\tcase \"$cmd\" in\n");
	for_each(bash_options);
	printf("\tesac\n"
	       "\tif [[ \"$cur\" == -* ]]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	       "\telse\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	       "\tfi\n"
	       "}\n"
	       "complete -o filenames -F _prowl prowl\n");
}

/* --- zsh -------------------------------------------------------------------------- */

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

static void zsh_option(const struct opt *o)
{
	char help[OPTS_HELP_LEN];

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

static void zsh_command(const struct cmd *c)
{
	if (c->verbs)
		return;
	printf("\t'%s')\n\t\t_arguments", c->name);
	for (const struct opt *o = c->opts; o && o->name; o++)
		zsh_option(o);
	if (c->operands == OPERANDS_FILES)
		printf(" \\\n\t\t\t'*:file:_files'");
	printf("\n\t\t;;\n");
}

/* Words of a place in the line; behind it, it is the first word, and "$cmd" has it as well. */
static void zsh_words(const struct cmd *const *list, const char *cmd)
{
	printf("\tcmds=(\n");
	for (const struct cmd *const *c = list; *c; c++) {
		printf("\t\t'%s:", cmd_word(*c));
		zsh_text((*c)->summary);
		printf("'\n");
	}
	printf("\t)\n"
	       "\tif (( CURRENT == 2 )); then\n"
	       "\t\t_describe command cmds\n"
	       "\t\treturn\n"
	       "\tfi\n"
	       "\tcmd=\"%s${words[2]}\"\n"
	       "\tshift words\n"
	       "\t(( CURRENT-- ))\n",
	       cmd);
}

static void zsh_verbs(const struct cmd *c)
{
	if (!c->verbs)
		return;
	printf("\tif [[ $cmd == %s ]]; then\n", c->name);
	zsh_words(c->verbs, "$cmd ");
	printf("\tfi\n");
}

static void zsh(void)
{
	printf("#compdef prowl\n"
	       "_prowl() {\n"
	       "\tlocal -a cmds\n"
	       "\tlocal cmd\n");
	zsh_words(commands, "");
	for_each(zsh_verbs);
	printf("\tcase $cmd in\n");
	for_each(zsh_command);
	printf("\tesac\n}\n_prowl \"$@\"\n");
}

/* --- fish ------------------------------------------------------------------------- */

static void fish_choices(const struct opt *o)
{
	for (size_t i = 0; opts_choice(o, i); i++)
		printf("%s%s", i ? " " : " -f -a '", opts_choice(o, i));
	if (opts_choice(o, 0))
		putchar('\'');
}

/* A verb is a word behind its command; any of its verbs ends the list of them. */
static void fish_verbs(const struct cmd *c)
{
	for (const struct cmd *const *v = c->verbs; v && *v; v++) {
		printf("complete -c prowl -n '__prowl_at %s' -f -a %s -d '", c->name, cmd_word(*v));
		quoted((*v)->summary);
		printf("'\n");
	}
}

static void fish_option(const struct cmd *c, const struct opt *o)
{
	char help[OPTS_HELP_LEN];

	printf("complete -c prowl -n '__prowl_in %s' -l %s", c->name, o->name);
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

static void fish_command(const struct cmd *c)
{
	if (!strchr(c->name, ' ')) {
		printf("complete -c prowl -n __fish_use_subcommand -f -a %s -d '", c->name);
		quoted(c->summary);
		printf("'\n");
	}
	fish_verbs(c);
	for (const struct opt *o = c->opts; o && o->name; o++)
		fish_option(c, o);
}

static void fish(void)
{
	printf("# fish completion for prowl\n"
	       "# Whether the line begins with these words; whether it is these words alone.\n"
	       "function __prowl_in\n"
	       "\tset -l line (commandline -opc)\n"
	       "\tset -e line[1]\n"
	       "\tstring match -q -- \"$argv *\" \"$line \"\n"
	       "end\n"
	       "function __prowl_at\n"
	       "\tset -l line (commandline -opc)\n"
	       "\tset -e line[1]\n"
	       "\ttest \"$argv\" = \"$line\"\n"
	       "end\n");
	for_each(fish_command);
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

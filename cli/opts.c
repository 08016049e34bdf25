/* SPDX-License-Identifier: Apache-2.0 */
#include "opts.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "term.h"
#include "words.h"

enum { ID_HELP = 1000, ID_FIRST };

struct parse { /* under way */
	const struct cmd *cmd;
	char *shorts;
	struct option *longs;
};

/* --- getopt's tables ------------------------------------------------------------ */

static size_t count(const struct opt *opts)
{
	size_t n = 0;

	while (opts && opts[n].name)
		n++;
	return n;
}

static void add_row(struct parse *p, size_t i, size_t *nshorts)
{
	const struct opt *o = &p->cmd->opts[i];

	p->longs[i] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL,
				      ID_FIRST + (int)i};
	if (!o->letter)
		return;
	p->shorts[(*nshorts)++] = o->letter;
	if (o->arg)
		p->shorts[(*nshorts)++] = ':';
}

static bool parse_init(struct parse *p, const struct cmd *cmd)
{
	size_t n = count(cmd->opts), nshorts = 3;

	*p = (struct parse){.cmd = cmd,
			    .longs = calloc(n + 2, sizeof *p->longs),
			    .shorts = calloc(2 * n + 8, 1)};
	if (!p->longs || !p->shorts)
		return false;
	/* '+': operands end the options, as in "-- command args". ':': a missing argument is ':'.
	 */
	memcpy(p->shorts, "+:h", 3);
	for (size_t i = 0; i < n; i++)
		add_row(p, i, &nshorts);
	p->longs[n] = (struct option){"help", no_argument, NULL, ID_HELP};
	opterr = 0;
	optind = 1;
	return true;
}

static void parse_fini(struct parse *p)
{
	free(p->longs);
	free(p->shorts);
}

bool opts_takes_next(const struct cmd *cmd, const char *word)
{
	for (const struct opt *p = cmd->opts; p && p->name; p++) {
		size_t n = strlen(word);

		if (!p->arg)
			continue;
		if (!strncmp(word, "--", 2) ? !strcmp(word + 2, p->name)
					    : p->letter && word[n - 1] == p->letter)
			return true;
	}
	return false;
}

/* Moves options that come behind operands before them, up to a "--". */
static void permute(const struct cmd *cmd, int argc, char **argv)
{
	char **operands = calloc((size_t)argc + 1, sizeof *operands);
	int n = 1, k = 0, i = 1;

	for (; operands && i < argc && strcmp(argv[i], "--") != 0; i++) {
		bool is_option = argv[i][0] == '-' && argv[i][1];
		bool with_next = is_option && i + 1 < argc && opts_takes_next(cmd, argv[i]);

		if (!is_option) {
			operands[k++] = argv[i];
			continue;
		}
		argv[n++] = argv[i];
		if (with_next)
			argv[n++] = argv[++i];
	}
	/* The words behind "--" stay where they are. */
	if (operands && i < argc)
		argv[n++] = (char *)"--";
	if (operands)
		memcpy(&argv[n], operands, sizeof *argv * (size_t)k);
	free(operands);
}

/* --- what is wrong --------------------------------------------------------------- */

static void suggest(const struct cmd *cmd, const char *word)
{
	const struct opt *best = NULL;
	char given[64];
	size_t d = 3;

	snprintf(given, sizeof given, "%s", word + strspn(word, "-"));
	given[strcspn(given, "=")] = '\0';
	for (const struct opt *p = cmd->opts; p && p->name; p++) {
		if (prowl_word_distance(given, p->name) < d) {
			d = prowl_word_distance(given, p->name);
			best = p;
		}
	}
	if (best)
		fprintf(stderr, "       did you mean --%s?\n", best->name);
	fprintf(stderr, "       prowl %s --help lists the options\n", cmd->name);
}

/* After getopt's '?': a letter, maybe of several; a long option given an argument; or no option. */
static void say_unknown(const struct cmd *cmd, const char *word)
{
	if (optopt < 0 || (optopt > ' ' && optopt < 256)) {
		say_error("unknown option -%c", optopt);
		fprintf(stderr, "       prowl %s --help lists the options\n", cmd->name);
	} else if (optopt) {
		say_error("%.*s takes no argument", (int)strcspn(word, "="), word);
	} else {
		say_error("unknown option %s", word);
		suggest(cmd, word);
	}
}

/* --- parsing -------------------------------------------------------------------- */

static const struct opt *row_of(const struct cmd *cmd, int id)
{
	const struct opt *o = cmd->opts;

	if (id >= ID_FIRST)
		return &o[id - ID_FIRST];
	while (o->letter != id)
		o++;
	return o;
}

/* One option; OPTS_RUN: go on. */
static enum opts_end take(const struct cmd *cmd, int id, const char *word, void *options)
{
	const struct opt *o;

	switch (id) {
	case 'h':
	case ID_HELP:
		opts_print_help(cmd);
		return OPTS_HELP;
	case ':':
		say_error("%s needs an argument", word);
		return OPTS_WRONG;
	case '?':
		say_unknown(cmd, word);
		return OPTS_WRONG;
	}
	o = row_of(cmd, id);
	return o->take(o, (char *)options + o->at, optarg) ? OPTS_RUN : OPTS_WRONG;
}

enum opts_end opts_parse(const struct cmd *cmd, int argc, char **argv, void *options, int *first)
{
	enum opts_end end = OPTS_RUN;
	struct parse p;
	int id;

	if (cmd->operands == OPERANDS_FILES)
		permute(cmd, argc, argv);
	if (!parse_init(&p, cmd)) {
		parse_fini(&p);
		say_error("out of memory");
		return OPTS_WRONG;
	}
	while (end == OPTS_RUN && (id = getopt_long(argc, argv, p.shorts, p.longs, NULL)) != -1)
		end = take(cmd, id, argv[optind - 1], options);
	parse_fini(&p);
	*first = optind;
	if (end == OPTS_RUN && cmd->operands == OPERANDS_NONE && *first < argc) {
		say_error("unexpected argument '%s'; prowl %s takes only options", argv[*first],
			  cmd->name);
		return OPTS_WRONG;
	}
	return end;
}

/* --- help ----------------------------------------------------------------------- */

const char *opts_choice(const struct opt *o, size_t index)
{
	if (o->word)
		return o->word(index);
	return o->words ? o->words[index] : NULL;
}

const char *opts_choices(const struct opt *o, const char *last, char *buf, size_t len)
{
	const char *word, *next = opts_choice(o, 0);
	size_t used = 0;

	*buf = '\0';
	for (size_t i = 0; (word = next) && used < len; i++) {
		next = opts_choice(o, i + 1);
		used += (size_t)snprintf(buf + used, len - used, "%s%s",
					 i == 0 ? ""
					 : next ? ", "
						: last,
					 word);
	}
	return buf;
}

const char *opts_help(const struct opt *o, char buf[OPTS_HELP_LEN])
{
	size_t n = strlen(opts_choices(o, " or ", buf, OPTS_HELP_LEN));

	snprintf(buf + n, OPTS_HELP_LEN - n, "%s%s", n && *o->help ? " " : "", o->help);
	return buf;
}

/* In lines of WIDTH columns, of which those behind the first begin below the text. */
static void put_wrapped(const char *s, size_t indent)
{
	enum { WIDTH = 100 };
	size_t column = indent;

	while (*s) {
		size_t n = strcspn(s, " ");

		if (column > indent && column + 1 + n > WIDTH) {
			printf("\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			putchar(' ');
			column++;
		}
		fwrite(s, 1, n, stdout);
		column += n;
		s += n + (s[n] == ' ');
	}
	putchar('\n');
}

static void put_row(const struct opt *o)
{
	enum { INDENT = 31 };
	char left[64], letter[5] = "    ", help[OPTS_HELP_LEN];
	int n;

	if (o->letter)
		snprintf(letter, sizeof letter, "-%c, ", o->letter);
	snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->arg ? " " : "",
		 o->arg ? o->arg : "");
	n = printf("  %-28s ", left);
	put_wrapped(opts_help(o, help), n > INDENT ? (size_t)n : INDENT);
}

void opts_print_help(const struct cmd *cmd)
{
	printf("prowl %s: %s\n\nUsage: prowl %s %s\n", cmd->name, cmd->summary, cmd->name,
	       cmd->usage);
	if (cmd->text)
		printf("\n%s", cmd->text);
	if (cmd->verbs)
		printf("\nVerbs:\n");
	for (const struct cmd *const *v = cmd->verbs; v && *v; v++)
		printf("  %-12s %s\n", cmd_word(*v), (*v)->summary);
	printf("\nOptions:\n");
	for (const struct opt *o = cmd->opts; o && o->name; o++)
		put_row(o);
	printf("  -h, --help                   print this\n");
}

/* --- arguments ------------------------------------------------------------------ */

bool opts_flag(const struct opt *o, void *field, const char *arg)
{
	*(bool *)field = true;
	return true;
}

bool opts_text(const struct opt *o, void *field, const char *arg)
{
	*(const char **)field = arg;
	return true;
}

bool opts_word(const struct opt *o, void *field, const char *arg)
{
	char list[OPTS_HELP_LEN];

	for (unsigned int i = 0; opts_choice(o, i); i++) {
		if (!strcmp(opts_choice(o, i), arg)) {
			*(unsigned int *)field = i;
			return true;
		}
	}
	say_error("--%s wants %s, not '%s'", o->name, opts_choices(o, " or ", list, sizeof list),
		  arg);
	return false;
}

bool opts_parse_pid(const char *s, pid_t *ret)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(s, &end, 10);
	if (errno || end == s || *end || v <= 0 || v > 0x7fffffff) {
		say_error("'%s' is not a process id", s);
		return false;
	}
	*ret = (pid_t)v;
	return true;
}

bool opts_pid(const struct opt *o, void *field, const char *arg)
{
	return opts_parse_pid(arg, field);
}

bool opts_u64(const struct opt *o, void *field, const char *arg)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(arg, &end, 10);
	if (errno || end == arg || *end || arg[0] == '-' || v < o->min || v > o->max) {
		say_error("--%s wants a whole number from %llu to %llu, not '%s'", o->name,
			  (unsigned long long)o->min, (unsigned long long)o->max, arg);
		return false;
	}
	*(uint64_t *)field = v;
	return true;
}

bool opts_uint(const struct opt *o, void *field, const char *arg)
{
	uint64_t v;

	if (!opts_u64(o, &v, arg))
		return false;
	*(unsigned int *)field = (unsigned int)v;
	return true;
}

static uint64_t unit_ns(const char *s, size_t *len)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {
		{"ms", 1000000u}, {"s", 1000000000u}, {"m", 60000000000u}, {"h", 3600000000000u}};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		*len = strlen(units[i].unit);
		if (!strncmp(s, units[i].unit, *len))
			return units[i].ns;
	}
	*len = 0;
	return *s ? 0 : 1000000000u;
}

/* The sum of "1m30s" in nanoseconds, or 0 where it is not a time. */
static double parse_time(const char *s)
{
	double total = 0;

	do {
		char *end;
		double v = strtod(s, &end);
		size_t len;
		uint64_t ns = unit_ns(end, &len);

		if (end == s || !(v >= 0) || ns == 0)
			return 0;
		total += v * (double)ns;
		s = end + len;
	} while (*s);
	return total;
}

bool opts_time(const struct opt *o, void *field, const char *arg)
{
	double ns = parse_time(arg);

	if (!(ns >= 1e6) || ns > 1e18) {
		say_error("--%s wants a time such as 5, 5s, 250ms, 2m or 1m30s, not '%s'", o->name,
			  arg);
		return false;
	}
	*(uint64_t *)field = (uint64_t)ns;
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "opts.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "err.h"
#include "term.h"

enum { ID_HELP = 1000 };

static size_t count(const struct opt *opts)
{
	size_t n = 0;

	while (opts && opts[n].name)
		n++;
	return n;
}

void opts_init(struct opts *o, const struct cmd *cmd, int argc, char **argv)
{
	size_t n = count(cmd->opts), k = 0;
	struct option *longs = calloc(n + 2, sizeof *longs);

	*o = (struct opts){.cmd = cmd, .argc = argc, .argv = argv, .longs = longs};
	o->shorts = calloc(2 * n + 8, 1);
	if (!longs || !o->shorts)
		abort();
	/* '+': operands end the options, as in "-- command args". ':' tells a missing argument. */
	o->shorts[k++] = '+';
	o->shorts[k++] = ':';
	o->shorts[k++] = 'h';
	for (size_t i = 0; i < n; i++) {
		const struct opt *p = &cmd->opts[i];

		longs[i] = (struct option){p->name, p->arg ? required_argument : no_argument, NULL,
					   p->id};
		if (p->letter) {
			o->shorts[k++] = p->letter;
			if (p->arg)
				o->shorts[k++] = ':';
		}
	}
	longs[n] = (struct option){"help", no_argument, NULL, ID_HELP};
	opterr = 0;
	optind = 1;
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

void opts_permute(const struct cmd *cmd, int argc, char **argv)
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
	/* What is behind "--" is where it was. */
	if (operands && i < argc)
		argv[n++] = (char *)"--";
	if (operands)
		memcpy(&argv[n], operands, sizeof *argv * (size_t)k);
	free(operands);
}

void opts_fini(struct opts *o)
{
	free(o->longs);
	free(o->shorts);
	o->longs = NULL;
	o->shorts = NULL;
}

static int id_of_letter(const struct cmd *cmd, int c)
{
	for (const struct opt *p = cmd->opts; p && p->name; p++) {
		if (p->letter == c)
			return p->id;
	}
	return c;
}

/* How much two words differ (Levenshtein), for "did you mean". */
static size_t distance(const char *a, const char *b)
{
	size_t row[64], n = strlen(b);

	if (n >= 64)
		return 99;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diag = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diag + (a[i - 1] != b[j - 1]);

			diag = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n];
}

static void suggest(const struct cmd *cmd, const char *word)
{
	const struct opt *best = NULL;
	char given[64];
	size_t d = 3;

	snprintf(given, sizeof given, "%s", word + strspn(word, "-"));
	given[strcspn(given, "=")] = '\0';
	for (const struct opt *p = cmd->opts; p && p->name; p++) {
		if (distance(given, p->name) < d) {
			d = distance(given, p->name);
			best = p;
		}
	}
	if (best)
		fprintf(stderr, "       did you mean --%s?\n", best->name);
	fprintf(stderr, "       prowl %s --help lists the options\n", cmd->name);
}

/* After getopt's '?': a letter, maybe of several; a long option given an argument; or no option. */
static void say_unknown(const struct opts *o)
{
	const char *word = o->argv[optind - 1];

	if (optopt < 0 || (optopt > ' ' && optopt < 256)) {
		say_error("unknown option -%c", optopt);
		fprintf(stderr, "       prowl %s --help lists the options\n", o->cmd->name);
	} else if (optopt) {
		say_error("%.*s takes no argument", (int)strcspn(word, "="), word);
	} else {
		say_error("unknown option %s", word);
		suggest(o->cmd, word);
	}
}

int opts_next(struct opts *o, const char **arg, int *first, int *code)
{
	int c = getopt_long(o->argc, o->argv, o->shorts, o->longs, NULL);

	*arg = optarg;
	*first = optind;
	*code = 2;
	switch (c) {
	case -1:
		return OPTS_DONE;
	case 'h':
	case ID_HELP:
		opts_print_help(o->cmd);
		*code = 0;
		return OPTS_EXIT;
	case ':':
		say_error("%s needs an argument", o->argv[optind - 1]);
		return OPTS_EXIT;
	case '?':
		say_unknown(o);
		return OPTS_EXIT;
	default:
		return id_of_letter(o->cmd, c);
	}
}

int opts_parse(const struct cmd *cmd, int argc, char **argv,
	       bool (*take)(void *ctx, int id, const char *arg), void *ctx)
{
	struct opts o;
	const char *arg;
	int id, first, code = 0;
	bool ok = true;

	opts_init(&o, cmd, argc, argv);
	while (ok && (id = opts_next(&o, &arg, &first, &code)) >= 0)
		ok = take(ctx, id, arg);
	opts_fini(&o);
	if (!ok)
		return PROWL_USAGE;
	if (id == OPTS_EXIT)
		return code ? code : -1;
	if (first < argc) {
		say_error("what is '%s'? prowl %s takes options only", argv[first], cmd->name);
		return PROWL_USAGE;
	}
	return 0;
}

void opts_print_help(const struct cmd *cmd)
{
	printf("prowl %s: %s\n\nUsage: prowl %s %s\n", cmd->name, cmd->summary, cmd->name,
	       cmd->usage);
	if (cmd->text)
		printf("\n%s", cmd->text);
	printf("\nOptions:\n");
	for (const struct opt *p = cmd->opts; p && p->name; p++) {
		char left[64];
		char letter[5] = "    ";

		if (p->letter)
			snprintf(letter, sizeof letter, "-%c, ", p->letter);
		snprintf(left, sizeof left, "%s--%s%s%s", letter, p->name, p->arg ? " " : "",
			 p->arg ? p->arg : "");
		printf("  %-28s %s\n", left, p->help);
	}
	printf("  -h, --help                   print this\n");
}

bool opts_pid(const char *s, pid_t *ret)
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

bool opts_number(const char *name, const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno || end == s || *end || s[0] == '-' || v < min || v > max) {
		say_error("--%s wants a whole number from %llu to %llu, not '%s'", name,
			  (unsigned long long)min, (unsigned long long)max, s);
		return false;
	}
	*ret = v;
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

bool opts_duration(const char *name, const char *s, uint64_t *ret)
{
	const char *p = s;
	double total = 0;

	do {
		char *end;
		double v = strtod(p, &end);
		size_t len;
		uint64_t ns = unit_ns(end, &len);

		if (end == p || !(v >= 0) || ns == 0)
			goto bad;
		total += v * (double)ns;
		p = end + len;
	} while (*p);
	if (!(total >= 1e6) || total > 1e18)
		goto bad;
	*ret = (uint64_t)total;
	return true;
bad:
	say_error("--%s wants a time such as 5, 5s, 250ms, 2m or 1m30s, not '%s'", name, s);
	return false;
}

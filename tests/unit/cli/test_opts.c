/* SPDX-License-Identifier: Apache-2.0 */
/* Options: which field gets what, what is refused, and what help says. */
#include "cli_testing.h"

#include "cmd.h"
#include "unit_test.h"

struct fields {
	bool flag;
	const char *text;
	uint64_t n, ns;
	unsigned int hz, word;
	pid_t pid;
};

static const char *const words[] = {"first", "second", "third", NULL};

static const char *table(size_t index)
{
	return index < 2 ? words[index] : NULL;
}

static const struct opt rows[] = {
	OPT_FLAG('a', "flag", "a flag", struct fields, flag),
	OPT_TEXT('t', "text", "TEXT", "a text", struct fields, text),
	OPT_NUMBER('n', "number", "a number", struct fields, n, 1, 100),
	OPT_UINT('F', "rate", "HZ", "a rate", struct fields, hz, 1, 1000),
	OPT_TIME('d', "seconds", "a time", struct fields, ns),
	OPT_WORD(0, "word", "WORD", "(default: first)", struct fields, word, words),
	{.letter = 'p',
	 .name = "pid",
	 .arg = "PID",
	 .take = opts_pid,
	 .at = OPT_FIELD(struct fields, pid, pid_t),
	 .help = "a process"},
	{.name = "format",
	 .arg = "FORMAT",
	 .take = opts_text,
	 .at = OPT_FIELD(struct fields, text, const char *),
	 .word = table,
	 .help = ""},
	OPT_END,
};

static struct cmd cmd = {.name = "test", .opts = rows};
static struct fields f;
static char *argv[16];
static int argc, first;

/* The command line, up to NULL. */
static enum opts_end parse(enum operands operands, ...)
{
	va_list ap;

	argc = 0;
	argv[argc++] = (char *)"test";
	va_start(ap, operands);
	while ((argv[argc] = va_arg(ap, char *)))
		argc++;
	va_end(ap);
	f = (struct fields){0};
	cmd.operands = operands;
	t_listen();
	return opts_parse(&cmd, argc, argv, &f, &first);
}

#define PARSE(...) parse(OPERANDS_NONE, __VA_ARGS__, (char *)NULL)

TEST(each_row_fills_its_field)
{
	assert_int_equal(PARSE("-a", "--text", "x", "-n", "7", "--rate=99", "-d1m30s", "--word",
			       "third", "-p", "42"),
			 OPTS_RUN);
	assert_true(f.flag);
	assert_string_equal(f.text, "x");
	assert_int_equal(f.n, 7);
	assert_int_equal(f.hz, 99);
	assert_int_equal(f.ns, 90000000000u);
	assert_int_equal(f.word, 2);
	assert_int_equal(f.pid, 42);
	assert_int_equal(first, argc);
	assert_silent();
	/* the last one counts; long ones may be shortened */
	assert_int_equal(PARSE("--nu", "1", "-n2"), OPTS_RUN);
	assert_int_equal(f.n, 2);
}

TEST(numbers_have_bounds)
{
	static const char *const bad[] = {"0",  "101", "-1",  "x",
					  "1x", "",    "1.5", "99999999999999999999"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(PARSE("--number", bad[i]), OPTS_WRONG);
		assert_said("--number wants a whole number from 1 to 100, not '");
		assert_int_equal(f.n, 0);
	}
	assert_int_equal(PARSE("-n1", "-F", "1000"), OPTS_RUN);
	assert_int_equal(PARSE("-F1001"), OPTS_WRONG);
	assert_int_equal(PARSE("-p", "0"), OPTS_WRONG);
	assert_said("'0' is not a process id");
	assert_int_equal(PARSE("-p", "2147483648"), OPTS_WRONG);
}

TEST(times_have_units)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {{"5", 5000000000u},    {"5s", 5000000000u},    {"250ms", 250000000},
		    {"2m", 120000000000u}, {"1h", 3600000000000u}, {"1m30s", 90000000000u},
		    {"0.5", 500000000},    {"1.5s", 1500000000}};
	static const char *const bad[] = {"",    "x",   "5x",    "-5",  "0",  "s",
					  "5 s", "nan", "1e99h", "1us", "inf"};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(PARSE("-d", good[i].text), OPTS_RUN);
		assert_int_equal(f.ns, good[i].ns);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(PARSE("-d", bad[i]), OPTS_WRONG);
		assert_said("--seconds wants a time such as");
	}
}

TEST(words_are_those_of_the_row)
{
	assert_int_equal(PARSE("--word", "fourth"), OPTS_WRONG);
	assert_said("--word wants first, second or third, not 'fourth'");
	assert_int_equal(PARSE("--word", "sec"), OPTS_WRONG);
	assert_string_equal(opts_choice(&rows[5], 2), "third");
	assert_null(opts_choice(&rows[5], 3));
	assert_string_equal(opts_choice(&rows[7], 1), "second");
	assert_null(opts_choice(&rows[7], 2));
	assert_null(opts_choice(&rows[0], 0));
}

TEST(help_lists_the_words)
{
	char buf[OPTS_HELP_LEN];

	assert_string_equal(opts_help(&rows[0], buf), "a flag");
	assert_string_equal(opts_help(&rows[5], buf), "first, second or third (default: first)");
	assert_string_equal(opts_help(&rows[7], buf), "first or second");
	assert_string_equal(opts_choices(&rows[5], " and ", buf, sizeof buf),
			    "first, second and third");
	/* no more than there is room for */
	assert_string_equal(opts_choices(&rows[5], " and ", buf, 8), "first, ");
}

TEST(what_is_unknown_is_named)
{
	assert_int_equal(PARSE("--nothing"), OPTS_WRONG);
	assert_said("unknown option --nothing");
	assert_int_equal(PARSE("-aZ"), OPTS_WRONG);
	assert_said("unknown option -Z");
	assert_int_equal(PARSE("--flag=1"), OPTS_WRONG);
	assert_said("--flag takes no argument");
	assert_int_equal(PARSE("--text"), OPTS_WRONG);
	assert_said("--text needs an argument");
	assert_int_equal(PARSE("word"), OPTS_WRONG);
	assert_said("unexpected argument 'word'; prowl test takes only options");
}

TEST(operands_are_where_the_command_has_them)
{
	/* behind the first word everything is the command's */
	assert_int_equal(parse(OPERANDS_COMMAND, "-a", "ls", "-n", "x", (char *)NULL), OPTS_RUN);
	assert_int_equal(first, 2);
	assert_string_equal(argv[first], "ls");
	assert_string_equal(argv[3], "-n");
	assert_int_equal(parse(OPERANDS_COMMAND, "-a", "--", "-t", (char *)NULL), OPTS_RUN);
	assert_string_equal(argv[first], "-t");
	/* options may come behind files, with their arguments */
	assert_int_equal(
		parse(OPERANDS_FILES, "a", "-n", "3", "b", "--flag", "--text=t", "c", (char *)NULL),
		OPTS_RUN);
	assert_int_equal(f.n, 3);
	assert_true(f.flag);
	assert_string_equal(f.text, "t");
	assert_int_equal(argc - first, 3);
	assert_string_equal(argv[first], "a");
	assert_string_equal(argv[first + 1], "b");
	assert_string_equal(argv[first + 2], "c");
	/* but not behind "--"; "-" is a file */
	assert_int_equal(parse(OPERANDS_FILES, "-", "-a", "--", "-n", (char *)NULL), OPTS_RUN);
	assert_true(f.flag);
	assert_int_equal(argc - first, 2);
	assert_string_equal(argv[first], "-");
	assert_string_equal(argv[first + 1], "-n");
}

TEST(the_next_word_is_an_argument_or_not)
{
	assert_true(opts_takes_next(&cmd, "-n"));
	assert_true(opts_takes_next(&cmd, "-an"));
	assert_true(opts_takes_next(&cmd, "--number"));
	assert_false(opts_takes_next(&cmd, "--number=5"));
	assert_false(opts_takes_next(&cmd, "-a"));
	assert_false(opts_takes_next(&cmd, "--flag"));
	assert_false(opts_takes_next(&cmd, "--nothing"));
}

/* Every option of every command: a letter once, a way to store it, help, and no word twice. */
static void sound(const struct cmd *c)
{
	for (const struct opt *o = c->opts; o && o->name; o++) {
		assert_non_null(o->take);
		assert_non_null(o->help);
		assert_true(o->at < c->size || o->at == 0);
		assert_string_not_equal(o->name, "help");
		for (const struct opt *p = c->opts; p < o; p++) {
			assert_string_not_equal(o->name, p->name);
			assert_true(!o->letter || o->letter != p->letter);
		}
	}
	assert_non_null(c->summary);
	assert_true(!c->run != !c->verbs);
	for (const struct cmd *const *v = c->verbs; v && *v; v++)
		sound(*v);
}

TEST(tables_are_sound)
{
	for (const struct cmd *const *c = commands; *c; c++) {
		sound(*c);
		assert_ptr_equal(cmd_find((*c)->name), *c);
	}
	assert_null(cmd_find("nothing"));
}

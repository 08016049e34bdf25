/* SPDX-License-Identifier: Apache-2.0 */
/* What prowl top shows, without a terminal. */
#include "testing.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <wchar.h>

#include "top_history.h"
#include "top_model.h"
#include "unit_test.h"

/* --- a screen of lines ------------------------------------------------------------ */

enum { ROWS = 100 };

struct lines {
	char text[ROWS][TOP_LINE];
	enum top_style style[ROWS];
	int cols, n;
};

static struct lines screen;

static int columns(const char *s)
{
	wchar_t wide[TOP_LINE];
	size_t n = mbstowcs(wide, s, TOP_LINE);

	assert_int_not_equal(n, (size_t)-1);
	return n ? wcswidth(wide, n) : 0;
}

static void put(void *ctx, int row, enum top_style style, const char *text)
{
	struct lines *l = ctx;

	assert_in_range(row, 0, ROWS - 1);
	strcpy(l->text[row], text);
	l->style[row] = style;
	if (row >= l->n)
		l->n = row + 1;
	for (const char *c = text; *c; c++) {
		assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
		assert_false((unsigned char)c[0] == 0xc2 && (unsigned char)c[1] < 0xa0);
	}
	if (l->cols)
		assert_in_range(columns(text), 0, l->cols);
}

static void draw(struct top_model *m, int rows, int cols)
{
	memset(&screen, 0, sizeof screen);
	screen.cols = cols;
	top_model_draw(m, rows, cols, put, &screen);
	assert_in_range(screen.n, 0, rows);
}

/* The line with that text, or -1. */
static int shown(const char *part)
{
	for (int i = 0; i < screen.n; i++) {
		if (strstr(screen.text[i], part))
			return i;
	}
	return -1;
}

static int chosen(void)
{
	for (int i = 0; i < screen.n; i++) {
		if (screen.style[i] == TOP_CHOSEN) {
			assert_int_equal(screen.text[i][0], '>');
			return i;
		}
	}
	return -1;
}

/* --- tables ------------------------------------------------------------------------ */

/* main calls work and rest; work calls leaf. Values in samples of 10 ms. */
static struct pprof_profile *calls(int work, int leaf, int rest)
{
	struct pprof_profile *p = t_new();
	uint32_t m, main_loc, work_loc, leaf_loc, rest_loc;

	t_types(p);
	m = t_mapping(p, 0x400000, "/usr/bin/target");
	main_loc = t_loc(p, m, 0x401000, "main.main", 12);
	work_loc = t_loc(p, m, 0x402000, "main.work", 34);
	leaf_loc = t_loc(p, m, 0x403000, "main.leaf", 56);
	rest_loc = t_loc(p, m, 0x404000, "github.com/some/package.(*Type).rest", 78);
	if (work)
		t_add(p, (uint32_t[]){work_loc, main_loc}, 2, work, NULL, 0);
	if (leaf)
		t_add(p, (uint32_t[]){leaf_loc, work_loc, main_loc}, 3, leaf, NULL, 0);
	if (rest)
		t_add(p, (uint32_t[]){rest_loc, main_loc}, 2, rest, NULL, 0);
	return p;
}

static struct top_view view(const struct pprof_profile *p)
{
	struct top_view v = {.facts = {.who = "target (pid 7, go1.24)",
				       .rate = 99,
				       .span_ns = 5000000000,
				       .cpu_percent = 12.5,
				       .why_no_figures = "not read yet"}};

	assert_int_equal(pprof_functions_new(p, NULL, &v.functions), 0);
	return v;
}

static void update(struct top_model *m, struct pprof_profile *p)
{
	struct top_view recent = view(p), all = view(p);

	top_model_update(m, &recent, &all);
	pprof_profile_free(p);
}

static struct top_model *model(struct pprof_profile *p)
{
	struct top_model *m;

	assert_int_equal(top_model_new(TOP_BY_FLAT, &m), 0);
	if (p)
		update(m, p);
	return m;
}

static void keys(struct top_model *m, const char *s)
{
	for (; *s; s++) {
		enum top_action a = top_model_key(m, (unsigned char)*s);

		assert_true(a == TOP_NOTHING || a == TOP_UPDATE);
	}
}

/* --- the tests ---------------------------------------------------------------------- */

TEST(a_table)
{
	struct top_model *m = model(calls(10, 60, 30));

	draw(m, 24, 80);
	assert_int_equal(screen.n, 24);
	assert_string_equal(screen.text[0],
			    "prowl top: target (pid 7, go1.24), last 5.0 s, 99 Hz, by flat");
	assert_string_equal(screen.text[2], "goroutines: not read yet");
	assert_int_equal(screen.style[4], TOP_HEADS);
	assert_string_equal(
		screen.text[5],
		">   600ms  60.0%   600ms  60.0%  main.leaf                     main.go:56       ");
	assert_int_equal(shown("  package.(*Type).rest "), 6); /* its folders are not needed */
	assert_int_equal(shown("main.work"), 7);
	assert_int_equal(shown("main.main"), 8);
	keys(m, "C");
	draw(m, 24, 80);
	assert_int_equal(shown("main.main"), 5);
	assert_int_equal(shown("main.work"), 6);
	keys(m, "N");
	draw(m, 24, 80);
	assert_int_equal(shown("(*Type).rest"), 5);
	keys(m, "s");
	draw(m, 24, 80);
	assert_int_equal(shown("main.leaf"), 5);
	assert_int_equal(top_model_key(m, 'w'), TOP_WRITE);
	assert_int_equal(top_model_key(m, 12), TOP_REPAINT);
	assert_int_equal(top_model_key(m, 'q'), TOP_QUIT);
	top_model_free(m);
}

TEST(every_size)
{
	struct top_model *m = model(calls(10, 60, 30));

	keys(m, "\n");
	for (int help = 0; help < 2; help++, keys(m, "?")) {
		for (int rows = 0; rows < 40; rows++) {
			for (int cols = 0; cols < 130; cols++)
				draw(m, rows, cols);
		}
	}
	draw(m, 10, 40);
	assert_int_equal(shown("main.leaf"), 3);
	assert_int_equal(shown("main.go"), -1);
	assert_true(shown("package.(*Type).rest") > 0);
	draw(m, 10, 34);
	assert_true(shown("..age.(*Type).rest") > 0); /* its end says more than its beginning */
	draw(m, 60, 200);
	assert_true(shown("github.com/some/package.(*Type).rest") > 0);
	top_model_free(m);
}

TEST(callers_and_callees)
{
	struct top_model *m = model(calls(10, 60, 30));

	keys(m, "jj\n"); /* work */
	draw(m, 24, 80);
	assert_int_equal(shown("main.work"), 7);
	assert_int_equal(chosen(), 7);
	assert_int_equal(screen.text[7][1], '-');
	assert_string_equal(screen.text[8],
			    "                   700ms  70.0%    called by main.main");
	assert_string_equal(screen.text[9], "                   600ms  60.0%    calls main.leaf");
	keys(m, "jj");
	draw(m, 24, 80);
	assert_int_equal(chosen(), 9);
	keys(m, "\n"); /* goes to leaf */
	draw(m, 24, 80);
	assert_int_equal(chosen(), 5);
	assert_int_equal(shown("main.leaf"), 5);
	/* it stays open wherever it is */
	update(m, calls(100, 1, 1));
	draw(m, 24, 80);
	assert_int_equal(shown("main.work"), 5);
	assert_int_equal(shown("called by main.main"), 6);
	keys(m, "g\n");
	draw(m, 24, 80);
	assert_int_equal(shown("called by"), -1);
	top_model_free(m);
}

TEST(the_cursor_stays_on_its_function)
{
	struct top_model *m = model(calls(10, 60, 30));

	update(m, calls(100, 60, 30)); /* not moved yet: it stays on the first row */
	draw(m, 24, 80);
	assert_int_equal(chosen(), 5);
	assert_non_null(strstr(screen.text[5], "main.work"));
	keys(m, "j");
	draw(m, 24, 80);
	assert_non_null(strstr(screen.text[chosen()], "main.leaf"));
	update(m, calls(1, 1000, 30));
	draw(m, 24, 80);
	assert_int_equal(chosen(), 5);
	assert_non_null(strstr(screen.text[5], "main.leaf"));
	update(m, calls(50, 0, 30)); /* it is gone */
	draw(m, 24, 80);
	assert_true(chosen() >= 5);
	update(m, calls(0, 0, 0));
	draw(m, 24, 80);
	assert_int_equal(chosen(), -1);
	assert_int_equal(top_model_key(m, TOP_KEY_UP), TOP_NOTHING);
	assert_int_equal(top_model_key(m, TOP_KEY_END), TOP_NOTHING);
	keys(m, "\n");
	top_model_free(m);
}

TEST(a_long_table_scrolls)
{
	struct pprof_profile *p = t_new();
	struct top_model *m;
	uint32_t map;

	t_types(p);
	map = t_mapping(p, 0x400000, "/usr/bin/target");
	for (uint32_t i = 0; i < 300; i++) {
		char name[32];
		uint32_t l;

		snprintf(name, sizeof name, "main.f%03u", i);
		l = t_loc(p, map, 0x401000 + i, name, 1);
		t_add(p, &l, 1, 1000 - i, NULL, 0);
	}
	m = model(p);
	draw(m, 24, 80);
	assert_int_equal(shown("main.f000"), 5);
	assert_int_equal(shown("main.f017"), 22);
	top_model_key(m, TOP_KEY_PAGE_DOWN);
	top_model_key(m, TOP_KEY_PAGE_DOWN);
	draw(m, 24, 80);
	assert_non_null(strstr(screen.text[chosen()], "main.f034"));
	keys(m, "G");
	draw(m, 24, 80);
	assert_int_equal(shown("main.f299"), 22);
	assert_int_equal(chosen(), 22);
	draw(m, 10, 40);
	assert_non_null(strstr(screen.text[chosen()], "main.f299"));
	keys(m, "k");
	top_model_key(m, TOP_KEY_HOME);
	draw(m, 24, 80);
	assert_int_equal(shown("main.f000"), 5);
	top_model_free(m);
}

TEST(filters)
{
	struct top_model *m = model(calls(10, 60, 30));

	keys(m, "/LEAF");
	draw(m, 24, 80);
	assert_string_equal(screen.text[23], "filter: LEAF_");
	assert_int_equal(shown("main.leaf"), 5);
	assert_int_equal(shown("main.work"), -1);
	keys(m, "q"); /* is typed, and does not quit */
	draw(m, 24, 80);
	assert_true(shown("no function or file has \"LEAFq\"") > 0);
	top_model_key(m, TOP_KEY_BACKSPACE);
	keys(m, "\n");
	draw(m, 24, 80);
	assert_string_equal(screen.text[23], "filter \"LEAF\": 1 of 4 functions; Esc shows all");
	keys(m, "/\xc3\xa9"); /* one character of two bytes */
	top_model_key(m, TOP_KEY_BACKSPACE);
	draw(m, 24, 80);
	assert_string_equal(screen.text[23], "filter: _");
	top_model_key(m, TOP_KEY_ESCAPE);
	draw(m, 24, 80);
	assert_int_equal(shown("main.work"), -1); /* the filter of before */
	top_model_key(m, TOP_KEY_ESCAPE);
	draw(m, 24, 80);
	assert_true(shown("main.work") > 0);
	keys(m, "/");
	for (int i = 0; i < 1000; i++)
		keys(m, "x");
	draw(m, 24, 80);
	top_model_free(m);
}

TEST(frozen_it_stands_still)
{
	struct top_model *m = model(calls(10, 60, 30));
	static struct lines before;

	assert_false(top_model_wants_all(m));
	assert_int_equal(top_model_key(m, ' '), TOP_UPDATE);
	assert_true(top_model_wants_all(m));
	update(m, calls(10, 60, 30)); /* both tables of this moment */
	assert_false(top_model_wants_all(m));
	draw(m, 24, 80);
	assert_int_equal(strncmp(screen.text[23], "FROZEN", 6), 0);
	before = screen;
	update(m, calls(1000, 1, 1));
	draw(m, 24, 80);
	assert_memory_equal(&before, &screen, sizeof screen);
	assert_int_equal(top_model_key(m, 'a'), TOP_UPDATE);
	assert_true(top_model_wants_all(m));
	update(m, calls(1000, 1, 1));
	draw(m, 24, 80);
	assert_int_equal(shown("main.leaf"), 5);
	keys(m, "af");
	update(m, calls(1000, 1, 1));
	draw(m, 24, 80);
	assert_int_equal(shown("main.work"), 5);
	top_model_free(m);
}

TEST(words)
{
	struct top_model *m = model(NULL);

	draw(m, 24, 80);
	assert_true(shown("hardly any CPU") > 0);
	top_model_message(m, "wrote a\033[2Jfile");
	draw(m, 24, 80);
	assert_string_equal(screen.text[23], "wrote a?[2Jfile");
	keys(m, "j");
	draw(m, 24, 80);
	assert_int_equal(strncmp(screen.text[23], "q quit", 6), 0);
	top_model_over(m, "the process has exited");
	draw(m, 24, 80);
	assert_string_equal(screen.text[23],
			    "the process has exited: the last table; q quit, w write");
	top_model_free(m);
}

TEST(hostile_names)
{
	static const char *const names[] = {
		"\033]0;title\007\033[31m\033c",
		"line\nbreak\rreturn\ttab\bback",
		"\xc2\x9b\x32J\x7f",
		"\xff\xfe\xc3\x28\xe2\x82",
		"\xe2\x80\xae gnp.exe",
		"\xf0\x9f\x98\x80\xe6\xbc\xa2\xe5\xad\x97",
		"e\xcc\x81\xcc\x81\xcc\x81\xcc\x81",
		"%s%n%1000000d",
	};
	struct pprof_profile *p = t_new();
	char *longest = malloc(100001);
	struct top_model *m;
	uint32_t map, l;

	memset(longest, 'x', 100000);
	memcpy(longest + 50000, "\xe6\xbc\xa2", 3);
	longest[100000] = '\0';
	t_types(p);
	map = t_mapping(p, 0x400000, "/usr/bin/target");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		l = t_loc(p, map, 0x401000 + i, names[i], 1);
		t_add(p, &l, 1, 10 + i, NULL, 0);
	}
	l = t_loc(p, map, 0x402000, longest, 1);
	t_add(p, &l, 1, 5, NULL, 0);
	m = model(p);
	/* What `put` checks is what is asked. */
	for (int cols = 1; cols < 250; cols++)
		draw(m, 24, cols);
	keys(m, "\n");
	draw(m, 24, 80);
	memset(&screen, 0, sizeof screen);
	top_model_print(m, 1000, put, &screen);
	assert_true(shown("%s%n%1000000d") > 0);
	top_model_free(m);
	free(longest);
}

static void fits(const char *text, int width, const char *head, const char *tail)
{
	char line[TOP_LINE];

	assert_int_equal(top_text_fit(line, text, width), columns(head));
	assert_string_equal(line, head);
	top_text_fit_tail(line, text, width);
	assert_string_equal(line, tail);
	top_text_fill_tail(line, text, width);
	assert_int_equal(columns(line), width);
}

TEST(text_is_cut)
{
	fits("abcdef", 6, "abcdef", "abcdef");
	fits("abcdef", 5, "abc..", "..def");
	fits("abcdef", 3, "abc", "abc");
	fits("", 5, "", "");
	/* characters that take two columns are whole or not there */
	fits("\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2", 6, "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2",
	     "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2");
	fits("\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2", 5, "\xe6\xbc\xa2..", "..\xe6\xbc\xa2");
	fits("caf\xc3\xa9s", 5, "caf\xc3\xa9s", "caf\xc3\xa9s");
	fits("a\xffz", 3, "a?z", "a?z");
	/* what would turn the rest of the line around, and what is not there */
	fits("\xe2\x80\xae"
	     "ab",
	     5, "?ab", "?ab");
	fits("e\xcc\x81x", 5, "ex", "ex");
}

TEST(text_in_a_poor_locale)
{
	char line[TOP_LINE];

	setlocale(LC_CTYPE, "C");
	top_text_fit(line, "caf\xc3\xa9", 10);
	setlocale(LC_CTYPE, "C.UTF-8");
	assert_string_equal(line, "caf?");
}

TEST(numbers)
{
	char text[TOP_NUMBER];

	assert_string_equal(top_text_time(text, 0), "0ms");
	assert_string_equal(top_text_time(text, 9999000000), "9999ms");
	assert_string_equal(top_text_time(text, 12345000000), "12.3s");
	assert_string_equal(top_text_time(text, 36 * 60 * 1000000000ll), "36min");
	assert_string_equal(top_text_time(text, 400 * 3600 * 1000000000ll), "400h");
	assert_string_equal(top_text_percent(text, 1, 3), "33.3%");
	assert_string_equal(top_text_percent(text, 3, 3), "100.0%");
	assert_string_equal(top_text_percent(text, 0, 0), "0.0%");
	for (int64_t ns = 1; ns > 0 && ns < INT64_MAX / 3; ns = ns * 3 + 1)
		assert_in_range(strlen(top_text_time(text, ns)), 3, 8);
}

/* --- history ------------------------------------------------------------------------ */

static int64_t value_of(const struct pprof_functions *f, const char *name)
{
	for (size_t i = 0; i < f->nrows; i++) {
		if (!strcmp(f->rows[i].name, name))
			return f->rows[i].flat / 10000000;
	}
	return 0;
}

TEST(history_slides)
{
	const struct top_counts counts = {.span_ns = 1000000000, .samples = 1, .cpu_ns = 5};
	struct top_history *h;
	struct pprof_functions *f;
	struct pprof_profile *p;
	struct top_counts c;

	assert_int_equal(top_history_new(5000000000, true, &h), 0);
	assert_int_equal(top_history_profile(h, &p), -ENODATA);
	for (int i = 1; i <= 20; i++) {
		assert_int_equal(top_history_add(h, calls(i, 0, i == 1), &counts), 0);
		assert_int_equal(top_history_recent(h, &f, &c), 0);
		assert_int_equal(value_of(f, "main.work"), i < 5 ? i * (i + 1) / 2 : 5 * i - 10);
		assert_int_equal(c.samples, i < 5 ? i : 5);
		assert_int_equal(c.span_ns, c.samples * 1000000000);
		pprof_functions_free(f);
	}
	assert_int_equal(top_history_all(h, &f, &c), 0);
	assert_int_equal(value_of(f, "main.work"), 210);
	assert_int_equal(value_of(f, "github.com/some/package.(*Type).rest"), 1);
	assert_int_equal(c.samples, 20);
	assert_int_equal(c.cpu_ns, 100);
	pprof_functions_free(f);
	assert_int_equal(top_history_profile(h, &p), 0);
	assert_int_equal(p->nsamples, 2);
	assert_false(top_history_cut(h));
	pprof_profile_free(p);
	top_history_free(h);
}

/* A window that took long stands by itself. */
TEST(history_of_long_windows)
{
	struct top_counts counts = {.span_ns = 60000000000, .samples = 1}, c;
	struct pprof_functions *f;
	struct top_history *h;

	assert_int_equal(top_history_new(5000000000, true, &h), 0);
	for (int i = 1; i <= 3; i++)
		assert_int_equal(top_history_add(h, calls(i, 0, 0), &counts), 0);
	assert_int_equal(top_history_recent(h, &f, &c), 0);
	assert_int_equal(value_of(f, "main.work"), 3);
	assert_int_equal(c.samples, 1);
	pprof_functions_free(f);
	/* and very short ones are no more than there is room for */
	counts.span_ns = 1;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(top_history_add(h, calls(1, 0, 0), &counts), 0);
	assert_int_equal(top_history_recent(h, &f, &c), 0);
	assert_in_range(c.samples, 10, 1000);
	pprof_functions_free(f);
	top_history_free(h);
}

/* Each window brings stacks that were never there: the oldest go, in parts. */
TEST(history_is_bounded)
{
	const struct top_counts counts = {.span_ns = 1000000000, .samples = 500};
	struct top_history *h;
	struct pprof_functions *f;
	struct pprof_profile *p;
	struct top_counts c;
	int64_t sum = 0;

	assert_int_equal(top_history_new(5000000000, true, &h), 0);
	for (uint32_t i = 0; i < 600; i++) {
		uint32_t map, l[2];

		p = t_new();
		t_types(p);
		map = t_mapping(p, 0x400000, "/usr/bin/target");
		for (uint32_t k = 0; k < 500; k++) {
			l[0] = t_loc(p, map, 0x410000 + i, "main.a", i);
			l[1] = t_loc(p, map, 0x420000 + k, "main.b", k);
			t_add(p, l, 2, 1, NULL, 0);
		}
		assert_int_equal(top_history_add(h, p, &counts), 0);
	}
	assert_true(top_history_cut(h));
	assert_int_equal(top_history_profile(h, &p), 0);
	for (size_t i = 0; i < p->nsamples; i++)
		sum += pprof_sample_values(p, i)[0];
	assert_in_range(sum, TOP_HISTORY_STACKS - TOP_HISTORY_PART - 500, TOP_HISTORY_STACKS);
	pprof_profile_free(p);
	assert_int_equal(top_history_all(h, &f, &c), 0);
	assert_int_equal(value_of(f, "main.a"), 300000); /* the table has all of it */
	pprof_functions_free(f);
	top_history_free(h);
}

static const char *needs(void)
{
	return setlocale(LC_CTYPE, "C.UTF-8") ? NULL : "no locale C.UTF-8";
}

TEST_NEEDS(needs);

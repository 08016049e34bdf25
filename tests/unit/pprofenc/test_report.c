/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"
#include "pprof_report.h"
#include "unit_test.h"

#include <errno.h>
#include <time.h>

static void prints(const struct pprof_profile *p, const char *format,
		   const struct pprof_report_options *o, const char *want)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(pprof_exporter_named(format)->write(p, o, f), 0);
	fclose(f);
	assert_string_equal(text, want);
	free(text);
}

/* main calls fib, which calls itself and an inlined add; one sample lies in code without symbols.
 */
static struct pprof_profile *calls(void)
{
	struct pprof_profile *p = t_new();
	uint32_t m, so, root, fib, add, raw;
	struct pprof_line inlined[2];

	t_types(p);
	m = t_mapping(p, 0x400000, "/usr/bin/fib");
	so = t_mapping(p, 0x7f0000000000, "/lib/libc.so.6");
	root = t_loc(p, m, 0x401000, "main.main", 12);
	fib = t_loc(p, m, 0x402000, "main.fib", 34);
	inlined[0] = (struct pprof_line){t_func(p, "main.add"), 5, 0};
	inlined[1] = (struct pprof_line){t_func(p, "main.fib"), 36, 0};
	assert_int_equal(pprof_location(p, m, 0x403000, inlined, 2, &add), 0);
	assert_int_equal(pprof_location(p, so, 0x7f0000001234, NULL, 0, &raw), 0);
	t_add(p, (uint32_t[]){fib, fib, fib, root}, 4, 50, NULL, 0);
	t_add(p, (uint32_t[]){add, fib, root}, 3, 30, NULL, 0);
	t_add(p, (uint32_t[]){add, root}, 2, 15, NULL, 0);
	t_add(p, (uint32_t[]){raw, root}, 2, 5, NULL, 0);
	p->time_nanos = 1700000000000000000;
	p->duration_nanos = 2000000000;
	return p;
}

TEST(top_counts_recursion_once)
{
	struct pprof_profile *p = calls();

	prints(p, "top", NULL,
	       "File: fib\n"
	       "Build ID: c0ffee\n"
	       "Type: cpu\n"
	       "Time: 2023-11-14 22:13:20 UTC\n"
	       "Duration: 2s, Total samples = 1000ms (50.00%)\n"
	       "Showing nodes accounting for 1000ms, 100% of 1000ms total\n"
	       "      flat  flat%   sum%        cum   cum%\n"
	       "     500ms 50.00% 50.00%      950ms 95.00%  main.fib\n"
	       "     450ms 45.00% 95.00%      450ms 45.00%  main.add (inline)\n"
	       "      50ms  5.00%   100%       50ms  5.00%  [libc.so.6]\n"
	       "         0     0%   100%     1000ms   100%  main.main\n");
	pprof_profile_free(p);
}

TEST(top_takes_options)
{
	struct pprof_report_options o = {.size = sizeof o,
					 .sample_type = "samples",
					 .nodes = 2,
					 .node_fraction = 0.1,
					 .cum = true};
	struct pprof_profile *p = calls();

	prints(p, "top", &o,
	       "File: fib\n"
	       "Build ID: c0ffee\n"
	       "Type: samples\n"
	       "Time: 2023-11-14 22:13:20 UTC\n"
	       "Duration: 2s, Total samples = 100\n"
	       "Showing nodes accounting for 50, 50.00% of 100 total\n"
	       "Dropped 1 node (cum <= 10)\n"
	       "Showing top 2 nodes out of 3\n"
	       "      flat  flat%   sum%        cum   cum%\n"
	       "         0     0%     0%        100   100%  main.main\n"
	       "        50 50.00% 50.00%         95 95.00%  main.fib\n");
	o.sample_type = "wall";
	assert_int_equal(pprof_report_top(p, &o, stderr), -ENOENT);
	pprof_profile_free(p);
}

TEST(tree_shows_callers_and_callees)
{
	struct pprof_report_options o = {.size = sizeof o, .sample_type = "samples", .nodes = 2};
	struct pprof_profile *p = calls();

	p->time_nanos = p->duration_nanos = 0;
	prints(p, "tree", &o,
	       "File: fib\n"
	       "Build ID: c0ffee\n"
	       "Type: samples\n"
	       "Showing nodes accounting for 95, 95.00% of 100 total\n"
	       "Showing top 2 nodes out of 4\n"
	       "----------------------------------------------------------+-------------\n"
	       "      flat  flat%   sum%        cum   cum%   calls calls% + context\n"
	       "----------------------------------------------------------+-------------\n"
	       "        50 50.00% 50.00%         95 95.00%                | main.fib\n"
	       "                                                45 47.37% |   main.add (inline)\n"
	       "----------------------------------------------------------+-------------\n"
	       "                                                45   100% |   main.fib (inline)\n"
	       "        45 45.00% 95.00%         45 45.00%                | main.add\n"
	       "----------------------------------------------------------+-------------\n");
	pprof_profile_free(p);
}

TEST(peek_shows_all_around_a_function)
{
	struct pprof_report_options o = {.size = sizeof o,
					 .sample_type = "samples",
					 .peek = "^main\\.a|no such",
					 .nodes = 1,
					 .node_fraction = 0.5};
	struct pprof_profile *p = calls();
	FILE *none = tmpfile();

	p->time_nanos = p->duration_nanos = 0;
	prints(p, "peek", &o,
	       "File: fib\n"
	       "Build ID: c0ffee\n"
	       "Type: samples\n"
	       "Showing nodes accounting for 100, 100% of 100 total\n"
	       "----------------------------------------------------------+-------------\n"
	       "      flat  flat%   sum%        cum   cum%   calls calls% + context\n"
	       "----------------------------------------------------------+-------------\n"
	       "                                                45   100% |   main.fib (inline)\n"
	       "        45 45.00% 45.00%         45 45.00%                | main.add\n"
	       "----------------------------------------------------------+-------------\n");
	o.peek = "no such";
	assert_int_equal(pprof_report_peek(p, &o, none), -ENODATA);
	o.peek = "main(";
	assert_int_equal(pprof_report_peek(p, &o, none), -EINVAL);
	assert_int_equal(ftell(none), 0); /* nothing is written then */
	fclose(none);
	pprof_profile_free(p);
}

TEST(traces_list_samples_with_their_labels)
{
	struct pprof_report_options o = {.size = sizeof o, .sample_type = "cpu"};
	struct pprof_profile *p = calls();
	struct pprof_label labels[] = {
		{.key = t_str(p, "request"), .num = 2048},
		{.key = t_str(p, "endpoint"), .str = t_str(p, "/api")},
		{.key = t_str(p, "a long name of a label"), .str = t_str(p, "x")},
		{.key = t_str(p, "wait"), .num = 1500000, .unit = t_str(p, "nanoseconds")},
	};

	p->time_nanos = p->duration_nanos = 0;
	t_add(p, pprof_sample_stack(p, 2), 2, 1, labels, 4);
	prints(p, "traces", &o,
	       "File: fib\n"
	       "Build ID: c0ffee\n"
	       "Type: cpu\n"
	       "-----------+-------------------------------------------------------\n"
	       "     500ms   main.fib\n"
	       "             main.fib\n"
	       "             main.fib\n"
	       "             main.main\n"
	       "-----------+-------------------------------------------------------\n"
	       "     300ms   main.add (inline)\n"
	       "             main.fib\n"
	       "             main.fib\n"
	       "             main.main\n"
	       "-----------+-------------------------------------------------------\n"
	       "     150ms   main.add (inline)\n"
	       "             main.fib\n"
	       "             main.main\n"
	       "-----------+-------------------------------------------------------\n"
	       "      50ms   [libc.so.6]\n"
	       "             main.main\n"
	       "-----------+-------------------------------------------------------\n"
	       "  endpoint:  /api\n"
	       "a long name of a label:  x\n"
	       "      wait:  1.50ms\n"
	       "   request:  2kB\n"
	       "      10ms   main.add (inline)\n"
	       "             main.fib\n"
	       "             main.main\n"
	       "-----------+-------------------------------------------------------\n");
	pprof_profile_free(p);
}

/* The unit of one is not that of another; one without a unit has the first of its key. */
TEST(traces_show_each_label_in_its_unit)
{
	struct pprof_report_options o = {.size = sizeof o, .sample_type = "cpu"};
	struct pprof_profile *p = t_new();
	uint32_t loc;
	struct pprof_label labels[] = {
		{.key = t_str(p, "lat"), .num = 1500000, .unit = t_str(p, "nanoseconds")},
		{.key = t_str(p, "lat"), .num = 2, .unit = t_str(p, "milliseconds")},
		{.key = t_str(p, "size"), .num = 1, .unit = t_str(p, "kilobytes")},
		{.key = t_str(p, "size"), .num = 4096, .unit = t_str(p, "bytes")},
		{.key = t_str(p, "size"), .num = 3},
	};

	t_types(p);
	loc = t_loc(p, PPROF_NONE, 1, "main.a", 1);
	t_add(p, &loc, 1, 1, labels, 3);
	t_add(p, &loc, 1, 2, labels + 3, 1);
	t_add(p, &loc, 1, 3, labels + 4, 1);
	prints(p, "traces", &o,
	       "Type: cpu\n"
	       "-----------+-------------------------------------------------------\n"
	       "       lat:  2ms 1.50ms\n"
	       "      size:  1kB\n"
	       "      10ms   main.a\n"
	       "-----------+-------------------------------------------------------\n"
	       "      size:  4kB\n"
	       "      20ms   main.a\n"
	       "-----------+-------------------------------------------------------\n"
	       "      size:  3kB\n"
	       "      30ms   main.a\n"
	       "-----------+-------------------------------------------------------\n");
	pprof_profile_free(p);
}

/* Were each looked for among all others, this would take minutes. */
TEST(traces_take_many_labels)
{
	enum { MANY = 300000 };
	struct pprof_label *labels = calloc(MANY, sizeof *labels);
	struct pprof_profile *p = t_new();
	char key[16], *text;
	uint32_t loc;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(labels);
	t_types(p);
	loc = t_loc(p, PPROF_NONE, 1, "f", 1);
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(key, sizeof key, "k%u", i / 2);
		labels[i] = (struct pprof_label){.key = t_str(p, key), .num = i};
	}
	t_add(p, &loc, 1, 1, labels, MANY);
	assert_int_equal(pprof_report_traces(p, NULL, f), 0);
	fclose(f);
	assert_non_null(strstr(text, "   k149999:  299998 299999\n"));
	free(text);
	free(labels);
	pprof_profile_free(p);
}

TEST(values_take_the_unit_asked_for)
{
	static const struct {
		const char *unit, *first, *last;
	} cases[] = {
		{NULL, "500ms 50.00%", "1000ms   100%"},
		{"us", "500000us 50.00%", "1000000us   100%"},
		{"auto", "500ms 50.00%", "1s   100%"},
		{"sec", "0.50s 50.00%", "1s   100%"},
		{"MB", "0.50s 50.00%", "1s   100%"},
	};
	struct pprof_profile *p = calls();

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pprof_report_options o = {.size = sizeof o, .unit = cases[i].unit};
		char *text;
		size_t len;
		FILE *f = open_memstream(&text, &len);

		assert_int_equal(pprof_report_top(p, &o, f), 0);
		fclose(f);
		if (!strstr(text, cases[i].first) || !strstr(text, cases[i].last))
			fail_msg("%s: %s", cases[i].unit, text);
		free(text);
	}
	pprof_profile_free(p);
}

TEST(folded_is_sorted_and_summed)
{
	struct pprof_report_options o = {.size = sizeof o, .sample_type = "samples"};
	struct pprof_profile *p = calls();
	struct pprof_label l = {.key = t_str(p, "k"), .str = t_str(p, "v")};

	t_add(p, pprof_sample_stack(p, 3), 2, 2, &l, 1);
	prints(p, "folded", &o,
	       "main.main;[libc.so.6] 7\n"
	       "main.main;main.fib;main.add 15\n"
	       "main.main;main.fib;main.fib;main.add 30\n"
	       "main.main;main.fib;main.fib;main.fib 50\n");
	pprof_profile_free(p);
}

TEST(names_cannot_break_the_output)
{
	struct pprof_report_options o = {.size = sizeof o, .sample_type = "samples"};
	struct pprof_profile *p = t_new();
	uint32_t loc;

	t_types(p);
	loc = t_loc(p, PPROF_NONE, 1, "a;b\n\x1b[31m\xc2\x9b\xc3\xa9", 1);
	t_add(p, &loc, 1, 3, NULL, 0);
	prints(p, "folded", &o, "a:b??[31m?\xc3\xa9 3\n");
	pprof_profile_free(p);
}

TEST(headers_cannot_break_the_output)
{
	struct pprof_profile *p = t_new();
	uint32_t loc;

	assert_int_equal(pprof_sample_type(p, "ty\x1bpe\xc2\x9b", "un\x1bi\xc2\x9bt"), 0);
	assert_int_equal(pprof_comment(p, "com\nment\xc2\x85\xc3\xa9"), 0);
	loc = t_loc(p, t_mapping(p, 0x1000, "/x/fi\x07le\xc2\x9b"), 0x1000, "f", 1);
	assert_int_equal(pprof_sample_add(p, &loc, 1, (int64_t[]){7}, NULL, 0), 0);
	prints(p, "top", NULL,
	       "File: fi?le?\n"
	       "Build ID: c0ffee\n"
	       "com?ment?\xc3\xa9\n"
	       "Type: ty?pe?\n"
	       "Showing nodes accounting for 7un?i?t, 100% of 7un?i?t total\n"
	       "      flat  flat%   sum%        cum   cum%\n"
	       "   7un?i?t   100%   100%    7un?i?t   100%  f\n");
	pprof_profile_free(p);
}

TEST(units_are_scaled)
{
	static const struct {
		int64_t value;
		const char *unit, *want;
	} cases[] = {
		{1, "bytes", "1B"},
		{1536, "bytes", "1.50kB"},
		{-3000000, "nanoseconds", "-3ms"},
		{7200, "seconds", "2hrs"},
		{512, "kilobytes", "512kB"},
		{42, "count", "42"},
		{42, "GC cycles", "42GC cycles"},
		{INT64_MIN, "nanoseconds", "-2562047.79hrs"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pprof_profile *p = t_new();
		uint32_t loc;
		char want[200];

		assert_int_equal(pprof_sample_type(p, "t", cases[i].unit), 0);
		loc = t_loc(p, PPROF_NONE, 1, "f", 1);
		assert_int_equal(pprof_sample_add(p, &loc, 1, &cases[i].value, NULL, 0), 0);
		snprintf(want, sizeof want, "%10s", cases[i].want);
		{
			char *text;
			size_t len;
			FILE *f = open_memstream(&text, &len);

			assert_int_equal(pprof_report_top(p, NULL, f), 0);
			fclose(f);
			assert_non_null(strstr(text, want));
			free(text);
		}
		pprof_profile_free(p);
	}
}

/* A number with more digits than a text of the usual length has, and a unit that is cut. */
TEST(long_values_keep_to_their_text)
{
	static const struct {
		const char *unit, *wanted, *want;
	} cases[] = {
		{"petabytes", "B", " 5192296858534827628530496329220096B,"},
		{"hours", "ns", " 16602069666338596454400000000000ns,"},
		{"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
		 "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80",
		 NULL,
		 " 4611686018427387904\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0"
		 "\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f"
		 "\x98\x80,"},
		{"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\xe2\x82\xac", NULL,
		 " 4611686018427387904xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pprof_report_options o = {.size = sizeof o, .unit = cases[i].wanted};
		struct pprof_profile *p = t_new();
		uint32_t loc;
		char *text;
		size_t len;
		FILE *f = open_memstream(&text, &len);

		assert_int_equal(pprof_sample_type(p, "t", cases[i].unit), 0);
		loc = t_loc(p, PPROF_NONE, 1, "f", 1);
		assert_int_equal(
			pprof_sample_add(p, &loc, 1, (int64_t[]){INT64_C(1) << 62}, NULL, 0), 0);
		assert_int_equal(pprof_report_top(p, &o, f), 0);
		fclose(f);
		if (!strstr(text, cases[i].want))
			fail_msg("%s: %s", cases[i].unit, text);
		free(text);
		pprof_profile_free(p);
	}
}

TEST(a_value_fits_its_text)
{
	char text[32];

	/* 31 bytes, of which the last would be a part of a character */
	pprof_value_text(text, 42, "xxxxxxxxxxxxxxxxxxxxxxxxxx\xe2\x82\xac");
	assert_string_equal(text, "42.0xxxxxxxxxxxxxxxxxxxxxxxxxx");
}

TEST(empty_profiles_are_reported)
{
	struct pprof_profile *p = t_new();

	assert_int_equal(pprof_report_top(p, NULL, stderr), -ENOENT);
	t_types(p);
	prints(p, "folded", NULL, "");
	prints(p, "top", NULL,
	       "Type: cpu\n"
	       "Showing nodes accounting for 0, 0% of 0 total\n"
	       "      flat  flat%   sum%        cum   cum%\n");
	pprof_profile_free(p);
}

TEST(exporters_are_found_by_name)
{
	const struct pprof_exporter *e;
	size_t n = 0;

	for (; (e = pprof_exporter_at(n)); n++) {
		assert_ptr_equal(pprof_exporter_named(e->name), e);
		assert_ptr_equal(e->alias ? pprof_exporter_named(e->alias) : e, e);
		assert_non_null(e->write);
		assert_true(e->suffix[0] == '.' && e->mime[0] && e->about[0]);
	}
	assert_true(n >= 11);
	assert_string_equal(pprof_exporter_at(0)->name, "pprof");
	assert_ptr_equal(pprof_exporter_named("text"), pprof_exporter_named("top"));
	assert_true(pprof_exporter_named("pprof")->flags & PPROF_EXPORT_BINARY);
	assert_true(pprof_exporter_named("svg")->flags & PPROF_EXPORT_COMPARES);
	assert_null(pprof_exporter_named("jpeg"));
}

TEST(exporters_are_found_by_suffix)
{
	const struct pprof_exporter *e;

	/* no suffix hides another one */
	for (size_t i = 0; (e = pprof_exporter_at(i)); i++) {
		char path[64];

		snprintf(path, sizeof path, "/a.svg/x%s", e->suffix);
		assert_ptr_equal(pprof_exporter_for_file(path), e);
	}
	assert_string_equal(pprof_exporter_for_file("x.speedscope.json")->name, "speedscope");
	assert_string_equal(pprof_exporter_for_file("x.prof.json")->name, "json");
	assert_null(pprof_exporter_for_file("json"));
	assert_null(pprof_exporter_for_file(""));
}

static int begin(void **state)
{
	setenv("TZ", "UTC", 1);
	tzset();
	return 0;
}

TEST_GROUP(begin, NULL);

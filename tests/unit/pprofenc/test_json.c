/* SPDX-License-Identifier: Apache-2.0 */
/* The files for speedscope and for scripts: JSON, written as it comes. */
#include "testing.h"
#include "pprof_report.h"
#include "unit_test.h"

#include <inttypes.h>

#define START 1700000000000000000

static char *written(const struct pprof_profile *p, const char *format, const char *type)
{
	const struct pprof_report_options o = {.size = sizeof o, .sample_type = type};
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(pprof_exporter_named(format)->write(p, &o, f), 0);
	fclose(f);
	assert_int_equal(strlen(text), len);
	return text;
}

static void writes(const struct pprof_profile *p, const char *format, const char *want)
{
	char *text = written(p, format, NULL);

	assert_string_equal(text, want);
	free(text);
}

static void has(const char *text, const char *want)
{
	if (!strstr(text, want))
		fail_msg("no %s in:\n%s", want, text);
}

static void has_not(const char *text, const char *unwanted)
{
	if (strstr(text, unwanted))
		fail_msg("%s in:\n%s", unwanted, text);
}

static struct pprof_label number(struct pprof_profile *p, const char *key, int64_t v,
				 const char *unit)
{
	return (struct pprof_label){.key = t_str(p, key), .num = v, .unit = t_str(p, unit)};
}

static struct pprof_label text(struct pprof_profile *p, const char *key, const char *v)
{
	return (struct pprof_label){.key = t_str(p, key), .str = t_str(p, v)};
}

#define SCHEMA   "\"$schema\":\"https://www.speedscope.app/file-format-schema.json\""
#define HEAD     "{" SCHEMA ",\"exporter\":\"libpprofenc@" PROWL_VERSION "\","
#define GO_FRAME "\"file\":\"main.go\",\"line\":10}"
#define SAMPLED  "{\"type\":\"sampled\",\"name\":"

/* Inlined functions are frames; equal stacks, and those that differ only by label, are one. */
TEST(speedscope_of_all_kinds)
{
	struct pprof_profile *p = t_rich();

	writes(p, "speedscope",
	       HEAD
	       "\"name\":\"target\",\"shared\":{\"frames\":[\n"
	       "{\"name\":\"<unknown>\"},\n"
	       "{\"name\":\"[libc.so.6]\"},\n"
	       "{\"name\":\"main.leaf\"," GO_FRAME ",\n"
	       "{\"name\":\"main.main\"," GO_FRAME ",\n"
	       "{\"name\":\"main.step\"," GO_FRAME ",\n"
	       "{\"name\":\"main.work\"," GO_FRAME "]},\"profiles\":[\n" SAMPLED
	       "\"samples\",\"unit\":\"none\",\"startValue\":0,\"endValue\":25,"
	       "\"samples\":[[],[3,0],[3,1],[3,5],[3,5,4,2]],\"weights\":[2,1,7,6,9]},\n" SAMPLED
	       "\"cpu\",\"unit\":\"nanoseconds\",\"startValue\":0,\"endValue\":250000000,"
	       "\"samples\":[[],[3,0],[3,1],[3,5],[3,5,4,2]],"
	       "\"weights\":[20000000,10000000,70000000,60000000,90000000]}],"
	       "\"activeProfileIndex\":1}\n");
	pprof_profile_free(p);
}

TEST(speedscope_of_one_kind)
{
	struct pprof_profile *p = t_rich();
	char *text = written(p, "speedscope", "samples");

	has(text, SAMPLED "\"samples\",\"unit\":\"none\"");
	has(text, "\"activeProfileIndex\":0}");
	has_not(text, "nanoseconds");
	free(text);
	pprof_profile_free(p);
}

/* Thread by thread, the busiest first; samples without a thread are not lost. */
TEST(speedscope_of_threads)
{
	struct pprof_profile *p = t_new();
	uint32_t m, a, b;
	char *text_;

	t_types(p);
	m = t_mapping(p, 0x400000, "/usr/bin/fib");
	a = t_loc(p, m, 0x401000, "main.a", 1);
	b = t_loc(p, m, 0x402000, "main.b", 2);
	{
		struct pprof_label one[] = {number(p, "pid", 7, "id"), text(p, "comm", "etcd"),
					    number(p, "thread_id", 8, "id")};
		struct pprof_label two[] = {number(p, "thread id", 9, ""),
					    text(p, "thread name", "worker")};

		t_add(p, &a, 1, 1, one, 3);
		t_add(p, &b, 1, 5, two, 2);
		t_add(p, &b, 1, 2, two, 1);
		t_add(p, &b, 1, 3, NULL, 0);
	}
	text_ = written(p, "speedscope", "cpu");
	has(text_, "\"profiles\":[\n" SAMPLED
		   "\"cpu, thread 9 (worker)\",\"unit\":\"nanoseconds\",\"startValue\":0,"
		   "\"endValue\":70000000,\"samples\":[[1]],\"weights\":[70000000]},\n" SAMPLED
		   "\"cpu, no thread\",\"unit\":\"nanoseconds\",\"startValue\":0,"
		   "\"endValue\":30000000,\"samples\":[[1]],\"weights\":[30000000]},\n" SAMPLED
		   "\"cpu, etcd (pid 7), thread 8\",\"unit\":\"nanoseconds\","
		   "\"startValue\":0,\"endValue\":10000000,\"samples\":[[0]],"
		   "\"weights\":[10000000]}]");
	free(text_);
	pprof_profile_free(p);
}

static void add_at(struct pprof_profile *p, uint32_t location, int64_t ms)
{
	struct pprof_label l[] = {number(p, "thread_id", 8, "id"),
				  number(p, PPROF_LABEL_TIME, START + ms * 1000000, "nanoseconds")};
	int64_t values[] = {1, 10000000};

	assert_int_equal(pprof_sample_append(p, &location, 1, values, l, 2), 0);
}

/* In the order of time, whatever that of the file; gaps are empty, of nanoseconds only. */
TEST(speedscope_in_time)
{
	struct pprof_profile *p = t_new();
	uint32_t m, a, b;
	char *text_;

	t_types(p);
	m = t_mapping(p, 0x400000, "/usr/bin/fib");
	a = t_loc(p, m, 0x401000, "main.a", 1);
	b = t_loc(p, m, 0x402000, "main.b", 2);
	add_at(p, a, 82); /* too near to the one before: it moves to its end */
	add_at(p, b, 78);
	add_at(p, b, 30);
	add_at(p, a, 45); /* a little late: no gap */
	p->time_nanos = START;
	p->duration_nanos = 100000000;
	text_ = written(p, "speedscope", NULL);
	has(text_, "\"startValue\":0,\"endValue\":4,\"samples\":[[1],[0],[1],[0]],"
		   "\"weights\":[1,1,1,1]}");
	has(text_, "\"startValue\":0,\"endValue\":100000000,"
		   "\"samples\":[[],[1],[0],[],[1],[0],[]],"
		   "\"weights\":[20000000,10000000,10000000,28000000,10000000,10000000,12000000]}");
	free(text_);
	p->time_nanos = 0; /* unknown: from the first sample on */
	text_ = written(p, "speedscope", "cpu");
	has(text_, "\"samples\":[[1],[0],[1],[0]],");
	free(text_);
	pprof_profile_free(p);
}

TEST(speedscope_of_differences)
{
	struct pprof_profile *p = t_new();
	uint32_t a;
	char *text_;

	t_types(p);
	a = t_loc(p, PPROF_NONE, 0x401000, "main.a", 1);
	assert_int_equal(pprof_sample_add(p, &a, 1, (int64_t[]){-3, INT64_MIN}, NULL, 0), 0);
	text_ = written(p, "speedscope", "samples");
	has(text_, "\"profiles\":[\n" SAMPLED "\"samples, negative\",\"unit\":\"none\","
		   "\"startValue\":0,\"endValue\":3,\"samples\":[[0]],\"weights\":[3]}],");
	free(text_);
	text_ = written(p, "speedscope", "cpu");
	has(text_, "\"weights\":[9223372036854775808]}],");
	free(text_);
	pprof_profile_free(p);
}

TEST(nothing_is_one_empty_profile)
{
	struct pprof_profile *p = t_new();

	t_types(p);
	writes(p, "speedscope",
	       HEAD
	       "\"name\":\"profile\",\"shared\":{\"frames\":[]},\"profiles\":[\n" SAMPLED
	       "\"cpu\",\"unit\":\"nanoseconds\",\"startValue\":0,\"endValue\":0,\"samples\":[],"
	       "\"weights\":[]}],\"activeProfileIndex\":0}\n");
	pprof_profile_free(p);
}

TEST(units_are_those_of_speedscope)
{
	static const char *const units[][2] = {
		{"ns", "nanoseconds"},  {"microseconds", "microseconds"},
		{"ms", "milliseconds"}, {"seconds", "seconds"},
		{"bytes", "bytes"},     {"kilobytes", "none"},
		{"count", "none"},      {"<b>", "none"},
	};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		struct pprof_profile *p = t_new();
		char want[64], *text_;

		assert_int_equal(pprof_sample_type(p, "x", units[i][0]), 0);
		snprintf(want, sizeof want, "\"unit\":\"%s\"", units[i][1]);
		text_ = written(p, "speedscope", NULL);
		has(text_, want);
		free(text_);
		pprof_profile_free(p);
	}
}

/* Names, files, labels and comments that would break a careless writer. */
TEST(hostile_texts)
{
	static const char name[] = "</script>\"\\\n\t\x01\x7f\xc2\x9b\xe2\x80\xa8\xff;\xe2\x80\xae";
	static const char want[] = "\"</script>\\\"\\\\\\u000a\\u0009\\u0001\\u007f\\u009b\\u2028"
				   "\xef\xbf\xbd;\xe2\x80\xae\"";
	struct pprof_profile *p = t_new();
	struct pprof_label label = text(p, name, name);
	char *long_name = malloc(100001), *json, *scope;
	uint32_t a, b;

	assert_non_null(long_name);
	memset(long_name, '"', 100000);
	long_name[100000] = '\0';
	t_types(p);
	a = t_loc(p, t_mapping(p, 0x1000, name), 0x1001, name, 1);
	b = t_loc(p, PPROF_NONE, 0x1002, long_name, 1);
	t_add(p, &a, 1, 1, &label, 1);
	t_add(p, &b, 1, 1, NULL, 0);
	assert_int_equal(pprof_comment(p, name), 0);
	json = written(p, "json", NULL);
	scope = written(p, "speedscope", NULL);
	has(json, want);
	has(scope, want);
	for (const char *s = json; *s; s++)
		if (((unsigned char)*s < 0x20 && *s != '\n') || *s == 0x7f)
			fail_msg("a control character at %td", s - json);
	assert_true(strlen(scope) > 200000);
	free(json);
	free(scope);
	free(long_name);
	pprof_profile_free(p);
}

TEST(json_of_all)
{
	struct pprof_profile *p = t_rich();
	char *text_;

	assert_int_equal(p->mappings[0].has_functions, true);
	text_ = written(p, "json", NULL);
	has(text_,
	    "{\"schema_version\":1,\n\"sample_types\":[{\"type\":\"samples\",\"unit\":\"count\"},"
	    "{\"type\":\"cpu\",\"unit\":\"nanoseconds\"}],\"default_sample_type\":\"cpu\","
	    "\"period_type\":{\"type\":\"cpu\",\"unit\":\"nanoseconds\"},\"period\":10000000,"
	    "\"time\":\"2023-11-14T22:13:20.123456789Z\",\"time_nanos\":1700000000123456789,"
	    "\"duration_nanos\":30000000000,\"drop_frames\":\"malloc|free\","
	    "\"keep_frames\":\"free_all\",\"doc_url\":\"https://example.org/profile\",\n"
	    "\"comments\":[\"second thoughts\",\"a remark\"],\n");
	has(text_, "{\"start\":\"0x400000\",\"limit\":\"0x500000\",\"offset\":\"0x0\","
		   "\"file\":\"/usr/bin/target\",\"build_id\":\"c0ffee\",\"has_functions\":true,");
	has(text_, "{\"name\":\"main.leaf\",\"system_name\":\"main.leaf\",\"file\":\"main.go\","
		   "\"start_line\":10}");
	has(text_,
	    "{\"address\":\"0x402000\",\"mapping\":0,\"folded\":true,\"lines\":[{\"function\":1,"
	    "\"name\":\"main.work\",\"file\":\"main.go\",\"line\":34,\"column\":0}]}");
	has(text_, "{\"address\":\"0xdead\",\"mapping\":null,\"folded\":false,\"lines\":[]}");
	has(text_,
	    "{\"values\":{\"samples\":6,\"cpu\":60000000},"
	    "\"labels\":{\"endpoint\":\"/api\",\"bytes\":-48},\"label_units\":{\"bytes\":\"bytes\"},"
	    "\"stack\":[\"main.work\",\"main.main\"],\"locations\":[1,0]}");
	has(text_, "\"stack\":[\"main.leaf\",\"main.step\",\"main.work\",\"main.main\"],"
		   "\"locations\":[2,1,0]}");
	has(text_, "\"stack\":[\"[libc.so.6]\",\"main.main\"]");
	has(text_, "\"stack\":[\"<unknown>\",\"main.main\"]");
	free(text_);
	text_ = written(p, "json", "samples");
	has(text_, "\"sample_types\":[{\"type\":\"samples\",\"unit\":\"count\"}],"
		   "\"default_sample_type\":\"samples\"");
	has(text_, "{\"values\":{\"samples\":6},");
	free(text_);
	pprof_profile_free(p);
}

/* The format allows names that repeat, unlike a table of keys. Numbers keep their digits. */
TEST(json_of_repeated_names)
{
	const int64_t values[] = {INT64_MAX, INT64_MIN};
	struct pprof_profile *p = t_new();
	struct pprof_label labels[] = {text(p, "k", "a"), text(p, "k", "b"),
				       number(p, "k", 3, "u")};
	char *text_;

	assert_int_equal(pprof_sample_type(p, "x", "count"), 0);
	assert_int_equal(pprof_sample_type(p, "x", "bytes"), 0);
	assert_int_equal(pprof_sample_add(p, NULL, 0, values, labels, 3), 0);
	text_ = written(p, "json", NULL);
	has(text_, "\"values\":{\"x\":9223372036854775807,\"x#2\":-9223372036854775808}");
	has(text_, "\"labels\":{\"k\":[3,\"a\",\"b\"]},\"label_units\":{\"k\":\"u\"}");
	has_not(text_, "\"time\":");
	free(text_);
	pprof_profile_free(p);
}

/* Values of one key in different units: each has its own. */
TEST(json_of_several_units)
{
	struct pprof_profile *p = t_new();
	struct pprof_label labels[] = {number(p, "lat", 1500000, "nanoseconds"),
				       number(p, "lat", 2, "milliseconds"),
				       number(p, "size", 1, "kilobytes")};
	char *out;

	assert_int_equal(pprof_sample_type(p, "x", "count"), 0);
	assert_int_equal(pprof_sample_add(p, NULL, 0, (int64_t[]){1}, labels, 3), 0);
	labels[2] = number(p, "size", 4096, "bytes");
	assert_int_equal(pprof_sample_add(p, NULL, 0, (int64_t[]){1}, labels + 2, 1), 0);
	out = written(p, "json", NULL);
	has(out, "\"labels\":{\"lat\":[2,1500000],\"size\":1},"
		 "\"label_units\":{\"lat\":[\"milliseconds\",\"nanoseconds\"],"
		 "\"size\":\"kilobytes\"}");
	has(out, "\"labels\":{\"size\":4096},\"label_units\":{\"size\":\"bytes\"}");
	free(out);
	pprof_profile_free(p);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "selector.h"
#include "unit_test.h"
#include "when.h"

static bool matches(const char *text, const char *service, const char *pod)
{
	const struct prowl_series_label labels[] = {{"service", service, true}, {"pod", pod, true}};
	struct prowl_selector *s = NULL;
	struct prowl_series *series = NULL;
	bool found;

	assert_int_equal(prowl_series_new(labels, 2, &series), 0);
	assert_int_equal(prowl_selector_new(text, &s, NULL), PROWL_OK);
	found = prowl_selector_matches(s, series);
	prowl_selector_free(s);
	prowl_series_free(series);
	return found;
}

TEST(selectors_match)
{
	assert_true(matches("", "etcd", "a"));
	assert_true(matches("{}", "etcd", "a"));
	assert_true(matches("service=\"etcd\"", "etcd", "a"));
	assert_true(matches(" { service = 'etcd' , pod =~ \"a.*\" } ", "etcd", "abc"));
	assert_false(matches("service=\"etcd\",pod=~\"a.*\"", "etcd", "ba"));
	assert_true(matches("service=etcd", "etcd", "a"));
	assert_false(matches("service!=etcd", "etcd", "a"));
	assert_true(matches("service!~\"x|y\"", "etcd", "a"));
	assert_false(matches("service!~\"x|etcd\"", "etcd", "a"));
	assert_false(matches("service=~\"etc\"", "etcd", "a"));
	assert_true(matches("unit=\"\"", "etcd", "a"));
	assert_true(matches("unit!=\"x\"", "etcd", "a"));
	assert_true(matches("service=\"a\\\"b\\\\c\"", "a\"b\\c", "a"));
}

TEST(wrong_selectors_are_refused_with_the_place)
{
	static const char *const wrong[] = {
		"service", "service=\"etcd", "=\"x\"",       "{service=\"x\"",  "service=\"x\"}",
		"a=b c=d", "a=~\"(\"",       "a=\"x\",,b=y", "service==\"x\"x", "{a=b}}",
	};
	struct prowl_selector *s = NULL;
	struct prowl_err err;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(prowl_selector_new(wrong[i], &s, &err), PROWL_USAGE);
		assert_non_null(strstr(err.text, "at character"));
	}
}

/* No expression can hang: this one would take 2^30 steps. */
TEST(expressions_are_bounded)
{
	assert_false(matches("service=~\"(a+)+b\"", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x"));
}

static int64_t when(const char *text)
{
	int64_t t = -1;

	assert_true(prowl_when_parse(text, 1000000000000000000, &t));
	return t;
}

TEST(times)
{
	assert_int_equal(when("now"), 1000000000000000000);
	assert_int_equal(when("-2h"), 1000000000000000000 - 7200000000000);
	assert_int_equal(when("now-1d12h"), 1000000000000000000 - 129600000000000);
	assert_int_equal(when("now+90s"), 1000000090000000000);
	assert_int_equal(when("-1500ms"), 999999998500000000);
	assert_int_equal(when("2026-11-30T08:05:00Z"), 1796025900000000000);
	assert_int_equal(when("2026-11-30T08:05Z"), 1796025900000000000);
	assert_int_equal(when("2026-11-30T10:05:00+02:00"), 1796025900000000000);
	assert_int_equal(when("2026-11-30T08:05:00.25Z"), 1796025900250000000);
	assert_int_equal(when("2026-11-30"), 1795996800000000000);
	assert_int_equal(when("1796025900"), 1796025900000000000);
	assert_int_equal(when("1796025900.5"), 1796025900500000000);
	assert_int_equal(when("1796025900000"), 1796025900000000000);
	assert_int_equal(when("1796025900000000000"), 1796025900000000000);
}

TEST(what_is_no_time)
{
	static const char *const wrong[] = {
		"",
		"-",
		"now-",
		"2h",
		"-2",
		"-2y",
		"yesterday",
		"2026-13-01",
		"2026-11-30T",
		"2026-11-30T25:00Z",
		"nowhere",
		"-99999999999999w",
		"2026-11-30T08:05:00Zx",
		"99999999999999999999",
		"2026-11-30T08:05:00.Z",
	};
	int64_t t;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		if (prowl_when_parse(wrong[i], 0, &t))
			fail_msg("%s", wrong[i]);
	}
}

TEST(times_as_text)
{
	char text[PROWL_WHEN];

	assert_string_equal(prowl_when_text(text, 1796025900000000000), "2026-11-30T08:05:00Z");
	assert_string_equal(prowl_when_text(text, 1796025900250000000), "2026-11-30T08:05:00.25Z");
	assert_string_equal(prowl_when_text(text, 0), "1970-01-01T00:00:00Z");
}

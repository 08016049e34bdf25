/* SPDX-License-Identifier: Apache-2.0 */
/* Which process is profiled, and under which name. */
#include <string.h>

#include "rules.h"
#include "unit_test.h"

static struct prowl_subject nobody(void)
{
	struct prowl_subject s = {.pid = 42,
				  .uid = 1000,
				  .container_id = "",
				  .pod_uid = "",
				  .image = "",
				  .go_version = "",
				  .build = "",
				  .otel_service = ""};

	for (size_t i = 0; i < PROWL_FACTS; i++)
		s.fact[i] = "";
	return s;
}

static struct prowl_series *series_of(const struct prowl_subject *s, const struct prowl_rule *r,
				      const struct prowl_label_policy *p)
{
	struct prowl_series *ret;

	assert_int_equal(prowl_subject_series(s, r, p, "h1", &ret), 0);
	return ret;
}

static void named(const struct prowl_subject *s, const struct prowl_rule *r, const char *name,
		  const char *source)
{
	struct prowl_series *series = series_of(s, r, NULL);

	assert_string_equal(prowl_series_get(series, PROWL_SERIES_SERVICE), name);
	assert_string_equal(prowl_series_get(series, PROWL_SERIES_SOURCE), source);
	prowl_series_free(series);
}

TEST(the_first_rule_that_matches_decides)
{
	struct prowl_rule rules[] = {
		{.has_go = true, .go = true, .pattern = {[PROWL_FACT_NAMESPACE] = "kube-*"}},
		{.has_uid = true, .uid = 0, .origin = "root"},
		{.name = "envoy", .origin = "name"},
		{.pattern = {[PROWL_FACT_EXE] = "/usr/*/ng?nx", [PROWL_FACT_UNIT] = "*"},
		 .origin = "exe"},
	};
	struct prowl_rules all = {rules, 4};
	struct prowl_subject s = nobody();

	assert_null(prowl_rules_find(&all, &s));
	s.fact[PROWL_FACT_NAMESPACE] = "kube-system";
	assert_null(prowl_rules_find(&all, &s));
	s.go = true;
	assert_ptr_equal(prowl_rules_find(&all, &s), &rules[0]);
	s.go = false;
	s.fact[PROWL_FACT_EXE] = "/usr/sbin/nginx";
	assert_ptr_equal(prowl_rules_find(&all, &s), &rules[3]);
	s.fact[PROWL_FACT_EXE] = "/usr/sbin/nginx-debug";
	assert_null(prowl_rules_find(&all, &s));
	s.fact[PROWL_FACT_EXE] = "/opt/envoy";
	assert_ptr_equal(prowl_rules_find(&all, &s), &rules[2]);
	s.uid = 0;
	assert_ptr_equal(prowl_rules_find(&all, &s), &rules[1]);
}

TEST(a_program_is_excluded_where_no_process_of_it_is_profiled)
{
	struct prowl_rule rules[] = {
		{.pattern = {[PROWL_FACT_UNIT] = "x*"}}, /* perhaps, and not profiled */
		{.has_go = true, .go = true, .name = "quiet"},
		{.has_pid = true, .pid = 7, .name = "cc1", .profile = true},
		{.has_go = true, .go = true, .profile = true},
		{.profile = true},
	};
	struct prowl_rules all = {rules, 4};
	struct prowl_subject s = nobody();

	s.fact[PROWL_FACT_EXE] = "/usr/bin/sh";
	assert_true(prowl_rules_exclude(&all, &s));
	s.go = true;
	assert_false(prowl_rules_exclude(&all, &s));
	s.fact[PROWL_FACT_COMM] = "quiet";
	assert_true(prowl_rules_exclude(&all, &s));
	s.go = false;
	s.fact[PROWL_FACT_COMM] = "cc1";
	assert_false(prowl_rules_exclude(&all, &s));
	s.fact[PROWL_FACT_COMM] = "";
	all.n = 5;
	assert_false(prowl_rules_exclude(&all, &s));
}

TEST(a_service_is_named_by_the_best_that_is_known)
{
	struct prowl_subject s = nobody();
	struct prowl_rule r = {.service = "{namespace}/{unit}-x"};

	named(&s, NULL, "unknown", "none");
	s.fact[PROWL_FACT_COMM] = "app";
	named(&s, NULL, "app", "comm");
	s.fact[PROWL_FACT_EXE] = "/opt/bin/app-1.2";
	named(&s, NULL, "app-1.2", "exe");
	s.fact[PROWL_FACT_PACKAGE] = "command-line-arguments";
	named(&s, NULL, "app-1.2", "exe");
	s.fact[PROWL_FACT_PACKAGE] = "example.org/shop/cmd/cart";
	named(&s, NULL, "cart", "package");
	s.fact[PROWL_FACT_PACKAGE] = "example.org/shop/v2";
	named(&s, NULL, "shop", "package");
	s.fact[PROWL_FACT_UNIT] = "user@1000.scope";
	named(&s, NULL, "shop", "package");
	s.fact[PROWL_FACT_UNIT] = "cart@eu.service";
	named(&s, NULL, "cart@eu", "unit");
	named(&s, &r, "cart@eu", "unit"); /* the template's namespace is not known */
	s.fact[PROWL_FACT_CONTAINER] = "web";
	named(&s, NULL, "web", "container");
	s.fact[PROWL_FACT_NAMESPACE] = "prod";
	named(&s, NULL, "prod/web", "container");
	s.fact[PROWL_FACT_COMPOSE] = "front";
	named(&s, NULL, "front", "compose");
	s.otel_service = "cart-service";
	named(&s, NULL, "cart-service", "environment");
	named(&s, &r, "prod/cart@eu.service-x", "rule");
	s.self = true;
	named(&s, &r, "prowl", "self");
}

TEST(a_series_is_known_by_what_does_not_change_with_a_restart)
{
	struct prowl_series_label extra[] = {{"team", "edge", true}};
	struct prowl_rule r = {.labels = extra, .nlabels = 1};
	struct prowl_subject s = nobody();
	struct prowl_series *a, *b;

	s.fact[PROWL_FACT_COMM] = "app";
	s.fact[PROWL_FACT_POD] = "app-1";
	s.container_id = "0123";
	s.build = "abc";
	s.go_version = "go1.24.4";
	a = series_of(&s, &r, NULL);
	assert_string_equal(prowl_series_get(a, "team"), "edge");
	assert_string_equal(prowl_series_get(a, PROWL_SERIES_HOST), "h1");
	assert_string_equal(prowl_series_get(a, PROWL_SERIES_BUILD), "abc");
	assert_string_equal(prowl_series_get(a, PROWL_SERIES_GO), "go1.24.4");
	s.pid = 43;
	s.fact[PROWL_FACT_POD] = "app-2";
	s.container_id = "4567";
	b = series_of(&s, &r, NULL);
	assert_true(prowl_series_same(a, b) && a->hash == b->hash);
	prowl_series_free(b);
	s.build = "def";
	b = series_of(&s, &r, NULL);
	assert_false(prowl_series_same(a, b));
	prowl_series_free(b);
	prowl_series_free(a);
}

TEST(labels_are_kept_dropped_and_renamed)
{
	static const char *const keep[] = {"b*", "host", "team"}, *const drop[] = {"bu?ld"};
	static const struct prowl_rename renames[] = {{"team", "owner"}, {"service", "x"}};
	struct prowl_label_policy p = {keep, 3, drop, 1, renames, 2};
	struct prowl_series_label extra[] = {{"team", "edge", true}, {"branch", "main", true}};
	struct prowl_rule r = {.labels = extra, .nlabels = 2};
	struct prowl_subject s = nobody();
	struct prowl_series *series;

	s.fact[PROWL_FACT_COMM] = "app";
	s.fact[PROWL_FACT_UNIT] = "app.service";
	s.build = "abc";
	series = series_of(&s, &r, &p);
	assert_string_equal(prowl_series_get(series, "service"), "app");
	assert_string_equal(prowl_series_get(series, "owner"), "edge");
	assert_string_equal(prowl_series_get(series, "branch"), "main");
	assert_string_equal(prowl_series_get(series, "host"), "h1");
	assert_int_equal(series->n, 4);
	prowl_series_free(series);
}

TEST(placeholders_of_templates_are_known)
{
	assert_null(prowl_template_check("plain"));
	assert_null(prowl_template_check("{comm}-{exe}{pod}"));
	assert_non_null(prowl_template_check(""));
	assert_non_null(prowl_template_check("{}"));
	assert_non_null(prowl_template_check("{com}"));
	assert_non_null(prowl_template_check("a{"));
	for (size_t i = 0; i < PROWL_FACTS; i++)
		assert_non_null(prowl_fact_name(i));
	assert_null(prowl_fact_name(PROWL_FACTS));
}

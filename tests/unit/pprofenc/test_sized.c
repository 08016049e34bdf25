/* SPDX-License-Identifier: Apache-2.0 */
/* Structs that callers allocate: of older and of newer callers, and without their size. */
#include "testing.h"

#include <errno.h>

#include "pprof_compare.h"
#include "pprof_report.h"
#include "unit_test.h"

#define GARBAGE ((const char *)1) /* a pointer that must not be followed */

static struct pprof_profile *profile(void)
{
	return t_rich();
}

TEST(a_size_must_be_set)
{
	struct pprof_report_options report = {.sample_type = "cpu"};
	struct pprof_filter_options filter = {.focus = "main"};
	struct pprof_compare_options compare = {.tolerance = 1};
	struct pprof_report_options inner = {.size = sizeof inner, .filtered = &filter};
	struct pprof_pgo facts = {0};
	struct pprof_profile *p = profile(), *q = NULL;
	const struct pprof_profile *one = p;
	struct pprof_comparison *c = NULL;
	struct pprof_diag d = {0};
	const struct pprof_exporter *e;
	FILE *to = fopen("/dev/null", "w");

	for (size_t i = 0; (e = pprof_exporter_at(i)); i++) {
		if (e->flags & PPROF_EXPORT_BINARY)
			continue; /* they take no options */
		assert_int_equal(e->write(p, &report, to), -EINVAL);
		assert_int_equal(e->write(p, &inner, to), -EINVAL);
	}
	assert_int_equal(pprof_filter(p, &filter, &q, &d), -EINVAL);
	assert_non_null(d.what);
	d.what = NULL;
	assert_int_equal(pprof_compare(&one, 1, &one, 1, &compare, &c, &d), -EINVAL);
	assert_non_null(d.what);
	assert_int_equal(pprof_pgo(p, &q, &facts, NULL), -EINVAL);
	assert_null(q);
	assert_null(c);
	fclose(to);
	pprof_profile_free(p);
}

static char *top(const struct pprof_profile *p, const struct pprof_report_options *o, int want)
{
	char *text;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	assert_int_equal(pprof_report_top(p, o, to), want);
	fclose(to);
	return text;
}

/* Memory behind an older caller's struct is something else of the caller's. */
TEST(fields_of_later_versions_are_zero)
{
	struct pprof_report_options report = {.size = offsetof(struct pprof_report_options, unit),
					      .sample_type = "cpu",
					      .cum = true,
					      .unit = GARBAGE,
					      .filtered = (const void *)GARBAGE};
	struct pprof_report_options whole = {
		.size = sizeof whole, .sample_type = "cpu", .cum = true};
	struct pprof_filter_options filter = {.size = offsetof(struct pprof_filter_options, ignore),
					      .focus = "no such thing",
					      .ignore = GARBAGE,
					      .tag_root = GARBAGE};
	struct pprof_compare_options compare = {
		.size = offsetof(struct pprof_compare_options, operations),
		.sample_type = "cpu",
		.operations = (const void *)GARBAGE,
		.alpha = 0.5};
	struct pprof_profile *p = profile(), *q;
	const struct pprof_profile *one = p;
	struct pprof_comparison *c;
	char *old = top(p, &report, 0), *now = top(p, &whole, 0);

	assert_string_equal(old, now);
	assert_int_equal(pprof_filter(p, &filter, &q, NULL), 0);
	assert_int_equal(q->nsamples, 0);
	assert_int_equal(pprof_compare(&one, 1, &one, 1, &compare, &c, NULL), 0);
	assert_true(c->options->alpha == 0.01);
	assert_int_equal(c->options->size, sizeof compare);
	pprof_comparison_free(c);
	free(old);
	free(now);
	pprof_profile_free(p);
	pprof_profile_free(q);
}

TEST(newer_callers_are_understood_or_refused)
{
	struct {
		struct pprof_report_options o;
		uint64_t later;
	} report = {.o = {.size = sizeof report, .cum = true}};
	struct pprof_report_options same = {.size = sizeof same, .cum = true};
	struct pprof_profile *p = profile();
	char *newer = top(p, &report.o, 0), *now = top(p, &same, 0);

	assert_string_equal(newer, now);
	free(newer);
	free(now);
	report.later = 1;
	newer = top(p, &report.o, -E2BIG);
	assert_string_equal(newer, "");
	free(newer);
	pprof_profile_free(p);
}

TEST(results_are_as_long_as_the_caller_knows)
{
	struct pprof_profile *p = t_new(), *q;
	struct pprof_pgo facts = {.size = offsetof(struct pprof_pgo, uncovered),
				  .without_go = -1,
				  .uncovered = -1,
				  .without_line = -1};
	uint32_t loc = t_loc(p, PPROF_NONE, 0x10, "main.f", 1);

	assert_int_equal(pprof_sample_type(p, "cpu", "nanoseconds"), 0);
	assert_int_equal(pprof_sample_add(p, &loc, 1, &(int64_t){5}, NULL, 0), 0);
	assert_int_equal(pprof_pgo(p, &q, &facts, NULL), 0);
	assert_true(facts.without_go == 0);
	assert_true(facts.uncovered == -1 && facts.without_line == -1);
	assert_int_equal(facts.size, offsetof(struct pprof_pgo, uncovered));
	pprof_profile_free(q);
	assert_int_equal(pprof_pgo(p, &q, NULL, NULL), 0);
	pprof_profile_free(q);
	pprof_profile_free(p);
}

TEST(the_library_has_its_version)
{
	assert_string_equal(pprof_version(), PROWL_VERSION);
}

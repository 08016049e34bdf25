/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparisons of runs that are drawn: counts are Poisson around means that vary from run to run, as
 * those of real machines do (cv 2 to 8 per cent). So it is known what there is to be found.
 */
#include "testing.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

enum { FUNCTIONS = 100, MAX_RUNS = 12 };

/* --- draws ----------------------------------------------------------------------- */

struct dice {
	uint64_t s;
};

static double uniform(struct dice *d) /* (0, 1) */
{
	uint64_t z = d->s += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return ((double)((z ^ z >> 31) >> 12) + 0.5) / 4503599627370496.0;
}

static double normal(struct dice *d)
{
	return sqrt(-2 * log(uniform(d))) * cos(2 * M_PI * uniform(d));
}

static int64_t poisson(struct dice *d, double mean)
{
	double left = mean, product = uniform(d);
	int64_t n = 0;

	if (mean > 200) {
		double v = mean + sqrt(mean) * normal(d);

		return v < 0 ? 0 : (int64_t)(v + 0.5);
	}
	for (left = exp(-mean); product > left; n++)
		product *= uniform(d);
	return n;
}

struct plan {
	double total;             /* samples of a run */
	double cv;                /* of runs, per function */
	double machine;           /* of runs, all functions alike */
	double factor[FUNCTIONS]; /* how much slower head is; 1 at 0: as base */
};

/* A few large functions, many small ones; number 3 has 10 % of the total. */
static double share(int f)
{
	static double sum;
	double s = 0;

	if (f == 3)
		return 0.10;
	if (sum == 0)
		for (int i = 0; i < FUNCTIONS; i++)
			sum += i == 3 ? 0 : 1.0 / (i + 3);
	s = 0.90 / (f + 3) / sum;
	return s;
}

static struct pprof_profile *draw(struct dice *d, const struct plan *plan, bool head)
{
	struct pprof_profile *p = t_new();
	double all = exp(plan->machine * normal(d));
	uint32_t m, root;

	t_types(p);
	m = t_mapping(p, 0x400000, "/bin/prog");
	root = t_loc(p, m, 0x400000, "main.main", 1);
	for (int f = 0; f < FUNCTIONS; f++) {
		double mean = plan->total * share(f) * all * exp(plan->cv * normal(d));
		char name[32];
		int64_t n;

		snprintf(name, sizeof name, "example.org/pkg.f%02d", f);
		if (head && plan->factor[f] != 0)
			mean *= plan->factor[f];
		n = poisson(d, mean);
		if (n > 0)
			t_add(p, (uint32_t[]){t_loc(p, m, 0x401000 + (uint64_t)f, name, 7), root},
			      2, n, NULL, 0);
	}
	return p;
}

struct runs {
	struct pprof_profile *p[MAX_RUNS * 2];
	size_t n;
};

static void draw_runs(struct runs *r, struct dice *d, const struct plan *plan, size_t n)
{
	r->n = n;
	for (size_t i = 0; i < 2 * n; i++)
		r->p[i] = draw(d, plan, i >= n);
}

static void drop_runs(struct runs *r)
{
	for (size_t i = 0; i < 2 * r->n; i++)
		pprof_profile_free(r->p[i]);
}

static struct pprof_comparison *compare(const struct runs *r, const struct pprof_compare_options *o)
{
	struct pprof_comparison *c = NULL;
	struct pprof_diag d = {"no failure noted"};
	int e = pprof_compare((const struct pprof_profile *const *)r->p, r->n,
			      (const struct pprof_profile *const *)r->p + r->n, r->n, o, &c, &d);

	if (e < 0)
		fail_msg("%s: %d", d.what, e);
	return c;
}

static const struct pprof_change *find(const struct pprof_comparison *c, const char *name)
{
	for (size_t i = 0; i < c->nchanges; i++)
		if (strcmp(c->changes[i].name, name) == 0)
			return &c->changes[i];
	fail_msg("no %s", name);
	return NULL;
}

/* --- what it promises ------------------------------------------------------------ */

struct score {
	size_t alarms, found, first, blamed;
};

static struct score play(const struct plan *plan, size_t n, size_t rounds, uint64_t seed,
			 const struct pprof_compare_options *o)
{
	struct dice d = {seed};
	struct score s = {0};

	for (size_t k = 0; k < rounds; k++) {
		struct runs r;
		struct pprof_comparison *c;
		bool blamed = false;

		draw_runs(&r, &d, plan, n);
		c = compare(&r, o);
		s.alarms += c->verdict == PPROF_REGRESSED;
		for (size_t i = 0; i < c->nchanges; i++) {
			const struct pprof_change *g = &c->changes[i];
			bool bad = g->verdict == PPROF_REGRESSED || g->verdict == PPROF_NEW;
			bool culprit = strcmp(g->name, "example.org/pkg.f03") == 0;

			s.found += bad && culprit;
			s.first += bad && culprit && i == 0;
			blamed |= bad && !culprit;
		}
		s.blamed += blamed;
		pprof_comparison_free(c);
		drop_runs(&r);
	}
	return s;
}

/* At most 2 per cent, whatever the machine does, and however many samples. */
static void unchanged_programs_pass(void **state)
{
	static const struct {
		double total, cv, machine;
		size_t n, rounds;
	} cases[] = {
		{8000, 0.03, 0.03, 5, 200}, {1000, 0.02, 0.02, 5, 50}, {30000, 0.03, 0.02, 5, 50},
		{8000, 0.08, 0.02, 5, 50},  {8000, 0.03, 0.03, 3, 50}, {8000, 0.03, 0.03, 10, 50},
		{150, 0.03, 0.03, 5, 50},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct plan plan = {cases[i].total, cases[i].cv, cases[i].machine, {0}};
		struct score s = play(&plan, cases[i].n, cases[i].rounds, 11 + i, NULL);

		print_message("total %.0f, cv %.2f and %.2f, %zu runs: %zu false alarms of %zu\n",
			      plan.total, plan.cv, plan.machine, cases[i].n, s.alarms,
			      cases[i].rounds);
		assert_in_range(s.alarms, 0, cases[i].rounds / 50);
	}
}

static void a_slower_function_is_found(void **state)
{
	struct plan plan = {8000, 0.03, 0.02, {0}};
	struct score s;

	plan.factor[3] = 1.3;
	s = play(&plan, 5, 100, 5, NULL);
	print_message("found %zu, named first %zu, another blamed %zu, of 100\n", s.found, s.first,
		      s.blamed);
	assert_in_range(s.found, 80, 100);
	assert_int_equal(s.first, s.found);
	assert_in_range(s.blamed, 0, 2);
	assert_in_range(s.alarms, s.found, 100);
}

/* A faster machine changes no share. */
static void shares_don_t_see_the_load(void **state)
{
	struct pprof_compare_options o = {.exposure = PPROF_PER_TOTAL};
	struct plan plan = {8000, 0.03, 0.3, {0}};
	struct score s = play(&plan, 5, 100, 17, &o);

	assert_in_range(s.alarms, 0, 2);
	plan.factor[3] = 1.4;
	s = play(&plan, 5, 100, 18, &o);
	print_message("by share: found %zu, blamed %zu of 100\n", s.found, s.blamed);
	assert_in_range(s.found, 80, 100);
	assert_in_range(s.blamed, 0, 2);
}

static void operations_are_what_is_compared(void **state)
{
	struct dice d = {3};
	struct plan plan = {8000, 0.02, 0.01, {0}};
	double operations[] = {100, 100, 100, 100, 100, 150, 150, 150, 150, 150};
	struct pprof_compare_options o = {.exposure = PPROF_PER_OPERATION,
					  .operations = operations};
	struct pprof_comparison *c;
	struct runs r;

	for (int f = 0; f < FUNCTIONS; f++)
		plan.factor[f] = 1.5;
	draw_runs(&r, &d, &plan, 5);
	c = compare(&r, &o);
	assert_true(c->verdict == PPROF_SAME);
	assert_true(fabs(c->total.ratio - 1) < 0.05);
	pprof_comparison_free(c);
	c = compare(&r, NULL);
	assert_true(c->verdict == PPROF_REGRESSED);
	assert_true(c->total.verdict == PPROF_REGRESSED);
	assert_true(c->total.low > 1.4 && c->total.high < 1.6);
	pprof_comparison_free(c);
	operations[3] = 0;
	assert_int_equal(pprof_compare((const struct pprof_profile *const *)r.p, 5,
				       (const struct pprof_profile *const *)r.p + 5, 5, &o, &c,
				       NULL),
			 -EINVAL);
	drop_runs(&r);
}

/* What would have been found is about what is found. */
static void the_power_line_is_true(void **state)
{
	struct dice d = {4};
	struct plan plan = {8000, 0.03, 0.02, {0}};
	struct pprof_comparison *c;
	struct runs r;
	struct score s;
	double least;

	draw_runs(&r, &d, &plan, 5);
	c = compare(&r, NULL);
	least = find(c, "example.org/pkg.f03")->detectable;
	assert_true(least > 1.05 && least < 1.6);
	assert_true(c->total.detectable > 1.05 && c->total.detectable < 1.3);
	assert_true(find(c, "example.org/pkg.f60")->detectable > least);
	pprof_comparison_free(c);
	drop_runs(&r);
	plan.factor[3] = least;
	s = play(&plan, 5, 100, 21, NULL);
	print_message("%.3f is found %zu times of 100\n", least, s.found);
	assert_in_range(s.found, 60, 100);
}

/* --- single cases ---------------------------------------------------------------- */

static void one_run_decides_nothing(void **state)
{
	struct dice d = {6};
	struct plan plan = {20000, 0, 0, {0}};
	struct pprof_comparison *c;
	struct runs r;

	plan.factor[3] = 3;
	draw_runs(&r, &d, &plan, 1);
	c = compare(&r, NULL);
	assert_true(c->verdict == PPROF_UNDECIDED);
	assert_non_null(c->why);
	assert_true(find(c, "example.org/pkg.f03")->verdict == PPROF_REGRESSED);
	pprof_comparison_free(c);
	drop_runs(&r);
}

static void a_base_that_jumps_decides_nothing(void **state)
{
	struct dice d = {7};
	struct plan plan = {8000, 0.02, 0.4, {0}};
	struct pprof_comparison *c;
	struct runs r;

	draw_runs(&r, &d, &plan, 5);
	c = compare(&r, NULL);
	assert_true(c->verdict == PPROF_UNDECIDED);
	assert_true(c->base_cv > 0.1);
	pprof_comparison_free(c);
	drop_runs(&r);
}

static double tolerant(void *ctx, const char *name)
{
	return strcmp(name, "example.org/pkg.f03") == 0 ? *(double *)ctx : -1;
}

static void tolerances_of_their_own(void **state)
{
	struct dice d = {8};
	double tolerance = 0.6;
	struct plan plan = {20000, 0.01, 0, {0}};
	struct pprof_compare_options o = {
		.tolerance_of = tolerant, .ctx = &tolerance, .alpha = 1e-9};
	struct pprof_comparison *c;
	struct runs r;

	plan.factor[3] = 1.4;
	draw_runs(&r, &d, &plan, 5);
	c = compare(&r, &o);
	assert_true(find(c, "example.org/pkg.f03")->verdict == PPROF_SAME);
	assert_true(c->verdict == PPROF_SAME);
	pprof_comparison_free(c);
	tolerance = INFINITY;
	c = compare(&r, &o);
	assert_true(find(c, "example.org/pkg.f03")->verdict == PPROF_ACCEPTED);
	assert_true(c->verdict == PPROF_SAME);
	pprof_comparison_free(c);
	tolerance = 0.05;
	c = compare(&r, &o);
	assert_true(find(c, "example.org/pkg.f03")->verdict == PPROF_REGRESSED);
	assert_true(c->verdict == PPROF_REGRESSED);
	pprof_comparison_free(c);
	drop_runs(&r);
}

/* base has `then`, head has `now`, both of 500 samples beside 5,000 of work. */
static struct pprof_comparison *replaced(struct runs *r, const char *then, const char *now,
					 int64_t count)
{
	r->n = 3;
	for (size_t i = 0; i < 6; i++) {
		struct pprof_profile *p = r->p[i] = t_new();
		uint32_t m;

		t_types(p);
		m = t_mapping(p, 0x400000, "/bin/prog");
		t_add(p, (uint32_t[]){t_loc(p, m, 0x400001, "a/b.work", 1)}, 1, 5000 + (int64_t)i,
		      NULL, 0);
		if (i < 3 ? then != NULL : now != NULL)
			t_add(p, (uint32_t[]){t_loc(p, m, 0x400002, i < 3 ? then : now, 1)}, 1,
			      i < 3 ? 500 : count, NULL, 0);
	}
	return compare(r, NULL);
}

static void new_vanished_and_renamed(void **state)
{
	struct pprof_comparison *c;
	struct runs r;

	c = replaced(&r, NULL, "a/b.fresh", 500);
	assert_true(find(c, "a/b.fresh")->verdict == PPROF_NEW);
	assert_true(c->verdict == PPROF_REGRESSED);
	assert_string_equal(c->changes[0].name, "a/b.fresh");
	pprof_comparison_free(c);
	drop_runs(&r);
	c = replaced(&r, "a/b.old", NULL, 0);
	assert_true(find(c, "a/b.old")->verdict == PPROF_VANISHED);
	assert_true(c->verdict != PPROF_REGRESSED);
	pprof_comparison_free(c);
	drop_runs(&r);
	c = replaced(&r, "a/b.old", "a/b.new", 510);
	assert_true(find(c, "a/b.new")->verdict == PPROF_RENAMED);
	assert_string_equal(c->changes[find(c, "a/b.new")->other].name, "a/b.old");
	assert_true(c->verdict == PPROF_SAME);
	pprof_comparison_free(c);
	drop_runs(&r);
	/* Another package, or far more: that is no new name. */
	c = replaced(&r, "a/b.old", "a/c.new", 510);
	assert_true(find(c, "a/c.new")->verdict == PPROF_NEW);
	pprof_comparison_free(c);
	drop_runs(&r);
	c = replaced(&r, "a/b.old", "a/b.new", 800);
	assert_true(find(c, "a/b.new")->verdict == PPROF_NEW);
	pprof_comparison_free(c);
	drop_runs(&r);
}

/* Small functions that two short runs happened to miss, and that ten of head have. */
static void missed_by_few_runs_is_not_new(void **state)
{
	struct dice d = {12};
	struct plan plan = {500, 0.03, 0.02, {0}};
	size_t alarms = 0;

	for (int round = 0; round < 100; round++) {
		struct pprof_comparison *c;
		struct runs r;

		draw_runs(&r, &d, &plan, 6);
		assert_int_equal(pprof_compare((const struct pprof_profile *const *)r.p, 2,
					       (const struct pprof_profile *const *)r.p + 2, 10,
					       NULL, &c, NULL),
				 0);
		alarms += c->verdict == PPROF_REGRESSED;
		pprof_comparison_free(c);
		drop_runs(&r);
	}
	print_message("2 runs and 10: %zu false alarms of 100\n", alarms);
	assert_in_range(alarms, 0, 2);
}

/* What all happened in one run tells of that run. */
static void a_burst_in_one_run_is_not_new(void **state)
{
	for (int64_t bursts = 1; bursts <= 5; bursts += 4) {
		struct pprof_comparison *c;
		struct runs r = {.n = 5};

		for (size_t i = 0; i < 10; i++) {
			struct pprof_profile *p = r.p[i] = t_new();
			uint32_t m;

			t_types(p);
			m = t_mapping(p, 0x400000, "/bin/prog");
			t_add(p, (uint32_t[]){t_loc(p, m, 0x400001, "a.work", 1)}, 1, 1000, NULL,
			      0);
			if (i >= 10 - (size_t)bursts)
				t_add(p, (uint32_t[]){t_loc(p, m, 0x400002, "a.burst", 1)}, 1, 40,
				      NULL, 0);
		}
		c = compare(&r, NULL);
		assert_true(find(c, "a.burst")->verdict == (bursts == 1 ? PPROF_SAME : PPROF_NEW));
		pprof_comparison_free(c);
		drop_runs(&r);
	}
}

/* Objects of 64 bytes, sampled every 512 kB: each stands for 8,192, and varies as one does. */
static struct pprof_profile *heap(struct dice *d, double objects)
{
	struct pprof_profile *p = t_new();
	const double rate = 524288, size = 64, seen = -expm1(-size / rate);
	int64_t sampled = poisson(d, objects * seen), n = (int64_t)((double)sampled / seen);
	int64_t values[] = {n, n * 64};
	struct pprof_label bytes = {.num = 64};
	uint32_t m;

	bytes.key = t_str(p, "bytes");
	assert_int_equal(pprof_sample_type(p, "alloc_objects", "count"), 0);
	assert_int_equal(pprof_sample_type(p, "alloc_space", "bytes"), 0);
	assert_int_equal(pprof_period(p, "space", "bytes", 524288), 0);
	m = t_mapping(p, 0x400000, "/bin/prog");
	assert_int_equal(pprof_sample_add(p, (uint32_t[]){t_loc(p, m, 0x400001, "a.alloc", 1)}, 1,
					  values, &bytes, 1),
			 0);
	return p;
}

static void allocations_count_as_what_was_sampled(void **state)
{
	static const char *const types[] = {"alloc_space", "alloc_objects"};
	struct dice d = {9};

	for (size_t t = 0; t < 2; t++) {
		struct pprof_compare_options o = {.sample_type = types[t]};
		size_t alarms = 0;

		for (int round = 0; round < 100; round++) {
			struct pprof_comparison *c;
			struct runs r = {.n = 5};

			for (size_t i = 0; i < 10; i++)
				r.p[i] = heap(&d, 200 * 8192.0);
			c = compare(&r, &o);
			alarms += c->verdict == PPROF_REGRESSED;
			assert_true(c->total.base_events > 800 && c->total.base_events < 1200);
			pprof_comparison_free(c);
			drop_runs(&r);
		}
		/* Taken as bytes, hundreds of millions, every difference would be significant. */
		assert_in_range(alarms, 0, 2);
	}
}

static void the_kernel_and_the_unknown_are_not_judged(void **state)
{
	static const char *const names[] = {"syscall_entry", "[unknown]", "main.f"};
	struct pprof_comparison *c;
	struct runs r = {.n = 3};

	for (size_t i = 0; i < 6; i++) {
		struct pprof_profile *p = r.p[i] = t_new();
		uint32_t k, m;

		t_types(p);
		m = t_mapping(p, 0x400000, "/bin/prog");
		k = t_mapping(p, 0xffffffff81000000, "[kernel.kallsyms]");
		for (size_t f = 0; f < 3; f++)
			t_add(p,
			      (uint32_t[]){t_loc(p, f ? m : k,
						 (f ? 0x400001 : 0xffffffff81000001) + f, names[f],
						 1)},
			      1, f < 2 && i >= 3 ? 1000 : 500, NULL, 0);
	}
	c = compare(&r, &(struct pprof_compare_options){.alpha = 1e-30});
	assert_true(find(c, "[kernel]")->verdict == PPROF_NOT_JUDGED);
	assert_true(find(c, "[unknown]")->verdict == PPROF_NOT_JUDGED);
	assert_true(find(c, "main.f")->verdict == PPROF_SAME);
	assert_int_equal(c->njudged, 1);
	pprof_comparison_free(c);
	drop_runs(&r);
}

static void refuse(const struct runs *r, const char *type, int error, size_t at)
{
	struct pprof_compare_options o = {.sample_type = type};
	struct pprof_comparison *c;
	struct pprof_diag d = {0};

	assert_int_equal(pprof_compare((const struct pprof_profile *const *)r->p, r->n,
				       (const struct pprof_profile *const *)r->p + r->n, r->n, &o,
				       &c, &d),
			 error);
	assert_non_null(d.what);
	assert_int_equal(d.at, at);
}

static void what_can_t_be_compared(void **state)
{
	struct dice d = {10};
	struct plan plan = {100, 0, 0, {0}};
	struct pprof_comparison *c;
	struct runs r;

	draw_runs(&r, &d, &plan, 2);
	refuse(&r, "alloc_space", -ENOENT, 0);
	pprof_profile_free(r.p[3]);
	r.p[3] = heap(&d, 1e6);
	refuse(&r, "cpu", -ENOENT, 3);
	pprof_profile_free(r.p[3]);
	r.p[3] = t_new();
	t_types(r.p[3]);
	refuse(&r, "cpu", -ENODATA, 3);
	t_add(r.p[3], (uint32_t[]){t_loc(r.p[3], PPROF_NONE, 1, "a", 1)}, 1, -1, NULL, 0);
	refuse(&r, "cpu", -EINVAL, 3);
	assert_int_equal(
		pprof_compare(NULL, 0, (const struct pprof_profile *const *)r.p, 1, NULL, &c, NULL),
		-EINVAL);
	pprof_comparison_free(NULL);
	drop_runs(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unchanged_programs_pass),
		cmocka_unit_test(a_slower_function_is_found),
		cmocka_unit_test(shares_don_t_see_the_load),
		cmocka_unit_test(operations_are_what_is_compared),
		cmocka_unit_test(the_power_line_is_true),
		cmocka_unit_test(one_run_decides_nothing),
		cmocka_unit_test(a_base_that_jumps_decides_nothing),
		cmocka_unit_test(tolerances_of_their_own),
		cmocka_unit_test(new_vanished_and_renamed),
		cmocka_unit_test(missed_by_few_runs_is_not_new),
		cmocka_unit_test(a_burst_in_one_run_is_not_new),
		cmocka_unit_test(allocations_count_as_what_was_sampled),
		cmocka_unit_test(the_kernel_and_the_unknown_are_not_judged),
		cmocka_unit_test(what_can_t_be_compared),
	};

	return cmocka_run_group_tests_name("compare", tests, NULL, NULL);
}

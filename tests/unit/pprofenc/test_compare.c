/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparisons of simulated runs: counts are Poisson around means that vary from run to run, as on
 * real machines (cv 2 to 8 per cent). So the true change is known.
 */
#include "testing.h"
#include "pprof_compare.h"
#include "unit_test.h"

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
	double factor[FUNCTIONS]; /* how much slower head is; 0: like base */
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
TEST(unchanged_programs_pass)
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

TEST(a_slower_function_is_found)
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
TEST(shares_don_t_see_the_load)
{
	struct pprof_compare_options o = {.size = sizeof o, .exposure = PPROF_PER_TOTAL};
	struct plan plan = {8000, 0.03, 0.3, {0}};
	struct score s = play(&plan, 5, 100, 17, &o);

	assert_in_range(s.alarms, 0, 2);
	plan.factor[3] = 1.4;
	s = play(&plan, 5, 100, 18, &o);
	print_message("by share: found %zu, blamed %zu of 100\n", s.found, s.blamed);
	assert_in_range(s.found, 80, 100);
	assert_in_range(s.blamed, 0, 2);
}

TEST(operations_are_compared)
{
	struct dice d = {3};
	struct plan plan = {8000, 0.02, 0.01, {0}};
	double operations[] = {100, 100, 100, 100, 100, 150, 150, 150, 150, 150};
	struct pprof_compare_options o = {
		.size = sizeof o, .exposure = PPROF_PER_OPERATION, .operations = operations};
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

/* The reported detectable change is about the one that is detected. */
TEST(the_power_line_is_true)
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

static double tolerant(void *ctx, const char *name)
{
	return strcmp(name, "example.org/pkg.f03") == 0 ? *(double *)ctx : -1;
}

/* --- what is spread over leaves -------------------------------------------------- */

enum { LEAVES = 30, CALLERS = 10 };

/*
 * main.main calls ten functions, they call ten each, and these have 80 % of their time in 30
 * functions of the runtime: `factor` is the slowdown of that part.
 */
static struct pprof_profile *draw_scattered(struct dice *d, const struct plan *plan, bool head)
{
	struct pprof_profile *p = t_new();
	double all = exp(plan->machine * normal(d));
	uint32_t m, stack[4], leaves[LEAVES], callers[CALLERS];
	char name[32];

	t_types(p);
	m = t_mapping(p, 0x400000, "/bin/prog");
	for (int i = 0; i < LEAVES; i++) {
		snprintf(name, sizeof name, "runtime.leaf%02d", i);
		leaves[i] = t_loc(p, m, 0x500000 + (uint64_t)i, name, 7);
	}
	for (int i = 0; i < CALLERS; i++) {
		snprintf(name, sizeof name, "example.org/pkg.caller%d", i);
		callers[i] = t_loc(p, m, 0x402000 + (uint64_t)i, name, 7);
	}
	stack[3] = t_loc(p, m, 0x400000, "main.main", 1);
	for (int f = 0; f < FUNCTIONS; f++) {
		double mean = plan->total * share(f) * all * exp(plan->cv * normal(d));
		double below = head && plan->factor[f] != 0 ? plan->factor[f] : 1;
		int64_t n = poisson(d, mean * 0.2);

		snprintf(name, sizeof name, "example.org/pkg.f%02d", f);
		stack[1] = t_loc(p, m, 0x401000 + (uint64_t)f, name, 7);
		stack[2] = callers[f % CALLERS];
		if (n > 0)
			t_add(p, stack + 1, 3, n, NULL, 0);
		for (int i = 0; i < LEAVES; i++) {
			n = poisson(d, mean * 0.8 * below * (i + 1) / (LEAVES * (LEAVES + 1) / 2));
			stack[0] = leaves[i];
			if (n > 0)
				t_add(p, stack, 4, n, NULL, 0);
		}
	}
	return p;
}

struct cum_score {
	size_t alarms, found, first, callers, others, leaves;
};

static bool is_bad(const struct pprof_change *g)
{
	return g->verdict == PPROF_REGRESSED || g->verdict == PPROF_NEW;
}

static void score_change(struct cum_score *s, const struct pprof_comparison *c, size_t i)
{
	const struct pprof_change *g = &c->changes[i];

	if (!is_bad(g))
		return;
	if (strcmp(g->name, "example.org/pkg.f03") == 0) {
		s->found++;
		s->first += i == 0 && g->by_cum;
	} else if (strncmp(g->name, "runtime.", 8) == 0) {
		s->leaves++;
	} else if (strcmp(g->name, "main.main") == 0 || strstr(g->name, "caller")) {
		s->callers++;
	} else {
		s->others++;
	}
}

static struct cum_score play_scattered(const struct plan *plan, size_t n, size_t rounds,
				       uint64_t seed, const struct pprof_compare_options *o)
{
	struct cum_score s = {0};
	struct dice d = {seed};

	for (size_t k = 0; k < rounds; k++) {
		struct runs r = {.n = n};
		struct pprof_comparison *c;

		for (size_t i = 0; i < 2 * n; i++)
			r.p[i] = draw_scattered(&d, plan, i >= n);
		c = compare(&r, o);
		if (plan->total >= 8000)
			assert_true(c->njudged_cum >= 50);
		s.alarms += c->verdict == PPROF_REGRESSED;
		for (size_t i = 0; i < c->nchanges; i++)
			score_change(&s, c, i);
		pprof_comparison_free(c);
		drop_runs(&r);
	}
	return s;
}

/*
 * At most 2 per cent of unchanged programs, with both families and the total. The draws are the
 * same ones each time: 3 or fewer of 150 are what a rate of 2 % gives in two of three cases, one of
 * 8 % once in 500.
 */
TEST(unchanged_programs_pass_by_cum)
{
	static const struct {
		double total, cv, machine;
		size_t n, rounds;
	} cases[] = {
		{8000, 0.03, 0.03, 5, 150}, {1000, 0.02, 0.02, 5, 30}, {30000, 0.03, 0.02, 5, 30},
		{8000, 0.08, 0.02, 5, 30},  {8000, 0.03, 0.06, 5, 30}, {8000, 0.03, 0.03, 3, 30},
		{8000, 0.03, 0.03, 10, 30},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct plan plan = {cases[i].total, cases[i].cv, cases[i].machine, {0}};
		struct cum_score s = play_scattered(&plan, cases[i].n, cases[i].rounds, 31 + i,
						    NULL);

		print_message("total %.0f, cv %.2f and %.2f, %zu runs: %zu false alarms of %zu\n",
			      plan.total, plan.cv, plan.machine, cases[i].n, s.alarms,
			      cases[i].rounds);
		assert_in_range(s.alarms, 0, cases[i].rounds / 50);
	}
}

/* 55 % and 30 % slower, and no leaf by more than a few per cent. */
TEST(scattered_increases_are_found)
{
	static const double dearer[] = {1.55, 1.30};
	static const struct pprof_compare_options modes[] = {
		{sizeof *modes}, {.size = sizeof *modes, .exposure = PPROF_PER_TOTAL}};

	for (size_t i = 0; i < 4; i++) {
		struct plan plan = {8000, 0.03, 0.02, {0}};
		struct cum_score s;

		plan.factor[3] = 1 + (dearer[i / 2] - 1) / 0.8;
		s = play_scattered(&plan, 5, 30, 61 + i, &modes[i % 2]);
		print_message("%+.0f %%%s: found %zu, first %zu, callers blamed %zu, others %zu, "
			      "leaves %zu of 30\n",
			      100 * (dearer[i / 2] - 1), i % 2 ? " by share" : "", s.found, s.first,
			      s.callers, s.others, s.leaves);
		assert_in_range(s.found, 24, 30);
		assert_int_equal(s.first, s.found);
		assert_int_equal(s.callers, 0);
		assert_in_range(s.others, 0, 1);
		assert_in_range(s.leaves, 0, 1);
		assert_in_range(s.alarms, s.found, 30);
	}
}

/* A stack of names, root first, with so many samples in base and in head. */
struct made {
	const char *stack[6];
	int64_t base, head;
};

static void make_runs(struct runs *r, const struct made *made, const char *comment)
{
	r->n = 5;
	for (size_t i = 0; i < 2 * r->n; i++) {
		struct pprof_profile *p = r->p[i] = t_new();
		uint32_t m;

		t_types(p);
		m = t_mapping(p, 0x400000, "/bin/prog");
		if (comment)
			assert_int_equal(pprof_comment(p, comment), 0);
		for (const struct made *s = made; s->stack[0]; s++) {
			int64_t n = i < r->n ? s->base : s->head;
			uint32_t stack[6];
			size_t len = 0;

			while (len < 6 && s->stack[len])
				len++;
			for (size_t k = 0; k < len; k++) {
				const char *name = s->stack[len - 1 - k];

				/* the same name is the same place */
				stack[k] = t_loc(p, m, 0x400000, name, 7);
			}
			/* runs differ a little */
			n += n > 100 ? (int64_t)(i * 7 % 5) - 2 : 0;
			if (n > 0)
				t_add(p, stack, len, n, NULL, 0);
		}
	}
}

#define SPREAD(n, ...)                                                              \
	{{__VA_ARGS__, "runtime.a"}, 100, n}, {{__VA_ARGS__, "runtime.b"}, 100, n}, \
		{{__VA_ARGS__, "runtime.c"}, 100, n},                               \
	{                                                                           \
		{__VA_ARGS__, "runtime.d"}, 100, n                                  \
	}
/* The leaves have so many samples elsewhere that they show nothing. */
#define REST                                                                                 \
	SPREAD(100, "main.main", "a.org/b.rest"), {{"runtime.bg", "runtime.a"}, 3000, 3000}, \
		{{"runtime.bg", "runtime.b"}, 3000, 3000},                                   \
		{{"runtime.bg", "runtime.c"}, 3000, 3000},                                   \
	{                                                                                    \
		{"runtime.bg", "runtime.d"}, 3000, 3000                                      \
	}

static enum pprof_verdict verdict_of(const struct pprof_comparison *c, const char *name)
{
	return find(c, name)->verdict;
}

/* Two independent functions are both blamed; their callers are explained. */
TEST(the_deepest_are_blamed)
{
	static const struct made made[] = {
		SPREAD(160, "main.main", "a.org/b.serve", "a.org/b.parse"),
		SPREAD(150, "main.main", "a.org/b.render"),
		SPREAD(100, "main.main", "a.org/b.serve", "a.org/b.same"),
		REST,
		{{NULL}, 0, 0},
	};
	struct pprof_compare_options o = {.size = sizeof o, .alpha = 1e-30};
	struct pprof_comparison *c;
	struct runs r;

	make_runs(&r, made, NULL);
	c = compare(&r, &o);
	assert_true(c->verdict == PPROF_REGRESSED);
	assert_int_equal(c->nregressed, 2);
	assert_string_equal(c->changes[0].name, "a.org/b.parse");
	assert_string_equal(c->changes[1].name, "a.org/b.render");
	assert_true(c->changes[0].by_cum);
	assert_true(c->changes[0].cum.q < 0.05);
	assert_true(verdict_of(c, "a.org/b.serve") == PPROF_EXPLAINED);
	assert_string_equal(c->changes[find(c, "a.org/b.serve")->other].name, "a.org/b.parse");
	assert_true(verdict_of(c, "main.main") == PPROF_EXPLAINED);
	assert_true(verdict_of(c, "a.org/b.same") == PPROF_SAME);
	assert_true(verdict_of(c, "runtime.a") == PPROF_SAME);
	pprof_comparison_free(c);
	drop_runs(&r);
}

/* A new function below one that costs more explains the increase. */
TEST(new_functions_explain_their_caller)
{
	static const struct made grown[] = {
		SPREAD(100, "main.main", "a.org/b.parse"),
		{{"main.main", "a.org/b.parse", "a.org/b.extra", "runtime.a"}, 0, 150},
		{{"main.main", "a.org/b.parse", "a.org/b.extra", "runtime.b"}, 0, 150},
		REST,
		{{NULL}, 0, 0},
	};
	static const struct made moved[] = {
		{{"main.main", "a.org/b.parse", "runtime.a"}, 300, 150},
		{{"main.main", "a.org/b.parse", "a.org/b.part", "runtime.a"}, 0, 150},
		REST,
		{{NULL}, 0, 0},
	};
	struct pprof_compare_options o = {.size = sizeof o, .alpha = 1e-30};
	struct pprof_comparison *c;
	struct runs r;

	make_runs(&r, grown, NULL);
	c = compare(&r, &o);
	assert_int_equal(c->nregressed, 1);
	assert_string_equal(c->changes[0].name, "a.org/b.extra");
	assert_true(c->changes[0].verdict == PPROF_NEW && c->changes[0].by_cum);
	assert_true(verdict_of(c, "a.org/b.parse") == PPROF_EXPLAINED);
	pprof_comparison_free(c);
	drop_runs(&r);
	/* A function that was only extracted from its caller costs no more. */
	make_runs(&r, moved, NULL);
	c = compare(&r, &o);
	assert_true(c->verdict == PPROF_SAME);
	assert_true(verdict_of(c, "a.org/b.part") == PPROF_SAME);
	pprof_comparison_free(c);
	drop_runs(&r);
}

/*
 * Accepted functions, and those with a tolerance of their own, are not held against their callers.
 */
TEST(accepted_functions_explain_their_callers)
{
	static const struct made made[] = {
		SPREAD(150, "main.main", "a.org/b.serve", "example.org/pkg.f03"),
		REST,
		{{NULL}, 0, 0},
	};
	double tolerance = INFINITY;
	struct pprof_compare_options o = {
		.size = sizeof o, .alpha = 1e-30, .tolerance_of = tolerant, .ctx = &tolerance};
	struct pprof_comparison *c;
	struct runs r;

	make_runs(&r, made, NULL);
	c = compare(&r, &o);
	assert_true(c->verdict == PPROF_SAME);
	assert_true(verdict_of(c, "example.org/pkg.f03") == PPROF_ACCEPTED);
	assert_true(verdict_of(c, "a.org/b.serve") == PPROF_EXPLAINED);
	pprof_comparison_free(c);
	tolerance = 0.8;
	c = compare(&r, &o);
	assert_true(c->verdict == PPROF_SAME);
	assert_true(verdict_of(c, "example.org/pkg.f03") == PPROF_SAME);
	assert_true(verdict_of(c, "main.main") == PPROF_EXPLAINED);
	pprof_comparison_free(c);
	tolerance = 0.1;
	c = compare(&r, &o);
	assert_true(verdict_of(c, "example.org/pkg.f03") == PPROF_REGRESSED);
	pprof_comparison_free(c);
	drop_runs(&r);
}

/* Go's own libraries are not the program's, unless it is one of Go's own programs. */
TEST(own_functions_are_judged_by_cum)
{
	static const struct made made[] = {
		SPREAD(100, "main.main", "encoding/json.Marshal"),
		SPREAD(100, "main.main", "cmd/compile/internal/ssa.Compile"),
		SPREAD(100, "main.main", "vendor/golang.org/x/text/norm.f"),
		SPREAD(100, "main.main", "golang.org/x/net/http2.f"),
		SPREAD(100, "main.main", "log/mine.f"),
		SPREAD(100, "main.main", "local/server.(*T[go.shape.int]).F"),
		SPREAD(100, "main.main", "type:.eq.main.key"),
		SPREAD(100, "main.main", "memeqbody"),
		{{NULL}, 0, 0},
	};
	static const struct {
		const char *comment, *own, *foreign;
	} cases[] = {
		{NULL, "golang.org/x/net/http2.f local/server.(*T[go.shape.int]).F main.main",
		 "encoding/json.Marshal cmd/compile/internal/ssa.Compile log/mine.f memeqbody "
		 "vendor/golang.org/x/text/norm.f type:.eq.main.key runtime.a"},
		{"build: package=cmd/compile", "cmd/compile/internal/ssa.Compile",
		 "encoding/json.Marshal log/mine.f"},
		{"build: module=log/mine", "log/mine.f", "encoding/json.Marshal"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pprof_comparison *c;
		struct runs r;

		make_runs(&r, made, cases[i].comment);
		c = compare(&r, NULL);
		for (size_t k = 0; k < c->nchanges; k++) {
			const struct pprof_change *g = &c->changes[k];

			if (strstr(cases[i].own, g->name) && !(g->own && g->cum.judged))
				fail_msg("%s is not the program's own", g->name);
			if (strstr(cases[i].foreign, g->name) && g->own)
				fail_msg("%s is the program's own", g->name);
		}
		pprof_comparison_free(c);
		drop_runs(&r);
	}
}

/* The same work in microseconds, with the types in another order. */
TEST(units_and_places_of_types_may_differ)
{
	struct pprof_comparison *c;
	struct runs r = {.n = 2};

	for (size_t i = 0; i < 4; i++) {
		struct pprof_profile *p = r.p[i] = t_new();
		int64_t n = 1000 + (int64_t)i, values[] = {n * 10000, n};
		uint32_t loc;

		if (i < 2) {
			t_types(p);
		} else {
			assert_int_equal(pprof_sample_type(p, "cpu", "microseconds"), 0);
			assert_int_equal(pprof_sample_type(p, "samples", "count"), 0);
		}
		loc = t_loc(p, PPROF_NONE, 1, "main.f", 1);
		if (i < 2)
			t_add(p, &loc, 1, n, NULL, 0);
		else
			assert_int_equal(pprof_sample_add(p, &loc, 1, values, NULL, 0), 0);
	}
	c = compare(&r,
		    &(struct pprof_compare_options){.size = sizeof(struct pprof_compare_options),
						    .sample_type = "cpu"});
	assert_true(fabs(c->total.ratio - 1) < 0.01);
	assert_true(fabs(c->total.head / c->total.base - 1) < 0.01);
	pprof_comparison_free(c);
	drop_runs(&r);
}

/* The variation of the runs is reported as it is, also where it is no more than counting noise. */
TEST(variation_is_reported)
{
	struct plan plan = {400, 0, 0, {0}}, wild = {8000, 0, 0.05, {0}};
	struct pprof_comparison *c;
	struct dice d = {14};
	struct runs r;

	draw_runs(&r, &d, &plan, 10);
	c = compare(&r, NULL);
	/* 1/sqrt(400) is 5 %; of 18 degrees of freedom a factor of 2 is off once in 10^5. */
	assert_true(c->total_cv > 0.025 && c->total_cv < 0.1);
	pprof_comparison_free(c);
	drop_runs(&r);
	draw_runs(&r, &d, &wild, 10);
	c = compare(&r, NULL);
	assert_true(c->total_cv > 0.025 && c->total_cv < 0.1);
	pprof_comparison_free(c);
	drop_runs(&r);
}

/* --- single cases ---------------------------------------------------------------- */

TEST(one_run_decides_nothing)
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

TEST(a_base_that_jumps_decides_nothing)
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

TEST(tolerances_of_their_own)
{
	struct dice d = {8};
	double tolerance = 0.6;
	struct plan plan = {20000, 0.01, 0, {0}};
	struct pprof_compare_options o = {
		.size = sizeof o, .tolerance_of = tolerant, .ctx = &tolerance, .alpha = 1e-9};
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

TEST(new_vanished_and_renamed)
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
	/* Another package, or a far larger value, is no new name. */
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
TEST(missed_by_few_runs_is_not_new)
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

/* Events of a single run say something about that run only. */
TEST(a_burst_in_one_run_is_not_new)
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

/*
 * Objects of 64 bytes, sampled every 512 kB: each sample represents 8,192, and varies as one event.
 */
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

TEST(allocations_count_as_sampled_objects)
{
	static const char *const types[] = {"alloc_space", "alloc_objects"};
	struct dice d = {9};

	for (size_t t = 0; t < 2; t++) {
		struct pprof_compare_options o = {.size = sizeof o, .sample_type = types[t]};
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
		/* Counted in bytes, hundreds of millions, every difference would be significant. */
		assert_in_range(alarms, 0, 2);
	}
}

TEST(the_kernel_and_the_unknown_are_not_judged)
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
	c = compare(&r, &(struct pprof_compare_options){
				.size = sizeof(struct pprof_compare_options), .alpha = 1e-30});
	assert_true(find(c, "[kernel]")->verdict == PPROF_NOT_JUDGED);
	assert_true(find(c, "[unknown]")->verdict == PPROF_NOT_JUDGED);
	assert_true(find(c, "main.f")->verdict == PPROF_SAME);
	assert_int_equal(c->njudged, 1);
	pprof_comparison_free(c);
	drop_runs(&r);
}

static void refuse(const struct runs *r, const char *type, int error, size_t at)
{
	struct pprof_compare_options o = {.size = sizeof o, .sample_type = type};
	struct pprof_comparison *c;
	struct pprof_diag d = {0};

	assert_int_equal(pprof_compare((const struct pprof_profile *const *)r->p, r->n,
				       (const struct pprof_profile *const *)r->p + r->n, r->n, &o,
				       &c, &d),
			 error);
	assert_non_null(d.what);
	assert_int_equal(d.at, at);
}

TEST(incomparable_profiles_are_refused)
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

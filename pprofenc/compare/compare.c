/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of a row in run i: y_i, with mean exposure_i × rate and variance φ × mean. φ is 1 for pure
 * counting, and grows with the mean when the runs themselves vary (1 + cv² × mean). Each row's own
 * estimate comes from few runs, so it is moderated by the estimate over all rows.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare_parts.h"
#include "failure.h"
#include "frame_names.h"
#include "sized.h"
#include "distributions.h"

#define PRIOR_WEIGHT 4.0 /* degrees of freedom of the estimate over all rows */

enum {
	MIN_MEAN = 30,   /* events a run; smaller rows don't show the runs' variation */
	MIN_TOTAL = 100, /* events on a side; fewer decide nothing */
};

/* --- variation ------------------------------------------------------------------- */

static double events_of(const struct work *w, enum counted what, size_t row, size_t run)
{
	if (row == PPROF_NONE)
		return w->rows.totals[run];
	if (what == COUNT_ALONE)
		return w->alone.events[w->alone.index[row] * w->rows.nprofiles + run];
	if (what == COUNT_CUM)
		return pp_rows_cell(&w->rows, row, run)->cum_events;
	return pp_rows_cell(&w->rows, row, run)->events;
}

static double sum_events(const struct work *w, enum counted what, size_t row, bool head)
{
	size_t to = head ? w->nbase + w->nhead : w->nbase;
	double sum = 0;

	for (size_t i = head ? w->nbase : 0; i < to; i++)
		sum += events_of(w, what, row, i);
	return sum;
}

static double freedom(const struct work *w)
{
	return (double)(w->nbase + w->nhead) - 2;
}

/* Pearson's χ² around each side's own mean. */
static double chi_squared(const struct work *w, enum counted what, size_t row)
{
	double sum[2] = {sum_events(w, what, row, false), sum_events(w, what, row, true)};
	double x = 0;

	for (size_t i = 0; i < w->nbase + w->nhead; i++) {
		bool head = i >= w->nbase;
		double mean = sum[head] * w->exposure[i] /
			      (head ? w->head_exposure : w->base_exposure);
		double off = events_of(w, what, row, i) - mean;

		if (mean > 0)
			x += off * off / mean;
	}
	return x;
}

static double mean_events(const struct work *w, enum counted what, size_t row)
{
	return (sum_events(w, what, row, false) + sum_events(w, what, row, true)) /
	       (double)(w->nbase + w->nhead);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Without the highest and the lowest tenth. */
int pp_compare_variation(struct work *w, enum counted what, const bool *chosen, double *ret_squared)
{
	double df = freedom(w), sum = 0;
	double *v = malloc((w->rows.n + 1) * sizeof *v);
	size_t n = 0, cut;

	if (!v)
		return -ENOMEM;
	for (size_t row = 0; df > 0 && row < w->rows.n; row++) {
		double mean = mean_events(w, what, row);

		if (mean >= MIN_MEAN && (!chosen || chosen[row]))
			v[n++] = (chi_squared(w, what, row) / df - 1) / mean;
	}
	qsort(v, n, sizeof *v, by_size);
	cut = n / 10;
	for (size_t i = cut; i < n - cut; i++)
		sum += v[i];
	*ret_squared = n > 0 && sum > 0 ? sum / (double)(n - 2 * cut) : 0;
	free(v);
	return 0;
}

static double dispersion(const struct work *w, enum counted what, size_t row)
{
	double df = freedom(w), cv = w->cv[what], prior = 1 + cv * cv * mean_events(w, what, row);
	double phi = prior;

	if (df > 0)
		phi = (PRIOR_WEIGHT * prior + chi_squared(w, what, row)) / (PRIOR_WEIGHT + df);
	return phi > 1 ? phi : 1;
}

struct counts pp_compare_counts(const struct work *w, enum counted what, size_t row)
{
	return (struct counts){sum_events(w, what, row, false), sum_events(w, what, row, true),
			       dispersion(w, what, row)};
}

/* --- one test -------------------------------------------------------------------- */

static double total_freedom(const struct work *w)
{
	return PRIOR_WEIGHT + freedom(w);
}

/* Of log(ratio). */
static double standard_error(const struct counts *n)
{
	return sqrt(n->phi * (1 / n->base + 1 / n->head));
}

/* The standard error of the ratio itself. */
double pp_compare_detectable(const struct work *w, const struct counts *n, double tolerance,
			     double alpha)
{
	double df = total_freedom(w), t = pp_t_quantile(alpha, df) + pp_t_quantile(0.2, df);
	double ratio = 1 + tolerance, exposure = w->head_exposure / w->base_exposure;

	if (n->base <= 0)
		return INFINITY;
	for (int i = 0; i < 50; i++) {
		struct counts at = {n->base, n->base * exposure * ratio, n->phi};
		double next = (1 + tolerance) * exp(t * standard_error(&at));

		if (fabs(next - ratio) < 1e-6 * ratio || !(next < 1e6))
			return next < 1e6 ? next : INFINITY;
		ratio = next;
	}
	return ratio;
}

struct tested pp_compare_test(const struct work *w, const struct counts *n, double tolerance)
{
	double df = total_freedom(w), se, t95, log_ratio;
	struct tested t = {.p = 1};

	if (n->base <= 0 || n->head <= 0)
		return t;
	se = standard_error(n);
	log_ratio = log(n->head / w->head_exposure / (n->base / w->base_exposure));
	t95 = pp_t_quantile(0.025, df);
	t.ratio = exp(log_ratio);
	t.low = exp(log_ratio - t95 * se);
	t.high = exp(log_ratio + t95 * se);
	if (isfinite(tolerance))
		t.p = pp_t_above((log_ratio - log1p(tolerance)) / se, df);
	return t;
}

static void test_change(const struct work *w, const struct counts *n, struct pprof_change *g)
{
	struct tested t = pp_compare_test(w, n, g->tolerance);

	g->ratio = t.ratio;
	g->low = t.low;
	g->high = t.high;
	g->p = t.p;
}

static bool is_improved(const struct work *w, const struct counts *n, const struct pprof_change *g,
			double alpha)
{
	double tolerance = isfinite(g->tolerance) ? g->tolerance : w->c->options->tolerance;

	return n->base > 0 && n->head > 0 &&
	       pp_t_above((-log(g->ratio) - log1p(tolerance)) / standard_error(n),
			  total_freedom(w)) < alpha;
}

/* --- rows → changes -------------------------------------------------------------- */

static double per_exposure(const struct work *w, double sum, bool head)
{
	return sum / (head ? w->head_exposure : w->base_exposure);
}

static void fill_values(const struct work *w, size_t row, struct pprof_change *g)
{
	double v[2] = {0}, cum[2] = {0};

	for (size_t i = 0; i < w->nbase + w->nhead; i++) {
		const struct row_cell *cell = pp_rows_cell(&w->rows, row, i);
		double scale = 1;

		/* Shares are of the values, not of the events, so that they match what is shown. */
		if (w->c->options->exposure == PPROF_PER_TOTAL)
			scale = w->exposure[i] / w->rows.values[i];
		v[i >= w->nbase] += cell->value * scale;
		cum[i >= w->nbase] += cell->cum_value * scale;
	}
	g->base = per_exposure(w, v[0], false);
	g->head = per_exposure(w, v[1], true);
	g->base_cum = per_exposure(w, cum[0], false);
	g->head_cum = per_exposure(w, cum[1], true);
}

double pp_compare_tolerance(const struct work *w, const char *name)
{
	const struct pprof_compare_options *o = w->c->options;
	double own = o->tolerance_of ? o->tolerance_of(o->ctx, name) : -1;

	return own >= 0 ? own : o->tolerance;
}

static bool is_large(const struct work *w, double events, bool head)
{
	const struct pprof_change *t = &w->c->total;

	return events >= w->c->options->min_share * (head ? t->head_events : t->base_events);
}

bool pp_compare_is_large(const struct work *w, const struct counts *n)
{
	return n->base + n->head >= w->c->options->min_events &&
	       (is_large(w, n->base, false) || is_large(w, n->head, true));
}

/*
 * Probability of at most n->base base events among all events if the true ratio is 1 + tolerance.
 * Exact (binomial) but for the variation, which reduces the number of independent events: the log
 * of a ratio is of no use without any event.
 */
double pp_compare_appearance(const struct work *w, const struct counts *n, double tolerance)
{
	double head = (1 + tolerance) * w->head_exposure;

	if (n->head <= 0)
		return 1;
	return pp_beta_below(n->head / n->phi, n->base / n->phi + 1,
			     head / (head + w->base_exposure));
}

bool pp_compare_is_new(const struct work *w, const struct counts *n)
{
	double low = n->head - (n->head - pp_poisson_lower(n->head, 0.05)) * sqrt(n->phi);

	return n->base < FEW_EVENTS && is_large(w, low, true);
}

static void make_change(struct work *w, size_t row, struct pprof_change *g)
{
	const struct row *r = &w->rows.rows[row];
	struct counts n = pp_compare_counts(w, COUNT_FLAT, row);

	*g = (struct pprof_change){.name = r->name,
				   .file = r->file,
				   .line = r->line,
				   .base_events = n.base,
				   .head_events = n.head,
				   .p = 1,
				   .q = 1,
				   .detectable = INFINITY,
				   .tolerance = pp_compare_tolerance(w, r->name),
				   .own = r->own,
				   .verdict = PPROF_NOT_JUDGED,
				   .other = PPROF_NONE};
	fill_values(w, row, g);
	test_change(w, &n, g);
	if (!r->judged || !pp_compare_is_large(w, &n)) {
		g->p = 1;
		return;
	}
	w->c->njudged++;
	g->verdict = PPROF_SAME;
	if (n.base < FEW_EVENTS) {
		g->p = isfinite(g->tolerance) ? pp_compare_appearance(w, &n, g->tolerance) : 1;
	} else if (n.head < FEW_EVENTS) {
		g->verdict = PPROF_VANISHED;
	}
}

/* --- all together ---------------------------------------------------------------- */

struct ranked {
	double p;
	size_t index;
};

static int by_p(const void *a, const void *b)
{
	double x = ((const struct ranked *)a)->p, y = ((const struct ranked *)b)->p;

	return (x > y) - (x < y);
}

int pp_compare_correct(const double *p, double *q, size_t n)
{
	struct ranked *order = malloc((n + 1) * sizeof *order);
	double least = 1;

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = (struct ranked){p[i], i};
	qsort(order, n, sizeof *order, by_p);
	for (size_t i = n; i-- > 0;) {
		double v = order[i].p * (double)n / (double)(i + 1);

		least = v < least ? v : least;
		q[order[i].index] = least;
	}
	free(order);
	return 0;
}

static struct counts counts_of(const struct work *w, const struct pprof_change *g)
{
	return pp_compare_counts(w, COUNT_FLAT, (size_t)(g - w->c->changes));
}

/* Whether the total shows any gain that this increase could have consumed. */
bool pp_compare_matters(const struct work *w, double increase)
{
	const struct pprof_compare_options *o = w->c->options;
	double total = o->exposure == PPROF_PER_TOTAL ? 1 : w->c->total.base;

	return increase >= o->min_share * total;
}

static bool matters(const struct work *w, const struct pprof_change *g)
{
	return pp_compare_matters(w, g->head - g->base);
}

static void judge_change(const struct work *w, struct pprof_change *g, size_t n)
{
	const struct pprof_compare_options *o = w->c->options;
	struct counts k = counts_of(w, g);

	g->detectable = pp_compare_detectable(w, &k, isfinite(g->tolerance) ? g->tolerance : 0,
					      o->q / (double)n);
	if (g->verdict != PPROF_SAME)
		return;
	if (g->q < o->q && matters(w, g) && k.base >= FEW_EVENTS)
		g->verdict = PPROF_REGRESSED;
	else if (g->q < o->q && matters(w, g) && pp_compare_is_new(w, &k))
		g->verdict = PPROF_NEW;
	else if (is_improved(w, &k, g, o->q / (double)n))
		g->verdict = PPROF_IMPROVED;
}

/* Changes are still in the order of the rows. */
static int judge(struct work *w)
{
	struct pprof_comparison *c = w->c;
	double *p = malloc((c->nchanges + 1) * sizeof *p),
	       *q = malloc((c->nchanges + 1) * sizeof *q);
	size_t n = 0;
	int r = p && q ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < c->nchanges; i++)
		if (c->changes[i].verdict != PPROF_NOT_JUDGED)
			p[n++] = c->changes[i].p;
	if (r == 0)
		r = pp_compare_correct(p, q, n);
	for (size_t i = 0, k = 0; r == 0 && i < c->nchanges; i++) {
		if (c->changes[i].verdict == PPROF_NOT_JUDGED)
			continue;
		c->changes[i].q = q[k++];
		judge_change(w, &c->changes[i], n);
	}
	free(p);
	free(q);
	return r;
}

static bool would_fail(const struct work *w, const struct pprof_change *g)
{
	const struct pprof_compare_options *o = w->c->options;
	struct counts n = counts_of(w, g);

	if (n.base >= FEW_EVENTS)
		return g->low > 1 + o->tolerance;
	return pp_compare_is_new(w, &n) && pp_compare_appearance(w, &n, o->tolerance) < o->q;
}

/*
 * Accepted: an infinite tolerance has no test, but the change is reported if it would have failed.
 */
static void judge_accepted(struct work *w)
{
	for (size_t i = 0; i < w->c->nchanges; i++) {
		struct pprof_change *g = &w->c->changes[i];

		if (g->verdict == PPROF_SAME && !isfinite(g->tolerance) && would_fail(w, g) &&
		    matters(w, g))
			g->verdict = PPROF_ACCEPTED;
	}
}

/*
 * A new function that costs no more than a vanished one of the same package is that function
 * renamed.
 */
static bool may_be(const struct work *w, const struct pprof_change *now,
		   const struct pprof_change *then)
{
	size_t n = pp_package_length(now->name);

	return then->verdict == PPROF_VANISHED && n == pp_package_length(then->name) &&
	       strncmp(now->name, then->name, n) == 0 &&
	       now->head <= then->base * (1 + 2 * w->c->options->tolerance);
}

static void find_renamed(struct work *w)
{
	struct pprof_comparison *c = w->c;

	for (size_t i = 0; i < c->nchanges; i++) {
		struct pprof_change *g = &c->changes[i], *best = NULL;

		if (g->verdict != PPROF_NEW)
			continue;
		for (size_t k = 0; k < c->nchanges; k++) {
			struct pprof_change *v = &c->changes[k];

			if (may_be(w, g, v) && v->other == PPROF_NONE &&
			    (!best || fabs(v->base - g->head) < fabs(best->base - g->head)))
				best = v;
		}
		if (best) {
			g->verdict = PPROF_RENAMED;
			g->other = (size_t)(best - c->changes);
			best->other = i;
		}
	}
}

static void judge_total(struct work *w)
{
	struct pprof_comparison *c = w->c;
	struct pprof_change *g = &c->total;
	struct counts n = pp_compare_counts(w, COUNT_FLAT, PPROF_NONE);

	g->tolerance = c->options->tolerance;
	g->verdict = PPROF_SAME;
	if (c->options->exposure == PPROF_PER_TOTAL) { /* the total is not compared */
		g->p = g->q = 1;
		g->detectable = INFINITY;
		g->verdict = PPROF_NOT_JUDGED;
		return;
	}
	test_change(w, &n, g);
	g->q = g->p;
	g->detectable = pp_compare_detectable(w, &n, g->tolerance, c->options->alpha);
	if (g->p < c->options->alpha)
		g->verdict = PPROF_REGRESSED;
	else if (is_improved(w, &n, g, c->options->alpha))
		g->verdict = PPROF_IMPROVED;
}

static bool is_bad(enum pprof_verdict v)
{
	return v == PPROF_REGRESSED || v == PPROF_NEW;
}

static void decide(struct work *w)
{
	struct pprof_comparison *c = w->c;

	for (size_t i = 0; i < c->nchanges; i++)
		c->nregressed += is_bad(c->changes[i].verdict);
	c->verdict = c->total.verdict == PPROF_IMPROVED ? PPROF_IMPROVED : PPROF_SAME;
	if (w->nbase < 2 || w->nhead < 2)
		c->why = "one run on a side can't tell a change from noise";
	else if (c->total.base_events < MIN_TOTAL || c->total.head_events < MIN_TOTAL)
		c->why = "there are too few samples";
	else if (c->base_cv > c->options->max_cv)
		c->why = "the base's runs differ too much among themselves";
	if (c->why)
		c->verdict = PPROF_UNDECIDED;
	else if (c->nregressed > 0 || is_bad(c->total.verdict))
		c->verdict = PPROF_REGRESSED;
}

/* --- the order ------------------------------------------------------------------- */

/* The program's own functions first, which explain the leaves and callers behind them. */
static int rank(const struct pprof_change *g)
{
	if (is_bad(g->verdict))
		return g->own ? 0 : 1;
	if (g->verdict == PPROF_EXPLAINED)
		return 2;
	return g->verdict == PPROF_NOT_JUDGED ? 5 : g->by_cum ? 4 : 3;
}

static int by_importance(const void *va, const void *vb)
{
	const struct pprof_change *a = *(struct pprof_change *const *)va;
	const struct pprof_change *b = *(struct pprof_change *const *)vb;
	bool bad = is_bad(a->verdict);
	double da = bad ? a->blame : a->head - a->base, db = bad ? b->blame : b->head - b->base;

	if (rank(a) != rank(b))
		return rank(a) - rank(b);
	if (!bad) {
		da = fabs(da);
		db = fabs(db);
	}
	if (da != db)
		return da > db ? -1 : 1;
	if (strcmp(a->name, b->name) != 0)
		return strcmp(a->name, b->name);
	return a->line < b->line ? -1 : a->line > b->line;
}

static int put_in_order(struct pprof_comparison *c)
{
	size_t n = c->nchanges;
	struct pprof_change **order = malloc((n + 1) * sizeof *order);
	struct pprof_change *sorted = malloc((n + 1) * sizeof *sorted);
	uint32_t *place = malloc((n + 1) * sizeof *place);
	int r = order && sorted && place ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++)
		order[i] = &c->changes[i];
	if (r == 0)
		qsort(order, n, sizeof *order, by_importance);
	for (size_t i = 0; r == 0 && i < n; i++)
		place[order[i] - c->changes] = (uint32_t)i;
	for (size_t i = 0; r == 0 && i < n; i++) {
		sorted[i] = *order[i];
		if (sorted[i].other != PPROF_NONE)
			sorted[i].other = place[sorted[i].other];
	}
	if (r == 0)
		memcpy(c->changes, sorted, n * sizeof *sorted);
	free(order);
	free(sorted);
	free(place);
	return r;
}

/* --- what is compared ------------------------------------------------------------ */

/* A comparison in memory; `c` is its public side. */
struct whole {
	struct pprof_comparison c;
	struct pprof_compare_options options;
	struct rows rows;
};

static void set_defaults(struct pprof_compare_options *o)
{
	o->tolerance = o->tolerance > 0 ? o->tolerance : 0.05;
	o->q = o->q > 0 ? o->q : 0.05;
	o->alpha = o->alpha > 0 ? o->alpha : 0.01;
	o->min_share = o->min_share > 0 ? o->min_share : 0.005;
	o->min_events = o->min_events > 0 ? o->min_events : 20;
	o->assumed_cv = o->assumed_cv > 0 ? o->assumed_cv : 0.05;
	o->max_cv = o->max_cv > 0 ? o->max_cv : 0.10;
}

static int set_exposure(struct work *w, struct pprof_diag *diag)
{
	const struct pprof_compare_options *o = w->c->options;

	w->exposure = calloc(w->nbase + w->nhead, sizeof *w->exposure);
	if (!w->exposure)
		return -ENOMEM;
	for (size_t i = 0; i < w->nbase + w->nhead; i++) {
		double e = o->exposure == PPROF_PER_RUN ? 1
			   : o->exposure == PPROF_PER_TOTAL
				   ? w->rows.totals[i]
				   : (o->operations ? o->operations[i] : 0);

		if (w->rows.totals[i] <= 0)
			return fail(diag, "has no samples", i, ENODATA);
		if (!(e > 0) || !isfinite(e))
			return fail(diag, "its number of operations is not positive", i, EINVAL);
		w->exposure[i] = e;
		*(i < w->nbase ? &w->base_exposure : &w->head_exposure) += e;
	}
	return 0;
}

static void set_totals(struct work *w)
{
	struct pprof_comparison *c = w->c;
	struct pprof_change *g = &c->total;
	double squares[2] = {0};

	*g = (struct pprof_change){
		.name = "total", .file = "", .p = 1, .q = 1, .other = PPROF_NONE};
	g->base_events = sum_events(w, COUNT_FLAT, PPROF_NONE, false);
	g->head_events = sum_events(w, COUNT_FLAT, PPROF_NONE, true);
	for (size_t i = 0; i < w->nbase + w->nhead; i++) {
		c->totals[i] = w->rows.values[i];
		*(i < w->nbase ? &g->base : &g->head) += c->totals[i];
	}
	if (c->options->exposure == PPROF_PER_TOTAL) {
		g->base /= (double)w->nbase;
		g->head /= (double)w->nhead;
		return;
	}
	g->base = per_exposure(w, g->base, false);
	g->head = per_exposure(w, g->head, true);
	g->base_cum = g->base;
	g->head_cum = g->head;
	for (size_t i = 0; i < w->nbase + w->nhead; i++) {
		double mean = i < w->nbase ? g->base : g->head;
		double off = mean > 0 ? c->totals[i] / w->exposure[i] / mean - 1 : 0;

		squares[i >= w->nbase] += off * off;
	}
	if (w->nbase > 1)
		c->base_cv = sqrt(squares[0] / (double)(w->nbase - 1));
	if (freedom(w) > 0)
		c->total_cv = sqrt((squares[0] + squares[1]) / freedom(w));
}

static int work_out(struct work *w)
{
	struct pprof_comparison *c = w->c;
	double squared = c->options->assumed_cv * c->options->assumed_cv;
	int r = freedom(w) > 0 ? pp_compare_variation(w, COUNT_FLAT, NULL, &squared) : 0;

	if (r < 0)
		return r;
	c->cv = w->cv[COUNT_FLAT] = sqrt(squared);
	c->changes = calloc(w->rows.n + 1, sizeof *c->changes);
	if (!c->changes)
		return -ENOMEM;
	c->nchanges = w->rows.n;
	for (size_t row = 0; row < w->rows.n; row++)
		make_change(w, row, &c->changes[row]);
	r = judge(w);
	if (r < 0)
		return r;
	judge_accepted(w);
	find_renamed(w);
	r = pp_compare_cum(w);
	if (r < 0)
		return r;
	judge_total(w);
	decide(w);
	return put_in_order(c);
}

static int load(struct work *w, const struct pprof_profile *const *base,
		const struct pprof_profile *const *head, struct pprof_diag *diag)
{
	size_t n = w->nbase + w->nhead, which = 0, type;
	const struct pprof_profile **all = calloc(n, sizeof *all);
	const struct pprof_compare_options *o = w->c->options;
	int r;

	if (!all)
		return -ENOMEM;
	memcpy(all, base, w->nbase * sizeof(*all));
	memcpy(all + w->nbase, head, w->nhead * sizeof(*all));
	w->profiles = all;
	r = pp_rows_init(&w->rows, all, n, o->sample_type, o->by, &which);
	if (r == -ENOENT)
		fail(diag, "has no values of that type", which, ENOENT);
	else if (r == -EINVAL)
		fail(diag, "its values are of another kind", which, EINVAL);
	else if (r == -EDOM)
		r = fail(diag, "has negative values: is it a difference of profiles?", which,
			 EINVAL);
	else if (r == 0 && pprof_find_sample_type(all[0], o->sample_type, &type) == 0) {
		w->c->type = all[0]->strings[all[0]->sample_types[type].type];
		w->c->unit = all[0]->strings[all[0]->sample_types[type].unit];
	}
	return r;
}

static int compare(struct work *w, const struct pprof_profile *const *base,
		   const struct pprof_profile *const *head, struct pprof_diag *diag)
{
	int r;

	w->c->nbase = w->nbase;
	w->c->nhead = w->nhead;
	w->c->totals = calloc(w->nbase + w->nhead, sizeof *w->c->totals);
	r = w->c->totals ? load(w, base, head, diag) : -ENOMEM;
	if (r < 0)
		return r == -ENOMEM ? fail_while(diag, "summing up by function", r) : r;
	r = set_exposure(w, diag);
	if (r < 0)
		return r == -ENOMEM ? fail_while(diag, "summing up the runs", r) : r;
	set_totals(w);
	r = work_out(w);
	return r < 0 ? fail_while(diag, "judging functions", r) : 0;
}

int pprof_compare(const struct pprof_profile *const *base, size_t nbase,
		  const struct pprof_profile *const *head, size_t nhead,
		  const struct pprof_compare_options *options, struct pprof_comparison **ret,
		  struct pprof_diag *diag)
{
	struct work w = {.nbase = nbase, .nhead = nhead};
	struct whole *all;
	int r;

	if (nbase == 0 || nhead == 0)
		return fail(diag, "there is nothing to compare", 0, EINVAL);
	all = calloc(1, sizeof *all);
	if (!all)
		return fail(diag, "out of memory", 0, ENOMEM);
	r = pp_sized(&all->options, sizeof all->options, options);
	if (r < 0) {
		free(all);
		return fail(diag, "the options' size is not right", 0, -r);
	}
	set_defaults(&all->options);
	w.c = &all->c;
	w.c->options = &all->options;
	r = compare(&w, base, head, diag);
	all->rows = w.rows; /* holds the names of the changes */
	free(w.exposure);
	free(w.profiles);
	pp_rows_alone_fini(&w.alone);
	if (r == 0)
		*ret = w.c;
	else
		pprof_comparison_free(w.c);
	return r;
}

void pprof_comparison_free(struct pprof_comparison *c)
{
	struct whole *all = (struct whole *)c;

	if (!all)
		return;
	pp_rows_fini(&all->rows);
	free(c->changes);
	free(c->totals);
	free(all);
}

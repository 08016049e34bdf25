/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions nest: when one costs more, so do all of its callers. Taken together, a sample belongs
 * to the innermost of them, and each is blamed for the increase in samples of its own.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare_parts.h"

enum role {
	ROLE_NONE,
	ROLE_RISEN,   /* beyond its tolerance by cum: to be blamed or explained */
	ROLE_EXCUSED, /* costs more and is allowed to: explains its callers */
	ROLE_FRESH,   /* only in head: explains its callers, and is blamed with them */
	ROLE_BLAMED,
};

struct cum {
	struct work *w;
	size_t n; /* changes, which are the rows */
	enum role *roles;
	uint32_t *rows; /* the changes with a role, by their place */
};

/* --- the family ------------------------------------------------------------------ */

static struct pprof_change *change(const struct cum *m, size_t row)
{
	return &m->w->c->changes[row];
}

static void test_row(struct cum *m, size_t row)
{
	struct pprof_change *g = change(m, row);
	struct counts n = pp_compare_counts(m->w, COUNT_CUM, row);
	struct tested t = pp_compare_test(m->w, &n, g->tolerance);

	g->cum = (struct pprof_cum){.judged = pp_compare_is_large(m->w, &n),
				    .base_events = n.base,
				    .head_events = n.head,
				    .ratio = t.ratio,
				    .low = t.low,
				    .high = t.high,
				    .p = t.p,
				    .q = 1,
				    .detectable = INFINITY};
	if (n.base < FEW_EVENTS)
		g->cum.p = 1; /* a new function shows in its callers */
	m->w->c->njudged_cum += g->cum.judged;
}

static int correct(struct cum *m)
{
	size_t count = m->w->c->njudged_cum, k = 0;
	double *p = malloc((count + 1) * sizeof *p), *q = malloc((count + 1) * sizeof *q);
	int r = p && q ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < m->n; i++)
		if (change(m, i)->cum.judged)
			p[k++] = change(m, i)->cum.p;
	if (r == 0)
		r = pp_compare_correct(p, q, k);
	k = 0;
	for (size_t i = 0; r == 0 && i < m->n; i++) {
		struct pprof_change *g = change(m, i);
		struct counts n;

		if (!g->cum.judged)
			continue;
		n = pp_compare_counts(m->w, COUNT_CUM, i);
		g->cum.q = q[k++];
		g->cum.detectable = pp_compare_detectable(m->w, &n,
							  isfinite(g->tolerance) ? g->tolerance : 0,
							  m->w->c->options->q / (double)count);
		if (g->verdict == PPROF_NOT_JUDGED) {
			g->verdict = PPROF_SAME;
			g->by_cum = true;
		}
	}
	free(p);
	free(q);
	return r;
}

/* --- who has a part in it -------------------------------------------------------- */

static bool is_flat_bad(const struct pprof_change *g)
{
	return g->verdict == PPROF_REGRESSED || g->verdict == PPROF_NEW;
}

static enum role role_of(const struct cum *m, size_t row)
{
	const struct pprof_compare_options *o = m->w->c->options;
	const struct pprof_change *g = change(m, row);
	struct counts n;

	if (!g->own)
		return ROLE_NONE;
	if (is_flat_bad(g))
		return ROLE_BLAMED;
	if (!g->cum.judged)
		return ROLE_NONE;
	n = pp_compare_counts(m->w, COUNT_CUM, row);
	if (n.base < FEW_EVENTS)
		return pp_compare_is_new(m->w, &n) ? ROLE_FRESH : ROLE_NONE;
	if (!pp_compare_matters(m->w, g->head_cum - g->base_cum))
		return ROLE_NONE;
	if (g->cum.q < o->q)
		return ROLE_RISEN;
	return g->tolerance > o->tolerance && g->cum.low > 1 + o->tolerance ? ROLE_EXCUSED
									    : ROLE_NONE;
}

static int give_roles(struct cum *m)
{
	struct rows_alone *a = &m->w->alone;

	m->roles = calloc(m->n + 1, sizeof *m->roles);
	m->rows = calloc(m->n + 1, sizeof *m->rows);
	a->index = malloc((m->n + 1) * sizeof *a->index);
	if (!m->roles || !m->rows || !a->index)
		return -ENOMEM;
	memset(a->index, 0xff, (m->n + 1) * sizeof *a->index);
	for (size_t i = 0; i < m->n; i++) {
		m->roles[i] = role_of(m, i);
		if (m->roles[i] == ROLE_NONE)
			continue;
		m->rows[a->n] = (uint32_t)i;
		a->index[i] = (uint32_t)a->n++;
	}
	return 0;
}

/* --- who is blamed --------------------------------------------------------------- */

/* From events per exposure to values, as in the changes. */
static double as_value(const struct cum *m, double base, double head)
{
	const struct pprof_change *t = &m->w->c->total;
	double events = t->base_events + t->head_events;
	double rise = head / m->w->head_exposure - base / m->w->base_exposure, values = 0;

	if (m->w->c->options->exposure == PPROF_PER_TOTAL)
		return rise;
	for (size_t i = 0; i < m->w->nbase + m->w->nhead; i++)
		values += m->w->rows.values[i];
	return events > 0 ? rise * values / events : 0;
}

static void weigh(struct cum *m)
{
	const struct pprof_compare_options *o = m->w->c->options;

	for (size_t k = 0; k < m->w->alone.n; k++) {
		uint32_t row = m->rows[k];
		struct pprof_change *g = change(m, row);
		struct counts n = pp_compare_counts(m->w, COUNT_ALONE, row);

		g->blame = as_value(m, n.base, n.head);
		if (m->roles[row] == ROLE_RISEN && pp_compare_matters(m->w, g->blame) &&
		    (n.base < FEW_EVENTS || pp_compare_test(m->w, &n, g->tolerance).p < o->q))
			m->roles[row] = ROLE_BLAMED;
	}
}

/* The other function through which most of the rise comes; SIZE_MAX: none. */
static size_t cause_of(const struct cum *m, size_t k)
{
	const struct rows_alone *a = &m->w->alone;
	size_t best = SIZE_MAX;
	double most = 0;

	for (size_t i = 0; i < a->n; i++) {
		const double *t = &a->through[(k * a->n + i) * 2];
		double rise = as_value(m, t[0], t[1]);

		if (i != k && m->roles[m->rows[i]] != ROLE_RISEN && rise > most) {
			most = rise;
			best = i;
		}
	}
	return best;
}

static void blame_fresh(struct cum *m, size_t row)
{
	struct pprof_change *g = change(m, row);

	if (m->roles[row] != ROLE_FRESH || g->verdict == PPROF_RENAMED)
		return;
	g->by_cum = true;
	if (isinf(g->tolerance)) { /* a rule accepts it, and it explains its callers */
		g->verdict = PPROF_ACCEPTED;
		return;
	}
	m->roles[row] = ROLE_BLAMED;
	g->verdict = PPROF_NEW;
}

static void explain(struct cum *m)
{
	const struct rows_alone *a = &m->w->alone;

	for (size_t k = 0; k < a->n; k++) {
		struct pprof_change *g = change(m, m->rows[k]);
		size_t cause;

		if (m->roles[m->rows[k]] != ROLE_RISEN)
			continue;
		cause = cause_of(m, k);
		if (cause == SIZE_MAX) {
			m->roles[m->rows[k]] = ROLE_BLAMED;
			continue;
		}
		blame_fresh(m, m->rows[cause]);
		if (g->verdict != PPROF_SAME && g->verdict != PPROF_NOT_JUDGED)
			continue; /* improved by flat, or is the new name of another */
		g->verdict = PPROF_EXPLAINED;
		g->by_cum = true;
		g->other = m->rows[cause];
	}
}

static void set_verdicts(struct cum *m)
{
	for (size_t k = 0; k < m->w->alone.n; k++) {
		struct pprof_change *g = change(m, m->rows[k]);

		if (m->roles[m->rows[k]] == ROLE_EXCUSED && g->verdict == PPROF_SAME &&
		    !isfinite(g->tolerance)) {
			g->verdict = PPROF_ACCEPTED;
			g->by_cum = true;
		}
		if (m->roles[m->rows[k]] != ROLE_BLAMED)
			continue;
		/* The more telling of the two verdicts is shown. */
		if (g->cum.judged && (!is_flat_bad(g) || g->head - g->base < g->blame / 2))
			g->by_cum = true;
		if (!is_flat_bad(g))
			g->verdict = PPROF_REGRESSED;
	}
}

/* --- all of it ------------------------------------------------------------------- */

static int estimate(struct cum *m)
{
	struct work *w = m->w;
	bool *own = calloc(m->n + 1, sizeof *own);
	double squared = 0;
	int r = own ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < m->n; i++)
		own[i] = w->rows.rows[i].own;
	if (r == 0)
		r = pp_compare_variation(w, COUNT_CUM, own, &squared);
	/* Few nested functions show the variation, so it is at least that of the flat values. */
	w->cv[COUNT_CUM] = fmax(sqrt(squared), w->cv[COUNT_FLAT]);
	w->cv[COUNT_ALONE] = w->cv[COUNT_CUM];
	free(own);
	return r;
}

static int judge(struct cum *m)
{
	const struct pprof_compare_options *o = m->w->c->options;
	size_t n = m->w->nbase + m->w->nhead;
	int r = estimate(m);

	for (size_t i = 0; r == 0 && i < m->n; i++) {
		change(m, i)->blame = change(m, i)->head - change(m, i)->base;
		if (change(m, i)->own)
			test_row(m, i);
	}
	if (r == 0)
		r = correct(m);
	if (r == 0)
		r = give_roles(m);
	if (r < 0 || !m->rows)
		return r;
	r = pp_rows_alone(&m->w->rows, m->w->profiles, n, m->w->nbase, o->sample_type, o->by,
			  &m->w->alone);
	if (r < 0)
		return r;
	weigh(m);
	explain(m);
	set_verdicts(m);
	return 0;
}

int pp_compare_cum(struct work *w)
{
	struct cum m = {.w = w, .n = w->c->nchanges};
	int r = judge(&m);

	free(m.roles);
	free(m.rows);
	return r;
}

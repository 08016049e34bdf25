/* SPDX-License-Identifier: Apache-2.0 */
/* Values over time, from the index only. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "store_parts.h"

enum { MOST_POINTS = 500, MOST_ASKED = 20000, LINES = 20 };

struct timeline {
	const struct prowl_query *q;
	struct store_all all;
	struct store_rows rows;
	struct prowl_store_timeline *t;
	size_t cap_lines;
	/* of the series at hand */
	struct prowl_store_point *points;
	struct store_level *levels;
	size_t cap_levels;
	int64_t oldest, newest, window;
};

static void line_fini(struct prowl_store_line *l)
{
	free(l->name);
	prowl_series_free(l->series);
	free(l->points);
}

void prowl_store_timeline_free(struct prowl_store_timeline *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->nlines; i++)
		line_fini(&t->lines[i]);
	free(t->lines);
	free(t->gaps);
	free(t);
}

static void reset(struct timeline *x)
{
	prowl_store_timeline_free(x->t);
	store_rows_fini(&x->rows);
	store_all_fini(&x->all);
	free(x->points);
	free(x->levels);
	*x = (struct timeline){.q = x->q};
}

/* --- the axis -------------------------------------------------------------------- */

static int find_span(sqlite3 *db, struct timeline *x)
{
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(db, "SELECT min(start), max(end) FROM file", &q);

	if (r == 0)
		r = store_index_step(q);
	if (r > 0) {
		x->oldest = sqlite3_column_int64(q, 0);
		x->newest = sqlite3_column_int64(q, 1);
	}
	sqlite3_finalize(q);
	return r < 0 ? r : 0;
}

/* A step that people find on a clock. */
static int64_t round_step(int64_t least, int64_t window)
{
	static const int64_t minutes[] = {1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440};

	if (least <= window)
		return window;
	for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++) {
		int64_t step = minutes[i] * 60000000000;

		if (step >= least && step % window == 0)
			return step;
	}
	return (least + window - 1) / window * window;
}

static int64_t least_step(struct timeline *x)
{
	int64_t span = x->t->to - x->t->from;

	return x->q->step_ns ? x->q->step_ns : span / MOST_POINTS;
}

static int set_axis(struct timeline *x)
{
	struct prowl_store_timeline *t = x->t;
	int64_t step;

	t->from = x->q->from > 0 ? x->q->from : x->oldest;
	t->to = x->q->to ? x->q->to : x->newest;
	if (t->to <= t->from)
		t->to = t->from + x->window;
	step = round_step(least_step(x), x->window);
	if ((t->to - t->from) / step > MOST_ASKED)
		return -E2BIG;
	t->step_ns = step;
	t->from = store_floor(t->from, step);
	t->npoints = (size_t)((t->to - t->from + step - 1) / step);
	x->points = calloc(t->npoints + 1, sizeof *x->points);
	return x->points ? 0 : -ENOMEM;
}

/* --- points ---------------------------------------------------------------------- */

static struct prowl_store_point *point_of(struct timeline *x, int64_t time)
{
	return &x->points[(time - x->t->from) / x->t->step_ns];
}

static void add_window(struct timeline *x, const struct store_row *row,
		       const struct store_blob_window *w, size_t type)
{
	struct prowl_store_point *p = point_of(x, w->from);

	p->windows++;
	p->flags |= w->flags;
	p->samples += w->samples;
	p->lost += w->lost;
	p->covered_ns += row->level ? row->window_ns : w->to - w->from;
	if (!row->level)
		p->value += (double)w->values[type];
}

static int note_level(struct timeline *x, size_t *n, const struct store_blob_window *w, size_t type)
{
	int r = prowl_array_reserve(&x->levels, &x->cap_levels, *n + 1, sizeof *x->levels);

	if (r == 0)
		x->levels[(*n)++] = (struct store_level){
			.from = w->from, .who = w->process, .value = (double)w->values[type]};
	return r;
}

/* Each step for itself. */
static void join_levels(struct timeline *x, size_t n, int64_t window)
{
	int64_t turn = store_turn(x->levels, n, window);
	double factor;

	for (size_t i = 0, end; i < n; i = end) {
		struct prowl_store_point *p = point_of(x, x->levels[i].from);

		for (end = i; end < n && point_of(x, x->levels[end].from) == p;)
			end++;
		p->value = store_join_levels(x->levels + i, end - i, turn, x->q->agg, &factor);
	}
}

/* The points of a series. -ENOENT: none of its profiles has that type. */
static int fill_points(struct timeline *x, size_t from, size_t to)
{
	size_t nlevels = 0, some = 0;
	int r = 0;

	memset(x->points, 0, x->t->npoints * sizeof *x->points);
	for (size_t i = from; r == 0 && i < to; i++) {
		const struct store_row *row = &x->rows.r[i];
		size_t type;

		if (store_row_type(row, x->q->type, &type, x->t->type, x->t->unit,
				   sizeof x->t->unit) < 0)
			continue;
		some++;
		for (size_t k = 0; r == 0 && k < row->n; k++) {
			if (row->w[k].from < x->t->from || row->w[k].from >= x->t->to)
				continue;
			add_window(x, row, &row->w[k], type);
			if (row->level)
				r = note_level(x, &nlevels, &row->w[k], type);
		}
	}
	if (nlevels)
		join_levels(x, nlevels, x->window);
	return r < 0 ? r : some ? 0 : -ENOENT;
}

/* --- lines ----------------------------------------------------------------------- */

static void add_points(struct prowl_store_line *to, const struct prowl_store_point *points,
		       size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct prowl_store_point *p = &to->points[i];

		p->value += points[i].value;
		p->windows += points[i].windows;
		p->samples += points[i].samples;
		p->lost += points[i].lost;
		p->flags |= points[i].flags;
		/* Series run at the same time. */
		if (points[i].covered_ns > p->covered_ns)
			p->covered_ns = points[i].covered_ns;
	}
}

static int new_line(struct timeline *x, const char *name, struct prowl_store_line **ret)
{
	struct prowl_store_timeline *t = x->t;
	struct prowl_store_line *l;
	int r = prowl_array_reserve(&t->lines, &x->cap_lines, t->nlines + 1, sizeof *t->lines);

	if (r < 0)
		return r;
	l = &t->lines[t->nlines++];
	*l = (struct prowl_store_line){.name = strdup(name),
				       .points = calloc(t->npoints + 1, sizeof *l->points)};
	*ret = l;
	return l->name && l->points ? 0 : -ENOMEM;
}

static int find_line(struct timeline *x, const struct prowl_series *series,
		     struct prowl_store_line **ret)
{
	const char *name = prowl_series_get(series, x->q->by ? x->q->by : PROWL_SERIES_SERVICE);
	int r;

	for (size_t i = 0; x->q->by && i < x->t->nlines; i++) {
		if (strcmp(x->t->lines[i].name, name) != 0)
			continue;
		*ret = &x->t->lines[i];
		prowl_series_free((*ret)->series);
		(*ret)->series = NULL;
		return 0;
	}
	r = new_line(x, name, ret);
	return r < 0 ? r : prowl_series_copy(series, &(*ret)->series);
}

static int add_series(struct timeline *x, size_t from, size_t to)
{
	struct prowl_store_line *line;
	int r = fill_points(x, from, to);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = find_line(x, x->all.k[x->rows.r[from].series].series, &line);
	if (r == 0)
		add_points(line, x->points, x->t->npoints);
	return r;
}

static void sum_line(const struct timeline *x, struct prowl_store_line *l)
{
	size_t some = 0;

	for (size_t i = 0; i < x->t->npoints; i++) {
		l->total += l->points[i].value;
		some += l->points[i].windows > 0;
	}
	if (x->t->level && some)
		l->total /= (double)some;
}

static int largest_first(const void *va, const void *vb)
{
	const struct prowl_store_line *a = va, *b = vb;

	if (a->total != b->total)
		return a->total > b->total ? -1 : 1;
	return strcmp(a->name, b->name);
}

/* Beyond the first ones, all are one. */
static int join_rest(struct timeline *x, size_t top)
{
	struct prowl_store_timeline *t = x->t;
	struct prowl_store_line *rest;
	size_t n = t->nlines;
	int r;

	if (n <= top)
		return 0;
	r = new_line(x, "(other)", &rest);
	for (size_t i = top; r == 0 && i < n; i++) {
		add_points(rest, t->lines[i].points, t->npoints);
		rest->total += t->lines[i].total;
	}
	if (r < 0)
		return r;
	rest->other = true;
	for (size_t i = top; i < n; i++)
		line_fini(&t->lines[i]);
	t->lines[top] = *rest;
	t->nlines = top + 1;
	return 0;
}

static int add_lines(struct timeline *x)
{
	int r = 0;

	for (size_t from = 0, to; r == 0 && from < x->rows.n; from = to) {
		for (to = from; to < x->rows.n && x->rows.r[to].series == x->rows.r[from].series;)
			to++;
		r = add_series(x, from, to);
	}
	for (size_t i = 0; r == 0 && i < x->t->nlines; i++)
		sum_line(x, &x->t->lines[i]);
	if (r == 0 && x->t->nlines)
		qsort(x->t->lines, x->t->nlines, sizeof *x->t->lines, largest_first);
	return r < 0 ? r : join_rest(x, x->q->top ? x->q->top : LINES);
}

/* --- gaps ------------------------------------------------------------------------ */

static bool is_empty(const struct prowl_store_timeline *t, size_t i)
{
	for (size_t k = 0; k < t->nlines; k++) {
		if (t->lines[k].points[i].windows)
			return false;
	}
	return true;
}

static int find_gaps(struct prowl_store_timeline *t)
{
	size_t cap = 0;

	for (size_t i = 0, end; i < t->npoints; i = end + 1) {
		int r;

		for (end = i; end < t->npoints && is_empty(t, end);)
			end++;
		if (end == i)
			continue;
		r = prowl_array_reserve(&t->gaps, &cap, t->ngaps + 1, sizeof *t->gaps);
		if (r < 0)
			return r;
		t->gaps[t->ngaps++] = (struct prowl_store_gap){t->from + (int64_t)i * t->step_ns,
							       t->from + (int64_t)end * t->step_ns};
	}
	return 0;
}

static int look_up(struct prowl_store *s, sqlite3 *db, void *ctx)
{
	struct timeline *x = ctx;
	int r;

	reset(x);
	x->t = calloc(1, sizeof *x->t);
	r = x->t ? find_span(db, x) : -ENOMEM;
	if (r == 0)
		r = store_load_series(db, x->q->match, &x->all);
	if (r == 0)
		r = store_find_rows(s, db, x->q, &x->all, &x->rows);
	x->window = x->rows.n ? x->rows.r[0].window_ns : (int64_t)s->o.window_ns;
	if (r == 0) {
		x->t->level = x->rows.n && x->rows.r[0].level;
		r = set_axis(x);
	}
	if (r == 0)
		r = add_lines(x);
	return r < 0 ? r : find_gaps(x->t);
}

enum prowl_code prowl_store_timeline(struct prowl_store *s, const struct prowl_query *q,
				     struct prowl_store_timeline **ret, struct prowl_err *err)
{
	struct timeline x = {.q = q};
	int r = store_read_index(s, look_up, &x);

	if (r == 0) {
		*ret = x.t;
		x.t = NULL;
	}
	reset(&x);
	if (r == -E2BIG)
		return prowl_fail(err, PROWL_USAGE, "that step makes more than %d points",
				  (int)MOST_ASKED);
	return r < 0 ? store_failed(s, r, "can't be read", err) : PROWL_OK;
}

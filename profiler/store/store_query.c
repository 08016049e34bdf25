/* SPDX-License-Identifier: Apache-2.0 */
/* Which windows a query is about, from the index. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "clock.h"
#include "store_parts.h"

const char *store_query_kind(const struct prowl_query *q)
{
	return q->kind ? q->kind : "cpu";
}

int store_read_index(struct prowl_store *s, store_reader_fn fn, void *ctx)
{
	int r = -EBADMSG;

	for (int tries = 0; r == -EBADMSG && tries < 2; tries++) {
		sqlite3 *db = NULL;

		r = store_index_reader(s, tries > 0, &db);
		if (r == 0)
			r = fn(s, db, ctx);
		sqlite3_close_v2(db);
	}
	return r;
}

/* --- series ---------------------------------------------------------------------- */

void store_all_fini(struct store_all *all)
{
	for (size_t i = 0; i < all->n; i++)
		prowl_series_free(all->k[i].series);
	free(all->k);
	*all = (struct store_all){0};
}

static int load_one(struct store_all *all, int64_t id, const char *text,
		    const struct prowl_selector *match)
{
	struct prowl_series *series = NULL;
	int r = text ? store_series_parse(text, &series) : -EBADMSG;

	if (r < 0)
		return r;
	if (prowl_selector_matches(match, series)) {
		r = prowl_array_reserve(&all->k, &all->cap, all->n + 1, sizeof *all->k);
		if (r == 0) {
			all->k[all->n++] = (struct store_known){id, series};
			return 0;
		}
	}
	prowl_series_free(series);
	return r;
}

int store_load_series(sqlite3 *db, const struct prowl_selector *match, struct store_all *all)
{
	sqlite3_stmt *q = NULL;
	int r;

	store_all_fini(all);
	r = store_index_prepare(db, "SELECT id, labels FROM series ORDER BY id", &q);
	while (r == 0 && (r = store_index_step(q)) > 0)
		r = load_one(all, sqlite3_column_int64(q, 0),
			     (const char *)sqlite3_column_text(q, 1), match);
	sqlite3_finalize(q);
	return r;
}

const struct store_known *store_find_series(const struct store_all *all, int64_t id)
{
	size_t from = 0, to = all->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (all->k[mid].id == id)
			return &all->k[mid];
		if (all->k[mid].id < id)
			from = mid + 1;
		else
			to = mid;
	}
	return NULL;
}

/* --- rows ------------------------------------------------------------------------ */

void store_rows_fini(struct store_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		free(rows->r[i].types);
		free(rows->r[i].w);
	}
	free(rows->r);
	*rows = (struct store_rows){0};
}

static bool is_between(const struct prowl_query *q, int64_t time)
{
	return time >= q->from && (!q->to || time < q->to);
}

static int fill_row(struct store_row *row, sqlite3_stmt *st, const struct prowl_query *q)
{
	size_t kept = 0;
	int r;

	snprintf(row->path, sizeof row->path, "%s", (const char *)sqlite3_column_text(st, 0));
	row->tier = sqlite3_column_int(st, 1) ? PROWL_STORE_HOUR : PROWL_STORE_LIVE;
	row->level = sqlite3_column_int(st, 2);
	row->window_ns = sqlite3_column_int64(st, 3);
	row->ntypes = (size_t)sqlite3_column_int(st, 4);
	row->by_default = (size_t)sqlite3_column_int(st, 5);
	row->types = strdup((const char *)sqlite3_column_text(st, 6));
	if (!row->types)
		return -ENOMEM;
	if (row->by_default >= row->ntypes || row->window_ns <= 0)
		return -EBADMSG;
	r = store_blob_decode(sqlite3_column_blob(st, 7), (size_t)sqlite3_column_bytes(st, 7),
			      row->ntypes, &row->w, &row->n);
	for (size_t i = 0; r == 0 && i < row->n; i++) {
		if (is_between(q, row->w[i].from))
			row->w[kept++] = row->w[i];
	}
	row->n = r == 0 ? kept : 0;
	return r;
}

int store_query_may(const struct prowl_query *q, uint64_t bytes)
{
	if (q->max_bytes && bytes > q->max_bytes)
		return -E2BIG;
	return q->deadline && prowl_now() > q->deadline ? -ETIME : 0;
}

static int find_rows_of(sqlite3_stmt *st, const struct prowl_query *q, size_t series,
			struct store_rows *rows)
{
	int r;

	while ((r = store_index_step(st)) > 0) {
		struct store_row *row;

		r = prowl_array_reserve(&rows->r, &rows->cap, rows->n + 1, sizeof *rows->r);
		if (r < 0)
			return r;
		row = &rows->r[rows->n++];
		*row = (struct store_row){.series = series};
		r = fill_row(row, st, q);
		rows->bytes += sizeof *row + row->n * sizeof *row->w;
		if (r == 0)
			r = store_query_may(q, rows->bytes);
		if (r < 0)
			return r;
		if (row->n == 0) {
			free(row->types);
			free(row->w);
			rows->n--;
		}
	}
	return r;
}

static bool has(const struct store_row *row, const struct store_blob_window *w)
{
	for (size_t i = 0; i < row->n; i++) {
		if (row->w[i].from == w->from && row->w[i].again == w->again)
			return true;
	}
	return false;
}

/* After a crash a window may be in an hour file and in its live file. */
static void drop_twice(struct store_rows *rows, size_t first)
{
	for (size_t i = first; i < rows->n; i++) {
		struct store_row *row = &rows->r[i];
		size_t kept;

		for (size_t k = first; row->tier == PROWL_STORE_LIVE && k < rows->n; k++) {
			if (rows->r[k].tier == PROWL_STORE_LIVE)
				continue;
			kept = 0;
			for (size_t w = 0; w < row->n; w++)
				if (!has(&rows->r[k], &row->w[w]))
					row->w[kept++] = row->w[w];
			row->n = kept;
		}
	}
}

/* The rows of the same hour: their number stays small. */
static void drop_twice_by_hour(struct store_rows *rows, size_t first)
{
	bool live = false, hour = false;

	for (size_t i = first; i < rows->n; i++) {
		live |= rows->r[i].tier == PROWL_STORE_LIVE;
		hour |= rows->r[i].tier == PROWL_STORE_HOUR;
	}
	if (live && hour)
		drop_twice(rows, first);
}

int store_find_rows(struct prowl_store *s, sqlite3 *db, const struct prowl_query *q,
		    const struct store_all *all, struct store_rows *ret)
{
	int64_t longest = (int64_t)(s->o.hour_ns > 3600000000000u ? s->o.hour_ns : 3600000000000u);
	sqlite3_stmt *st = NULL;
	int r;

	store_rows_fini(ret);
	r = store_index_prepare(
		db,
		"SELECT f.path, f.tier, f.level, f.window_ns, f.ntypes, f.by_default, f.types,"
		" p.windows FROM part p, file f WHERE p.series=?1 AND p.kind=?2 AND p.start>?3"
		" AND p.start<?4 AND f.id=p.file ORDER BY p.start",
		&st);
	for (size_t i = 0; r == 0 && i < all->n; i++) {
		size_t first = ret->n;

		sqlite3_bind_int64(st, 1, all->k[i].id);
		sqlite3_bind_text(st, 2, store_query_kind(q), -1, SQLITE_STATIC);
		sqlite3_bind_int64(st, 3, q->from > longest ? q->from - longest : -1);
		sqlite3_bind_int64(st, 4, q->to ? q->to : INT64_MAX);
		r = find_rows_of(st, q, i, ret);
		sqlite3_reset(st);
		drop_twice_by_hour(ret, first);
	}
	sqlite3_finalize(st);
	return r;
}

int store_row_type(const struct store_row *row, const char *name, size_t *ret, char *ret_name,
		   char *ret_unit, size_t len)
{
	json_t *types = json_loads(row->types, 0, NULL);
	int r = -ENOENT;

	for (size_t i = 0; r < 0 && i < row->ntypes; i++) {
		const json_t *pair = json_array_get(types, i);
		const char *type = json_string_value(json_array_get(pair, 0));
		const char *unit = json_string_value(json_array_get(pair, 1));

		if (!type || !unit || (name ? strcmp(name, type) != 0 : i != row->by_default))
			continue;
		*ret = i;
		snprintf(ret_name, len, "%s", type);
		snprintf(ret_unit, len, "%s", unit);
		r = 0;
	}
	json_decref(types);
	return r;
}

/* --- levels ---------------------------------------------------------------------- */

/* Not 0, and the same in every file. */
uint32_t store_process_id(const struct store_process *p)
{
	uint64_t h = (uint64_t)p->p.pid * 0x9e3779b97f4a7c15u ^ (uint64_t)p->p.start;

	for (const char *c = p->boot_id; *c; c++)
		h = (h ^ (unsigned char)*c) * 0x100000001b3u;
	h ^= h >> 32;
	return (uint32_t)h | 1;
}

static int by_who(const void *va, const void *vb)
{
	const struct store_level *a = va, *b = vb;

	if (a->who != b->who)
		return a->who < b->who ? -1 : 1;
	return (a->from > b->from) - (a->from < b->from);
}

static int by_time(const void *va, const void *vb)
{
	const struct store_level *a = va, *b = vb;

	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	return (a->who > b->who) - (a->who < b->who);
}

static int by_length(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The median: after a restart, or for a while, it may have been more often or less. */
int64_t store_turn(struct store_level *v, size_t n, int64_t window_ns)
{
	int64_t *gaps = calloc(n + 1, sizeof *gaps), turn = window_ns;
	size_t k = 0;

	if (n)
		qsort(v, n, sizeof *v, by_who);
	for (size_t i = 1; gaps && i < n; i++) {
		int64_t gap = store_floor(v[i].from, window_ns) -
			      store_floor(v[i - 1].from, window_ns);

		if (v[i].who == v[i - 1].who && gap >= window_ns)
			gaps[k++] = gap;
	}
	if (k) {
		qsort(gaps, k, sizeof *gaps, by_length);
		turn = gaps[(k - 1) / 2];
	}
	if (n)
		qsort(v, n, sizeof *v, by_time);
	free(gaps);
	return turn;
}

/* The end of the turn that begins at i. Keeps the last of each process. */
static size_t take_turn(struct store_level *v, size_t n, size_t i, int64_t turn, double *ret)
{
	int64_t at = store_floor(v[i].from, turn);
	size_t end = i;

	*ret = 0;
	while (end < n && store_floor(v[end].from, turn) == at)
		end++;
	for (size_t k = i; k < end; k++) {
		v[k].kept = true;
		for (size_t later = k + 1; later < end; later++)
			v[k].kept &= v[later].who != v[k].who || v[k].who == 0;
		*ret += v[k].kept ? v[k].value : 0;
	}
	return end;
}

static bool is_better(double value, double best, enum prowl_store_agg agg)
{
	return agg == PROWL_STORE_LAST || (agg == PROWL_STORE_MAX && value > best) ||
	       (agg == PROWL_STORE_MIN && value < best);
}

double store_join_levels(struct store_level *v, size_t n, int64_t turn, enum prowl_store_agg agg,
			 double *ret_factor)
{
	size_t turns = 0, begin = 0, end = 0;
	double sum = 0, best = 0, value;

	for (size_t i = 0, next; i < n; i = next) {
		next = take_turn(v, n, i, turn, &value);
		sum += value;
		if (turns++ == 0 || is_better(value, best, agg)) {
			best = value;
			begin = i;
			end = next;
		}
	}
	*ret_factor = agg == PROWL_STORE_MEAN && turns ? 1.0 / (double)turns : 1;
	if (agg == PROWL_STORE_MEAN)
		return sum * *ret_factor;
	for (size_t i = 0; i < n; i++)
		v[i].kept &= i >= begin && i < end;
	return best;
}

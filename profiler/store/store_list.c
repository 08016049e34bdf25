/* SPDX-License-Identifier: Apache-2.0 */
/* What there is: series, labels, processes, files, bytes. From the index only. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "array.h"
#include "store_parts.h"

static size_t limit_of(const struct prowl_query *q)
{
	return q->limit ? q->limit : 1000;
}

/* The range, as parameters 1 and 2 of a statement: begins before, ends after. */
static void bind_range(sqlite3_stmt *st, const struct prowl_query *q)
{
	sqlite3_bind_int64(st, 1, q->to ? q->to : INT64_MAX);
	sqlite3_bind_int64(st, 2, q->from);
	if (q->kind)
		sqlite3_bind_text(st, 3, q->kind, -1, SQLITE_STATIC);
}

struct listing {
	const struct prowl_query *q;
	const char *name, *prefix;
	struct store_all all;
	void *result;
	size_t cap;
};

/* --- series ---------------------------------------------------------------------- */

void prowl_store_list_free(struct prowl_store_list *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		prowl_series_free(l->rows[i].series);
	free(l->rows);
	free(l);
}

static int add_listed(struct listing *l, const struct prowl_series *series,
		      struct prowl_store_listed **ret)
{
	struct prowl_store_list *list = l->result;
	int r;

	if (list->n && list->rows[list->n - 1].series->hash == series->hash &&
	    prowl_series_same(list->rows[list->n - 1].series, series)) {
		*ret = &list->rows[list->n - 1];
		return 0;
	}
	r = prowl_array_reserve(&list->rows, &l->cap, list->n + 1, sizeof *list->rows);
	if (r < 0)
		return r;
	*ret = &list->rows[list->n];
	**ret = (struct prowl_store_listed){.first = INT64_MAX};
	r = prowl_series_copy(series, &(*ret)->series);
	list->n += r == 0;
	return r;
}

static int take_listed(struct listing *l, sqlite3_stmt *st)
{
	const struct store_known *k = store_find_series(&l->all, sqlite3_column_int64(st, 0));
	struct prowl_store_listed *row;
	size_t used;
	int r = k ? add_listed(l, k->series, &row) : 0;

	if (r < 0 || !k)
		return r;
	used = strlen(row->kinds);
	snprintf(row->kinds + used, sizeof row->kinds - used, "%s%s", used ? " " : "",
		 (const char *)sqlite3_column_text(st, 1));
	if (sqlite3_column_int64(st, 2) < row->first)
		row->first = sqlite3_column_int64(st, 2);
	if (sqlite3_column_int64(st, 3) > row->last)
		row->last = sqlite3_column_int64(st, 3);
	row->samples += (uint64_t)sqlite3_column_int64(st, 4);
	row->windows += (uint64_t)sqlite3_column_int64(st, 5);
	return 0;
}

static int by_labels(const void *va, const void *vb)
{
	const struct prowl_series *a = ((const struct prowl_store_listed *)va)->series;
	const struct prowl_series *b = ((const struct prowl_store_listed *)vb)->series;
	int order = strcmp(prowl_series_get(a, PROWL_SERIES_SERVICE),
			   prowl_series_get(b, PROWL_SERIES_SERVICE));

	for (size_t i = 0; order == 0 && i < a->n && i < b->n; i++) {
		order = strcmp(a->labels[i].name, b->labels[i].name);
		if (order == 0)
			order = strcmp(a->labels[i].value, b->labels[i].value);
	}
	return order ? order : (a->n > b->n) - (a->n < b->n);
}

static int find_series(struct prowl_store *s, sqlite3 *db, void *ctx)
{
	struct listing *l = ctx;
	struct prowl_store_list *list = l->result;
	sqlite3_stmt *st = NULL;
	int r = store_load_series(db, l->q->match, &l->all);

	for (size_t i = 0; i < list->n; i++)
		prowl_series_free(list->rows[i].series);
	list->n = 0;
	if (r == 0)
		r = store_index_prepare(
			db,
			l->q->kind ? "SELECT series, kind, min(start), max(end), sum(samples),"
				     " sum(n) FROM part WHERE start<?1 AND end>?2 AND kind=?3"
				     " GROUP BY series, kind ORDER BY series, kind"
				   : "SELECT series, kind, min(start), max(end), sum(samples),"
				     " sum(n) FROM part WHERE start<?1 AND end>?2"
				     " GROUP BY series, kind ORDER BY series, kind",
			&st);
	if (r == 0)
		bind_range(st, l->q);
	while (r == 0 && (r = store_index_step(st)) > 0)
		r = take_listed(l, st);
	sqlite3_finalize(st);
	return r;
}

/* All of them, sorted. */
static int list_all(struct prowl_store *s, const struct prowl_query *q,
		    struct prowl_store_list **ret)
{
	struct listing l = {.q = q, .result = calloc(1, sizeof **ret)};
	struct prowl_store_list *list = l.result;
	int r = list ? store_read_index(s, find_series, &l) : -ENOMEM;

	store_all_fini(&l.all);
	if (r < 0) {
		prowl_store_list_free(list);
		return r;
	}
	if (list->n)
		qsort(list->rows, list->n, sizeof *list->rows, by_labels);
	*ret = list;
	return 0;
}

enum prowl_code prowl_store_series(struct prowl_store *s, const struct prowl_query *q,
				   struct prowl_store_list **ret, struct prowl_err *err)
{
	struct prowl_store_list *list;
	int r = list_all(s, q, &list);

	if (r < 0)
		return store_failed(s, r, "can't be read", err);
	for (; list->n > limit_of(q); list->truncated = true)
		prowl_series_free(list->rows[--list->n].series);
	*ret = list;
	return PROWL_OK;
}

/* --- labels ---------------------------------------------------------------------- */

void prowl_store_names_free(struct prowl_store_names *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n; i++)
		free(n->names[i]);
	free(n->names);
	free(n);
}

static int text_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, each once; those beyond the limit are left out. */
static void settle_names(struct prowl_store_names *to, size_t limit)
{
	size_t kept = 0;

	if (to->n)
		qsort(to->names, to->n, sizeof *to->names, text_order);
	for (size_t i = 0; i < to->n; i++) {
		bool again = kept && !strcmp(to->names[kept - 1], to->names[i]);

		if (again || kept == limit) {
			to->truncated |= !again;
			free(to->names[i]);
		} else {
			to->names[kept++] = to->names[i];
		}
	}
	to->n = kept;
}

static int add_names(struct prowl_store_names *to, size_t *cap, const struct prowl_series *s,
		     const char *name, const char *prefix)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *text = name ? s->labels[i].value : s->labels[i].name;
		int r;

		if ((name && strcmp(name, s->labels[i].name) != 0) ||
		    (prefix && strncmp(text, prefix, strlen(prefix)) != 0))
			continue;
		r = prowl_array_reserve(&to->names, cap, to->n + 1, sizeof *to->names);
		if (r < 0)
			return r;
		to->names[to->n] = strdup(text);
		if (!to->names[to->n])
			return -ENOMEM;
		to->n++;
	}
	return 0;
}

enum prowl_code prowl_store_labels(struct prowl_store *s, const struct prowl_query *q,
				   const char *name, const char *prefix,
				   struct prowl_store_names **ret, struct prowl_err *err)
{
	struct prowl_store_names *names = calloc(1, sizeof *names);
	struct prowl_store_list *list = NULL;
	size_t cap = 0;
	int r = names ? list_all(s, q, &list) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < list->n; i++)
		r = add_names(names, &cap, list->rows[i].series, name, prefix);
	prowl_store_list_free(list);
	if (r < 0) {
		prowl_store_names_free(names);
		return store_failed(s, r, "can't be read", err);
	}
	settle_names(names, limit_of(q));
	*ret = names;
	return PROWL_OK;
}

/* --- processes ------------------------------------------------------------------- */

static void lane_fini(struct prowl_store_lane *l)
{
	free((char *)l->process.pod);
	free((char *)l->process.container);
	free((char *)l->process.image);
	free((char *)l->process.exit);
}

static void clear_lanes(struct prowl_store_lanes *l)
{
	for (size_t i = 0; i < l->n; i++)
		lane_fini(&l->rows[i]);
	l->n = 0;
	l->truncated = false;
}

void prowl_store_lanes_free(struct prowl_store_lanes *l)
{
	if (!l)
		return;
	clear_lanes(l);
	free(l->rows);
	free(l);
}

static const char *column_text(sqlite3_stmt *st, int column)
{
	const char *text = (const char *)sqlite3_column_text(st, column);

	return strdup(text ? text : "");
}

static int take_lane(struct listing *l, sqlite3_stmt *st)
{
	const struct store_known *k = store_find_series(&l->all, sqlite3_column_int64(st, 0));
	struct prowl_store_lanes *lanes = l->result;
	struct prowl_store_lane *to;
	int r;

	if (!k)
		return 0;
	if (lanes->n == limit_of(l->q)) {
		lanes->truncated = true;
		return 0;
	}
	r = prowl_array_reserve(&lanes->rows, &l->cap, lanes->n + 1, sizeof *lanes->rows);
	if (r < 0)
		return r;
	to = &lanes->rows[lanes->n++];
	*to = (struct prowl_store_lane){.series = k->series->hash};
	snprintf(to->boot_id, sizeof to->boot_id, "%s", (const char *)sqlite3_column_text(st, 1));
	to->process = (struct prowl_store_process){
		.pid = sqlite3_column_int64(st, 2),
		.start = sqlite3_column_int64(st, 3),
		.end = sqlite3_column_int64(st, 4),
		.pod = column_text(st, 5),
		.container = column_text(st, 6),
		.image = column_text(st, 7),
		.exit = column_text(st, 8),
	};
	return to->process.pod && to->process.container && to->process.image && to->process.exit
		       ? 0
		       : -ENOMEM;
}

static int find_lanes(struct prowl_store *s, sqlite3 *db, void *ctx)
{
	struct listing *l = ctx;
	sqlite3_stmt *st = NULL;
	int r = store_load_series(db, l->q->match, &l->all);

	clear_lanes(l->result);
	if (r == 0)
		r = store_index_prepare(
			db,
			"SELECT p.series, p.boot, p.pid, p.start, max(p.end), max(p.pod),"
			" max(p.container), max(p.image), max(p.exit) FROM file f, process p"
			" WHERE f.start<?1 AND f.end>?2 AND p.file=f.id"
			" AND (?3 IS NULL OR f.kind=?3)"
			" GROUP BY p.series, p.boot, p.pid, p.start ORDER BY p.start, p.pid",
			&st);
	if (r == 0)
		bind_range(st, l->q);
	while (r == 0 && (r = store_index_step(st)) > 0)
		r = take_lane(l, st);
	sqlite3_finalize(st);
	return r;
}

enum prowl_code prowl_store_processes(struct prowl_store *s, const struct prowl_query *q,
				      struct prowl_store_lanes **ret, struct prowl_err *err)
{
	struct listing l = {.q = q, .result = calloc(1, sizeof **ret)};
	int r = l.result ? store_read_index(s, find_lanes, &l) : -ENOMEM;

	store_all_fini(&l.all);
	if (r == 0) {
		*ret = l.result;
		return PROWL_OK;
	}
	prowl_store_lanes_free(l.result);
	return store_failed(s, r, "can't be read", err);
}

/* --- files ----------------------------------------------------------------------- */

void prowl_store_files_free(struct prowl_store_files *f)
{
	if (!f)
		return;
	free(f->rows);
	free(f);
}

/* Whether a file has a series that matches. */
static int has_match(sqlite3 *db, const struct listing *l, int64_t file)
{
	sqlite3_stmt *st = NULL;
	bool found = false;
	int r;

	if (!l->q->match)
		return 1;
	r = store_index_prepare(db, "SELECT series FROM part WHERE file=?1", &st);
	if (r == 0)
		sqlite3_bind_int64(st, 1, file);
	while (r == 0 && !found && (r = store_index_step(st)) > 0) {
		found = store_find_series(&l->all, sqlite3_column_int64(st, 0)) != NULL;
		r = 0;
	}
	sqlite3_finalize(st);
	return r < 0 ? r : found;
}

static int take_file(struct listing *l, sqlite3_stmt *st)
{
	struct prowl_store_files *files = l->result;
	struct prowl_store_file *f;
	int r;

	if (files->n == limit_of(l->q)) {
		files->truncated = true;
		return 0;
	}
	r = prowl_array_reserve(&files->rows, &l->cap, files->n + 1, sizeof *files->rows);
	if (r < 0)
		return r;
	f = &files->rows[files->n++];
	*f = (struct prowl_store_file){
		.tier = sqlite3_column_int(st, 3) ? PROWL_STORE_HOUR : PROWL_STORE_LIVE,
		.start = sqlite3_column_int64(st, 4),
		.end = sqlite3_column_int64(st, 5),
		.bytes = (uint64_t)sqlite3_column_int64(st, 6),
		.samples = (uint64_t)sqlite3_column_int64(st, 7),
		.windows = (uint64_t)sqlite3_column_int64(st, 8),
		.series = (uint64_t)sqlite3_column_int64(st, 9),
	};
	snprintf(f->path, sizeof f->path, "%s", (const char *)sqlite3_column_text(st, 1));
	snprintf(f->kind, sizeof f->kind, "%s", (const char *)sqlite3_column_text(st, 2));
	return 0;
}

static int find_files(struct prowl_store *s, sqlite3 *db, void *ctx)
{
	struct listing *l = ctx;
	struct prowl_store_files *files = l->result;
	sqlite3_stmt *st = NULL;
	int r = store_load_series(db, l->q->match, &l->all);

	files->n = 0;
	files->truncated = false;
	if (r == 0)
		r = store_index_prepare(
			db,
			"SELECT id, path, kind, tier, start, end, bytes, samples, windows,"
			" (SELECT count(*) FROM part WHERE file=file.id) FROM file"
			" WHERE start<?1 AND end>?2 AND (?3 IS NULL OR kind=?3)"
			" ORDER BY start, path",
			&st);
	if (r == 0)
		bind_range(st, l->q);
	while (r == 0 && (r = store_index_step(st)) > 0) {
		r = has_match(db, l, sqlite3_column_int64(st, 0));
		if (r > 0)
			r = take_file(l, st);
	}
	sqlite3_finalize(st);
	return r;
}

enum prowl_code prowl_store_files(struct prowl_store *s, const struct prowl_query *q,
				  struct prowl_store_files **ret, struct prowl_err *err)
{
	struct listing l = {.q = q, .result = calloc(1, sizeof **ret)};
	int r = l.result ? store_read_index(s, find_files, &l) : -ENOMEM;

	store_all_fini(&l.all);
	if (r == 0) {
		*ret = l.result;
		return PROWL_OK;
	}
	prowl_store_files_free(l.result);
	return store_failed(s, r, "can't be read", err);
}

/* --- bytes ----------------------------------------------------------------------- */

static int sum_files(struct prowl_store *s, sqlite3 *db, void *ctx)
{
	struct prowl_store_usage *u = ctx;
	sqlite3_stmt *st = NULL;
	int r = store_index_prepare(
		db,
		"SELECT count(*), sum(CASE tier WHEN 0 THEN bytes END),"
		" sum(CASE tier WHEN 1 THEN bytes END), min(start), max(end), sum(windows),"
		" (SELECT count(*) FROM series) FROM file",
		&st);

	if (r == 0)
		r = store_index_step(st);
	if (r > 0) {
		u->files = (uint64_t)sqlite3_column_int64(st, 0);
		u->live_bytes = (uint64_t)sqlite3_column_int64(st, 1);
		u->hour_bytes = (uint64_t)sqlite3_column_int64(st, 2);
		u->oldest = sqlite3_column_int64(st, 3);
		u->newest = sqlite3_column_int64(st, 4);
		u->windows = (uint64_t)sqlite3_column_int64(st, 5);
		u->series = (uint64_t)sqlite3_column_int64(st, 6);
	}
	sqlite3_finalize(st);
	return r < 0 ? r : 0;
}

struct folder {
	uint64_t bytes, events;
};

static int add_file(void *ctx, const char *path, uint64_t bytes)
{
	struct folder *f = ctx;
	size_t n = strlen(path), suffix = strlen("/event.json");

	f->bytes += bytes;
	f->events += n > suffix && !strcmp(path + n - suffix, "/event.json");
	return 0;
}

enum prowl_code prowl_store_usage(struct prowl_store *s, struct prowl_store_usage *ret,
				  struct prowl_err *err)
{
	struct prowl_store_usage u = {.max_bytes = s->o.max_bytes};
	struct folder events = {0}, bad = {0};
	struct statvfs fs;
	int r = store_read_index(s, sum_files, &u);

	if (r == 0)
		r = store_walk(s->dir, "events", add_file, &events);
	if (r == 0)
		r = store_walk(s->dir, "bad", add_file, &bad);
	if (r < 0)
		return store_failed(s, r, "can't be read", err);
	if (fstatvfs(s->dir, &fs) == 0)
		u.free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	u.event_bytes = events.bytes;
	u.events = events.events;
	u.bad_bytes = bad.bytes;
	u.bytes = u.live_bytes + u.hour_bytes + u.event_bytes + u.bad_bytes;
	*ret = u;
	return PROWL_OK;
}

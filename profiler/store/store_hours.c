/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An hour that is over: its live files become one file for each series and kind, a fifth of their
 * size, since most stacks are in many windows. Order: the new files are durable, their rows are
 * committed, the live rows are removed, the live files are. Whatever is interrupted is done again:
 * a window that an hour file has is not taken a second time.
 *
 * The live files are read once for as many series as fit into memory together.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

#include "array.h"
#include "pprof.h"
#include "store_parts.h"

enum { PASS_SAMPLES = 65536 }; /* about 25 MB of rows */

struct path {
	char text[PROWL_STORE_PATH];
};

struct target { /* an hour file to be */
	struct store_meta *meta;
	struct prowl_join *join;
	char id[20]; /* of its series, as in labels */
	char **have; /* keys of windows that hour files have */
	size_t nhave, cap_have;
	uint64_t samples;
	bool taken; /* in the pass at hand */
};

struct hour {
	struct prowl_store *s;
	int64_t start;
	struct path *paths; /* its live files */
	size_t npaths, cap_paths;
	struct target *t;
	size_t n, cap;
};

static void target_fini(struct target *t)
{
	store_meta_free(t->meta);
	prowl_join_free(t->join);
	for (size_t i = 0; i < t->nhave; i++)
		free(t->have[i]);
	free(t->have);
}

static void hour_fini(struct hour *h)
{
	for (size_t i = 0; i < h->n; i++)
		target_fini(&h->t[i]);
	free(h->t);
	free(h->paths);
}

/* --- which series ---------------------------------------------------------------- */

static int find_paths(struct hour *h)
{
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(h->s->db,
				    "SELECT path FROM file WHERE tier=0 AND start>=?1 AND start<?2"
				    " ORDER BY start, path",
				    &q);

	if (r < 0)
		return r;
	sqlite3_bind_int64(q, 1, h->start);
	sqlite3_bind_int64(q, 2, h->start + (int64_t)h->s->o.hour_ns);
	while ((r = store_index_step(q)) > 0) {
		r = prowl_array_reserve(&h->paths, &h->cap_paths, h->npaths + 1, sizeof *h->paths);
		if (r < 0)
			break;
		snprintf(h->paths[h->npaths++].text, sizeof h->paths->text, "%s",
			 (const char *)sqlite3_column_text(q, 0));
	}
	sqlite3_finalize(q);
	return r;
}

static int add_have(struct target *t, int64_t from, int64_t window_ns, uint32_t again)
{
	char key[PROWL_STORE_KEY];
	int r = prowl_array_reserve(&t->have, &t->cap_have, t->nhave + 1, sizeof *t->have);

	if (r < 0)
		return r;
	store_window_key(key, from, window_ns, again);
	t->have[t->nhave] = strdup(key);
	return t->have[t->nhave] ? (t->nhave++, 0) : -ENOMEM;
}

static int add_row(struct target *t, sqlite3_stmt *q)
{
	struct store_blob_window *w;
	size_t n;
	int r = store_blob_decode(sqlite3_column_blob(q, 0), (size_t)sqlite3_column_bytes(q, 0),
				  (size_t)sqlite3_column_int(q, 1), &w, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_have(t, w[i].from, t->meta->window_ns, w[i].again);
	free(w);
	return r;
}

/* The windows that hour files have already. */
static int find_have(struct hour *h, struct target *t)
{
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(
		h->s->db,
		"SELECT p.windows, f.ntypes FROM part p, series s, file f WHERE s.hash=?1"
		" AND p.series=s.id AND p.kind=?2 AND p.start>=?3 AND p.start<?4"
		" AND f.id=p.file AND f.tier=1",
		&q);

	if (r < 0)
		return r;
	sqlite3_bind_int64(q, 1, (int64_t)t->meta->members[0].series->hash);
	sqlite3_bind_text(q, 2, t->meta->kind, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 3, h->start);
	sqlite3_bind_int64(q, 4, h->start + (int64_t)h->s->o.hour_ns);
	while ((r = store_index_step(q)) > 0) {
		r = add_row(t, q);
		if (r < 0)
			break;
	}
	sqlite3_finalize(q);
	return r;
}

static bool has_window(const struct target *t, const char *key)
{
	for (size_t i = 0; i < t->nhave; i++) {
		if (!strcmp(t->have[i], key))
			return true;
	}
	return false;
}

static bool is_target_of(const struct target *t, const struct store_meta *m,
			 const struct store_member *b)
{
	return !strcmp(t->meta->kind, m->kind) && store_meta_same_types(t->meta, m) &&
	       prowl_series_same(t->meta->members[0].series, b->series);
}

static int new_target(struct hour *h, const struct store_meta *m, const struct store_member *b,
		      struct target **ret)
{
	struct store_member *own;
	struct target *t;
	int r = prowl_array_reserve(&h->t, &h->cap, h->n + 1, sizeof *h->t);

	if (r < 0)
		return r;
	t = &h->t[h->n];
	*t = (struct target){0};
	r = store_meta_new(m->kind, m->level, m->window_ns, &t->meta);
	if (r < 0)
		return r;
	h->n++;
	memcpy(t->meta->types, m->types, sizeof m->types);
	t->meta->ntypes = m->ntypes;
	t->meta->by_default = m->by_default;
	snprintf(t->id, sizeof t->id, "%016" PRIx64, b->series->hash);
	r = store_meta_member(t->meta, b->series, &own);
	*ret = t;
	return r < 0 ? r : find_have(h, t);
}

static int find_target(struct hour *h, const struct store_meta *m, const struct store_member *b,
		       struct target **ret)
{
	for (size_t i = 0; i < h->n; i++) {
		if (is_target_of(&h->t[i], m, b)) {
			*ret = &h->t[i];
			return 0;
		}
	}
	return new_target(h, m, b, ret);
}

/* --- windows of a live file ------------------------------------------------------ */

static int copy_window(struct target *t, const struct store_member *b, size_t i)
{
	struct store_member *own = &t->meta->members[0];
	struct store_window w = b->windows[i];
	uint32_t index;
	int r = 0;

	if (w.process) {
		const struct store_process *p = &b->processes[w.process - 1];

		r = store_member_process(own, p->boot_id, &p->p, &index);
		w.process = index + 1;
	}
	return r < 0 ? r : store_member_window(own, &w, t->meta->window_ns);
}

static int copy_member(struct hour *h, const struct store_meta *m, const struct store_member *b)
{
	struct store_member *own;
	struct prowl_series *series;
	struct target *t;
	uint32_t index;
	int r = find_target(h, m, b, &t);

	if (r < 0)
		return r;
	own = &t->meta->members[0];
	if (b->main[0])
		memcpy(own->main, b->main, sizeof own->main);
	for (size_t i = 0; r == 0 && i < b->nprocesses; i++)
		r = store_member_process(own, b->processes[i].boot_id, &b->processes[i].p, &index);
	for (size_t i = 0; r == 0 && i < b->ncomments; i++)
		r = store_member_comment(own, b->comments[i]);
	for (size_t i = 0; r == 0 && i < b->n; i++) {
		if (has_window(t, b->windows[i].key))
			continue;
		r = copy_window(t, b, i);
		t->samples += b->windows[i].facts.samples;
	}
	if (r == 0)
		r = prowl_series_copy(b->series, &series);
	if (r == 0) { /* what is known besides: as of the last window */
		prowl_series_free(own->series);
		own->series = series;
	}
	return r;
}

/* A damaged file is moved away, and the rest goes on. */
static int damaged(struct hour *h, size_t i, int r, const char *why)
{
	if (r == -EBADMSG)
		store_quarantine(h->s, h->paths[i].text, why);
	else if (r != -ENOENT)
		return r;
	r = store_index_drop(h->s->db, h->paths[i].text);
	h->paths[i].text[0] = '\0';
	return r;
}

static int read_facts(struct hour *h)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < h->npaths; i++) {
		struct store_meta *m = NULL;
		uint64_t bytes;

		r = store_read_meta(h->s->dir, h->paths[i].text, &m, &bytes);
		if (r < 0) {
			r = damaged(h, i, r, "what it says of itself can't be read");
			continue;
		}
		for (size_t k = 0; r == 0 && k < m->n; k++)
			r = copy_member(h, m, &m->members[k]);
		store_meta_free(m);
	}
	return r;
}

/* --- profiles -------------------------------------------------------------------- */

static bool wants(void *ctx, const char *window)
{
	return !has_window(ctx, window);
}

static int join_file(struct hour *h, const struct store_meta *m, const struct pprof_profile *p)
{
	int r = 0;

	for (size_t k = 0; r == 0 && k < m->n; k++) {
		struct target *t = NULL;
		struct prowl_join_rules rules = {.take = wants, .drop_series = true};

		r = find_target(h, m, &m->members[k], &t);
		if (r < 0 || !t->taken)
			continue;
		rules.ctx = t;
		rules.only_series = t->id;
		rules.main = t->meta->members[0].main;
		rules.label_values = h->s->o.label_values;
		r = prowl_join_add(t->join, p, &rules);
	}
	return r;
}

/* Windows of a file that turns out to be damaged are not in the new one. */
static void forget_file(struct hour *h, const struct store_meta *m)
{
	for (size_t k = 0; k < m->n; k++) {
		for (size_t i = 0; i < h->n; i++) {
			struct store_member *own = &h->t[i].meta->members[0];
			size_t kept = 0;

			if (!is_target_of(&h->t[i], m, &m->members[k]))
				continue;
			for (size_t w = 0; w < own->n; w++) {
				bool bad = false;

				for (size_t x = 0; x < m->members[k].n; x++)
					bad |= !strcmp(own->windows[w].key,
						       m->members[k].windows[x].key);
				if (!bad)
					own->windows[kept++] = own->windows[w];
			}
			own->n = kept;
		}
	}
}

static int join_path(struct hour *h, size_t i)
{
	struct store_meta *m = NULL;
	struct pprof_profile *p = NULL;
	uint64_t bytes;
	char why[96];
	int r = store_read(h->s->dir, h->paths[i].text, &m, &p, why, sizeof why);

	if (r == 0)
		r = join_file(h, m, p);
	else if (r == -EBADMSG || r == -ENOENT) {
		if (store_read_meta(h->s->dir, h->paths[i].text, &m, &bytes) == 0)
			forget_file(h, m);
		r = damaged(h, i, r, why);
	}
	store_meta_free(m);
	pprof_profile_free(p);
	return r;
}

/* --- hour files ------------------------------------------------------------------ */

/* data/2026-11-30/T08, with minutes and seconds where an hour is shorter. */
static void hour_folder(const struct hour *h, char *to, size_t len)
{
	enum { SECOND = 1000000000 };
	time_t t = (time_t)(h->start / SECOND);
	bool whole = h->s->o.hour_ns % (3600ull * SECOND) == 0;
	struct tm tm;

	if (!gmtime_r(&t, &tm))
		tm = (struct tm){.tm_mday = 1, .tm_year = 70};
	if (strftime(to, len, whole ? "data/%Y-%m-%d/T%H" : "data/%Y-%m-%d/T%H%M%S", &tm) == 0)
		*to = '\0';
}

/* A name that is not taken: windows may come after their hour was closed. */
static void hour_path(const struct hour *h, const struct target *t, char *to, size_t len)
{
	const char *service = prowl_series_get(t->meta->members[0].series, PROWL_SERIES_SERVICE);
	char folder[64], word[64], more[16] = "";

	hour_folder(h, folder, sizeof folder);
	store_file_word(word, sizeof word, *service ? service : "unknown");
	for (unsigned int i = 2;; i++) {
		snprintf(to, len, "%s/%s.%.8s.%s%s.pb.gz", folder, word, t->id, t->meta->kind,
			 more);
		if (faccessat(h->s->dir, to, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return;
		snprintf(more, sizeof more, ".%u", i);
	}
}

static int index_hour(struct hour *h, const char *path, const struct target *t, size_t bytes)
{
	int r = store_index_exec(h->s->db, "BEGIN IMMEDIATE");

	if (r == 0)
		r = store_index_add(h->s->db, path, PROWL_STORE_HOUR, t->meta, bytes);
	if (r == 0)
		r = store_index_exec(h->s->db, "COMMIT");
	if (r < 0) { /* the file is there: its windows are not to be taken once more */
		sqlite3_exec(h->s->db, "ROLLBACK", NULL, NULL, NULL);
		h->s->stale = true;
	}
	return r;
}

static int write_target(struct hour *h, struct target *t)
{
	struct pprof_profile *p = prowl_join_profile(t->join);
	char path[PROWL_STORE_PATH], *text = NULL;
	uint8_t *bytes = NULL;
	size_t len;
	int r;

	if (t->meta->members[0].n == 0)
		return 0;
	hour_path(h, t, path, sizeof path);
	r = store_meta_encode(t->meta, &text);
	if (r == 0)
		r = store_finish_profile(p, t->meta, text);
	if (r == 0)
		r = store_pack(p, text, STORE_LEVEL_HOUR, &bytes, &len);
	if (r == 0)
		r = store_write(h->s, path, bytes, len);
	if (r == 0)
		r = index_hour(h, path, t, len);
	free(text);
	free(bytes);
	return r;
}

/* Chooses series whose samples fit together; false: none is left. */
static bool choose(struct hour *h, size_t *next)
{
	uint64_t samples = 0;
	bool some = false;

	for (; *next < h->n && (!some || samples + h->t[*next].samples <= PASS_SAMPLES);
	     (*next)++) {
		samples += h->t[*next].samples;
		h->t[*next].taken = some = true;
	}
	return some;
}

static int finish_pass(struct hour *h, int r)
{
	for (size_t i = 0; i < h->n; i++) {
		struct target *t = &h->t[i];

		if (t->taken && r == 0)
			r = write_target(h, t);
		prowl_join_free(t->join);
		t->join = NULL;
		t->taken = false;
	}
	return r;
}

static int make_files(struct hour *h)
{
	size_t next = 0;
	int r = 0;

	while (r == 0 && choose(h, &next)) {
		for (size_t i = 0; r == 0 && i < h->n; i++) {
			if (h->t[i].taken)
				r = prowl_join_new(&h->t[i].join);
		}
		for (size_t i = 0; r == 0 && i < h->npaths; i++) {
			if (h->paths[i].text[0])
				r = join_path(h, i);
		}
		r = finish_pass(h, r);
	}
	return r;
}

static int drop_live(struct hour *h)
{
	int r = store_index_exec(h->s->db, "BEGIN IMMEDIATE");

	for (size_t i = 0; r == 0 && i < h->npaths; i++)
		r = store_index_drop(h->s->db, h->paths[i].text);
	if (r == 0)
		r = store_index_exec(h->s->db, "COMMIT");
	if (r < 0)
		sqlite3_exec(h->s->db, "ROLLBACK", NULL, NULL, NULL);
	for (size_t i = 0; r == 0 && i < h->npaths; i++) {
		if (h->paths[i].text[0])
			r = store_remove(h->s, h->paths[i].text);
	}
	return r;
}

static int close_hour(struct prowl_store *s, int64_t start)
{
	struct hour h = {.s = s, .start = start};
	int r = find_paths(&h);

	if (r == 0)
		r = read_facts(&h);
	if (r == 0)
		r = make_files(&h);
	if (r == 0)
		r = drop_live(&h);
	hour_fini(&h);
	if (r == 0) {
		pthread_mutex_lock(&s->counting);
		s->state.hours_closed++;
		pthread_mutex_unlock(&s->counting);
	}
	return r;
}

/* The first hour with live files that is over; one that lies ahead was named by a wrong clock. */
static int find_hour(struct prowl_store *s, int64_t now, int64_t *ret)
{
	int64_t hour = (int64_t)s->o.hour_ns, grace = (int64_t)s->o.window_ns + 1000000000;
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(s->db,
				    "SELECT start FROM file WHERE tier=0 AND (?1 OR start<?2"
				    " OR start>?3) ORDER BY start LIMIT 1",
				    &q);

	if (r < 0)
		return r;
	sqlite3_bind_int(q, 1, now == INT64_MAX);
	sqlite3_bind_int64(q, 2, now == INT64_MAX ? now : store_floor(now - grace, hour));
	sqlite3_bind_int64(q, 3, now == INT64_MAX ? now : now + 2 * hour);
	r = store_index_step(q);
	if (r > 0)
		*ret = store_floor(sqlite3_column_int64(q, 0), hour);
	sqlite3_finalize(q);
	return r;
}

int store_hours(struct prowl_store *s, int64_t now)
{
	int64_t start;
	int r = s->stale ? store_index_agree(s, s->db, s->dir) : 0;

	s->stale = r < 0;
	if (r < 0)
		return r;
	while ((r = find_hour(s, now, &start)) > 0) {
		r = close_hour(s, start);
		if (r < 0)
			return r;
	}
	if (r == 0)
		sqlite3_exec(s->db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
	return r;
}

enum prowl_code prowl_store_close_hours(struct prowl_store *s, struct prowl_err *err)
{
	int r;

	if (store_can_write(s, err) != PROWL_OK)
		return PROWL_USAGE;
	store_lock(s);
	r = store_flush_kept(s);
	if (r == 0)
		r = store_hours(s, INT64_MAX);
	store_unlock(s);
	return r < 0 ? store_failed(s, r, "hour files", err) : PROWL_OK;
}

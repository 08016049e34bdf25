/* SPDX-License-Identifier: Apache-2.0 */
/* Every file read and checked, and held against the index. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pprof.h"
#include "store_parts.h"

struct fsck {
	struct prowl_store *s;
	struct prowl_store_check c;
	void (*say)(void *ctx, const char *line);
	void *ctx;
	sqlite3 *db;      /* the index; NULL: there is none that can be read */
	sqlite3 *windows; /* those of hour files that were seen, in memory */
};

static void report(struct fsck *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void report(struct fsck *f, const char *fmt, ...)
{
	char line[PROWL_STORE_PATH + 256];
	va_list ap;

	if (!f->say)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	f->say(f->ctx, line);
}

/* --- one file -------------------------------------------------------------------- */

static bool has_negative(const struct pprof_profile *p)
{
	for (size_t i = 0; i < p->nsamples * p->nsample_types; i++) {
		if (p->values[i] < 0)
			return true;
	}
	return false;
}

/* Whether the samples are those that the windows promise. */
static bool adds_up(const struct store_meta *m, const struct pprof_profile *p)
{
	for (size_t t = 0; t < m->ntypes && t < p->nsample_types; t++) {
		uint64_t sum = 0;

		for (size_t i = 0; i < m->n; i++)
			for (size_t k = 0; k < m->members[i].n; k++)
				sum += m->members[i].windows[k].values[t];
		if (sum != (uint64_t)pprof_total(p, t))
			return has_negative(p);
	}
	return m->ntypes == p->nsample_types;
}

static int note_window(struct fsck *f, const char *kind, uint64_t series, const char *key)
{
	sqlite3_stmt *q = NULL;
	char text[128];
	int r = store_index_prepare(f->windows, "INSERT OR IGNORE INTO w VALUES (?1)", &q);

	if (r < 0)
		return r;
	snprintf(text, sizeof text, "%s %016" PRIx64 " %s", kind, series, key);
	sqlite3_bind_text(q, 1, text, -1, SQLITE_STATIC);
	r = store_index_step(q);
	f->c.twice += sqlite3_changes(f->windows) == 0;
	sqlite3_finalize(q);
	return r;
}

static int note_windows(struct fsck *f, const char *path, const struct store_meta *m)
{
	uint64_t before = f->c.twice;
	int r = 0;

	f->c.windows += store_count_windows(m);
	for (size_t i = 0; r == 0 && strncmp(path, "data/", 5) == 0 && i < m->n; i++) {
		const struct store_member *b = &m->members[i];

		for (size_t k = 0; r == 0 && k < b->n; k++)
			r = note_window(f, m->kind, b->series->hash, b->windows[k].key);
	}
	if (f->c.twice > before)
		report(f, "%s: %" PRIu64 " of its windows are in another file, too", path,
		       f->c.twice - before);
	return r;
}

/* Whether the index has the file as it is. */
static int is_indexed(struct fsck *f, const char *path, const struct store_meta *m, uint64_t bytes)
{
	sqlite3_stmt *q = NULL;
	int64_t from, to;
	uint64_t samples;
	int r = f->db ? store_index_prepare(f->db,
					    "SELECT 1 FROM file WHERE path=?1 AND bytes=?2 AND"
					    " kind=?3 AND start=?4 AND end=?5 AND samples=?6 AND"
					    " windows=?7",
					    &q)
		      : 0;

	if (r < 0 || !f->db)
		return r;
	store_meta_span(m, &from, &to, &samples);
	sqlite3_bind_text(q, 1, path, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 2, (int64_t)bytes);
	sqlite3_bind_text(q, 3, m->kind, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 4, from);
	sqlite3_bind_int64(q, 5, to);
	sqlite3_bind_int64(q, 6, (int64_t)samples);
	sqlite3_bind_int64(q, 7, (int64_t)store_count_windows(m));
	r = store_index_step(q);
	sqlite3_finalize(q);
	return r;
}

static int found_bad(struct fsck *f, const char *path, const char *why)
{
	f->c.bad++;
	report(f, "%s is damaged: %s", path, why);
	if (!f->s->o.read_only) {
		store_quarantine(f->s, path, why);
		f->s->stale = true;
	}
	return 0;
}

static int check_profile(struct fsck *f, const char *path, uint64_t bytes)
{
	struct store_meta *m = NULL;
	struct pprof_profile *p = NULL;
	char why[96];
	int r = store_read(f->s->dir, path, &m, &p, why, sizeof why);

	if (r == -ENOENT) /* deleted meanwhile */
		return 0;
	f->c.files++;
	f->c.bytes += bytes;
	if (r == 0 && !adds_up(m, p)) {
		snprintf(why, sizeof why, "its samples are not those of its windows");
		r = -EBADMSG;
	}
	if (r == -EBADMSG) {
		r = found_bad(f, path, why);
	} else if (r == 0) {
		r = is_indexed(f, path, m, bytes);
		if (r == 0) {
			f->c.unindexed++;
			report(f, "%s is not in the index as it is", path);
		}
		r = r < 0 ? r : note_windows(f, path, m);
	}
	store_meta_free(m);
	pprof_profile_free(p);
	return r;
}

static int check_file(void *ctx, const char *path, uint64_t bytes)
{
	struct fsck *f = ctx;
	size_t n = strlen(path);

	if (n > 4 && !strcmp(path + n - 4, ".tmp")) {
		f->c.left++;
		report(f, "%s is unfinished", path);
		return 0;
	}
	return store_is_profile(path) ? check_profile(f, path, bytes) : 0;
}

/* Captures are profiles of their own. */
static int check_event(void *ctx, const char *path, uint64_t bytes)
{
	struct fsck *f = ctx;
	struct pprof_profile *p = NULL;
	uint8_t *all = NULL;
	size_t len, n = strlen(path), suffix = strlen("/event.json");
	int r = 0;

	f->c.bytes += bytes;
	f->c.events += n > suffix && !strcmp(path + n - suffix, "/event.json");
	if (!store_is_profile(path))
		return 0;
	r = store_read_bytes(f->s->dir, path, &all, &len);
	if (r == 0)
		r = pprof_decode(all, len, 0, &p, NULL);
	free(all);
	pprof_profile_free(p);
	if (r == -EBADMSG || r == -EFBIG)
		return found_bad(f, path, "it is not a valid profile");
	return r == -ENOENT ? 0 : r;
}

/* --- the index ------------------------------------------------------------------- */

static int look_for(struct fsck *f, const char *path)
{
	if (faccessat(f->s->dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return 0;
	f->c.gone++;
	report(f, "%s is in the index, but not there", path);
	return 0;
}

static int check_rows(struct fsck *f)
{
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(f->db, "SELECT path FROM file", &q);

	while (r == 0 && (r = store_index_step(q)) > 0)
		r = look_for(f, (const char *)sqlite3_column_text(q, 0));
	sqlite3_finalize(q);
	return r;
}

static void open_index(struct fsck *f)
{
	if (store_index_open_reader(f->s, &f->db) == 0 && store_index_check(f->db) == 0)
		return;
	f->c.index_bad = true;
	report(f, "the index is missing or damaged");
	sqlite3_close_v2(f->db);
	f->db = NULL;
}

static int check_all(struct fsck *f)
{
	int r = store_errno(sqlite3_open(":memory:", &f->windows));

	if (r == 0)
		r = store_index_exec(f->windows,
				     "CREATE TABLE w (k TEXT PRIMARY KEY) WITHOUT ROWID");
	if (r == 0)
		open_index(f);
	if (r == 0)
		r = store_walk(f->s->dir, "live", check_file, f);
	if (r == 0)
		r = store_walk(f->s->dir, "data", check_file, f);
	if (r == 0)
		r = store_walk(f->s->dir, "events", check_event, f);
	if (r == 0 && f->db)
		r = check_rows(f);
	sqlite3_close_v2(f->windows);
	sqlite3_close_v2(f->db);
	return r;
}

static int repair(struct fsck *f)
{
	const struct prowl_store_check *c = &f->c;

	if (f->s->o.read_only || !(c->bad || c->unindexed || c->gone || c->index_bad))
		return 0;
	f->s->stale = false;
	return store_index_rebuild(f->s);
}

enum prowl_code prowl_store_fsck(struct prowl_store *s, void (*say)(void *ctx, const char *line),
				 void *ctx, struct prowl_store_check *ret, struct prowl_err *err)
{
	struct fsck f = {.s = s, .say = say, .ctx = ctx};
	int r;

	if (!s->o.read_only)
		store_lock(s);
	r = check_all(&f);
	if (r == 0)
		r = repair(&f);
	if (!s->o.read_only)
		store_unlock(s);
	if (r < 0)
		return store_failed(s, r, "can't be checked", err);
	*ret = f.c;
	return PROWL_OK;
}

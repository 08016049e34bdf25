/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store may take. The oldest hour of all series goes at once, so that a comparison has
 * either all or nothing. Bytes are a hard bound. Age is counted from the newest window, not from
 * the clock, and only a part is deleted in one run, so that a clock that is wrong can't empty the
 * store.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "array.h"
#include "clock.h"
#include "pprof.h"
#include "store_parts.h"

enum { BAD_BYTES = 100 << 20, SETTLED_HOURS = 24, MOST_PINS = 1000 };

/* --- pins ------------------------------------------------------------------------ */

void prowl_store_pins_free(struct prowl_store_pins *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++)
		free(p->rows[i].reason);
	free(p->rows);
	free(p);
}

static int add_pin(struct prowl_store_pins *p, int64_t from, int64_t to, const char *reason)
{
	struct prowl_store_pin *rows = reallocarray(p->rows, p->n + 1, sizeof *rows);

	if (!rows)
		return -ENOMEM;
	p->rows = rows;
	rows[p->n] = (struct prowl_store_pin){from, to, strdup(reason ? reason : "")};
	return rows[p->n].reason ? (p->n++, 0) : -ENOMEM;
}

/* No file: no pins. One that can't be read: nobody knows what may be deleted, so nothing is. */
static int load_pins(struct prowl_store *s, json_t **ret)
{
	int fd = openat(s->dir, "pins.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	*ret = NULL;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	*ret = json_loadfd(fd, 0, NULL);
	close(fd);
	if (json_is_array(json_object_get(*ret, "pins")))
		return 0;
	json_decref(*ret);
	*ret = NULL;
	return -EILSEQ;
}

static int read_pins(struct prowl_store *s, struct prowl_store_pins **ret)
{
	struct prowl_store_pins *p = calloc(1, sizeof *p);
	json_t *o = NULL, *e;
	int r = p ? load_pins(s, &o) : -ENOMEM;
	size_t i;

	json_array_foreach(json_object_get(o, "pins"), i, e)
	{
		if (r == 0 && i < MOST_PINS)
			r = add_pin(p, json_integer_value(json_object_get(e, "from")),
				    json_integer_value(json_object_get(e, "to")),
				    json_string_value(json_object_get(e, "reason")));
	}
	json_decref(o);
	if (p && r == 0)
		*ret = p;
	else
		prowl_store_pins_free(p);
	return r;
}

static int write_pins(struct prowl_store *s, const struct prowl_store_pins *p)
{
	json_t *o = json_object(), *list = json_array();
	char *text;
	int r;

	for (size_t i = 0; i < p->n; i++)
		json_array_append_new(
			list, json_pack("{sIsIss}", "from", (json_int_t)p->rows[i].from, "to",
					(json_int_t)p->rows[i].to, "reason", p->rows[i].reason));
	json_object_set_new(o, "pins", list);
	text = json_dumps(o, JSON_COMPACT);
	r = text ? store_write(s, "pins.json", text, strlen(text)) : -ENOMEM;
	json_decref(o);
	free(text);
	return r;
}

enum prowl_code prowl_store_pins(struct prowl_store *s, struct prowl_store_pins **ret,
				 struct prowl_err *err)
{
	int r = read_pins(s, ret);

	return r < 0 ? store_failed(s, r, "pins.json", err) : PROWL_OK;
}

enum prowl_code prowl_store_pin(struct prowl_store *s, int64_t from, int64_t to, const char *reason,
				struct prowl_err *err)
{
	struct prowl_store_pins *p = NULL;
	int r;

	if (store_can_write(s, err) != PROWL_OK)
		return PROWL_USAGE;
	if (from >= to)
		return prowl_fail(err, PROWL_USAGE, "a pin ends after it begins");
	store_lock(s);
	r = read_pins(s, &p);
	if (r == 0 && p->n >= MOST_PINS)
		r = -E2BIG;
	if (r == 0)
		r = add_pin(p, from, to, reason);
	if (r == 0)
		r = write_pins(s, p);
	store_unlock(s);
	prowl_store_pins_free(p);
	return r < 0 ? store_failed(s, r, "pins.json", err) : PROWL_OK;
}

enum prowl_code prowl_store_unpin(struct prowl_store *s, int64_t from, int64_t to,
				  struct prowl_err *err)
{
	struct prowl_store_pins *p = NULL;
	size_t kept = 0, before = 0;
	int r;

	if (store_can_write(s, err) != PROWL_OK)
		return PROWL_USAGE;
	store_lock(s);
	r = read_pins(s, &p);
	for (size_t i = 0; r == 0 && i < p->n; i++) {
		before++;
		if (p->rows[i].from >= from && p->rows[i].to <= to)
			free(p->rows[i].reason);
		else
			p->rows[kept++] = p->rows[i];
	}
	if (r == 0)
		p->n = kept;
	if (r == 0 && kept < before)
		r = write_pins(s, p);
	store_unlock(s);
	prowl_store_pins_free(p);
	if (r == 0 && kept == before)
		return prowl_fail(err, PROWL_NOTHING, "nothing is pinned in that range");
	return r < 0 ? store_failed(s, r, "pins.json", err) : PROWL_OK;
}

static bool is_pinned(const struct prowl_store_pins *p, int64_t from, int64_t to)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->rows[i].from < to && p->rows[i].to > from)
			return true;
	}
	return false;
}

/* --- hours ----------------------------------------------------------------------- */

struct hours { /* that there are files of, the oldest first */
	struct {
		int64_t start;
		uint64_t bytes, files;
	} * h;
	size_t n, cap;
};

static int find_hours(struct prowl_store *s, struct hours *all)
{
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(s->db,
				    "SELECT start/?1, sum(bytes), count(*) FROM file"
				    " GROUP BY start/?1 ORDER BY 1",
				    &q);

	if (r < 0)
		return r;
	sqlite3_bind_int64(q, 1, (int64_t)s->o.hour_ns);
	while ((r = store_index_step(q)) > 0) {
		r = prowl_array_reserve(&all->h, &all->cap, all->n + 1, sizeof *all->h);
		if (r < 0)
			break;
		all->h[all->n].start = sqlite3_column_int64(q, 0) * (int64_t)s->o.hour_ns;
		all->h[all->n].bytes = (uint64_t)sqlite3_column_int64(q, 1);
		all->h[all->n].files = (uint64_t)sqlite3_column_int64(q, 2);
		all->n++;
	}
	sqlite3_finalize(q);
	return r;
}

static int next_path(struct prowl_store *s, int64_t start, char *path, size_t len)
{
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(s->db,
				    "SELECT path FROM file WHERE start>=?1 AND start<?2 AND path>?3"
				    " ORDER BY path LIMIT 1",
				    &q);

	if (r < 0)
		return r;
	sqlite3_bind_int64(q, 1, start);
	sqlite3_bind_int64(q, 2, start + (int64_t)s->o.hour_ns);
	sqlite3_bind_text(q, 3, path, -1, SQLITE_TRANSIENT);
	r = store_index_step(q);
	if (r > 0)
		snprintf(path, len, "%s", (const char *)sqlite3_column_text(q, 0));
	sqlite3_finalize(q);
	return r;
}

static int drop_rows(struct prowl_store *s, int64_t start)
{
	char path[PROWL_STORE_PATH] = "";
	int r = store_index_exec(s->db, "BEGIN IMMEDIATE");

	while (r == 0 && (r = next_path(s, start, path, sizeof path)) > 0)
		r = store_index_drop(s->db, path);
	if (r == 0)
		r = store_index_exec(s->db, "DELETE FROM series WHERE NOT EXISTS"
					    " (SELECT 1 FROM part WHERE series=series.id); COMMIT");
	if (r < 0)
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

/* Files first: that needs no space. A row without its file is found out by whoever reads it. */
static int delete_hour(struct prowl_store *s, const struct hours *all, size_t i, const char *why)
{
	char path[PROWL_STORE_PATH] = "", key[PROWL_STORE_KEY];
	int r;

	while ((r = next_path(s, all->h[i].start, path, sizeof path)) > 0) {
		r = store_remove(s, path);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = drop_rows(s, all->h[i].start);
	if (r < 0)
		return r;
	pthread_mutex_lock(&s->counting);
	s->state.deleted_files += all->h[i].files;
	s->state.deleted_bytes += all->h[i].bytes;
	pthread_mutex_unlock(&s->counting);
	store_log(s, "deleted the hour of %s, %llu files, %llu bytes: %s",
		  store_key_time(key, all->h[i].start, 60000000000),
		  (unsigned long long)all->h[i].files, (unsigned long long)all->h[i].bytes, why);
	return 0;
}

/* --- how much there is ----------------------------------------------------------- */

static int add_bytes(void *ctx, const char *path, uint64_t bytes)
{
	uint64_t *sum = ctx;

	*sum += bytes;
	return 0;
}

static uint64_t bytes_below(struct prowl_store *s, const char *folder)
{
	uint64_t sum = 0;

	store_walk(s->dir, folder, add_bytes, &sum);
	return sum;
}

static uint64_t free_bytes(struct prowl_store *s)
{
	struct statvfs fs;

	return fstatvfs(s->dir, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : UINT64_MAX;
}

struct oldest {
	struct prowl_store *s;
	char path[PROWL_STORE_PATH];
	struct timespec at;
	bool some;
};

static int look_oldest(void *ctx, const char *path, uint64_t bytes)
{
	struct oldest *o = ctx;
	struct stat st;

	if (fstatat(o->s->dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (o->some && (st.st_mtim.tv_sec > o->at.tv_sec ||
			(st.st_mtim.tv_sec == o->at.tv_sec && st.st_mtim.tv_nsec >= o->at.tv_nsec)))
		return 0;
	o->some = true;
	o->at = st.st_mtim;
	snprintf(o->path, sizeof o->path, "%s", path);
	return 0;
}

static void bound_bad(struct prowl_store *s)
{
	while (bytes_below(s, "bad") > BAD_BYTES) {
		struct oldest o = {.s = s};

		store_walk(s->dir, "bad", look_oldest, &o);
		if (!o.some || unlinkat(s->dir, o.path, 0) < 0)
			return;
	}
}

/* --- rules ----------------------------------------------------------------------- */

/*
 * The hours of the last day there is are near to each other. Else the newest ones may come from a
 * clock that was wrong, and nothing is old compared with them.
 */
static bool is_settled(const struct prowl_store *s, const struct hours *all)
{
	int64_t week = 168 * (int64_t)s->o.hour_ns;

	return all->n > SETTLED_HOURS &&
	       all->h[all->n - 1].start - all->h[all->n - SETTLED_HOURS].start <= week;
}

static bool is_due(uint64_t *last, uint64_t period)
{
	uint64_t now = prowl_now();

	if (*last && now - *last < period)
		return false;
	*last = now;
	return true;
}

struct retention {
	struct prowl_store *s;
	const struct prowl_store_pins *pins;
	struct hours hours;
	size_t next;    /* the oldest that is left */
	uint64_t total; /* bytes */
};

/* The last two hours and pinned ones stay. False: there is no other. */
static bool find_oldest(struct retention *t)
{
	int64_t hour = (int64_t)t->s->o.hour_ns;
	const struct hours *all = &t->hours;

	while (t->next < all->n && all->h[t->next].start + hour < all->h[all->n - 1].start) {
		int64_t start = all->h[t->next].start;

		if (!is_pinned(t->pins, start, start + hour))
			return true;
		t->next++;
	}
	return false;
}

static int delete_oldest(struct retention *t, const char *why)
{
	uint64_t bytes = t->hours.h[t->next].bytes;
	int r = delete_hour(t->s, &t->hours, t->next, why);

	t->next++;
	t->total -= bytes < t->total ? bytes : t->total;
	return r;
}

static int by_bytes(struct retention *t)
{
	int r = 0;

	while (r == 0 && t->total > t->s->o.max_bytes && find_oldest(t))
		r = delete_oldest(t, "the store is larger than store.max_bytes");
	return r;
}

static int by_age(struct retention *t)
{
	uint64_t most = (uint64_t)((double)t->total * t->s->o.max_delete_fraction), gone = 0;
	int64_t newest, age = (int64_t)t->s->o.max_age_ns;
	int r = 0;

	if (!is_settled(t->s, &t->hours) || !is_due(&t->s->last_age_run, 24 * t->s->o.hour_ns))
		return 0;
	newest = t->hours.h[t->hours.n - 1].start;
	while (r == 0 && find_oldest(t) && newest - t->hours.h[t->next].start > age) {
		gone += t->hours.h[t->next].bytes;
		if (gone > most)
			break;
		r = delete_oldest(t, "it is older than store.max_age");
	}
	return r;
}

static int by_free_space(struct retention *t)
{
	uint64_t most = (uint64_t)((double)t->total * t->s->o.max_delete_fraction), gone = 0;
	int r = 0;

	if (free_bytes(t->s) >= t->s->o.min_free || !is_due(&t->s->last_free_run, t->s->o.hour_ns))
		return 0;
	while (r == 0 && free_bytes(t->s) < t->s->o.min_free && find_oldest(t)) {
		gone += t->hours.h[t->next].bytes;
		if (gone > most)
			break;
		r = delete_oldest(t, "the file system has less than store.min_free");
	}
	return r;
}

static int begin(struct prowl_store *s, struct retention *t, struct prowl_store_pins **pins)
{
	int r = read_pins(s, pins);

	*t = (struct retention){.s = s, .pins = *pins};
	if (r == 0)
		r = find_hours(s, &t->hours);
	for (size_t i = 0; r == 0 && i < t->hours.n; i++)
		t->total += t->hours.h[i].bytes;
	return r;
}

static void end(struct retention *t, struct prowl_store_pins *pins)
{
	free(t->hours.h);
	prowl_store_pins_free(pins);
}

int store_retain(struct prowl_store *s)
{
	struct prowl_store_pins *pins = NULL;
	struct retention t;
	int r;

	bound_bad(s);
	store_events_retain(s);
	r = begin(s, &t, &pins);
	t.total += bytes_below(s, "events") + bytes_below(s, "bad");
	if (r == 0)
		r = by_bytes(&t);
	if (r == 0)
		r = by_age(&t);
	if (r == 0)
		r = by_free_space(&t);
	end(&t, pins);
	return r;
}

void store_make_room(struct prowl_store *s)
{
	struct prowl_store_pins *pins = NULL;
	struct retention t;

	unlinkat(s->dir, "reserve", 0);
	if (begin(s, &t, &pins) == 0 && find_oldest(&t))
		delete_oldest(&t, "the disk is full");
	end(&t, pins);
}

/* Allocated, so that something can be deleted, and that recorded, on a full disk. */
void store_reserve(struct prowl_store *s)
{
	int fd;

	if (faccessat(s->dir, "reserve", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	fd = openat(s->dir, "reserve", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		return;
	if (posix_fallocate(fd, 0, STORE_RESERVE) != 0)
		unlinkat(s->dir, "reserve", 0);
	close(fd);
}

enum prowl_code prowl_store_delete(struct prowl_store *s, int64_t from, int64_t to,
				   uint64_t *ret_bytes, struct prowl_err *err)
{
	struct hours all = {0};
	uint64_t bytes = 0;
	int r;

	if (store_can_write(s, err) != PROWL_OK)
		return PROWL_USAGE;
	store_lock(s);
	r = find_hours(s, &all);
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		if (all.h[i].start < from || all.h[i].start + (int64_t)s->o.hour_ns > to)
			continue;
		r = delete_hour(s, &all, i, "it was asked for");
		bytes += all.h[i].bytes;
	}
	store_unlock(s);
	free(all.h);
	if (r == 0 && ret_bytes)
		*ret_bytes = bytes;
	return r < 0 ? store_failed(s, r, "can't be deleted from", err) : PROWL_OK;
}

/* --- the work of a minute -------------------------------------------------------- */

static void check_suspects(struct prowl_store *s)
{
	char path[PROWL_STORE_PATH], why[96];

	for (;;) {
		struct store_meta *m = NULL;
		struct pprof_profile *p = NULL;
		bool some;

		pthread_mutex_lock(&s->counting);
		some = s->nsuspects > 0;
		if (some)
			memcpy(path, s->suspects[--s->nsuspects], sizeof path);
		pthread_mutex_unlock(&s->counting);
		if (!some)
			return;
		if (store_read(s->dir, path, &m, &p, why, sizeof why) == -EBADMSG) {
			store_quarantine(s, path, why);
			store_index_drop(s->db, path);
		}
		store_meta_free(m);
		pprof_profile_free(p);
	}
}

static int work(struct prowl_store *s, int64_t now)
{
	int r = 0;

	check_suspects(s);
	if (s->stale)
		r = store_index_agree(s, s->db, s->dir);
	s->stale = r < 0;
	if (r == 0)
		r = store_flush_kept(s);
	if (r == 0)
		r = store_hours(s, now);
	if (r == 0 || r == -ENOSPC || r == -EDQUOT) {
		int kept = store_retain(s);

		r = r == 0 ? kept : r;
	}
	return r;
}

enum prowl_code prowl_store_tick(struct prowl_store *s, int64_t now, struct prowl_err *err)
{
	int r;

	if (store_can_write(s, err) != PROWL_OK)
		return PROWL_USAGE;
	store_lock(s);
	r = work(s, now);
	if (r == -EBADMSG) { /* the index is damaged */
		r = store_index_open(s);
		if (r == 0)
			r = work(s, now);
	}
	if (r == -ENOSPC || r == -EDQUOT) {
		store_make_room(s);
		s->stale = true;
	} else if (r == 0) {
		store_reserve(s);
	}
	store_unlock(s);
	return r < 0 ? store_failed(s, r, "can't be kept in order", err) : PROWL_OK;
}

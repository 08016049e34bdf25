/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: a folder each, with event.json and what was captured. It is filled under another name and
 * appears as a whole. There are few, so that the folders themselves are the index.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "array.h"
#include "pprof.h"
#include "store_parts.h"

enum { MOST_EVENT = 1 << 20, MOST_FILES = 64 };

#define EVENTS "events/"

/* --- names ----------------------------------------------------------------------- */

/* One part of a path, which stays in its folder. */
static bool is_name(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/') && strlen(name) < 120;
}

/* DAY/NAME */
static bool is_id(const char *id)
{
	const char *slash = strchr(id, '/');
	size_t n = slash ? (size_t)(slash - id) : 0;

	return n == 10 && strspn(id, "0123456789-") == n && is_name(slash + 1) &&
	       strlen(id) < PROWL_STORE_ID;
}

static bool ends_in(const char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);

	return n >= k && !strcmp(s + n - k, suffix);
}

/* A free one: 2026-11-30/081502Z-etcd-4242-memory, and -2, -3 ... */
static void make_id(struct prowl_store *s, const struct prowl_store_event *e, char *id, size_t len)
{
	time_t t = (time_t)(e->time / 1000000000);
	const char *service = e->series ? prowl_series_get(e->series, PROWL_SERIES_SERVICE) : "";
	char day[32] = "1970-01-01/000000Z", word[48], kind[40], pid[24] = "", more[16] = "";
	char path[PROWL_STORE_PATH];
	struct tm tm;

	if (gmtime_r(&t, &tm))
		strftime(day, sizeof day, "%Y-%m-%d/%H%M%SZ", &tm);
	store_file_word(word, sizeof word, *service ? service : "host");
	store_file_word(kind, sizeof kind, e->kind);
	if (e->pid)
		snprintf(pid, sizeof pid, "-%lld", (long long)e->pid);
	for (unsigned int i = 2;; i++) {
		snprintf(id, len, "%s-%s%s-%s%s", day, word, pid, kind, more);
		store_path(path, EVENTS "%s", id);
		if (faccessat(s->dir, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return;
		snprintf(more, sizeof more, "-%u", i);
	}
}

/* --- writing --------------------------------------------------------------------- */

static int event_text(const struct prowl_store_event *e, char **ret)
{
	json_t *o = json_pack("{sIssss*sI}", "time", (json_int_t)e->time, "kind", e->kind,
			      "summary", e->summary, "pid", (json_int_t)e->pid);
	json_t *details = e->details ? json_loads(e->details, 0, NULL) : NULL;
	char *series = NULL;

	if (e->series && store_series_text(e->series, &series) == 0)
		json_object_set_new(o, "series", json_loads(series, 0, NULL));
	if (details)
		json_object_set_new(o, "details", details);
	free(series);
	*ret = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
	json_decref(o);
	return *ret ? 0 : -ENOMEM;
}

static int write_capture(struct prowl_store *s, const char *folder,
			 const struct prowl_store_capture *c)
{
	char path[PROWL_STORE_PATH];
	uint8_t *bytes = NULL;
	size_t len;
	int r;

	if (!is_name(c->name) || !strcmp(c->name, "event.json") || !strcmp(c->name, "keep"))
		return -EINVAL;
	if (store_path(path, "%s/%s", folder, c->name) < 0)
		return -ENAMETOOLONG;
	if (!c->profile)
		return store_write(s, path, c->bytes, c->len);
	r = pprof_encode(c->profile, STORE_LEVEL_HOUR, &bytes, &len);
	if (r == 0)
		r = store_write(s, path, bytes, len);
	free(bytes);
	return r;
}

static int write_file(struct prowl_store *s, const char *folder, const char *name, const char *text)
{
	char path[PROWL_STORE_PATH];

	if (store_path(path, "%s/%s", folder, name) < 0)
		return -ENAMETOOLONG;
	return store_write(s, path, text, strlen(text));
}

static void remove_folder(struct prowl_store *s, const char *folder);

static int write_event(struct prowl_store *s, const struct prowl_store_event *e,
		       const struct prowl_store_capture *captures, size_t n, char *id)
{
	char folder[PROWL_STORE_PATH], final[PROWL_STORE_PATH], *text = NULL;
	int r = event_text(e, &text);

	make_id(s, e, id, PROWL_STORE_ID);
	store_path(final, EVENTS "%s", id);
	store_path(folder, EVENTS "%s.tmp", id);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = write_capture(s, folder, &captures[i]);
	if (r == 0)
		r = write_file(s, folder, "event.json", text);
	if (r == 0 && e->keep)
		r = write_file(s, folder, "keep", "");
	if (r == 0 && renameat(s->dir, folder, s->dir, final) < 0)
		r = -errno;
	free(text);
	if (r < 0) {
		remove_folder(s, folder);
		return r;
	}
	store_path(folder, EVENTS "%.10s", id);
	return store_flush_dir(s, folder);
}

enum prowl_code prowl_store_event_put(struct prowl_store *s, const struct prowl_store_event *event,
				      const struct prowl_store_capture *captures, size_t n,
				      char ret_id[PROWL_STORE_ID], struct prowl_err *err)
{
	char id[PROWL_STORE_ID];
	int r;

	if (store_can_write(s, err) != PROWL_OK)
		return PROWL_USAGE;
	if (event->time <= 0 || !event->kind || !*event->kind || n > MOST_FILES)
		return prowl_fail(err, PROWL_USAGE, "an event has a time, a kind, and few files");
	store_lock(s);
	r = write_event(s, event, captures, n, id);
	if (r == -ENOSPC || r == -EDQUOT) {
		store_make_room(s);
		r = write_event(s, event, captures, n, id);
	}
	store_unlock(s);
	if (r == 0 && ret_id)
		memcpy(ret_id, id, sizeof id);
	return r < 0 ? store_failed(s, r, "an event can't be written", err) : PROWL_OK;
}

enum prowl_code prowl_store_event_keep(struct prowl_store *s, const char *id, bool keep,
				       struct prowl_err *err)
{
	char folder[PROWL_STORE_PATH], path[PROWL_STORE_PATH];
	int r = 0;

	if (store_can_write(s, err) != PROWL_OK)
		return PROWL_USAGE;
	store_path(folder, EVENTS "%s", id);
	store_path(path, "%s/keep", folder);
	if (!is_id(id) || faccessat(s->dir, folder, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return prowl_fail(err, PROWL_NOTHING, "there is no event %.100s", id);
	store_lock(s);
	if (keep)
		r = write_file(s, folder, "keep", "");
	else if (unlinkat(s->dir, path, 0) < 0 && errno != ENOENT)
		r = -errno;
	store_unlock(s);
	return r < 0 ? store_failed(s, r, "an event can't be changed", err) : PROWL_OK;
}

/* --- folders --------------------------------------------------------------------- */

typedef int (*entry_fn)(void *ctx, const char *name);

static int each_entry(int dir, const char *path, entry_fn cb, void *ctx)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		r = errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0 && (e = readdir(d))) {
		if (e->d_name[0] != '.')
			r = cb(ctx, e->d_name);
	}
	closedir(d);
	return r;
}

struct removal {
	struct prowl_store *s;
	const char *folder;
};

static int remove_entry(void *ctx, const char *name)
{
	const struct removal *m = ctx;
	char path[PROWL_STORE_PATH];

	if (store_path(path, "%s/%s", m->folder, name) == 0)
		unlinkat(m->s->dir, path, 0);
	return 0;
}

static void remove_folder(struct prowl_store *s, const char *folder)
{
	struct removal m = {s, folder};

	each_entry(s->dir, folder, remove_entry, &m);
	unlinkat(s->dir, folder, AT_REMOVEDIR);
}

struct ids {
	struct id {
		char text[PROWL_STORE_ID];
	} * id;
	size_t n, cap;
	const char *day;
	int dir;
	bool unfinished; /* those instead */
};

static int add_id(void *ctx, const char *name)
{
	struct ids *all = ctx;
	int r;

	if (ends_in(name, ".tmp") != all->unfinished || !is_name(name))
		return 0;
	r = prowl_array_reserve(&all->id, &all->cap, all->n + 1, sizeof *all->id);
	if (r < 0)
		return r;
	if ((size_t)snprintf(all->id[all->n].text, PROWL_STORE_ID, "%s/%s", all->day, name) <
	    PROWL_STORE_ID)
		all->n++;
	return 0;
}

static int add_day(void *ctx, const char *name)
{
	struct ids *all = ctx;
	char path[PROWL_STORE_PATH];

	all->day = name;
	if (store_path(path, EVENTS "%s", name) < 0)
		return 0;
	return each_entry(all->dir, path, add_id, all);
}

static int newest_first(const void *a, const void *b)
{
	return -strcmp(((const struct id *)a)->text, ((const struct id *)b)->text);
}

static int find_ids(struct prowl_store *s, struct ids *all)
{
	int r;

	all->dir = s->dir;
	r = each_entry(s->dir, "events", add_day, all);
	if (all->n)
		qsort(all->id, all->n, sizeof *all->id, newest_first);
	return r;
}

int store_remove_event(struct prowl_store *s, const char *id)
{
	char from[PROWL_STORE_PATH], to[PROWL_STORE_PATH];

	/* It goes as a whole, too. */
	store_path(from, EVENTS "%s", id);
	store_path(to, EVENTS "%s.tmp", id);
	if (!ends_in(id, ".tmp") && renameat(s->dir, from, s->dir, to) < 0)
		return -errno;
	remove_folder(s, ends_in(id, ".tmp") ? from : to);
	store_path(from, EVENTS "%.10s", id);
	unlinkat(s->dir, from, AT_REMOVEDIR); /* if that was the day's last */
	return 0;
}

void store_events_recover(struct prowl_store *s)
{
	struct ids all = {.unfinished = true};

	find_ids(s, &all);
	for (size_t i = 0; i < all.n; i++)
		store_remove_event(s, all.id[i].text);
	free(all.id);
}

/* --- reading --------------------------------------------------------------------- */

static void happened_fini(struct prowl_store_happened *h)
{
	for (size_t i = 0; i < h->nfiles; i++)
		free(h->files[i]);
	free(h->files);
	free((char *)h->event.kind);
	free((char *)h->event.summary);
	free((char *)h->event.details);
	prowl_series_free((struct prowl_series *)h->event.series);
}

void prowl_store_events_free(struct prowl_store_events *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->n; i++)
		happened_fini(&e->rows[i]);
	free(e->rows);
	free(e);
}

struct look {
	int dir;
	const char *folder;
	struct prowl_store_happened *h;
};

static int look_file(void *ctx, const char *name)
{
	struct look *l = ctx;
	struct prowl_store_happened *h = l->h;
	char path[PROWL_STORE_PATH], **files;
	struct stat st;

	if (store_path(path, "%s/%s", l->folder, name) < 0 ||
	    fstatat(l->dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	h->bytes += (uint64_t)st.st_size;
	if (!strcmp(name, "keep"))
		h->event.keep = true;
	if (!strcmp(name, "keep") || !strcmp(name, "event.json") || h->nfiles == MOST_FILES)
		return 0;
	files = reallocarray(h->files, h->nfiles + 1, sizeof *files);
	if (!files)
		return -ENOMEM;
	h->files = files;
	files[h->nfiles] = strdup(name);
	return files[h->nfiles] ? (h->nfiles++, 0) : -ENOMEM;
}

static json_t *load_event(int dir, const char *folder)
{
	char path[PROWL_STORE_PATH];
	struct stat st;
	json_t *o = NULL;
	int fd;

	store_path(path, "%s/event.json", folder);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= MOST_EVENT)
		o = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
	close(fd);
	return o;
}

static const char *copy_text(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return strdup(text ? text : "");
}

/* -ENODATA: it is not an event. */
static int read_event(struct prowl_store *s, const char *id, struct prowl_store_happened *h)
{
	char folder[PROWL_STORE_PATH];
	struct look l = {s->dir, folder, h};
	json_t *o, *part;
	char *text;
	int r;

	*h = (struct prowl_store_happened){0};
	snprintf(h->id, sizeof h->id, "%s", id);
	store_path(folder, EVENTS "%s", id);
	o = load_event(s->dir, folder);
	if (!o)
		return -ENODATA;
	h->event.time = json_integer_value(json_object_get(o, "time"));
	h->event.pid = json_integer_value(json_object_get(o, "pid"));
	h->event.kind = copy_text(o, "kind");
	h->event.summary = copy_text(o, "summary");
	part = json_object_get(o, "details");
	h->event.details = part ? json_dumps(part, JSON_COMPACT) : NULL;
	part = json_object_get(o, "series");
	text = part ? json_dumps(part, JSON_COMPACT) : NULL;
	if (text)
		store_series_parse(text, (struct prowl_series **)&h->event.series);
	free(text);
	json_decref(o);
	r = h->event.kind && h->event.summary ? each_entry(s->dir, folder, look_file, &l) : -ENOMEM;
	if (r < 0)
		happened_fini(h);
	return r;
}

static bool is_wanted(const struct prowl_query *q, const struct prowl_store_happened *h)
{
	static const struct prowl_series none;
	const struct prowl_store_event *e = &h->event;

	return e->time >= q->from && (!q->to || e->time < q->to) &&
	       (!q->kind || !strcmp(q->kind, e->kind)) &&
	       (!q->match || prowl_selector_matches(q->match, e->series ? e->series : &none));
}

static int take_event(struct prowl_store *s, const char *id, const struct prowl_query *q,
		      struct prowl_store_events *to)
{
	struct prowl_store_happened h = {0}, *rows;
	int r = read_event(s, id, &h);

	if (r == -ENODATA)
		return 0;
	if (r < 0)
		return r;
	if (!is_wanted(q, &h)) {
		happened_fini(&h);
		return 0;
	}
	if (to->n == (q->limit ? q->limit : 1000)) {
		to->truncated = true;
		happened_fini(&h);
		return 0;
	}
	rows = reallocarray(to->rows, to->n + 1, sizeof *rows);
	if (!rows) {
		happened_fini(&h);
		return -ENOMEM;
	}
	to->rows = rows;
	rows[to->n++] = h;
	return 0;
}

enum prowl_code prowl_store_events(struct prowl_store *s, const struct prowl_query *q,
				   struct prowl_store_events **ret, struct prowl_err *err)
{
	struct prowl_store_events *e = calloc(1, sizeof *e);
	struct ids all = {0};
	int r = e ? find_ids(s, &all) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < all.n && !e->truncated; i++)
		r = take_event(s, all.id[i].text, q, e);
	free(all.id);
	if (r == 0) {
		*ret = e;
		return PROWL_OK;
	}
	prowl_store_events_free(e);
	return store_failed(s, r, "events", err);
}

int prowl_store_event_open(struct prowl_store *s, const char *id, const char *file)
{
	char path[PROWL_STORE_PATH];
	int fd;

	if (!is_id(id) || ends_in(id, ".tmp") || !is_name(file) ||
	    store_path(path, EVENTS "%s/%s", id, file) < 0)
		return -ENOENT;
	fd = openat(s->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* --- bounds ---------------------------------------------------------------------- */

/* Counted from the newest: the others are deleted, but those that are to be kept. */
/* The newest ones may be of a clock that was wrong: age is counted from those before them. */
enum { ANY_CLOCK = 8 };

void store_events_retain(struct prowl_store *s)
{
	struct ids all = {0};
	uint64_t bytes = 0, n = 0;
	int64_t newest = 0;

	if (find_ids(s, &all) < 0)
		all.n = 0;
	for (size_t i = 0; i < all.n; i++) {
		struct prowl_store_happened h = {0};
		bool old;

		if (read_event(s, all.id[i].text, &h) < 0)
			continue;
		if (i >= ANY_CLOCK && h.event.time > newest)
			newest = h.event.time;
		old = newest - h.event.time > (int64_t)s->o.events_max_age_ns;
		n++;
		bytes += h.bytes;
		if (!h.event.keep &&
		    (old || n > s->o.events_max || bytes > s->o.events_max_bytes) &&
		    store_remove_event(s, h.id) == 0) {
			store_log(s, "deleted the event %s, %llu bytes: %s", h.id,
				  (unsigned long long)h.bytes,
				  old ? "it is older than store.events.max_age"
				      : "there are more than store.events allows");
			n--;
			bytes -= h.bytes;
		}
		happened_fini(&h);
	}
	free(all.id);
}

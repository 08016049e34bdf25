/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing: the lock of the one writer, and what an earlier one left unfinished. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store_parts.h"

#define SECOND 1000000000ull
#define DAY    (86400 * SECOND)
#define GIB    (1ull << 30)

/* --- words ----------------------------------------------------------------------- */

void store_log(struct prowl_store *s, const char *fmt, ...)
{
	char line[PROWL_STORE_PATH * 2 + 256];
	va_list ap;

	if (!s->o.log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	s->o.log(s->o.log_ctx, line);
}

enum prowl_code store_failed(struct prowl_store *s, int r, const char *doing, struct prowl_err *err)
{
	bool denied = r == -EACCES || r == -EPERM;

	if (r == -E2BIG || r == -ETIME) {
		prowl_fail(err, PROWL_USAGE, "that is more than can be read %s",
			   r == -ETIME ? "in the time of a query" : "into the memory of a query");
		prowl_hint(err, "ask for a shorter time, or for fewer series");
		return PROWL_USAGE;
	}
	prowl_fail(err, denied ? PROWL_PERMISSION : PROWL_FAILED, "%s: %s: %s", s->path, doing,
		   strerror(-r));
	if (r == -EROFS)
		prowl_hint(err, "the file system, or the index, can't be written to");
	return denied ? PROWL_PERMISSION : PROWL_FAILED;
}

enum prowl_code store_can_write(struct prowl_store *s, struct prowl_err *err)
{
	if (!s->o.read_only)
		return PROWL_OK;
	return prowl_fail(err, PROWL_USAGE, "%s is open for reading only", s->path);
}

const char *prowl_store_flag_name(unsigned int flag)
{
	switch (flag) {
	case PROWL_STORE_SHORT:
		return "short";
	case PROWL_STORE_CLOCK_STEPPED:
		return "clock_stepped";
	case PROWL_STORE_SUSPENDED:
		return "suspended";
	case PROWL_STORE_SHED:
		return "shed";
	case PROWL_STORE_RESTARTED:
		return "restarted";
	default:
		return NULL;
	}
}

/* --- threads --------------------------------------------------------------------- */

void store_lock(struct prowl_store *s)
{
	pthread_mutex_lock(&s->writing);
}

void store_unlock(struct prowl_store *s)
{
	pthread_mutex_unlock(&s->writing);
}

void store_suspect(struct prowl_store *s, const char *path)
{
	pthread_mutex_lock(&s->counting);
	if (!s->o.read_only && s->nsuspects < sizeof s->suspects / sizeof *s->suspects)
		snprintf(s->suspects[s->nsuspects++], sizeof *s->suspects, "%s", path);
	pthread_mutex_unlock(&s->counting);
}

void prowl_store_state(struct prowl_store *s, struct prowl_store_state *ret)
{
	pthread_mutex_lock(&s->counting);
	*ret = s->state;
	pthread_mutex_unlock(&s->counting);
}

/* --- defaults -------------------------------------------------------------------- */

static void set_default(uint64_t *field, uint64_t value)
{
	if (!*field)
		*field = value;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void set_defaults(struct prowl_store *s)
{
	struct prowl_store_options *o = &s->o;
	struct statvfs fs;
	uint64_t all = 0, avail = 0;

	if (fstatvfs(s->dir, &fs) == 0) {
		all = (uint64_t)fs.f_blocks * fs.f_frsize;
		avail = (uint64_t)fs.f_bavail * fs.f_frsize;
	}
	set_default(&o->max_bytes, all ? least(2 * GIB, all / 20) : 2 * GIB);
	set_default(&o->min_free, least(all / 20 > GIB ? all / 20 : GIB, avail / 2));
	set_default(&o->max_age_ns, 30 * DAY);
	set_default(&o->events_max, 500);
	set_default(&o->events_max_bytes, 256ull << 20);
	set_default(&o->events_max_age_ns, 90 * DAY);
	set_default(&o->label_values, 200);
	set_default(&o->window_ns, 60 * SECOND);
	set_default(&o->hour_ns, 3600 * SECOND);
	if (!(o->max_delete_fraction > 0 && o->max_delete_fraction <= 1))
		o->max_delete_fraction = 0.2;
}

/* --- the folder ------------------------------------------------------------------ */

static enum prowl_code check_format(struct prowl_store *s, struct prowl_err *err)
{
	char text[4096];
	int fd = openat(s->dir, "store.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
	json_t *o = n < 0 ? NULL : json_loadb(text, (size_t)n, 0, NULL);
	json_int_t format = json_integer_value(json_object_get(o, "format"));

	json_decref(o);
	if (fd >= 0)
		close(fd);
	s->foreign = format > STORE_FORMAT;
	if (!s->foreign || s->o.read_only)
		return PROWL_OK;
	prowl_fail(err, PROWL_UNSUPPORTED, "%s was written by a newer prowl (format %lld)", s->path,
		   (long long)format);
	prowl_hint(err, "this one can only read it: prowl daemon query --store %.200s", s->path);
	return PROWL_UNSUPPORTED;
}

static int write_format(struct prowl_store *s)
{
	json_t *o = json_pack("{sisssssI}", "format", STORE_FORMAT, "written_by",
			      "prowl " PROWL_VERSION, "host", s->host ? s->host : "", "window",
			      (json_int_t)s->o.window_ns);
	char *text = json_dumps(o, JSON_COMPACT);
	int r = text ? store_write(s, "store.json", text, strlen(text)) : -ENOMEM;

	json_decref(o);
	free(text);
	return r;
}

static enum prowl_code take_lock(struct prowl_store *s, struct prowl_err *err)
{
	char pid[24] = "";

	s->lock_fd = openat(s->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (s->lock_fd < 0)
		return store_failed(s, -errno, "lock", err);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (pread(s->lock_fd, pid, sizeof pid - 1, 0) < 0)
			pid[0] = '\0';
		prowl_fail(err, PROWL_FAILED, "another process (%s) writes to %s",
			   pid[0] ? pid : "unknown", s->path);
		prowl_hint(err, "stop it, or use another folder (--store)");
		return PROWL_FAILED;
	}
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	if (ftruncate(s->lock_fd, 0) == 0 && pwrite(s->lock_fd, pid, strlen(pid), 0) < 0)
		return store_failed(s, -errno, "lock", err);
	return PROWL_OK;
}

static int remove_unfinished(void *ctx, const char *path, uint64_t bytes)
{
	struct prowl_store *s = ctx;
	size_t n = strlen(path);

	if (n > 4 && !strcmp(path + n - 4, ".tmp"))
		unlinkat(s->dir, path, 0);
	return 0;
}

static int recover(struct prowl_store *s)
{
	static const char *const folders[] = {"live", "data", "events", "bad"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof folders / sizeof *folders; i++) {
		if (mkdirat(s->dir, folders[i], 0750) < 0 && errno != EEXIST)
			r = -errno;
		else
			r = store_walk(s->dir, folders[i], remove_unfinished, s);
	}
	unlinkat(s->dir, "store.json.tmp", 0);
	unlinkat(s->dir, "pins.json.tmp", 0);
	store_events_recover(s);
	return r;
}

static void note_newest(struct prowl_store *s)
{
	sqlite3_stmt *q = NULL;

	if (store_index_prepare(s->db, "SELECT max(end) FROM file", &q) == 0 &&
	    store_index_step(q) > 0)
		s->state.newest = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
}

static enum prowl_code open_writer(struct prowl_store *s, struct prowl_err *err)
{
	enum prowl_code code = take_lock(s, err);
	int r;

	if (code != PROWL_OK)
		return code;
	r = recover(s);
	if (r == 0 && faccessat(s->dir, "store.json", F_OK, 0) < 0)
		r = write_format(s);
	if (r < 0)
		return store_failed(s, r, "can't be written", err);
	store_reserve(s);
	r = store_index_open(s);
	if (r < 0)
		return store_failed(s, r, "index.db", err);
	note_newest(s);
	return PROWL_OK;
}

/*
 * Whether nobody else can put links or files into the folder that is about to be written: then
 * files anywhere would be written and deleted with our rights. prowl's own user counts as one of
 * us for root, who cares for the daemon's store.
 */
static enum prowl_code check_owner(struct prowl_store *s, struct prowl_err *err)
{
	const struct passwd *daemon;
	struct stat st;

	if (fstat(s->dir, &st) < 0)
		return store_failed(s, -errno, "can't be opened", err);
	daemon = st.st_uid == 0 || st.st_uid == geteuid() ? NULL : getpwnam("prowl");
	if (!(st.st_mode & S_IWOTH) &&
	    (st.st_uid == 0 || st.st_uid == geteuid() || (daemon && daemon->pw_uid == st.st_uid)))
		return PROWL_OK;
	prowl_fail(err, PROWL_PERMISSION,
		   "%s is not written to: %s could have it written and deleted elsewhere", s->path,
		   st.st_mode & S_IWOTH ? "everybody" : "its owner, another user,");
	prowl_hint(err, "use a folder that is yours, and that only you may write to");
	return PROWL_PERMISSION;
}

static enum prowl_code open_store(struct prowl_store *s, struct prowl_err *err)
{
	enum prowl_code code;

	if (!s->o.read_only && mkdir(s->path, 0750) < 0 && errno != EEXIST)
		return store_failed(s, -errno, "can't be made", err);
	s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return store_failed(s, -errno, "can't be opened", err);
	code = s->o.read_only ? PROWL_OK : check_owner(s, err);
	if (code != PROWL_OK)
		return code;
	set_defaults(s);
	if (s->o.hour_ns % s->o.window_ns)
		return prowl_fail(err, PROWL_USAGE, "windows of %llu ns don't divide an hour",
				  (unsigned long long)s->o.window_ns);
	if (s->o.read_only && faccessat(s->dir, "data", F_OK, 0) < 0 &&
	    faccessat(s->dir, "live", F_OK, 0) < 0 && faccessat(s->dir, "store.json", F_OK, 0) < 0)
		return prowl_fail(err, PROWL_FAILED, "%s is not a store: it has no store.json",
				  s->path);
	code = check_format(s, err);
	return code != PROWL_OK || s->o.read_only ? code : open_writer(s, err);
}

enum prowl_code prowl_store_open(const struct prowl_store_options *options,
				 struct prowl_store **ret, struct prowl_err *err)
{
	struct prowl_store *s = calloc(1, sizeof *s);
	enum prowl_code code;

	if (!s || !(s->path = strdup(options->path))) {
		free(s);
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	}
	s->o = *options;
	s->o.path = s->path;
	s->host = options->host ? strdup(options->host) : NULL;
	s->dir = s->lock_fd = -1;
	pthread_mutex_init(&s->writing, NULL);
	pthread_mutex_init(&s->counting, NULL);
	code = open_store(s, err);
	if (code == PROWL_OK)
		*ret = s;
	else
		prowl_store_close(s);
	return code;
}

void prowl_store_close(struct prowl_store *s)
{
	if (!s)
		return;
	if (s->db && s->nkept)
		store_flush_kept(s);
	sqlite3_close_v2(s->db);
	for (size_t i = 0; i < s->nkept; i++) {
		store_meta_free(s->kept[i].meta);
		free(s->kept[i].bytes);
	}
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	if (s->dir >= 0)
		close(s->dir);
	pthread_mutex_destroy(&s->writing);
	pthread_mutex_destroy(&s->counting);
	free(s->path);
	free(s->host);
	free(s);
}

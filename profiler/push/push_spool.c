/* SPDX-License-Identifier: Apache-2.0 */
#include "push_spool_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "array.h"

/* The name of the files of an item, without what follows the point. */
enum { NAME = 20 + 1 + 32, MAX_FILE = 64 << 20 };

static const char meta_ending[] = ".json", profile_ending[] = ".pb.gz";

struct file_name {
	char text[NAME + 16];
};

static struct file_name name_of(const struct spool_entry *e, const char *ending)
{
	struct file_name f;

	snprintf(f.text, sizeof f.text, "%020" PRIu64 "-%016" PRIx64 "%016" PRIx64 "%s", e->end_ns,
		 e->key[0], e->key[1], ending);
	return f;
}

static struct file_name offered(const struct spool_offer *o, const char *ending)
{
	struct file_name f;

	snprintf(f.text, sizeof f.text, "%s%s", o->name, ending);
	return f;
}

/* --- reading a folder ------------------------------------------------------------ */

/* Whether it is a name that name_of makes; with which ending. */
static bool parse_name(const char *name, struct spool_entry *e, bool *is_meta)
{
	const char *ending = strlen(name) > NAME ? name + NAME : "";
	struct file_name again;

	*e = (struct spool_entry){0};
	*is_meta = strcmp(ending, meta_ending) == 0;
	if (!*is_meta && strcmp(ending, profile_ending) != 0)
		return false;
	if (sscanf(name, "%20" SCNu64 "-%16" SCNx64 "%16" SCNx64, &e->end_ns, &e->key[0],
		   &e->key[1]) != 3)
		return false;
	again = name_of(e, ending);
	return strcmp(again.text, name) == 0;
}

static bool size_of(int dir, const char *name, uint64_t *bytes)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	*bytes += (uint64_t)st.st_size;
	return true;
}

static void unlink_both(int dir, const struct spool_entry *e)
{
	unlinkat(dir, name_of(e, meta_ending).text, 0);
	unlinkat(dir, name_of(e, profile_ending).text, 0);
}

static int by_age(const void *a, const void *b)
{
	const struct spool_entry *x = a, *y = b;

	if (x->end_ns != y->end_ns)
		return x->end_ns < y->end_ns ? -1 : 1;
	return memcmp(x->key, y->key, sizeof x->key);
}

static int add_entry(struct push_spool *s, const struct spool_entry *e)
{
	int r = prowl_array_reserve(&s->entries, &s->cap, s->n + 1, sizeof *s->entries);

	if (r < 0)
		return r;
	s->entries[s->n++] = *e;
	s->bytes += e->bytes;
	return 0;
}

/* An item of which one file is missing is none. */
static int add_found(struct push_spool *s, struct spool_entry *e, bool is_meta)
{
	uint64_t other = 0;

	if (!is_meta) {
		if (!size_of(s->dir, name_of(e, meta_ending).text, &other))
			unlink_both(s->dir, e);
		return 0;
	}
	if (!size_of(s->dir, name_of(e, meta_ending).text, &e->bytes) ||
	    !size_of(s->dir, name_of(e, profile_ending).text, &e->bytes)) {
		unlink_both(s->dir, e);
		return 0;
	}
	return add_entry(s, e);
}

/* A stream of its own over a folder; the descriptor stays. */
static DIR *stream(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (!d && fd >= 0)
		close(fd);
	return d;
}

static int read_folder(struct push_spool *s)
{
	DIR *d = stream(s->dir);
	const struct dirent *f;
	struct spool_entry e;
	bool is_meta;
	int r = d ? 0 : -errno;

	while (r == 0 && (f = readdir(d))) {
		if (parse_name(f->d_name, &e, &is_meta))
			r = add_found(s, &e, is_meta);
		else if (strncmp(f->d_name, "new-", 4) == 0)
			unlinkat(s->dir, f->d_name, 0);
	}
	if (d)
		closedir(d);
	if (s->n)
		qsort(s->entries, s->n, sizeof *s->entries, by_age);
	return r;
}

static int open_folder(int at, const char *name)
{
	int fd;

	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int push_spool_root(const char *folder, int *ret_dir)
{
	const struct dirent *f;
	int fd = open_folder(AT_FDCWD, folder);
	DIR *d = fd >= 0 ? stream(fd) : NULL;

	if (fd < 0)
		return fd;
	while (d && (f = readdir(d))) {
		if (strncmp(f->d_name, "new-", 4) == 0)
			unlinkat(fd, f->d_name, 0);
	}
	if (d)
		closedir(d);
	*ret_dir = fd;
	return 0;
}

int push_spool_open(int root, const char *sink, struct push_spool *ret)
{
	int fd = open_folder(root, sink), r;

	*ret = (struct push_spool){.dir = fd};
	if (fd < 0)
		return fd;
	r = read_folder(ret);
	if (r < 0)
		push_spool_close(ret);
	return r;
}

void push_spool_close(struct push_spool *s)
{
	if (s->dir >= 0)
		close(s->dir);
	free(s->entries);
	*s = (struct push_spool){.dir = -1};
}

void push_spool_forget(int root, const char *sink)
{
	int fd = openat(root, sink, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? stream(fd) : NULL;
	const struct dirent *f;
	struct spool_entry e;
	bool is_meta;

	while (d && (f = readdir(d))) {
		if (parse_name(f->d_name, &e, &is_meta))
			unlinkat(fd, f->d_name, 0);
	}
	if (d)
		closedir(d);
	if (fd >= 0)
		close(fd);
	unlinkat(root, sink, AT_REMOVEDIR);
}

/* --- offering -------------------------------------------------------------------- */

static int write_all(int fd, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_file(int dir, const char *name, const void *bytes, size_t len)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r;

	if (fd < 0)
		return -errno;
	r = write_all(fd, bytes, len);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	return r;
}

static int read_whole(int dir, const char *name, uint8_t **ret, size_t *ret_len)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), r = 0;
	struct stat st = {0};
	uint8_t *bytes = NULL;
	size_t got = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_FILE)
		r = -EBADMSG;
	if (r == 0)
		bytes = malloc((size_t)st.st_size + 1);
	if (r == 0 && !bytes)
		r = -ENOMEM;
	while (r == 0 && got < (size_t)st.st_size) {
		ssize_t n = read(fd, bytes + got, (size_t)st.st_size - got);

		if (n == 0 || (n < 0 && errno != EINTR))
			r = n == 0 ? -EBADMSG : -errno;
		else if (n > 0)
			got += (size_t)n;
	}
	close(fd);
	if (r < 0) {
		free(bytes);
		return r;
	}
	*ret = bytes;
	*ret_len = got;
	return 0;
}

static int copy_file(const char *from, int dir, const char *to)
{
	uint8_t *bytes;
	size_t len;
	int r = read_whole(AT_FDCWD, from, &bytes, &len);

	if (r < 0)
		return r;
	r = write_file(dir, to, bytes, len);
	free(bytes);
	return r;
}

/* Other file systems, and kernels that protect files of others, don't take hard links. */
static int put_profile(const struct prowl_push_item *item, int dir, const char *name)
{
	if (item->bytes)
		return write_file(dir, name, item->bytes, item->len);
	if (linkat(AT_FDCWD, item->file, dir, name, 0) == 0)
		return 0;
	return errno == ENOENT ? -ENOENT : copy_file(item->file, dir, name);
}

int push_spool_prepare(int root, uint64_t serial, const struct prowl_push_item *item,
		       struct spool_offer *ret)
{
	char *meta = NULL;
	int r = push_meta_write(item, &meta);

	*ret = (struct spool_offer){.root = root, .entry = {.end_ns = item->end_ns}};
	push_item_key(item, ret->entry.key);
	snprintf(ret->name, sizeof ret->name, "new-%" PRIu64, serial);
	if (r == 0)
		r = put_profile(item, root, offered(ret, profile_ending).text);
	if (r == 0)
		r = write_file(root, offered(ret, meta_ending).text, meta, strlen(meta));
	if (r == 0 && (!size_of(root, offered(ret, meta_ending).text, &ret->entry.bytes) ||
		       !size_of(root, offered(ret, profile_ending).text, &ret->entry.bytes)))
		r = -EIO;
	free(meta);
	if (r < 0)
		push_spool_discard(ret);
	return r;
}

void push_spool_discard(const struct spool_offer *o)
{
	unlinkat(o->root, offered(o, meta_ending).text, 0);
	unlinkat(o->root, offered(o, profile_ending).text, 0);
}

static int link_into(struct push_spool *s, const struct spool_offer *o, const char *ending)
{
	const struct file_name from = offered(o, ending), to = name_of(&o->entry, ending);

	if (linkat(o->root, from.text, s->dir, to.text, 0) == 0)
		return 0;
	if (errno != EEXIST) /* one that is known of no more */
		return -errno;
	unlinkat(s->dir, to.text, 0);
	return linkat(o->root, from.text, s->dir, to.text, 0) < 0 ? -errno : 0;
}

int push_spool_add(struct push_spool *s, const struct spool_offer *o)
{
	size_t at = s->n;
	int r;

	if (push_spool_find(s, o->entry.key))
		return -EEXIST;
	r = add_entry(s, &o->entry);
	if (r == 0)
		r = link_into(s, o, profile_ending);
	if (r == 0)
		r = link_into(s, o, meta_ending);
	if (r < 0) {
		if (s->n > at)
			push_spool_drop(s, &s->entries[at]);
		return r;
	}
	/* nearly always it is the newest */
	for (; at && by_age(&s->entries[at], &s->entries[at - 1]) < 0; at--) {
		struct spool_entry e = s->entries[at];

		s->entries[at] = s->entries[at - 1];
		s->entries[at - 1] = e;
	}
	return 0;
}

/* --- taking away ----------------------------------------------------------------- */

static bool is_busy(const struct push_spool *s, const struct spool_entry *e)
{
	return s->busy && memcmp(s->busy_key, e->key, sizeof e->key) == 0;
}

void push_spool_drop(struct push_spool *s, const struct spool_entry *e)
{
	size_t i = (size_t)(e - s->entries);

	unlink_both(s->dir, e);
	s->bytes -= e->bytes;
	s->n--;
	memmove(&s->entries[i], &s->entries[i + 1], (s->n - i) * sizeof *s->entries);
}

uint64_t push_spool_make_room(struct push_spool *s, uint64_t more, uint64_t most, bool *ret_fits)
{
	uint64_t dropped = 0;

	for (size_t i = 0; more <= most && s->bytes > most - more && i < s->n;) {
		if (is_busy(s, &s->entries[i])) {
			i++;
			continue;
		}
		push_spool_drop(s, &s->entries[i]);
		dropped++;
	}
	*ret_fits = more <= most && s->bytes <= most - more;
	return dropped;
}

uint64_t push_spool_expire(struct push_spool *s, uint64_t end_ns)
{
	uint64_t dropped = 0;

	for (size_t i = 0; i < s->n && s->entries[i].end_ns < end_ns;) {
		if (is_busy(s, &s->entries[i])) {
			i++;
			continue;
		}
		push_spool_drop(s, &s->entries[i]);
		dropped++;
	}
	return dropped;
}

struct spool_entry *push_spool_next(struct push_spool *s)
{
	struct spool_entry *next = NULL;

	for (size_t i = 0; i < s->n && (!next || next->tries); i++) {
		if (!next || s->entries[i].tries < next->tries)
			next = &s->entries[i];
	}
	return next;
}

struct spool_entry *push_spool_find(struct push_spool *s, const uint64_t key[2])
{
	for (size_t i = 0; i < s->n; i++) {
		if (memcmp(s->entries[i].key, key, sizeof s->entries[i].key) == 0)
			return &s->entries[i];
	}
	return NULL;
}

/* --- the files ------------------------------------------------------------------- */

int push_spool_read(int dir, const struct spool_entry *e, struct push_meta *meta, uint8_t **ret,
		    size_t *ret_len)
{
	uint8_t *text = NULL;
	size_t len = 0;
	int r = read_whole(dir, name_of(e, meta_ending).text, &text, &len);

	if (r == 0)
		r = push_meta_read((const char *)text, len, meta);
	free(text);
	if (r < 0)
		return r;
	r = read_whole(dir, name_of(e, profile_ending).text, ret, ret_len);
	if (r < 0)
		push_meta_fini(meta);
	return r;
}

int push_spool_mark(int dir, const struct spool_entry *e, struct push_meta *meta, uint64_t done)
{
	static const char new[] = "new-mark";
	char *text = NULL;
	int r = push_meta_again(meta, done, &text);

	unlinkat(dir, new, 0); /* of an attempt that was cut short */
	if (r == 0)
		r = write_file(dir, new, text, strlen(text));
	/* a file of its own: the old one is that of other sinks, too */
	if (r == 0 && renameat(dir, new, dir, name_of(e, meta_ending).text) < 0)
		r = -errno;
	free(text);
	return r;
}

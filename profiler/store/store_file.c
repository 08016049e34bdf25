/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files: written so that they are whole or not there, and read with suspicion. What a file says of
 * itself is in the extra field of its gzip header (RFC 1952, 2.3.1.1), subfield "Pw", packed with
 * zlib behind its length, so that an index is made from the beginnings of files. The same text is a
 * comment of the profile: some tools write the header anew.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "clock.h"
#include "pprof.h"
#include "store_parts.h"

enum {
	HEADER = 10, /* of gzip, without any fields */
	FLAGS_AT = 3,
	HAS_EXTRA = 4,
	SUBFIELD = 4, /* its id and length */
	MOST_EXTRA = 65535,
	MOST_TEXT = 16 << 20,
	MOST_FILE = 1 << 30,
	MOST_DEPTH = 8,
};

/* --- the text in the header ------------------------------------------------------ */

static void put16(uint8_t *to, size_t v)
{
	to[0] = (uint8_t)(v & 0xff);
	to[1] = (uint8_t)(v >> 8);
}

static size_t get16(const uint8_t *from)
{
	return (size_t)from[0] | (size_t)from[1] << 8;
}

/* The extra field: its length, the subfield's id and length, the text's length, the packed text. */
static int make_extra(const char *text, uint8_t **ret, size_t *ret_len)
{
	size_t len = strlen(text), fixed = 2 + SUBFIELD + 4;
	uLongf packed = compressBound(len);
	uint8_t *extra = malloc(fixed + packed);

	if (!extra)
		return -ENOMEM;
	if (len > MOST_TEXT || compress2(extra + fixed, &packed, (const Bytef *)text, len, 9) ||
	    packed + SUBFIELD + 4 > MOST_EXTRA) {
		packed = 0;
		fixed = 2 + SUBFIELD; /* an empty subfield: see the comments */
	}
	put16(extra, fixed + packed - 2);
	extra[2] = 'P';
	extra[3] = 'w';
	put16(extra + 4, fixed + packed - 2 - SUBFIELD);
	if (packed) {
		put16(extra + 6, len & 0xffff);
		put16(extra + 8, len >> 16);
	}
	*ret = extra;
	*ret_len = fixed + packed;
	return 0;
}

int store_pack(const struct pprof_profile *p, const char *text, int level, uint8_t **ret,
	       size_t *ret_len)
{
	uint8_t *plain = NULL, *extra = NULL, *all = NULL;
	size_t nplain, nextra;
	int r = pprof_encode(p, level, &plain, &nplain);

	if (r == 0)
		r = make_extra(text, &extra, &nextra);
	if (r == 0)
		r = (all = malloc(nplain + nextra)) ? 0 : -ENOMEM;
	if (r == 0) {
		memcpy(all, plain, HEADER);
		all[FLAGS_AT] |= HAS_EXTRA;
		memcpy(all + HEADER, extra, nextra);
		memcpy(all + HEADER + nextra, plain + HEADER, nplain - HEADER);
		*ret = all;
		*ret_len = nplain + nextra;
	}
	free(plain);
	free(extra);
	return r;
}

static int unpack(const uint8_t *at, size_t len, char **ret, size_t *ret_len)
{
	uLongf n;
	char *text;

	if (len == 0)
		return -ENODATA;
	if (len < 4)
		return -EBADMSG;
	n = get16(at) | get16(at + 2) << 16;
	/* deflate makes a thousandth of it at best */
	if (n > MOST_TEXT || n / 1100 > len)
		return -EBADMSG;
	text = malloc(n + 1);
	if (!text)
		return -ENOMEM;
	*ret_len = n;
	if (uncompress((Bytef *)text, &n, at + 4, len - 4) != Z_OK || n != *ret_len) {
		free(text);
		return -EBADMSG;
	}
	text[n] = '\0';
	*ret = text;
	return 0;
}

int store_unpack_text(const uint8_t *bytes, size_t len, char **ret, size_t *ret_len)
{
	size_t end, at = HEADER + 2;

	if (len < HEADER || bytes[0] != 0x1f || bytes[1] != 0x8b)
		return -EBADMSG;
	if (!(bytes[FLAGS_AT] & HAS_EXTRA))
		return -ENODATA;
	if (len < at)
		return -EBADMSG;
	end = at + get16(bytes + HEADER);
	if (end > len)
		return -EBADMSG;
	while (at + SUBFIELD <= end) {
		size_t n = get16(bytes + at + 2);

		if (n > end - at - SUBFIELD)
			return -EBADMSG;
		if (bytes[at] == 'P' && bytes[at + 1] == 'w')
			return unpack(bytes + at + SUBFIELD, n, ret, ret_len);
		at += SUBFIELD + n;
	}
	return -ENODATA;
}

static const char *comment_text(const struct pprof_profile *p)
{
	for (size_t i = 0; i < p->ncomments; i++) {
		const char *c = p->strings[p->comments[i]];

		if (!strncmp(c, STORE_COMMENT, strlen(STORE_COMMENT)))
			return c + strlen(STORE_COMMENT);
	}
	return NULL;
}

/* --- reading --------------------------------------------------------------------- */

static int read_at(int fd, uint8_t *to, size_t len, size_t *ret)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, to + done, len - done, (off_t)done);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	*ret = done;
	return 0;
}

static int open_file(int dir, const char *path, int *ret_fd, uint64_t *ret_bytes)
{
	struct stat st;
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return errno == ELOOP ? -EBADMSG : -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MOST_FILE) {
		close(fd);
		return -EBADMSG;
	}
	*ret_fd = fd;
	*ret_bytes = (uint64_t)st.st_size;
	return 0;
}

int store_read_meta(int dir, const char *path, struct store_meta **ret, uint64_t *ret_bytes)
{
	uint8_t *head = malloc(HEADER + 2 + MOST_EXTRA);
	struct pprof_profile *p = NULL;
	char *text = NULL, bad[96];
	size_t n = 0, len = 0;
	int fd = -1, r = head ? open_file(dir, path, &fd, ret_bytes) : -ENOMEM;

	if (r == 0)
		r = read_at(fd, head, HEADER + 2, &n);
	if (r == 0 && n == HEADER + 2)
		r = read_at(fd, head, n + get16(head + HEADER), &n);
	if (r == 0)
		r = store_unpack_text(head, n, &text, &len);
	if (r == 0)
		r = store_meta_decode(text, len, ret);
	else if (r == -ENODATA)
		r = store_read(dir, path, ret, &p, bad, sizeof bad);
	if (fd >= 0)
		close(fd);
	pprof_profile_free(p);
	free(text);
	free(head);
	return r;
}

int store_read_bytes(int dir, const char *path, uint8_t **ret, size_t *ret_len)
{
	uint64_t bytes = 0;
	uint8_t *all;
	int fd = -1, r = open_file(dir, path, &fd, &bytes);

	if (r < 0)
		return r;
	all = malloc(bytes + 1);
	r = all ? read_at(fd, all, bytes, ret_len) : -ENOMEM;
	close(fd);
	if (r == 0)
		*ret = all;
	else
		free(all);
	return r;
}

static int say_bad(char *bad, size_t len, const char *why)
{
	snprintf(bad, len, "%s", why);
	return -EBADMSG;
}

/* The header's text, if there is one, is the comment's. */
static int check_text(const uint8_t *bytes, size_t len, const struct pprof_profile *p,
		      struct store_meta **ret, char *bad, size_t nbad)
{
	const char *comment = comment_text(p);
	char *text = NULL;
	size_t n;
	int r = store_unpack_text(bytes, len, &text, &n);

	if (r == -ENOMEM)
		return r;
	if (!comment)
		r = say_bad(bad, nbad, "it doesn't say what it is a profile of");
	else if (r == -EBADMSG || (r == 0 && strcmp(text, comment) != 0))
		r = say_bad(bad, nbad, "its header is damaged");
	else
		r = store_meta_decode(comment, strlen(comment), ret);
	if (r == -EBADMSG && !*bad)
		say_bad(bad, nbad, "what it says of itself can't be read");
	free(text);
	return r;
}

int store_parse(const uint8_t *bytes, size_t len, struct store_meta **ret_meta,
		struct pprof_profile **ret, char *bad, size_t nbad)
{
	struct pprof_diag diag = {0};
	struct pprof_profile *p = NULL;
	int r = pprof_decode(bytes, len, 0, &p, &diag);

	*bad = '\0';
	if (r == -EBADMSG || r == -EFBIG)
		r = say_bad(bad, nbad, diag.what ? diag.what : "it is too large");
	if (r == 0)
		r = check_text(bytes, len, p, ret_meta, bad, nbad);
	if (r == 0)
		*ret = p;
	else
		pprof_profile_free(p);
	return r;
}

int store_read(int dir, const char *path, struct store_meta **ret_meta, struct pprof_profile **ret,
	       char *bad, size_t nbad)
{
	uint8_t *bytes = NULL;
	size_t len = 0;
	int r = store_read_bytes(dir, path, &bytes, &len);

	*bad = '\0';
	if (r == 0)
		r = store_parse(bytes, len, ret_meta, ret, bad, nbad);
	else if (r == -EBADMSG)
		say_bad(bad, nbad, "it is not a file, or too large");
	free(bytes);
	return r;
}

/* --- writing --------------------------------------------------------------------- */

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		bytes += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int flush(struct prowl_store *s, int fd, bool data)
{
	uint64_t begin = prowl_now();
	int r = s->o.no_fsync ? 0 : data ? fdatasync(fd) : fsync(fd);

	r = r < 0 ? -errno : 0;
	pthread_mutex_lock(&s->counting);
	s->state.fsync_ns += prowl_now() - begin;
	pthread_mutex_unlock(&s->counting);
	return r;
}

int store_flush_dir(struct prowl_store *s, const char *path)
{
	int fd = openat(s->dir, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = flush(s, fd, false);
	close(fd);
	return r;
}

/* The folder that a path is in; "" is the store itself. */
static void folder_of(char *to, size_t len, const char *path)
{
	const char *slash = strrchr(path, '/');

	snprintf(to, len, "%.*s", slash ? (int)(slash - path) : 0, path);
}

int store_make_dirs(struct prowl_store *s, const char *path)
{
	char part[PROWL_STORE_PATH], above[PROWL_STORE_PATH];
	size_t n = strlen(path);

	for (size_t i = 1; i <= n; i++) {
		int r;

		if (path[i] != '/' && path[i] != '\0')
			continue;
		snprintf(part, sizeof part, "%.*s", (int)i, path);
		if (mkdirat(s->dir, part, 0750) < 0) {
			if (errno != EEXIST)
				return -errno;
			continue;
		}
		folder_of(above, sizeof above, part);
		r = store_flush_dir(s, above);
		if (r < 0)
			return r;
	}
	return 0;
}

int store_write(struct prowl_store *s, const char *path, const void *bytes, size_t len)
{
	char tmp[PROWL_STORE_PATH + 8], folder[PROWL_STORE_PATH];
	int fd, r;

	folder_of(folder, sizeof folder, path);
	r = *folder ? store_make_dirs(s, folder) : 0;
	if (r < 0)
		return r;
	snprintf(tmp, sizeof tmp, "%s.tmp", path);
	fd = openat(s->dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	r = write_all(fd, bytes, len);
	if (r == 0)
		r = flush(s, fd, true);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(s->dir, tmp, s->dir, path) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(s->dir, tmp, 0);
		return r;
	}
	return store_flush_dir(s, folder);
}

int store_remove(struct prowl_store *s, const char *path)
{
	char folder[PROWL_STORE_PATH], above[PROWL_STORE_PATH];

	if (unlinkat(s->dir, path, 0) < 0 && errno != ENOENT)
		return -errno;
	folder_of(folder, sizeof folder, path);
	while (strchr(folder, '/')) { /* not live/ and data/ themselves */
		if (unlinkat(s->dir, folder, AT_REMOVEDIR) < 0)
			break;
		folder_of(above, sizeof above, folder);
		memcpy(folder, above, sizeof folder);
	}
	return 0;
}

void store_quarantine(struct prowl_store *s, const char *path, const char *why)
{
	char name[PROWL_STORE_PATH + 8], text[PROWL_STORE_PATH + 160], note[sizeof name + 8];
	int n;

	store_make_dirs(s, "bad");
	n = snprintf(name, sizeof name, "bad/%s", path);
	for (int i = 4; i < n && i < (int)sizeof name; i++)
		name[i] = name[i] == '/' ? '_' : name[i];
	if (renameat(s->dir, path, s->dir, name) < 0)
		return;
	snprintf(note, sizeof note, "%s.txt", name);
	n = snprintf(text, sizeof text, "%s: %s\n", path, why);
	store_write(s, note, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
	pthread_mutex_lock(&s->counting);
	s->state.bad_files++;
	pthread_mutex_unlock(&s->counting);
	store_log(s, "%s was moved to %s: %s", path, name, why);
}

/* --- folders --------------------------------------------------------------------- */

static int visit(int dir, const char *path, int depth, store_walk_fn cb, void *ctx);

static int visit_entry(int dir, const char *path, int depth, store_walk_fn cb, void *ctx)
{
	struct stat st;

	if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode))
		return depth < MOST_DEPTH ? visit(dir, path, depth + 1, cb, ctx) : 0;
	return S_ISREG(st.st_mode) ? cb(ctx, path, (uint64_t)st.st_size) : 0;
}

static int visit(int dir, const char *path, int depth, store_walk_fn cb, void *ctx)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		r = errno == ENOENT ? 0 : -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0 && (e = readdir(d))) {
		char sub[PROWL_STORE_PATH];

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if ((size_t)snprintf(sub, sizeof sub, "%s/%s", path, e->d_name) < sizeof sub)
			r = visit_entry(dir, sub, depth, cb, ctx);
	}
	closedir(d);
	return r;
}

int store_walk(int dir, const char *path, store_walk_fn cb, void *ctx)
{
	return visit(dir, path, 0, cb, ctx);
}

/* --- names ----------------------------------------------------------------------- */

int store_path(char *to, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(to, PROWL_STORE_PATH, fmt, ap);
	va_end(ap);
	return n >= 0 && n < PROWL_STORE_PATH ? 0 : -ENAMETOOLONG;
}

void store_file_word(char *to, size_t len, const char *text)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789-_";
	size_t n = 0;

	for (; text[n] && n + 1 < len; n++)
		to[n] = strchr(good, text[n]) ? text[n] : '_';
	to[n] = '\0';
	if (n == 0)
		snprintf(to, len, "_");
}

bool store_is_kind(const char *kind)
{
	size_t n = strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return n > 0 && n < PROWL_STORE_KIND && kind[n] == '\0';
}

bool store_is_profile(const char *path)
{
	size_t n = strlen(path), suffix = strlen(".pb.gz");

	return n > suffix && !strcmp(path + n - suffix, ".pb.gz");
}

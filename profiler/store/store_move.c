/* SPDX-License-Identifier: Apache-2.0 */
/* A piece of a store as a tar archive (POSIX ustar), and back. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pprof.h"
#include "store_parts.h"

enum { BLOCK = 512, MOST_MEMBER = 256 << 20 };

struct header { /* of a member, as in pax(1) */
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a block");

static unsigned int sum_of(const struct header *h)
{
	const unsigned char *b = (const unsigned char *)h;
	unsigned int sum = 0;

	for (size_t i = 0; i < sizeof *h; i++)
		sum += i >= offsetof(struct header, sum) && i < offsetof(struct header, type)
			       ? ' '
			       : b[i];
	return sum;
}

/* --- export ---------------------------------------------------------------------- */

static int write_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int write_header(int fd, const char *path, size_t len, int64_t time)
{
	struct header h = {0};
	size_t n = strlen(path), cut = 0;
	char text[BLOCK];

	/* A long path is cut at a slash. */
	if (n > sizeof h.name) {
		const char *slash = strchr(path + n - sizeof h.name, '/');

		cut = slash ? (size_t)(slash - path) + 1 : 0;
	}
	if (n - cut > sizeof h.name || cut > sizeof h.prefix)
		return -ENAMETOOLONG;
	memcpy(h.prefix, path, cut ? cut - 1 : 0);
	memcpy(h.name, path + cut, n - cut);
	memcpy(h.mode, "0000644", 8);
	memcpy(h.uid, "0000000", 8);
	memcpy(h.gid, "0000000", 8);
	snprintf(text, sizeof text, "%011zo", len);
	memcpy(h.size, text, 12);
	snprintf(text, sizeof text, "%011llo", (unsigned long long)(time / 1000000000));
	memcpy(h.mtime, text, 12);
	h.type = '0';
	memcpy(h.magic, "ustar", 6);
	memcpy(h.version, "00", 2);
	snprintf(text, sizeof text, "%06o", sum_of(&h));
	memcpy(h.sum, text, 7);
	h.sum[7] = ' ';
	return write_all(fd, &h, sizeof h);
}

static int export_file(struct prowl_store *s, const struct prowl_store_file *f, int fd)
{
	static const char zeros[BLOCK];
	uint8_t *bytes = NULL;
	size_t len;
	int r = store_read_bytes(s->dir, f->path, &bytes, &len);

	if (r == 0)
		r = write_header(fd, f->path, len, f->end);
	if (r == 0)
		r = write_all(fd, bytes, len);
	if (r == 0 && len % BLOCK)
		r = write_all(fd, zeros, BLOCK - len % BLOCK);
	free(bytes);
	return r;
}

enum prowl_code prowl_store_export(struct prowl_store *s, const struct prowl_query *q, int fd,
				   uint64_t *ret_files, struct prowl_err *err)
{
	static const char zeros[2 * BLOCK];
	struct prowl_query all = *q;
	struct prowl_store_files *files;
	enum prowl_code code;
	int r = 0;

	all.limit = SIZE_MAX;
	code = prowl_store_files(s, &all, &files, err);
	if (code != PROWL_OK)
		return code;
	*ret_files = 0;
	for (size_t i = 0; r == 0 && i < files->n; i++) {
		r = export_file(s, &files->rows[i], fd);
		if (r == -ENOENT) /* deleted meanwhile */
			r = 0;
		else
			*ret_files += r == 0;
	}
	prowl_store_files_free(files);
	if (r == 0)
		r = write_all(fd, zeros, sizeof zeros);
	if (r == 0 && *ret_files == 0)
		return prowl_fail(err, PROWL_NOTHING, "there is no file with windows of that time");
	return r < 0 ? store_failed(s, r, "can't be exported", err) : PROWL_OK;
}

/* --- import ---------------------------------------------------------------------- */

/* 0 at the end of the archive. */
static int read_all(int fd, void *to, size_t len, size_t *ret)
{
	char *at = to;
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, at + done, len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	*ret = done;
	return 0;
}

static bool get_octal(const char *field, size_t len, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	while (i < len && field[i] == ' ')
		i++;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(field[i] - '0');
	*ret = v;
	return i == len || field[i] == '\0' || field[i] == ' ';
}

/* A profile of ours: live/NAME or data/DAY/HOUR/NAME. */
static bool is_path(const char *path)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789-_.+/";
	unsigned int slashes = 0;

	for (const char *c = path; *c; c++) {
		slashes += *c == '/';
		if (!strchr(good, *c) || (*c == '/' && (c[1] == '.' || c[1] == '/')))
			return false;
	}
	return store_is_profile(path) && ((slashes == 1 && !strncmp(path, "live/", 5)) ||
					  (slashes == 3 && !strncmp(path, "data/", 5)));
}

static int import_bytes(struct prowl_store *s, const char *path, const uint8_t *bytes, size_t len,
			struct prowl_err *err)
{
	struct store_meta *m = NULL;
	struct pprof_profile *p = NULL;
	char why[96];
	int r = store_parse(bytes, len, &m, &p, why, sizeof why);

	pprof_profile_free(p);
	if (r == -EBADMSG) {
		prowl_fail(err, PROWL_FAILED, "%s in the archive is damaged: %s", path, why);
		return r;
	}
	if (r == 0)
		r = store_write(s, path, bytes, len);
	if (r == 0)
		r = store_index_add(s->db, path,
				    strncmp(path, "live/", 5) ? PROWL_STORE_HOUR : PROWL_STORE_LIVE,
				    m, len);
	store_meta_free(m);
	return r;
}

struct import {
	struct prowl_store *s;
	int fd;
	uint64_t files, known;
	struct prowl_err *err;
};

static int import_member(struct import *i, const char *path, size_t len)
{
	size_t padded = (len + BLOCK - 1) / BLOCK * BLOCK, n = 0;
	uint8_t *bytes = malloc(padded + 1);
	int r = bytes ? read_all(i->fd, bytes, padded, &n) : -ENOMEM;

	if (r == 0 && n < padded)
		r = -EBADMSG;
	if (r == 0 && faccessat(i->s->dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		i->known++;
	} else if (r == 0) {
		r = import_bytes(i->s, path, bytes, len, i->err);
		i->files += r == 0;
	}
	free(bytes);
	return r;
}

static void path_of(const struct header *h, char *to, size_t len)
{
	snprintf(to, len, "%.*s%s%.*s", (int)sizeof h->prefix, h->prefix, h->prefix[0] ? "/" : "",
		 (int)sizeof h->name, h->name);
}

/* 1: go on; 0: the end; -EBADMSG. */
static int import_next(struct import *i)
{
	char path[PROWL_STORE_PATH];
	struct header h;
	uint64_t len, sum;
	size_t n = 0;
	int r = read_all(i->fd, &h, sizeof h, &n);

	if (r < 0)
		return r;
	if (n == sizeof h && h.name[0] == '\0')
		return 0;
	path_of(&h, path, sizeof path);
	if (n < sizeof h || memcmp(h.magic, "ustar", 5) != 0 ||
	    !get_octal(h.sum, sizeof h.sum, &sum) || sum != sum_of(&h) ||
	    !get_octal(h.size, sizeof h.size, &len) || len > MOST_MEMBER || h.type != '0' ||
	    !is_path(path))
		return -EBADMSG;
	r = import_member(i, path, len);
	return r < 0 ? r : 1;
}

enum prowl_code prowl_store_import(struct prowl_store *s, int fd, uint64_t *ret_files,
				   uint64_t *ret_known, struct prowl_err *err)
{
	struct import i = {.s = s, .fd = fd, .err = err};
	int r;

	if (store_can_write(s, err) != PROWL_OK)
		return PROWL_USAGE;
	prowl_fail(err, PROWL_FAILED,
		   "that is not an archive of prowl daemon export, or not whole");
	store_lock(s);
	while ((r = import_next(&i)) > 0)
		;
	store_unlock(s);
	*ret_files = i.files;
	*ret_known = i.known;
	if (r == -EBADMSG)
		return PROWL_FAILED;
	return r < 0 ? store_failed(s, r, "can't be imported to", err) : PROWL_OK;
}

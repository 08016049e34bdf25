/* SPDX-License-Identifier: Apache-2.0 */
#include "maps.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DELETED " (deleted)"

enum {
	/* A path, its marker, and slack for a kernel that escapes each of its bytes. */
	PATH_ROOM = PATH_MAX + 16,
	READ_SIZE = 64 * 1024,
};

/* One line being read: p never passes end. */
struct line {
	const char *p, *end;
};

static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static bool take_number(struct line *l, unsigned base, uint64_t *ret)
{
	uint64_t v = 0;
	const char *first = l->p;

	for (; l->p < l->end; l->p++) {
		int d = hex_digit(*l->p);

		if (d < 0 || (unsigned)d >= base)
			break;
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)d, &v))
			return false;
	}
	if (l->p == first)
		return false;
	*ret = v;
	return true;
}

static bool take_char(struct line *l, char c)
{
	if (l->p == l->end || *l->p != c)
		return false;
	l->p++;
	return true;
}

static bool take_prot(struct line *l, struct uw_map *m)
{
	const char *p = l->p;

	if (l->end - p < 4)
		return false;
	m->prot = (uint8_t)((p[0] == 'r' ? PROT_READ : 0) | (p[1] == 'w' ? PROT_WRITE : 0) |
			    (p[2] == 'x' ? PROT_EXEC : 0));
	m->shared = p[3] == 's' || p[3] == 'S';
	l->p += 4;
	return true;
}

/*
 * The kernel writes a newline in a path as \012 and leaves backslashes alone (show_map_vma,
 * fs/proc/ task_mmu.c), so exactly this sequence is undone. The few names that hold those four
 * characters literally can't be distinguished.
 */
static bool take_path(struct line *l, char *buf, struct uw_map *m)
{
	size_t len = (size_t)(l->end - l->p);
	const char *src = l->p;
	char *dst = buf;

	if (len >= PATH_ROOM)
		return false;
	while (src < l->end) {
		const char *esc = memchr(src, '\\', (size_t)(l->end - src));
		size_t n = (size_t)((esc ? esc : l->end) - src);

		memcpy(dst, src, n);
		dst += n;
		src += n;
		if (!esc)
			break;
		if (l->end - esc >= 4 && memcmp(esc, "\\012", 4) == 0) {
			*dst++ = '\n';
			src += 4;
		} else {
			*dst++ = *src++;
		}
	}
	len = (size_t)(dst - buf);
	if (len > strlen(DELETED) && m->inode != 0 &&
	    memcmp(dst - strlen(DELETED), DELETED, strlen(DELETED)) == 0) {
		len -= strlen(DELETED);
		m->deleted = true;
	}
	buf[len] = '\0';
	m->path = buf;
	m->path_len = len;
	return true;
}

static bool parse_line(struct line l, char *path_buf, struct uw_map *m)
{
	uint64_t major, minor;

	*m = (struct uw_map){0};
	if (!take_number(&l, 16, &m->start) || !take_char(&l, '-') ||
	    !take_number(&l, 16, &m->end) || !take_char(&l, ' ') || !take_prot(&l, m) ||
	    !take_char(&l, ' ') || !take_number(&l, 16, &m->offset) || !take_char(&l, ' ') ||
	    !take_number(&l, 16, &major) || !take_char(&l, ':') || !take_number(&l, 16, &minor) ||
	    !take_char(&l, ' ') || !take_number(&l, 10, &m->inode))
		return false;
	if (m->end <= m->start || major > UINT32_MAX || minor > UINT32_MAX)
		return false;
	m->major = (uint32_t)major;
	m->minor = (uint32_t)minor;
	while (l.p < l.end && *l.p == ' ')
		l.p++;
	return take_path(&l, path_buf, m);
}

int uw_maps_parse(const char *text, size_t len, uw_maps_cb cb, void *ctx)
{
	const char *p = text, *end = text + len;
	char path[PATH_ROOM];
	struct uw_map m;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		struct line l = {p, nl ? nl : end};
		int r;

		if (!parse_line(l, path, &m))
			return -EBADMSG;
		r = cb(ctx, &m);
		if (r != 0)
			return r;
		p = nl ? nl + 1 : end;
	}
	return 0;
}

int uw_maps_read(int fd, uw_maps_cb cb, void *ctx)
{
	char *buf = malloc(READ_SIZE);
	size_t have = 0;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	while (r == 0) {
		ssize_t n = read(fd, buf + have, READ_SIZE - have);
		char *nl;
		size_t whole;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = -errno;
			break;
		}
		have += (size_t)n;
		if (n == 0) {
			r = uw_maps_parse(buf, have, cb, ctx);
			break;
		}
		nl = memrchr(buf, '\n', have);
		if (!nl) {
			if (have == READ_SIZE)
				r = -EBADMSG;
			continue;
		}
		whole = (size_t)(nl + 1 - buf);
		r = uw_maps_parse(buf, whole, cb, ctx);
		have -= whole;
		memmove(buf, nl + 1, have);
	}
	free(buf);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Symbols of stripped files: separate debug files, packed tables. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#if HAVE_LIBDEFLATE
#include <libdeflate.h>
#else
#include <zlib.h>
#endif

#ifdef HAVE_LZMA
#include <lzma.h>
#endif

#include "bytes.h"
#include "elfsym_parts.h"

#define DEBUG_ROOT "/usr/lib/debug"

enum {
	MAX_MINI = 64 << 20,        /* .gnu_debugdata, unpacked */
	MAX_MINI_PACKED = 16 << 20, /* and as it is in the file */
	SUM_STEP = 1 << 20,
};

/* The checksum of .gnu_debuglink: CRC-32 as in ISO 3309, of which zlib's is one. */
static uint32_t add_sum(uint32_t sum, const void *bytes, size_t n)
{
#if HAVE_LIBDEFLATE
	return libdeflate_crc32(sum, bytes, n);
#else
	return (uint32_t)crc32(sum, bytes, (uInt)n);
#endif
}

/*
 * Read, not mapped: nothing of a file that doesn't fit shall stay in memory. A sparse file can have
 * any number of bytes, so they count against the limit of all files.
 */
static bool same_sum(struct uw_elfsym *s, const struct uw_elf *debug, uint32_t want)
{
	uint8_t *buf;
	uint32_t sum = 0;
	uint64_t at = 0;
	ssize_t n = 0;

	if (!uw_care_take(&s->care->summed, debug->size, UW_CARE_SUMMED)) {
		s->care->left_out++;
		return false;
	}
	buf = malloc(SUM_STEP);
	while (buf && at < debug->size && (n = pread(debug->fd, buf, SUM_STEP, (off_t)at)) > 0) {
		sum = add_sum(sum, buf, (size_t)n);
		at += (uint64_t)n;
	}
	free(buf);
	return at == debug->size && sum == want;
}

/* A file that only root can have written does not come from the target. */
static bool is_trusted(const char *path, const struct stat *st)
{
	return strncmp(path, DEBUG_ROOT "/", sizeof DEBUG_ROOT) == 0 && st->st_uid == 0 &&
	       !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/* Opens path as the debug file of s; sum is looked at only where the file has no build id. */
static bool try_debug(struct uw_elfsym *s, const char *path, const uint32_t *sum)
{
	struct uw_elf *debug;
	struct stat st;
	int fd = uw_open_regular(path, &st);
	bool fits;

	if (fd < 0 || uw_elf_open(fd, &debug, NULL) < 0)
		return false;
	if (debug->machine != s->elf->machine)
		fits = false;
	else if (s->elf->build_id[0])
		fits = strcmp(s->elf->build_id, debug->build_id) == 0;
	else
		fits = sum && same_sum(s, debug, *sum);
	if (!fits) {
		uw_elf_free(debug);
		return false;
	}
	s->debug = debug;
	s->trusted = is_trusted(path, &st);
	return true;
}

/* .gnu_debuglink: a name, filled up to four bytes, and the checksum. NULL: none, or none of ours.
 */
static const char *debug_link(const struct uw_elf *elf, uint32_t *sum)
{
	struct uw_section sec;
	struct uw_bytes b;
	const char *name;
	size_t len;

	if (!uw_elf_section(elf, ".gnu_debuglink", &sec) || sec.type == SHT_NOBITS ||
	    sec.size > PATH_MAX)
		return NULL;
	b = uw_bytes(elf->bytes + sec.offset, sec.size);
	name = (const char *)b.at;
	len = strnlen(name, sec.size);
	if (len == 0 || !uw_bytes_take(&b, (len + 4) & ~(size_t)3))
		return NULL;
	*sum = uw_bytes_u32(&b);
	return b.bad || strchr(name, '/') ? NULL : name;
}

static bool look_for_debug(struct uw_elfsym *s)
{
	const char *id = s->elf->build_id, *link, *slash;
	char path[PATH_MAX];
	uint32_t sum;
	int dir;

	if (strlen(id) > 2) {
		snprintf(path, sizeof path, DEBUG_ROOT "/.build-id/%.2s/%s.debug", id, id + 2);
		if (try_debug(s, path, NULL))
			return true;
	}
	slash = s->path ? strrchr(s->path, '/') : NULL;
	link = debug_link(s->elf, &sum);
	if (!slash || !link || slash - s->path >= PATH_MAX)
		return false;
	dir = (int)(slash - s->path);
	snprintf(path, sizeof path, "%.*s/%s", dir, s->path, link);
	if (strcmp(path, s->path) != 0 && try_debug(s, path, &sum))
		return true;
	snprintf(path, sizeof path, "%.*s/.debug/%s", dir, s->path, link);
	if (try_debug(s, path, &sum))
		return true;
	snprintf(path, sizeof path, DEBUG_ROOT "%.*s/%s", dir, s->path, link);
	return try_debug(s, path, &sum);
}

bool elfsym_find_debug(struct uw_elfsym *s)
{
	if (!s->debug_tried) {
		s->debug_tried = true;
		look_for_debug(s);
	}
	return s->debug != NULL;
}

#ifdef HAVE_LZMA
/* Unpacks into s->mini_bytes, of cap bytes. Returns the length, 0: damaged or longer. */
static size_t unpack_mini(struct uw_elfsym *s, const struct uw_section *sec, size_t cap, bool *more)
{
	uint64_t mem_limit = MAX_MINI;
	size_t in_pos = 0, out_pos = 0;
	void *p = realloc(s->mini_bytes, cap);
	lzma_ret r;

	*more = false;
	if (!p)
		return 0;
	s->mini_bytes = p;
	r = lzma_stream_buffer_decode(&mem_limit, 0, NULL, s->elf->bytes + sec->offset, &in_pos,
				      sec->size, p, &out_pos, cap);
	*more = r == LZMA_BUF_ERROR;
	return r == LZMA_OK ? out_pos : 0;
}

Elf *elfsym_open_mini(struct uw_elfsym *s)
{
	struct uw_section sec;
	size_t n = 0;
	bool more = true;

	if (!uw_elf_section(s->elf, ".gnu_debugdata", &sec) || sec.type == SHT_NOBITS)
		return NULL;
	for (size_t cap = 1 << 20; sec.size <= MAX_MINI_PACKED && more && cap <= MAX_MINI;
	     cap *= 4) {
		if (!uw_care_take(&s->care->unpacked, cap, UW_CARE_UNPACKED))
			break;
		n = unpack_mini(s, &sec, cap, &more);
		s->care->unpacked -= n ? cap - n : cap;
	}
	if (n && uw_elf_openable(s->mini_bytes, n))
		return elf_memory(s->mini_bytes, n);
	s->care->unpacked -= n;
	s->care->left_out += more;
	free(s->mini_bytes);
	s->mini_bytes = NULL;
	return NULL;
}
#else
Elf *elfsym_open_mini(struct uw_elfsym *s)
{
	return NULL;
}
#endif

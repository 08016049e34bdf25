/* SPDX-License-Identifier: Apache-2.0 */
#include "gz.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "failure.h"

#if HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

enum {
	BUFFER = 32 * 1024,
	GZIP_WINDOW = 15 + 16, /* zlib's way to say "with a gzip header" */
	/* Up to this size libdeflate packs and unpacks at once, twice as fast. */
	WHOLE = 4 * 1024 * 1024,
	/* The largest ratio that deflate can reach. */
	MAX_RATIO = 1032,
};

struct gz_out {
	bool raw, streaming;
	int error, level;
	gz_write write;
	void *ctx;
	z_stream z;               /* while streaming */
	size_t used, size, limit; /* of plain; grows up to the limit */
	uint8_t *plain;
	uint8_t packed[BUFFER];
};

int pp_gz_out_new(int level, gz_write write, void *ctx, struct gz_out **ret_out)
{
	struct gz_out *o;

	if (level < PPROF_LEVEL_RAW || level > Z_BEST_COMPRESSION)
		return -EINVAL;
	o = malloc(sizeof *o);
	if (!o)
		return -ENOMEM;
	o->raw = level == PPROF_LEVEL_RAW;
	o->streaming = false;
	o->level = level == PPROF_LEVEL_DEFAULT ? Z_BEST_SPEED : level;
	o->error = 0;
	o->write = write;
	o->ctx = ctx;
	o->used = 0;
	o->size = BUFFER;
	o->limit = HAVE_LIBDEFLATE && !o->raw ? WHOLE : BUFFER;
	o->plain = malloc(o->size);
	if (!o->plain) {
		free(o);
		return -ENOMEM;
	}
	*ret_out = o;
	return 0;
}

void pp_gz_out_free(struct gz_out *o)
{
	if (!o)
		return;
	if (o->streaming)
		deflateEnd(&o->z);
	free(o->plain);
	free(o);
}

static int deflate_begin(struct gz_out *o)
{
	o->z = (z_stream){0};
	if (deflateInit2(&o->z, o->level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return o->error = -ENOMEM;
	o->streaming = true;
	return 0;
}

static int deflate_all(struct gz_out *o, int flush)
{
	if (!o->streaming && deflate_begin(o) < 0)
		return o->error;
	o->z.next_in = o->plain;
	o->z.avail_in = o->used;
	do {
		o->z.next_out = o->packed;
		o->z.avail_out = BUFFER;
		deflate(&o->z, flush);
		if (o->z.avail_out < BUFFER)
			o->error = o->write(o->ctx, o->packed, BUFFER - o->z.avail_out);
	} while (o->error == 0 && o->z.avail_out == 0);
	return o->error;
}

/* All input is in plain. -ENOTSUP: left to zlib. */
static int deflate_whole(struct gz_out *o)
{
#if HAVE_LIBDEFLATE
	struct libdeflate_compressor *c = libdeflate_alloc_compressor(o->level);
	size_t size = libdeflate_gzip_compress_bound(c, o->used);
	uint8_t *packed = c ? malloc(size) : NULL;

	o->error = -ENOMEM;
	if (packed) {
		size = libdeflate_gzip_compress(c, o->plain, o->used, packed, size);
		o->error = o->write(o->ctx, packed, size);
	}
	free(packed);
	libdeflate_free_compressor(c);
	return o->error;
#else
	return -ENOTSUP;
#endif
}

static int out_flush(struct gz_out *o, int flush)
{
	if (o->error < 0)
		return o->error;
	if (!o->raw)
		deflate_all(o, flush);
	else if (o->used > 0)
		o->error = o->write(o->ctx, o->plain, o->used);
	o->used = 0;
	return o->error;
}

static int out_room(struct gz_out *o)
{
	size_t size = o->size * 2 < o->limit ? o->size * 2 : o->limit;
	uint8_t *plain;

	if (o->used < o->size)
		return 0;
	if (size == o->size)
		return out_flush(o, Z_NO_FLUSH);
	plain = realloc(o->plain, size);
	if (!plain)
		return o->error = -ENOMEM;
	o->plain = plain;
	o->size = size;
	return 0;
}

int pp_gz_out_put(struct gz_out *o, const void *bytes, size_t len)
{
	const uint8_t *from = bytes;

	while (len > 0 && o->error == 0 && out_room(o) == 0) {
		size_t n = o->size - o->used < len ? o->size - o->used : len;

		memcpy(o->plain + o->used, from, n);
		o->used += n;
		from += n;
		len -= n;
	}
	return o->error;
}

int pp_gz_out_finish(struct gz_out *o)
{
	int r = o->error == 0 && !o->raw && !o->streaming ? deflate_whole(o) : -ENOTSUP;

	return r == -ENOTSUP ? out_flush(o, Z_FINISH) : r;
}

/* --- in -------------------------------------------------------------------------- */

struct unpacking {
	z_stream z;
	uint8_t *bytes;
	size_t used, size, limit;
};

static int unpack_room(struct unpacking *u)
{
	size_t size = u->size ? u->size + u->size / 2 : 64 * 1024;
	uint8_t *bytes;

	if (u->used < u->size)
		return 0;
	/*
	 * One byte beyond the limit, to distinguish a profile of exactly that size from a larger
	 * one.
	 */
	if (size > u->limit)
		size = u->limit + 1;
	if (u->used >= size)
		return -EFBIG;
	bytes = realloc(u->bytes, size);
	if (!bytes)
		return -ENOMEM;
	u->bytes = bytes;
	u->size = size;
	return 0;
}

/* Returns 1 at the member's end. */
static int unpack_step(struct unpacking *u, const uint8_t **next, size_t *left)
{
	size_t room;
	int r = unpack_room(u), z;

	if (r < 0)
		return r;
	room = u->size - u->used;
	u->z.next_in = (uint8_t *)*next;
	u->z.avail_in = *left < INT_MAX ? *left : INT_MAX;
	u->z.next_out = u->bytes + u->used;
	u->z.avail_out = room < INT_MAX ? room : INT_MAX;
	z = inflate(&u->z, Z_NO_FLUSH);
	*left -= u->z.next_in - *next;
	*next = u->z.next_in;
	u->used = u->z.next_out - u->bytes;
	if (z == Z_STREAM_END)
		return 1;
	if (z == Z_MEM_ERROR)
		return -ENOMEM;
	if (z == Z_BUF_ERROR) /* no progress: input is missing */
		return -ENODATA;
	return z == Z_OK ? 0 : -EBADMSG;
}

static int unpack_member(struct unpacking *u, const uint8_t *bytes, size_t len,
			 struct pprof_diag *diag)
{
	const uint8_t *next = bytes;
	size_t left = len;
	int r;

	do
		r = unpack_step(u, &next, &left);
	while (r == 0);
	if (r == -EBADMSG)
		return fail(diag, "damaged gzip data", u->used, EBADMSG);
	if (r == -ENODATA)
		return fail(diag, "truncated gzip data", u->used, EBADMSG);
	if (r == -EFBIG || (r == 1 && u->used > u->limit))
		return fail(diag, "larger than the limit", u->limit, EFBIG);
	if (r < 0)
		return fail(diag, "out of memory", u->used, -r);
	if (left >= 2 && next[0] == 0x1f && next[1] == 0x8b)
		return fail(diag, "more than one gzip member: concatenated profiles", u->used,
			    EBADMSG);
	if (left > 0)
		return fail(diag, "bytes after the gzip data", u->used, EBADMSG);
	return 0;
}

/* Unpacks a sound member of a sensible size at once; anything else is judged step by step. */
static bool unpack_whole(const uint8_t *bytes, size_t len, size_t limit, uint8_t **ret_bytes,
			 size_t *ret_len)
{
#if HAVE_LIBDEFLATE
	struct libdeflate_decompressor *d;
	uint8_t *to = NULL;
	size_t in, out, size;
	bool ok = false;

	if (len < 18)
		return false;
	/* The member's last four bytes, little endian: its size modulo 2^32. */
	size = (uint32_t)bytes[len - 4] | (uint32_t)bytes[len - 3] << 8 |
	       (uint32_t)bytes[len - 2] << 16 | (uint32_t)bytes[len - 1] << 24;
	if (size > limit || size / MAX_RATIO > len)
		return false;
	d = libdeflate_alloc_decompressor();
	if (d)
		to = malloc(size + 1);
	if (to)
		ok = libdeflate_gzip_decompress_ex(d, bytes, len, to, size, &in, &out) ==
			     LIBDEFLATE_SUCCESS &&
		     in == len && out == size;
	libdeflate_free_decompressor(d);
	if (!ok) {
		free(to);
		return false;
	}
	*ret_bytes = to;
	*ret_len = size;
	return true;
#else
	return false;
#endif
}

int pp_gz_unpack(const uint8_t *bytes, size_t len, size_t limit, uint8_t **ret_bytes,
		 size_t *ret_len, struct pprof_diag *diag)
{
	struct unpacking u = {.limit = limit};
	int r;

	if (unpack_whole(bytes, len, limit, ret_bytes, ret_len))
		return 0;
	if (inflateInit2(&u.z, GZIP_WINDOW) != Z_OK)
		return fail(diag, "out of memory", 0, ENOMEM);
	r = unpack_member(&u, bytes, len, diag);
	inflateEnd(&u.z);
	if (r < 0) {
		free(u.bytes);
		return r;
	}
	*ret_bytes = u.bytes;
	*ret_len = u.used;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way in which foreign bytes are read: a cursor that knows its end.
 *
 * A read past the end answers 0 and makes the cursor bad for good, so a decoder may read a whole
 * record and look once. Little endian, as every machine and file here is (uw_elf_open refuses
 * others); words need not be aligned.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct uw_bytes {
	const uint8_t *at, *end;
	bool bad;
};

static inline struct uw_bytes uw_bytes(const void *p, size_t len)
{
	const uint8_t *at = p;

	/* No arithmetic on a null pointer, not even + 0. */
	return (struct uw_bytes){at, at ? at + len : at, at == NULL};
}

static inline size_t uw_bytes_left(const struct uw_bytes *b)
{
	return b->bad ? 0 : (size_t)(b->end - b->at);
}

/* The next len bytes, or NULL when they are not there. */
static inline const uint8_t *uw_bytes_take(struct uw_bytes *b, uint64_t len)
{
	const uint8_t *p = b->at;

	if (len > uw_bytes_left(b)) {
		b->bad = true;
		return NULL;
	}
	if (!b->bad && len)
		b->at += len;
	return b->bad ? NULL : p;
}

/* A cursor over the bytes from offset off on; bad when off is past the end. */
static inline struct uw_bytes uw_bytes_from(struct uw_bytes b, uint64_t off)
{
	uw_bytes_take(&b, off);
	return b;
}

static inline uint8_t uw_bytes_u8(struct uw_bytes *b)
{
	const uint8_t *p = uw_bytes_take(b, 1);

	return p ? *p : 0;
}

static inline uint16_t uw_bytes_u16(struct uw_bytes *b)
{
	const uint8_t *p = uw_bytes_take(b, 2);
	uint16_t v = 0;

	if (p)
		memcpy(&v, p, sizeof v);
	return v;
}

static inline uint32_t uw_bytes_u32(struct uw_bytes *b)
{
	const uint8_t *p = uw_bytes_take(b, 4);
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof v);
	return v;
}

static inline uint64_t uw_bytes_u64(struct uw_bytes *b)
{
	const uint8_t *p = uw_bytes_take(b, 8);
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof v);
	return v;
}

/* Reads at an offset from the cursor, which stays where it is; *b becomes bad when it is outside.
 */
static inline uint8_t uw_bytes_u8_at(struct uw_bytes *b, uint64_t off)
{
	struct uw_bytes c = uw_bytes_from(*b, off);
	uint8_t v = uw_bytes_u8(&c);

	b->bad |= c.bad;
	return v;
}

static inline uint16_t uw_bytes_u16_at(struct uw_bytes *b, uint64_t off)
{
	struct uw_bytes c = uw_bytes_from(*b, off);
	uint16_t v = uw_bytes_u16(&c);

	b->bad |= c.bad;
	return v;
}

static inline uint32_t uw_bytes_u32_at(struct uw_bytes *b, uint64_t off)
{
	struct uw_bytes c = uw_bytes_from(*b, off);
	uint32_t v = uw_bytes_u32(&c);

	b->bad |= c.bad;
	return v;
}

static inline uint64_t uw_bytes_u64_at(struct uw_bytes *b, uint64_t off)
{
	struct uw_bytes c = uw_bytes_from(*b, off);
	uint64_t v = uw_bytes_u64(&c);

	b->bad |= c.bad;
	return v;
}

/* An unsigned LEB128 number that fits 64 bits; longer ones make the cursor bad. */
static inline uint64_t uw_bytes_uvarint(struct uw_bytes *b)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = uw_bytes_u8(b);

		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return b->bad ? 0 : v;
	}
	b->bad = true;
	return 0;
}

/* A signed one. */
static inline int64_t uw_bytes_svarint(struct uw_bytes *b)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = uw_bytes_u8(b);

		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		if (byte & 0x40 && shift + 7 < 64)
			v |= ~0ull << (shift + 7);
		return b->bad ? 0 : (int64_t)v;
	}
	b->bad = true;
	return 0;
}

/* The NUL-terminated string at the cursor, which moves behind it; NULL when no NUL follows. */
static inline const char *uw_bytes_cstr(struct uw_bytes *b)
{
	size_t left = uw_bytes_left(b);
	const uint8_t *nul = left ? memchr(b->at, 0, left) : NULL;

	if (!nul) {
		b->bad = true;
		return NULL;
	}
	return (const char *)uw_bytes_take(b, (uint64_t)(nul - b->at) + 1);
}

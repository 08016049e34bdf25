/* SPDX-License-Identifier: Apache-2.0 */
#include "gobuild.h"

#include <elf.h>

#include "bytes.h"

enum {
	BLOB_ALIGN = 16,
	BLOB_HEADER = 32,
	FLAG_BIG_ENDIAN = 1,
	FLAG_INLINE = 2, /* Go 1.18 and later: the strings follow the header */
	MARKER = 16,     /* length of the marks around the module text, cmd/go/internal/modload */
	MAX_VERSION = 4096,
	MAX_NUMBER = 100000,
};

static const uint8_t blob_magic[14] = "\xff Go buildinf:";

static uint64_t find_in(const struct uw_elf *elf, uint64_t vaddr, uint64_t size)
{
	const uint8_t *p = uw_elf_at(elf, vaddr, size);
	uint64_t at = -vaddr & (BLOB_ALIGN - 1);

	for (; p && at + BLOB_HEADER <= size; at += BLOB_ALIGN)
		if (p[at] == blob_magic[0] && memcmp(p + at, blob_magic, sizeof blob_magic) == 0)
			return vaddr + at;
	return 0;
}

static uint64_t find_blob(const struct uw_elf *elf)
{
	struct uw_section s;
	uint64_t at;

	if (uw_elf_section(elf, ".go.buildinfo", &s)) {
		at = find_in(elf, s.vaddr, s.size);
		if (at)
			return at;
	}
	if (elf->nsections)
		return 0;
	for (size_t i = 0; i < elf->nsegs; i++) {
		const struct uw_segment *seg = &elf->segs[i];

		at = seg->flags & PF_W ? find_in(elf, seg->vaddr, seg->filesz) : 0;
		if (at)
			return at;
	}
	return 0;
}

static void set_version(struct uw_gobuild *b, const void *text, uint64_t len)
{
	if (!text || len > MAX_VERSION)
		return;
	if (len > sizeof b->version - 1)
		len = sizeof b->version - 1;
	memcpy(b->version, text, len);
	b->version[len] = 0;
}

/* The text between its two marks, or none. */
static void set_mod(struct uw_gobuild *b, const char *text, uint64_t len)
{
	if (!text || len < 2 * MARKER + 1 || text[len - MARKER - 1] != '\n')
		return;
	b->mod = text + MARKER;
	b->mod_len = len - 2 * MARKER;
}

static bool word(const struct uw_elf *elf, const struct uw_mem *live, uint64_t bias, uint64_t vaddr,
		 uint64_t *ret)
{
	const uint8_t *p;

	if (live)
		return uw_read_u64(live, vaddr + bias, ret) == 0;
	p = uw_elf_at(elf, vaddr, sizeof *ret);
	if (p)
		memcpy(ret, p, sizeof *ret);
	return p != NULL;
}

/* The bytes of the Go string whose header the word at vaddr points to. They are constants of the
 * file, whether or not the pointers were relocated. */
static const void *string_at(const struct uw_elf *elf, const struct uw_mem *live, uint64_t bias,
			     uint64_t vaddr, uint64_t *len)
{
	uint64_t header, data;

	if (!word(elf, live, bias, vaddr, &header) ||
	    !word(elf, live, bias, header - bias, &data) ||
	    !word(elf, live, bias, header - bias + 8, len))
		return NULL;
	return uw_elf_at(elf, data - bias, *len);
}

static void read_pointers(const struct uw_elf *elf, const struct uw_mem *live, uint64_t bias,
			  uint64_t at, struct uw_gobuild *b)
{
	uint64_t len;
	const void *text = string_at(elf, NULL, 0, at + 16, &len);

	if (text && len) {
		live = NULL;
		bias = 0;
	} else if (live) {
		text = string_at(elf, live, bias, at + 16, &len);
	}
	if (!text)
		return;
	set_version(b, text, len);
	text = string_at(elf, live, bias, at + 24, &len);
	set_mod(b, text, text ? len : 0);
}

static void read_inline(struct uw_bytes c, struct uw_gobuild *b)
{
	uint64_t len;
	const uint8_t *text;

	uw_bytes_take(&c, BLOB_HEADER);
	len = uw_bytes_uvarint(&c);
	text = uw_bytes_take(&c, len);
	set_version(b, text, len);
	len = uw_bytes_uvarint(&c);
	text = uw_bytes_take(&c, len);
	set_mod(b, (const char *)text, len);
}

bool uw_gobuild_read(const struct uw_elf *elf, const struct uw_mem *live, uint64_t bias,
		     struct uw_gobuild *ret)
{
	struct uw_gobuild b = {.mod = ""};
	uint64_t at = find_blob(elf);
	size_t room = uw_elf_room(elf, at);
	const uint8_t *p = uw_elf_at(elf, at, room);

	if (!at || !p || room < BLOB_HEADER || (p[15] & FLAG_BIG_ENDIAN))
		return false;
	if (p[15] & FLAG_INLINE)
		read_inline(uw_bytes(p, room), &b);
	else if (p[14] == 8)
		read_pointers(elf, live, bias, at, &b);
	*ret = b;
	return true;
}

static const char *number(const char *p, int *ret)
{
	int n = 0;

	if (*p < '0' || *p > '9')
		return NULL;
	for (; *p >= '0' && *p <= '9'; p++)
		n = n < MAX_NUMBER ? n * 10 + (*p - '0') : n;
	*ret = n;
	return p;
}

bool uw_gobuild_version(const char *version, int *ret_minor, int *ret_patch)
{
	const char *p = strstr(version, "go1.");
	int minor, patch = 0;

	p = p ? number(p + 4, &minor) : NULL;
	if (!p)
		return false;
	if (*p == '.')
		number(p + 1, &patch);
	*ret_minor = minor;
	*ret_patch = patch;
	return true;
}

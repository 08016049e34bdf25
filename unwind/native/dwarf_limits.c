/* SPDX-License-Identifier: Apache-2.0 */
#include "dwarf_limits_parts.h"

#include <gelf.h>
#include <string.h>

#include "bytes.h"

enum {
	MAX_UNITS = 1 << 18,       /* a large browser has 60,000; libdw makes 200 bytes of each */
	MAX_UNIT = 64 << 20,       /* one look-up may go through all of a unit */
	MAX_ARANGES = 16 << 20,    /* five times as much in libdw */
	MAX_ABBREV_FILE = 8 << 20, /* where no table can be too long */
	MAX_ABBREV = 1 << 20,      /* the table of one unit */
	MAX_LINES = 1 << 20, /* the line program of one unit; each byte may become a row of 80 */
};

static bool is_debug(const char *name)
{
	return name && (strncmp(name, ".debug", 6) == 0 || strncmp(name, ".zdebug", 7) == 0);
}

/* "ZLIB" and the size, most significant byte first: how .zdebug sections begin. */
static uint64_t old_size(Elf_Scn *scn)
{
	const Elf_Data *data = elf_rawdata(scn, NULL);
	const uint8_t *p = data ? data->d_buf : NULL;
	uint64_t size = 0;

	if (!p || data->d_size < 12 || memcmp(p, "ZLIB", 4) != 0)
		return 0;
	for (int i = 4; i < 12; i++)
		size = size << 8 | p[i];
	return size;
}

uint64_t uw_dwarf_packed(Elf *elf)
{
	uint64_t sum = 0, size;
	Elf_Scn *scn = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names) != 0)
		return 0;
	while ((scn = elf_nextscn(elf, scn))) {
		const char *name;
		GElf_Shdr sh;
		GElf_Chdr ch;

		if (!gelf_getshdr(scn, &sh))
			continue;
		name = elf_strptr(elf, names, sh.sh_name);
		/* libdw unpacks sections of other names, too, such as .gnu_debugaltlink. */
		size = 0;
		if (sh.sh_flags & SHF_COMPRESSED)
			size = gelf_getchdr(scn, &ch) ? ch.ch_size : 0;
		else if (name && strstr(name, ".zdebug"))
			size = old_size(scn);
		if (__builtin_add_overflow(sum, size, &sum))
			return UINT64_MAX;
	}
	return sum;
}

/* Units of any DWARF say first how long they are. */
static bool units_within(struct uw_bytes b)
{
	for (int n = 0; uw_bytes_left(&b) >= 4; n++) {
		uint64_t len = uw_bytes_u32(&b);

		if (len == UINT32_MAX)
			len = uw_bytes_u64(&b);
		if (n == MAX_UNITS || len > MAX_UNIT)
			return false;
		uw_bytes_take(&b, len);
	}
	return true;
}

/* A table ends with a 0 where a code would be; entries with two 0 where an attribute would be. */
static bool tables_within(struct uw_bytes b)
{
	size_t begun = 0, len = uw_bytes_left(&b);

	while (uw_bytes_left(&b)) {
		size_t at = len - uw_bytes_left(&b);
		uint64_t attribute, form;

		if (uw_bytes_uvarint(&b) == 0) {
			begun = len - uw_bytes_left(&b);
			continue;
		}
		if (at - begun > MAX_ABBREV)
			return false;
		uw_bytes_uvarint(&b);
		uw_bytes_u8(&b);
		do {
			attribute = uw_bytes_uvarint(&b);
			form = uw_bytes_uvarint(&b);
			if (form == 0x21) /* DW_FORM_implicit_const */
				uw_bytes_uvarint(&b);
		} while (!b.bad && (attribute || form));
	}
	return !b.bad;
}

static struct uw_bytes bytes_of(Elf_Scn *scn)
{
	const Elf_Data *data = elf_getdata(scn, NULL);

	return uw_bytes(data ? data->d_buf : NULL, data ? data->d_size : 0);
}

/* The sections, as libdw has unpacked them. */
bool uw_dwarf_within(Elf *elf, struct uw_dwarf_limits *ret)
{
	Elf_Scn *scn = NULL;
	bool within = true;
	size_t names;

	*ret = (struct uw_dwarf_limits){0};
	if (elf_getshdrstrndx(elf, &names) != 0)
		return true;
	while (within && (scn = elf_nextscn(elf, scn))) {
		const char *name;
		GElf_Shdr sh;

		if (!gelf_getshdr(scn, &sh) || sh.sh_type == SHT_NOBITS)
			continue;
		name = elf_strptr(elf, names, sh.sh_name);
		if (!is_debug(name))
			continue;
		name += name[1] == 'z' ? 2 : 1;
		if (strcmp(name, "debug_info") == 0 || strcmp(name, "debug_types") == 0) {
			within = units_within(bytes_of(scn));
		} else if (strcmp(name, "debug_abbrev") == 0) {
			struct uw_bytes b = bytes_of(scn);

			within = uw_bytes_left(&b) <= MAX_ABBREV_FILE || tables_within(b);
		} else if (strcmp(name, "debug_aranges") == 0) {
			struct uw_bytes b = bytes_of(scn);

			ret->no_aranges |= uw_bytes_left(&b) > MAX_ARANGES;
		} else if (strcmp(name, "debug_line") == 0) {
			struct uw_bytes b = bytes_of(scn);

			ret->lines = b.at;
			ret->nlines = uw_bytes_left(&b);
		}
	}
	return within;
}

bool uw_dwarf_lines_within(const struct uw_dwarf_limits *l, uint64_t offset)
{
	struct uw_bytes b = uw_bytes_from(uw_bytes(l->lines, l->nlines), offset);
	uint64_t len = uw_bytes_u32(&b);

	if (len == UINT32_MAX)
		len = uw_bytes_u64(&b);
	return !b.bad && len <= MAX_LINES;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dwarf_image_parts.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if HAVE_LIBDEFLATE
#include <libdeflate.h>
#else
#include <zlib.h>
#endif

#if !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum {
	ALIGN = 16,
	MAX_AHEAD = 32 << 20,
	MAX_RATIO = 1032, /* no deflate stream unpacks to more than this many times its size */
};

static const char *const wanted[] = {
	".debug_info",     ".debug_abbrev", ".debug_aranges",     ".debug_line",
	".debug_line_str", ".debug_str",    ".debug_str_offsets", ".debug_ranges",
	".debug_rnglists", ".debug_addr",   ".debug_types",
};
enum { NWANTED = sizeof wanted / sizeof *wanted };

struct part {
	const uint8_t *from;
	uint64_t packed; /* bytes at from */
	uint64_t size;   /* unpacked */
	uint64_t at;     /* in the image */
	uint32_t name;   /* in the image's section names */
	bool is_packed;
};

struct plan {
	const uint8_t *bytes; /* the file's */
	uint64_t len;
	Elf64_Ehdr header;
	struct part parts[NWANTED];
	uint64_t names, sections, size; /* where they begin in the image; its end */
	bool any_packed;
};

static bool inside(const struct plan *p, uint64_t at, uint64_t n)
{
	return at <= p->len && n <= p->len - at;
}

/* --- what is in the file --------------------------------------------------------- */

static bool read_section(const struct plan *p, size_t index, Elf64_Shdr *ret)
{
	uint64_t at = p->header.e_shoff + index * sizeof *ret;

	if (index >= p->header.e_shnum || !inside(p, at, sizeof *ret))
		return false;
	memcpy(ret, p->bytes + at, sizeof *ret);
	return ret->sh_type == SHT_NOBITS || inside(p, ret->sh_offset, ret->sh_size);
}

static const char *section_name(const struct plan *p, const Elf64_Shdr *names, const Elf64_Shdr *s)
{
	const char *name = (const char *)p->bytes + names->sh_offset + s->sh_name;

	if (s->sh_name >= names->sh_size ||
	    !memchr(name, '\0', (size_t)(names->sh_size - s->sh_name)))
		return "";
	return name;
}

static int take_section(struct plan *p, const Elf64_Shdr *s, struct part *part)
{
	Elf64_Chdr packed;

	part->from = p->bytes + s->sh_offset;
	part->packed = part->size = s->sh_size;
	if (!(s->sh_flags & SHF_COMPRESSED))
		return 0;
	if (s->sh_size < sizeof packed)
		return -EBADMSG;
	memcpy(&packed, part->from, sizeof packed);
	if (packed.ch_type != ELFCOMPRESS_ZLIB)
		return -ENODATA;
	part->from += sizeof packed;
	part->packed -= sizeof packed;
	part->size = packed.ch_size;
	part->is_packed = p->any_packed = true;
	return part->size / MAX_RATIO > part->packed ? -EBADMSG : 0;
}

static int find_sections(struct plan *p)
{
	Elf64_Shdr names, s;

	if (!read_section(p, p->header.e_shstrndx, &names) || names.sh_type == SHT_NOBITS)
		return -ENODATA;
	for (size_t i = 1; i < p->header.e_shnum; i++) {
		const char *name;
		int r = 0;

		if (!read_section(p, i, &s))
			return -ENODATA;
		name = section_name(p, &names, &s);
		/* .zdebug_info: an older way to pack; .gnu_debugaltlink: parts are elsewhere. */
		if (strncmp(name, ".zdebug", 7) == 0 || strcmp(name, ".gnu_debugaltlink") == 0)
			return -ENODATA;
		if (s.sh_type == SHT_NOBITS)
			continue;
		for (size_t k = 0; k < NWANTED && r == 0; k++)
			if (strcmp(name, wanted[k]) == 0 && !p->parts[k].from)
				r = take_section(p, &s, &p->parts[k]);
		if (r < 0)
			return r;
	}
	return p->any_packed ? 0 : -ENODATA;
}

static int read_header(struct plan *p)
{
	const unsigned char *ident = p->header.e_ident;

	if (p->len < sizeof p->header)
		return -ENODATA;
	memcpy(&p->header, p->bytes, sizeof p->header);
	if (memcmp(ident, ELFMAG, SELFMAG) != 0 || ident[EI_CLASS] != ELFCLASS64 ||
	    ident[EI_DATA] != ELFDATA2LSB || p->header.e_shentsize != sizeof(Elf64_Shdr))
		return -ENODATA;
	return find_sections(p);
}

/* --- the image ------------------------------------------------------------------- */

static uint64_t aligned(uint64_t n)
{
	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static int lay_out(struct plan *p, uint64_t max)
{
	uint64_t at = aligned(sizeof(Elf64_Ehdr));
	uint32_t name = 1;

	for (size_t k = 0; k < NWANTED; k++) {
		struct part *part = &p->parts[k];

		if (part->size > max)
			return -EFBIG;
		part->at = at;
		part->name = name;
		at = aligned(at + part->size);
		name += (uint32_t)strlen(wanted[k]) + 1;
	}
	p->names = at;
	p->sections = aligned(at + name + sizeof ".shstrtab");
	p->size = p->sections + (NWANTED + 2) * sizeof(Elf64_Shdr);
	return p->size > max ? -EFBIG : 0;
}

static bool unpack(const struct part *part, uint8_t *to)
{
#if HAVE_LIBDEFLATE
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	size_t n = 0;
	bool ok = d && libdeflate_zlib_decompress(d, part->from, part->packed, to, part->size,
						  &n) == LIBDEFLATE_SUCCESS;

	libdeflate_free_decompressor(d);
	return ok && n == part->size;
#else
	uLongf n = part->size;

	return uncompress(to, &n, part->from, part->packed) == Z_OK && n == part->size;
#endif
}

/* The pages that lie wholly or partly in [from, from + len). */
static void advise(const uint8_t *from, size_t len, int advice)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)from & ~(page - 1);

	madvise((void *)start, (uintptr_t)from + len - start, advice);
}

/* One after another, so that the packed and the unpacked bytes are never both there as a whole. */
static bool fill(const struct plan *p, uint8_t *image)
{
	for (size_t k = 0; k < NWANTED; k++) {
		const struct part *part = &p->parts[k];
		uint8_t *to = image + part->at;

		if (!part->from)
			continue;
		/*
		 * Where that isn't known, they come one by one. So they do where they are many:
		 * what a file says of its size may not be true.
		 */
		if (part->size <= MAX_AHEAD)
			advise(to, part->size, MADV_POPULATE_WRITE);
		if (!part->is_packed)
			memcpy(to, part->from, part->size);
		else if (!unpack(part, to))
			return false;
		advise(part->from, part->packed, MADV_DONTNEED);
	}
	return true;
}

static void put_section(const struct plan *p, uint8_t *image, size_t index, const Elf64_Shdr *s)
{
	memcpy(image + p->sections + index * sizeof *s, s, sizeof *s);
}

/* Section 0 stays zero, as it must; those that the file doesn't have are of no type. */
static void put_headers(const struct plan *p, uint8_t *image)
{
	Elf64_Ehdr header = p->header;
	Elf64_Shdr s = {.sh_type = SHT_STRTAB, .sh_offset = p->names, .sh_addralign = 1};
	char *names = (char *)image + p->names;
	size_t end = 0;

	header.e_type = ET_EXEC; /* ET_REL would be relocated */
	header.e_phoff = 0;
	header.e_phnum = 0;
	header.e_shoff = p->sections;
	header.e_shnum = NWANTED + 2;
	header.e_shstrndx = NWANTED + 1;
	memcpy(image, &header, sizeof header);
	for (size_t k = 0; k < NWANTED; k++) {
		const struct part *part = &p->parts[k];
		Elf64_Shdr debug = {.sh_type = part->from ? SHT_PROGBITS : SHT_NULL,
				    .sh_name = part->name,
				    .sh_offset = part->at,
				    .sh_size = part->size,
				    .sh_addralign = 1};

		strcpy(names + part->name, wanted[k]);
		end = part->name + strlen(wanted[k]) + 1;
		put_section(p, image, k + 1, &debug);
	}
	strcpy(names + end, ".shstrtab");
	s.sh_name = (uint32_t)end;
	s.sh_size = end + sizeof ".shstrtab";
	put_section(p, image, NWANTED + 1, &s);
}

static int build(struct plan *p, uint64_t max, struct uw_dwarf_image *ret)
{
	uint8_t *image;
	int r = lay_out(p, max);

	if (r < 0)
		return r;
	image = mmap(NULL, p->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (image == MAP_FAILED)
		return -ENOMEM;
	if (!fill(p, image)) {
		munmap(image, p->size);
		return -EBADMSG;
	}
	put_headers(p, image);
	*ret = (struct uw_dwarf_image){image, p->size};
	return 0;
}

int uw_dwarf_image_make(int fd, uint64_t max, struct uw_dwarf_image *ret)
{
	struct plan p = {0};
	struct stat st;
	void *bytes;
	int r;

	if (fstat(fd, &st) < 0 || st.st_size <= 0)
		return -ENODATA;
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return -ENOMEM;
	p.bytes = bytes;
	p.len = (uint64_t)st.st_size;
	r = read_header(&p);
	if (r == 0)
		r = build(&p, max, ret);
	munmap(bytes, (size_t)st.st_size);
	return r;
}

void uw_dwarf_image_fini(struct uw_dwarf_image *image)
{
	if (image->bytes)
		munmap(image->bytes, image->size);
	*image = (struct uw_dwarf_image){0};
}

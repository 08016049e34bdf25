/* SPDX-License-Identifier: Apache-2.0 */
#include "elfsym.h"

#include <errno.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#include "demangle_parts.h"
#include "dwarf_parts.h"

#define DEBUG_ROOT "/usr/lib/debug"

enum {
	MAX_TABLES = 3,
	TABLE_SHIFT = 30,
	/* How far before the nearest symbol one that encloses it is looked for. */
	MAX_BACK = 64,
	MAX_MINI = 64 << 20,        /* .gnu_debugdata, unpacked */
	MAX_MINI_PACKED = 16 << 20, /* and as it is in the file */
	MAX_SYMBOLS = 4 << 20,      /* the largest programs have two million */
	MAX_STRINGS = 1 << 30,
	MAX_NAME = 1 << 16,
	SUM_STEP = 1 << 20,
};

struct section {
	uint64_t start, end; /* empty unless it holds code */
};

/* One symbol table. Its Elf handle outlives it. */
struct table {
	const Elf64_Sym *syms;
	size_t n;
	const char *strings; /* ends with a NUL */
	size_t strings_len;
	struct section *sections;
	size_t nsections;
};

/* A raw name and its readable form, kept so that each is demangled once. */
struct readable {
	const char *raw;
	char *text; /* NULL: the raw name is as good as it gets */
};

struct uw_elfsym {
	const struct uw_elf *elf;
	char *path;
	bool built, dwarf_tried, debug_tried;
	struct table tables[MAX_TABLES];
	size_t ntables;
	/* Address - base in the upper half; table << TABLE_SHIFT | symbol in the lower one. Sorted.
	 */
	uint64_t *index;
	size_t n;
	uint64_t base;
	struct uw_elf *debug; /* the separate file, or NULL */
	bool trusted;         /* it was put there by the administrator */
	struct uw_care *care, own;
	void *mini_bytes;
	Elf *mini;
	struct uw_dwarf *dwarf;
	struct readable *readable; /* open addressing, power of two */
	size_t nreadable, readable_cap;
};

int uw_elfsym_new(const struct uw_elf *elf, const char *path, struct uw_elfsym **ret)
{
	struct uw_elfsym *s = calloc(1, sizeof *s);

	if (s && path)
		s->path = strdup(path);
	if (!s || (path && !s->path)) {
		free(s);
		return -ENOMEM;
	}
	s->elf = elf;
	s->care = &s->own;
	*ret = s;
	return 0;
}

void uw_elfsym_share(struct uw_elfsym *s, struct uw_care *care)
{
	s->care = care;
}

/* The readable names are found by the address of a raw name, which may be one of DWARF's. */
static void drop_dwarf(struct uw_elfsym *s)
{
	uw_dwarf_free(s->dwarf);
	for (size_t i = 0; i < s->readable_cap; i++)
		free(s->readable[i].text);
	free(s->readable);
	s->dwarf = NULL;
	s->dwarf_tried = false;
	s->readable = NULL;
	s->nreadable = s->readable_cap = 0;
}

void uw_elfsym_forget(struct uw_elfsym *s)
{
	if (s->dwarf && uw_dwarf_unpacked(s->dwarf) > 0)
		drop_dwarf(s);
}

void uw_elfsym_free(struct uw_elfsym *s)
{
	if (!s)
		return;
	drop_dwarf(s);
	for (size_t i = 0; i < s->ntables; i++)
		free(s->tables[i].sections);
	free(s->index);
	elf_end(s->mini);
	free(s->mini_bytes);
	uw_elf_free(s->debug);
	free(s->path);
	free(s);
}

/* --- separate debug files -------------------------------------------------------- */

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
 * Read and not mapped: of a file that doesn't fit nothing shall stay. A sparse one has no bytes on
 * the disk and any number to read, so that no more are than the files of all targets may cost.
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

/* What only root may have written is no gift of the target's. */
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

static bool find_debug(struct uw_elfsym *s)
{
	if (!s->debug_tried) {
		s->debug_tried = true;
		look_for_debug(s);
	}
	return s->debug != NULL;
}

#ifdef HAVE_LZMA
/* Into s->mini_bytes, of so many bytes; the number that it became, 0: it is damaged or larger. */
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

/* .gnu_debugdata: an xz-packed ELF file with the function symbols that .dynsym lacks. */
static Elf *open_mini(struct uw_elfsym *s)
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
static Elf *open_mini(struct uw_elfsym *s)
{
	return NULL;
}
#endif

/* --- the index ------------------------------------------------------------------- */

static bool read_sections(Elf *elf, struct table *t)
{
	Elf_Scn *scn = NULL;
	size_t n;

	if (elf_getshdrnum(elf, &n) != 0)
		return false;
	t->sections = calloc(n ? n : 1, sizeof *t->sections);
	if (!t->sections)
		return false;
	t->nsections = n;
	while ((scn = elf_nextscn(elf, scn))) {
		size_t i = elf_ndxscn(scn);
		GElf_Shdr sh;

		if (i < n && gelf_getshdr(scn, &sh) && (sh.sh_flags & SHF_EXECINSTR) &&
		    sh.sh_addr + sh.sh_size >= sh.sh_addr)
			t->sections[i] = (struct section){sh.sh_addr, sh.sh_addr + sh.sh_size};
	}
	return true;
}

/* Before libelf touches them: it may copy them, and all of them are gone through. */
static bool few_enough(struct uw_elfsym *s, Elf *elf, const GElf_Shdr *sh)
{
	GElf_Shdr strings;

	if (sh->sh_size / sizeof(Elf64_Sym) <= MAX_SYMBOLS &&
	    gelf_getshdr(elf_getscn(elf, sh->sh_link), &strings) && strings.sh_size <= MAX_STRINGS)
		return true;
	s->care->left_out++;
	return false;
}

/* Adds elf's symbol table of that type (SHT_SYMTAB, SHT_DYNSYM). */
static bool add_table(struct uw_elfsym *s, Elf *elf, uint32_t type)
{
	struct table t = {0};
	Elf_Scn *scn = NULL;

	if (!elf || s->ntables == MAX_TABLES)
		return false;
	while ((scn = elf_nextscn(elf, scn))) {
		Elf_Data *syms, *strings;
		GElf_Shdr sh;

		if (!gelf_getshdr(scn, &sh) || sh.sh_type != type)
			continue;
		if (!few_enough(s, elf, &sh))
			return false;
		syms = elf_getdata(scn, NULL);
		strings = elf_getdata(elf_getscn(elf, sh.sh_link), NULL);
		if (!syms || !syms->d_buf || syms->d_type != ELF_T_SYM || !strings ||
		    !strings->d_buf || strings->d_size == 0 ||
		    ((const char *)strings->d_buf)[strings->d_size - 1] != '\0')
			continue;
		t.syms = syms->d_buf;
		t.n = syms->d_size / sizeof *t.syms;
		t.strings = strings->d_buf;
		t.strings_len = strings->d_size;
		if (!read_sections(elf, &t))
			return false;
		s->tables[s->ntables++] = t;
		return true;
	}
	return false;
}

static const char *name_of(const struct table *t, const Elf64_Sym *sym)
{
	size_t room = sym->st_name < t->strings_len ? t->strings_len - sym->st_name : 0;
	const char *name = t->strings + sym->st_name;

	if (room == 0 || (room > MAX_NAME && !memchr(name, '\0', MAX_NAME)))
		return "";
	return name;
}

/* The beginning of a name is enough: to look for the end of millions of them takes long. */
static const char *head_of(const struct table *t, const Elf64_Sym *sym)
{
	bool roomy = t->strings_len >= 3 && sym->st_name <= t->strings_len - 3;

	return roomy ? t->strings + sym->st_name : name_of(t, sym);
}

/* Marks in the code that are no functions: the ELF ABIs' mapping symbols, the compiler's labels. */
static bool is_label(const char *name)
{
	if (name[0] == '$')
		return strchr("adtx", name[1]) &&
		       (name[1] == '\0' || name[2] == '\0' || name[2] == '.');
	return name[0] == '\0' || (name[0] == '.' && name[1] == 'L');
}

static bool is_function(const struct table *t, const Elf64_Sym *sym)
{
	unsigned type = ELF64_ST_TYPE(sym->st_info);
	const struct section *sec;

	if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
		return false;
	if (sym->st_shndx == SHN_UNDEF || sym->st_shndx >= t->nsections)
		return false;
	sec = &t->sections[sym->st_shndx];
	return sym->st_value >= sec->start && sym->st_value < sec->end &&
	       !(type == STT_NOTYPE && is_label(head_of(t, sym)));
}

/* By the upper half; equal ones keep their order. */
static bool sort_index(uint64_t *v, size_t n)
{
	uint64_t *tmp = malloc(n * sizeof *tmp), *from = v, *to = tmp, *swap;

	if (!tmp)
		return false;
	for (unsigned shift = 32; shift < 64; shift += 8, swap = from, from = to, to = swap) {
		size_t at[256] = {0}, sum = 0;

		for (size_t i = 0; i < n; i++)
			at[from[i] >> shift & 0xff]++;
		for (size_t i = 0; i < 256; i++) {
			size_t count = at[i];

			at[i] = sum;
			sum += count;
		}
		for (size_t i = 0; i < n; i++)
			to[at[from[i] >> shift & 0xff]++] = from[i];
	}
	free(tmp); /* an even number of passes: the result is in v */
	return true;
}

static uint64_t lowest_code(const struct uw_elf *elf)
{
	uint64_t base = UINT64_MAX;

	for (size_t i = 0; i < elf->nsegs; i++) {
		if (elf->segs[i].flags & PF_X && elf->segs[i].vaddr < base)
			base = elf->segs[i].vaddr;
	}
	return base;
}

/* The functions of all tables. Code more than 4 GiB above the first byte of code gets no name. */
static size_t fill_index(const struct uw_elfsym *s, uint64_t *out)
{
	size_t n = 0;

	for (size_t t = 0; t < s->ntables; t++) {
		const struct table *table = &s->tables[t];

		for (size_t i = 0; i < table->n; i++) {
			const Elf64_Sym *sym = &table->syms[i];

			if (sym->st_value < s->base || sym->st_value - s->base > UINT32_MAX ||
			    !is_function(table, sym))
				continue;
			if (out)
				out[n] = (sym->st_value - s->base) << 32 | t << TABLE_SHIFT | i;
			n++;
		}
	}
	return n;
}

static bool is_stripped(const struct uw_elfsym *s)
{
	return s->ntables == 0 || fill_index(s, NULL) == 0;
}

static void build(struct uw_elfsym *s)
{
	s->built = true;
	s->base = lowest_code(s->elf);
	add_table(s, s->elf->handle, SHT_SYMTAB);
	if (is_stripped(s)) {
		if (find_debug(s))
			add_table(s, s->debug->handle, SHT_SYMTAB);
		if (is_stripped(s)) {
			add_table(s, s->elf->handle, SHT_DYNSYM);
			s->mini = open_mini(s);
			add_table(s, s->mini, SHT_SYMTAB);
		}
	}
	s->n = fill_index(s, NULL);
	s->index = malloc((s->n ? s->n : 1) * sizeof *s->index);
	if (s->index)
		fill_index(s, s->index);
	if (!s->index || !sort_index(s->index, s->n))
		s->n = 0;
}

static const Elf64_Sym *entry(const struct uw_elfsym *s, size_t i, const struct table **ret_table)
{
	uint32_t low = (uint32_t)s->index[i];
	const struct table *t = &s->tables[low >> TABLE_SHIFT];

	*ret_table = t;
	return &t->syms[low & ((1u << TABLE_SHIFT) - 1)];
}

/* Which of two symbols at one address is shown: the higher one, the first of equals. */
static unsigned rank_of(const Elf64_Sym *sym)
{
	unsigned type = ELF64_ST_TYPE(sym->st_info), bind = ELF64_ST_BIND(sym->st_info);

	return (type == STT_NOTYPE ? 0 : 4) + (bind == STB_GLOBAL  ? 3
					       : bind == STB_LOCAL ? 2
					       : bind == STB_WEAK  ? 1
								   : 0);
}

/*
 * The symbol that names pc. One with a size names exactly its bytes; the nearest such wins, so that
 * labels inside of a function don't hide it. One without names what lies before the next symbol.
 */
static const Elf64_Sym *lookup(const struct uw_elfsym *s, uint64_t pc, const char **ret_name)
{
	const Elf64_Sym *best = NULL, *open_end = NULL;
	const struct table *best_table = NULL, *open_table = NULL;
	uint64_t nearest = 0;
	bool inside = false; /* the symbol without a size is a label in a function that has one */
	size_t lo = 0, hi = s->n;

	if (pc < s->base || pc - s->base > UINT32_MAX)
		return NULL;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->base + (s->index[mid] >> 32) <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (size_t i = lo; i-- > 0 && lo - i <= MAX_BACK;) {
		const struct table *t;
		const Elf64_Sym *sym = entry(s, i, &t);

		if (i == lo - 1)
			nearest = sym->st_value;
		if (best && sym->st_value != best->st_value)
			break;
		if (sym->st_size > pc - sym->st_value) {
			if (!best || rank_of(sym) >= rank_of(best)) {
				best = sym;
				best_table = t;
			}
		} else if (sym->st_size > nearest - sym->st_value) {
			inside = true;
		} else if (sym->st_size == 0 && sym->st_value == nearest &&
			   pc < t->sections[sym->st_shndx].end) {
			if (!open_end || rank_of(sym) >= rank_of(open_end)) {
				open_end = sym;
				open_table = t;
			}
		}
	}
	if (!best && !inside) {
		best = open_end;
		best_table = open_table;
	}
	if (best)
		*ret_name = name_of(best_table, best);
	return best;
}

/* --- names ----------------------------------------------------------------------- */

static struct readable *readable_slot(struct readable *v, size_t cap, const char *raw)
{
	size_t i = ((uintptr_t)raw * 0x9e3779b97f4a7c15u >> 20) & (cap - 1);

	while (v[i].raw && v[i].raw != raw)
		i = (i + 1) & (cap - 1);
	return &v[i];
}

static bool readable_grow(struct uw_elfsym *s)
{
	size_t cap = s->readable_cap ? s->readable_cap * 2 : 64;
	struct readable *v = calloc(cap, sizeof *v);

	if (!v)
		return false;
	for (size_t i = 0; i < s->readable_cap; i++) {
		if (s->readable[i].raw)
			*readable_slot(v, cap, s->readable[i].raw) = s->readable[i];
	}
	free(s->readable);
	s->readable = v;
	s->readable_cap = cap;
	return true;
}

/* Raw names are told apart by their address: they stay where they are as long as s does. */
static const char *readable_name(struct uw_elfsym *s, const char *raw)
{
	struct readable *r;

	if (s->nreadable * 4 >= s->readable_cap * 3 && !readable_grow(s))
		return raw;
	r = readable_slot(s->readable, s->readable_cap, raw);
	if (!r->raw) {
		*r = (struct readable){raw, uw_demangle(raw)};
		s->nreadable++;
	}
	return r->text ? r->text : raw;
}

static void open_dwarf(struct uw_elfsym *s)
{
	int r;

	s->dwarf_tried = true;
	r = uw_dwarf_new(s->elf->fd, s->care, &s->dwarf);
	if (r == -ENODATA && find_debug(s))
		r = uw_dwarf_new(s->debug->fd, s->trusted ? NULL : s->care, &s->dwarf);
	s->care->left_out += r == -EFBIG;
}

uint64_t uw_elfsym_start(struct uw_elfsym *s, uint64_t pc)
{
	const Elf64_Sym *sym;
	const char *name;

	if (!s->built)
		build(s);
	sym = lookup(s, pc, &name);
	return sym ? sym->st_value : 0;
}

size_t uw_elfsym_frames(struct uw_elfsym *s, uint64_t pc, struct uw_frame *frames, size_t max)
{
	const Elf64_Sym *sym;
	const char *name;
	size_t n = 0;

	if (max == 0)
		return 0;
	if (s->care->hurry && !s->built)
		return 0;
	if (!s->built)
		build(s);
	if (!s->dwarf_tried && !s->care->hurry)
		open_dwarf(s);
	sym = lookup(s, pc, &name);
	if (s->dwarf && !s->care->hurry)
		n = uw_dwarf_frames(s->dwarf, pc, frames, max);
	if (sym) {
		if (n == 0) {
			frames[0] = (struct uw_frame){0};
			n = 1;
		}
		/* The linker's name tells clones (.cold, .part.0) apart; DWARF's doesn't. */
		frames[n - 1].name = name;
	}
	for (size_t i = 0; i < n; i++) {
		if (sym)
			frames[i].func = sym->st_value;
		if (!frames[i].name)
			frames[i].name = "[unknown]";
		frames[i].readable = readable_name(s, frames[i].name);
	}
	return n;
}

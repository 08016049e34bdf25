/* SPDX-License-Identifier: Apache-2.0 */
#include "elfsym.h"

#include <errno.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demangle_parts.h"
#include "elfsym_parts.h"
#include "hash.h"

enum {
	TABLE_SHIFT = 30,
	/* How far before the nearest symbol one that encloses it is looked for. */
	MAX_BACK = 64,
	MAX_SYMBOLS = 4 << 20, /* the largest programs have two million */
	MAX_STRINGS = 1 << 30,
	MAX_NAME = 1 << 16,
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

/* --- the index ------------------------------------------------------------------- */

static bool read_sections(Elf *elf, struct elfsym_table *t)
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
			t->sections[i] = (struct elfsym_section){sh.sh_addr,
								 sh.sh_addr + sh.sh_size};
	}
	return true;
}

/* Before libelf touches them: it may copy them, and goes through all of them. */
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
	struct elfsym_table t = {0};
	Elf_Scn *scn = NULL;

	if (!elf || s->ntables == ELFSYM_MAX_TABLES)
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

static const char *name_of(const struct elfsym_table *t, const Elf64_Sym *sym)
{
	size_t room = sym->st_name < t->strings_len ? t->strings_len - sym->st_name : 0;
	const char *name = t->strings + sym->st_name;

	if (room == 0 || (room > MAX_NAME && !memchr(name, '\0', MAX_NAME)))
		return "";
	return name;
}

/* The beginning of a name is enough: to look for the end of millions of them takes long. */
static const char *head_of(const struct elfsym_table *t, const Elf64_Sym *sym)
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

static bool is_function(const struct elfsym_table *t, const Elf64_Sym *sym)
{
	unsigned type = ELF64_ST_TYPE(sym->st_info);
	const struct elfsym_section *sec;

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
		const struct elfsym_table *table = &s->tables[t];

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
		if (elfsym_find_debug(s))
			add_table(s, s->debug->handle, SHT_SYMTAB);
		if (is_stripped(s)) {
			add_table(s, s->elf->handle, SHT_DYNSYM);
			s->mini = elfsym_open_mini(s);
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

static const Elf64_Sym *entry(const struct uw_elfsym *s, size_t i,
			      const struct elfsym_table **ret_table)
{
	uint32_t low = (uint32_t)s->index[i];
	const struct elfsym_table *t = &s->tables[low >> TABLE_SHIFT];

	*ret_table = t;
	return &t->syms[low & ((1u << TABLE_SHIFT) - 1)];
}

/* Of two symbols at one address the one with the higher rank is shown, the first of equals. */
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
	const struct elfsym_table *best_table = NULL, *open_table = NULL;
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
		const struct elfsym_table *t;
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

static struct elfsym_readable *readable_slot(struct elfsym_readable *v, size_t cap, const char *raw)
{
	size_t i = uw_hash((uintptr_t)raw, 44) & (cap - 1);

	while (v[i].raw && v[i].raw != raw)
		i = (i + 1) & (cap - 1);
	return &v[i];
}

static bool readable_grow(struct uw_elfsym *s)
{
	size_t cap = s->readable_cap ? s->readable_cap * 2 : 64;
	struct elfsym_readable *v = calloc(cap, sizeof *v);

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

/* Raw names are compared by address: they stay where they are as long as s does. */
static const char *readable_name(struct uw_elfsym *s, const char *raw)
{
	struct elfsym_readable *r;

	if (s->nreadable * 4 >= s->readable_cap * 3 && !readable_grow(s))
		return raw;
	r = readable_slot(s->readable, s->readable_cap, raw);
	if (!r->raw) {
		*r = (struct elfsym_readable){raw, uw_demangle(raw)};
		s->nreadable++;
	}
	return r->text ? r->text : raw;
}

static void open_dwarf(struct uw_elfsym *s)
{
	int r;

	s->dwarf_tried = true;
	r = uw_dwarf_new(s->elf->fd, s->care, &s->dwarf);
	if (r == -ENODATA && elfsym_find_debug(s))
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
		/* The linker's name distinguishes clones (.cold, .part.0); DWARF's doesn't. */
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

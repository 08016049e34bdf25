/* SPDX-License-Identifier: Apache-2.0 */
#include "dwarf.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "dwarf_image.h"

enum {
	MAX_NEST = 32, /* namespaces in namespaces; blocks and inlined functions in a function */
	MAX_CHAIN = UW_MAX_INLINE,
};

struct range { /* half open */
	uint64_t start, end;
	Dwarf_Off die;
};

struct ranges {
	struct range *v;
	size_t n, cap;
};

struct unit {
	Dwarf_Off die;
	struct ranges functions;
};

struct uw_dwarf {
	/* A handle of its own: to unpack a section, libdw changes the section header in the handle.
	 */
	Elf *elf;
	Dwarf *dw;
	struct uw_dwarf_image image; /* what elf is of, if the sections are packed */
	bool listed;                 /* units holds the ranges of all units */
	struct ranges units;         /* only where .debug_aranges doesn't know an address */
	struct unit *seen;           /* ascending by offset */
	size_t nseen, seen_cap;
};

int uw_dwarf_new(int fd, struct uw_dwarf **ret)
{
	struct uw_dwarf *d = calloc(1, sizeof *d);
	Dwarf_Off next;
	size_t header;
	int r;

	if (!d)
		return -ENOMEM;
	elf_version(EV_CURRENT);
	r = uw_dwarf_image_make(fd, &d->image);
	if (r < 0 && r != -ENODATA) {
		uw_dwarf_free(d);
		return r == -ENOMEM ? r : -ENODATA;
	}
	d->elf = r == 0 ? elf_memory((char *)d->image.bytes, d->image.size)
			: elf_begin(fd, ELF_C_READ_MMAP, NULL);
	d->dw = dwarf_begin_elf(d->elf, DWARF_C_READ, NULL);
	if (!d->dw || dwarf_nextcu(d->dw, 0, &next, &header, NULL, NULL, NULL) != 0) {
		uw_dwarf_free(d);
		return -ENODATA;
	}
	*ret = d;
	return 0;
}

void uw_dwarf_free(struct uw_dwarf *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->nseen; i++)
		free(d->seen[i].functions.v);
	free(d->seen);
	free(d->units.v);
	dwarf_end(d->dw);
	elf_end(d->elf);
	uw_dwarf_image_fini(&d->image);
	free(d);
}

size_t uw_dwarf_unpacked(const struct uw_dwarf *d)
{
	return d->image.size;
}

/* --- ranges ---------------------------------------------------------------------- */

static void add_range(struct ranges *r, uint64_t start, uint64_t end, Dwarf_Off die)
{
	/* Code that the linker dropped is left at address 0 (or 1, or the highest ones). */
	if (start < 2 || start >= end || end >= UINT64_MAX - 2)
		return;
	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 16;
		struct range *v = reallocarray(r->v, cap, sizeof *v);

		if (!v)
			return;
		r->v = v;
		r->cap = cap;
	}
	r->v[r->n++] = (struct range){start, end, die};
}

static void add_die(struct ranges *r, Dwarf_Die *die)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;

	while ((at = dwarf_ranges(die, at, &base, &start, &end)) > 0)
		add_range(r, start, end, dwarf_dieoffset(die));
}

static int by_start(const void *x, const void *y)
{
	const struct range *a = x, *b = y;

	return a->start < b->start ? -1 : a->start > b->start;
}

static void sort_ranges(struct ranges *r)
{
	if (r->n > 1)
		qsort(r->v, r->n, sizeof *r->v, by_start);
}

static bool find_range(const struct ranges *r, uint64_t pc, Dwarf_Off *ret)
{
	size_t lo = 0, hi = r->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->v[mid].start <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || pc >= r->v[lo - 1].end)
		return false;
	*ret = r->v[lo - 1].die;
	return true;
}

/* --- units and functions --------------------------------------------------------- */

static void list_units(struct uw_dwarf *d)
{
	Dwarf_Off at = 0, next;
	size_t header;

	d->listed = true;
	while (dwarf_nextcu(d->dw, at, &next, &header, NULL, NULL, NULL) == 0) {
		Dwarf_Die die;

		if (dwarf_offdie(d->dw, at + header, &die) &&
		    dwarf_tag(&die) == DW_TAG_compile_unit)
			add_die(&d->units, &die);
		at = next;
	}
	sort_ranges(&d->units);
}

static bool find_unit(struct uw_dwarf *d, uint64_t pc, Dwarf_Die *ret)
{
	Dwarf_Off off;

	if (dwarf_addrdie(d->dw, pc, ret))
		return true;
	if (!d->listed)
		list_units(d);
	return find_range(&d->units, pc, &off) && dwarf_offdie(d->dw, off, ret);
}

/* C++ and Rust put functions with code into namespaces and types. */
static void list_functions(struct ranges *r, Dwarf_Die *parent, int depth)
{
	Dwarf_Die die;

	if (depth > MAX_NEST || dwarf_child(parent, &die) != 0)
		return;
	do {
		switch (dwarf_tag(&die)) {
		case DW_TAG_subprogram:
			add_die(r, &die);
			break;
		case DW_TAG_namespace:
		case DW_TAG_module:
		case DW_TAG_structure_type:
		case DW_TAG_class_type:
		case DW_TAG_union_type:
		case DW_TAG_enumeration_type:
			list_functions(r, &die, depth + 1);
			break;
		}
	} while (dwarf_siblingof(&die, &die) == 0);
}

static const struct ranges *functions_of(struct uw_dwarf *d, Dwarf_Die *cu)
{
	Dwarf_Off off = dwarf_dieoffset(cu);
	size_t lo = 0, hi = d->nseen;
	struct unit *u;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->seen[mid].die < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < d->nseen && d->seen[lo].die == off)
		return &d->seen[lo].functions;
	if (d->nseen == d->seen_cap) {
		size_t cap = d->seen_cap ? d->seen_cap * 2 : 16;

		u = reallocarray(d->seen, cap, sizeof *u);
		if (!u)
			return NULL;
		d->seen = u;
		d->seen_cap = cap;
	}
	u = &d->seen[lo];
	for (size_t i = d->nseen++; i > lo; i--)
		d->seen[i] = d->seen[i - 1];
	*u = (struct unit){.die = off};
	list_functions(&u->functions, cu, 0);
	sort_ranges(&u->functions);
	return &u->functions;
}

/*
 * The inlined functions at pc inside of function, outermost first in chain[1..]; chain[0] is the
 * function itself. Those beyond MAX_CHAIN are not followed.
 */
static size_t inline_chain(Dwarf_Die *function, uint64_t pc, Dwarf_Die *chain)
{
	Dwarf_Die parent = *function, die;
	size_t n = 1;

	chain[0] = *function;
	for (int depth = 0; depth < MAX_NEST * 4 && n < MAX_CHAIN; depth++) {
		bool found = false;

		if (dwarf_child(&parent, &die) != 0)
			break;
		do {
			int tag = dwarf_tag(&die);

			if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block &&
			    tag != DW_TAG_try_block && tag != DW_TAG_catch_block)
				continue;
			if (dwarf_haspc(&die, pc) <= 0)
				continue;
			if (tag == DW_TAG_inlined_subroutine)
				chain[n++] = die;
			parent = die;
			found = true;
			break;
		} while (dwarf_siblingof(&die, &die) == 0);
		if (!found)
			break;
	}
	return n;
}

/* --- one frame ------------------------------------------------------------------- */

static const char *die_name(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = NULL;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attr) ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attr))
		name = dwarf_formstring(&attr);
	return name ? name : dwarf_diename(die);
}

static int32_t to_line(long long line)
{
	return line > 0 && line <= INT32_MAX ? (int32_t)line : 0;
}

static void line_at(Dwarf_Die *cu, uint64_t pc, struct uw_frame *f)
{
	Dwarf_Line *line = dwarf_getsrc_die(cu, pc);
	int n;

	if (!line)
		return;
	f->file = dwarf_linesrc(line, NULL, NULL);
	if (dwarf_lineno(line, &n) == 0)
		f->line = to_line(n);
}

/* Where an inlined function was called: the line of the frame around it. */
static void call_site(Dwarf_Die *cu, Dwarf_Die *inlined, struct uw_frame *f)
{
	Dwarf_Attribute attr;
	Dwarf_Files *files;
	Dwarf_Word v;
	size_t n;

	if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attr), &v) == 0 && v <= INT32_MAX)
		f->line = to_line((long long)v);
	if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attr), &v) == 0 &&
	    dwarf_getsrcfiles(cu, &files, &n) == 0 && v < n)
		f->file = dwarf_filesrc(files, v, NULL, NULL);
}

size_t uw_dwarf_frames(struct uw_dwarf *d, uint64_t pc, struct uw_frame *frames, size_t max)
{
	Dwarf_Die cu, function, chain[MAX_CHAIN];
	const struct ranges *functions;
	Dwarf_Off off;
	size_t n, out = 0;

	if (max == 0 || !find_unit(d, pc, &cu))
		return 0;
	functions = functions_of(d, &cu);
	if (!functions || !find_range(functions, pc, &off) || !dwarf_offdie(d->dw, off, &function))
		return 0;
	n = inline_chain(&function, pc, chain);
	for (size_t i = n; i-- > 0;) {
		struct uw_frame f = {.name = die_name(&chain[i])};
		int line;

		if (i + 1 == n)
			line_at(&cu, pc, &f);
		else
			call_site(&cu, &chain[i + 1], &f);
		if (dwarf_decl_line(&chain[i], &line) == 0)
			f.start_line = to_line(line);
		if (out < max)
			frames[out++] = f;
		else
			frames[max - 1] = f;
	}
	return out;
}

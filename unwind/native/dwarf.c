/* SPDX-License-Identifier: Apache-2.0 */
#include "dwarf_parts.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dwarf_image_parts.h"
#include "dwarf_limits_parts.h"
#include "elf.h"

#define DEBUG_ROOT "/usr/lib/debug"

enum {
	MAX_NEST = 32, /* namespaces in namespaces; blocks and inlined functions in a function */
	MAX_CHAIN = UW_MAX_INLINE,
	MAX_RANGES = 2 << 20, /* of one table */
	LOOK = 256,           /* steps between two looks at the clock */
};

#define MAX_TRUSTED (UINT64_C(1) << 30) /* bytes unpacked */

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
	struct uw_dwarf_limits limits;
	struct uw_elf *alt_elf; /* the file with what several debug files share; NULL: none */
	Dwarf *alt;
	struct uw_care *care; /* NULL: trusted */
	uint64_t packed;      /* bytes that libdw has unpacked */
	uint64_t began;       /* this look-up, by our CPU time */
	unsigned int steps;
	bool given_up; /* a look-up took too long, and so may the next ones */
};

/* --- what it may cost ------------------------------------------------------------ */

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Asked at each step of what may be long; from then on d answers no question. */
static bool too_long(struct uw_dwarf *d)
{
	if (d->care && !d->given_up && ++d->steps % LOOK == 0)
		d->given_up = cpu_ns() - d->began + d->care->slow_ns >
			      UW_CARE_SLOW_NS + UW_CARE_LOOKUP_NS;
	return d->given_up;
}

static void begin(struct uw_dwarf *d)
{
	d->began = d->care ? cpu_ns() : 0;
}

static void free_units(struct uw_dwarf *d)
{
	for (size_t i = 0; i < d->nseen; i++)
		free(d->seen[i].functions.v);
	free(d->seen);
	free(d->units.v);
	d->seen = NULL;
	d->units = (struct ranges){0};
	d->nseen = d->seen_cap = 0;
}

/* False: it took too long. */
static bool done(struct uw_dwarf *d)
{
	uint64_t ns = d->care ? cpu_ns() - d->began : 0;

	if (ns > UW_CARE_LOOKUP_NS)
		d->care->slow_ns += ns - UW_CARE_LOOKUP_NS;
	if (d->care && d->care->slow_ns > UW_CARE_SLOW_NS)
		d->given_up = true;
	if (d->given_up && d->care && d->seen) {
		d->care->left_out++;
		free_units(d);
	}
	return !d->given_up;
}

/* --- opening --------------------------------------------------------------------- */

static int open_sections(struct uw_dwarf *d, int fd)
{
	uint64_t left = d->care ? UW_CARE_UNPACKED - d->care->unpacked : MAX_TRUSTED;
	int r = uw_dwarf_image_make(fd, left, &d->image);

	if (r < 0 && r != -ENODATA)
		return r;
	d->elf = r == 0 ? elf_memory((char *)d->image.bytes, d->image.size)
			: elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!d->elf)
		return -ENODATA;
	d->packed = r == 0 ? d->image.size : uw_dwarf_packed(d->elf);
	if (d->packed > left) {
		d->packed = 0;
		return -EFBIG;
	}
	if (d->care)
		d->care->unpacked += d->packed;
	return 0;
}

/* The build id, or the name, which is below DEBUG_ROOT or relative to where fd's file is. */
static int open_alt(const char *name, const uint8_t *id, size_t id_len, int fd)
{
	char path[PATH_MAX], link[64], dir[PATH_MAX / 2], *slash;
	struct stat st;
	size_t n;
	ssize_t len;
	int alt;

	n = (size_t)snprintf(path, sizeof path, DEBUG_ROOT "/.build-id/");
	for (size_t i = 0; i < id_len && n + 4 < sizeof path; i++)
		n += (size_t)snprintf(path + n, sizeof path - n, i == 0 ? "%02x/" : "%02x", id[i]);
	snprintf(path + n, sizeof path - n, ".debug");
	alt = uw_open_regular(path, &st);
	if (alt >= 0 || strlen(name) >= sizeof dir)
		return alt;
	if (name[0] == '/')
		return strncmp(name, DEBUG_ROOT "/", sizeof DEBUG_ROOT) == 0
			       ? uw_open_regular(name, &st)
			       : -ENOENT;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	len = readlink(link, dir, sizeof dir - 1);
	dir[len > 0 ? len : 0] = '\0';
	slash = strrchr(dir, '/');
	if (!slash)
		return -ENOENT;
	slash[1] = '\0';
	snprintf(path, sizeof path, "%s%s", dir, name);
	return uw_open_regular(path, &st);
}

/*
 * The file into which dwz moved what several files share. libdw would open whatever the file names,
 * and wait for it if that is a FIFO; so it is given what there is, or nothing.
 */
static void set_alt(struct uw_dwarf *d, int fd)
{
	Dwarf *none = (Dwarf *)(uintptr_t)-1; /* as libdw itself notes it */
	const char *name;
	const void *id;
	ssize_t len = dwelf_dwarf_gnu_debugaltlink(d->dw, &name, &id);
	struct uw_elf *elf;
	int alt = len > 0 && len <= 64 ? open_alt(name, id, (size_t)len, fd) : -ENOENT;
	char hex[129] = "";

	if (alt >= 0 && uw_elf_open(alt, &elf, NULL) == 0) {
		struct uw_dwarf_limits limits;

		d->alt_elf = elf;
		for (ssize_t i = 0; i < len; i++)
			snprintf(hex + i * 2, 3, "%02x", ((const uint8_t *)id)[i]);
		if (strcmp(hex, elf->build_id) == 0 && uw_dwarf_packed(elf->handle) == 0 &&
		    uw_dwarf_within(elf->handle, &limits))
			d->alt = dwarf_begin_elf(elf->handle, DWARF_C_READ, NULL);
	}
	if (d->alt)
		dwarf_setalt(d->alt, none);
	dwarf_setalt(d->dw, d->alt ? d->alt : none);
}

int uw_dwarf_new(int fd, struct uw_care *care, struct uw_dwarf **ret)
{
	struct uw_dwarf *d;
	Dwarf_Off next;
	size_t header;
	int r;

	if (care && care->slow_ns > UW_CARE_SLOW_NS)
		return -EFBIG;
	d = calloc(1, sizeof *d);
	if (!d)
		return -ENOMEM;
	d->care = care;
	elf_version(EV_CURRENT);
	r = open_sections(d, fd);
	if (r == 0) {
		d->dw = dwarf_begin_elf(d->elf, DWARF_C_READ, NULL);
		if (d->dw && !uw_dwarf_within(d->elf, &d->limits))
			r = -EFBIG;
		else if (!d->dw)
			r = -ENODATA;
	}
	if (r == 0) {
		set_alt(d, fd);
		if (dwarf_nextcu(d->dw, 0, &next, &header, NULL, NULL, NULL) != 0)
			r = -ENODATA;
	}
	if (r < 0) {
		uw_dwarf_free(d);
		return r == -ENOMEM || r == -EFBIG ? r : -ENODATA;
	}
	*ret = d;
	return 0;
}

void uw_dwarf_free(struct uw_dwarf *d)
{
	if (!d)
		return;
	free_units(d);
	dwarf_end(d->dw);
	dwarf_end(d->alt);
	uw_elf_free(d->alt_elf);
	elf_end(d->elf);
	uw_dwarf_image_fini(&d->image);
	if (d->care)
		d->care->unpacked -= d->packed;
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
		struct range *v = cap <= MAX_RANGES ? reallocarray(r->v, cap, sizeof *v) : NULL;

		if (!v)
			return;
		r->v = v;
		r->cap = cap;
	}
	r->v[r->n++] = (struct range){start, end, die};
}

static void add_die(struct uw_dwarf *d, struct ranges *r, Dwarf_Die *die)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;

	while (!too_long(d) && (at = dwarf_ranges(die, at, &base, &start, &end)) > 0)
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
	while (!too_long(d) && dwarf_nextcu(d->dw, at, &next, &header, NULL, NULL, NULL) == 0) {
		Dwarf_Die die;

		if (dwarf_offdie(d->dw, at + header, &die) &&
		    dwarf_tag(&die) == DW_TAG_compile_unit)
			add_die(d, &d->units, &die);
		at = next;
	}
	sort_ranges(&d->units);
}

static bool find_unit(struct uw_dwarf *d, uint64_t pc, Dwarf_Die *ret)
{
	Dwarf_Off off;

	if (!d->limits.no_aranges && dwarf_addrdie(d->dw, pc, ret))
		return true;
	if (!d->listed)
		list_units(d);
	return find_range(&d->units, pc, &off) && dwarf_offdie(d->dw, off, ret);
}

/* C++ and Rust put functions with code into namespaces and types. */
static void list_functions(struct uw_dwarf *d, struct ranges *r, Dwarf_Die *parent, int depth)
{
	Dwarf_Die die;

	if (depth > MAX_NEST || dwarf_child(parent, &die) != 0)
		return;
	do {
		switch (dwarf_tag(&die)) {
		case DW_TAG_subprogram:
			add_die(d, r, &die);
			break;
		case DW_TAG_namespace:
		case DW_TAG_module:
		case DW_TAG_structure_type:
		case DW_TAG_class_type:
		case DW_TAG_union_type:
		case DW_TAG_enumeration_type:
			list_functions(d, r, &die, depth + 1);
			break;
		}
	} while (!too_long(d) && dwarf_siblingof(&die, &die) == 0);
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
	list_functions(d, &u->functions, cu, 0);
	sort_ranges(&u->functions);
	return &u->functions;
}

/* As dwarf_haspc, which goes through a list of any length at once. */
static bool covers(struct uw_dwarf *d, Dwarf_Die *die, uint64_t pc)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;

	while (!too_long(d) && (at = dwarf_ranges(die, at, &base, &start, &end)) > 0) {
		if (pc >= start && pc < end)
			return true;
	}
	return false;
}

/*
 * The inlined functions at pc inside of function, outermost first in chain[1..]; chain[0] is the
 * function itself. Those beyond MAX_CHAIN are not followed.
 */
static size_t inline_chain(struct uw_dwarf *d, Dwarf_Die *function, uint64_t pc, Dwarf_Die *chain)
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
			if (!covers(d, &die, pc))
				continue;
			if (tag == DW_TAG_inlined_subroutine)
				chain[n++] = die;
			parent = die;
			found = true;
			break;
		} while (!too_long(d) && dwarf_siblingof(&die, &die) == 0);
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

/* libdw keeps a row of many bytes for each byte of a program. */
static bool has_lines(struct uw_dwarf *d, Dwarf_Die *cu)
{
	Dwarf_Attribute attr;
	Dwarf_Word offset;

	return !d->care || (dwarf_formudata(dwarf_attr(cu, DW_AT_stmt_list, &attr), &offset) == 0 &&
			    uw_dwarf_lines_within(&d->limits, offset));
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
static void call_site(Dwarf_Die *cu, Dwarf_Die *inlined, bool files_known, struct uw_frame *f)
{
	Dwarf_Attribute attr;
	Dwarf_Files *files;
	Dwarf_Word v;
	size_t n;

	if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attr), &v) == 0 && v <= INT32_MAX)
		f->line = to_line((long long)v);
	if (files_known && dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attr), &v) == 0 &&
	    dwarf_getsrcfiles(cu, &files, &n) == 0 && v < n)
		f->file = dwarf_filesrc(files, v, NULL, NULL);
}

static size_t frames_at(struct uw_dwarf *d, uint64_t pc, struct uw_frame *frames, size_t max)
{
	Dwarf_Die cu, function, chain[MAX_CHAIN];
	const struct ranges *functions;
	Dwarf_Off off;
	size_t n, out = 0;
	bool lines;

	if (!find_unit(d, pc, &cu))
		return 0;
	functions = functions_of(d, &cu);
	if (!functions || !find_range(functions, pc, &off) || !dwarf_offdie(d->dw, off, &function))
		return 0;
	n = inline_chain(d, &function, pc, chain);
	lines = has_lines(d, &cu);
	for (size_t i = n; i-- > 0;) {
		struct uw_frame f = {.name = die_name(&chain[i])};
		int line;

		if (i + 1 < n)
			call_site(&cu, &chain[i + 1], lines, &f);
		else if (lines)
			line_at(&cu, pc, &f);
		if (dwarf_decl_line(&chain[i], &line) == 0)
			f.start_line = to_line(line);
		if (out < max)
			frames[out++] = f;
		else
			frames[max - 1] = f;
	}
	return out;
}

size_t uw_dwarf_frames(struct uw_dwarf *d, uint64_t pc, struct uw_frame *frames, size_t max)
{
	size_t n;

	if (max == 0 || d->given_up)
		return 0;
	begin(d);
	n = frames_at(d, pc, frames, max);
	return done(d) ? n : 0;
}

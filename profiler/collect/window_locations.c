/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses → locations of a profile, each named once. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "array.h"
#include "gostored.h"
#include "locations.h"
#include "sort.h"
#include "window_parts.h"

enum { LOOK_MS = 20 };

static uint32_t number_of(const struct window_maker *m, const struct prowl_window_image *im)
{
	return (uint32_t)(im - m->w->images);
}

bool window_is_go(const struct prowl_window_image *im, uint64_t pc)
{
	return uw_space_go_at(im->space, pc) != NULL;
}

/* --- functions and locations ----------------------------------------------------- */

int window_named_location(struct window_target *t, uint32_t mapping, uint64_t address,
			  const char *name, const char *file, uint32_t *ret)
{
	struct pprof_line line = {0};
	const struct uw_frame f = {.name = name, .readable = name, .file = file};
	int r = prowl_name_function(t->p, &f, &line.function);

	return r < 0 ? r : pprof_location(t->p, mapping, address, &line, 1, ret);
}

uint32_t window_mark(struct window_maker *m, struct window_target *t, enum window_mark which)
{
	static const char *const names[MARKS] = {"[unknown]", "[truncated]", "[lost]",
						 "[not sampled]"};
	int r;

	if (t->marks[which] == PPROF_NONE) {
		r = window_named_location(t, PPROF_NONE, 0, names[which], "", &t->marks[which]);
		if (r < 0)
			m->error = r;
	}
	return t->marks[which];
}

/*
 * Whether somebody waits for the profile. Go's tables take no time that would matter; those of
 * native files may.
 */
static void look_for_hurry(struct window_maker *m)
{
	struct pollfd wake = {.fd = m->w->hurry_fd, .events = POLLIN};
	struct timespec t;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	now = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	if (!m->w->last || now - m->looked < LOOK_MS)
		return;
	m->looked = now;
	if (poll(&wake, 1, 0) > 0)
		m->w->names->files->care.hurry = true;
}

/* Native addresses are looked up once, if other windows follow. */
static size_t symbols_at(struct window_maker *m, const struct prowl_window_image *im, uint64_t pc,
			 struct uw_symbol *syms, const struct uw_mapping **ret_map)
{
	struct prowl_names *names = m->w->names;
	bool go = window_is_go(im, pc), cached = !m->w->last && !go;
	uint32_t image = number_of(m, im);
	enum uw_kind kind;
	size_t n;

	if (cached && prowl_symbol_cache_get(&names->native, image, pc, syms, &n)) {
		*ret_map = uw_space_at(im->space, pc);
		return n;
	}
	if (!go)
		look_for_hurry(m);
	prowl_residency_keep(names->residency, names->files, ++names->lookups);
	n = uw_symbolize(im->space, pc, syms, UW_MAX_INLINE, &kind, ret_map);
	if (cached && *ret_map) /* what is mapped there later has names */
		prowl_symbol_cache_put(&names->native, image, pc, syms, n);
	return n;
}

/* prowl_name_function, for Go: many addresses share few names, which stay where they are. */
static int go_function(struct window_maker *m, uint32_t target, const struct uw_frame *f,
		       uint32_t *ret)
{
	uint64_t h = ((uint64_t)(uintptr_t)f->name ^ (uint64_t)(uintptr_t)f->file << 20) *
		     0x9e3779b97f4a7c15ull;
	struct window_named *n = &m->names[h >> (64 - NAMED_BITS)];
	int r;

	if (n->name != f->name || n->file != f->file || n->start_line != f->start_line ||
	    n->target != target) {
		r = prowl_name_function(m->targets[target].p, f, &n->function);
		if (r < 0) {
			n->name = NULL;
			return r;
		}
		n->name = f->name;
		n->file = f->file;
		n->start_line = f->start_line;
		n->target = target;
	}
	*ret = n->function;
	return 0;
}

/* Kept beside the locations: those, and their names, lie far apart. */
static int set_facts(struct window_target *t, uint32_t loc, int facts)
{
	size_t old = t->cap_facts;

	if (prowl_array_reserve(&t->facts, &t->cap_facts, loc + 1, 1) < 0)
		return -ENOMEM;
	memset(t->facts + old, 0, t->cap_facts - old);
	t->facts[loc] = (uint8_t)facts;
	return 0;
}

static bool find_location(const struct window_image *ic, uint64_t pc, bool keep, uint32_t *ret)
{
	return prowl_idmap_get(&ic->locations[keep], pc, ret) && *ret != PPROF_NONE;
}

/* Where an address has no name, nothing is complete about its mapping. */
static int unknown_location(struct window_target *t, uint32_t map, const struct uw_mapping *m,
			    uint64_t pc, uint32_t *ret)
{
	if (map != PPROF_NONE) {
		struct pprof_mapping *pm = &t->p->mappings[map];

		pm->has_functions = pm->has_filenames = pm->has_line_numbers =
			pm->has_inline_frames = false;
	}
	return window_named_location(t, map, pc, "[unknown]", m && m->bin ? m->bin->path : "", ret);
}

/* The lines of the frames at an address, but for wrappers; returns their number. */
static int frame_lines(struct window_maker *m, const struct window_image *ic, bool go, bool keep,
		       uint32_t map, const struct uw_symbol *syms, size_t n,
		       struct pprof_line *lines, int *facts)
{
	struct pprof_profile *p = m->targets[ic->target].p;
	int k = 0, r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		const struct uw_frame *f = &syms[i].frame;

		if (syms[i].wrapper && !keep)
			continue;
		lines[k] = (struct pprof_line){.line = f->line};
		r = go ? go_function(m, ic->target, f, &lines[k].function)
		       : prowl_name_function(p, f, &lines[k].function);
		if (map != PPROF_NONE && !f->line)
			p->mappings[map].has_line_numbers = p->mappings[map].has_filenames = false;
		*facts = uw_go_keeps_wrapper(f->readable ? f->readable : f->name)
				 ? FACT_KEEPS_WRAPPER
				 : 0;
		k++;
	}
	return r < 0 ? r : k;
}

int window_user_location(struct window_maker *m, const struct prowl_window_image *im, uint64_t pc,
			 bool keep, uint32_t *ret)
{
	struct window_image *ic = &m->images[number_of(m, im)];
	struct window_target *t = &m->targets[ic->target];
	struct uw_symbol syms[UW_MAX_INLINE];
	struct pprof_line lines[UW_MAX_INLINE];
	const struct uw_mapping *mapping;
	uint32_t map = PPROF_NONE;
	bool go = window_is_go(im, pc);
	size_t n;
	int r = 0, k, facts = 0;

	if (find_location(ic, pc, keep, ret))
		return 0;
	if (!go && !m->native_named) {
		r = window_name_native(m);
		if (r < 0 || find_location(ic, pc, keep, ret))
			return r;
	}
	n = symbols_at(m, im, pc, syms, &mapping);
	if (mapping)
		r = prowl_name_mapping(t->p, &ic->mappings, mapping, &map);
	k = r < 0 ? r : frame_lines(m, ic, go, keep, map, syms, n, lines, &facts);
	if (k < 0)
		return k;
	if (n == 0) {
		facts = FACT_UNKNOWN;
		r = unknown_location(t, map, mapping, pc, ret);
	} else if (k == 0) {
		*ret = NO_LOCATION;
	} else {
		r = pprof_location(t->p, map, pc, lines, (size_t)k, ret);
	}
	if (r == 0 && *ret != NO_LOCATION)
		r = set_facts(t, *ret, facts);
	return r < 0 ? r : prowl_idmap_put(&ic->locations[keep], pc, *ret);
}

int window_first_mapping(struct window_maker *m, struct window_target *t, struct uw_space *space)
{
	for (size_t i = 0; i < space->n; i++) {
		uint32_t image = 0, unused;

		if (!space->maps[i].bin || space->maps[i].bin != space->exe)
			continue;
		while (image < m->w->nimages && m->w->images[image].space != space)
			image++;
		return image == m->w->nimages ? 0
					      : prowl_name_mapping(t->p, &m->images[image].mappings,
								   &space->maps[i], &unused);
	}
	return 0;
}

/* --- many at once ---------------------------------------------------------------- */

int window_collect_pc(struct window_pcs *list, struct prowl_idmap *seen, uint64_t pc)
{
	uint32_t unused;
	int r;

	if (pc == 0 || prowl_idmap_get(seen, pc, &unused))
		return 0;
	r = prowl_array_reserve(&list->pc, &list->cap, list->n + 1, sizeof *list->pc);
	if (r < 0)
		return r;
	list->pc[list->n++] = pc;
	return prowl_idmap_put(seen, pc, PPROF_NONE);
}

/*
 * Where Go was interrupted, in the order of addresses: these are most of the different ones of a
 * window, and so the tables are read from their beginnings to their ends.
 */
int window_name_leaves(struct window_maker *m, const struct prowl_window_image *im)
{
	struct window_pcs *l = &m->images[number_of(m, im)].leaves;
	uint32_t unused;
	int r = prowl_sort_u64(l->pc, l->n);

	for (size_t i = 0; r == 0 && i < l->n; i++)
		r = window_user_location(m, im, l->pc[i], false, &unused);
	free(l->pc);
	*l = (struct window_pcs){0};
	return r;
}

static int name_native_of(void *arg, const uint64_t *words, size_t n, uint64_t count,
			  uint64_t weight)
{
	struct window_maker *m = arg;
	struct prowl_stackkey key;
	const struct prowl_window_image *im = window_read_key(m, words, n, WHOLE, &key);
	uint32_t loc;

	for (size_t i = 0; im && i < key.nuser; i++) {
		uint64_t pc = key.pcs[key.nkernel + i];

		if (pc == 0 || window_is_go(im, pc))
			continue;
		m->error = window_user_location(m, im, pc, false, &loc);
		if (m->error < 0)
			return 1;
	}
	return 0;
}

/*
 * All of them in one go, at the latest when the first is met: what their debug sections were
 * unpacked into is freed before the samples take their memory.
 */
int window_name_native(struct window_maker *m)
{
	m->native_named = true;
	if (!m->w->last || m->given_back)
		return 0; /* few are new (see prowl_session_cut), or too late: one by one */
	uw_binaries_trim(m->w->names->files);
	if (prowl_stackhash_each(m->w->hash, name_native_of, m) != 0)
		return m->error ? m->error : -ENOMEM;
	uw_binaries_forget(m->w->names->files);
	return 0;
}

/* --- the kernel ------------------------------------------------------------------ */

static void drop_equal(struct window_pcs *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (kept == 0 || l->pc[kept - 1] != l->pc[i])
			l->pc[kept++] = l->pc[i];
	}
	l->n = kept;
}

int window_name_kernel(struct window_maker *m)
{
	struct pprof_mapping pm = {.has_functions = true};
	struct window_pcs *k = &m->kernel_pcs;
	int r;

	if (k->n == 0)
		return 0;
	r = prowl_sort_u64(k->pc, k->n);
	if (r < 0)
		return r;
	drop_equal(k); /* several profiles may have it */
	r = prowl_kernel_names_learn(&m->w->names->kernel, k->pc, k->n);
	m->made.kernel_sampled = true;
	m->made.kernel_names = r == 0;
	pm.start = k->pc[0] & ~0xfffull;
	pm.limit = (k->pc[k->n - 1] | 0xfffull) + 1;
	r = 0;
	for (size_t i = 0; i < m->ntargets && r == 0; i++) {
		struct window_target *t = &m->targets[i];

		if (t->kernel_locations.n == 0)
			continue;
		r = pprof_string(t->p, "[kernel.kallsyms]", &pm.filename);
		if (r == 0)
			r = pprof_mapping(t->p, &pm, &t->kernel_map);
	}
	return r;
}

static int kernel_location_new(struct window_maker *m, struct window_target *t, uint64_t pc,
			       uint32_t *ret)
{
	const struct prowl_kernel_name *k;
	char file[80] = "";
	int r;

	if (prowl_idmap_get(&t->kernel_locations, pc, ret) && *ret != PPROF_NONE)
		return 0;
	k = prowl_kernel_names_of(&m->w->names->kernel, pc);
	if (k && k->module)
		snprintf(file, sizeof file, "[%s]", k->module);
	r = window_named_location(t, t->kernel_map, pc, k ? k->name : "[kernel]", file, ret);
	return r < 0 ? r : prowl_idmap_put(&t->kernel_locations, pc, *ret);
}

int window_kernel_location(struct window_maker *m, struct window_target *t, uint64_t pc,
			   uint32_t *ret)
{
	struct window_recent *e = window_recent_of(m, pc);
	uint32_t owner = (uint32_t)(t - m->targets) | KERNEL_OWNER;
	int r = 0;

	if (e->pc != pc || e->owner != owner) {
		r = kernel_location_new(m, t, pc, &e->location);
		e->pc = r < 0 ? 0 : pc;
		e->owner = owner;
	}
	*ret = e->location;
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The Go modules of an address space: which there are, and whose runtime runs them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "golayout.h"
#include "space.h"

enum { TRIES = 10 }; /* for files that the loader is not done with; the pauses double */
#define FIRST_PAUSE_NS 20000000ull

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- finding them ---------------------------------------------------------------- */

static bool is_known(const struct uw_space *s, const struct uw_binary *bin, uint64_t bias)
{
	for (size_t i = 0; i < s->nmods; i++) {
		if (s->mods[i].bin == bin && s->mods[i].bias == bias)
			return true;
	}
	return false;
}

/* Keeps them sorted. One that overlaps another is not believed. */
static void insert(struct uw_space *s, const struct uw_go_module *mod)
{
	struct uw_go_module *mods;
	size_t i = 0;

	while (i < s->nmods && s->mods[i].lo < mod->lo)
		i++;
	if (mod->lo >= mod->hi || s->nmods == UW_MAX_GO_MODULES ||
	    (i > 0 && s->mods[i - 1].hi > mod->lo) || (i < s->nmods && mod->hi > s->mods[i].lo))
		return;
	mods = realloc(s->mods, (s->nmods + 1) * sizeof *mods);
	if (!mods)
		return;
	s->mods = mods;
	memmove(mods + i + 1, mods + i, (s->nmods - i) * sizeof *mods);
	mods[i] = *mod;
	s->nmods++;
}

/* Adds the tables of bin, which lie in memory at that bias. */
static void insert_go(struct uw_space *s, struct uw_go *go, struct uw_binary *bin, uint64_t bias)
{
	struct uw_go_module mod = {.go = go, .bin = bin, .bias = bias};

	uw_go_text(go, &mod.lo, &mod.hi);
	mod.lo += bias;
	mod.hi += bias;
	insert(s, &mod);
}

/* False: it is Go, but not whole (yet). */
static bool try_go(struct uw_space *s, struct uw_mapping *m)
{
	const struct uw_elf *elf;
	struct uw_go *go;
	uint64_t bias;

	if (m->vdso || !uw_space_elf(s, m, &elf, &bias) || is_known(s, m->bin, bias))
		return true;
	go = uw_binary_go(m->bin, &s->live, bias);
	if (!go)
		return m->bin->go_error != -EBADMSG;
	insert_go(s, go, m->bin, bias);
	return true;
}

/* The executable first: modules that overlap it are not believed. */
static bool find_all(struct uw_space *s)
{
	bool whole = true;

	s->nmods = 0;
	for (int others = 0; others < 2; others++) {
		for (size_t i = 0; i < s->n; i++) {
			struct uw_mapping *m = &s->maps[i];

			if ((!m->bin || m->bin != s->exe) == others)
				whole &= try_go(s, m);
		}
	}
	return whole;
}

/* --- whose runtime --------------------------------------------------------------- */

static size_t module_of_data(const struct uw_space *s, uint64_t moduledata)
{
	size_t i = 0;

	while (i < s->nmods && uw_go_moduledata(s->mods[i].go) + s->mods[i].bias != moduledata)
		i++;
	return i;
}

/*
 * A runtime has its modules in a list that begins with its own: the program, then its plugins. A
 * module in no list has a runtime of its own.
 */
static void find_runtimes(struct uw_space *s)
{
	for (size_t i = 0; i < s->nmods; i++)
		s->mods[i].runtime = i;
	for (size_t i = 0; s->nmods > 1 && i < s->nmods; i++) {
		const struct uw_go_module *m = &s->mods[i];
		uint64_t at = uw_go_moduledata(m->go) + m->bias + uw_go_layout(m->go)->module.next;
		uint64_t next = 0;
		size_t k = uw_read_u64(&s->live, at, &next) == 0 && next ? module_of_data(s, next)
									 : s->nmods;

		if (k < s->nmods && k != i)
			s->mods[k].runtime = i;
	}
	/* To the beginning of each list; a list that is a ring has none, and ends somewhere. */
	for (size_t i = 0; i < s->nmods; i++) {
		size_t at = i;

		for (size_t n = 0; n < s->nmods && s->mods[at].runtime != at; n++)
			at = s->mods[at].runtime;
		s->mods[i].runtime = at;
	}
}

/* --- what is asked --------------------------------------------------------------- */

void uw_space_choose_go(struct uw_space *s, size_t which)
{
	const struct uw_go_module *m = &s->mods[which];

	s->chosen = which;
	s->go = m->go;
	s->go_bin = m->bin;
	s->go_bias = m->bias;
	s->go_lo = m->lo;
	s->go_hi = m->hi;
}

bool uw_space_set_go(struct uw_space *s, struct uw_go *go, struct uw_binary *bin, uint64_t bias)
{
	s->nmods = 0;
	insert_go(s, go, bin, bias);
	if (!s->nmods)
		return false;
	s->mods[0].runtime = s->first = 0;
	uw_space_choose_go(s, 0);
	return s->go_tried = true;
}

static size_t first_choice(const struct uw_space *s)
{
	for (size_t i = 0; i < s->nmods; i++) {
		if (s->mods[i].bin == s->exe)
			return s->mods[i].runtime;
	}
	return s->mods[0].runtime;
}

size_t uw_space_runtimes(struct uw_space *s)
{
	size_t n = 0;

	uw_space_go(s);
	for (size_t i = 0; i < s->nmods; i++)
		n += s->mods[i].runtime == i;
	return n;
}

size_t uw_space_runtime(const struct uw_space *s, size_t which)
{
	for (size_t i = 0; which > 0 && i < s->nmods; i++) {
		if (s->mods[i].runtime == i && i != s->first && --which == 0)
			return i;
	}
	return s->first;
}

static struct uw_go *look(struct uw_space *s)
{
	bool whole = find_all(s);

	s->go_tried = true;
	s->go_next = 0;
	if (s->nmods) {
		find_runtimes(s);
		s->first = first_choice(s);
		uw_space_choose_go(s, s->first);
	}
	if (!whole && s->fresh && s->go_again < TRIES)
		s->go_next = now_ns() + (FIRST_PAUSE_NS << s->go_again++);
	return s->go;
}

static struct uw_go *look_again(struct uw_space *s)
{
	size_t before = s->nmods;

	for (size_t i = 0; i < s->n; i++) {
		if (s->maps[i].bin && s->maps[i].bin->go_error == -EBADMSG)
			s->maps[i].bin->go_tried = false;
	}
	look(s);
	if (s->nmods != before)
		s->version = ++s->reg->versions;
	return s->go;
}

struct uw_go *uw_space_go(struct uw_space *s)
{
	if (!s->go_tried)
		return look(s);
	if (s->go_next && now_ns() >= s->go_next)
		return look_again(s);
	return s->go;
}

const struct uw_go_module *uw_space_go_other(const struct uw_space *s, uint64_t pc)
{
	size_t lo = 0, hi = s->nmods;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->mods[mid].hi <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->nmods && s->mods[lo].lo <= pc ? &s->mods[lo] : NULL;
}

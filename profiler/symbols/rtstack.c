/* SPDX-License-Identifier: Apache-2.0 */
#include "rtstack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "locations.h"
#include "symbolize.h"

struct prowl_rtstack_place {
	uint32_t location; /* PPROF_NONE: shows nothing */
	bool keeps_wrapper;
	size_t first_follow, nfollow;
};

void prowl_rtstack_init(struct prowl_rtstack *s, struct pprof_profile *p, struct uw_space *space,
			struct uw_go *go, bool recorded)
{
	*s = (struct prowl_rtstack){.p = p, .space = space, .go = go, .recorded = recorded};
}

void prowl_rtstack_fini(struct prowl_rtstack *s)
{
	prowl_idmap_fini(&s->places[0]);
	prowl_idmap_fini(&s->places[1]);
	prowl_idmap_fini(&s->maps);
	prowl_idmap_fini(&s->hidden);
	free(s->place);
	free(s->follow);
}

int prowl_rtstack_first_mapping(struct prowl_rtstack *s)
{
	for (size_t i = 0; i < s->space->n; i++) {
		uint32_t unused;

		if (s->space->maps[i].bin && s->space->maps[i].bin == s->space->exe)
			return prowl_name_mapping(s->p, &s->maps, &s->space->maps[i], &unused);
	}
	return 0;
}

static int add_lines(struct prowl_rtstack *s, uint32_t map, uint64_t pc,
		     const struct uw_frame *const *frames, size_t n, uint32_t *ret)
{
	struct pprof_line lines[UW_MAX_INLINE];
	struct pprof_mapping *m = map == PPROF_NONE ? NULL : &s->p->mappings[map];

	for (size_t i = 0; i < n; i++) {
		int r = prowl_name_function(s->p, frames[i], &lines[i].function);

		if (r < 0)
			return r;
		lines[i].line = frames[i]->line;
		lines[i].column = 0;
		if (m && !frames[i]->line)
			m->has_line_numbers = m->has_filenames = false;
	}
	if (m && n == 0)
		m->has_functions = m->has_filenames = m->has_line_numbers = m->has_inline_frames =
			false;
	return pprof_location(s->p, map, pc, lines, n, ret);
}

static int go_place(struct prowl_rtstack *s, const struct uw_gostored *g, uint32_t map,
		    struct prowl_rtstack_place *ret)
{
	const struct uw_frame *frames[UW_MAX_INLINE];
	uint64_t *bigger;

	for (size_t i = 0; i < g->nframes; i++)
		frames[i] = &g->frames[i].frame;
	if (s->nfollow + g->nfollow > s->cap_follow) {
		size_t cap = (s->cap_follow + UW_MAX_INLINE) * 2;

		bigger = realloc(s->follow, cap * sizeof *bigger);
		if (!bigger)
			return -ENOMEM;
		s->follow = bigger;
		s->cap_follow = cap;
	}
	ret->first_follow = s->nfollow;
	ret->nfollow = g->nfollow;
	if (g->nfollow)
		memcpy(s->follow + s->nfollow, g->follow, g->nfollow * sizeof *g->follow);
	s->nfollow += g->nfollow;
	if (g->nframes == 0)
		return 0;
	ret->keeps_wrapper = uw_go_keeps_wrapper(frames[g->nframes - 1]->name);
	return add_lines(s, map, g->pc, frames, g->nframes, &ret->location);
}

/* C code that called Go, or what no table names. */
static int other_place(struct prowl_rtstack *s, uint64_t pc, struct prowl_rtstack_place *ret)
{
	static const struct uw_frame nameless = {.name = "[unknown]", .readable = "[unknown]"};
	struct uw_symbol syms[UW_MAX_INLINE];
	const struct uw_frame *frames[UW_MAX_INLINE];
	const struct uw_mapping *m;
	uint32_t map = PPROF_NONE;
	enum uw_kind kind;
	size_t n = uw_symbolize(s->space, pc, syms, UW_MAX_INLINE, &kind, &m);
	int r;

	if (!m) {
		s->outside++;
		return 0;
	}
	r = prowl_name_mapping(s->p, &s->maps, m, &map);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		frames[i] = &syms[i].frame;
	if (n == 0) {
		frames[n++] = &nameless;
		s->unknown++;
	}
	return add_lines(s, map, pc, frames, n, &ret->location);
}

static int make_place(struct prowl_rtstack *s, uint64_t word, bool keep,
		      struct prowl_rtstack_place *ret)
{
	const struct uw_go_module *mod = uw_space_go_at(s->space, word);
	const struct uw_mapping *m;
	struct uw_gostored g;
	uint32_t map = PPROF_NONE;
	int r = 0;

	*ret = (struct prowl_rtstack_place){.location = PPROF_NONE};
	if (!mod || !uw_gostored_place(mod->go, mod->bias, word, keep, &g))
		return other_place(s, word - 1, ret);
	m = uw_space_at(s->space, g.pc);
	if (m)
		r = prowl_name_mapping(s->p, &s->maps, m, &map);
	return r < 0 ? r : go_place(s, &g, map, ret);
}

static int place_of(struct prowl_rtstack *s, uint64_t word, bool keep,
		    const struct prowl_rtstack_place **ret)
{
	struct prowl_rtstack_place made;
	uint32_t at;
	int r;

	if (prowl_idmap_get(&s->places[keep], word, &at)) {
		*ret = &s->place[at];
		return 0;
	}
	r = make_place(s, word, keep, &made);
	if (r < 0)
		return r;
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 256;
		void *bigger = realloc(s->place, cap * sizeof *s->place);

		if (!bigger)
			return -ENOMEM;
		s->place = bigger;
		s->cap = cap;
	}
	s->place[s->n] = made;
	r = prowl_idmap_put(&s->places[keep], word, (uint32_t)s->n);
	*ret = &s->place[s->n++];
	return r;
}

static bool in_runtime(struct prowl_rtstack *s, uint64_t word)
{
	uint32_t hidden;

	if (word == 0)
		return false;
	if (!prowl_idmap_get(&s->hidden, word, &hidden)) {
		const struct uw_go_module *mod = uw_space_go_at(s->space, word);

		hidden = mod && uw_gostored_in_runtime(mod->go, mod->bias, word);
		prowl_idmap_put(&s->hidden, word, hidden); /* without memory: asked again */
	}
	return hidden;
}

static size_t first_shown(struct prowl_rtstack *s, const uint64_t *words, size_t n)
{
	size_t i = 0;

	while (i < n && in_runtime(s, words[i]))
		i++;
	return i < n ? i : 0;
}

int prowl_rtstack_stack(struct prowl_rtstack *s, const uint64_t *words, size_t n, bool hide_runtime,
			uint32_t *locs)
{
	size_t start = hide_runtime ? first_shown(s, words, n) : 0;
	bool keep = s->recorded;
	int k = 0;

	for (size_t i = start; i < n;) {
		const struct prowl_rtstack_place *place;
		uint64_t word = words[i++];
		int r;

		if (word == 0 || word == UINT64_MAX) { /* no word; a marker */
			s->outside += word == 0;
			continue;
		}
		r = place_of(s, word, keep, &place);
		if (r < 0)
			return r;
		i += uw_gostored_passed(s->follow + place->first_follow, place->nfollow, words + i,
					n - i);
		keep = s->recorded || place->keeps_wrapper;
		if (place->location != PPROF_NONE)
			locs[k++] = place->location;
	}
	/* Only goexit or so behind the runtime's own: then those. */
	if (k == 0 && start > 0)
		return prowl_rtstack_stack(s, words, n, false, locs);
	return k;
}

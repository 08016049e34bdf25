/* SPDX-License-Identifier: Apache-2.0 */
#include "frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "table.h"

/* --- finding them ---------------------------------------------------------------- */

struct frame_key {
	const struct frames *f;
	struct frame frame;
};

static bool same_frame(const void *ctx, uint32_t index)
{
	const struct frame_key *k = ctx;
	const struct frame *have = &k->f->frame[index];

	return have->name == k->frame.name && have->file == k->frame.file &&
	       have->line == k->frame.line && have->object == k->frame.object;
}

static int find_frame(struct frames *f, struct table *t, struct frame frame, uint32_t *ret)
{
	const uint64_t words[] = {(uint64_t)frame.name << 32 | frame.file, (uint64_t)frame.line,
				  frame.object};
	uint32_t hash = (uint32_t)XXH3_64bits(words, sizeof words);
	struct frame_key key = {f, frame};
	int r;

	*ret = pp_table_find(t, hash, same_frame, &key);
	if (*ret != PPROF_NONE)
		return 0;
	r = pp_array_reserve(&f->frame, &f->cap, f->n + 1, sizeof *f->frame);
	if (r == 0)
		r = pp_table_reserve(t);
	if (r < 0)
		return r;
	*ret = (uint32_t)f->n;
	f->frame[f->n++] = frame;
	pp_table_put(t, hash, *ret);
	return 0;
}

static struct frame object_of(const struct pprof_profile *p, const struct pprof_location *l)
{
	return (struct frame){.object = true,
			      .name = l->mapping == PPROF_NONE ? 0
							       : p->mappings[l->mapping].filename};
}

static int find_location(struct frames *f, struct table *t, uint32_t location)
{
	const struct pprof_profile *p = f->p;
	const struct pprof_location *l = &p->locations[location];
	int r = 0;

	if (f->of_location[location] != PPROF_NONE)
		return 0;
	f->of_location[location] = 0; /* used; its lines have the frames */
	if (l->nlines == 0)
		return find_frame(f, t, object_of(p, l), &f->of_location[location]);
	for (uint32_t i = l->first_line; r == 0 && i < l->first_line + l->nlines; i++) {
		const struct pprof_function *fn = &p->functions[p->lines[i].function];
		struct frame frame = {
			.name = fn->name, .file = fn->filename, .line = fn->start_line};

		r = find_frame(f, t, fn->name ? frame : object_of(p, l), &f->of_line[i]);
	}
	return r;
}

static bool has_value(const struct pprof_profile *p, size_t sample, size_t type)
{
	const int64_t *values = pprof_sample_values(p, sample);

	for (size_t i = 0; i < p->nsample_types; i++)
		if (values[i] && (type == FRAMES_ALL || type == i))
			return true;
	return false;
}

static int find_all(struct frames *f, size_t type)
{
	const struct pprof_profile *p = f->p;
	struct table t = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->nsamples; i++) {
		const uint32_t *stack = pprof_sample_stack(p, i);
		size_t n = has_value(p, i, type) ? p->samples[i].nlocations : 0;

		for (size_t j = 0; r == 0 && j < n; j++)
			r = find_location(f, &t, stack[j]);
	}
	pp_table_fini(&t);
	return r;
}

/* --- their order ----------------------------------------------------------------- */

static int frame_order(const void *va, const void *vb, void *ctx)
{
	const struct frames *f = ctx;
	const struct frame *a = &f->frame[*(const uint32_t *)va];
	const struct frame *b = &f->frame[*(const uint32_t *)vb];
	int r = strcmp(f->p->strings[a->name], f->p->strings[b->name]);

	if (r == 0)
		r = strcmp(f->p->strings[a->file], f->p->strings[b->file]);
	if (r == 0 && a->line != b->line)
		r = a->line < b->line ? -1 : 1;
	return r ? r : (int)a->object - (int)b->object;
}

static void renumber(uint32_t *numbers, size_t n, const uint32_t *rank)
{
	for (size_t i = 0; i < n; i++)
		if (numbers[i] != PPROF_NONE)
			numbers[i] = rank[numbers[i]];
}

static int sort_all(struct frames *f)
{
	uint32_t *order = malloc((f->n + 1) * sizeof *order);
	uint32_t *rank = malloc((f->n + 1) * sizeof *rank);
	struct frame *sorted = malloc((f->n + 1) * sizeof *sorted);
	bool ok = order && rank && sorted;

	if (ok) {
		for (size_t i = 0; i < f->n; i++)
			order[i] = (uint32_t)i;
		qsort_r(order, f->n, sizeof *order, frame_order, f);
		for (size_t i = 0; i < f->n; i++) {
			rank[order[i]] = (uint32_t)i;
			sorted[i] = f->frame[order[i]];
		}
		renumber(f->of_line, f->p->nlines, rank);
		renumber(f->of_location, f->p->nlocations, rank);
		free(f->frame);
		f->frame = sorted;
		sorted = NULL;
	}
	free(order);
	free(rank);
	free(sorted);
	return ok ? 0 : -ENOMEM;
}

int pp_frames_init(struct frames *f, const struct pprof_profile *p, size_t type)
{
	int r;

	*f = (struct frames){.p = p};
	f->of_line = malloc((p->nlines + 1) * sizeof *f->of_line);
	f->of_location = malloc((p->nlocations + 1) * sizeof *f->of_location);
	if (!f->of_line || !f->of_location) {
		pp_frames_fini(f);
		return -ENOMEM;
	}
	memset(f->of_line, 0xff, p->nlines * sizeof *f->of_line);
	memset(f->of_location, 0xff, p->nlocations * sizeof *f->of_location);
	r = find_all(f, type);
	if (r == 0)
		r = sort_all(f);
	if (r < 0)
		pp_frames_fini(f);
	return r;
}

void pp_frames_fini(struct frames *f)
{
	free(f->frame);
	free(f->of_line);
	free(f->of_location);
	*f = (struct frames){0};
}

/* --- stacks ---------------------------------------------------------------------- */

struct frame_walk pp_frames_walk(const struct frames *f, size_t sample)
{
	return (struct frame_walk){.f = f,
				   .stack = pprof_sample_stack(f->p, sample),
				   .locations = f->p->samples[sample].nlocations};
}

bool pp_frames_next(struct frame_walk *w, uint32_t *ret_frame)
{
	const struct pprof_location *l;

	if (w->lines == 0) {
		if (w->locations == 0)
			return false;
		w->lines = w->f->p->locations[w->stack[--w->locations]].nlines;
		if (w->lines == 0) {
			*ret_frame = w->f->of_location[w->stack[w->locations]];
			return true;
		}
	}
	l = &w->f->p->locations[w->stack[w->locations]];
	*ret_frame = w->f->of_line[l->first_line + --w->lines];
	return true;
}

int pp_frames_compare(const struct frames *f, size_t a, size_t b)
{
	struct frame_walk wa = pp_frames_walk(f, a), wb = pp_frames_walk(f, b);
	uint32_t fa, fb;

	for (;;) {
		bool more_a = pp_frames_next(&wa, &fa), more_b = pp_frames_next(&wb, &fb);

		if (!more_a || !more_b)
			return (int)more_a - (int)more_b;
		if (fa != fb)
			return fa < fb ? -1 : 1;
	}
}

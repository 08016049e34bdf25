/* SPDX-License-Identifier: Apache-2.0 */
#include "canon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model_parts.h"

struct ctx {
	const struct pprof_profile *p;
	const struct canon *c;
};

#define ORDER(a, b)                                \
	do {                                       \
		if ((a) != (b))                    \
			return (a) < (b) ? -1 : 1; \
	} while (0)

static int order_init(struct canon_order *o, size_t n, bool ranked)
{
	o->n = n;
	o->order = malloc((n + 1) * sizeof *o->order);
	o->rank = ranked ? calloc(n + 1, sizeof *o->rank) : NULL;
	if (!o->order || (ranked && !o->rank))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		o->order[i] = i;
	return 0;
}

static void order_fini(struct canon_order *o)
{
	free(o->order);
	free(o->rank);
}

/* Sorts from position `from` on, then ranks all. */
static void order_sort(struct canon_order *o, size_t from,
		       int (*cmp)(const void *, const void *, void *), struct ctx *ctx)
{
	if (o->n > from + 1)
		qsort_r(o->order + from, o->n - from, sizeof *o->order, cmp, ctx);
	for (size_t i = 0; o->rank && i < o->n; i++)
		o->rank[o->order[i]] = i;
}

/* --- strings --------------------------------------------------------------------- */

static void mark_used(const struct pprof_profile *p, uint32_t *used)
{
	for (size_t i = 0; i < p->nsample_types; i++)
		used[p->sample_types[i].type] = used[p->sample_types[i].unit] = 1;
	for (size_t i = 0; i < p->nmappings; i++)
		used[p->mappings[i].filename] = used[p->mappings[i].build_id] = 1;
	for (size_t i = 0; i < p->nfunctions; i++) {
		used[p->functions[i].name] = used[p->functions[i].system_name] = 1;
		used[p->functions[i].filename] = 1;
	}
	for (size_t i = 0; i < p->nlabels; i++) {
		used[p->labels[i].key] = used[p->labels[i].str] = 1;
		used[p->labels[i].unit] = 1;
	}
	for (size_t i = 0; i < p->ncomments; i++)
		used[p->comments[i]] = 1;
	used[p->period_type.type] = used[p->period_type.unit] = 1;
	used[p->default_sample_type] = used[p->doc_url] = 1;
	used[p->drop_frames] = used[p->keep_frames] = 1;
	used[0] = 1;
}

static int string_order(const void *va, const void *vb, void *vctx)
{
	const struct ctx *x = vctx;

	return strcmp(x->p->strings[*(const uint32_t *)va], x->p->strings[*(const uint32_t *)vb]);
}

static void strings_sort(struct canon_order *o, struct ctx *ctx)
{
	size_t all = o->n;

	mark_used(ctx->p, o->rank);
	o->n = 0;
	for (size_t i = 0; i < all; i++)
		if (o->rank[i])
			o->order[o->n++] = i;
	order_sort(o, 0, string_order, ctx);
}

/* --- mappings, functions, locations ---------------------------------------------- */

static int mapping_order(const void *va, const void *vb, void *vctx)
{
	const struct ctx *x = vctx;
	const struct pprof_mapping *a = &x->p->mappings[*(const uint32_t *)va];
	const struct pprof_mapping *b = &x->p->mappings[*(const uint32_t *)vb];
	const uint32_t *s = x->c->strings.rank;

	ORDER(a->start, b->start);
	ORDER(a->limit, b->limit);
	ORDER(a->offset, b->offset);
	ORDER(s[a->filename], s[b->filename]);
	ORDER(s[a->build_id], s[b->build_id]);
	return 0;
}

static int function_order(const void *va, const void *vb, void *vctx)
{
	const struct ctx *x = vctx;
	const struct pprof_function *a = &x->p->functions[*(const uint32_t *)va];
	const struct pprof_function *b = &x->p->functions[*(const uint32_t *)vb];
	const uint32_t *s = x->c->strings.rank;

	ORDER(s[a->name], s[b->name]);
	ORDER(s[a->system_name], s[b->system_name]);
	ORDER(s[a->filename], s[b->filename]);
	ORDER(a->start_line, b->start_line);
	return 0;
}

/* A location with its main sort key, so that comparisons don't read the array of all. */
struct place {
	uint64_t address;
	uint32_t mapping; /* its rank */
	uint32_t location;
};

static int location_order(const void *va, const void *vb, void *vctx)
{
	const struct ctx *x = vctx;
	const struct place *pa = va, *pb = vb;
	const struct pprof_location *a, *b;

	ORDER(pa->mapping, pb->mapping);
	ORDER(pa->address, pb->address);
	a = &x->p->locations[pa->location];
	b = &x->p->locations[pb->location];
	ORDER(a->nlines, b->nlines);
	for (size_t i = 0; i < a->nlines; i++) {
		const struct pprof_line *la = &x->p->lines[a->first_line + i];
		const struct pprof_line *lb = &x->p->lines[b->first_line + i];

		ORDER(x->c->functions.rank[la->function], x->c->functions.rank[lb->function]);
		ORDER(la->line, lb->line);
		ORDER(la->column, lb->column);
	}
	return 0;
}

static int locations_sort(struct canon_order *o, struct ctx *ctx)
{
	struct place *places = malloc((o->n + 1) * sizeof *places);

	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < o->n; i++) {
		const struct pprof_location *l = &ctx->p->locations[i];

		places[i] = (struct place){
			l->address,
			l->mapping == PPROF_NONE ? PPROF_NONE : ctx->c->mappings.rank[l->mapping],
			(uint32_t)i,
		};
	}
	if (o->n > 1)
		qsort_r(places, o->n, sizeof *places, location_order, ctx);
	for (size_t i = 0; i < o->n; i++) {
		o->order[i] = places[i].location;
		o->rank[places[i].location] = i;
	}
	free(places);
	return 0;
}

/* --- samples --------------------------------------------------------------------- */

static int label_order(const void *va, const void *vb)
{
	const struct pprof_label *a = va, *b = vb;

	ORDER(a->key, b->key);
	ORDER(a->str, b->str);
	ORDER(a->num, b->num);
	ORDER(a->unit, b->unit);
	return 0;
}

static int labels_init(struct canon *c, const struct pprof_profile *p)
{
	const uint32_t *s = c->strings.rank;

	c->labels = malloc((p->nlabels + 1) * sizeof *c->labels);
	if (!c->labels)
		return -ENOMEM;
	for (size_t i = 0; i < p->nlabels; i++) {
		const struct pprof_label *l = &p->labels[i];

		c->labels[i] = (struct pprof_label){s[l->key], s[l->str], s[l->unit], l->num};
	}
	for (size_t i = 0; i < p->nsamples; i++)
		if (p->samples[i].nlabels > 1)
			qsort(c->labels + p->samples[i].first_label, p->samples[i].nlabels,
			      sizeof *c->labels, label_order);
	return 0;
}

static int stack_order(const struct ctx *x, const struct pprof_sample *a,
		       const struct pprof_sample *b)
{
	const uint32_t *rank = x->c->locations.rank;
	const uint32_t *sa = x->p->stacks + a->first_location + a->nlocations;
	const uint32_t *sb = x->p->stacks + b->first_location + b->nlocations;
	size_t n = a->nlocations < b->nlocations ? a->nlocations : b->nlocations;

	while (n-- > 0) {
		--sa;
		--sb;
		if (*sa != *sb)
			return rank[*sa] < rank[*sb] ? -1 : 1;
	}
	ORDER(a->nlocations, b->nlocations);
	return 0;
}

static int sample_order(const void *va, const void *vb, void *vctx)
{
	const struct ctx *x = vctx;
	size_t ia = *(const uint32_t *)va, ib = *(const uint32_t *)vb;
	const struct pprof_sample *a = &x->p->samples[ia], *b = &x->p->samples[ib];
	int r = stack_order(x, a, b);

	if (r)
		return r;
	ORDER(a->nlabels, b->nlabels);
	for (size_t i = 0; r == 0 && i < a->nlabels; i++)
		r = label_order(&x->c->labels[a->first_label + i],
				&x->c->labels[b->first_label + i]);
	for (size_t i = 0; r == 0 && i < x->p->nsample_types; i++)
		ORDER(pprof_sample_values(x->p, ia)[i], pprof_sample_values(x->p, ib)[i]);
	return r;
}

/*
 * Samples sort by their stacks from the outermost frame on, which many share. So frames are
 * compared two at a time: each group of stacks that are equal so far is sorted by its next two
 * (multikey quicksort, Bentley and Sedgewick 1997), without comparing again what is known to be
 * equal. Both frames are kept beside the sample's index (caching multikey quicksort), since stacks
 * are far apart in memory.
 */
struct item {
	uint64_t frames; /* at the depth of the item's part and the next one; see frame_at */
	uint32_t sample;
};

/* Rank of the frame at that depth plus 1; 0: the stack ends before it. */
static uint32_t frame_at(const struct ctx *x, const struct pprof_sample *s, uint32_t depth)
{
	if (depth >= s->nlocations)
		return 0;
	return x->c->locations.rank[x->p->stacks[s->first_location + s->nlocations - 1 - depth]] +
	       1;
}

/* Prefetches the frames of a sample that comes soon: they are anywhere in memory. */
static void expect_frames(const struct ctx *x, uint32_t sample, uint32_t depth)
{
	const struct pprof_sample *s = &x->p->samples[sample];

	if (depth < s->nlocations)
		__builtin_prefetch(x->p->stacks + s->first_location + s->nlocations - 1 - depth);
}

static void items_fill(const struct ctx *x, struct item *items, size_t n, uint32_t depth)
{
	enum { FAR = 16, NEAR = 8 };

	for (size_t i = 0; i < n; i++) {
		const struct pprof_sample *s = &x->p->samples[items[i].sample];

		if (i + FAR < n) {
			__builtin_prefetch(&x->p->samples[items[i + FAR].sample]);
			expect_frames(x, items[i + NEAR].sample, depth);
		}
		items[i].frames = (uint64_t)frame_at(x, s, depth) << 32 | frame_at(x, s, depth + 1);
	}
}

static bool is_whole_stack(uint64_t frames)
{
	return (uint32_t)frames == 0;
}

static void swap(struct item *items, size_t i, size_t j)
{
	struct item t = items[i];

	items[i] = items[j];
	items[j] = t;
}

static uint64_t median(uint64_t a, uint64_t b, uint64_t c)
{
	if (a < b)
		return b < c ? b : a < c ? c : a;
	return a < c ? a : b < c ? c : b;
}

/*
 * The larger parts wait in `pending`, so its depth is bounded by that of the stacks, not by their
 * number.
 */
struct part {
	size_t from, n;
	uint32_t depth;
};

struct parts {
	struct part *part;
	size_t n, cap;
};

static int push_part(struct parts *pending, size_t from, size_t n, uint32_t depth)
{
	if (n < 2)
		return 0;
	if (pp_array_reserve(&pending->part, &pending->cap, pending->n + 1, sizeof *pending->part) <
	    0)
		return -ENOMEM;
	pending->part[pending->n++] = (struct part){from, n, depth};
	return 0;
}

/* The same stacks: labels and values decide. */
static int item_order(const void *va, const void *vb, void *vctx)
{
	return sample_order(&((const struct item *)va)->sample, &((const struct item *)vb)->sample,
			    vctx);
}

/* Splits a part by its frames: less, equal, more. */
static int split_part(struct ctx *ctx, struct item *items, struct parts *pending, struct part p)
{
	struct item *o = items + p.from;
	uint64_t pivot = median(o[0].frames, o[p.n / 2].frames, o[p.n - 1].frames);
	size_t less = 0, more = p.n;
	int r;

	for (size_t i = 0; i < more;) {
		if (o[i].frames < pivot)
			swap(o, less++, i++);
		else if (o[i].frames > pivot)
			swap(o, i, --more);
		else
			i++;
	}
	r = push_part(pending, p.from, less, p.depth);
	if (r == 0)
		r = push_part(pending, p.from + more, p.n - more, p.depth);
	if (r < 0 || more - less < 2)
		return r;
	if (is_whole_stack(pivot)) {
		qsort_r(o + less, more - less, sizeof *o, item_order, ctx);
		return 0;
	}
	items_fill(ctx, o + less, more - less, p.depth + 2);
	return push_part(pending, p.from + less, more - less, p.depth + 2);
}

static int samples_sort(struct canon_order *order, struct ctx *ctx)
{
	struct item *items = malloc((order->n + 1) * sizeof *items);
	struct parts pending = {0};
	int r;

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < order->n; i++)
		items[i].sample = i;
	items_fill(ctx, items, order->n, 0);
	r = push_part(&pending, 0, order->n, 0);
	while (r == 0 && pending.n > 0)
		r = split_part(ctx, items, &pending, pending.part[--pending.n]);
	for (size_t i = 0; i < order->n; i++)
		order->order[i] = items[i].sample;
	free(items);
	free(pending.part);
	return r;
}

bool pp_canon_same(const struct canon *c, const struct pprof_profile *p, uint32_t ia, uint32_t ib)
{
	const struct pprof_sample *a = &p->samples[ia], *b = &p->samples[ib];

	if (a->nlocations != b->nlocations || a->nlabels != b->nlabels)
		return false;
	for (size_t i = 0; i < a->nlocations; i++)
		if (p->stacks[a->first_location + i] != p->stacks[b->first_location + i])
			return false;
	for (size_t i = 0; i < a->nlabels; i++)
		if (label_order(&c->labels[a->first_label + i], &c->labels[b->first_label + i]))
			return false;
	return true;
}

int pp_canon_init(struct canon *c, const struct pprof_profile *p)
{
	struct ctx ctx = {p, c};

	*c = (struct canon){0};
	if (order_init(&c->strings, p->nstrings, true) < 0 ||
	    order_init(&c->mappings, p->nmappings, true) < 0 ||
	    order_init(&c->functions, p->nfunctions, true) < 0 ||
	    order_init(&c->locations, p->nlocations, true) < 0 ||
	    order_init(&c->samples, p->nsamples, false) < 0)
		goto nomem;
	strings_sort(&c->strings, &ctx);
	order_sort(&c->mappings, 1, mapping_order, &ctx);
	order_sort(&c->functions, 0, function_order, &ctx);
	if (locations_sort(&c->locations, &ctx) < 0 || labels_init(c, p) < 0)
		goto nomem;
	if (samples_sort(&c->samples, &ctx) < 0)
		goto nomem;
	return 0;
nomem:
	pp_canon_fini(c);
	return -ENOMEM;
}

void pp_canon_fini(struct canon *c)
{
	order_fini(&c->strings);
	order_fini(&c->mappings);
	order_fini(&c->functions);
	order_fini(&c->locations);
	order_fini(&c->samples);
	free(c->labels);
}

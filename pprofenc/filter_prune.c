/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drops the frames that the profile itself calls uninteresting: drop_frames and keep_frames. A
 * frame whose whole name matches the former and not the latter is removed with its callees, unless
 * it is the outermost frame that would remain.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filter_parts.h"
#include "table.h"

enum cut {
	CUT_NOTHING,
	CUT_BENEATH, /* its callees are removed; its own inner frames already are */
	CUT_WHOLE,   /* it is removed, too */
};

struct pruning {
	const struct pprof_profile *p;
	struct pprof_profile *to;
	struct pprof_copier copier;
	struct regex *drop, *keep;
	uint8_t *known; /* of each function's name (a string): 0 not tried, 1 kept, 2 removed */
	uint32_t *locations; /* the same in the result */
	uint8_t *cuts;       /* of each location: an enum cut */
	uint32_t *stack;
	size_t cap_stack;
};

/* The whole name must match. */
static int compile_whole(const char *expression, struct regex **ret_regex)
{
	char *whole;
	int r;

	if (asprintf(&whole, "^(%s)$", expression) < 0)
		return -ENOMEM;
	r = pp_regex_new(ret_regex, whole, NULL);
	free(whole);
	return r;
}

/*
 * Without a leading dot and without parameters: up to the first parenthesis that is not part of the
 * name of a C++ function.
 */
static size_t simple_name(const char **name)
{
	static const char *const reserved[] = {"(anonymous namespace)", "operator()"};
	const char *s = *name, *end = s;

	if (*s == '.')
		end = *name = s = s + 1;
	while (*end) {
		size_t n = 0;

		for (size_t i = 0; n == 0 && i < 2; i++)
			if (strncmp(end, reserved[i], strlen(reserved[i])) == 0)
				n = strlen(reserved[i]);
		if (n == 0 && *end == '(')
			break;
		end += n ? n : 1;
	}
	return (size_t)(end - s);
}

static int goes(struct pruning *x, const struct pprof_line *line)
{
	uint32_t string = x->p->functions[line->function].name;
	const char *name = x->p->strings[string];
	size_t len = simple_name(&name);
	int drop, keep;

	if (string == 0)
		return 0;
	if (x->known[string])
		return x->known[string] - 1;
	drop = pp_regex_match(x->drop, name, len);
	keep = drop > 0 && x->keep ? pp_regex_match(x->keep, name, len) : 0;
	if (drop < 0 || keep < 0)
		return drop < 0 ? drop : keep;
	x->known[string] = drop && !keep ? 2 : 1;
	return x->known[string] - 1;
}

/*
 * Keeps the lines outside of the outermost one that is removed; all, where that is the outermost of
 * all.
 */
static int prune_location(struct pruning *x, uint32_t location)
{
	const struct pprof_location *l = &x->p->locations[location];
	const struct pprof_line *lines = pprof_location_lines(x->p, location);
	struct pprof_line *kept;
	uint32_t first = l->nlines;
	int r = 0;

	while (first > 0 && (r = goes(x, &lines[first - 1])) == 0)
		first--;
	if (r < 0)
		return r;
	x->cuts[location] = r == 0 ? CUT_NOTHING : first == l->nlines ? CUT_WHOLE : CUT_BENEATH;
	if (x->cuts[location] == CUT_WHOLE)
		first = 0;
	kept = calloc(l->nlines - first + 1, sizeof *kept);
	if (!kept)
		return -ENOMEM;
	r = 0;
	for (uint32_t i = first; r == 0 && i < l->nlines; i++)
		r = pp_copy_line(&x->copier, &lines[i], &kept[i - first]);
	if (r == 0)
		r = pprof_location(x->to, l->mapping, l->address, kept, l->nlines - first,
				   &x->locations[location]);
	free(kept);
	if (r == 0)
		x->to->locations[x->locations[location]].is_folded |= l->is_folded;
	return r;
}

/* The innermost index of a stack (leaf first) that is kept. */
static size_t pruned_from(const struct pruning *x, const uint32_t *stack, size_t n)
{
	bool outside = false;

	for (size_t i = n; i-- > 0;) {
		if (x->cuts[stack[i]] == CUT_NOTHING)
			outside = true;
		else if (outside)
			return x->cuts[stack[i]] == CUT_WHOLE ? i + 1 : i;
	}
	return 0;
}

static int prune_sample(struct pruning *x, size_t index)
{
	const struct pprof_sample *s = &x->p->samples[index];
	const uint32_t *stack = pprof_sample_stack(x->p, index);
	size_t from = pruned_from(x, stack, s->nlocations);
	int r = pp_array_reserve(&x->stack, &x->cap_stack, s->nlocations, sizeof *x->stack);

	if (r == 0)
		r = pp_copy_labels(&x->copier, index);
	if (r < 0)
		return r;
	for (size_t i = from; i < s->nlocations; i++)
		x->stack[i - from] = x->locations[stack[i]];
	return pprof_sample_append(x->to, x->stack, s->nlocations - from,
				   pprof_sample_values(x->p, index), x->copier.labels, s->nlabels);
}

static int prune(struct pruning *x)
{
	const struct pprof_profile *p = x->p;
	int r = compile_whole(p->strings[p->drop_frames], &x->drop);

	if (r == 0 && p->keep_frames)
		r = compile_whole(p->strings[p->keep_frames], &x->keep);
	if (r == 0)
		r = pprof_profile_new(&x->to);
	if (r == 0)
		r = pp_copier_init(&x->copier, p, x->to);
	if (r == 0)
		r = pp_copy_header(&x->copier);
	if (r < 0)
		return r;
	x->known = calloc(p->nstrings, sizeof *x->known);
	x->locations = calloc(p->nlocations + 1, sizeof *x->locations);
	x->cuts = calloc(p->nlocations + 1, sizeof *x->cuts);
	if (!x->known || !x->locations || !x->cuts)
		return -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < p->nlocations; i++)
		r = prune_location(x, i);
	for (size_t i = 0; r == 0 && i < p->nsamples; i++)
		r = prune_sample(x, i);
	return r;
}

int pp_prune(const struct pprof_profile *p, struct pprof_profile **ret_profile)
{
	struct pruning x = {.p = p};
	int r = prune(&x);

	pp_regex_free(x.drop);
	pp_regex_free(x.keep);
	pp_copier_fini(&x.copier);
	free(x.known);
	free(x.locations);
	free(x.cuts);
	free(x.stack);
	if (r < 0)
		pprof_profile_free(x.to);
	else
		*ret_profile = x.to;
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile for `go build -pgo`. The compiler counts a call only between the two innermost frames
 * of a sample, so innermost frames that are not Go's, above all the kernel's, hide the hottest
 * calls.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "copy.h"
#include "failure.h"
#include "frame_kinds.h"
#include "sized.h"
#include "table.h"
#include "units.h"

enum { MAX_TYPES = 2 };

struct pgo {
	const struct pprof_profile *p;
	struct pprof_profile *to;
	struct pprof_copier copier;
	size_t types[MAX_TYPES], ntypes;
	bool *is_go; /* each location */
	uint32_t *stack;
	size_t cap_stack;
	double all, without_go, uncovered, without_line; /* weights */
	bool any_line;
};

/* The compiler takes the first of these. */
static bool is_wanted(const struct pprof_profile *p, const struct pprof_value_type *t)
{
	const char *type = p->strings[t->type], *unit = p->strings[t->unit];

	return (strcmp(type, "samples") == 0 && strcmp(unit, "count") == 0) ||
	       (strcmp(type, "cpu") == 0 && strcmp(unit, "nanoseconds") == 0);
}

static int choose_types(struct pgo *g)
{
	const struct pprof_profile *p = g->p;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->nsample_types && g->ntypes < MAX_TYPES; i++) {
		const struct pprof_value_type *t = &p->sample_types[i];

		if (!is_wanted(p, t))
			continue;
		g->types[g->ntypes++] = i;
		r = pprof_sample_type(g->to, p->strings[t->type], p->strings[t->unit]);
	}
	return r;
}

static int copy_header(struct pgo *g)
{
	const struct pprof_profile *p = g->p;
	const struct pprof_value_type *t = &p->period_type;
	int r = pprof_period(g->to, p->strings[t->type], p->strings[t->unit], p->period);

	for (size_t i = 0; r == 0 && i < p->ncomments; i++)
		r = pprof_comment(g->to, p->strings[p->comments[i]]);
	g->to->time_nanos = p->time_nanos;
	g->to->duration_nanos = p->duration_nanos;
	return r;
}

/* --- frames ---------------------------------------------------------------------- */

static const struct pprof_function *function_of(const struct pgo *g, uint32_t location, size_t line)
{
	return &g->p->functions[pprof_location_lines(g->p, location)[line].function];
}

static bool is_go(const struct pgo *g, uint32_t location)
{
	const struct pprof_location *l = &g->p->locations[location];
	const struct pprof_function *f;
	const char *object = "", *slash;
	enum frame_kind kind;

	if (l->nlines == 0)
		return false;
	f = function_of(g, location, 0);
	if (l->mapping != PPROF_NONE)
		object = g->p->strings[g->p->mappings[l->mapping].filename];
	slash = strrchr(object, '/');
	kind = pp_frame_kind(g->p->strings[f->name], g->p->strings[f->filename],
			     slash ? slash + 1 : object, PPROF_FUNCTION);
	return kind == KIND_GO || kind == KIND_RUNTIME;
}

/*
 * Copies the Go frames from the innermost one on, up to the first that isn't: across C, two Go
 * frames are no call of each other.
 */
static int copy_stack(struct pgo *g, size_t sample, size_t *ret_skipped, size_t *ret_n)
{
	const uint32_t *stack = pprof_sample_stack(g->p, sample);
	size_t all = g->p->samples[sample].nlocations, n = 0, skipped = 0;
	int r = pp_array_reserve(&g->stack, &g->cap_stack, all, sizeof *g->stack);

	while (skipped < all && !g->is_go[stack[skipped]])
		skipped++;
	for (size_t i = skipped; r == 0 && i < all && g->is_go[stack[i]]; i++) {
		r = pp_copy_location(&g->copier, stack[i], &g->stack[n]);
		n++;
	}
	*ret_skipped = skipped;
	*ret_n = n;
	return r;
}

/* Whether one of the two frames that the compiler takes for a call has no start line. */
static bool lacks_start_line(struct pgo *g, size_t sample, size_t skipped, size_t n)
{
	const uint32_t *stack = pprof_sample_stack(g->p, sample) + skipped;
	bool lacks = false;

	for (size_t i = 0; i < n && i < 2; i++) {
		for (size_t k = 0; k < g->p->locations[stack[i]].nlines; k++) {
			bool has = function_of(g, stack[i], k)->start_line > 0;

			lacks |= !has;
			g->any_line |= has;
		}
	}
	return lacks;
}

static int add_sample(struct pgo *g, size_t sample)
{
	const int64_t *values = pprof_sample_values(g->p, sample);
	double weight = (double)magnitude(values[g->types[0]]);
	int64_t kept[MAX_TYPES];
	size_t skipped, n;
	int r = copy_stack(g, sample, &skipped, &n);

	if (r < 0)
		return r;
	g->all += weight;
	if (n == 0) {
		g->without_go += weight;
		return 0;
	}
	if (skipped > 0)
		g->uncovered += weight;
	if (lacks_start_line(g, sample, skipped, n))
		g->without_line += weight;
	for (size_t i = 0; i < g->ntypes; i++)
		kept[i] = values[g->types[i]];
	return pprof_sample_add(g->to, g->stack, n, kept, NULL, 0);
}

static int add_samples(struct pgo *g)
{
	int r = 0;

	g->is_go = calloc(g->p->nlocations + 1, sizeof *g->is_go);
	if (!g->is_go)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->p->nlocations; i++)
		g->is_go[i] = is_go(g, i);
	for (size_t i = 0; r == 0 && i < g->p->nsamples; i++)
		r = add_sample(g, i);
	return r;
}

/* --- all of it ------------------------------------------------------------------- */

static int check(const struct pgo *g, struct pprof_diag *diag)
{
	if (g->to->nsamples == 0)
		return fail(diag, "no sample is of Go code", 0, ENODATA);
	if (!g->any_line)
		return fail(diag, "no function has a start line: Go 1.20 and newer have them", 0,
			    ENOTSUP);
	return 0;
}

static int begin(struct pgo *g)
{
	int r = pprof_profile_new(&g->to);

	if (r == 0)
		r = pp_copier_init(&g->copier, g->p, g->to);
	if (r == 0)
		r = choose_types(g);
	return r;
}

static int make(struct pgo *g, struct pprof_diag *diag)
{
	int r = begin(g);

	if (r < 0)
		return fail_while(diag, "choosing sample types", r);
	if (g->ntypes == 0)
		return fail(diag, "it has no samples/count nor cpu/nanoseconds", 0, EINVAL);
	r = copy_header(g);
	if (r < 0)
		return fail_while(diag, "copying the header", r);
	r = add_samples(g);
	return r < 0 ? fail_while(diag, "copying samples", r) : check(g, diag);
}

/* Fills in the fields that the caller knows. */
static void report(const struct pgo *g, struct pprof_pgo *ret)
{
	double kept = g->all - g->without_go;
	struct pprof_pgo all = {.size = ret->size,
				.without_go = g->all > 0 ? g->without_go / g->all : 0,
				.uncovered = kept > 0 ? g->uncovered / kept : 0,
				.without_line = kept > 0 ? g->without_line / kept : 0};

	memcpy(ret, &all, ret->size < sizeof all ? ret->size : sizeof all);
}

int pprof_pgo(const struct pprof_profile *p, struct pprof_profile **ret_profile,
	      struct pprof_pgo *ret, struct pprof_diag *diag)
{
	struct pgo g = {.p = p};
	struct pprof_pgo known;
	int r = pp_sized(&known, sizeof known, ret);

	if (r < 0)
		return fail(diag, "the result's size is not right", 0, -r);
	r = make(&g, diag);
	if (r == 0) {
		*ret_profile = g.to;
		g.to = NULL;
		if (ret)
			report(&g, ret);
	}
	pp_copier_fini(&g.copier);
	free(g.is_go);
	free(g.stack);
	pprof_profile_free(g.to);
	return r;
}

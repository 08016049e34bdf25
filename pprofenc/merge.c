/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of two profiles are matched without absolute addresses, so that runs of one program line up
 * under address space randomization: a mapping is identified by its file, offset and size, a
 * location by its distance from the mapping's start.
 *
 * Every choice between inputs (of two mappings, of two names) is a minimum or maximum, never "the
 * first", so the order of the inputs doesn't matter.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "copy.h"
#include "failure.h"
#include "model_parts.h"
#include "units.h"

struct group { /* mappings that are one in the result */
	struct pprof_mapping m;
	bool main;
};

struct merger {
	const struct pprof_profile *const *in;
	size_t n;
	struct pprof_profile *out;
	struct pprof_diag *diag;
	struct table table;
	struct group *groups;
	size_t ngroups, cap_groups;
	uint32_t **group_of;        /* of each input's mapping */
	uint32_t *place;            /* group -> mapping of the result */
	struct pprof_copier copier; /* of the input at hand; locations are set here */
	/* The common sample types: their index in each input, and the scale of their values. */
	size_t ntypes, *types; /* as many for each input as the first has */
	double *ratios;        /* ntypes for each input */
	int64_t *values;
	bool dropped; /* an input has more types */
};

static int copy_string(struct merger *m, const struct pprof_profile *p, uint32_t s, uint32_t *ret)
{
	return pprof_string(m->out, p->strings[s], ret);
}

/* --- do they agree? -------------------------------------------------------------- */

/* "nanosecond" and "nanoseconds" are the same. */
static bool same_word(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);

	if (na > nb)
		return same_word(b, a);
	return memcmp(a, b, na) == 0 && (na == nb || (nb == na + 1 && b[na] == 's'));
}

/* The factor from one unit to the other; 0 when they are of different kinds. */
static double ratio_of(const char *from, const char *to)
{
	return same_word(from, to) ? 1 : pp_units_ratio(from, to);
}

static int differ(struct merger *m, size_t input, const char *what,
		  const struct pprof_value_type *first, const struct pprof_value_type *other)
{
	const char *const *s0 = m->in[0]->strings, *const *s = m->in[input]->strings;
	int r = fail(m->diag, what, input, EINVAL);

	if (m->diag)
		snprintf(m->diag->detail, sizeof m->diag->detail, "%.22s/%.22s and %.22s/%.22s",
			 s0[first->type], s0[first->unit], s[other->type], s[other->unit]);
	return r;
}

static bool is_set(const struct pprof_value_type *t)
{
	return t->type || t->unit;
}

static const char *type_name(const struct pprof_profile *p, size_t type)
{
	return p->strings[p->sample_types[type].type];
}

static const char *type_unit(const struct pprof_profile *p, size_t type)
{
	return p->strings[p->sample_types[type].unit];
}

/*
 * The index in the input of a type of the first one: the n-th of a name is the n-th. SIZE_MAX:
 * none.
 */
static size_t find_type(const struct merger *m, size_t input, size_t type)
{
	const struct pprof_profile *a = m->in[0], *b = m->in[input];
	const char *name = type_name(a, type);
	size_t nth = 0;

	for (size_t i = 0; i < type; i++)
		nth += same_word(type_name(a, i), name);
	for (size_t i = 0; i < b->nsample_types; i++)
		if (same_word(type_name(b, i), name) && nth-- == 0)
			return i;
	return SIZE_MAX;
}

/* Whether all have the same types in the same order, so that there is nothing to choose. */
static bool all_alike(const struct merger *m)
{
	for (size_t i = 1; i < m->n; i++) {
		if (m->in[i]->nsample_types != m->in[0]->nsample_types)
			return false;
		for (size_t t = 0; t < m->in[0]->nsample_types; t++)
			if (!same_word(type_name(m->in[0], t), type_name(m->in[i], t)))
				return false;
	}
	return true;
}

static size_t *types_of(const struct merger *m, size_t input)
{
	return m->types + input * m->in[0]->nsample_types;
}

/* The types that all inputs have, in the order of the first, with their index in each input. */
static int choose_types(struct merger *m)
{
	size_t most = m->in[0]->nsample_types;
	bool alike = all_alike(m);

	m->types = calloc(m->n * most + 1, sizeof *m->types);
	if (!m->types)
		return -ENOMEM;
	for (size_t t = 0; t < most; t++) {
		bool shared = true;

		for (size_t i = 0; i < m->n; i++) {
			size_t found = alike ? t : find_type(m, i, t);

			shared &= found != SIZE_MAX;
			types_of(m, i)[m->ntypes] = found;
		}
		m->ntypes += shared;
	}
	for (size_t i = 0; i < m->n; i++)
		m->dropped |= m->ntypes < m->in[i]->nsample_types;
	return 0;
}

static bool shares_a_type(const struct merger *m, size_t input)
{
	for (size_t t = 0; t < m->in[0]->nsample_types; t++)
		if (find_type(m, input, t) != SIZE_MAX)
			return true;
	return false;
}

static int check_types(struct merger *m, size_t input)
{
	const struct pprof_profile *a = m->in[0], *b = m->in[input];

	if (m->ntypes == 0 && a->nsample_types + b->nsample_types > 0) {
		if (shares_a_type(m, input) && input + 1 < m->n)
			return 0; /* the failing input is another one */
		if (a->nsample_types == 0 || b->nsample_types == 0)
			return fail(m->diag, "one has no sample types", input, EINVAL);
		return differ(m, input, "no sample type is in all", &a->sample_types[0],
			      &b->sample_types[0]);
	}
	for (size_t t = 0; t < m->ntypes; t++) {
		size_t ta = types_of(m, 0)[t], tb = types_of(m, input)[t];

		if (ratio_of(type_unit(b, tb), type_unit(a, ta)) <= 0)
			return differ(m, input, "sample types differ", &a->sample_types[ta],
				      &b->sample_types[tb]);
	}
	return 0;
}

static int check_input(struct merger *m, size_t input)
{
	const struct pprof_profile *a = m->in[0], *b = m->in[input];
	const struct pprof_value_type *ta = &a->period_type, *tb = &b->period_type;
	int r = check_types(m, input);

	if (r == 0 && is_set(ta) && is_set(tb) &&
	    (!same_word(a->strings[ta->type], b->strings[tb->type]) ||
	     ratio_of(b->strings[tb->unit], a->strings[ta->unit]) <= 0))
		return differ(m, input, "period types differ", ta, tb);
	return r;
}

/* Reports the types that were left out, on success. */
static void tell_dropped(const struct merger *m)
{
	struct pprof_diag *d = m->diag;
	size_t used = 0;

	if (!d)
		return;
	*d = (struct pprof_diag){.what = m->dropped ? "not all have these sample types" : NULL};
	for (size_t i = 0; m->dropped && i < m->n; i++) {
		const struct pprof_profile *p = m->in[i];

		for (size_t t = 0; t < p->nsample_types; t++) {
			bool kept = false;

			for (size_t k = 0; k < m->ntypes; k++)
				kept |= types_of(m, i)[k] == t;
			if (kept || strstr(d->detail, type_name(p, t)) ||
			    used + strlen(type_name(p, t)) + 3 > sizeof d->detail)
				continue;
			used += (size_t)snprintf(d->detail + used, sizeof d->detail - used,
						 used ? ", %s" : "%s", type_name(p, t));
		}
	}
}

/* --- the header ------------------------------------------------------------------ */

/* The lesser of two texts by bytes, but not an empty one; they may be NULL. */
static const char *lesser(const char *a, const char *b)
{
	if (!a || !*a)
		return b;
	return b && *b && strcmp(b, a) < 0 ? b : a;
}

/* The finer of two units, so that nothing is rounded away; of equal ones, the lesser text. */
static const char *finer(const char *a, const char *b)
{
	double ratio = a && *a && b && *b ? ratio_of(a, b) : 1;

	return ratio < 1 ? a : ratio > 1 ? b : lesser(a, b);
}

static int merge_sample_types(struct merger *m)
{
	int r = 0;

	m->ratios = calloc(m->n * m->ntypes + 1, sizeof *m->ratios);
	if (!m->ratios)
		return -ENOMEM;
	for (size_t t = 0; r == 0 && t < m->ntypes; t++) {
		const char *type = NULL, *unit = NULL;

		for (size_t i = 0; i < m->n; i++) {
			type = lesser(type, type_name(m->in[i], types_of(m, i)[t]));
			unit = finer(unit, type_unit(m->in[i], types_of(m, i)[t]));
		}
		for (size_t i = 0; i < m->n; i++)
			m->ratios[i * m->ntypes + t] = ratio_of(
				type_unit(m->in[i], types_of(m, i)[t]), unit);
		r = pprof_sample_type(m->out, type, unit);
	}
	return r;
}

/* The default of the input, if it is one of the common types. */
static const char *preferred_type(const struct merger *m, const struct pprof_profile *p)
{
	const char *name = p->strings[p->default_sample_type];
	size_t found;

	return !m->dropped || pprof_find_sample_type(m->out, name, &found) == 0 ? name : "";
}

/* Rounded; saturates. */
static int64_t times(int64_t v, double ratio)
{
	double scaled;

	if (ratio == 1)
		return v;
	scaled = nearbyint((double)v * ratio);
	return scaled >= 9.2e18 ? INT64_MAX : scaled <= -9.2e18 ? -INT64_MAX : (int64_t)scaled;
}

static int64_t sum_saturated(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return sum;
}

static int merge_scalars(struct merger *m)
{
	const char *type = NULL, *unit = NULL, *preferred = NULL, *url = NULL;
	struct pprof_profile *o = m->out;
	int r;

	for (size_t i = 0; i < m->n; i++) {
		const struct pprof_profile *p = m->in[i];

		type = lesser(type, p->strings[p->period_type.type]);
		unit = finer(unit, p->strings[p->period_type.unit]);
		preferred = lesser(preferred, preferred_type(m, p));
		url = lesser(url, p->strings[p->doc_url]);
		if (p->time_nanos && (!o->time_nanos || p->time_nanos < o->time_nanos))
			o->time_nanos = p->time_nanos;
		o->duration_nanos = sum_saturated(o->duration_nanos, p->duration_nanos);
	}
	for (size_t i = 0; i < m->n; i++) {
		const struct pprof_profile *p = m->in[i];
		const char *own = p->strings[p->period_type.unit];
		int64_t period = *own ? times(p->period, ratio_of(own, unit)) : p->period;

		if (i == 0 || period > o->period)
			o->period = period;
	}
	r = pprof_period(o, type, unit, o->period);
	if (r == 0)
		r = pprof_string(o, preferred, &o->default_sample_type);
	return r == 0 ? pprof_string(o, url, &o->doc_url) : r;
}

static int text_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Either of the expressions; pprof anchors the whole, so alternatives need no parentheses. */
static int join_expressions(struct merger *m, const char **texts, uint32_t *ret_string)
{
	size_t len = 1;
	char *joined, *w;
	int r;

	qsort(texts, m->n, sizeof *texts, text_order);
	for (size_t i = 0; i < m->n; i++)
		len += strlen(texts[i]) + 1;
	w = joined = malloc(len);
	if (!joined)
		return -ENOMEM;
	for (size_t i = 0; i < m->n; i++) {
		if (!*texts[i] || (i > 0 && strcmp(texts[i], texts[i - 1]) == 0))
			continue;
		if (w != joined)
			*w++ = '|';
		w = stpcpy(w, texts[i]);
	}
	*w = '\0';
	r = pprof_string(m->out, joined, ret_string);
	free(joined);
	return r;
}

static int merge_expressions(struct merger *m)
{
	const char **texts = malloc(m->n * sizeof *texts);
	int r;

	if (!texts)
		return -ENOMEM;
	for (size_t i = 0; i < m->n; i++)
		texts[i] = m->in[i]->strings[m->in[i]->drop_frames];
	r = join_expressions(m, texts, &m->out->drop_frames);
	for (size_t i = 0; i < m->n; i++)
		texts[i] = m->in[i]->strings[m->in[i]->keep_frames];
	if (r == 0)
		r = join_expressions(m, texts, &m->out->keep_frames);
	free(texts);
	return r;
}

struct comment {
	const char *text;
	size_t position; /* in its profile, when there is only one */
};

static int comment_text_order(const void *va, const void *vb)
{
	const struct comment *a = va, *b = vb;
	int r = strcmp(a->text, b->text);

	return r ? r : (a->position > b->position) - (a->position < b->position);
}

static int comment_order(const void *va, const void *vb)
{
	const struct comment *a = va, *b = vb;

	return a->position != b->position ? (a->position < b->position ? -1 : 1)
					  : strcmp(a->text, b->text);
}

/* Each text once; in their order when there is one profile, else sorted. */
static int merge_comments(struct merger *m)
{
	size_t n = 0, kept = 0;
	struct comment *all;
	int r = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->in[i]->ncomments;
	all = calloc(n + 1, sizeof *all);
	if (!all)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < m->n; i++)
		for (size_t j = 0; j < m->in[i]->ncomments; j++)
			all[n++] = (struct comment){m->in[i]->strings[m->in[i]->comments[j]],
						    m->n == 1 ? j : 0};
	qsort(all, n, sizeof *all, comment_text_order);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || strcmp(all[i].text, all[kept - 1].text) != 0)
			all[kept++] = all[i];
	qsort(all, kept, sizeof *all, comment_order);
	for (size_t i = 0; r == 0 && i < kept; i++)
		r = pprof_comment(m->out, all[i].text);
	free(all);
	return r;
}

/* --- mappings -------------------------------------------------------------------- */

/* Size in pages of 4 KiB, rounded up: ends differ by how much the kernel mapped. */
static uint64_t pages(const struct pprof_mapping *m)
{
	uint64_t size = m->limit - m->start;

	return (size >> 12) + ((size & 4095) != 0);
}

static uint32_t file_of(const struct pprof_mapping *m)
{
	return m->build_id ? m->build_id : m->filename;
}

struct group_key {
	const struct group *groups;
	const struct pprof_mapping *m;
};

static bool same_group(const void *ctx, uint32_t index)
{
	const struct group_key *k = ctx;
	const struct pprof_mapping *a = &k->groups[index].m, *b = k->m;

	return pages(a) == pages(b) && a->offset == b->offset && file_of(a) == file_of(b) &&
	       !a->build_id == !b->build_id;
}

static int mapping_order(const struct pprof_profile *p, const struct pprof_mapping *a,
			 const struct pprof_mapping *b)
{
	int r;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->limit != b->limit)
		return a->limit < b->limit ? -1 : 1;
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	r = strcmp(p->strings[a->filename], p->strings[b->filename]);
	return r ? r : strcmp(p->strings[a->build_id], p->strings[b->build_id]);
}

static int group_new(struct merger *m, const struct pprof_mapping *mapping, uint32_t hash,
		     uint32_t *ret_group)
{
	int r;

	r = pp_array_reserve(&m->groups, &m->cap_groups, m->ngroups + 1, sizeof *m->groups);
	if (r == 0)
		r = pp_table_reserve(&m->table);
	if (r < 0)
		return r;
	pp_table_put(&m->table, hash, m->ngroups);
	m->groups[m->ngroups] = (struct group){.m = *mapping};
	*ret_group = m->ngroups++;
	return 0;
}

/* The group's mapping becomes the least of its members; it has names only if all of them do. */
static void group_join(struct merger *m, struct group *g, const struct pprof_mapping *b)
{
	struct pprof_mapping a = g->m;

	if (mapping_order(m->out, b, &a) < 0)
		g->m = *b;
	g->m.has_functions = a.has_functions && b->has_functions;
	g->m.has_filenames = a.has_filenames && b->has_filenames;
	g->m.has_line_numbers = a.has_line_numbers && b->has_line_numbers;
	g->m.has_inline_frames = a.has_inline_frames && b->has_inline_frames;
}

static int group_mapping(struct merger *m, const struct pprof_profile *p, size_t index,
			 uint32_t *ret_group)
{
	struct pprof_mapping copy = p->mappings[index];
	struct group_key key = {m->groups, &copy};
	uint32_t hash, group;
	int r = copy_string(m, p, copy.filename, &copy.filename);

	if (r == 0)
		r = copy_string(m, p, copy.build_id, &copy.build_id);
	if (r < 0)
		return r;
	hash = XXH3_64bits((uint64_t[]){pages(&copy), copy.offset, file_of(&copy)},
			   3 * sizeof(uint64_t));
	group = pp_table_find(&m->table, hash, same_group, &key);
	if (group == PPROF_NONE)
		r = group_new(m, &copy, hash, &group);
	else
		group_join(m, &m->groups[group], &copy);
	if (r < 0)
		return r;
	m->groups[group].main |= index == 0;
	*ret_group = group;
	return 0;
}

static int place_group(struct merger *m, size_t group)
{
	return pprof_mapping(m->out, &m->groups[group].m, &m->place[group]);
}

/* The main binary first: the least of those that are it in some input. */
static int place_groups(struct merger *m)
{
	size_t main = 0;
	int r = 0;

	m->place = calloc(m->ngroups + 1, sizeof *m->place);
	if (!m->place)
		return -ENOMEM;
	for (size_t g = 1; g < m->ngroups; g++)
		if (m->groups[g].main &&
		    mapping_order(m->out, &m->groups[g].m, &m->groups[main].m) < 0)
			main = g;
	if (m->ngroups > 0)
		r = place_group(m, main);
	for (size_t g = 0; r == 0 && g < m->ngroups; g++)
		r = place_group(m, g);
	return r;
}

static int merge_mappings(struct merger *m)
{
	int r = 0;

	m->group_of = calloc(m->n, sizeof *m->group_of);
	if (!m->group_of)
		return -ENOMEM;
	for (size_t i = 0; i < m->n; i++) {
		const struct pprof_profile *p = m->in[i];

		m->group_of[i] = calloc(p->nmappings + 1, sizeof **m->group_of);
		if (!m->group_of[i])
			return -ENOMEM;
		for (size_t j = 0; r == 0 && j < p->nmappings; j++)
			r = group_mapping(m, p, j, &m->group_of[i][j]);
		if (r < 0)
			return r;
	}
	return place_groups(m);
}

/* --- functions, locations, samples ----------------------------------------------- */

static int merge_location(struct merger *m, size_t input, size_t index)
{
	const struct pprof_profile *p = m->in[input];
	const struct pprof_location *l = &p->locations[index];
	uint32_t mapping = PPROF_NONE;
	uint64_t address = l->address;
	int r = pp_copy_lines(&m->copier, index);

	if (r < 0)
		return r;
	if (l->mapping != PPROF_NONE) {
		mapping = m->place[m->group_of[input][l->mapping]];
		address += m->out->mappings[mapping].start - p->mappings[l->mapping].start;
	}
	r = pprof_location(m->out, mapping, address, m->copier.lines, l->nlines,
			   &m->copier.locations[index]);
	if (r == 0)
		m->out->locations[m->copier.locations[index]].is_folded |= l->is_folded;
	return r;
}

static int merge_sample(struct merger *m, size_t input, size_t index)
{
	const struct pprof_profile *p = m->in[input];
	const struct pprof_sample *s = &p->samples[index];
	const int64_t *values = pprof_sample_values(p, index);
	const uint32_t *stack;
	int r = pprof_copier_stack(&m->copier, index, &stack);

	if (r == 0)
		r = pp_copy_labels(&m->copier, index);
	if (r < 0)
		return r;
	for (size_t t = 0; t < m->ntypes; t++)
		m->values[t] = times(values[types_of(m, input)[t]],
				     m->ratios[input * m->ntypes + t]);
	return pprof_sample_add(m->out, stack, s->nlocations, m->values, m->copier.labels,
				s->nlabels);
}

static int merge_input(struct merger *m, size_t input)
{
	const struct pprof_profile *p = m->in[input];
	uint32_t copied;
	int r = pp_copier_init(&m->copier, p, m->out);

	for (uint32_t i = 0; r == 0 && i < p->nstrings; i++)
		r = pp_copy_string(&m->copier, i, &copied);
	for (uint32_t i = 0; r == 0 && i < p->nfunctions; i++)
		r = pp_copy_function(&m->copier, i, &copied);
	for (size_t i = 0; r == 0 && i < p->nlocations; i++)
		r = merge_location(m, input, i);
	for (size_t i = 0; r == 0 && i < p->nsamples; i++)
		r = merge_sample(m, input, i);
	pp_copier_fini(&m->copier);
	return r;
}

static int begin(struct merger *m)
{
	m->values = calloc(m->ntypes + 1, sizeof *m->values);
	return m->values ? pprof_profile_new(&m->out) : -ENOMEM;
}

static int merge_inputs(struct merger *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n; i++)
		r = merge_input(m, i);
	return r;
}

static int check_inputs(struct merger *m)
{
	int r = 0;

	for (size_t i = 1; r == 0 && i < m->n; i++)
		r = check_input(m, i);
	return r;
}

static int merge(struct merger *m)
{
	static const struct {
		const char *name;
		int (*run)(struct merger *m);
	} steps[] = {
		{"choosing sample types", choose_types},
		{"comparing headers", check_inputs},
		{"making a profile", begin},
		{"merging sample types", merge_sample_types},
		{"merging headers", merge_scalars},
		{"merging expressions", merge_expressions},
		{"merging comments", merge_comments},
		{"merging mappings", merge_mappings},
		{"merging samples", merge_inputs},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof steps / sizeof *steps; i++) {
		r = steps[i].run(m);
		if (r < 0 && r != -EINVAL) /* its diag is filled in already */
			fail_while(m->diag, steps[i].name, r);
	}
	return r;
}

static void merger_fini(struct merger *m)
{
	pp_table_fini(&m->table);
	free(m->groups);
	for (size_t i = 0; m->group_of && i < m->n; i++)
		free(m->group_of[i]);
	free(m->group_of);
	free(m->place);
	free(m->types);
	free(m->ratios);
	free(m->values);
	pprof_profile_free(m->out);
}

int pprof_merge(const struct pprof_profile *const *inputs, size_t n,
		struct pprof_profile **ret_profile, struct pprof_diag *diag)
{
	struct merger m = {.in = inputs, .n = n, .diag = diag};
	int r;

	if (n == 0)
		return fail(diag, "nothing to merge", 0, EINVAL);
	r = merge(&m);
	if (r == 0) {
		tell_dropped(&m);
		*ret_profile = m.out;
		m.out = NULL;
	}
	merger_fini(&m);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "join.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "pprof.h"

struct values { /* distinct texts of a label's key, as bits by string of the result */
	uint32_t key;
	size_t n, cap;
	uint8_t *seen;
};

struct prowl_join {
	struct pprof_profile *out;
	struct values *keys;
	size_t nkeys, cap_keys;
	uint32_t *stack; /* of the sample at hand, in the result */
	size_t cap_stack;
	struct pprof_label *labels;
	size_t cap_labels;
	struct pprof_line *lines;
	size_t cap_lines;
};

struct source { /* the profile that is taken in, and its elements in the result or PPROF_NONE */
	const struct pprof_profile *p;
	uint32_t *strings, *functions, *mappings, *locations;
	uint8_t *takes; /* of each string as a window: 0 not known, 1 no, 2 yes */
	uint32_t only_series;
	size_t types[PROWL_JOIN_TYPES];
	uint32_t series, window;       /* keys; PPROF_NONE: it has none */
	double sums[PROWL_JOIN_TYPES]; /* of what was scaled, and what that gave: see scaled */
	int64_t given[PROWL_JOIN_TYPES];
};

int prowl_join_new(struct prowl_join **ret)
{
	struct prowl_join *j = calloc(1, sizeof *j);
	int r = j ? pprof_profile_new(&j->out) : -ENOMEM;

	if (r == 0)
		*ret = j;
	else
		free(j);
	return r;
}

void prowl_join_free(struct prowl_join *j)
{
	if (!j)
		return;
	pprof_profile_free(j->out);
	for (size_t i = 0; i < j->nkeys; i++)
		free(j->keys[i].seen);
	free(j->keys);
	free(j->stack);
	free(j->labels);
	free(j->lines);
	free(j);
}

struct pprof_profile *prowl_join_profile(struct prowl_join *j)
{
	return j->out;
}

struct pprof_profile *prowl_join_take(struct prowl_join *j)
{
	struct pprof_profile *p = j->out;

	j->out = NULL;
	return p;
}

/* --- elements -------------------------------------------------------------------- */

static uint32_t *none(size_t n)
{
	uint32_t *all = malloc((n + 1) * sizeof *all);

	if (all)
		memset(all, 0xff, (n + 1) * sizeof *all);
	return all;
}

static uint32_t key_of(const struct pprof_profile *p, const char *name)
{
	for (size_t i = 1; i < p->nstrings; i++) {
		if (!strcmp(p->strings[i], name))
			return (uint32_t)i;
	}
	return PPROF_NONE;
}

static int source_init(struct source *s, const struct pprof_profile *p)
{
	*s = (struct source){.p = p,
			     .strings = none(p->nstrings),
			     .functions = none(p->nfunctions),
			     .mappings = none(p->nmappings),
			     .locations = none(p->nlocations),
			     .takes = calloc(p->nstrings + 1, 1),
			     .series = key_of(p, PROWL_JOIN_SERIES),
			     .window = key_of(p, PROWL_JOIN_WINDOW)};
	return s->strings && s->functions && s->mappings && s->locations && s->takes ? 0 : -ENOMEM;
}

static void source_fini(struct source *s)
{
	free(s->strings);
	free(s->functions);
	free(s->mappings);
	free(s->locations);
	free(s->takes);
}

static int take_string(struct prowl_join *j, struct source *s, uint32_t i, uint32_t *ret)
{
	int r = 0;

	if (s->strings[i] == PPROF_NONE)
		r = pprof_string(j->out, s->p->strings[i], &s->strings[i]);
	*ret = s->strings[i];
	return r;
}

static int take_function(struct prowl_join *j, struct source *s, uint32_t i, uint32_t *ret)
{
	const struct pprof_function *from = &s->p->functions[i];
	struct pprof_function f = {.start_line = from->start_line};
	int r = 0;

	if (s->functions[i] == PPROF_NONE) {
		r = take_string(j, s, from->name, &f.name);
		if (r == 0)
			r = take_string(j, s, from->system_name, &f.system_name);
		if (r == 0)
			r = take_string(j, s, from->filename, &f.filename);
		if (r == 0)
			r = pprof_function(j->out, &f, &s->functions[i]);
	}
	*ret = s->functions[i];
	return r;
}

static uint64_t pages(const struct pprof_mapping *m)
{
	return (m->limit - m->start + 4095) >> 12;
}

/* The strings of both are the result's. */
static bool same_code(const struct pprof_mapping *a, const struct pprof_mapping *b)
{
	return pages(a) == pages(b) && a->offset == b->offset && a->build_id == b->build_id &&
	       (a->build_id || a->filename == b->filename);
}

static void weaken(struct pprof_mapping *m, const struct pprof_mapping *other)
{
	m->has_functions &= other->has_functions;
	m->has_filenames &= other->has_filenames;
	m->has_line_numbers &= other->has_line_numbers;
	m->has_inline_frames &= other->has_inline_frames;
}

static int take_mapping(struct prowl_join *j, struct source *s, uint32_t i, uint32_t *ret)
{
	struct pprof_mapping m = s->p->mappings[i];
	int r = 0;

	*ret = s->mappings[i];
	if (*ret != PPROF_NONE)
		return 0;
	r = take_string(j, s, m.filename, &m.filename);
	if (r == 0)
		r = take_string(j, s, m.build_id, &m.build_id);
	for (uint32_t k = 0; r == 0 && k < j->out->nmappings; k++) {
		if (same_code(&j->out->mappings[k], &m)) {
			weaken(&j->out->mappings[k], &m);
			*ret = s->mappings[i] = k;
			return 0;
		}
	}
	if (r == 0)
		r = pprof_mapping(j->out, &m, &s->mappings[i]);
	*ret = s->mappings[i];
	return r;
}

static int take_lines(struct prowl_join *j, struct source *s, uint32_t i)
{
	const struct pprof_line *from = pprof_location_lines(s->p, i);
	size_t n = s->p->locations[i].nlines;
	int r = prowl_array_reserve(&j->lines, &j->cap_lines, n, sizeof *j->lines);

	for (size_t k = 0; r == 0 && k < n; k++) {
		j->lines[k] = from[k];
		if (from[k].function != PPROF_NONE)
			r = take_function(j, s, from[k].function, &j->lines[k].function);
	}
	return r;
}

static int take_location(struct prowl_join *j, struct source *s, uint32_t i, uint32_t *ret)
{
	const struct pprof_location *l = &s->p->locations[i];
	uint32_t mapping = PPROF_NONE;
	uint64_t address = l->address;
	int r = 0;

	*ret = s->locations[i];
	if (*ret != PPROF_NONE)
		return 0;
	if (l->mapping != PPROF_NONE)
		r = take_mapping(j, s, l->mapping, &mapping);
	if (r == 0 && mapping != PPROF_NONE)
		address += j->out->mappings[mapping].start - s->p->mappings[l->mapping].start;
	if (r == 0)
		r = take_lines(j, s, i);
	if (r == 0)
		r = pprof_location(j->out, mapping, address, j->lines, l->nlines, ret);
	if (r < 0)
		return r;
	j->out->locations[*ret].is_folded |= l->is_folded;
	s->locations[i] = *ret;
	return 0;
}

/* --- samples --------------------------------------------------------------------- */

static const struct pprof_label *find_label(const struct source *s, size_t sample, uint32_t key)
{
	const struct pprof_label *l = pprof_sample_labels(s->p, sample);

	for (uint32_t i = 0; key != PPROF_NONE && i < s->p->samples[sample].nlabels; i++) {
		if (l[i].key == key)
			return &l[i];
	}
	return NULL;
}

static bool is_taken(struct source *s, size_t sample, const struct prowl_join_rules *rules)
{
	const struct pprof_label *l = find_label(s, sample, s->series);
	uint32_t string = l ? l->str : 0;

	if (rules->only_series && string != s->only_series)
		return false;
	if (!rules->take)
		return true;
	l = find_label(s, sample, s->window);
	string = l ? l->str : 0;
	if (!s->takes[string])
		s->takes[string] = rules->take(rules->ctx, s->p->strings[string]) ? 2 : 1;
	return s->takes[string] == 2;
}

static int find_key(struct prowl_join *j, uint32_t key, struct values **ret)
{
	int r;

	for (size_t i = 0; i < j->nkeys; i++) {
		if (j->keys[i].key == key) {
			*ret = &j->keys[i];
			return 0;
		}
	}
	r = prowl_array_reserve(&j->keys, &j->cap_keys, j->nkeys + 1, sizeof *j->keys);
	if (r == 0)
		j->keys[j->nkeys] = (struct values){.key = key};
	if (r == 0)
		*ret = &j->keys[j->nkeys++];
	return r;
}

/* A text that is one too many for its key becomes PROWL_JOIN_MANY. */
static int bound_label(struct prowl_join *j, struct pprof_label *l, size_t most)
{
	struct values *v;
	size_t had;
	int r = find_key(j, l->key, &v);

	had = v->cap;
	if (r == 0)
		r = prowl_array_reserve(&v->seen, &v->cap, (size_t)l->str + 1, 1);
	if (r < 0)
		return r;
	memset(v->seen + had, 0, v->cap - had);
	if (!v->seen[l->str] && v->n >= most)
		return pprof_string(j->out, PROWL_JOIN_MANY, &l->str);
	v->n += !v->seen[l->str];
	v->seen[l->str] = 1;
	return 0;
}

static int take_label(struct prowl_join *j, struct source *s, const struct pprof_label *from,
		      const struct prowl_join_rules *rules, struct pprof_label *to)
{
	bool own = from->key == s->series || from->key == s->window;
	int r;

	to->num = from->num;
	if (rules->add_series && own) /* the program's own label of that name */
		r = pprof_string(j->out,
				 from->key == s->series ? PROWL_JOIN_SERIES "_"
							: PROWL_JOIN_WINDOW "_",
				 &to->key);
	else
		r = take_string(j, s, from->key, &to->key);
	if (r == 0)
		r = take_string(j, s, from->str, &to->str);
	if (r == 0)
		r = take_string(j, s, from->unit, &to->unit);
	if (r == 0 && rules->label_values && to->str && !own)
		r = bound_label(j, to, rules->label_values);
	return r;
}

static int add_label(struct prowl_join *j, size_t *n, const char *key, const char *value)
{
	struct pprof_label *l = &j->labels[*n];
	int r;

	if (!value)
		return 0;
	*l = (struct pprof_label){0};
	r = pprof_string(j->out, key, &l->key);
	if (r == 0)
		r = pprof_string(j->out, value, &l->str);
	*n += 1;
	return r;
}

static bool is_dropped(const struct source *s, uint32_t key, const struct prowl_join_rules *rules)
{
	return (key == s->series && rules->drop_series) || (key == s->window && rules->drop_window);
}

static int take_labels(struct prowl_join *j, struct source *s, size_t sample,
		       const struct prowl_join_rules *rules, size_t *ret_n)
{
	const struct pprof_label *from = pprof_sample_labels(s->p, sample);
	size_t have = s->p->samples[sample].nlabels, n = 0;
	int r = prowl_array_reserve(&j->labels, &j->cap_labels, have + 2, sizeof *j->labels);

	for (size_t i = 0; r == 0 && i < have; i++) {
		if (!is_dropped(s, from[i].key, rules))
			r = take_label(j, s, &from[i], rules, &j->labels[n++]);
	}
	if (r == 0)
		r = add_label(j, &n, PROWL_JOIN_SERIES, rules->add_series);
	if (r == 0)
		r = add_label(j, &n, PROWL_JOIN_WINDOW, rules->add_window);
	*ret_n = n;
	return r;
}

/* Of a type. Rounded so that the parts add up to the total, however small each is. */
static int64_t scaled(struct source *s, size_t type, int64_t v, double factor)
{
	int64_t before = s->given[type];
	double d;

	if (!(factor > 0))
		return v;
	s->sums[type] += (double)v * factor;
	d = s->sums[type];
	s->given[type] = d >= 9.2e18 ? INT64_MAX : d <= -9.2e18 ? -INT64_MAX : llrint(d);
	return before < 0 && s->given[type] > INT64_MAX + before ? INT64_MAX
								 : s->given[type] - before;
}

static int take_sample(struct prowl_join *j, struct source *s, size_t sample,
		       const struct prowl_join_rules *rules)
{
	const uint32_t *stack = pprof_sample_stack(s->p, sample);
	const int64_t *own = pprof_sample_values(s->p, sample);
	size_t n = s->p->samples[sample].nlocations, nlabels = 0;
	int64_t values[PROWL_JOIN_TYPES];
	int r = prowl_array_reserve(&j->stack, &j->cap_stack, n, sizeof *j->stack);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = take_location(j, s, stack[i], &j->stack[i]);
	if (r == 0)
		r = take_labels(j, s, sample, rules, &nlabels);
	for (size_t i = 0; r == 0 && i < j->out->nsample_types; i++)
		values[i] = scaled(s, i, own[s->types[i]], rules->factor);
	return r < 0 ? r : pprof_sample_add(j->out, j->stack, n, values, j->labels, nlabels);
}

/* --- the header ------------------------------------------------------------------ */

static const char *type_name(const struct pprof_profile *p, size_t i)
{
	return p->strings[p->sample_types[i].type];
}

static const char *type_unit(const struct pprof_profile *p, size_t i)
{
	return p->strings[p->sample_types[i].unit];
}

static int begin(struct prowl_join *j, const struct pprof_profile *p)
{
	struct pprof_profile *o = j->out;
	int r = 0;

	if (p->nsample_types > PROWL_JOIN_TYPES)
		return -EINVAL;
	for (size_t i = 0; r == 0 && i < p->nsample_types; i++)
		r = pprof_sample_type(o, type_name(p, i), type_unit(p, i));
	if (r == 0)
		r = pprof_period(o, p->strings[p->period_type.type],
				 p->strings[p->period_type.unit], p->period);
	if (r == 0)
		r = pprof_string(o, p->strings[p->default_sample_type], &o->default_sample_type);
	if (r == 0)
		r = pprof_string(o, p->strings[p->drop_frames], &o->drop_frames);
	if (r == 0)
		r = pprof_string(o, p->strings[p->keep_frames], &o->keep_frames);
	return r < 0 ? r : pprof_string(o, p->strings[p->doc_url], &o->doc_url);
}

/* The types of the result in this profile, by name and unit. */
static int match_types(const struct prowl_join *j, struct source *s)
{
	const struct pprof_profile *o = j->out, *p = s->p;

	for (size_t i = 0; i < o->nsample_types; i++) {
		size_t k = 0;

		while (k < p->nsample_types && (strcmp(type_name(p, k), type_name(o, i)) != 0 ||
						strcmp(type_unit(p, k), type_unit(o, i)) != 0))
			k++;
		if (k == p->nsample_types)
			return -EINVAL;
		s->types[i] = k;
	}
	return 0;
}

/* The main binary is the first mapping, whatever the first sample is in. */
static int take_main(struct prowl_join *j, struct source *s, const char *main)
{
	const struct pprof_profile *p = s->p;
	uint32_t ignored;

	for (uint32_t i = 0; main && j->out->nmappings == 0 && i < p->nmappings; i++) {
		const struct pprof_mapping *m = &p->mappings[i];

		if (!strcmp(p->strings[m->build_id ? m->build_id : m->filename], main))
			return take_mapping(j, s, i, &ignored);
	}
	return 0;
}

int prowl_join_add(struct prowl_join *j, const struct pprof_profile *p,
		   const struct prowl_join_rules *rules)
{
	struct source s;
	int r = j->out->nsample_types ? 0 : begin(j, p);

	if (r < 0)
		return r;
	r = source_init(&s, p);
	s.only_series = rules->only_series ? key_of(p, rules->only_series) : 0;
	if (r == 0)
		r = match_types(j, &s);
	if (r == 0)
		r = take_main(j, &s, rules->main);
	if (r == 0 && p->period > j->out->period)
		j->out->period = p->period;
	for (size_t i = 0; r == 0 && i < p->nsamples; i++) {
		if (is_taken(&s, i, rules))
			r = take_sample(j, &s, i, rules);
	}
	source_fini(&s);
	return r;
}

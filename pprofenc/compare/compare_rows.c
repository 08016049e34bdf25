/* SPDX-License-Identifier: Apache-2.0 */
#include "compare_rows.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "frame_names.h"
#include "own.h"
#include "units.h"

struct counting {
	struct rows *t;
	enum pprof_by by;
	const struct pprof_profile *p;
	size_t profile;     /* index of p */
	size_t *types;      /* of each profile, the sample type that is compared */
	double *scales;     /* of each, to the first one's unit */
	size_t type;        /* of p */
	double per_event;   /* value of one event, where it is the same for all */
	double rate;        /* rate of sampled allocations; 0: other values */
	bool objects;       /* and the values count objects, not bytes */
	uint32_t bytes_key; /* the label that has the size of one object */
	uint32_t *row_of;   /* by line; PPROF_NONE until needed */
	struct own_modules own;
	struct rows_alone *alone; /* NULL: the cells are counted */
	size_t nbase;
};

/* --- rows ------------------------------------------------------------------------ */

struct row_key {
	const struct rows *t;
	const char *name, *file;
	int64_t line;
	bool by_place; /* 0 otherwise: a function that moved to another file or line is the same one
			*/
};

static bool same_row(const void *ctx, uint32_t index)
{
	const struct row_key *k = ctx;
	const struct row *r = &k->t->rows[index];

	if (strcmp(r->name, k->name) != 0)
		return false;
	return !k->by_place || (r->line == k->line && strcmp(r->file, k->file) == 0);
}

static int row_find(struct rows *t, const struct row_key *key, const struct row *fresh,
		    uint32_t *ret)
{
	uint64_t hash = XXH3_64bits(key->name, strlen(key->name)) +
			31 * XXH3_64bits(key->file, strlen(key->file)) + (uint64_t)key->line;
	uint32_t found = pp_table_find(&t->table, (uint32_t)hash, same_row, key);
	int r;

	if (found != PPROF_NONE) {
		if (!key->by_place && fresh->file[0]) { /* where the last profile has it */
			t->rows[found].file = fresh->file;
			t->rows[found].line = fresh->line;
		}
		*ret = found;
		return 0;
	}
	r = pp_array_reserve(&t->rows, &t->cap, t->n + 1, sizeof *t->rows);
	if (r == 0)
		r = pp_array_reserve(&t->cells, &t->cap_cells, (t->n + 1) * t->nprofiles,
				     sizeof *t->cells);
	if (r == 0)
		r = pp_table_reserve(&t->table);
	if (r < 0)
		return r;
	t->rows[t->n] = *fresh;
	memset(&t->cells[t->n * t->nprofiles], 0, t->nprofiles * sizeof *t->cells);
	pp_table_put(&t->table, (uint32_t)hash, (uint32_t)t->n);
	*ret = (uint32_t)t->n++;
	return 0;
}

static const char *keep_text(struct rows *t, char *text)
{
	if (!text ||
	    pp_array_reserve(&t->texts, &t->cap_texts, t->ntexts + 1, sizeof *t->texts) < 0) {
		free(text);
		return NULL;
	}
	return t->texts[t->ntexts++] = text;
}

static const char *object_of(const struct pprof_profile *p, const struct pprof_location *l)
{
	const char *path, *slash;

	if (l->mapping == PPROF_NONE)
		return "";
	path = p->strings[p->mappings[l->mapping].filename];
	slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool is_kernel(const struct pprof_profile *p, const struct pprof_location *l)
{
	return strncmp(object_of(p, l), "[kernel", 7) == 0;
}

static int row_of_name(struct counting *c, const struct row *r, bool by_place, uint32_t *ret)
{
	struct row_key key = {c->t, r->name, by_place ? r->file : "", by_place ? r->line : 0,
			      by_place};

	return row_find(c->t, &key, r, ret);
}

static int row_of_package(struct counting *c, const struct pprof_location *l,
			  const struct pprof_line *line, bool own, uint32_t *ret)
{
	uint32_t location = (uint32_t)(l - c->p->locations);
	struct row r = {.file = "", .judged = true, .own = own};

	r.name = keep_text(c->t, pp_frame_name(c->p, location, line, PPROF_PACKAGE));
	return r.name ? row_of_name(c, &r, false, ret) : -ENOMEM;
}

/*
 * The row of an event at this line. All kernel code is one row, and so is all code without a name.
 */
static int row_make(struct counting *c, const struct pprof_location *l,
		    const struct pprof_line *line, uint32_t *ret)
{
	const struct pprof_profile *p = c->p;
	const struct pprof_function *f = line ? &p->functions[line->function] : NULL;
	struct row r = {.name = f ? p->strings[f->name] : "", .file = ""};

	if (is_kernel(p, l))
		r.name = "[kernel]";
	else if (!r.name[0])
		r.name = "[unknown]";
	r.judged = r.name[0] != '[';
	if (!r.judged)
		return row_of_name(c, &r, false, ret);
	r.file = p->strings[f->filename];
	r.own = pp_is_own(&c->own, r.name, r.file, object_of(p, l));
	if (c->by == PPROF_BY_PACKAGE)
		return row_of_package(c, l, line, r.own, ret);
	r.line = c->by == PPROF_BY_LINE ? line->line : f->start_line;
	if (c->by == PPROF_BY_FILE && r.file[0])
		r = (struct row){.name = r.file, .file = r.file, .judged = true, .own = r.own};
	return row_of_name(c, &r, c->by == PPROF_BY_LINE, ret);
}

/* --- events ---------------------------------------------------------------------- */

static double bytes_in(const char *unit)
{
	double n = pp_units_bytes(unit);

	return n > 0 ? n : 1;
}

static double event_of(const struct counting *c, size_t sample)
{
	const struct pprof_label *labels = pprof_sample_labels(c->p, sample);
	double size = 0, seen;

	if (c->rate <= 0)
		return c->per_event;
	for (uint32_t i = 0; i < c->p->samples[sample].nlabels; i++)
		if (labels[i].key == c->bytes_key && labels[i].str == 0)
			size = (double)labels[i].num * bytes_in(c->p->strings[labels[i].unit]);
	if (size <= 0)
		return c->per_event;
	seen = -expm1(-size / c->rate); /* probability of being sampled */
	return c->objects ? 1 / seen : size / seen;
}

static int row_at(struct counting *c, uint32_t location, uint32_t index, uint32_t *ret)
{
	const struct pprof_location *l = &c->p->locations[location];
	int r;

	if (l->nlines == 0)
		return row_make(c, l, NULL, ret);
	*ret = c->row_of[l->first_line + index];
	if (*ret != PPROF_NONE)
		return 0;
	r = row_make(c, l, &c->p->lines[l->first_line + index], ret);
	if (r == 0)
		c->row_of[l->first_line + index] = *ret;
	return r;
}

static void count_frame(struct counting *c, uint32_t row, bool leaf, double events, double value)
{
	struct row_cell *cell = pp_rows_cell(c->t, row, c->profile);

	if (leaf) {
		cell->events += events;
		cell->value += value;
	}
	if (c->t->rows[row].seen != c->t->sample) {
		cell->cum_events += events;
		cell->cum_value += value;
	}
	c->t->rows[row].seen = c->t->sample;
}

/* inner: the row of the selection that is nearest to the leaf so far, in and out. */
static void count_alone(struct counting *c, uint32_t row, uint32_t *inner, double events)
{
	struct rows_alone *a = c->alone;
	uint32_t k = a->index[row];

	if (k == PPROF_NONE)
		return;
	if (*inner == PPROF_NONE) {
		*inner = k;
		a->events[k * c->t->nprofiles + c->profile] += events;
	} else if (k != *inner && c->t->rows[row].seen != c->t->sample) {
		a->through[(k * a->n + *inner) * 2 + (c->profile >= c->nbase)] += events;
	}
	c->t->rows[row].seen = c->t->sample;
}

static int count_sample(struct counting *c, size_t sample)
{
	const struct pprof_sample *s = &c->p->samples[sample];
	const uint32_t *stack = pprof_sample_stack(c->p, sample);
	double value = (double)pprof_sample_values(c->p, sample)[c->type] * c->scales[c->profile];
	double events;
	uint32_t row, inner = PPROF_NONE;
	bool leaf = true;
	int r = 0;

	if (value <= 0)
		return value < 0 ? -EDOM : 0;
	events = value / event_of(c, sample);
	c->t->sample++;
	if (!c->alone) {
		c->t->totals[c->profile] += events;
		c->t->values[c->profile] += value;
	}
	for (uint32_t i = 0; i < s->nlocations && r == 0; i++) {
		uint32_t n = c->p->locations[stack[i]].nlines;

		for (uint32_t k = 0; r == 0 && k < (n ? n : 1); k++, leaf = false) {
			r = row_at(c, stack[i], k, &row);
			if (r == 0 && c->alone)
				count_alone(c, row, &inner, events);
			else if (r == 0)
				count_frame(c, row, leaf, events, value);
		}
	}
	return r;
}

static uint32_t find_string(const struct pprof_profile *p, const char *s)
{
	for (size_t i = 0; i < p->nstrings; i++)
		if (strcmp(p->strings[i], s) == 0)
			return (uint32_t)i;
	return PPROF_NONE;
}

static int count_profile(struct counting *c, const struct pprof_profile *p)
{
	const char *const *s = p->strings;
	int r = 0;

	c->p = p;
	c->type = c->types[c->profile];
	c->rate = 0;
	if (strcmp(s[p->period_type.type], "space") == 0 && p->period > 1) {
		c->rate = (double)p->period;
		c->objects = strcmp(s[p->sample_types[c->type].unit], "bytes") != 0;
		c->bytes_key = find_string(p, "bytes");
	}
	c->row_of = malloc((p->nlines + 1) * sizeof *c->row_of);
	if (!c->row_of)
		return -ENOMEM;
	memset(c->row_of, 0xff, (p->nlines + 1) * sizeof *c->row_of);
	for (size_t i = 0; i < p->nsamples && r == 0; i++)
		r = count_sample(c, i);
	free(c->row_of);
	return r;
}

/*
 * The value of one sample on average over all profiles, where there are counts beside the values.
 */
static double average_event(const struct counting *c, const struct pprof_profile *const *profiles,
			    size_t n)
{
	double values = 0, events = 0;

	for (size_t i = 0; i < n; i++) {
		const struct pprof_profile *p = profiles[i];
		size_t count;

		if (pprof_find_sample_type(p, "samples", &count) < 0 &&
		    pprof_find_sample_type(p, "contentions", &count) < 0)
			return 0;
		for (size_t k = 0; k < p->nsamples; k++) {
			values += (double)pprof_sample_values(p, k)[c->types[i]] * c->scales[i];
			events += (double)pprof_sample_values(p, k)[count];
		}
	}
	return values > 0 && events > 0 ? values / events : 0;
}

/* --- all of it ------------------------------------------------------------------- */

/* For each profile the type of that name, and the factor of its values to the first one's unit. */
static int find_types(struct counting *c, const struct pprof_profile *const *profiles, size_t n,
		      const char *type, size_t *ret_which)
{
	const struct pprof_profile *first = profiles[0];
	int r = 0;

	c->types = calloc(n, sizeof *c->types);
	c->scales = calloc(n, sizeof *c->scales);
	if (!c->types || !c->scales)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct pprof_profile *p = profiles[i];

		*ret_which = i;
		r = pprof_find_sample_type(p, type, &c->types[i]);
		if (r < 0)
			break;
		if (i == 0)
			type = p->strings[p->sample_types[c->types[0]].type];
		c->scales[i] = pp_units_ratio(
			p->strings[p->sample_types[c->types[i]].unit],
			first->strings[first->sample_types[c->types[0]].unit]);
		if (c->scales[i] <= 0)
			r = -EINVAL;
	}
	return r;
}

static int count_all(struct counting *c, const struct pprof_profile *const *profiles, size_t n,
		     const char *type, size_t *ret_which)
{
	int r = find_types(c, profiles, n, type, ret_which);

	if (r == 0)
		r = pp_own_init(&c->own, profiles, n);
	if (r == 0) {
		c->per_event = average_event(c, profiles, n);
		if (c->per_event <= 0)
			c->per_event = 1;
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		*ret_which = c->profile = i;
		r = count_profile(c, profiles[i]);
	}
	pp_own_fini(&c->own);
	free(c->types);
	free(c->scales);
	return r;
}

int pp_rows_init(struct rows *t, const struct pprof_profile *const *profiles, size_t n,
		 const char *type, enum pprof_by by, size_t *ret_which)
{
	struct counting c = {.t = t, .by = by};
	int r = 0;

	*t = (struct rows){.nprofiles = n};
	t->totals = calloc(n, sizeof *t->totals);
	t->values = calloc(n, sizeof *t->values);
	if (!t->totals || !t->values)
		r = -ENOMEM;
	if (r == 0)
		r = count_all(&c, profiles, n, type, ret_which);
	if (r < 0)
		pp_rows_fini(t);
	return r;
}

int pp_rows_alone(struct rows *t, const struct pprof_profile *const *profiles, size_t n,
		  size_t nbase, const char *type, enum pprof_by by, struct rows_alone *a)
{
	struct counting c = {.t = t, .by = by, .alone = a, .nbase = nbase};
	size_t which;

	a->events = calloc(a->n * n + 1, sizeof *a->events);
	a->through = calloc(2 * a->n * a->n + 1, sizeof *a->through);
	return a->events && a->through ? count_all(&c, profiles, n, type, &which) : -ENOMEM;
}

void pp_rows_alone_fini(struct rows_alone *a)
{
	free(a->index);
	free(a->events);
	free(a->through);
	*a = (struct rows_alone){0};
}

void pp_rows_fini(struct rows *t)
{
	for (size_t i = 0; i < t->ntexts; i++)
		free(t->texts[i]);
	free(t->texts);
	free(t->rows);
	free(t->cells);
	free(t->totals);
	free(t->values);
	pp_table_fini(&t->table);
	*t = (struct rows){0};
}

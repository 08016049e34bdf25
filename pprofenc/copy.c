/* SPDX-License-Identifier: Apache-2.0 */
#include "copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

/* n indices, all unknown; never empty. */
static uint32_t *unknown(size_t n)
{
	uint32_t *all = malloc((n + 1) * sizeof *all);

	if (all)
		memset(all, 0xff, (n + 1) * sizeof *all);
	return all;
}

int pp_copier_init(struct pprof_copier *c, const struct pprof_profile *from,
		   struct pprof_profile *to)
{
	*c = (struct pprof_copier){.from = from,
				   .to = to,
				   .strings = unknown(from->nstrings),
				   .functions = unknown(from->nfunctions),
				   .mappings = unknown(from->nmappings),
				   .locations = unknown(from->nlocations)};
	if (c->strings && c->functions && c->mappings && c->locations)
		return 0;
	pp_copier_fini(c);
	return -ENOMEM;
}

void pp_copier_fini(struct pprof_copier *c)
{
	free(c->strings);
	free(c->functions);
	free(c->mappings);
	free(c->locations);
	free(c->stack);
	free(c->labels);
	free(c->lines);
	*c = (struct pprof_copier){0};
}

int pp_copy_string(struct pprof_copier *c, uint32_t string, uint32_t *ret_string)
{
	int r = 0;

	if (c->strings[string] == PPROF_NONE)
		r = pprof_string(c->to, c->from->strings[string], &c->strings[string]);
	*ret_string = c->strings[string];
	return r;
}

int pp_copy_function(struct pprof_copier *c, uint32_t function, uint32_t *ret_function)
{
	struct pprof_function f = c->from->functions[function];
	int r = 0;

	if (c->functions[function] == PPROF_NONE) {
		r = pp_copy_string(c, f.name, &f.name);
		if (r == 0)
			r = pp_copy_string(c, f.system_name, &f.system_name);
		if (r == 0)
			r = pp_copy_string(c, f.filename, &f.filename);
		if (r == 0)
			r = pprof_function(c->to, &f, &c->functions[function]);
	}
	*ret_function = c->functions[function];
	return r;
}

int pp_copy_mapping(struct pprof_copier *c, uint32_t mapping, uint32_t *ret_mapping)
{
	struct pprof_mapping m = c->from->mappings[mapping];
	int r = 0;

	if (c->mappings[mapping] == PPROF_NONE) {
		r = pp_copy_string(c, m.filename, &m.filename);
		if (r == 0)
			r = pp_copy_string(c, m.build_id, &m.build_id);
		if (r == 0)
			r = pprof_mapping(c->to, &m, &c->mappings[mapping]);
	}
	*ret_mapping = c->mappings[mapping];
	return r;
}

int pp_copy_line(struct pprof_copier *c, const struct pprof_line *from, struct pprof_line *to)
{
	*to = *from;
	return pp_copy_function(c, from->function, &to->function);
}

int pp_copy_lines(struct pprof_copier *c, uint32_t location)
{
	const struct pprof_line *lines = pprof_location_lines(c->from, location);
	uint32_t n = c->from->locations[location].nlines;
	int r = pp_array_reserve(&c->lines, &c->cap_lines, n, sizeof *c->lines);

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = pp_copy_line(c, &lines[i], &c->lines[i]);
	return r;
}

int pp_copy_location(struct pprof_copier *c, uint32_t location, uint32_t *ret_location)
{
	const struct pprof_location *l = &c->from->locations[location];
	uint32_t mapping = PPROF_NONE, *known = &c->locations[location];
	int r = 0;

	if (*known == PPROF_NONE) {
		r = pp_copy_lines(c, location);
		if (r == 0 && l->mapping != PPROF_NONE)
			r = pp_copy_mapping(c, l->mapping, &mapping);
		if (r == 0)
			r = pprof_location(c->to, mapping, l->address, c->lines, l->nlines, known);
		if (r == 0)
			c->to->locations[*known].is_folded |= l->is_folded;
	}
	*ret_location = *known;
	return r;
}

int pp_copy_label(struct pprof_copier *c, const struct pprof_label *from, struct pprof_label *to)
{
	int r = pp_copy_string(c, from->key, &to->key);

	if (r == 0)
		r = pp_copy_string(c, from->str, &to->str);
	if (r == 0)
		r = pp_copy_string(c, from->unit, &to->unit);
	to->num = from->num;
	return r;
}

int pp_copy_labels(struct pprof_copier *c, size_t sample)
{
	const struct pprof_label *labels = pprof_sample_labels(c->from, sample);
	uint32_t n = c->from->samples[sample].nlabels;
	int r = pp_array_reserve(&c->labels, &c->cap_labels, n, sizeof *c->labels);

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = pp_copy_label(c, &labels[i], &c->labels[i]);
	return r;
}

/* --- the header ------------------------------------------------------------------ */

static int copy_lists(struct pprof_copier *c)
{
	const struct pprof_profile *p = c->from;
	const char *const *s = p->strings;
	uint32_t same;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->nsample_types; i++)
		r = pprof_sample_type(c->to, s[p->sample_types[i].type],
				      s[p->sample_types[i].unit]);
	for (size_t i = 0; r == 0 && i < p->ncomments; i++)
		r = pprof_comment(c->to, s[p->comments[i]]);
	for (uint32_t i = 0; r == 0 && i < p->nmappings; i++)
		r = pp_copy_mapping(c, i, &same);
	return r;
}

int pp_copy_header(struct pprof_copier *c)
{
	const struct pprof_profile *p = c->from;
	struct pprof_profile *to = c->to;
	int r = copy_lists(c);

	if (r == 0)
		r = pprof_period(to, p->strings[p->period_type.type],
				 p->strings[p->period_type.unit], p->period);
	if (r == 0)
		r = pp_copy_string(c, p->default_sample_type, &to->default_sample_type);
	if (r == 0)
		r = pp_copy_string(c, p->drop_frames, &to->drop_frames);
	if (r == 0)
		r = pp_copy_string(c, p->keep_frames, &to->keep_frames);
	if (r == 0)
		r = pp_copy_string(c, p->doc_url, &to->doc_url);
	to->time_nanos = p->time_nanos;
	to->duration_nanos = p->duration_nanos;
	return r;
}

/* --- for other programs ---------------------------------------------------------- */

int pprof_copier_new(const struct pprof_profile *from, struct pprof_profile *to,
		     struct pprof_copier **ret_copier)
{
	struct pprof_copier *c = malloc(sizeof *c);
	int r = c ? pp_copier_init(c, from, to) : -ENOMEM;

	if (r == 0)
		*ret_copier = c;
	else
		free(c);
	return r;
}

void pprof_copier_free(struct pprof_copier *c)
{
	if (!c)
		return;
	pp_copier_fini(c);
	free(c);
}

int pprof_copier_stack(struct pprof_copier *c, size_t sample, const uint32_t **ret_stack)
{
	const uint32_t *stack = pprof_sample_stack(c->from, sample);
	uint32_t n = c->from->samples[sample].nlocations;
	int r = pp_array_reserve(&c->stack, &c->cap_stack, n, sizeof *c->stack);

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = pp_copy_location(c, stack[i], &c->stack[i]);
	if (r == 0)
		*ret_stack = c->stack;
	return r;
}

int pprof_copier_labels(struct pprof_copier *c, size_t sample,
			const struct pprof_label **ret_labels)
{
	int r = pp_copy_labels(c, sample);

	if (r == 0)
		*ret_labels = c->labels;
	return r;
}

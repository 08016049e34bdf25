/* SPDX-License-Identifier: Apache-2.0 */
#include "model_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "utf8_length.h"

const char *pprof_version(void)
{
	return PROWL_VERSION;
}

int pprof_profile_new(struct pprof_profile **ret_profile)
{
	struct pprof_profile *p = calloc(1, sizeof *p);
	uint32_t empty;
	int r;

	if (!p)
		return -ENOMEM;
	p->builder = calloc(1, sizeof *p->builder);
	r = p->builder ? pprof_string(p, "", &empty) : -ENOMEM;
	if (r < 0) {
		pprof_profile_free(p);
		return r;
	}
	*ret_profile = p;
	return 0;
}

static void builder_free(struct pprof_builder *b)
{
	struct chunk *next;

	if (!b)
		return;
	for (struct chunk *c = b->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	pp_table_fini(&b->strings);
	pp_table_fini(&b->mappings);
	pp_table_fini(&b->functions);
	pp_table_fini(&b->locations);
	pp_table_fini(&b->samples);
	free(b);
}

void pprof_profile_free(struct pprof_profile *p)
{
	if (!p)
		return;
	builder_free(p->builder);
	free(p->sample_types);
	free(p->samples);
	free(p->values);
	free(p->stacks);
	free(p->labels);
	free(p->mappings);
	free(p->locations);
	free(p->lines);
	free(p->functions);
	free(p->strings);
	free(p->comments);
	free(p);
}

/* --- strings --------------------------------------------------------------------- */

struct string_key {
	const struct pprof_profile *p;
	const char *s;
	size_t len;
};

static bool same_string(const void *ctx, uint32_t index)
{
	const struct string_key *k = ctx;
	const char *have = k->p->strings[index];

	return strncmp(have, k->s, k->len) == 0 && have[k->len] == '\0';
}

static bool utf8_valid(const char *s, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = pp_utf8_length(s + i, len - i);
		if (n == 0)
			return false;
	}
	return true;
}

/* A copy with each invalid byte replaced; up to three times as long. */
static char *utf8_repaired(const char *s, size_t len, size_t *ret_len)
{
	char *out = malloc(3 * len), *w = out;

	for (size_t i = 0, n; out && i < len; i += n ? n : 1) {
		n = pp_utf8_length(s + i, len - i);
		w = mempcpy(w, n ? s + i : "\xef\xbf\xbd", n ? n : 3);
	}
	*ret_len = out ? (size_t)(w - out) : 0;
	return out;
}

static char *chunk_copy(struct pprof_builder *b, const char *s, size_t len)
{
	enum { CHUNK = 32 * 1024 - sizeof(struct chunk) };
	struct chunk *c = b->chunks;
	char *copy;

	if (!c || c->size - c->used <= len) {
		size_t size = len < CHUNK / 4 ? CHUNK : len + 1;

		c = malloc(sizeof *c + size);
		if (!c)
			return NULL;
		*c = (struct chunk){.next = b->chunks, .size = size};
		b->chunks = c;
	}
	copy = c->bytes + c->used;
	*(char *)mempcpy(copy, s, len) = '\0';
	c->used += len + 1;
	return copy;
}

static int string_new(struct pprof_profile *p, const char *s, size_t len, uint32_t hash,
		      uint32_t *ret_string)
{
	struct pprof_builder *b = p->builder;
	const char *copy;
	int r;

	r = pp_array_reserve(&p->strings, &b->cap_strings, p->nstrings + 1, sizeof *p->strings);
	if (r == 0)
		r = pp_table_reserve(&b->strings);
	if (r < 0)
		return r;
	copy = chunk_copy(b, s, len);
	if (!copy)
		return -ENOMEM;
	pp_table_put(&b->strings, hash, p->nstrings);
	p->strings[p->nstrings] = copy;
	*ret_string = p->nstrings++;
	return 0;
}

int pp_string_add(struct pprof_profile *p, const char *s, size_t len, uint32_t *ret_string)
{
	struct string_key key = {p, s, strnlen(s, len)};
	uint32_t hash = XXH3_64bits(s, key.len);
	uint32_t found = pp_table_find(&p->builder->strings, hash, same_string, &key);
	char *repaired;
	int r;

	if (found != PPROF_NONE) {
		*ret_string = found;
		return 0;
	}
	if (utf8_valid(s, key.len))
		return string_new(p, s, key.len, hash, ret_string);
	repaired = utf8_repaired(s, key.len, &len);
	if (!repaired)
		return -ENOMEM;
	r = pp_string_add(p, repaired, len, ret_string);
	free(repaired);
	return r;
}

int pprof_string(struct pprof_profile *p, const char *s, uint32_t *ret_string)
{
	return s ? pp_string_add(p, s, strlen(s), ret_string) : pp_string_add(p, "", 0, ret_string);
}

static bool is_string(const struct pprof_profile *p, uint32_t s)
{
	return s < p->nstrings;
}

/* --- header fields --------------------------------------------------------------- */

static int value_type(struct pprof_profile *p, const char *type, const char *unit,
		      struct pprof_value_type *ret_type)
{
	struct pprof_value_type t;
	int r = pprof_string(p, type, &t.type);

	if (r == 0)
		r = pprof_string(p, unit, &t.unit);
	if (r == 0)
		*ret_type = t;
	return r;
}

int pprof_sample_type(struct pprof_profile *p, const char *type, const char *unit)
{
	struct pprof_value_type t;
	int r;

	if (p->nsamples > 0)
		return -EBUSY;
	r = value_type(p, type, unit, &t);
	if (r == 0)
		r = pp_array_reserve(&p->sample_types, &p->builder->cap_types, p->nsample_types + 1,
				     sizeof *p->sample_types);
	if (r == 0)
		p->sample_types[p->nsample_types++] = t;
	return r;
}

int pprof_period(struct pprof_profile *p, const char *type, const char *unit, int64_t period)
{
	int r = value_type(p, type, unit, &p->period_type);

	if (r == 0)
		p->period = period;
	return r;
}

int pprof_comment(struct pprof_profile *p, const char *text)
{
	uint32_t s;
	int r = pprof_string(p, text, &s);

	if (r == 0)
		r = pp_array_reserve(&p->comments, &p->builder->cap_comments, p->ncomments + 1,
				     sizeof *p->comments);
	if (r == 0)
		p->comments[p->ncomments++] = s;
	return r;
}

int pprof_find_sample_type(const struct pprof_profile *p, const char *name, size_t *ret_index)
{
	const char *want = name && *name ? name : p->strings[p->default_sample_type];

	for (size_t i = p->nsample_types; *want && i-- > 0;) {
		if (strcmp(p->strings[p->sample_types[i].type], want) == 0) {
			*ret_index = i;
			return 0;
		}
	}
	/* A default that names no type counts as unset, as in pprof. */
	if ((name && *name) || p->nsample_types == 0)
		return -ENOENT;
	*ret_index = p->nsample_types - 1;
	return 0;
}

/* --- mappings, functions, locations ---------------------------------------------- */

struct mapping_key {
	const struct pprof_profile *p;
	const struct pprof_mapping *m;
};

static bool same_mapping(const void *ctx, uint32_t index)
{
	const struct mapping_key *k = ctx;
	const struct pprof_mapping *a = &k->p->mappings[index], *b = k->m;

	return a->start == b->start && a->limit == b->limit && a->offset == b->offset &&
	       a->filename == b->filename && a->build_id == b->build_id;
}

int pprof_mapping(struct pprof_profile *p, const struct pprof_mapping *m, uint32_t *ret_mapping)
{
	struct pprof_builder *b = p->builder;
	struct mapping_key key = {p, m};
	uint64_t words[] = {m->start, m->limit, m->offset,
			    (uint64_t)m->filename << 32 | m->build_id};
	uint32_t hash = XXH3_64bits(words, sizeof words), found;
	int r;

	if (!is_string(p, m->filename) || !is_string(p, m->build_id))
		return -EINVAL;
	found = pp_table_find(&b->mappings, hash, same_mapping, &key);
	if (found != PPROF_NONE) {
		*ret_mapping = found;
		return 0;
	}
	r = pp_array_reserve(&p->mappings, &b->cap_mappings, p->nmappings + 1, sizeof *p->mappings);
	if (r == 0)
		r = pp_table_reserve(&b->mappings);
	if (r < 0)
		return r;
	pp_table_put(&b->mappings, hash, p->nmappings);
	p->mappings[p->nmappings] = *m;
	*ret_mapping = p->nmappings++;
	return 0;
}

struct function_key {
	const struct pprof_profile *p;
	const struct pprof_function *f;
};

static bool same_function(const void *ctx, uint32_t index)
{
	const struct function_key *k = ctx;
	const struct pprof_function *a = &k->p->functions[index], *b = k->f;

	return a->name == b->name && a->system_name == b->system_name &&
	       a->filename == b->filename && a->start_line == b->start_line;
}

int pprof_function(struct pprof_profile *p, const struct pprof_function *f, uint32_t *ret_function)
{
	struct pprof_builder *b = p->builder;
	struct function_key key = {p, f};
	uint64_t words[] = {(uint64_t)f->name << 32 | f->system_name, f->filename,
			    (uint64_t)f->start_line};
	uint32_t hash = XXH3_64bits(words, sizeof words), found;
	int r;

	if (!is_string(p, f->name) || !is_string(p, f->system_name) || !is_string(p, f->filename))
		return -EINVAL;
	found = pp_table_find(&b->functions, hash, same_function, &key);
	if (found != PPROF_NONE) {
		*ret_function = found;
		return 0;
	}
	r = pp_array_reserve(&p->functions, &b->cap_functions, p->nfunctions + 1,
			     sizeof *p->functions);
	if (r == 0)
		r = pp_table_reserve(&b->functions);
	if (r < 0)
		return r;
	pp_table_put(&b->functions, hash, p->nfunctions);
	p->functions[p->nfunctions] = *f;
	*ret_function = p->nfunctions++;
	return 0;
}

struct location_key {
	const struct pprof_profile *p;
	uint64_t address;
	uint32_t mapping;
	const struct pprof_line *lines;
	size_t nlines;
};

static bool same_location(const void *ctx, uint32_t index)
{
	const struct location_key *k = ctx;
	const struct pprof_location *l = &k->p->locations[index];
	const struct pprof_line *have = k->p->lines + l->first_line;

	if (l->address != k->address || l->mapping != k->mapping || l->nlines != k->nlines)
		return false;
	for (size_t i = 0; i < k->nlines; i++)
		if (have[i].function != k->lines[i].function || have[i].line != k->lines[i].line ||
		    have[i].column != k->lines[i].column)
			return false;
	return true;
}

static uint32_t location_hash(const struct location_key *k)
{
	uint64_t h = XXH3_64bits_withSeed(&k->address, sizeof k->address, k->mapping);

	for (size_t i = 0; i < k->nlines; i++) {
		uint64_t words[] = {k->lines[i].function, (uint64_t)k->lines[i].line,
				    (uint64_t)k->lines[i].column};

		h = XXH3_64bits_withSeed(words, sizeof words, h);
	}
	return h;
}

static int location_new(struct pprof_profile *p, const struct location_key *k, uint32_t hash,
			uint32_t *ret_location)
{
	struct pprof_builder *b = p->builder;
	int r;

	r = pp_array_reserve(&p->locations, &b->cap_locations, p->nlocations + 1,
			     sizeof *p->locations);
	if (r == 0)
		r = pp_array_reserve(&p->lines, &b->cap_lines, p->nlines + k->nlines,
				     sizeof *p->lines);
	if (r == 0)
		r = pp_table_reserve(&b->locations);
	if (r < 0)
		return r;
	pp_table_put(&b->locations, hash, p->nlocations);
	if (k->nlines > 0)
		memcpy(p->lines + p->nlines, k->lines, k->nlines * sizeof *p->lines);
	p->locations[p->nlocations] = (struct pprof_location){
		.address = k->address,
		.mapping = k->mapping,
		.first_line = p->nlines,
		.nlines = k->nlines,
	};
	p->nlines += k->nlines;
	*ret_location = p->nlocations++;
	return 0;
}

int pprof_location(struct pprof_profile *p, uint32_t mapping, uint64_t address,
		   const struct pprof_line *lines, size_t nlines, uint32_t *ret_location)
{
	struct location_key key = {p, address, mapping, lines, nlines};
	uint32_t hash, found;

	if (mapping != PPROF_NONE && mapping >= p->nmappings)
		return -EINVAL;
	for (size_t i = 0; i < nlines; i++)
		if (lines[i].function >= p->nfunctions)
			return -EINVAL;
	hash = location_hash(&key);
	found = pp_table_find(&p->builder->locations, hash, same_location, &key);
	if (found == PPROF_NONE)
		return location_new(p, &key, hash, ret_location);
	*ret_location = found;
	return 0;
}

/* --- samples --------------------------------------------------------------------- */

struct sample_key {
	const struct pprof_profile *p;
	const uint32_t *locations;
	size_t nlocations;
	const struct pprof_label *labels;
	size_t nlabels;
};

static bool same_label(const struct pprof_label *a, const struct pprof_label *b)
{
	return a->key == b->key && a->str == b->str && a->unit == b->unit && a->num == b->num;
}

static bool same_sample(const void *ctx, uint32_t index)
{
	const struct sample_key *k = ctx;
	const struct pprof_sample *s = &k->p->samples[index];
	const struct pprof_label *have = k->p->labels + s->first_label;

	if (s->nlocations != k->nlocations || s->nlabels != k->nlabels)
		return false;
	if (k->nlocations > 0 && memcmp(k->p->stacks + s->first_location, k->locations,
					k->nlocations * sizeof *k->locations) != 0)
		return false;
	for (size_t i = 0; i < k->nlabels; i++)
		if (!same_label(&have[i], &k->labels[i]))
			return false;
	return true;
}

static uint32_t sample_hash(const struct sample_key *k)
{
	uint64_t h = XXH3_64bits_withSeed(k->locations, k->nlocations * sizeof *k->locations,
					  k->nlabels);

	for (size_t i = 0; i < k->nlabels; i++) {
		const struct pprof_label *l = &k->labels[i];
		uint64_t words[] = {(uint64_t)l->key << 32 | l->str, l->unit, (uint64_t)l->num};

		h = XXH3_64bits_withSeed(words, sizeof words, h);
	}
	return h;
}

static int label_order(const void *va, const void *vb)
{
	const struct pprof_label *a = va, *b = vb;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	if (a->str != b->str)
		return a->str < b->str ? -1 : 1;
	if (a->num != b->num)
		return a->num < b->num ? -1 : 1;
	return a->unit < b->unit ? -1 : a->unit > b->unit;
}

/*
 * Puts the labels behind those in use, sorted, so that their order is not part of a sample's
 * identity. They become part of the profile only when nlabels is raised by *ret_n.
 */
static int labels_stage(struct pprof_profile *p, const struct pprof_label *labels, size_t n,
			size_t *ret_n)
{
	struct pprof_label *to;
	size_t kept = 0;
	int r;

	r = pp_array_reserve(&p->labels, &p->builder->cap_labels, p->nlabels + n,
			     sizeof *p->labels);
	if (r < 0)
		return r;
	to = p->labels + p->nlabels;
	for (size_t i = 0; i < n; i++) {
		const struct pprof_label *l = &labels[i];

		if (!is_string(p, l->key) || !is_string(p, l->str) || !is_string(p, l->unit))
			return -EINVAL;
		if (l->str != 0)
			to[kept++] = (struct pprof_label){.key = l->key, .str = l->str};
		else if (l->num != 0 || l->unit != 0)
			to[kept++] = *l;
	}
	if (kept > 1)
		qsort(to, kept, sizeof *to, label_order);
	*ret_n = kept;
	return 0;
}

static int sample_check(const struct pprof_profile *p, const uint32_t *locations, size_t n)
{
	if (p->nsample_types == 0)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (locations[i] >= p->nlocations)
			return -EINVAL;
	return 0;
}

static int sample_new(struct pprof_profile *p, const struct sample_key *k, const int64_t *values)
{
	struct pprof_builder *b = p->builder;
	size_t nvalues = p->nsample_types;
	int r;

	r = pp_array_reserve(&p->samples, &b->cap_samples, p->nsamples + 1, sizeof *p->samples);
	if (r == 0)
		r = pp_array_reserve(&p->values, &b->cap_values, (p->nsamples + 1) * nvalues,
				     sizeof *p->values);
	if (r == 0)
		r = pp_array_reserve(&p->stacks, &b->cap_stacks, p->nstacks + k->nlocations,
				     sizeof *p->stacks);
	if (r < 0)
		return r;
	memcpy(p->values + p->nsamples * nvalues, values, nvalues * sizeof *values);
	if (k->nlocations > 0)
		memcpy(p->stacks + p->nstacks, k->locations, k->nlocations * sizeof *p->stacks);
	p->samples[p->nsamples] = (struct pprof_sample){
		.first_location = p->nstacks,
		.nlocations = k->nlocations,
		.first_label = p->nlabels,
		.nlabels = k->nlabels,
	};
	p->nstacks += k->nlocations;
	p->nlabels += k->nlabels;
	p->nsamples++;
	return 0;
}

int pprof_sample_append(struct pprof_profile *p, const uint32_t *locations, size_t nlocations,
			const int64_t *values, const struct pprof_label *labels, size_t nlabels)
{
	struct sample_key key = {p, locations, nlocations};
	int r = sample_check(p, locations, nlocations);

	if (r == 0)
		r = labels_stage(p, labels, nlabels, &key.nlabels);
	if (r < 0)
		return r;
	return sample_new(p, &key, values);
}

/* Enters the appended samples, each under the first of its equals. */
static int samples_hash(struct pprof_profile *p)
{
	struct pprof_builder *b = p->builder;
	int r;

	for (; b->hashed < p->nsamples; b->hashed++) {
		const struct pprof_sample *s = &p->samples[b->hashed];
		struct sample_key key = {p, p->stacks + s->first_location, s->nlocations,
					 p->labels + s->first_label, s->nlabels};
		uint32_t hash = sample_hash(&key);

		r = pp_table_reserve(&b->samples);
		if (r < 0)
			return r;
		if (pp_table_find(&b->samples, hash, same_sample, &key) == PPROF_NONE)
			pp_table_put(&b->samples, hash, b->hashed);
	}
	return 0;
}

int pprof_sample_add(struct pprof_profile *p, const uint32_t *locations, size_t nlocations,
		     const int64_t *values, const struct pprof_label *labels, size_t nlabels)
{
	struct pprof_builder *b = p->builder;
	struct sample_key key = {p, locations, nlocations};
	uint32_t hash, found;
	int64_t *sum;
	int r;

	r = sample_check(p, locations, nlocations);
	if (r == 0)
		r = labels_stage(p, labels, nlabels, &key.nlabels);
	if (r == 0)
		r = samples_hash(p);
	if (r == 0)
		r = pp_table_reserve(&b->samples);
	if (r < 0)
		return r;
	key.labels = p->labels + p->nlabels;
	hash = sample_hash(&key);
	found = pp_table_find(&b->samples, hash, same_sample, &key);
	if (found == PPROF_NONE) {
		r = sample_new(p, &key, values);
		if (r == 0)
			pp_table_put(&b->samples, hash, b->hashed++);
		return r;
	}
	sum = p->values + found * p->nsample_types;
	for (size_t i = 0; i < p->nsample_types; i++)
		sum[i] = (int64_t)((uint64_t)sum[i] + (uint64_t)values[i]);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "push_otlp_parts.h"

#include <string.h>

#include "array.h"
#include "pprof.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* --- memory, strings, attributes -------------------------------------------------- */

void *push_otlp_get(struct push_otlp_message *m, size_t n, size_t size)
{
	void *block = NULL;

	if (!m->failed &&
	    prowl_array_reserve(&m->blocks, &m->cap_blocks, m->nblocks + 1, sizeof *m->blocks) == 0)
		block = calloc(n + 1, size);
	if (block)
		m->blocks[m->nblocks++] = block;
	else
		m->failed = true;
	return block;
}

void push_otlp_fini(struct push_otlp_message *m)
{
	for (size_t i = 0; i < m->nblocks; i++)
		free(m->blocks[i]);
	free(m->blocks);
	free(m->dictionary.string_table);
	free(m->dictionary.attribute_table);
	prowl_idmap_fini(&m->known);
}

/* The profile's own strings have their indices; the few others are behind them. */
int32_t push_otlp_string(struct push_otlp_message *m, const char *s)
{
	PushOtlp__Dictionary *d = &m->dictionary;
	size_t i = m->p->nstrings;

	while (i < d->n_string_table && strcmp(d->string_table[i], s) != 0)
		i++;
	if (i < d->n_string_table || m->failed)
		return (int32_t)i;
	if (prowl_array_reserve(&d->string_table, &m->cap_strings, i + 1, sizeof *d->string_table) <
	    0) {
		m->failed = true;
		return 0;
	}
	d->string_table[d->n_string_table++] = (char *)s;
	return (int32_t)i;
}

static int32_t add_attribute(struct push_otlp_message *m, int32_t key, PushOtlp__AnyValue *value,
			     int32_t unit)
{
	PushOtlp__Dictionary *d = &m->dictionary;
	PushOtlp__Attribute *a = push_otlp_get(m, 1, sizeof *a);

	if (!a || prowl_array_reserve(&d->attribute_table, &m->cap_attributes,
				      d->n_attribute_table + 1, sizeof *d->attribute_table) < 0) {
		m->failed = true;
		return 0;
	}
	push_otlp__attribute__init(a);
	a->key_strindex = key;
	a->value = value;
	a->unit_strindex = unit;
	d->attribute_table[d->n_attribute_table++] = a;
	return (int32_t)d->n_attribute_table - 1;
}

int32_t push_otlp_attribute(struct push_otlp_message *m, const char *key, PushOtlp__AnyValue *value,
			    int32_t unit)
{
	return add_attribute(m, push_otlp_string(m, key), value, unit);
}

PushOtlp__AnyValue *push_otlp_text(struct push_otlp_message *m, const char *s)
{
	PushOtlp__AnyValue *v = push_otlp_get(m, 1, sizeof *v);

	if (!v)
		return NULL;
	push_otlp__any_value__init(v);
	v->value_case = PUSH_OTLP__ANY_VALUE__VALUE_STRING_VALUE;
	v->string_value = (char *)s;
	return v;
}

static PushOtlp__AnyValue *number(struct push_otlp_message *m, int64_t n)
{
	PushOtlp__AnyValue *v = push_otlp_get(m, 1, sizeof *v);

	if (!v)
		return NULL;
	push_otlp__any_value__init(v);
	v->value_case = PUSH_OTLP__ANY_VALUE__VALUE_INT_VALUE;
	v->int_value = n;
	return v;
}

/* --- the tables ------------------------------------------------------------------- */

static void add_strings(struct push_otlp_message *m)
{
	const struct pprof_profile *p = m->p;
	PushOtlp__Dictionary *d = &m->dictionary;

	if (prowl_array_reserve(&d->string_table, &m->cap_strings, p->nstrings,
				sizeof *d->string_table) < 0) {
		m->failed = true;
		return;
	}
	for (size_t i = 0; i < p->nstrings; i++)
		d->string_table[i] = (char *)p->strings[i];
	d->n_string_table = p->nstrings;
}

static void add_build_id(struct push_otlp_message *m, PushOtlp__Mapping *to, const char *id)
{
	/* Go's has slashes, GNU's is hex */
	const char *key = strchr(id, '/') ? "process.executable.build_id.go"
					  : "process.executable.build_id.gnu";
	int32_t *index = push_otlp_get(m, 1, sizeof *index);

	if (!index)
		return;
	*index = push_otlp_attribute(m, key, push_otlp_text(m, id), 0);
	to->attribute_indices = index;
	to->n_attribute_indices = 1;
}

static void add_mappings(struct push_otlp_message *m)
{
	const struct pprof_profile *p = m->p;
	size_t n = p->nmappings + 1;
	PushOtlp__Mapping *all = push_otlp_get(m, n, sizeof *all);
	PushOtlp__Mapping **refs = push_otlp_get(m, n, sizeof *refs);

	for (size_t i = 0; all && refs && i < n; i++) {
		const struct pprof_mapping *from = i ? &p->mappings[i - 1] : NULL;

		push_otlp__mapping__init(&all[i]);
		refs[i] = &all[i];
		if (!from)
			continue;
		all[i].memory_start = from->start;
		all[i].memory_limit = from->limit;
		all[i].file_offset = from->offset;
		all[i].filename_strindex = (int32_t)from->filename;
		if (from->build_id)
			add_build_id(m, &all[i], p->strings[from->build_id]);
	}
	m->dictionary.mapping_table = refs;
	m->dictionary.n_mapping_table = n;
}

static void add_functions(struct push_otlp_message *m)
{
	const struct pprof_profile *p = m->p;
	size_t n = p->nfunctions + 1;
	PushOtlp__Function *all = push_otlp_get(m, n, sizeof *all);
	PushOtlp__Function **refs = push_otlp_get(m, n, sizeof *refs);

	for (size_t i = 0; all && refs && i < n; i++) {
		const struct pprof_function *from = i ? &p->functions[i - 1] : NULL;

		push_otlp__function__init(&all[i]);
		refs[i] = &all[i];
		if (!from)
			continue;
		all[i].name_strindex = (int32_t)from->name;
		all[i].system_name_strindex = (int32_t)from->system_name;
		all[i].filename_strindex = (int32_t)from->filename;
		all[i].start_line = from->start_line;
	}
	m->dictionary.function_table = refs;
	m->dictionary.n_function_table = n;
}

static void add_lines(struct push_otlp_message *m, PushOtlp__Location *to, uint32_t location)
{
	const struct pprof_line *from = pprof_location_lines(m->p, location);
	uint32_t n = m->p->locations[location].nlines;
	PushOtlp__Line *lines = push_otlp_get(m, n, sizeof *lines);
	PushOtlp__Line **refs = push_otlp_get(m, n, sizeof *refs);

	for (uint32_t i = 0; lines && refs && i < n; i++) {
		push_otlp__line__init(&lines[i]);
		lines[i].function_index = from[i].function == PPROF_NONE
						  ? 0
						  : (int32_t)from[i].function + 1;
		lines[i].line = from[i].line;
		lines[i].column = from[i].column;
		refs[i] = &lines[i];
	}
	to->lines = refs;
	to->n_lines = refs ? n : 0;
}

static void add_locations(struct push_otlp_message *m)
{
	const struct pprof_profile *p = m->p;
	size_t n = p->nlocations + 1;
	PushOtlp__Location *all = push_otlp_get(m, n, sizeof *all);
	PushOtlp__Location **refs = push_otlp_get(m, n, sizeof *refs);

	for (uint32_t i = 0; all && refs && i < n; i++) {
		const struct pprof_location *from = i ? &p->locations[i - 1] : NULL;

		push_otlp__location__init(&all[i]);
		refs[i] = &all[i];
		if (!from)
			continue;
		all[i].mapping_index = from->mapping == PPROF_NONE ? 0 : (int32_t)from->mapping + 1;
		all[i].address = from->address;
		add_lines(m, &all[i], i - 1);
	}
	m->dictionary.location_table = refs;
	m->dictionary.n_location_table = n;
}

/* --- samples ---------------------------------------------------------------------- */

static bool same_stack(const struct pprof_profile *p, size_t a, size_t b)
{
	uint32_t n = p->samples[a].nlocations;

	return n == p->samples[b].nlocations &&
	       memcmp(pprof_sample_stack(p, a), pprof_sample_stack(p, b), n * sizeof *p->stacks) ==
		       0;
}

static void add_stack(struct push_otlp_message *m, PushOtlp__Stack *to, size_t sample)
{
	const uint32_t *from = pprof_sample_stack(m->p, sample);
	uint32_t n = m->p->samples[sample].nlocations;

	to->location_indices = push_otlp_get(m, n, sizeof *to->location_indices);
	for (uint32_t i = 0; to->location_indices && i < n; i++)
		to->location_indices[i] = (int32_t)from[i] + 1;
	to->n_location_indices = to->location_indices ? n : 0;
}

/* Samples of one stack that differ in their labels follow each other. */
static void add_stacks(struct push_otlp_message *m)
{
	const struct pprof_profile *p = m->p;
	PushOtlp__Stack *all = push_otlp_get(m, p->nsamples + 1, sizeof *all);
	PushOtlp__Stack **refs = push_otlp_get(m, p->nsamples + 1, sizeof *refs);
	size_t n = 1;

	m->stack_of = push_otlp_get(m, p->nsamples, sizeof *m->stack_of);
	if (m->failed)
		return;
	push_otlp__stack__init(&all[0]);
	refs[0] = &all[0];
	for (size_t i = 0; i < p->nsamples; i++) {
		if (i == 0 || !same_stack(p, i - 1, i)) {
			push_otlp__stack__init(&all[n]);
			add_stack(m, &all[n], i);
			refs[n] = &all[n];
			n++;
		}
		m->stack_of[i] = (uint32_t)n - 1;
	}
	m->dictionary.stack_table = refs;
	m->dictionary.n_stack_table = n;
}

/* The names that OpenTelemetry has for some of them. */
static const char *key_of(const char *key)
{
	static const char *const names[][2] = {
		{PPROF_LABEL_PID, "process.pid"},
		{PPROF_LABEL_COMM, "process.executable.name"},
		{PPROF_LABEL_THREAD_ID, "thread.id"},
		{"thread id", "thread.id"},
		{PPROF_LABEL_THREAD_NAME, "thread.name"},
		{"thread name", "thread.name"},
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(names[i][0], key) == 0)
			return names[i][1];
	}
	return NULL;
}

static int32_t attribute_of(struct push_otlp_message *m, const struct pprof_label *l)
{
	const uint64_t content[] = {(uint64_t)l->key << 32 | l->str, l->unit, (uint64_t)l->num};
	uint64_t hash = XXH3_64bits(content, sizeof content) | 1;
	const char *other = key_of(m->p->strings[l->key]);
	PushOtlp__AnyValue *value;
	uint32_t known;

	if (prowl_idmap_get(&m->known, hash, &known))
		return (int32_t)known;
	value = l->str ? push_otlp_text(m, m->p->strings[l->str]) : number(m, l->num);
	known = (uint32_t)(other ? push_otlp_attribute(m, other, value, (int32_t)l->unit)
				 : add_attribute(m, (int32_t)l->key, value, (int32_t)l->unit));
	if (prowl_idmap_put(&m->known, hash, known) < 0)
		m->failed = true;
	return (int32_t)known;
}

static void add_labels(struct push_otlp_message *m)
{
	const struct pprof_profile *p = m->p;
	size_t n = 0;

	for (size_t i = 0; i < p->nsamples; i++)
		n += p->samples[i].nlabels;
	m->attributes_of = push_otlp_get(m, n, sizeof *m->attributes_of);
	m->first_attribute = push_otlp_get(m, p->nsamples + 1, sizeof *m->first_attribute);
	n = 0;
	for (size_t i = 0; i < p->nsamples && !m->failed; i++) {
		const struct pprof_label *l = pprof_sample_labels(p, i);

		m->first_attribute[i] = n;
		for (uint32_t j = 0; j < p->samples[i].nlabels; j++)
			m->attributes_of[n++] = attribute_of(m, &l[j]);
		m->first_attribute[i + 1] = n;
	}
}

static void add_zeros(struct push_otlp_message *m)
{
	PushOtlp__Link *link = push_otlp_get(m, 1, sizeof *link);
	PushOtlp__Link **links = push_otlp_get(m, 1, sizeof *links);

	if (!links)
		return;
	push_otlp__link__init(link);
	links[0] = link;
	m->dictionary.link_table = links;
	m->dictionary.n_link_table = 1;
	add_attribute(m, 0, NULL, 0);
}

void push_otlp_tables(struct push_otlp_message *m)
{
	push_otlp__dictionary__init(&m->dictionary);
	add_strings(m);
	add_zeros(m);
	add_mappings(m);
	add_functions(m);
	add_locations(m);
	add_stacks(m);
	add_labels(m);
}

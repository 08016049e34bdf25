/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile as JSON for scripts, in the form that pprof_report.h documents: names are where they
 * are needed, so that jq needs no joins; the tables are for readers of addresses and lines.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "graph.h"
#include "jsonout.h"
#include "pprof_report.h"
#include "printable.h"
#include "report_options.h"

struct writer {
	const struct pprof_profile *p;
	struct jsonout j;
	size_t first_type, end_type; /* the types that are written */
	char **value_names;          /* of all types: keys of the values */
};

/* --- the header ------------------------------------------------------------------ */

static const char *str(const struct writer *w, uint32_t string)
{
	return w->p->strings[string];
}

static void write_type(struct writer *w, const char *key, const struct pprof_value_type *t)
{
	pp_json_open(&w->j, key, '{');
	pp_json_text(&w->j, "type", str(w, t->type));
	pp_json_text(&w->j, "unit", str(w, t->unit));
	pp_json_close(&w->j, '}');
}

/* In RFC 3339's form; omitted where it is unknown. */
static void write_time(struct writer *w)
{
	int64_t ns = w->p->time_nanos;
	time_t s = (time_t)(ns / 1000000000);
	char text[64];
	struct tm tm;
	size_t n;

	if (ns > 0 && gmtime_r(&s, &tm)) {
		n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
		snprintf(text + n, sizeof text - n, ".%09dZ", (int)(ns % 1000000000));
		pp_json_text(&w->j, "time", text);
	}
	pp_json_number(&w->j, "time_nanos", ns);
	pp_json_number(&w->j, "duration_nanos", w->p->duration_nanos);
}

static void write_header(struct writer *w, size_t shown)
{
	const struct pprof_profile *p = w->p;
	struct jsonout *j = &w->j;

	pp_json_number(j, "schema_version", JSONOUT_SCHEMA_VERSION);
	pp_json_line(j);
	pp_json_open(j, "sample_types", '[');
	for (size_t i = w->first_type; i < w->end_type; i++)
		write_type(w, NULL, &p->sample_types[i]);
	pp_json_close(j, ']');
	pp_json_text(j, "default_sample_type", w->value_names[shown]);
	write_type(w, "period_type", &p->period_type);
	pp_json_number(j, "period", p->period);
	write_time(w);
	pp_json_text(j, "drop_frames", str(w, p->drop_frames));
	pp_json_text(j, "keep_frames", str(w, p->keep_frames));
	pp_json_text(j, "doc_url", str(w, p->doc_url));
	pp_json_line(j);
	pp_json_open(j, "comments", '[');
	for (size_t i = 0; i < p->ncomments; i++)
		pp_json_text(j, NULL, str(w, p->comments[i]));
	pp_json_close(j, ']');
}

/* --- tables ---------------------------------------------------------------------- */

static void write_mapping(struct writer *w, const struct pprof_mapping *m)
{
	struct jsonout *j = &w->j;

	pp_json_open(j, NULL, '{');
	pp_json_address(j, "start", m->start);
	pp_json_address(j, "limit", m->limit);
	pp_json_address(j, "offset", m->offset);
	pp_json_text(j, "file", str(w, m->filename));
	pp_json_text(j, "build_id", str(w, m->build_id));
	pp_json_bool(j, "has_functions", m->has_functions);
	pp_json_bool(j, "has_filenames", m->has_filenames);
	pp_json_bool(j, "has_line_numbers", m->has_line_numbers);
	pp_json_bool(j, "has_inline_frames", m->has_inline_frames);
	pp_json_close(j, '}');
}

static void write_function(struct writer *w, const struct pprof_function *f)
{
	struct jsonout *j = &w->j;

	pp_json_open(j, NULL, '{');
	pp_json_text(j, "name", str(w, f->name));
	pp_json_text(j, "system_name", str(w, f->system_name));
	pp_json_text(j, "file", str(w, f->filename));
	pp_json_number(j, "start_line", f->start_line);
	pp_json_close(j, '}');
}

static void write_location(struct writer *w, const struct pprof_location *l)
{
	struct jsonout *j = &w->j;

	pp_json_open(j, NULL, '{');
	pp_json_address(j, "address", l->address);
	/* Not -1: jq takes it for the last one. */
	if (l->mapping == PPROF_NONE)
		pp_json_null(j, "mapping");
	else
		pp_json_number(j, "mapping", l->mapping);
	pp_json_bool(j, "folded", l->is_folded);
	pp_json_open(j, "lines", '[');
	for (uint32_t i = l->first_line; i < l->first_line + l->nlines; i++) {
		const struct pprof_line *line = &w->p->lines[i];
		const struct pprof_function *f = &w->p->functions[line->function];

		pp_json_open(j, NULL, '{');
		pp_json_number(j, "function", line->function);
		pp_json_text(j, "name", str(w, f->name));
		pp_json_text(j, "file", str(w, f->filename));
		pp_json_number(j, "line", line->line);
		pp_json_number(j, "column", line->column);
		pp_json_close(j, '}');
	}
	pp_json_close(j, ']');
	pp_json_close(j, '}');
}

#define TABLE(w, key, array, count, write_one)            \
	do {                                              \
		pp_json_line(&(w)->j);                    \
		pp_json_open(&(w)->j, key, '[');          \
		for (size_t i_ = 0; i_ < (count); i_++) { \
			pp_json_line(&(w)->j);            \
			write_one(w, &(array)[i_]);       \
		}                                         \
		pp_json_close(&(w)->j, ']');              \
	} while (0)

/* --- samples --------------------------------------------------------------------- */

static void write_label(struct jsonout *j, const char *key, const struct pprof_profile *p,
			const struct pprof_label *l)
{
	if (l->str)
		pp_json_text(j, key, p->strings[l->str]);
	else
		pp_json_number(j, key, l->num);
}

/*
 * The units of n labels of one key: one for all, or, where they differ, an array parallel to the
 * values.
 */
static void write_units(struct writer *w, const struct pprof_label *l, size_t n)
{
	const char *key = str(w, l->key);
	uint32_t unit = 0;
	bool differ = false;

	for (size_t i = 0; i < n; i++) {
		if (!l[i].str && i > 0 && !l[i - 1].str)
			differ |= l[i].unit != l[i - 1].unit;
		unit = unit ? unit : l[i].unit;
	}
	if (!differ) {
		if (unit)
			pp_json_text(&w->j, key, str(w, unit));
		return;
	}
	pp_json_open(&w->j, key, '[');
	for (size_t i = 0; i < n; i++)
		pp_json_text(&w->j, NULL, str(w, l[i].unit));
	pp_json_close(&w->j, ']');
}

static size_t same_key(const struct pprof_label *l, size_t n)
{
	size_t k = 1;

	while (k < n && l[k].key == l->key)
		k++;
	return k;
}

/* A key has its value; a repeated one, which the format allows, an array of them. */
static void write_labels(struct writer *w, const struct pprof_label *l, size_t n)
{
	struct jsonout *j = &w->j;

	pp_json_open(j, "labels", '{');
	for (size_t i = 0, end; i < n; i = end) {
		const char *key = str(w, l[i].key);

		end = i + same_key(l + i, n - i);
		if (end == i + 1) {
			write_label(j, key, w->p, &l[i]);
			continue;
		}
		pp_json_open(j, key, '[');
		for (size_t k = i; k < end; k++)
			write_label(j, NULL, w->p, &l[k]);
		pp_json_close(j, ']');
	}
	pp_json_close(j, '}');
	pp_json_open(j, "label_units", '{');
	for (size_t i = 0; i < n; i += same_key(l + i, n - i))
		write_units(w, l + i, same_key(l + i, n - i));
	pp_json_close(j, '}');
}

static int write_object(struct writer *w, const struct pprof_location *l)
{
	char *name = pp_object_name(
		l->mapping == PPROF_NONE ? "" : str(w, w->p->mappings[l->mapping].filename));

	if (!name)
		return -ENOMEM;
	pp_json_text(&w->j, NULL, name);
	free(name);
	return 0;
}

/* The names of one location, innermost first. */
static int write_names(struct writer *w, const struct pprof_location *l)
{
	int r = 0;

	if (l->nlines == 0)
		return write_object(w, l);
	for (uint32_t i = l->first_line; r == 0 && i < l->first_line + l->nlines; i++) {
		uint32_t name = w->p->functions[w->p->lines[i].function].name;

		if (name)
			pp_json_text(&w->j, NULL, str(w, name));
		else
			r = write_object(w, l);
	}
	return r;
}

static int write_stack(struct writer *w, const uint32_t *stack, size_t n)
{
	int r = 0;

	pp_json_open(&w->j, "stack", '[');
	for (size_t i = 0; r == 0 && i < n; i++)
		r = write_names(w, &w->p->locations[stack[i]]);
	pp_json_close(&w->j, ']');
	pp_json_open(&w->j, "locations", '[');
	for (size_t i = 0; i < n; i++)
		pp_json_number(&w->j, NULL, stack[i]);
	pp_json_close(&w->j, ']');
	return r;
}

static int write_sample(struct writer *w, size_t index)
{
	const struct pprof_sample *s = &w->p->samples[index];
	const int64_t *values = pprof_sample_values(w->p, index);
	struct jsonout *j = &w->j;
	int r;

	pp_json_line(j);
	pp_json_open(j, NULL, '{');
	pp_json_open(j, "values", '{');
	for (size_t i = w->first_type; i < w->end_type; i++)
		pp_json_number(j, w->value_names[i], values[i]);
	pp_json_close(j, '}');
	write_labels(w, pprof_sample_labels(w->p, index), s->nlabels);
	r = write_stack(w, pprof_sample_stack(w->p, index), s->nlocations);
	pp_json_close(j, '}');
	return r;
}

static int write_samples(struct writer *w)
{
	bool all = w->end_type - w->first_type == w->p->nsample_types;
	int r = 0;

	pp_json_line(&w->j);
	pp_json_open(&w->j, "samples", '[');
	for (size_t i = 0; r == 0 && i < w->p->nsamples; i++)
		if (all || pprof_sample_values(w->p, i)[w->first_type])
			r = write_sample(w, i);
	pp_json_close(&w->j, ']');
	return r;
}

/* --- the file -------------------------------------------------------------------- */

/* Types are identified by name; a second one of the same name becomes "name#2". */
static int name_values(struct writer *w)
{
	const struct pprof_profile *p = w->p;

	w->value_names = calloc(p->nsample_types + 1, sizeof *w->value_names);
	if (!w->value_names)
		return -ENOMEM;
	for (size_t i = 0; i < p->nsample_types; i++) {
		const char *name = str(w, p->sample_types[i].type);
		size_t nth = 1;

		for (size_t k = 0; k < i; k++)
			nth += p->sample_types[k].type == p->sample_types[i].type;
		if (nth == 1)
			w->value_names[i] = strdup(name);
		else if (asprintf(&w->value_names[i], "%s#%zu", name, nth) < 0)
			w->value_names[i] = NULL;
		if (!w->value_names[i])
			return -ENOMEM;
	}
	return 0;
}

static int write_file(struct writer *w, size_t shown)
{
	const struct pprof_profile *p = w->p;
	int r;

	pp_json_open(&w->j, NULL, '{');
	write_header(w, shown);
	TABLE(w, "mappings", p->mappings, p->nmappings, write_mapping);
	TABLE(w, "functions", p->functions, p->nfunctions, write_function);
	TABLE(w, "locations", p->locations, p->nlocations, write_location);
	r = write_samples(w);
	pp_json_close(&w->j, '}');
	putc('\n', w->j.to);
	return r;
}

int pprof_report_json(const struct pprof_profile *p, const struct pprof_report_options *options,
		      FILE *to)
{
	struct report_options o;
	const char *type;
	struct writer w = {.p = p, .j.to = to, .end_type = p->nsample_types};
	size_t shown;
	int r = pp_report_options(&o, options);

	if (r < 0)
		return r;
	type = o.o.sample_type;
	r = pprof_find_sample_type(p, type, &shown);
	if (r < 0)
		return r;
	if (type && *type) {
		w.first_type = shown;
		w.end_type = shown + 1;
	}
	r = name_values(&w);
	if (r == 0)
		r = write_file(&w, shown);
	if (r == 0 && ferror(to))
		r = -EIO;
	for (size_t i = 0; w.value_names && i < p->nsample_types; i++)
		free(w.value_names[i]);
	free(w.value_names);
	return r;
}

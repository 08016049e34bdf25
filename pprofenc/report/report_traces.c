/* SPDX-License-Identifier: Apache-2.0 */
/* The header of every text report, and the report that is a list of samples. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "label_units.h"
#include "printable.h"
#include "processes.h"
#include "report_parts.h"

int pp_report_init(struct report *r, const struct pprof_profile *p,
		   const struct pprof_report_options *o, FILE *to)
{
	int e;

	*r = (struct report){.p = p, .o = &r->options.o, .to = to, .each = true};
	e = pp_report_options(&r->options, o);
	if (e == 0)
		e = pp_graph_init(&r->g, p, r->o->sample_type);
	if (e < 0)
		return e;
	if (r->o->total)
		r->g.total = r->o->total;
	r->value_unit = p->strings[p->sample_types[r->g.type].unit];
	return 0;
}

int pp_report_fini(struct report *r)
{
	pp_graph_fini(&r->g);
	free(r->order);
	return ferror(r->to) ? -EIO : 0;
}

const char *pp_report_value(struct report *r, int64_t v)
{
	struct scale scale = r->scale;

	if (r->each)
		scale = pp_units_in(v, r->value_unit, r->o->unit ? r->o->unit : "auto");
	pp_units_format(r->text, v, scale);
	pp_make_printable(r->text); /* the unit may be anything */
	return r->text;
}

void pp_report_text(FILE *to, const char *s)
{
	while (*s) {
		size_t n = control_length(s);

		fputc(n ? '?' : *s, to);
		s += n ? n : 1;
	}
}

/* --- the lines above ------------------------------------------------------------- */

static void print_line(FILE *to, const char *before, const char *s)
{
	fputs(before, to);
	pp_report_text(to, s);
	fputc('\n', to);
}

/* With several processes, one binary would not represent all of them. */
static void print_binary(struct report *r)
{
	const struct pprof_mapping *m = r->p->mappings;
	char *several = pp_processes(r->p);
	bool named = several && *several;
	const char *file, *slash;

	if (named)
		print_line(r->to, "Processes: ", several);
	free(several);
	if (named || r->p->nmappings == 0)
		return;
	file = r->p->strings[m->filename];
	slash = strrchr(file, '/');
	if (*file)
		print_line(r->to, "File: ", slash ? slash + 1 : file);
	if (m->build_id)
		print_line(r->to, "Build ID: ", r->p->strings[m->build_id]);
}

static void print_time(struct report *r)
{
	time_t seconds = r->p->time_nanos / 1000000000;
	char when[64];
	struct tm tm;

	if (r->p->time_nanos == 0 || !localtime_r(&seconds, &tm))
		return;
	strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S %Z", &tm);
	print_line(r->to, "Time: ", when);
}

static void print_duration(struct report *r)
{
	int64_t wall = r->p->duration_nanos;
	double ns = pp_units_nanoseconds(r->value_unit) * r->g.total;

	if (wall == 0)
		return;
	fprintf(r->to, "Duration: %s, ",
		pp_units_format(r->text, wall, pp_units_fit(wall, "nanoseconds")));
	fprintf(r->to, "Total samples = %s", pp_report_value(r, r->g.total));
	if (ns > 0)
		fprintf(r->to, " (%s)",
			pp_units_percent(r->share, ns < 9e18 ? (int64_t)ns : INT64_MAX, wall));
	fputc('\n', r->to);
}

void pp_report_about(struct report *r)
{
	const struct pprof_profile *p = r->p;

	print_binary(r);
	for (size_t i = 0; i < p->ncomments; i++)
		if (p->strings[p->comments[i]][0] != '#')
			print_line(r->to, "", p->strings[p->comments[i]]);
	if (p->sample_types[r->g.type].type)
		print_line(r->to, "Type: ", p->strings[p->sample_types[r->g.type].type]);
	if (p->doc_url)
		print_line(r->to, "Doc: ", p->strings[p->doc_url]);
	print_time(r);
	print_duration(r);
}

/* At most 80 bytes, whole characters. */
static void print_filter(FILE *to, const char *name, const char *value)
{
	enum { MOST = 80 };
	size_t room = MOST - strlen(name) - 1, n = strlen(value);
	char text[MOST + 1];

	if (n > room) {
		n = room;
		while (n > 0 && ((unsigned char)value[n] & 0xc0) == 0x80)
			n--;
	}
	*(char *)mempcpy(text, value, n) = '\0';
	fprintf(to, "   %s=", name);
	pp_report_text(to, text);
	fputs(value[n] ? "\u2026\n" : "\n", to);
}

void pp_report_filters(struct report *r)
{
	const struct pprof_filter_options *f = r->o->filtered;
	static const struct pprof_filter_options none;
	const struct {
		const char *name, *value;
	} all[] = {
		{"focus", (f = f ? f : &none)->focus},
		{"ignore", f->ignore},
		{"hide", f->hide},
		{"show", f->show},
		{"show_from", f->show_from},
		{"tagfocus", f->tag_focus},
		{"tagignore", f->tag_ignore},
		{"tagshow", f->tag_show},
		{"taghide", f->tag_hide},
	};
	bool any = false;

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		if (!all[i].value || !*all[i].value)
			continue;
		if (!any)
			fputs("Active filters:\n", r->to);
		any = true;
		print_filter(r->to, all[i].name, all[i].value);
	}
}

/* --- traces ---------------------------------------------------------------------- */

struct tag { /* a line about one label of a sample */
	char *text;
	bool number;
};

static int tag_order(const void *va, const void *vb)
{
	const struct tag *a = va, *b = vb;

	return a->number != b->number ? a->number - b->number : strcmp(a->text, b->text);
}

static bool same_tag(const struct pprof_label *a, const struct pprof_label *b)
{
	return a->key == b->key && !a->str == !b->str;
}

/* The key, and the values of all labels of that key and kind, which are neighbours. */
static char *tag_text(const struct report *r, const struct pprof_label *labels, size_t n,
		      size_t index, const char *const *units)
{
	const struct pprof_profile *p = r->p;
	char value[UNITS_TEXT], *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	for (size_t k = strlen(p->strings[labels[index].key]); k < 10; k++)
		fputc(' ', to);
	fprintf(to, "%s: ", p->strings[labels[index].key]);
	for (size_t i = index; i < n && same_tag(&labels[i], &labels[index]); i++) {
		const struct pprof_label *l = &labels[i];

		if (!l->str)
			pp_units_format(value, l->num,
					pp_units_in(l->num, pp_label_unit(p, l, units), "auto"));
		fprintf(to, " %s", l->str ? p->strings[l->str] : value);
	}
	if (fclose(to) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* Texts first, then numbers, each in the order of the lines. */
static int print_tags(struct report *r, size_t sample, const char *const *units)
{
	const struct pprof_label *labels = pprof_sample_labels(r->p, sample);
	size_t count = r->p->samples[sample].nlabels, n = 0;
	struct tag *tags = calloc(count + 1, sizeof *tags);
	int e = tags ? 0 : -ENOMEM;

	for (size_t i = 0; e == 0 && i < count; i++) {
		if (i > 0 && same_tag(&labels[i - 1], &labels[i]))
			continue;
		tags[n] = (struct tag){tag_text(r, labels, count, i, units), labels[i].str == 0};
		if (!tags[n++].text)
			e = -ENOMEM;
	}
	if (e == 0)
		qsort(tags, n, sizeof *tags, tag_order);
	for (size_t i = 0; i < n; i++) {
		if (e == 0)
			print_line(r->to, "", tags[i].text);
		free(tags[i].text);
	}
	free(tags);
	return e;
}

static const char trace_rule[] =
	"-----------+-------------------------------------------------------\n";

static int print_trace(struct report *r, size_t sample, const char *const *units)
{
	const uint32_t *stack = pprof_sample_stack(r->p, sample), *nodes;
	const char *value;
	int e;

	if (r->p->samples[sample].nlocations == 0)
		return 0;
	fputs(trace_rule, r->to);
	e = print_tags(r, sample, units);
	if (e < 0)
		return e;
	value = pp_report_value(r, pprof_sample_values(r->p, sample)[r->g.type]);
	for (size_t i = 0; i < r->p->samples[sample].nlocations; i++) {
		size_t n = pp_graph_location(&r->g, stack[i], &nodes);

		for (size_t j = 0; j < n; j++) {
			fprintf(r->to, "%10s   %s%s\n", value, r->g.nodes[nodes[j]].name,
				j + 1 < n ? " (inline)" : "");
			value = "";
		}
	}
	return 0;
}

int pprof_report_traces(const struct pprof_profile *p, const struct pprof_report_options *options,
			FILE *to)
{
	const char **units;
	struct report r;
	int e = pp_report_init(&r, p, options, to), closed;

	if (e < 0)
		return e;
	units = pp_label_units(p);
	if (!units)
		e = -ENOMEM;
	if (e == 0)
		pp_report_about(&r);
	for (size_t i = 0; e == 0 && i < p->nsamples; i++)
		e = print_trace(&r, i, units);
	if (e == 0)
		fputs(trace_rule, to);
	free(units);
	closed = pp_report_fini(&r);
	return e < 0 ? e : closed;
}

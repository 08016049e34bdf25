/* SPDX-License-Identifier: Apache-2.0 */
/* prowl daemon query: what the store has, with a daemon that runs or without. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "common_opts.h"
#include "daemon_verbs.h"
#include "input_store.h"
#include "jsonout.h"
#include "pprof.h"
#include "show_report.h"
#include "store.h"
#include "term.h"
#include "when.h"

struct query_opts {
	struct show_report show;
	const char *store, *from, *to, *match, *kind, *by, *step;
	struct prowl_query q; /* agg and tags, as they were given */
	bool timeline, json;
};

static bool take_agg(const struct opt *o, void *field, const char *arg)
{
	return input_agg(arg, field);
}

static bool take_tag(const struct opt *o, void *field, const char *arg)
{
	return input_tag(arg, field);
}

static const char *const agg_words[] = {"mean", "max", "min", "last", NULL};
static const char *const tag_words[] = {"window", "series", NULL};

static const struct opt query_opts[] = {
	OPT_TEXT(0, "store", "DIR", "the store (default: the daemon's)", struct query_opts, store),
	OPT_TEXT(0, "from", "T", "windows from then on (default: -1h; lists: all)",
		 struct query_opts, from),
	OPT_TEXT(0, "to", "T", "windows before (default: now)", struct query_opts, to),
	OPT_TEXT(0, "match", "SELECTOR", "series: service=\"etcd\",build=~\"v1.*\"",
		 struct query_opts, match),
	OPT_TEXT('k', "kind", "KIND", "cpu, heap, goroutine, ... (default: cpu)", struct query_opts,
		 kind),
	{.name = "agg",
	 .arg = "HOW",
	 .take = take_agg,
	 .at = OPT_FIELD(struct query_opts, q, struct prowl_query),
	 .words = agg_words,
	 .help = "levels, such as the heap in use, over time (default: mean)"},
	{.name = "keep",
	 .arg = "LABEL",
	 .take = take_tag,
	 .at = OPT_FIELD(struct query_opts, q, struct prowl_query),
	 .words = tag_words,
	 .help = "the label of samples, for --tagroot and --tag"},
	OPT_FLAG(0, "timeline", "print values over time instead", struct query_opts, timeline),
	OPT_TEXT(0, "by", "LABEL", "timeline: a line for each value of it", struct query_opts, by),
	OPT_TEXT(0, "step", "TIME", "timeline: 1m, 1h, ... (default: by the range)",
		 struct query_opts, step),
	OPT_JSON("lists and timelines as JSON", struct query_opts, json),
	SHOW_REPORT_OPTS(struct query_opts, show),
	COMMON_SAY,
	OPT_END,
};

/* --- the query ------------------------------------------------------------------- */

struct query {
	const struct query_opts *o;
	struct prowl_store *store;
	struct prowl_selector *match;
	struct prowl_query q;
};

static bool parse_range(struct query *x, bool list)
{
	const struct query_opts *o = x->o;
	int64_t now = input_now(), step;

	if (o->to && !input_time("--to", o->to, &x->q.to))
		return false;
	if (o->from && !input_time("--from", o->from, &x->q.from))
		return false;
	if (!o->from && !list)
		x->q.from = (x->q.to ? x->q.to : now) - 3600000000000;
	if (x->q.to && x->q.to <= x->q.from) {
		say_error("--to is not after --from");
		return false;
	}
	if (!o->step)
		return true;
	if (*o->step == '-' || strlen(o->step) > 20) {
		say_error("'%s' is no step: 1m, 10m, 1h", o->step);
		return false;
	}
	char ago[24];

	snprintf(ago, sizeof ago, "-%s", o->step);
	if (!input_time("--step", ago, &step))
		return false;
	x->q.step_ns = now - step;
	return true;
}

static bool parse_match(struct query *x, char **words, size_t n)
{
	struct prowl_err err = {0};
	enum prowl_code code = PROWL_OK;

	if (n > 1 || (n && x->o->match)) {
		say_error("give one SERVICE, or --match SELECTOR");
		return false;
	}
	if (n)
		code = prowl_selector_service(words[0], &x->match, &err);
	else if (x->o->match)
		code = prowl_selector_new(x->o->match, &x->match, &err);
	if (code != PROWL_OK)
		say_failure(&err);
	x->q.match = x->match;
	return code == PROWL_OK;
}

/* --- lists ----------------------------------------------------------------------- */

static void put_labels(struct jsonout *j, const struct prowl_series *s)
{
	pp_json_open(j, "labels", '{');
	for (size_t i = 0; i < s->n; i++)
		pp_json_text(j, s->labels[i].name, s->labels[i].value);
	pp_json_close(j, '}');
}

static void list_json(const struct prowl_store_list *l)
{
	char text[PROWL_WHEN];
	struct jsonout j;

	pp_json_begin(&j, stdout, JSONOUT_INDENTED);
	pp_json_open(&j, "series", '[');
	for (size_t i = 0; i < l->n; i++) {
		const struct prowl_store_listed *r = &l->rows[i];

		pp_json_open(&j, NULL, '{');
		put_labels(&j, r->series);
		pp_json_text(&j, "kinds", r->kinds);
		pp_json_text(&j, "first", prowl_when_text(text, r->first));
		pp_json_text(&j, "last", prowl_when_text(text, r->last));
		pp_json_unsigned(&j, "windows", r->windows);
		pp_json_unsigned(&j, "samples", r->samples);
		pp_json_close(&j, '}');
	}
	pp_json_close(&j, ']');
	pp_json_bool(&j, "truncated", l->truncated);
	pp_json_end(&j);
}

static void list_text(const struct prowl_store_list *l)
{
	char text[PROWL_WHEN];

	printf("%-24s %-20s %-20s %10s %12s  %s\n", "SERVICE", "FIRST", "LAST", "WINDOWS",
	       "SAMPLES", "KINDS, LABELS");
	for (size_t i = 0; i < l->n; i++) {
		const struct prowl_store_listed *r = &l->rows[i];
		const char *service = prowl_series_get(r->series, PROWL_SERIES_SERVICE);
		int pad = strlen(service) < 24 ? 24 - (int)strlen(service) : 0;

		text_put(stdout, service);
		printf("%*s %-20.20s ", pad, "", prowl_when_text(text, r->first));
		printf("%-20.20s %10llu %12llu  ", prowl_when_text(text, r->last),
		       (unsigned long long)r->windows, (unsigned long long)r->samples);
		text_put(stdout, r->kinds);
		for (size_t k = 0; k < r->series->n; k++) {
			if (!strcmp(r->series->labels[k].name, PROWL_SERIES_SERVICE))
				continue;
			putchar(' ');
			text_put(stdout, r->series->labels[k].name);
			putchar('=');
			text_put(stdout, r->series->labels[k].value);
		}
		putchar('\n');
	}
	if (l->truncated)
		say_warning("only the first %zu series are listed", l->n);
}

static enum prowl_code print_series(struct query *x)
{
	struct prowl_store_list *l;
	struct prowl_err err = {0};
	enum prowl_code code = prowl_store_series(x->store, &x->q, &l, &err);

	if (code != PROWL_OK)
		return say_failure(&err);
	if (x->o->json)
		list_json(l);
	else
		list_text(l);
	prowl_store_list_free(l);
	return PROWL_OK;
}

/* --- timelines ------------------------------------------------------------------- */

static void line_json(struct jsonout *j, const struct prowl_store_timeline *t,
		      const struct prowl_store_line *l)
{
	pp_json_open(j, NULL, '{');
	pp_json_text(j, "name", l->name);
	pp_json_bool(j, "other", l->other);
	pp_json_real(j, "total", l->total);
	pp_json_open(j, "points", '[');
	for (size_t i = 0; i < t->npoints; i++) {
		const struct prowl_store_point *p = &l->points[i];

		if (!p->windows)
			continue;
		pp_json_open(j, NULL, '[');
		pp_json_number(j, NULL, (t->from + (int64_t)i * t->step_ns) / 1000000);
		pp_json_real(j, NULL, p->value);
		pp_json_number(j, NULL, p->covered_ns / 1000000);
		pp_json_unsigned(j, NULL, p->flags);
		pp_json_close(j, ']');
	}
	pp_json_close(j, ']');
	pp_json_close(j, '}');
}

static void timeline_json(const struct prowl_store_timeline *t)
{
	char text[PROWL_WHEN];
	struct jsonout j;

	pp_json_begin(&j, stdout, JSONOUT_INDENTED);
	pp_json_text(&j, "type", t->type);
	pp_json_text(&j, "unit", t->unit);
	pp_json_bool(&j, "level", t->level);
	pp_json_text(&j, "from", prowl_when_text(text, t->from));
	pp_json_text(&j, "to", prowl_when_text(text, t->to));
	pp_json_number(&j, "step_ms", t->step_ns / 1000000);
	pp_json_open(&j, "lines", '[');
	for (size_t i = 0; i < t->nlines; i++)
		line_json(&j, t, &t->lines[i]);
	pp_json_close(&j, ']');
	pp_json_open(&j, "gaps", '[');
	for (size_t i = 0; i < t->ngaps; i++) {
		pp_json_open(&j, NULL, '[');
		pp_json_number(&j, NULL, t->gaps[i].from / 1000000);
		pp_json_number(&j, NULL, t->gaps[i].to / 1000000);
		pp_json_close(&j, ']');
	}
	pp_json_close(&j, ']');
	pp_json_end(&j);
}

/* CPU time as CPUs: of the time that was looked at. */
static void put_value(const struct prowl_store_timeline *t, const struct prowl_store_point *p)
{
	char value[32];

	if (!strcmp(t->unit, "nanoseconds") && !t->level && p->covered_ns)
		printf(" %10.3f CPUs", p->value / (double)p->covered_ns);
	else
		printf(" %15s", pprof_value_text(value, p->value, t->unit));
}

static void timeline_text(const struct prowl_store_timeline *t)
{
	char text[PROWL_WHEN];

	for (size_t k = 0; k < t->nlines; k++) {
		const struct prowl_store_line *l = &t->lines[k];

		for (size_t i = 0; i < t->npoints; i++) {
			if (!l->points[i].windows)
				continue;
			printf("%-20s", prowl_when_text(text, t->from + (int64_t)i * t->step_ns));
			put_value(t, &l->points[i]);
			fputs("  ", stdout);
			text_put(stdout, l->name);
			for (unsigned int flag = 1; flag <= PROWL_STORE_RESTARTED; flag <<= 1)
				if (l->points[i].flags & flag)
					printf(" %s", prowl_store_flag_name(flag));
			putchar('\n');
		}
	}
}

static enum prowl_code print_timeline(struct query *x)
{
	struct prowl_store_timeline *t;
	struct prowl_err err = {0};
	enum prowl_code code;

	x->q.by = x->o->by;
	x->q.type = x->o->show.view.report.sample_type;
	code = prowl_store_timeline(x->store, &x->q, &t, &err);
	if (code != PROWL_OK)
		return say_failure(&err);
	if (x->o->json)
		timeline_json(t);
	else
		timeline_text(t);
	code = t->nlines ? PROWL_OK : PROWL_NOTHING;
	if (!t->nlines)
		say_error("there is no window of that kind and range");
	prowl_store_timeline_free(t);
	return code;
}

/* --- the command ----------------------------------------------------------------- */

static enum prowl_code print_profile(struct query *x, struct show_report *show)
{
	enum prowl_code code;
	struct pprof_profile *p;

	if (x->o->json) {
		say_error("--json is for lists and --timeline; a profile: -f json");
		return PROWL_USAGE;
	}
	p = input_query_store(x->store, &x->q, &code);
	if (p)
		code = show_report(show, &p);
	pprof_profile_free(p);
	return code;
}

static enum prowl_code answer(struct query *x, struct query_opts *o)
{
	enum prowl_code code;

	x->store = input_open_store(o->store, false, &code);
	if (!x->store)
		return code;
	if (o->timeline)
		return print_timeline(x);
	return x->match ? print_profile(x, &o->show) : print_series(x);
}

static enum prowl_code run(void *options, char **words, size_t n)
{
	struct query_opts *o = options;
	struct query x = {.o = o, .q = o->q};
	enum prowl_code code = PROWL_USAGE;

	x.q.kind = o->kind;
	if (parse_match(&x, words, n) && parse_range(&x, !x.match && !o->timeline))
		code = answer(&x, o);
	prowl_store_close(x.store);
	prowl_selector_free(x.match);
	return code;
}

const struct cmd daemon_query = {
	.name = "daemon query",
	.usage = "[options] [SERVICE]",
	.summary = "profiles that the daemon has stored",
	.text = "Prints one profile of all windows of a service in a range of time; without a service, the\n"
		"series that there are. Takes the options of prowl report.\n\n"
		"Examples:\n"
		"  prowl daemon query\n"
		"  prowl daemon query etcd --from -2h --to -1h\n"
		"  prowl daemon query etcd --kind heap --agg max -f html -o heap.html\n"
		"  prowl daemon query --match 'namespace=\"prod\"' --keep series --tagroot series\n"
		"  prowl daemon query etcd --from 2026-11-30T08:00Z --timeline\n",
	.opts = query_opts,
	.operands = OPERANDS_FILES,
	.size = sizeof(struct query_opts),
	.run = run,
};

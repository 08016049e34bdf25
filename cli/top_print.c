/* SPDX-License-Identifier: Apache-2.0 */
#include "top_print.h"

#include <time.h>

#include "jsonout.h"

static void put(void *ctx, int row, enum top_style style, const char *text)
{
	FILE *to = ctx;

	fprintf(to, "%s\n", text);
}

void top_print_text(struct top_model *m, size_t n, FILE *to)
{
	top_model_print(m, n, put, to);
}

static double percent(int64_t part, int64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void json_facts(struct jsonout *j, const struct top_facts *f)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	pp_json_unsigned(j, "time_unix_ns",
			 (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	pp_json_unsigned(j, "span_ns", f->span_ns);
	pp_json_unsigned(j, "rate_hz", f->rate);
	pp_json_unsigned(j, "samples", f->samples);
	pp_json_real(j, "cpu_percent", f->cpu_percent);
	pp_json_real(j, "lost_percent", f->lost);
	pp_json_real(j, "truncated_percent", f->truncated);
	pp_json_real(j, "unknown_percent", f->unknown);
	pp_json_real(j, "own_cpu_percent", f->own_percent);
	pp_json_unsigned(j, "own_memory_bytes", f->own_bytes);
}

static void json_targets(struct jsonout *j, const struct top_target *t, size_t n)
{
	pp_json_open(j, "targets", '[');
	for (size_t i = 0; i < n; i++) {
		pp_json_open(j, NULL, '{');
		pp_json_unsigned(j, "pid", (uint64_t)t[i].pid);
		pp_json_text(j, "comm", t[i].comm);
		pp_json_text(j, "go_version", t[i].go_version[0] ? t[i].go_version : NULL);
		pp_json_close(j, '}');
	}
	pp_json_close(j, ']');
}

static void json_functions(struct jsonout *j, const struct top_model *m, size_t n)
{
	const struct pprof_functions *f = top_model_view(m)->functions;
	const uint32_t *rows;
	size_t nrows = top_model_rows(m, &rows);

	pp_json_number(j, "total_ns", f->total);
	pp_json_open(j, "functions", '[');
	for (size_t i = 0; i < nrows && i < n; i++) {
		const struct pprof_function_row *r = &f->rows[rows[i]];

		pp_json_open(j, NULL, '{');
		pp_json_text(j, "name", r->name);
		pp_json_text(j, "file", r->file);
		pp_json_number(j, "line", r->line);
		pp_json_number(j, "flat_ns", r->flat);
		pp_json_real(j, "flat_percent", percent(r->flat, f->total));
		pp_json_number(j, "cum_ns", r->cum);
		pp_json_real(j, "cum_percent", percent(r->cum, f->total));
		pp_json_close(j, '}');
	}
	pp_json_close(j, ']');
}

static void json_runtime(struct jsonout *j, const struct top_facts *t)
{
	const struct prowl_figures *f = &t->figures;

	if (!t->has_figures)
		return;
	pp_json_open(j, "runtime", '{');
	pp_json_unsigned(j, "age_ns", t->figures_age_ns);
	for (enum prowl_figure i = 0; i < PROWL_FIGURE_COUNT; i++) {
		if (f->known[i])
			pp_json_number(j, prowl_figure_name(i), f->value[i]);
	}
	if (f->npauses)
		pp_json_number(j, "gc_last_pause_ns", f->pauses[0]);
	pp_json_close(j, '}');
}

void top_print_json(struct top_model *m, size_t n, const struct top_target *targets,
		    size_t ntargets, bool line, FILE *to)
{
	const struct top_facts *f = &top_model_view(m)->facts;
	struct jsonout j;

	if (line)
		pp_json_begin(&j, to, JSONOUT_LINE);
	else
		pp_json_begin(&j, to, JSONOUT_INDENTED);
	json_facts(&j, f);
	json_targets(&j, targets, ntargets);
	json_functions(&j, m, n);
	json_runtime(&j, f);
	pp_json_end(&j);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "top_print.h"

#include <time.h>

#include "json.h"

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

static void json_facts(struct json *j, const struct top_facts *f)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	json_number(j, "time_unix_ns", (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	json_number(j, "span_ns", f->span_ns);
	json_number(j, "rate_hz", f->rate);
	json_number(j, "samples", f->samples);
	json_real(j, "cpu_percent", f->cpu_percent);
	json_real(j, "lost_percent", f->lost);
	json_real(j, "truncated_percent", f->truncated);
	json_real(j, "unknown_percent", f->unknown);
	json_real(j, "own_cpu_percent", f->own_percent);
	json_number(j, "own_memory_bytes", f->own_bytes);
}

static void json_targets(struct json *j, const struct top_target *t, size_t n)
{
	json_open(j, "targets", '[');
	for (size_t i = 0; i < n; i++) {
		json_open(j, NULL, '{');
		json_number(j, "pid", (uint64_t)t[i].pid);
		json_string(j, "comm", t[i].comm);
		json_string(j, "go_version", t[i].go_version[0] ? t[i].go_version : NULL);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void json_functions(struct json *j, const struct top_model *m, size_t n)
{
	const struct pprof_functions *f = top_model_view(m)->functions;
	const uint32_t *rows;
	size_t nrows = top_model_rows(m, &rows);

	json_signed(j, "total_ns", f->total);
	json_open(j, "functions", '[');
	for (size_t i = 0; i < nrows && i < n; i++) {
		const struct pprof_function_row *r = &f->rows[rows[i]];

		json_open(j, NULL, '{');
		json_string(j, "name", r->name);
		json_string(j, "file", r->file);
		json_signed(j, "line", r->line);
		json_signed(j, "flat_ns", r->flat);
		json_real(j, "flat_percent", percent(r->flat, f->total));
		json_signed(j, "cum_ns", r->cum);
		json_real(j, "cum_percent", percent(r->cum, f->total));
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void json_runtime(struct json *j, const struct top_facts *t)
{
	const struct prowl_figures *f = &t->figures;

	if (!t->has_figures)
		return;
	json_open(j, "runtime", '{');
	json_number(j, "age_ns", t->figures_age_ns);
	for (enum prowl_figure i = 0; i < PROWL_FIGURE_COUNT; i++) {
		if (f->known[i])
			json_signed(j, prowl_figure_name(i), f->value[i]);
	}
	if (f->npauses)
		json_signed(j, "gc_last_pause_ns", f->pauses[0]);
	json_close(j, '}');
}

void top_print_json(struct top_model *m, size_t n, const struct top_target *targets,
		    size_t ntargets, bool line, FILE *to)
{
	const struct top_facts *f = &top_model_view(m)->facts;
	struct json j;

	if (line)
		json_begin_line(&j, to);
	else
		json_begin(&j, to);
	json_facts(&j, f);
	json_targets(&j, targets, ntargets);
	json_functions(&j, m, n);
	json_runtime(&j, f);
	json_end(&j);
}

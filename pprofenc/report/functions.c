/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "graph.h"
#include "pprof_report.h"
#include "table.h"
#include "units.h"

struct pprof_functions_index {
	struct table rows, calls;
	size_t cap_rows, cap_calls;
	int64_t *best; /* of each row: the value of its line */
	size_t cap_best;
};

/* --- a table that grows ---------------------------------------------------------- */

static int64_t plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

struct row_key {
	const struct pprof_function_row *rows;
	const char *name;
};

static bool same_row(const void *ctx, uint32_t index)
{
	const struct row_key *k = ctx;

	return !strcmp(k->rows[index].name, k->name);
}

static int row_add(struct pprof_functions *f, const char *name, uint32_t hash, uint32_t *ret_row)
{
	struct pprof_functions_index *x = f->index;
	char *copy, *file;
	int r = pp_array_reserve(&f->rows, &x->cap_rows, f->nrows + 1, sizeof *f->rows);

	if (r == 0)
		r = pp_array_reserve(&x->best, &x->cap_best, f->nrows + 1, sizeof *x->best);
	if (r == 0)
		r = pp_table_reserve(&x->rows);
	if (r < 0)
		return r;
	copy = strdup(name);
	file = strdup("");
	if (!copy || !file) {
		free(copy);
		free(file);
		return -ENOMEM;
	}
	pp_table_put(&x->rows, hash, (uint32_t)f->nrows);
	x->best[f->nrows] = -1;
	f->rows[f->nrows] = (struct pprof_function_row){.name = copy, .file = file};
	*ret_row = (uint32_t)f->nrows++;
	return 0;
}

static int row_of(struct pprof_functions *f, const char *name, uint32_t *ret_row)
{
	struct row_key key = {f->rows, name};
	uint32_t hash = (uint32_t)XXH3_64bits(name, strlen(name));
	uint32_t found = pp_table_find(&f->index->rows, hash, same_row, &key);

	if (found == PPROF_NONE)
		return row_add(f, name, hash, ret_row);
	*ret_row = found;
	return 0;
}

struct call_key {
	const struct pprof_call *calls;
	uint32_t from, to;
};

static bool same_call(const void *ctx, uint32_t index)
{
	const struct call_key *k = ctx;

	return k->calls[index].from == k->from && k->calls[index].to == k->to;
}

static int call_add(struct pprof_functions *f, uint32_t from, uint32_t to, int64_t value)
{
	struct pprof_functions_index *x = f->index;
	struct call_key key = {f->calls, from, to};
	uint32_t hash = (uint32_t)XXH3_64bits((uint32_t[]){from, to}, 2 * sizeof from);
	uint32_t found = pp_table_find(&x->calls, hash, same_call, &key);
	int r;

	if (found != PPROF_NONE) {
		f->calls[found].value = plus(f->calls[found].value, value);
		return 0;
	}
	r = pp_array_reserve(&f->calls, &x->cap_calls, f->ncalls + 1, sizeof *f->calls);
	if (r == 0)
		r = pp_table_reserve(&x->calls);
	if (r < 0)
		return r;
	pp_table_put(&x->calls, hash, (uint32_t)f->ncalls);
	f->calls[f->ncalls++] = (struct pprof_call){from, to, value};
	return 0;
}

/* The line with most of a function's value; `weight` is what is compared. */
static int row_line(struct pprof_functions *f, uint32_t row, const char *file, int64_t line,
		    int64_t weight)
{
	struct pprof_function_row *r = &f->rows[row];
	int64_t *best = f->index->best;
	char *copy;

	if (!best || weight <= best[row])
		return 0;
	if (strcmp(r->file, file) != 0) {
		copy = strdup(file);
		if (!copy)
			return -ENOMEM;
		free((char *)r->file);
		r->file = copy;
	}
	r->line = line;
	best[row] = weight;
	return 0;
}

/* --- of a profile ---------------------------------------------------------------- */

/* The value of one line of one function: several locations may belong to it. */
struct line_sum {
	uint32_t node, file;
	int64_t line;
	int64_t flat, cum;
};

static int by_line(const void *a, const void *b)
{
	const struct line_sum *x = a, *y = b;

	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return (x->line > y->line) - (x->line < y->line);
}

static void count_lines(const struct graph *g, struct line_sum *sums)
{
	const struct pprof_profile *p = g->p;

	for (size_t s = 0; s < p->nsamples; s++) {
		const uint32_t *stack = pprof_sample_stack(p, s);
		int64_t value = (int64_t)magnitude(pprof_sample_values(p, s)[g->type]);

		for (uint32_t i = 0; i < p->samples[s].nlocations; i++) {
			const struct pprof_location *l = &p->locations[stack[i]];

			for (uint32_t j = 0; j < l->nlines; j++) {
				struct line_sum *sum = &sums[l->first_line + j];

				sum->cum = plus(sum->cum, value);
				if (i == 0 && j == 0)
					sum->flat = plus(sum->flat, value);
			}
		}
	}
}

/* More flat value wins, then more cum: any flat value outweighs all cum. */
static int64_t line_weight(const struct line_sum *s)
{
	return s->flat ? (int64_t)(INT64_MAX / 2 + s->flat / 2) : s->cum / 2;
}

static int choose_lines(struct pprof_functions *f, const struct graph *g, const uint32_t *rows)
{
	const struct pprof_profile *p = g->p;
	struct line_sum *sums = calloc(p->nlines + 1, sizeof *sums);
	int r = 0;

	if (!sums)
		return -ENOMEM;
	count_lines(g, sums);
	for (size_t i = 0; i < p->nlines; i++) {
		sums[i].node = g->line_nodes[i];
		sums[i].file = p->functions[p->lines[i].function].filename;
		sums[i].line = p->lines[i].line;
	}
	qsort(sums, p->nlines, sizeof *sums, by_line);
	for (size_t i = 0; r == 0 && i < p->nlines;) {
		struct line_sum sum = sums[i];

		for (i++; i < p->nlines && by_line(&sum, &sums[i]) == 0; i++) {
			sum.flat = plus(sum.flat, sums[i].flat);
			sum.cum = plus(sum.cum, sums[i].cum);
		}
		if (rows[sum.node] != PPROF_NONE)
			r = row_line(f, rows[sum.node], p->strings[sum.file], sum.line,
				     line_weight(&sum));
	}
	free(sums);
	return r;
}

static int add_graph(struct pprof_functions *f, const struct graph *g, uint32_t *rows)
{
	int r = 0;

	f->total = plus(f->total, g->total);
	for (size_t i = 0; r == 0 && i < g->nnodes; i++) {
		const struct node *n = &g->nodes[i];

		rows[i] = PPROF_NONE;
		if (n->flat == 0 && n->cum == 0)
			continue;
		r = row_of(f, n->name, &rows[i]);
		if (r < 0)
			break;
		f->rows[rows[i]].flat = plus(f->rows[rows[i]].flat, n->flat);
		f->rows[rows[i]].cum = plus(f->rows[rows[i]].cum, n->cum);
	}
	for (size_t i = 0; r == 0 && i < g->nedges; i++) {
		const struct edge *e = &g->edges[i];

		if (rows[e->from] != PPROF_NONE && rows[e->to] != PPROF_NONE)
			r = call_add(f, rows[e->from], rows[e->to], e->weight);
	}
	return r < 0 ? r : choose_lines(f, g, rows);
}

static int fill(struct pprof_functions *f, const struct pprof_profile *p, const char *sample_type)
{
	struct graph g;
	uint32_t *rows = NULL;
	int r = pp_graph_init(&g, p, sample_type);

	if (r < 0)
		return r;
	r = pp_graph_count(&g);
	if (r == 0) {
		rows = malloc((g.nnodes + 1) * sizeof *rows);
		r = rows ? add_graph(f, &g, rows) : -ENOMEM;
	}
	free(rows);
	pp_graph_fini(&g);
	return r;
}

int pprof_functions_new(const struct pprof_profile *p, const char *sample_type,
			struct pprof_functions **ret_functions)
{
	struct pprof_functions *f = calloc(1, sizeof *f);
	int r = 0;

	if (!f)
		return -ENOMEM;
	f->index = calloc(1, sizeof *f->index);
	if (!f->index)
		r = -ENOMEM;
	else if (p)
		r = fill(f, p, sample_type);
	if (r < 0)
		pprof_functions_free(f);
	else
		*ret_functions = f;
	return r;
}

void pprof_functions_free(struct pprof_functions *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->nrows; i++) {
		free((char *)f->rows[i].name);
		free((char *)f->rows[i].file);
	}
	free(f->rows);
	free(f->calls);
	if (f->index) {
		pp_table_fini(&f->index->rows);
		pp_table_fini(&f->index->calls);
		free(f->index->best);
		free(f->index);
	}
	free(f);
}

int pprof_functions_add(struct pprof_functions *f, const struct pprof_functions *other)
{
	uint32_t *rows = malloc((other->nrows + 1) * sizeof *rows);
	int r = 0;

	if (!rows)
		return -ENOMEM;
	f->total = plus(f->total, other->total);
	for (size_t i = 0; r == 0 && i < other->nrows; i++) {
		const struct pprof_function_row *from = &other->rows[i];

		r = row_of(f, from->name, &rows[i]);
		if (r < 0)
			break;
		f->rows[rows[i]].flat = plus(f->rows[rows[i]].flat, from->flat);
		f->rows[rows[i]].cum = plus(f->rows[rows[i]].cum, from->cum);
		r = row_line(f, rows[i], from->file, from->line, other->index->best[i]);
	}
	for (size_t i = 0; r == 0 && i < other->ncalls; i++) {
		const struct pprof_call *c = &other->calls[i];

		r = call_add(f, rows[c->from], rows[c->to], c->value);
	}
	free(rows);
	return r;
}

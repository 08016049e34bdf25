/* SPDX-License-Identifier: Apache-2.0 */
#include "report_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pattern.h"

static const char *value(struct report *r, int64_t v)
{
	return pp_report_value(r, v);
}

static const char *percent(struct report *r, int64_t v)
{
	return pp_units_percent(r->share, v, r->g.total);
}

/* --- which nodes ----------------------------------------------------------------- */

static int by_value(int64_t a, int64_t b)
{
	return magnitude(a) > magnitude(b) ? -1 : magnitude(a) < magnitude(b);
}

static int node_order(const void *va, const void *vb, void *ctx)
{
	const struct report *r = ctx;
	const struct node *a = &r->g.nodes[*(const uint32_t *)va];
	const struct node *b = &r->g.nodes[*(const uint32_t *)vb];
	int c = r->o->cum ? by_value(a->cum, b->cum) : by_value(a->flat, b->flat);

	if (c == 0)
		c = strcmp(a->name, b->name);
	if (c == 0)
		c = r->o->cum ? by_value(a->flat, b->flat) : by_value(a->cum, b->cum);
	return c;
}

/* The nodes in use, best first. */
static void list_nodes(struct report *r)
{
	r->shown = 0;
	for (size_t i = 0; i < r->g.nnodes; i++) {
		struct node *n = &r->g.nodes[i];

		n->kept = n->kept && (n->cum != 0 || n->flat != 0);
		if (n->kept)
			r->order[r->shown++] = i;
	}
	qsort_r(r->order, r->shown, sizeof *r->order, node_order, r);
}

/* A share of the graph's sum, which is less than the total of a filtered profile. */
static int64_t share_of(int64_t total, double fraction)
{
	return (int64_t)magnitude((int64_t)trunc((double)total * fraction));
}

static int64_t flat_sum(const struct report *r)
{
	int64_t flat = 0;

	for (size_t i = 0; i < r->shown; i++)
		flat = (int64_t)((uint64_t)flat + (uint64_t)r->g.nodes[r->order[i]].flat);
	return flat;
}

static void drop_edges(struct report *r, uint64_t cutoff)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->g.nedges; i++)
		if (magnitude(r->g.edges[i].weight) >= cutoff)
			r->g.edges[kept++] = r->g.edges[i];
	r->g.nedges = kept;
}

/* Drops the small nodes; calls through them become calls between the remaining ones. */
static int drop_small(struct report *r, uint64_t cutoff)
{
	for (size_t i = 0; i < r->g.nnodes; i++) {
		struct node *n = &r->g.nodes[i];

		if (n->kept && magnitude(n->cum) < cutoff) {
			n->kept = false;
			r->dropped++;
		}
	}
	return r->dropped > 0 ? pp_graph_count(&r->g) : 0;
}

static int drop_least(struct report *r)
{
	for (size_t i = r->nodes; i < r->shown; i++)
		r->g.nodes[r->order[i]].kept = false;
	return pp_graph_count(&r->g);
}

static int choose_nodes(struct report *r)
{
	int64_t cutoff, all;
	int e = pp_graph_count(&r->g);

	if (e < 0)
		return e;
	r->order = malloc((r->g.nnodes + 1) * sizeof *r->order);
	if (!r->order)
		return -ENOMEM;
	list_nodes(r);
	all = flat_sum(r);
	cutoff = share_of(all, r->node_fraction);
	if (cutoff > 0) {
		e = drop_small(r, cutoff);
		if (e < 0)
			return e;
		list_nodes(r);
	}
	r->candidates = r->shown;
	if (r->nodes > 0 && r->nodes < r->shown) {
		e = drop_least(r);
		if (e < 0)
			return e;
		list_nodes(r);
	}
	drop_edges(r, share_of(all, r->edge_fraction));
	return 0;
}

static void choose_scale(struct report *r)
{
	int64_t least = 0;

	if (r->o->unit || r->shown == 0)
		return;
	for (size_t i = 0; i < r->shown; i++) {
		const struct node *n = &r->g.nodes[r->order[i]];
		int64_t v = n->flat ? n->flat : n->cum;

		if (v && (!least || magnitude(v) < magnitude(least)))
			least = v;
	}
	r->scale = pp_units_common(least ? least : r->g.total, r->g.total, r->value_unit);
	r->each = false;
}

static int report_init(struct report *r, const struct pprof_profile *p,
		       const struct pprof_report_options *o, bool whole, FILE *to)
{
	int e = pp_report_init(r, p, o, to);

	if (e < 0)
		return e;
	if (!whole) {
		r->node_fraction = r->o->node_fraction;
		r->edge_fraction = r->o->edge_fraction;
		r->nodes = r->o->nodes;
	}
	e = choose_nodes(r);
	if (e < 0) {
		pp_report_fini(r);
		return e;
	}
	choose_scale(r);
	return 0;
}

/* --- the lines above ------------------------------------------------------------- */

static void print_coverage(struct report *r)
{
	int64_t flat = flat_sum(r);

	percent(r, flat);
	fprintf(r->to, "Showing nodes accounting for %s, ", value(r, flat));
	fprintf(r->to, "%s of %s total\n", r->share + strspn(r->share, " "), value(r, r->g.total));
	if (r->g.total && r->dropped > 0)
		fprintf(r->to, "Dropped %zu node%s (cum <= %s)\n", r->dropped,
			r->dropped == 1 ? "" : "s",
			value(r, share_of(r->g.total, r->node_fraction)));
	if (r->g.total && r->shown > 0 && r->shown < r->candidates)
		fprintf(r->to, "Showing top %zu nodes out of %zu\n", r->shown, r->candidates);
}

static void print_header(struct report *r)
{
	pp_report_about(r);
	pp_report_filters(r);
	print_coverage(r);
}

/* --- top ------------------------------------------------------------------------- */

/* How the shown callers reach each node: bit 0 inlined, bit 1 by a call. */
static uint8_t *find_inlined(const struct graph *g)
{
	uint8_t *how = calloc(g->nnodes + 1, 1);

	for (size_t i = 0; how && i < g->nedges; i++)
		how[g->edges[i].to] |= g->edges[i].inlined ? 1 : 2;
	return how;
}

static void print_figures(struct report *r, const struct node *n, int64_t sum)
{
	fprintf(r->to, "%10s %s ", value(r, n->flat), percent(r, n->flat));
	fprintf(r->to, "%s ", percent(r, sum));
	fprintf(r->to, "%10s %s", value(r, n->cum), percent(r, n->cum));
}

int pprof_report_top(const struct pprof_profile *p, const struct pprof_report_options *options,
		     FILE *to)
{
	static const char *const marks[] = {"", " (inline)", "", " (partial-inline)"};
	struct report r;
	uint8_t *how;
	int64_t sum = 0;
	int e = report_init(&r, p, options, false, to);

	if (e < 0)
		return e;
	how = find_inlined(&r.g);
	if (!how) {
		pp_report_fini(&r);
		return -ENOMEM;
	}
	print_header(&r);
	fputs("      flat  flat%   sum%        cum   cum%\n", to);
	for (size_t i = 0; i < r.shown; i++) {
		const struct node *n = &r.g.nodes[r.order[i]];

		sum = (int64_t)((uint64_t)sum + (uint64_t)n->flat);
		print_figures(&r, n, sum);
		fprintf(to, "  %s%s\n", n->name, marks[how[r.order[i]]]);
	}
	free(how);
	return pp_report_fini(&r);
}

/* --- tree ------------------------------------------------------------------------ */

/* Edges grouped by one of their ends, the heaviest of each first. */
struct side {
	const struct report *r;
	bool callers;
	uint32_t *edges;
	size_t *first; /* of each node; one more at the end */
};

static int edge_order(const void *va, const void *vb, void *ctx)
{
	const struct side *s = ctx;
	const struct graph *g = &s->r->g;
	const struct edge *a = &g->edges[*(const uint32_t *)va];
	const struct edge *b = &g->edges[*(const uint32_t *)vb];
	uint32_t na = s->callers ? a->to : a->from, nb = s->callers ? b->to : b->from;
	int c;

	if (na != nb)
		return na < nb ? -1 : 1;
	c = by_value(a->weight, b->weight);
	if (c == 0)
		c = strcmp(g->nodes[a->from].name, g->nodes[b->from].name);
	return c ? c : strcmp(g->nodes[a->to].name, g->nodes[b->to].name);
}

static int side_init(struct side *s, const struct report *r, bool callers)
{
	const struct graph *g = &r->g;

	*s = (struct side){.r = r, .callers = callers};
	s->edges = malloc((g->nedges + 1) * sizeof *s->edges);
	s->first = calloc(g->nnodes + 2, sizeof *s->first);
	if (!s->edges || !s->first)
		return -ENOMEM;
	for (size_t i = 0; i < g->nedges; i++) {
		s->edges[i] = i;
		s->first[(callers ? g->edges[i].to : g->edges[i].from) + 1]++;
	}
	for (size_t i = 0; i < g->nnodes; i++)
		s->first[i + 1] += s->first[i];
	qsort_r(s->edges, g->nedges, sizeof *s->edges, edge_order, s);
	return 0;
}

static void side_fini(struct side *s)
{
	free(s->edges);
	free(s->first);
}

static void print_side(struct report *r, const struct side *s, uint32_t node)
{
	for (size_t i = s->first[node]; i < s->first[node + 1]; i++) {
		const struct edge *e = &r->g.edges[s->edges[i]];
		const struct node *other = &r->g.nodes[s->callers ? e->from : e->to];

		pp_units_percent(r->share, e->weight, r->g.nodes[node].cum);
		fprintf(r->to, "%50s %s |   %s%s\n", value(r, e->weight), r->share, other->name,
			e->inlined ? " (inline)" : "");
	}
}

static const char rule[] =
	"----------------------------------------------------------+-------------\n";

/* The shown functions that the expression matches, as a byte for each node; NULL: all. */
static int find_peeked(const struct report *r, uint8_t **ret_peeked)
{
	struct regex *re;
	size_t found = 0;
	uint8_t *peeked;
	int e = pp_regex_new(&re, r->o->peek ? r->o->peek : "", NULL);

	if (e < 0)
		return e;
	peeked = calloc(r->g.nnodes + 1, 1);
	if (!peeked)
		e = -ENOMEM;
	for (size_t i = 0; e >= 0 && i < r->shown; i++) {
		const char *name = r->g.nodes[r->order[i]].name;

		e = pp_regex_match(re, name, strlen(name));
		if (e >= 0)
			found += peeked[r->order[i]] = e;
	}
	pp_regex_free(re);
	if (e < 0 || found == 0) {
		free(peeked);
		return e < 0 ? e : -ENODATA;
	}
	*ret_peeked = peeked;
	return 0;
}

static void print_tree(struct report *r, const struct side *callers, const struct side *callees,
		       const uint8_t *peeked)
{
	int64_t sum = 0;

	print_header(r);
	fputs(rule, r->to);
	fputs("      flat  flat%   sum%        cum   cum%   calls calls% + context\n", r->to);
	for (size_t i = 0; i < r->shown; i++) {
		const struct node *n = &r->g.nodes[r->order[i]];

		if (peeked && !peeked[r->order[i]])
			continue;
		fputs(rule, r->to);
		print_side(r, callers, r->order[i]);
		sum = (int64_t)((uint64_t)sum + (uint64_t)n->flat);
		print_figures(r, n, sum);
		fprintf(r->to, "                | %s\n", n->name);
		print_side(r, callees, r->order[i]);
	}
	if (r->shown > 0)
		fputs(rule, r->to);
}

static int report_tree(const struct pprof_profile *p, const struct pprof_report_options *options,
		       bool peek, FILE *to)
{
	struct side callers = {0}, callees = {0};
	uint8_t *peeked = NULL;
	struct report r;
	int e = report_init(&r, p, options, peek, to), closed;

	if (e < 0)
		return e;
	if (peek)
		e = find_peeked(&r, &peeked);
	if (e == 0)
		e = side_init(&callers, &r, true);
	if (e == 0)
		e = side_init(&callees, &r, false);
	if (e == 0)
		print_tree(&r, &callers, &callees, peeked);
	side_fini(&callers);
	side_fini(&callees);
	free(peeked);
	closed = pp_report_fini(&r);
	return e < 0 ? e : closed;
}

int pprof_report_tree(const struct pprof_profile *p, const struct pprof_report_options *options,
		      FILE *to)
{
	return report_tree(p, options, false, to);
}

int pprof_report_peek(const struct pprof_profile *p, const struct pprof_report_options *options,
		      FILE *to)
{
	return report_tree(p, options, true, to);
}

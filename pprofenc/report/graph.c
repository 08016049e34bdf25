/* SPDX-License-Identifier: Apache-2.0 */
#include "graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "printable.h"
#include "table.h"

/* --- nodes ----------------------------------------------------------------------- */

struct naming { /* string -> node, while the nodes are made */
	struct graph *g;
	uint32_t *by_name, *by_object;
	size_t cap;
};

static int name_node(struct naming *n, uint32_t *known, uint32_t string, bool object,
		     uint32_t *ret_node)
{
	struct graph *g = n->g;
	char *name;
	int r;

	if (known[string] != PPROF_NONE) {
		*ret_node = known[string];
		return 0;
	}
	r = pp_array_reserve(&g->nodes, &n->cap, g->nnodes + 1, sizeof *g->nodes);
	if (r < 0)
		return r;
	name = object ? pp_object_name(g->p->strings[string]) : strdup(g->p->strings[string]);
	if (!name)
		return -ENOMEM;
	pp_make_printable(name);
	g->nodes[g->nnodes] = (struct node){.name = name, .kept = true};
	known[string] = *ret_node = g->nnodes++;
	return 0;
}

static int name_object(struct naming *n, const struct pprof_location *l, uint32_t *ret_node)
{
	uint32_t file = l->mapping == PPROF_NONE ? 0 : n->g->p->mappings[l->mapping].filename;

	return name_node(n, n->by_object, file, true, ret_node);
}

static int name_location(struct naming *n, size_t index)
{
	const struct pprof_profile *p = n->g->p;
	const struct pprof_location *l = &p->locations[index];
	int r = 0;

	if (l->nlines == 0)
		return name_object(n, l, &n->g->location_nodes[index]);
	for (uint32_t i = l->first_line; r == 0 && i < l->first_line + l->nlines; i++) {
		uint32_t name = p->functions[p->lines[i].function].name;

		r = name ? name_node(n, n->by_name, name, false, &n->g->line_nodes[i])
			 : name_object(n, l, &n->g->line_nodes[i]);
	}
	return r;
}

static int name_all(struct graph *g)
{
	struct naming n = {.g = g};
	size_t size = g->p->nstrings * sizeof *n.by_name;
	int r = 0;

	n.by_name = malloc(size);
	n.by_object = malloc(size);
	if (!n.by_name || !n.by_object) {
		r = -ENOMEM;
	} else {
		memset(n.by_name, 0xff, size);
		memset(n.by_object, 0xff, size);
	}
	for (size_t i = 0; r == 0 && i < g->p->nlocations; i++)
		r = name_location(&n, i);
	free(n.by_name);
	free(n.by_object);
	return r;
}

int pp_graph_init(struct graph *g, const struct pprof_profile *p, const char *sample_type)
{
	int r;

	*g = (struct graph){.p = p};
	r = pprof_find_sample_type(p, sample_type, &g->type);
	if (r < 0)
		return r;
	g->total = pprof_total(p, g->type);
	g->line_nodes = malloc((p->nlines + 1) * sizeof *g->line_nodes);
	g->location_nodes = malloc((p->nlocations + 1) * sizeof *g->location_nodes);
	r = g->line_nodes && g->location_nodes ? name_all(g) : -ENOMEM;
	if (r < 0)
		pp_graph_fini(g);
	return r;
}

void pp_graph_fini(struct graph *g)
{
	for (size_t i = 0; i < g->nnodes; i++)
		free(g->nodes[i].name);
	free(g->nodes);
	free(g->edges);
	free(g->line_nodes);
	free(g->location_nodes);
	*g = (struct graph){0};
}

size_t pp_graph_location(const struct graph *g, uint32_t location, const uint32_t **ret_nodes)
{
	const struct pprof_location *l = &g->p->locations[location];

	*ret_nodes = l->nlines ? g->line_nodes + l->first_line : g->location_nodes + location;
	return l->nlines ? l->nlines : 1;
}

/* --- values and edges ------------------------------------------------------------ */

struct counting {
	struct graph *g;
	struct table table;
	uint32_t *node_seen, *edge_seen; /* number of the last sample that was counted, from 1 */
	size_t cap_seen;
};

struct edge_key {
	const struct edge *edges;
	uint32_t from, to;
};

static bool same_edge(const void *ctx, uint32_t index)
{
	const struct edge_key *k = ctx;

	return k->edges[index].from == k->from && k->edges[index].to == k->to;
}

static int64_t plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int edge_find(struct counting *c, uint32_t from, uint32_t to, uint32_t *ret_edge)
{
	struct graph *g = c->g;
	struct edge_key key = {g->edges, from, to};
	uint32_t hash = XXH3_64bits((uint32_t[]){from, to}, 2 * sizeof from);
	uint32_t found = pp_table_find(&c->table, hash, same_edge, &key);
	int r;

	if (found != PPROF_NONE) {
		*ret_edge = found;
		return 0;
	}
	r = pp_array_reserve(&g->edges, &g->cap_edges, g->nedges + 1, sizeof *g->edges);
	if (r == 0)
		r = pp_array_reserve(&c->edge_seen, &c->cap_seen, g->nedges + 1,
				     sizeof *c->edge_seen);
	if (r == 0)
		r = pp_table_reserve(&c->table);
	if (r < 0)
		return r;
	pp_table_put(&c->table, hash, g->nedges);
	c->edge_seen[g->nedges] = 0;
	g->edges[g->nedges] = (struct edge){from, to, 0, true};
	*ret_edge = g->nedges++;
	return 0;
}

static int count_call(struct counting *c, uint32_t sample, int64_t value, uint32_t from,
		      uint32_t to, bool inlined)
{
	uint32_t e;
	int r = edge_find(c, from, to, &e);

	if (r < 0 || c->edge_seen[e] == sample)
		return r;
	c->edge_seen[e] = sample;
	c->g->edges[e].weight = plus(c->g->edges[e].weight, value);
	c->g->edges[e].inlined &= inlined;
	return 0;
}

static int count_sample(struct counting *c, size_t index)
{
	struct graph *g = c->g;
	const uint32_t *stack = pprof_sample_stack(g->p, index), *nodes;
	int64_t value = pprof_sample_values(g->p, index)[g->type];
	uint32_t sample = index + 1, parent = PPROF_NONE;
	bool gap = false;
	int r = 0;

	if (value == 0)
		return 0;
	for (size_t i = g->p->samples[index].nlocations; i-- > 0;) {
		size_t n = pp_graph_location(g, stack[i], &nodes);

		for (size_t j = n; j-- > 0;) {
			struct node *node = &g->nodes[nodes[j]];

			gap = !node->kept;
			if (gap)
				continue;
			if (c->node_seen[nodes[j]] != sample)
				node->cum = plus(node->cum, value);
			c->node_seen[nodes[j]] = sample;
			if (parent != PPROF_NONE && parent != nodes[j])
				r = count_call(c, sample, value, parent, nodes[j], j + 1 < n);
			if (r < 0)
				return r;
			parent = nodes[j];
		}
	}
	if (parent != PPROF_NONE && !gap)
		g->nodes[parent].flat = plus(g->nodes[parent].flat, value);
	return 0;
}

int pp_graph_count(struct graph *g)
{
	struct counting c = {.g = g};
	int r = 0;

	g->nedges = 0;
	for (size_t i = 0; i < g->nnodes; i++)
		g->nodes[i].flat = g->nodes[i].cum = 0;
	c.node_seen = calloc(g->nnodes + 1, sizeof *c.node_seen);
	if (!c.node_seen)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < g->p->nsamples; i++)
		r = count_sample(&c, i);
	free(c.node_seen);
	free(c.edge_seen);
	pp_table_fini(&c.table);
	return r;
}

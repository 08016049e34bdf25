/* SPDX-License-Identifier: Apache-2.0 */
#include "calltree.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "table.h"

struct planting { /* while the tree grows */
	struct calltree *t;
	struct table funcs, nodes;
	size_t cap_funcs, cap_nodes, cap_self;
	uint32_t *func_of[2]; /* of each node of the graphs */
};

/* --- functions ------------------------------------------------------------------- */

struct func_key {
	const struct calltree *t;
	const char *name;
};

static bool same_func(const void *ctx, uint32_t index)
{
	const struct func_key *k = ctx;

	return strcmp(k->t->funcs[index].name, k->name) == 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The first place with the name determines the file and line. */
static int find_func(struct planting *pl, const char *name, const struct pprof_function *f,
		     const struct graph *g, uint32_t mapping, uint32_t *ret_func)
{
	struct calltree *t = pl->t;
	struct func_key key = {t, name};
	uint32_t hash = (uint32_t)XXH3_64bits(name, strlen(name));
	struct tree_func *new;
	int r;

	*ret_func = pp_table_find(&pl->funcs, hash, same_func, &key);
	if (*ret_func != PPROF_NONE)
		return 0;
	r = pp_array_reserve(&t->funcs, &pl->cap_funcs, t->nfuncs + 1, sizeof *t->funcs);
	if (r == 0)
		r = pp_table_reserve(&pl->funcs);
	if (r < 0)
		return r;
	pp_table_put(&pl->funcs, hash, t->nfuncs);
	new = &t->funcs[t->nfuncs];
	*new = (struct tree_func){.name = name, .file = "", .object = ""};
	if (f) {
		new->file = g->p->strings[f->filename];
		new->line = f->start_line;
	}
	if (mapping != PPROF_NONE)
		new->object = base_name(g->p->strings[g->p->mappings[mapping].filename]);
	new->kind = pp_frame_kind(name, new->file, new->object, t->granularity);
	*ret_func = t->nfuncs++;
	return 0;
}

static int name_location(struct planting *pl, int which, size_t location)
{
	const struct graph *g = &pl->t->graphs[which];
	const struct pprof_location *l = &g->p->locations[location];
	const struct pprof_line *lines = pprof_location_lines(g->p, location);
	const uint32_t *nodes;
	size_t n = pp_graph_location(g, location, &nodes);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct pprof_function *f = l->nlines ? &g->p->functions[lines[i].function]
							   : NULL;

		if (pl->func_of[which][nodes[i]] == PPROF_NONE)
			r = find_func(pl, g->nodes[nodes[i]].name, f, g, l->mapping,
				      &pl->func_of[which][nodes[i]]);
	}
	return r;
}

static int name_all(struct planting *pl, int which)
{
	const struct graph *g = &pl->t->graphs[which];
	size_t size = (g->nnodes + 1) * sizeof **pl->func_of;
	int r = 0;

	pl->func_of[which] = malloc(size);
	if (!pl->func_of[which])
		return -ENOMEM;
	memset(pl->func_of[which], 0xff, size);
	for (size_t i = 0; r == 0 && i < g->p->nlocations; i++)
		r = name_location(pl, which, i);
	return r;
}

/* --- nodes ----------------------------------------------------------------------- */

struct node_key {
	const struct tree_node *nodes;
	uint32_t parent, func;
};

static bool same_node(const void *ctx, uint32_t index)
{
	const struct node_key *k = ctx;

	return k->nodes[index].parent == k->parent && k->nodes[index].func == k->func;
}

static int find_node(struct planting *pl, uint32_t parent, uint32_t func, uint32_t *ret_node)
{
	struct calltree *t = pl->t;
	struct node_key key = {t->nodes, parent, func};
	uint32_t hash = (uint32_t)XXH3_64bits((uint32_t[]){parent, func}, 2 * sizeof func);
	int r;

	*ret_node = pp_table_find(&pl->nodes, hash, same_node, &key);
	if (*ret_node != PPROF_NONE)
		return 0;
	r = pp_array_reserve(&t->nodes, &pl->cap_nodes, t->nnodes + 1, sizeof *t->nodes);
	if (r == 0)
		r = pp_array_reserve(&t->self, &pl->cap_self, (t->nnodes + 1) * t->nvalues,
				     sizeof *t->self);
	if (r == 0)
		r = pp_table_reserve(&pl->nodes);
	if (r < 0)
		return r;
	pp_table_put(&pl->nodes, hash, t->nnodes);
	memset(t->self + t->nnodes * t->nvalues, 0, t->nvalues * sizeof *t->self);
	t->nodes[t->nnodes] = (struct tree_node){.parent = parent, .func = func};
	*ret_node = t->nnodes++;
	return 0;
}

static bool is_zero(const struct pprof_profile *p, size_t sample)
{
	const int64_t *v = pprof_sample_values(p, sample);

	for (size_t i = 0; i < p->nsample_types; i++)
		if (v[i])
			return false;
	return true;
}

/* types: the profile's type for each of the tree's. */
static int add_sample(struct planting *pl, int which, size_t sample, const size_t *types)
{
	struct calltree *t = pl->t;
	const struct graph *g = &t->graphs[which];
	const uint32_t *stack = pprof_sample_stack(g->p, sample), *nodes;
	const int64_t *values = pprof_sample_values(g->p, sample);
	uint32_t at = 0;
	int64_t *self;
	int r = 0;

	for (size_t i = g->p->samples[sample].nlocations; i-- > 0;)
		for (size_t j = pp_graph_location(g, stack[i], &nodes); r == 0 && j-- > 0;)
			r = find_node(pl, at, pl->func_of[which][nodes[j]], &at);
	if (r < 0)
		return r;
	self = t->self + at * t->nvalues + (which ? t->ntypes : 0);
	for (size_t i = 0; i < t->ntypes; i++)
		if (types[i] != SIZE_MAX)
			self[i] = (int64_t)((uint64_t)self[i] + (uint64_t)values[types[i]]);
	return 0;
}

static int add_samples(struct planting *pl, int which)
{
	struct calltree *t = pl->t;
	const struct pprof_profile *p = t->graphs[which].p;
	size_t *types = calloc(t->ntypes, sizeof *types);
	int r = 0;

	if (!types)
		return -ENOMEM;
	for (size_t i = 0; i < t->ntypes; i++) {
		const char *name = t->p->strings[t->p->sample_types[i].type];

		types[i] = i;
		if (which && pprof_find_sample_type(p, name, &types[i]) < 0)
			types[i] = SIZE_MAX;
	}
	for (size_t i = 0; r == 0 && i < p->nsamples; i++)
		if (!is_zero(p, i))
			r = add_sample(pl, which, i, types);
	free(types);
	return r;
}

/* --- the order ------------------------------------------------------------------- */

static int func_order(const void *va, const void *vb, void *ctx)
{
	const struct calltree *t = ctx;

	return strcmp(t->funcs[*(const uint32_t *)va].name, t->funcs[*(const uint32_t *)vb].name);
}

/* By name; the nodes follow. */
static int sort_funcs(struct calltree *t)
{
	uint32_t *order = malloc((t->nfuncs + 1) * sizeof *order);
	uint32_t *rank = malloc((t->nfuncs + 1) * sizeof *rank);
	struct tree_func *sorted = malloc((t->nfuncs + 1) * sizeof *sorted);
	int r = order && rank && sorted ? 0 : -ENOMEM;

	if (r == 0) {
		for (size_t i = 0; i < t->nfuncs; i++)
			order[i] = i;
		qsort_r(order, t->nfuncs, sizeof *order, func_order, t);
		for (size_t i = 0; i < t->nfuncs; i++) {
			rank[order[i]] = i;
			sorted[i] = t->funcs[order[i]];
		}
		for (size_t i = 1; i < t->nnodes; i++)
			t->nodes[i].func = rank[t->nodes[i].func];
		free(t->funcs);
		t->funcs = sorted;
		sorted = NULL;
	}
	free(order);
	free(rank);
	free(sorted);
	return r;
}

struct links { /* lists of nodes; 0, the root, ends one */
	uint32_t *of_func, *next_of_func, *child, *sibling;
};

/* The callees of each node, by function. */
static void link_children(const struct calltree *t, struct links *l)
{
	for (size_t i = 1; i < t->nnodes; i++) {
		l->next_of_func[i] = l->of_func[t->nodes[i].func];
		l->of_func[t->nodes[i].func] = i;
	}
	for (size_t f = t->nfuncs; f-- > 0;) {
		for (uint32_t n = l->of_func[f]; n; n = l->next_of_func[n]) {
			l->sibling[n] = l->child[t->nodes[n].parent];
			l->child[t->nodes[n].parent] = n;
		}
	}
}

/* Copies the tree in the order of a walk. place[] has the new index of each old node. */
static void walk(const struct calltree *t, const struct links *l, uint32_t *place,
		 struct tree_node *nodes, int64_t *self)
{
	uint32_t old = 0, n = 0, depth = 0;

	for (;;) {
		place[old] = n;
		nodes[n] = t->nodes[old];
		nodes[n].parent = place[t->nodes[old].parent];
		nodes[n].depth = depth;
		memcpy(self + n * t->nvalues, t->self + old * t->nvalues,
		       t->nvalues * sizeof *self);
		n++;
		if (l->child[old]) {
			old = l->child[old];
			depth++;
			continue;
		}
		while (old && !l->sibling[old]) {
			nodes[place[old]].end = n;
			old = t->nodes[old].parent;
			depth--;
		}
		nodes[place[old]].end = n;
		if (!old)
			return;
		old = l->sibling[old];
	}
}

static int sort_nodes(struct calltree *t)
{
	struct links l = {
		.of_func = calloc(t->nfuncs + 1, sizeof *l.of_func),
		.next_of_func = calloc(t->nnodes, sizeof *l.next_of_func),
		.child = calloc(t->nnodes, sizeof *l.child),
		.sibling = calloc(t->nnodes, sizeof *l.sibling),
	};
	uint32_t *place = calloc(t->nnodes, sizeof *place);
	struct tree_node *nodes = calloc(t->nnodes, sizeof *nodes);
	int64_t *self = calloc(t->nnodes * t->nvalues, sizeof *self);
	int r = -ENOMEM;

	if (l.of_func && l.next_of_func && l.child && l.sibling && place && nodes && self) {
		link_children(t, &l);
		walk(t, &l, place, nodes, self);
		free(t->nodes);
		free(t->self);
		t->nodes = nodes;
		t->self = self;
		nodes = NULL;
		self = NULL;
		r = 0;
	}
	free(l.of_func);
	free(l.next_of_func);
	free(l.child);
	free(l.sibling);
	free(place);
	free(nodes);
	free(self);
	return r;
}

/* --- pruning --------------------------------------------------------------------- */

struct pruning {
	struct calltree *t;
	double *weight;  /* of each node with all below it: the largest of its shares of a total */
	uint32_t *order; /* the heaviest first */
	bool *keep;
	uint32_t *host; /* the nearest node above, or the node itself, that is kept */
	bool *short_of; /* something below it is not kept */
	int64_t *rest;  /* what that is */
};

/* Magnitudes, so no node is heavier than the one above it. */
static void weigh(struct pruning *x, size_t column, double *sums)
{
	const struct calltree *t = x->t;

	for (size_t i = 0; i < t->nnodes; i++)
		sums[i] = fabs((double)t->self[i * t->nvalues + column]);
	for (size_t i = t->nnodes; i-- > 1;)
		sums[t->nodes[i].parent] += sums[i];
	for (size_t i = 0; sums[0] > 0 && i < t->nnodes; i++)
		x->weight[i] = fmax(x->weight[i], sums[i] / sums[0]);
}

/* Of equally heavy ones the first, so that a node comes after the one above it. */
static int weight_order(const void *va, const void *vb, void *ctx)
{
	const double *weight = ctx;
	uint32_t a = *(const uint32_t *)va, b = *(const uint32_t *)vb;

	if (weight[a] != weight[b])
		return weight[a] > weight[b] ? -1 : 1;
	return a < b ? -1 : a > b;
}

static int choose_nodes(struct pruning *x, size_t nodes)
{
	const struct calltree *t = x->t;
	double *sums = calloc(t->nnodes, sizeof *sums);

	if (!sums)
		return -ENOMEM;
	for (size_t i = 0; i < t->nvalues; i++)
		weigh(x, i, sums);
	free(sums);
	for (size_t i = 0; i < t->nnodes; i++)
		x->order[i] = i;
	qsort_r(x->order, t->nnodes, sizeof *x->order, weight_order, x->weight);
	for (size_t i = 0; i <= nodes; i++) /* the root, too */
		x->keep[x->order[i]] = true;
	return 0;
}

/* Returns the number of nodes that get a rest below them. */
static size_t collect_rests(struct pruning *x)
{
	const struct calltree *t = x->t;
	size_t n = 0;

	for (size_t i = 1; i < t->nnodes; i++) {
		uint32_t host = x->host[t->nodes[i].parent];

		x->host[i] = x->keep[i] ? i : host;
		if (x->keep[i])
			continue;
		n += !x->short_of[host];
		x->short_of[host] = true;
		for (size_t j = 0; j < t->nvalues; j++) {
			int64_t *to = &x->rest[host * t->nvalues + j];

			*to = (int64_t)((uint64_t)*to + (uint64_t)t->self[i * t->nvalues + j]);
		}
	}
	return n;
}

struct pruned { /* the new tree as it grows */
	struct tree_node *nodes;
	int64_t *self;
	uint32_t *place; /* of each old node */
	size_t n;
};

static void put_node(struct pruned *to, const struct tree_node *node, const int64_t *self,
		     size_t nvalues)
{
	to->nodes[to->n] = *node;
	to->nodes[to->n].end = to->n + 1;
	memcpy(to->self + to->n * nvalues, self, nvalues * sizeof *self);
	to->n++;
}

/* All below an old node is there: its rest comes last. */
static void close_node(const struct pruning *x, struct pruned *to, uint32_t old)
{
	const struct calltree *t = x->t;
	uint32_t new = to->place[old];

	if (x->short_of[old])
		put_node(to,
			 &(struct tree_node){.parent = new,
					     .func = t->nfuncs, /* one more than there were */
					     .depth = t->nodes[old].depth + 1},
			 x->rest + old * t->nvalues, t->nvalues);
	to->nodes[new].end = to->n;
}

static void copy_kept(const struct pruning *x, struct pruned *to)
{
	const struct calltree *t = x->t;
	uint32_t open = 0;

	put_node(to, &t->nodes[0], t->self, t->nvalues);
	for (size_t i = 1; i < t->nnodes; i++) {
		struct tree_node node = t->nodes[i];

		if (!x->keep[i])
			continue;
		for (; i >= t->nodes[open].end; open = t->nodes[open].parent)
			close_node(x, to, open);
		node.parent = to->place[node.parent];
		to->place[i] = to->n;
		put_node(to, &node, t->self + i * t->nvalues, t->nvalues);
		open = i;
	}
	for (; open; open = t->nodes[open].parent)
		close_node(x, to, open);
	close_node(x, to, 0);
}

/* Functions that no node has any more go; that of the rests comes last. */
static int drop_funcs(struct calltree *t)
{
	uint32_t *rank = calloc(t->nfuncs + 1, sizeof *rank);
	struct tree_func *funcs = calloc(t->nfuncs + 1, sizeof *funcs);
	size_t n = 0;

	if (!rank || !funcs) {
		free(rank);
		free(funcs);
		return -ENOMEM;
	}
	for (size_t i = 1; i < t->nnodes; i++)
		rank[t->nodes[i].func] = 1;
	for (size_t f = 0; f <= t->nfuncs; f++) {
		if (!rank[f])
			continue;
		funcs[n] = f < t->nfuncs ? t->funcs[f]
					 : (struct tree_func){.name = "[rest]",
							      .file = "",
							      .object = "",
							      .kind = KIND_OTHER};
		rank[f] = n++;
	}
	for (size_t i = 1; i < t->nnodes; i++)
		t->nodes[i].func = rank[t->nodes[i].func];
	free(rank);
	free(t->funcs);
	t->funcs = funcs;
	t->nfuncs = n;
	return 0;
}

static int replace_nodes(const struct pruning *x, size_t size)
{
	struct calltree *t = x->t;
	struct pruned to = {
		.nodes = calloc(size, sizeof *to.nodes),
		.self = calloc(size * t->nvalues, sizeof *to.self),
		.place = calloc(t->nnodes, sizeof *to.place),
	};
	int r = to.nodes && to.self && to.place ? 0 : -ENOMEM;

	if (r == 0) {
		copy_kept(x, &to);
		free(t->nodes);
		free(t->self);
		t->nodes = to.nodes;
		t->self = to.self;
		t->nnodes = to.n;
		to.nodes = NULL;
		to.self = NULL;
		r = drop_funcs(t);
	}
	free(to.nodes);
	free(to.self);
	free(to.place);
	return r;
}

int pp_calltree_prune(struct calltree *t, size_t nodes)
{
	struct pruning x = {.t = t};
	int r = -ENOMEM;

	if (t->nnodes - 1 <= nodes)
		return 0;
	x.weight = calloc(t->nnodes, sizeof *x.weight);
	x.order = calloc(t->nnodes, sizeof *x.order);
	x.keep = calloc(t->nnodes, sizeof *x.keep);
	x.host = calloc(t->nnodes, sizeof *x.host);
	x.short_of = calloc(t->nnodes, sizeof *x.short_of);
	x.rest = calloc(t->nnodes * t->nvalues, sizeof *x.rest);
	if (x.weight && x.order && x.keep && x.host && x.short_of && x.rest)
		r = choose_nodes(&x, nodes);
	if (r == 0) {
		t->npruned = t->nnodes - 1 - nodes;
		r = replace_nodes(&x, nodes + 1 + collect_rests(&x));
	}
	free(x.weight);
	free(x.order);
	free(x.keep);
	free(x.host);
	free(x.short_of);
	free(x.rest);
	return r;
}

/* --- the whole ------------------------------------------------------------------- */

static int plant(struct planting *pl)
{
	int nprofiles = pl->t->base ? 2 : 1, r;
	uint32_t root;

	r = find_node(pl, PPROF_NONE, PPROF_NONE, &root);
	for (int i = 0; r == 0 && i < nprofiles; i++)
		r = name_all(pl, i);
	for (int i = 0; r == 0 && i < nprofiles; i++)
		r = add_samples(pl, i);
	if (r < 0)
		return r;
	pl->t->nodes[0].parent = 0;
	r = sort_funcs(pl->t);
	return r < 0 ? r : sort_nodes(pl->t);
}

/* An empty base has no values, not even a name for them. */
static int init_graphs(struct calltree *t)
{
	int r = pp_graph_init(&t->graphs[0], t->p, NULL);

	if (r == 0 && t->base)
		r = pp_graph_init(&t->graphs[1], t->base, NULL);
	return r == -ENOENT ? -EINVAL : r;
}

int pp_calltree_init(struct calltree *t, const struct pprof_profile *p,
		     const struct pprof_report_options *o)
{
	struct planting pl = {.t = t};
	int r;

	*t = (struct calltree){.p = p, .base = o->base, .ntypes = p->nsample_types};
	t->granularity = o->filtered ? o->filtered->granularity : PPROF_FUNCTION;
	t->nvalues = o->base ? 2 * t->ntypes : t->ntypes;
	r = t->ntypes ? init_graphs(t) : -EINVAL;
	if (r == 0)
		r = plant(&pl);
	pp_table_fini(&pl.funcs);
	pp_table_fini(&pl.nodes);
	free(pl.func_of[0]);
	free(pl.func_of[1]);
	if (r < 0)
		pp_calltree_fini(t);
	return r;
}

void pp_calltree_fini(struct calltree *t)
{
	for (int i = 0; i < 2; i++)
		pp_graph_fini(&t->graphs[i]);
	free(t->funcs);
	free(t->nodes);
	free(t->self);
	*t = (struct calltree){0};
}

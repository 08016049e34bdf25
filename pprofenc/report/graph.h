/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call graph by function name, the basis of the text reports.
 *
 * A node is a function (identified by its name, inlined or not), or all code of one file without
 * symbols. Rules of pprof: each sample counts once in a node's cum and in an edge, however often it
 * passes; recursion is no edge; the innermost frame's node gets the flat value.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pprof.h"

struct node {
	char *name; /* printable */
	int64_t flat, cum;
	bool kept;
};

struct edge {
	uint32_t from, to; /* nodes */
	int64_t weight;
	bool inlined; /* in every sample */
};

struct graph {
	const struct pprof_profile *p;
	size_t type; /* the sample type */
	int64_t total;
	size_t nnodes;
	struct node *nodes;
	size_t nedges, cap_edges;
	struct edge *edges;
	uint32_t *line_nodes;     /* of each of p's lines */
	uint32_t *location_nodes; /* of locations without lines */
};

/* Nodes without values. -ENOENT: no such sample type; -ENOMEM. */
int pp_graph_init(struct graph *g, const struct pprof_profile *p, const char *sample_type);
void pp_graph_fini(struct graph *g);

/* Computes values and edges anew; nodes that aren't kept are passed over. */
int pp_graph_count(struct graph *g);

/* The nodes of one location, innermost first, as *ret_nodes[0..n). */
size_t pp_graph_location(const struct graph *g, uint32_t location, const uint32_t **ret_nodes);

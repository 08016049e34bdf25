/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who called whom, by function name: what the reports print.
 *
 * A node is a function (told by its name, inlined or not), or all code of one file that has no
 * symbols. Rules of pprof: each sample counts once in a node's cum and in an edge, however often it
 * passes; a call of itself is no edge; the innermost frame's node gets the flat value.
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
	bool inlined; /* each time */
};

struct graph {
	const struct pprof_profile *p;
	size_t type; /* which of the values */
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

/* Makes values and edges anew; nodes that aren't kept are passed over. */
int pp_graph_count(struct graph *g);

/* The nodes of one location, innermost first, as *ret_nodes[0..n). */
size_t pp_graph_location(const struct graph *g, uint32_t location, const uint32_t **ret_nodes);

/* Bytes of the C0 or C1 control character at s, 0 when it is none; the text is UTF-8. */
static inline size_t control_length(const char *s)
{
	unsigned char c = s[0], next = c ? s[1] : 0;

	return (c && c < 0x20) || c == 0x7f ? 1 : c == 0xc2 && next >= 0x80 && next < 0xa0 ? 2 : 0;
}

/* What code without symbols is called by: the file's name in brackets. NULL: out of memory. */
char *pp_object_name(const char *path);

/* Control characters become '?'. */
void pp_make_printable(char *s);

/* |a|, also of INT64_MIN. */
static inline uint64_t magnitude(int64_t a)
{
	return a < 0 ? -(uint64_t)a : (uint64_t)a;
}

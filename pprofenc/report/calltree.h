/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All stacks of a profile as one tree, by function name: the source of the pictures.
 *
 * A second profile may be laid over the first one for a comparison: its values are beside those of
 * the first, node by node; nodes that only one of them has are 0 in the other. The order of the
 * samples makes no difference to the tree.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "frame_kinds.h"
#include "graph.h"
#include "pprof.h"
#include "pprof_report.h"

struct tree_func {
	const char *name;   /* printable */
	const char *file;   /* of the source; "" unknown */
	const char *object; /* file name of the binary; "" unknown */
	int64_t line;       /* of the declaration; 0 unknown */
	enum frame_kind kind;
};

struct tree_node {
	uint32_t parent, func; /* nodes[0] is the root, which has no function */
	uint32_t depth;        /* of the root 0 */
	uint32_t end;          /* one behind the last node below this one */
};

struct calltree {
	const struct pprof_profile *p, *base;
	enum pprof_granularity granularity;
	size_t nfuncs;
	struct tree_func *funcs; /* by name */
	size_t nnodes;
	struct tree_node *nodes; /* parents first, callees by name */
	size_t ntypes;           /* number of p's types */
	int64_t *self;           /* ntypes of each node, then, with a base, ntypes of the base */
	size_t nvalues;          /* of each node: ntypes, or twice that */
	size_t npruned;          /* nodes that went */
	struct graph graphs[2];  /* own the names */
};

/*
 * Uses the base and the filter of the options. The profiles must outlive the tree. -EINVAL: no
 * sample types; -ENOMEM.
 */
int pp_calltree_init(struct calltree *t, const struct pprof_profile *p,
		     const struct pprof_report_options *o);
/*
 * Keeps that many of the nodes, beside the root: those with the largest share of a type's total, of
 * p or of the base. Where callees go, the last callee becomes "[rest]", with their values. -ENOMEM
 * leaves a tree that is only good for pp_calltree_fini.
 */
int pp_calltree_prune(struct calltree *t, size_t nodes);
void pp_calltree_fini(struct calltree *t);

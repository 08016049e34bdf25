/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of one profile in another one: each string, function, mapping and location is copied when
 * it is first asked for, and its index there is kept. All return 0 or what building returns.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "pprof.h"

struct pprof_copier {
	const struct pprof_profile *from;
	struct pprof_profile *to;
	/* Indices in `to`, or PPROF_NONE: not copied yet. A caller may set those of locations. */
	uint32_t *strings, *functions, *mappings, *locations;
	/* The last stack and the last labels. */
	uint32_t *stack;
	struct pprof_label *labels;
	struct pprof_line *lines;
	size_t cap_stack, cap_labels, cap_lines;
};

int pp_copier_init(struct pprof_copier *c, const struct pprof_profile *from,
		   struct pprof_profile *to);
void pp_copier_fini(struct pprof_copier *c);

int pp_copy_string(struct pprof_copier *c, uint32_t string, uint32_t *ret_string);
int pp_copy_function(struct pprof_copier *c, uint32_t function, uint32_t *ret_function);
int pp_copy_mapping(struct pprof_copier *c, uint32_t mapping, uint32_t *ret_mapping);
/* PPROF_NONE is a mapping, too. */
int pp_copy_location(struct pprof_copier *c, uint32_t location, uint32_t *ret_location);
int pp_copy_line(struct pprof_copier *c, const struct pprof_line *from, struct pprof_line *to);
int pp_copy_label(struct pprof_copier *c, const struct pprof_label *from, struct pprof_label *to);

/* All labels of a sample, in c->labels. */
int pp_copy_labels(struct pprof_copier *c, size_t sample);
/* The lines of a location, in c->lines. */
int pp_copy_lines(struct pprof_copier *c, uint32_t location);

/* Sample types, comments, mappings in their order, period, time, expressions: of an empty `to`. */
int pp_copy_header(struct pprof_copier *c);

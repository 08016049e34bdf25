/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical order of a profile's contents, in which it is written: it depends on the contents
 * alone, not on the order in which they were added.
 *
 * Strings sort by bytes, functions by name, mappings by address (but the main binary stays first),
 * locations by mapping and address, samples by stack from the root down, then labels and values.
 * Sorted neighbours resemble each other, which also makes the file smaller.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pprof.h"

struct canon_order {
	size_t n;
	uint32_t *order; /* position -> index in the profile */
	uint32_t *rank;  /* index -> position; NULL for samples */
};

struct canon {
	struct canon_order strings; /* only those in use; rank of others is unspecified */
	struct canon_order mappings, functions, locations, samples;
	struct pprof_label *labels; /* the profile's, sorted in each sample, strings as ranks */
};

/* The profile must not change while c is in use. -ENOMEM. */
int pp_canon_init(struct canon *c, const struct pprof_profile *p);
void pp_canon_fini(struct canon *c);

/* Whether two samples have the same stack and labels; such samples are neighbours in the order. */
bool pp_canon_same(const struct canon *c, const struct pprof_profile *p, uint32_t a, uint32_t b);

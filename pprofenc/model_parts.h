/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private side of a profile, shared by the files of this folder. Private functions of the
 * library begin with pp_, so that the static library doesn't collide with names of the program.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "pprof.h"
#include "table.h"

struct chunk { /* of the strings' memory, so that they never move */
	struct chunk *next;
	size_t used, size;
	char bytes[];
};

struct pprof_builder {
	struct table strings, mappings, functions, locations, samples;
	struct chunk *chunks;
	size_t cap_types, cap_samples, cap_values, cap_stacks, cap_labels, cap_mappings,
		cap_locations, cap_lines, cap_functions, cap_strings, cap_comments;
	/* How many samples are in the table: appended ones are entered when _add first needs it. */
	size_t hashed;
};

/* As pprof_string, for text that isn't terminated. */
int pp_string_add(struct pprof_profile *p, const char *s, size_t len, uint32_t *ret_string);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the builder's arrays: growth, and a hash table from contents to index.
 *
 * The table holds indices only; their contents are in the caller's array and compared by the
 * caller. Open addressing, linear probing, at most three quarters full, nothing is ever removed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_slot {
	uint32_t hash, index; /* index is that of the array plus 1; 0 is a free slot */
};

struct table {
	struct table_slot *slots;
	uint32_t mask, used;
};

void pp_table_fini(struct table *t);

/* Makes room for one more. -ENOMEM, -EOVERFLOW. */
int pp_table_reserve(struct table *t);

/* The index whose contents `same` accepts, or PPROF_NONE. */
uint32_t pp_table_find(const struct table *t, uint32_t hash,
		       bool (*same)(const void *ctx, uint32_t index), const void *ctx);

/* Adds an index that pp_table_find doesn't find; after pp_table_reserve. */
void pp_table_put(struct table *t, uint32_t hash, uint32_t index);

/*
 * Grows *array (of `size`-byte elements) to hold at least n; also for n == 0 it is no longer NULL.
 * Indices must stay below PPROF_NONE. -ENOMEM, -EOVERFLOW.
 */
int pp_array_reserve(void *array, size_t *cap, size_t n, size_t size);

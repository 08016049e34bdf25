/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pprof.h"

void pp_table_fini(struct table *t)
{
	free(t->slots);
	*t = (struct table){0};
}

static int table_grow(struct table *t)
{
	uint32_t n = t->slots ? 2 * (t->mask + 1) : 64;
	struct table bigger = {.mask = n - 1};

	if (n == 0)
		return -EOVERFLOW;
	bigger.slots = calloc(n, sizeof *bigger.slots);
	if (!bigger.slots)
		return -ENOMEM;
	for (uint32_t i = 0; t->slots && i <= t->mask; i++)
		if (t->slots[i].index)
			pp_table_put(&bigger, t->slots[i].hash, t->slots[i].index - 1);
	free(t->slots);
	*t = bigger;
	return 0;
}

int pp_table_reserve(struct table *t)
{
	if (t->slots && t->used < t->mask - t->mask / 4)
		return 0;
	return table_grow(t);
}

uint32_t pp_table_find(const struct table *t, uint32_t hash,
		       bool (*same)(const void *ctx, uint32_t index), const void *ctx)
{
	if (!t->slots)
		return PPROF_NONE;
	for (uint32_t i = hash & t->mask; t->slots[i].index; i = (i + 1) & t->mask)
		if (t->slots[i].hash == hash && same(ctx, t->slots[i].index - 1))
			return t->slots[i].index - 1;
	return PPROF_NONE;
}

void pp_table_put(struct table *t, uint32_t hash, uint32_t index)
{
	uint32_t i = hash & t->mask;

	while (t->slots[i].index)
		i = (i + 1) & t->mask;
	t->slots[i] = (struct table_slot){hash, index + 1};
	t->used++;
}

int pp_array_reserve(void *array, size_t *cap, size_t n, size_t size)
{
	size_t want = *cap ? *cap : 16;
	void *p;

	if (n <= *cap && *cap > 0)
		return 0;
	if (n >= PPROF_NONE)
		return -EOVERFLOW;
	while (want < n)
		want += want / 2;
	memcpy(&p, array, sizeof p);
	p = reallocarray(p, want, size);
	if (!p)
		return -ENOMEM;
	memcpy(array, &p, sizeof p);
	*cap = want;
	return 0;
}

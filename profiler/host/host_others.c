/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of processes that are no targets, by their names: one window. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "host_parts.h"

enum { MOST_NAMES = 1024 }; /* of one window; what comes later is "(rest)" */

static uint64_t hash_of(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ull; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3ull;
	return h ? h : 1;
}

static struct host_other *other_of(struct host_others *o, const char *comm)
{
	uint64_t key = hash_of(comm);
	struct host_other *other;
	uint32_t i;

	if (prowl_idmap_get(&o->by_name, key, &i))
		return &o->list[i];
	if (o->n >= MOST_NAMES ||
	    prowl_array_reserve(&o->list, &o->cap, o->n + 1, sizeof *o->list) < 0 ||
	    prowl_idmap_put(&o->by_name, key, (uint32_t)o->n) < 0)
		return NULL;
	other = &o->list[o->n++];
	other->samples = 0;
	snprintf(other->comm, sizeof other->comm, "%s", comm);
	return other;
}

void host_others_add(struct host_others *o, const char *comm)
{
	struct host_other *other = other_of(o, comm);

	o->samples++;
	if (other)
		other->samples++;
	else
		o->rest++;
}

static int most_first(const void *a, const void *b)
{
	const struct host_other *x = a, *y = b;

	if (x->samples != y->samples)
		return x->samples < y->samples ? 1 : -1;
	return strcmp(x->comm, y->comm);
}

void host_others_sort(struct host_others *o, size_t most)
{
	if (o->n)
		qsort(o->list, o->n, sizeof *o->list, most_first);
	while (o->n > most)
		o->rest += o->list[--o->n].samples;
	if (o->rest == 0)
		return;
	if (prowl_array_reserve(&o->list, &o->cap, o->n + 1, sizeof *o->list) < 0)
		return; /* the sum has them all the same */
	o->list[o->n] = (struct host_other){.comm = "(rest)", .samples = o->rest};
	o->n++;
	o->rest = 0;
}

void host_others_clear(struct host_others *o)
{
	prowl_idmap_fini(&o->by_name);
	o->by_name = (struct prowl_idmap){0};
	o->n = 0;
	o->samples = o->rest = 0;
}

void host_others_fini(struct host_others *o)
{
	host_others_clear(o);
	free(o->list);
	*o = (struct host_others){0};
}

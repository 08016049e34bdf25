/* SPDX-License-Identifier: Apache-2.0 */
#include "timeline.h"

#include <errno.h>
#include <stdlib.h>

int prowl_timeline_init(struct prowl_timeline *t)
{
	/* Pages come with what is written. */
	*t = (struct prowl_timeline){.moments = malloc(PROWL_TIMELINE_MAX * sizeof *t->moments)};
	return t->moments ? 0 : -ENOMEM;
}

void prowl_timeline_fini(struct prowl_timeline *t)
{
	free(t->moments);
	*t = (struct prowl_timeline){0};
}

static int moment_order(const void *va, const void *vb)
{
	const struct prowl_timed *a = va, *b = vb;

	if (a->stack != b->stack)
		return a->stack < b->stack ? -1 : 1;
	return a->time < b->time ? -1 : a->time > b->time;
}

void prowl_timeline_sort(struct prowl_timeline *t)
{
	if (t->n > 1)
		qsort(t->moments, t->n, sizeof *t->moments, moment_order);
}

size_t prowl_timeline_of(const struct prowl_timeline *t, uint64_t stack,
			 const struct prowl_timed **ret_first)
{
	size_t from = 0, to = t->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (t->moments[mid].stack < stack)
			from = mid + 1;
		else
			to = mid;
	}
	*ret_first = t->moments + from;
	while (to < t->n && t->moments[to].stack == stack)
		to++;
	return to - from;
}

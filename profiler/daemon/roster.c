/* SPDX-License-Identifier: Apache-2.0 */
#include "roster.h"

#include <pthread.h>
#include <stdlib.h>

static const int64_t KEPT = 3600000000000; /* ns after the end */

struct roster {
	pthread_mutex_t lock;
	size_t n, most;
	struct roster_entry *entries; /* in no order */
	struct roster_id *ids;        /* theirs, close together: each look reads all of them */
};

struct roster *roster_new(size_t most)
{
	struct roster *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	r->most = most;
	r->entries = calloc(most, sizeof *r->entries);
	r->ids = calloc(most, sizeof *r->ids);
	if (!r->entries || !r->ids) {
		free(r->entries);
		free(r->ids);
		free(r);
		return NULL;
	}
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

static void drop_series(struct roster_entry *e)
{
	prowl_series_free((struct prowl_series *)(uintptr_t)e->series);
	e->series = NULL;
}

void roster_free(struct roster *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		drop_series(&r->entries[i]);
	pthread_mutex_destroy(&r->lock);
	free(r->entries);
	free(r->ids);
	free(r);
}

static void set(struct roster *r, struct roster_entry *to, const struct roster_entry *e)
{
	*to = *e;
	r->ids[to - r->entries] = e->id;
}

static struct roster_entry *find(struct roster *r, struct roster_id id)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->ids[i].pid == id.pid && r->ids[i].start == id.start)
			return &r->entries[i];
	}
	return NULL;
}

/* Whose place a new one takes: that of one that has ended, the longest ago; else the first. */
static struct roster_entry *victim(struct roster *r)
{
	struct roster_entry *best = NULL;

	for (size_t i = 0; i < r->n; i++) {
		struct roster_entry *e = &r->entries[i];

		if (e->gone && (!best || e->gone < best->gone))
			best = e;
	}
	return best ? best : &r->entries[0];
}

void roster_put(struct roster *r, const struct roster_entry *e)
{
	struct roster_figures figures = {
		.goroutines = -1, .threads = -1, .heap_live = -1, .heap_goal = -1, .gc_cpu = -1};
	struct prowl_series *series = NULL;
	struct roster_entry *to;

	if (e->series)
		prowl_series_copy(e->series, &series);
	pthread_mutex_lock(&r->lock);
	to = find(r, e->id);
	if (to)
		figures = to->figures;
	else
		to = r->n < r->most ? &r->entries[r->n++] : victim(r);
	drop_series(to);
	set(r, to, e);
	to->series = series;
	to->figures = figures;
	pthread_mutex_unlock(&r->lock);
}

bool roster_get(struct roster *r, struct roster_id id, struct roster_entry *ret)
{
	const struct roster_entry *e;

	pthread_mutex_lock(&r->lock);
	e = find(r, id);
	if (e) {
		*ret = *e;
		ret->series = NULL;
	}
	pthread_mutex_unlock(&r->lock);
	return e != NULL;
}

void roster_figures(struct roster *r, struct roster_id id, const struct roster_figures *f)
{
	struct roster_entry *e;

	pthread_mutex_lock(&r->lock);
	e = find(r, id);
	if (e)
		e->figures = *f;
	pthread_mutex_unlock(&r->lock);
}

void roster_gone(struct roster *r, struct roster_id id, int64_t wall)
{
	struct roster_entry *e;

	pthread_mutex_lock(&r->lock);
	e = find(r, id);
	if (e)
		e->gone = wall;
	for (size_t i = 0; i < r->n;) {
		e = &r->entries[i];
		if (!e->gone || wall - e->gone <= KEPT) {
			i++;
			continue;
		}
		drop_series(e);
		set(r, e, &r->entries[--r->n]);
		r->entries[r->n].series = NULL;
	}
	pthread_mutex_unlock(&r->lock);
}

void roster_each(struct roster *r, void (*cb)(void *ctx, const struct roster_entry *e), void *ctx)
{
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->n; i++)
		cb(ctx, &r->entries[i]);
	pthread_mutex_unlock(&r->lock);
}

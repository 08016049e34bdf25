/* SPDX-License-Identifier: Apache-2.0 */
/* All processes of the machine, by pid; and the series that targets are in. */
#include <stdlib.h>

#include "array.h"
#include "host_parts.h"

/* --- processes ------------------------------------------------------------------- */

struct host_process *host_table_find(const struct host_table *t, pid_t pid)
{
	uint32_t i;

	return pid > 0 && prowl_idmap_get(&t->by_pid, (uint64_t)pid, &i) ? t->list[i] : NULL;
}

struct host_process *host_table_add(struct host_table *t, pid_t pid)
{
	struct host_process *p;

	if (pid <= 0 || prowl_array_reserve(&t->list, &t->cap, t->n + 1, sizeof *t->list) < 0)
		return NULL;
	p = calloc(1, sizeof *p);
	if (!p || prowl_idmap_put(&t->by_pid, (uint64_t)pid, (uint32_t)t->n) < 0) {
		free(p);
		return NULL;
	}
	p->id.pid = pid;
	t->list[t->n++] = p;
	return p;
}

void host_process_clear(struct host_process *p)
{
	free(p->exe);
	free(p->cgroup);
	free(p->why);
	free(p->looks);
	p->exe = p->cgroup = p->why = p->looks = NULL;
	p->go_version[0] = '\0';
	if (p->series)
		p->series->refs--;
	p->series = NULL;
	p->rate = 0;
	memset(p->period, 0, sizeof p->period);
}

void host_table_remove(struct host_table *t, struct host_process *p)
{
	uint32_t i;

	if (!prowl_idmap_get(&t->by_pid, (uint64_t)p->id.pid, &i))
		return;
	prowl_idmap_del(&t->by_pid, (uint64_t)p->id.pid);
	t->list[i] = t->list[--t->n];
	if (i < t->n) /* it is in the map: there is room for it */
		prowl_idmap_put(&t->by_pid, (uint64_t)t->list[i]->id.pid, i);
	host_process_clear(p);
	free(p);
}

void host_table_fini(struct host_table *t)
{
	while (t->n)
		host_table_remove(t, t->list[t->n - 1]);
	free(t->list);
	prowl_idmap_fini(&t->by_pid);
	*t = (struct host_table){0};
}

/* --- series ---------------------------------------------------------------------- */

static struct host_series *add_series(struct host_groups *g, const struct prowl_series *s)
{
	struct host_series *one = calloc(1, sizeof *one);

	if (!one || prowl_array_reserve(&g->list, &g->cap, g->n + 1, sizeof *g->list) < 0 ||
	    prowl_series_copy(s, &one->s) < 0) {
		free(one);
		return NULL;
	}
	g->last = g->last < INT32_MAX ? g->last + 1 : 1;
	one->group = g->last;
	one->refs = 1;
	g->list[g->n++] = one;
	return one;
}

struct host_series *host_groups_take(struct host_groups *g, const struct prowl_series *s)
{
	for (size_t i = 0; i < g->n; i++) {
		struct host_series *one = g->list[i];

		if (one->s->hash == s->hash && prowl_series_same(one->s, s)) {
			one->refs++;
			return one;
		}
	}
	return add_series(g, s);
}

struct host_series *host_groups_find(const struct host_groups *g, pid_t group)
{
	for (size_t i = 0; i < g->n; i++) {
		if (g->list[i]->group == group)
			return g->list[i];
	}
	return NULL;
}

void host_groups_sweep(struct host_groups *g)
{
	size_t kept = 0;

	for (size_t i = 0; i < g->n; i++) {
		if (g->list[i]->refs) {
			g->list[kept++] = g->list[i];
			continue;
		}
		prowl_series_free(g->list[i]->s);
		free(g->list[i]);
	}
	g->n = kept;
}

void host_groups_fini(struct host_groups *g)
{
	for (size_t i = 0; i < g->n; i++) {
		prowl_series_free(g->list[i]->s);
		free(g->list[i]);
	}
	free(g->list);
	*g = (struct host_groups){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts goroutines by state. There may be hundreds of thousands: the few bytes of each that are
 * needed are read many at a time, and each entry function is named once.
 */
#include <stdlib.h>
#include <string.h>

#include "figures_parts.h"
#include "idmap.h"
#include "runtime.h"

enum {
	MAX_GOROUTINES = 1 << 24,
	TRIES = 8,
	BATCH = 64,
	PART = 512, /* bytes of one g, at most */
	SCAN_BIT = 0x1000,
};

enum status { /* runtime._Gidle and so on */
	      IDLE,
	      RUNNABLE,
	      RUNNING,
	      SYSCALL,
	      WAITING,
	      MORIBUND,
	      DEAD,
	      ENQUEUE,
	      COPYSTACK,
	      PREEMPTED,
	      LEAKED,
	      DEADEXTRA,
	      STATUSES,
};

struct counter {
	struct prowl_runtime *rt;
	struct prowl_figures *f;
	struct prowl_idmap kinds; /* entry function → enum kind */
	uint64_t lo;              /* the part of a g that is read: [lo, lo + len) */
	size_t len;
	int64_t by_status[STATUSES];
	int64_t system, unread;
	uint64_t reasons[PROWL_WAIT_REASONS];
	uint8_t bytes[BATCH][PART];
};

enum kind { USER = 1, SYSTEM };

/* As runtime.isSystemGoroutine tells it when the goroutine is made. */
static enum kind kind_of_name(const char *name)
{
	static const char *const users[] = {"runtime.main", "runtime.handleAsyncEvent",
					    "runtime.corostart"};

	if (strncmp(name, "runtime.", 8) != 0)
		return USER;
	for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
		if (strcmp(name, users[i]) == 0)
			return USER;
	}
	return SYSTEM;
}

static enum kind kind_of(struct counter *c, uint64_t startpc)
{
	const struct uw_space *s = &c->rt->space;
	struct uw_go_func func;
	uint32_t kind;

	if (startpc == 0)
		return USER;
	if (prowl_idmap_get(&c->kinds, startpc, &kind))
		return kind;
	kind = USER;
	if (uw_go_func_at(c->rt->go, startpc - s->go_bias, &func))
		kind = kind_of_name(uw_go_func_name(c->rt->go, &func));
	prowl_idmap_put(&c->kinds, startpc, kind);
	return kind;
}

static void count(struct counter *c, const uint8_t *g)
{
	const struct uw_golayout *l = c->rt->layout;
	uint32_t status;
	uint64_t startpc;
	uint8_t reason = g[l->g.waitreason - c->lo];

	memcpy(&status, g + (l->g.atomicstatus - c->lo), sizeof status);
	memcpy(&startpc, g + (l->g.startpc - c->lo), sizeof startpc);
	status &= ~(uint32_t)SCAN_BIT;
	if (status >= STATUSES) {
		c->unread++;
		return;
	}
	if (status == IDLE || status == DEAD || status == DEADEXTRA) {
		c->by_status[DEAD]++;
		return;
	}
	if (kind_of(c, startpc) == SYSTEM) {
		c->system++;
		return;
	}
	c->by_status[status]++;
	if (status == WAITING && reason < PROWL_WAIT_REASONS)
		c->reasons[reason]++;
}

/* The goroutines at gs[0..n), n at most BATCH; where not all can be read, one by one. */
static void count_batch(struct counter *c, const uint64_t *gs, size_t n)
{
	struct uw_mem_part parts[BATCH];
	const struct uw_mem *live = &c->rt->space.live;
	bool all;

	for (size_t i = 0; i < n; i++)
		parts[i] = (struct uw_mem_part){gs[i] + c->lo, c->bytes[i], c->len};
	all = uw_read_parts(live, parts, n) == 0;
	for (size_t i = 0; i < n; i++) {
		if (all || uw_read(live, parts[i].addr, c->bytes[i], c->len) == 0)
			count(c, c->bytes[i]);
		else
			c->unread++;
	}
}

/* The list as it was at one moment; it only grows. *ret is the caller's. */
static uint64_t *read_list(struct prowl_runtime *rt, size_t *n)
{
	uint64_t at = uw_goglobal(&rt->globals, UW_GLOBAL_ALLGS), slice[2], again[2];
	const struct uw_mem *live = &rt->space.live;

	for (int i = 0; at && i < TRIES; i++) {
		uint64_t *gs;

		if (uw_read(live, at, slice, sizeof slice) < 0 || slice[1] > MAX_GOROUTINES)
			return NULL;
		gs = malloc(slice[1] * sizeof *gs + 1);
		if (!gs)
			return NULL;
		/* The array moves when it grows: then the old one may be anything's. */
		if (uw_read(live, slice[0], gs, slice[1] * sizeof *gs) == 0 &&
		    uw_read(live, at, again, sizeof again) == 0 && again[0] == slice[0]) {
			*n = slice[1];
			return gs;
		}
		free(gs);
	}
	return NULL;
}

static void report(const struct counter *c)
{
	const int64_t *n = c->by_status;
	int64_t other = n[MORIBUND] + n[ENQUEUE] + n[COPYSTACK] + n[PREEMPTED] + n[LEAKED];

	prowl_figure_set(c->f, PROWL_FIGURE_GOROUTINES,
			 n[RUNNING] + n[RUNNABLE] + n[WAITING] + n[SYSCALL] + other);
	prowl_figure_set(c->f, PROWL_FIGURE_RUNNING, n[RUNNING]);
	prowl_figure_set(c->f, PROWL_FIGURE_RUNNABLE, n[RUNNABLE]);
	prowl_figure_set(c->f, PROWL_FIGURE_WAITING, n[WAITING]);
	prowl_figure_set(c->f, PROWL_FIGURE_SYSCALL, n[SYSCALL]);
	prowl_figure_set(c->f, PROWL_FIGURE_OTHER, other);
	prowl_figure_set(c->f, PROWL_FIGURE_SYSTEM, c->system);
	prowl_figure_set(c->f, PROWL_FIGURE_DEAD, n[DEAD]);
	prowl_figure_set(c->f, PROWL_FIGURE_UNREAD, c->unread);
	for (size_t i = 0; i < PROWL_WAIT_REASONS; i++) {
		if (i < c->rt->layout->wait_reasons_count)
			c->f->waiting[i].reason = c->rt->layout->wait_reasons[i];
		else if (c->reasons[i])
			c->f->waiting[i].reason = "unknown";
		c->f->waiting[i].n = c->reasons[i];
	}
}

void prowl_figures_count_goroutines(struct prowl_runtime *rt, struct prowl_figures *f)
{
	const struct uw_golayout *l = rt->layout;
	struct counter c = {.rt = rt, .f = f, .lo = l->g.atomicstatus};
	size_t n = 0;
	uint64_t *gs;

	c.len = l->g.startpc + 8u - l->g.atomicstatus;
	if (l->g.startpc < l->g.atomicstatus || l->g.waitreason < l->g.atomicstatus ||
	    l->g.waitreason > l->g.startpc || c.len > PART)
		return;
	gs = read_list(rt, &n);
	if (!gs)
		return;
	for (size_t i = 0; i < n; i += BATCH)
		count_batch(&c, gs + i, n - i < BATCH ? n - i : BATCH);
	free(gs);
	prowl_idmap_fini(&c.kinds);
	report(&c);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts goroutines by state. There may be hundreds of thousands: the few bytes of each that are
 * needed are read many at a time, and each entry function is named once.
 */
#include <stdlib.h>
#include <string.h>

#include "figures_parts.h"
#include "gogoroutines.h"
#include "runtime.h"

enum { STATUSES = UW_G_DEADEXTRA + 1 };

struct counter {
	struct prowl_runtime *rt;
	struct prowl_figures *f;
	int64_t by_status[STATUSES];
	int64_t system, unread;
	uint64_t reasons[PROWL_WAIT_REASONS];
};

static int count(void *ctx, const struct uw_goroutine *g)
{
	struct counter *c = ctx;

	if (g->stack == UW_GOROUTINE_BAD || (unsigned int)g->status >= STATUSES) {
		c->unread++;
	} else if (g->system) {
		c->system++;
	} else {
		c->by_status[g->status]++;
		if (g->status == UW_G_WAITING && g->reason < PROWL_WAIT_REASONS)
			c->reasons[g->reason]++;
	}
	return 0;
}

static void report(const struct counter *c)
{
	const int64_t *n = c->by_status;
	int64_t other = n[UW_G_COPYSTACK] + n[UW_G_PREEMPTED] + n[UW_G_LEAKED];

	prowl_figure_set(c->f, PROWL_FIGURE_GOROUTINES,
			 n[UW_G_RUNNING] + n[UW_G_RUNNABLE] + n[UW_G_WAITING] + n[UW_G_SYSCALL] +
				 other);
	prowl_figure_set(c->f, PROWL_FIGURE_RUNNING, n[UW_G_RUNNING]);
	prowl_figure_set(c->f, PROWL_FIGURE_RUNNABLE, n[UW_G_RUNNABLE]);
	prowl_figure_set(c->f, PROWL_FIGURE_WAITING, n[UW_G_WAITING]);
	prowl_figure_set(c->f, PROWL_FIGURE_SYSCALL, n[UW_G_SYSCALL]);
	prowl_figure_set(c->f, PROWL_FIGURE_OTHER, other);
	prowl_figure_set(c->f, PROWL_FIGURE_SYSTEM, c->system);
	prowl_figure_set(c->f, PROWL_FIGURE_DEAD, n[UW_G_DEAD]);
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
	struct counter c = {.rt = rt, .f = f};
	struct uw_goroutines *reader;
	uint64_t *gs;
	size_t n;

	if (uw_goroutines_new(&rt->space, &reader) < 0)
		return;
	if (uw_goroutines_list(&rt->space.live, &rt->globals, &gs, &n) == 0) {
		if (uw_goroutines_read(reader, gs, n, false, count, &c) == 0) {
			c.by_status[UW_G_DEAD] = (int64_t)uw_goroutines_stats(reader)->dead;
			report(&c);
		}
		free(gs);
	}
	uw_goroutines_free(reader);
}

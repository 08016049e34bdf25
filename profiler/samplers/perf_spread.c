/* SPDX-License-Identifier: Apache-2.0 */
/* What a sample of a per-thread event represents, and threads that live less than a period. */
#include <sys/ioctl.h>
#include <unistd.h>

#include "perf_parts.h"

enum {
	/*
	 * Spread periods, from SPREAD_FROM_NS to a SPREAD_PARTS-th of the nominal one, or to
	 * SPREAD_TO_NS where that is more: a sample costs some 13 us, so that these threads have up
	 * to some 4 % less of the CPU.
	 */
	SPREAD_FROM_NS = 50000,
	SPREAD_TO_NS = 1000000,
	SPREAD_PARTS = 4,
	SPREAD_ENDED = 8,  /* threads that must have ended first, */
	SPREAD_MISSED = 2, /* and nominal periods that no sample represents */
	SPREAD_IDLE = 400, /* of these without a new thread, and it ends */
	LOOK_LATER_MS = 100,
};

/* Replaces a first period at its first sample. False: the sample is to be dropped. */
static bool phase(struct perf_sampler *p, struct perf_event *e, uint64_t time)
{
	uint64_t period = p->o.period_ns;

	if (e->phased) {
		if (time >= e->since)
			return true;
		p->base.counts.phase_drops++;
		return false;
	}
	ioctl(e->fd, PERF_EVENT_IOC_PERIOD, &period);
	e->phased = true;
	e->since = prowl_now();
	p->unphased--;
	return true;
}

/* --- what a sample represents ---------------------------------------------------- */

/* The shortest of the spread periods, and the longest. */
static uint64_t spread_from(const struct perf_sampler *p)
{
	uint64_t most = p->o.period_ns / 4;

	return most < SPREAD_FROM_NS ? most : SPREAD_FROM_NS;
}

static uint64_t spread_to(const struct perf_sampler *p)
{
	uint64_t to = p->o.period_ns / SPREAD_PARTS;

	if (to < SPREAD_TO_NS)
		to = SPREAD_TO_NS;
	return to < p->o.period_ns ? to : p->o.period_ns;
}

uint64_t prowl_perf_spread_weight(uint64_t from, uint64_t to, uint64_t period, uint64_t nth)
{
	double x = (double)nth * (double)period / (double)to, sum = 1.6449340668482264; /* pi^2/6 */
	double density = (double)(to - from) / (double)to;

	if (x <= 1)
		return nth == 1 ? to - from : 0;
	/* The sum of 1 / i^2 from ceil(x) to the last i that has a period in the range. */
	if (x > 64)
		return period;
	for (unsigned int i = 1; i < x; i++)
		sum -= 1.0 / ((double)i * i);
	sum -= (double)from / (double)to / x;
	return (uint64_t)((double)period * density / (x * sum));
}

static uint64_t heir_key(uint32_t event, pid_t tid)
{
	return (uint64_t)(event + 1) << 32 | (uint32_t)tid;
}

/* A thread that began since we are here: its period is the one that was set at that time. */
static uint64_t heirs_weight(struct perf_sampler *p, uint32_t event, const struct prowl_event *ev)
{
	uint64_t period = ev->sample.period, key = heir_key(event, ev->tid);
	uint32_t n = 0;

	if (period >= p->o.period_ns)
		return p->o.period_ns;
	if (period == p->events[event].first || period < spread_from(p) || period > spread_to(p))
		return period;
	prowl_idmap_get(&p->heirs, key, &n);
	n += n < UINT32_MAX;
	if (prowl_idmap_put(&p->heirs, key, n) < 0)
		return period;
	return prowl_perf_spread_weight(spread_from(p), spread_to(p), period, n);
}

bool perf_wanted(struct perf_sampler *p, struct prowl_event *ev)
{
	uint32_t i, unused;
	struct perf_event *e;

	ev->sample.weight = p->o.period_ns;
	if (p->base.facts.whole_cpus || !prowl_idmap_get(&p->by_id, ev->id, &i))
		return true;
	e = &p->events[i];
	if (e->tid != ev->tid && prowl_idmap_get(&p->tids, (uint64_t)ev->tid, &unused)) {
		p->base.counts.duplicates++;
		return false;
	}
	if (e->tid == ev->tid) {
		if (e->heirs.spread || !phase(p, e, ev->time))
			return false;
	} else {
		if (!e->phased)
			phase(p, e, ev->time); /* so that no more threads inherit it */
		ev->sample.weight = heirs_weight(p, i, ev);
	}
	e->weight += ev->sample.weight;
	p->base.counts.surplus += ev->sample.weight == 0;
	return ev->sample.weight != 0;
}

/* --- threads that live less than a period ---------------------------------------- */

/*
 * An inherited event begins with a whole period, so that a thread that lives less than that has no
 * sample. Where much time is missed so, the events that threads inherit get another period every
 * PERF_SPREAD_MS: all periods of the range, as evenly as can be (steps of the golden ratio). A
 * first sample then comes at each time of a thread's life equally often, and the weights are such
 * that all of its samples represent its time, see prowl_perf_spread_weight. The parent gets events
 * of its own.
 */
static void move_period(struct perf_sampler *p, struct perf_event *e)
{
	uint64_t from = spread_from(p), range = spread_to(p) - from, period = p->o.period_ns;

	e->heirs.idle = e->began == e->heirs.began ? e->heirs.idle + 1 : 0;
	e->heirs.began = e->began;
	e->heirs.place += 0x9e3779b97f4a7c15ull;
	if (e->heirs.idle < SPREAD_IDLE)
		period = from + (uint64_t)((double)range * ((double)e->heirs.place * 0x1p-64));
	else if (e->heirs.idle > SPREAD_IDLE)
		return;
	ioctl(e->fd, PERF_EVENT_IOC_PERIOD, &period);
}

void perf_move_periods(struct perf_sampler *p, uint64_t now)
{
	if (!p->nspread || now - p->moved < (PERF_SPREAD_MS - 1) * 1000000ull)
		return;
	p->moved = now;
	for (size_t i = 0; i < p->nevents; i++) {
		if (p->events[i].heirs.spread)
			move_period(p, &p->events[i]);
	}
}

/* All but the first n; none of the others has a ring. */
static void forget_events(struct perf_sampler *p, size_t n)
{
	while (p->nevents > n) {
		struct perf_event *e = &p->events[--p->nevents];

		prowl_idmap_del(&p->by_id, e->id);
		if (!e->phased)
			p->unphased--;
		close(e->fd);
	}
}

static void spread(struct perf_sampler *p, pid_t pid, pid_t tid)
{
	size_t n = p->nevents;

	/* Without descriptors for it, all stays as it is; what is missed is reported at the end. */
	if (perf_open_on_cpus(p, pid, tid, false, false) < 0) {
		forget_events(p, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct perf_event *e = &p->events[i];

		if (e->tid != tid)
			continue;
		if (!e->phased)
			p->unphased--;
		e->phased = true;
		e->heirs = (struct heirs){.spread = true, .place = perf_next_random(&p->rng)};
		p->nspread++;
	}
}

/* Is much of the time of e's threads in none of its samples? */
static bool misses(const struct perf_sampler *p, const struct perf_event *e)
{
	uint64_t total, missed;

	if (read(e->fd, &total, sizeof total) != sizeof total || total <= e->weight)
		return false;
	missed = total - e->weight;
	return missed > SPREAD_MISSED * p->o.period_ns && missed > total / 20;
}

void perf_look_for_short(struct perf_sampler *p, uint64_t now)
{
	uint64_t pause = now - p->opened < PERF_LOOK_FIRST_MS * 1000000ull ? PERF_LOOK_MS
									   : LOOK_LATER_MS;
	size_t n = p->nevents;

	if (p->base.facts.whole_cpus || now - p->looked < (pause - 1) * 1000000ull)
		return;
	p->looked = now;
	for (size_t i = 0; i < n; i++) {
		struct perf_event *e = &p->events[i];

		if (e->ended < SPREAD_ENDED || e->heirs.spread)
			continue;
		e->ended = 0;
		if (misses(p, e))
			spread(p, e->pid, e->tid);
	}
}

/* Which threads have events of their own, and which have inherited one. */
void perf_follow(struct perf_sampler *p, const struct prowl_event *ev)
{
	uint32_t i, unused;

	if (p->base.facts.whole_cpus ||
	    (ev->type != PROWL_EVENT_EXIT && ev->type != PROWL_EVENT_FORK))
		return;
	if (ev->type == PROWL_EVENT_FORK) {
		if (prowl_idmap_get(&p->by_id, ev->id, &i))
			p->events[i].began++;
		return;
	}
	/* The number may come again: with the next thread, or with an exec's. */
	if (prowl_idmap_get(&p->tids, (uint64_t)ev->tid, &unused)) {
		prowl_idmap_del(&p->tids, (uint64_t)ev->tid);
		return;
	}
	if (prowl_idmap_get(&p->by_id, ev->id, &i))
		p->events[i].ended++;
	else
		return;
	/* The events of a thread, one for each CPU, follow each other. */
	for (uint32_t j = i; p->heirs.n && j < p->nevents && p->events[j].tid == p->events[i].tid;
	     j++)
		prowl_idmap_del(&p->heirs, heir_key(j, ev->tid));
	for (uint32_t j = i; p->heirs.n && j-- > 0 && p->events[j].tid == p->events[i].tid;)
		prowl_idmap_del(&p->heirs, heir_key(j, ev->tid));
}

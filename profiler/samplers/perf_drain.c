/* SPDX-License-Identifier: Apache-2.0 */
/* The rings of all CPUs, drained in the order of time. */
#include "perf_parts.h"
#include "perf_record.h"

static void peek(struct perf_sampler *p, struct perf_cpu *c, const struct prowl_takers *t,
		 void *ctx)
{
	bool bad;

	while ((c->next = prowl_ring_peek(&c->ring, &bad)) &&
	       prowl_moment_pair_take(&c->moments, c->next))
		prowl_ring_take(&c->ring, c->next);
	c->next_time = c->next ? prowl_perf_time(c->next) : UINT64_MAX;
	if (bad)
		p->base.counts.damaged++;
	if (c->next && t->soon && c->next->type == PERF_RECORD_SAMPLE)
		t->soon(ctx, prowl_perf_ip(c->next));
}

static void hand_out(struct perf_sampler *p, struct perf_cpu *c, const struct prowl_takers *t,
		     void *ctx)
{
	const struct perf_event_header *rec = c->next;
	struct prowl_event ev;

	if (prowl_perf_decode(rec, &ev) < 0)
		p->base.counts.damaged++;
	else if (ev.type == PROWL_EVENT_THROTTLE)
		p->base.counts.throttled++;
	else if (ev.type != PROWL_EVENT_SAMPLE || perf_wanted(p, &ev)) {
		perf_follow(p, &ev);
		if (ev.type == PROWL_EVENT_SAMPLE)
			ev.sample.moment = prowl_moment_pair_of(&c->moments, &ev, &p->moment);
		t->event(ctx, &ev);
	}
}

size_t perf_drain(struct prowl_sampler *s, const struct prowl_takers *takers, void *ctx)
{
	struct perf_sampler *p = perf_of(s);
	/* What comes while rings are looked at may be later than what the first one doesn't show
	 * yet: a sample must not overtake the exec or the mapping that it is to be named by. */
	uint64_t until = prowl_now();
	size_t n = 0;

	for (size_t i = 0; i < p->ncpus; i++) {
		struct perf_cpu *c = &p->cpus[i];

		c->next = NULL;
		c->next_time = UINT64_MAX;
		if (c->fd >= 0) {
			p->base.counts.bytes += prowl_ring_begin(&c->ring);
			peek(p, c, takers, ctx);
		}
	}
	for (;;) {
		struct perf_cpu *c = NULL;

		for (size_t i = 0; i < p->ncpus; i++) {
			if (p->cpus[i].next && (!c || p->cpus[i].next_time < c->next_time))
				c = &p->cpus[i];
		}
		if (!c || c->next_time > until)
			break;
		p->base.counts.samples += c->next->type == PERF_RECORD_SAMPLE;
		if (c->next->type != PERF_RECORD_SAMPLE ||
		    takers->want(ctx, prowl_perf_pid(c->next)))
			hand_out(p, c, takers, ctx);
		prowl_moment_pair_next(&c->moments);
		n++;
		prowl_ring_take(&c->ring, c->next);
		peek(p, c, takers, ctx);
	}
	for (size_t i = 0; i < p->ncpus; i++) {
		prowl_moment_pair_keep(&p->cpus[i].moments);
		p->base.counts.stray_moments += p->cpus[i].moments.strays;
		p->cpus[i].moments.strays = 0;
		if (p->cpus[i].fd >= 0)
			prowl_ring_end(&p->cpus[i].ring);
	}
	if (!p->stopped) {
		perf_look_for_short(p, until);
		perf_move_periods(p, until);
	}
	return n;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "perf_sampler.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "bpf.h"
#include "perf_parts.h"
#include "procfs.h"

const struct prowl_event_kind prowl_cpu_clock = {.name = "cpu-clock",
						 .type = "cpu",
						 .unit = "nanoseconds",
						 .period_type = "cpu",
						 .period_unit = "nanoseconds",
						 .scale_to_charge = true};

static void perf_close(struct prowl_sampler *s)
{
	struct perf_sampler *p = perf_of(s);

	perf_close_events(p);
	free(p->cpus);
	free(p->events);
	free(p->keepers);
	free(p->polls);
	free(p);
}

static enum prowl_code perf_open(const struct prowl_sampler_options *o, struct prowl_sampler **ret,
				 struct prowl_err *err)
{
	struct perf_sampler *p = calloc(1, sizeof *p);
	enum prowl_code code;
	int r;

	if (!p)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	p->base.ops = &prowl_perf;
	p->o = *o;
	p->base.facts.paranoid = prowl_read_number("/proc/sys/kernel/perf_event_paranoid", -99);
	p->base.facts.max_stack = (unsigned int)prowl_read_number(
		"/proc/sys/kernel/perf_event_max_stack", 127);
	if (getrandom(&p->rng, sizeof p->rng, GRND_NONBLOCK) != sizeof p->rng || p->rng == 0)
		p->rng = prowl_now() | 1;
	p->opened = prowl_now();
	p->order = perf_ring_order(o);
	perf_fill_attr(p);
	r = perf_online_cpus(p);
	if (r == 0)
		r = perf_open_best(p);
	if (r == 0) {
		p->polls = calloc(p->ncpus + 1, sizeof *p->polls);
		r = p->polls ? 0 : -ENOMEM;
	}
	if (r < 0) {
		code = perf_explain(p, r, err);
		perf_close(&p->base);
		return code;
	}
	p->base.facts.ncpus = (unsigned int)p->ncpus;
	p->base.facts.nevents = (unsigned int)p->nevents;
	p->base.facts.ring_bytes = (size_t)4096 << p->order;
	*ret = &p->base;
	return PROWL_OK;
}

static int perf_wait(struct prowl_sampler *s, int timeout_ms, int wake_fd, bool prompt)
{
	struct perf_sampler *p = perf_of(s);
	nfds_t n = 0;
	int first = (int)(p->o.period_ns / PERF_PHASE_PARTS / 1000000u) + 1;

	for (size_t i = 0; i < p->ncpus; i++) {
		if (p->cpus[i].fd >= 0 && (prompt || !p->o.wake_each))
			p->polls[n++] = (struct pollfd){.fd = p->cpus[i].fd, .events = POLLIN};
	}
	if (wake_fd >= 0)
		p->polls[n++] = (struct pollfd){.fd = wake_fd, .events = POLLIN};
	/* While first periods wait to be replaced, look often enough that few samples are dropped.
	 */
	if (p->unphased && timeout_ms > first)
		timeout_ms = first;
	if (p->nspread && timeout_ms > PERF_SPREAD_MS)
		timeout_ms = PERF_SPREAD_MS;
	else if (!p->base.facts.whole_cpus && timeout_ms > PERF_LOOK_MS &&
		 prowl_now() - p->opened < PERF_LOOK_FIRST_MS * 1000000ull)
		timeout_ms = PERF_LOOK_MS;
	n = (nfds_t)poll(p->polls, n, timeout_ms);
	/* A ring whose threads are all gone says POLLHUP at once and for ever: wait by the clock.
	 */
	for (size_t i = 0; (int)n > 0 && i < p->ncpus; i++) {
		if (p->polls[i].revents & POLLHUP) {
			struct timespec t = {.tv_nsec = 2000000};

			nanosleep(&t, NULL);
			break;
		}
	}
	return (int)n;
}

static unsigned int open_events(const struct perf_sampler *p)
{
	unsigned int n = 0;

	for (size_t i = 0; i < p->nevents; i++)
		n += p->events[i].fd >= 0;
	return n;
}

static int perf_add(struct prowl_sampler *s, pid_t pid)
{
	struct perf_sampler *p = perf_of(s);
	int r = p->base.facts.whole_cpus ? 0 : perf_open_process(p, pid);

	p->base.facts.nevents = open_events(p);
	return r < 0 ? r : 0;
}

static bool owns_ring(const struct perf_sampler *p, int fd)
{
	for (size_t i = 0; i < p->ncpus; i++) {
		if (p->cpus[i].fd == fd)
			return true;
	}
	return false;
}

/* It is of nobody any more. One that others write into the ring of stays, disabled. */
static void end_event(struct perf_sampler *p, struct perf_event *e)
{
	prowl_idmap_del(&p->by_id, e->id);
	prowl_idmap_del(&p->tids, (uint64_t)e->tid);
	p->unphased -= !e->phased;
	p->nspread -= e->heirs.spread;
	e->phased = true;
	e->heirs.spread = false;
	e->ended = 0;
	e->pid = e->tid = 0;
	e->id = 0;
	ioctl(e->fd, PERF_EVENT_IOC_DISABLE, 0);
	if (owns_ring(p, e->fd))
		return;
	close(e->fd);
	e->fd = -1;
}

/*
 * Forgets the events that have ended; those of one thread stay side by side. Samples are counted by
 * the event's place (heir_key) as long as there are threads that live for less than a period.
 */
static void close_gaps(struct perf_sampler *p)
{
	size_t kept = 0;

	if (p->heirs.n)
		return;
	for (size_t i = 0; i < p->nevents; i++) {
		const struct perf_event *e = &p->events[i];

		if (e->fd < 0)
			continue;
		p->events[kept] = *e;
		if (e->id) /* it is in the map: there is room for it */
			prowl_idmap_put(&p->by_id, e->id, (uint32_t)kept);
		kept++;
	}
	p->nevents = kept;
}

static void remove_keepers(struct perf_sampler *p, pid_t pid)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->nkeepers; i++) {
		if (p->keepers[i].pid == pid)
			close(p->keepers[i].fd);
		else
			p->keepers[kept++] = p->keepers[i];
	}
	p->nkeepers = kept;
}

static void perf_remove(struct prowl_sampler *s, pid_t pid)
{
	struct perf_sampler *p = perf_of(s);

	if (s->facts.whole_cpus || pid <= 0)
		return;
	for (size_t i = 0; i < p->nevents; i++) {
		if (p->events[i].pid == pid && p->events[i].fd >= 0)
			end_event(p, &p->events[i]);
	}
	close_gaps(p);
	remove_keepers(p, pid);
	s->facts.nevents = open_events(p);
}

static void perf_take_output(struct prowl_sampler *s)
{
	struct perf_sampler *p = perf_of(s);

	for (size_t i = 0; p->o.bpf && i < p->ncpus; i++) {
		if (p->cpus[i].fd >= 0 && p->cpus[i].output >= 0)
			prowl_bpf_output(p->o.bpf, p->cpus[i].cpu, p->cpus[i].output);
	}
}

static void perf_stop(struct prowl_sampler *s)
{
	struct perf_sampler *p = perf_of(s);

	p->stopped = true;
	prctl(PR_TASK_PERF_EVENTS_DISABLE);
}

const struct prowl_sampler_ops prowl_perf = {.name = "perf",
					     .kind = &prowl_cpu_clock,
					     .open = perf_open,
					     .close = perf_close,
					     .set_bpf = perf_set_bpf,
					     .wait = perf_wait,
					     .drain = perf_drain,
					     .add = perf_add,
					     .remove = perf_remove,
					     .take_output = perf_take_output,
					     .stop = perf_stop};

/* SPDX-License-Identifier: Apache-2.0 */
#include "running_goroutines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "gostack.h"
#include "perf_sampler.h"
#include "walk.h"

enum {
	RATE = 997,
	STACK = 4096,
	TURN_MS = 5, /* between two drains */
	MAX_OWN_STACK = 1 << 20,
};

struct sampling {
	struct prowl_runtime *rt;
	struct prowl_running *wanted;
	size_t n, left;
	struct uw_walker *walker;
	unsigned int max_stack;
};

static bool wants_pid(void *ctx, pid_t pid)
{
	const struct sampling *s = ctx;

	return pid == s->rt->target.pid;
}

/*
 * How often it has stopped running, if the thread is running it now; -1: it is not, or not known.
 */
static int times_stopped(const struct prowl_runtime *rt, const struct prowl_running *w)
{
	uint64_t curg = 0;
	uint8_t n = 0;

	if (w->m == 0 || rt->layout->g.tracking_seq == UW_GO_NONE ||
	    uw_read(&rt->space.live, w->g + rt->layout->g.tracking_seq, &n, sizeof n) < 0 ||
	    uw_read_u64(&rt->space.live, w->m + rt->layout->m.curg, &curg) < 0 || curg != w->g)
		return -1;
	return n;
}

/* Whether the thread has run it ever since the first check: then all its samples are of it. */
static bool ran_all_the_time(const struct sampling *s, const struct prowl_running *w)
{
	return w->runs >= 0 && times_stopped(s->rt, w) == w->runs;
}

static bool on_its_stack(const struct sampling *s, const struct prowl_running *w, uint64_t sp)
{
	uint64_t bounds[2];

	return uw_read(&s->rt->space.live, w->g + s->rt->layout->g.stack, bounds, sizeof bounds) ==
		       0 &&
	       sp >= bounds[0] && sp < bounds[1];
}

/* A g is soon reused for another goroutine. */
static bool is_same_goroutine(const struct sampling *s, const struct prowl_running *w)
{
	uint64_t goid;

	return uw_read_u64(&s->rt->space.live, w->g + s->rt->layout->g.goid, &goid) == 0 &&
	       goid == w->goid;
}

/*
 * Identifies the goroutine of a sample: by the register that holds g in Go code; elsewhere
 * (assembly, the thread's own stack, C) by facts that no other goroutine shares and that the thread
 * may have run when the sample was taken.
 */
static struct prowl_running *goroutine_of_sample(struct sampling *s, const struct prowl_event *ev)
{
	const struct uw_regs *regs = &ev->sample.regs;

	for (size_t i = 0; i < s->n; i++) {
		struct prowl_running *w = &s->wanted[i];

		if (w->found || w->g == 0)
			continue;
		if ((uw_regs_g(regs) == w->g ||
		     (w->tid == ev->tid &&
		      (on_its_stack(s, w, regs->sp) || ran_all_the_time(s, w)))) &&
		    is_same_goroutine(s, w))
			return w;
	}
	return NULL;
}

static void on_event(void *ctx, const struct prowl_event *ev)
{
	struct sampling *s = ctx;
	struct prowl_running *w;
	struct uw_sample us;
	enum uw_end end;

	if (ev->type != PROWL_EVENT_SAMPLE || ev->pid != s->rt->target.pid || !ev->sample.has_regs)
		return;
	w = goroutine_of_sample(s, ev);
	if (!w)
		return;
	us = (struct uw_sample){.regs = &ev->sample.regs,
				.chain = ev->sample.user,
				.nchain = ev->sample.nuser,
				.chain_full = ev->sample.nkernel + ev->sample.nuser + 1 >=
					      s->max_stack,
				.stack = ev->sample.stack,
				.stack_len = ev->sample.stack_len};
	w->n = uw_walk(s->walker, &s->rt->space, &us, w->words, PROWL_RUNNING_WORDS, &end);
	if (w->n == 0 || end != UW_END_ROOT) {
		w->n = 0; /* the next sample may be whole */
		return;
	}
	for (size_t i = 0; i < w->n; i++) {
		if (w->words[i] == 0) { /* placeholder for C frames that could not be recovered */
			w->n = 0;
			return;
		}
		w->words[i]++; /* a return address, as in gostored.h */
	}
	w->found = true;
	s->left--;
}

static void find_threads(struct sampling *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct prowl_running *w = &s->wanted[i];
		uint64_t tid = 0;

		if (w->m &&
		    uw_read_u64(&s->rt->space.live, w->m + s->rt->layout->m.procid, &tid) == 0)
			w->tid = (pid_t)tid;
		w->runs = times_stopped(s->rt, w);
	}
}

int prowl_running_sample(struct prowl_runtime *rt, struct prowl_running *wanted, size_t n,
			 uint64_t ns, bool (*retry)(void *ctx, size_t i), void *ctx)
{
	static const struct prowl_takers takers = {wants_pid, NULL, on_event};
	struct sampling s = {.rt = rt, .wanted = wanted, .n = n, .left = n};
	struct prowl_sampler_options po = {.pids = &rt->target.pid,
					   .npids = 1,
					   .period_ns = 1000000000u / RATE,
					   .stack_bytes = STACK,
					   .user_only = true};
	uint64_t end = prowl_now() + ns;
	struct prowl_sampler *perf;

	find_threads(&s);
	if (uw_walker_new(&s.walker) < 0)
		return -ENOMEM;
	if (prowl_perf.open(&po, &perf, NULL) != PROWL_OK) {
		uw_walker_free(s.walker);
		return -EPERM;
	}
	s.max_stack = perf->facts.max_stack;
	while (s.left > 0 && prowl_now() < end) {
		perf->ops->wait(perf, TURN_MS, -1, false);
		perf->ops->drain(perf, &takers, &s);
		for (size_t i = 0; i < n; i++) {
			if (wanted[i].found || !wanted[i].g || !retry(ctx, i))
				continue;
			wanted[i].g = 0;
			s.left--;
		}
	}
	prowl_sampler_close(perf);
	uw_walker_free(s.walker);
	return 0;
}

/* --- a core file --- */

static void from_registers(struct prowl_runtime *rt, struct uw_gostack *unwinder,
			   struct prowl_running *w, const struct uw_regs *regs, uint8_t *bytes)
{
	struct uw_gostack_start start = {.pc = regs->ip, .sp = regs->sp, .exact = true};
	struct uw_gostack_bytes stack = {.base = regs->sp, .bytes = bytes};
	enum uw_gostack_end end;
	uint64_t bounds[2];

	if (uw_read(&rt->space.live, w->g + rt->layout->g.stack, bounds, sizeof bounds) < 0 ||
	    regs->sp < bounds[0] || regs->sp >= bounds[1])
		return; /* it was on another stack: the thread's own or the signal stack */
	stack.hi = bounds[1];
	stack.len = bounds[1] - regs->sp < MAX_OWN_STACK ? bounds[1] - regs->sp : MAX_OWN_STACK;
	if (uw_read(&rt->space.live, regs->sp, bytes, stack.len) < 0)
		return;
	end = uw_gostack_walk(unwinder, &start, &stack, w->words, PROWL_RUNNING_WORDS, &w->n);
	w->found = end == UW_GOSTACK_ROOT || end == UW_GOSTACK_SWITCH;
}

void prowl_running_core(struct prowl_runtime *rt, struct prowl_running *wanted, size_t n)
{
	struct sampling s = {.rt = rt, .wanted = wanted, .n = n};
	uint8_t *bytes = malloc(MAX_OWN_STACK);
	struct uw_gostack *unwinder;

	if (!bytes || uw_gostack_new(&rt->space, &unwinder) < 0) {
		free(bytes);
		return;
	}
	find_threads(&s);
	for (size_t i = 0; i < n; i++) {
		const struct uw_core_thread *t = uw_core_thread(rt->corefile.core, wanted[i].tid);

		if (t && t->has_regs)
			from_registers(rt, unwinder, &wanted[i], &t->regs, bytes);
	}
	uw_gostack_free(unwinder);
	free(bytes);
}

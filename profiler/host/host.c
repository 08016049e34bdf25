/* SPDX-License-Identifier: Apache-2.0 */
/* A host: opening, running, and what others ask of it. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "host_parts.h"
#include "procfs.h"
#include "sampler.h"

enum {
	TURN_MS = 1000,      /* at most, between two looks at what is to be done */
	FIRST_TOKENS = 2000, /* programs that may be read at the start, when all are new */
	/* In which nobody need drain the rings; half of it where they are many. */
	RING_MS = 2000,
	MANY_CPUS = 16,
};
#define SECOND_NS UINT64_C(1000000000)
#define HOUR_NS   (3600 * SECOND_NS)

/* --- saying things --------------------------------------------------------------- */

void host_say(struct prowl_host *h, enum prowl_host_event_kind kind, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (h->ops.event)
		h->ops.event(h->ctx, &(struct prowl_host_event){
					     .kind = kind, .wall = host_wall(h), .text = text});
}

void host_describe(const struct host_process *p, struct prowl_host_target *ret)
{
	*ret = (struct prowl_host_target){.change = p->state == HOST_DENIED ? PROWL_HOST_DENIED
									    : PROWL_HOST_APPEARED,
					  .id = p->id,
					  .parent = p->parent,
					  .uid = p->uid,
					  .comm = p->comm,
					  .exe = p->exe ? p->exe : "",
					  .cgroup = p->cgroup ? p->cgroup : "",
					  .go_version = p->go_version,
					  .series = p->series ? p->series->s : NULL,
					  .wall = p->wall,
					  .why = p->why ? p->why : "",
					  .looks = p->looks ? p->looks : "",
					  .shed = p->state == HOST_SHED,
					  .samples = p->samples,
					  .cpu_ns = p->cpu_ns,
					  .looked = p->looked,
					  .look_cpu_ns = p->look_cpu_ns,
					  .last_window = p->last_window};
}

void host_tell(struct prowl_host *h, const struct host_process *p, enum prowl_host_change change)
{
	struct prowl_host_target t;

	if (!h->ops.target)
		return;
	host_describe(p, &t);
	t.change = change;
	t.wall = host_wall(h);
	h->ops.target(h->ctx, &t);
}

uint64_t host_thread_cpu(pthread_t thread)
{
	struct timespec t;
	clockid_t id;

	if (pthread_getcpuclockid(thread, &id) != 0 || clock_gettime(id, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

/* --- opening --------------------------------------------------------------------- */

static void set_default(uint64_t *v, uint64_t to)
{
	if (*v == 0)
		*v = to;
}

static void take_defaults(struct prowl_host_options *o)
{
	o->rate = o->rate ? o->rate : 19;
	set_default(&o->window_ns, 60 * SECOND_NS);
	set_default(&o->rescan_ns, 30 * SECOND_NS);
	set_default(&o->drain_ns, SECOND_NS / 4);
	o->opens_per_second = o->opens_per_second ? o->opens_per_second : 50;
	o->stack_bytes = o->stack_bytes ? o->stack_bytes : 4096;
	o->limits.targets = o->limits.targets ? o->limits.targets : 500;
	o->limits.events = o->limits.events ? o->limits.events : 2000;
	o->limits.others = o->limits.others ? o->limits.others : 200;
	o->limits.captures = o->limits.captures ? o->limits.captures : 2;
	o->budget.sampling = o->budget.sampling > 0 ? o->budget.sampling : 0.005;
	o->budget.looking = o->budget.looking > 0 ? o->budget.looking : 0.003;
	set_default(&o->budget.over_ns, 10 * SECOND_NS);
}

static enum prowl_code check(const struct prowl_host_options *o, struct prowl_err *err)
{
	if (o->rate > 1000)
		return prowl_fail(err, PROWL_USAGE,
				  "a rate of %u Hz: at most 1000 for a whole host", o->rate);
	if (o->window_ns > HOUR_NS || HOUR_NS % o->window_ns != 0 || o->window_ns < SECOND_NS / 10)
		return prowl_fail(err, PROWL_USAGE,
				  "a window of %.1f s: it must divide an hour, and not be below "
				  "0.1 s",
				  (double)o->window_ns / 1e9);
	if (o->drain_ns > 10 * SECOND_NS)
		return prowl_fail(err, PROWL_USAGE, "rings must be read every 10 s at least");
	return PROWL_OK;
}

enum prowl_code prowl_host_open(const struct prowl_host_options *o,
				const struct prowl_host_ops *ops, void *ctx,
				struct prowl_host **ret, struct prowl_err *err)
{
	struct prowl_host *h = calloc(1, sizeof *h);
	enum prowl_code code;
	char *end;

	if (!h)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	h->o = *o;
	h->ops = *ops;
	h->ctx = ctx;
	take_defaults(&h->o);
	code = check(&h->o, err);
	if (code != PROWL_OK) {
		free(h);
		return code;
	}
	pthread_mutex_init(&h->lock, NULL);
	host_clock_init(&h->clock, &h->o.clocks, h->o.window_ns);
	h->budget = (struct host_budget){.sampling = h->o.budget.sampling,
					 .looking = h->o.budget.looking,
					 .over_ns = h->o.budget.over_ns};
	h->status.rate = h->o.rate;
	h->tokens = FIRST_TOKENS;
	prowl_read_text("/proc/sys/kernel/random/boot_id", h->boot_id, sizeof h->boot_id);
	end = strchr(h->boot_id, '\n');
	if (end)
		*end = '\0';
	*ret = h;
	return PROWL_OK;
}

void prowl_host_free(struct prowl_host *h)
{
	if (!h)
		return;
	host_end(h);
	prowl_session_free(h->session);
	host_table_fini(&h->table);
	host_groups_fini(&h->groups);
	host_programs_fini(&h->programs);
	host_others_fini(&h->others);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* --- running --------------------------------------------------------------------- */

static void set_mode(struct prowl_host *h, enum prowl_host_mode mode, const char *why)
{
	pthread_mutex_lock(&h->lock);
	h->status.mode = mode;
	snprintf(h->status.why, sizeof h->status.why, "%s", why);
	pthread_mutex_unlock(&h->lock);
}

static void open_session(struct prowl_host *h)
{
	struct prowl_options o = {.rate = h->o.rate,
				  .stack_bytes = h->o.stack_bytes,
				  .user_only = h->o.user_only,
				  .per_thread = h->o.per_thread,
				  .no_bpf = h->o.no_bpf,
				  .labels = !h->o.no_labels,
				  .stay = true,
				  .drain_ms = (unsigned int)(h->o.drain_ns / 1000000),
				  .ring_ms = sysconf(_SC_NPROCESSORS_ONLN) > MANY_CPUS ? RING_MS / 2
										       : RING_MS,
				  .seen = host_seen,
				  .seen_ctx = h,
				  .sampler = h->o.sampler,
				  .now = h->o.clocks.mono,
				  .times = h->o.times};
	struct prowl_err err = {0};
	char why[512];

	if (prowl_session_open(&o, &h->session, &err) != PROWL_OK) {
		h->session = NULL;
		set_mode(h, PROWL_HOST_NOT_SAMPLING, err.text);
		host_say(h, PROWL_HOST_MODE,
			 "no CPU profiles, only runtime profiles and figures: %s", err.text);
		return;
	}
	if (prowl_session_result(h->session)->whole_cpus) {
		set_mode(h, PROWL_HOST_WHOLE_CPUS, "");
		return;
	}
	if (h->o.per_thread)
		snprintf(why, sizeof why, "it was asked for");
	else
		snprintf(why, sizeof why,
			 "whole CPUs need CAP_PERFMON, or perf_event_paranoid of 0 or less (it is "
			 "%d)",
			 prowl_session_result(h->session)->paranoid);
	set_mode(h, PROWL_HOST_PER_THREAD, why);
	host_say(
		h, PROWL_HOST_MODE,
		"only processes that may be sampled one by one, from the moment they are found: %s",
		why);
}

static void show_status(struct prowl_host *h)
{
	struct prowl_host_status *st = &h->shown;

	pthread_mutex_lock(&h->lock);
	*st = h->status;
	st->processes = h->table.n;
	st->targets = h->sampled;
	st->denied = st->shed = st->waiting = 0;
	for (size_t i = 0; i < h->table.n; i++) {
		st->denied += h->table.list[i]->state == HOST_DENIED;
		st->shed += h->table.list[i]->state == HOST_SHED;
		st->waiting += h->table.list[i]->state == HOST_WAITING;
	}
	st->programs = h->programs.n;
	st->opened = h->programs.opened;
	st->series = h->groups.n;
	st->sampling = h->budget.was_sampling;
	st->looking = h->budget.was_looking;
	st->step = h->budget.step;
	pthread_mutex_unlock(&h->lock);
	h->step = h->budget.step;
}

enum prowl_code host_begin(struct prowl_host *h, struct prowl_err *err)
{
	uint64_t now;

	h->sampler = pthread_self();
	open_session(h);
	now = host_mono(h);
	h->next_scan = now + h->o.rescan_ns;
	h->next_tokens = now + SECOND_NS;
	if (h->session)
		host_begin_windows(h);
	host_scan(h, true);
	show_status(h);
	return PROWL_OK;
}

static void refill(struct prowl_host *h, uint64_t now)
{
	if (now < h->next_tokens)
		return;
	h->next_tokens = now + SECOND_NS;
	if (h->tokens < h->o.opens_per_second)
		h->tokens = h->o.opens_per_second;
}

static void keep_to_budget(struct prowl_host *h, uint64_t now)
{
	if (now - h->budget.since < h->budget.over_ns)
		return;
	if (!host_budget_measure(&h->budget, now, host_thread_cpu(h->sampler), host_look_cpu(h)))
		return;
	host_shed(h);
	host_say(h, PROWL_HOST_BUDGET, "%.2f %% of a CPU, of %.2f %% allowed: from now on %s",
		 100 * (h->budget.was_sampling + h->budget.was_looking),
		 100 * (h->budget.sampling + h->budget.looking), host_step_text(h->budget.step));
}

static void rescan(struct prowl_host *h, uint64_t now)
{
	bool lost = h->lost;

	if (!lost && now < h->next_scan)
		return;
	h->lost = false;
	h->next_scan = now + h->o.rescan_ns;
	if (lost)
		host_say(h, PROWL_HOST_LOST,
			 "records were lost since a ring was full: processes are listed anew");
	host_scan(h, lost || h->status.mode != PROWL_HOST_WHOLE_CPUS);
}

static void cut_in_time(struct prowl_host *h)
{
	if (!h->session || !host_clock_over(&h->clock))
		return;
	if (h->clock.flags & (PROWL_HOST_CLOCK_STEPPED | PROWL_HOST_SUSPENDED))
		host_say(h, PROWL_HOST_CLOCK, "%s: the window ends here",
			 h->clock.flags & PROWL_HOST_SUSPENDED ? "the machine slept"
							       : "the clock was set");
	host_cut(h, 0);
}

static void sample(struct prowl_host *h, int wake_fd)
{
	uint64_t now = host_mono(h), ns = TURN_MS * UINT64_C(1000000);
	struct pollfd wake = {.fd = wake_fd, .events = POLLIN};

	if (!h->session) {
		poll(&wake, 1, TURN_MS);
		return;
	}
	if (h->clock.mono_end < now + ns)
		ns = h->clock.mono_end > now ? h->clock.mono_end - now : 0;
	prowl_session_collect(h->session, ns, wake_fd);
}

void host_turn(struct prowl_host *h, int wake_fd)
{
	uint64_t now;

	sample(h, wake_fd);
	cut_in_time(h);
	now = host_mono(h);
	refill(h, now);
	if (h->reconsider) {
		h->reconsider = false;
		host_reconsider_all(h);
	}
	host_tidy(h);
	rescan(h, now);
	keep_to_budget(h, now);
	show_status(h);
}

void host_end(struct prowl_host *h)
{
	if (h->session && h->status.mode != PROWL_HOST_STARTING)
		host_cut(h, PROWL_HOST_LAST | PROWL_HOST_SHORT);
	show_status(h);
	set_mode(h, PROWL_HOST_STARTING, "");
	host_look_stop(h);
	host_deliver_stop(h);
}

enum prowl_code prowl_host_run(struct prowl_host *h, int wake_fd, struct prowl_err *err)
{
	struct pollfd wake = {.fd = wake_fd, .events = POLLIN};
	enum prowl_code code;
	int r = host_deliver_start(h);

	if (r < 0)
		return prowl_fail(err, PROWL_FAILED, "a thread can't be started: %s", strerror(-r));
	code = host_begin(h, err);
	if (code == PROWL_OK && host_look_start(h) < 0)
		host_say(h, PROWL_HOST_TROUBLE, "no runtime profiles: a thread can't be started");
	while (code == PROWL_OK && poll(&wake, 1, 0) <= 0)
		host_turn(h, wake_fd);
	host_end(h);
	return code;
}

/* --- what others ask ------------------------------------------------------------- */

void prowl_host_reconsider(struct prowl_host *h)
{
	h->reconsider = true;
}

static bool is_target(const struct host_process *p)
{
	return p->state >= HOST_TARGET && p->series;
}

void prowl_host_targets(struct prowl_host *h,
			int (*cb)(void *ctx, const struct prowl_host_target *t), void *ctx)
{
	int r = 0;

	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < h->table.n && r == 0; i++) {
		struct prowl_host_target t;

		if (!is_target(h->table.list[i]))
			continue;
		host_describe(h->table.list[i], &t);
		if (h->status.mode == PROWL_HOST_NOT_SAMPLING)
			t.why = h->status.why;
		r = cb(ctx, &t);
	}
	pthread_mutex_unlock(&h->lock);
}

void prowl_host_status(struct prowl_host *h, struct prowl_host_status *ret)
{
	pthread_mutex_lock(&h->lock);
	*ret = h->shown;
	ret->mode = h->status.mode;
	memcpy(ret->why, h->status.why, sizeof ret->why);
	ret->rate = h->status.rate;
	ret->looks = h->status.looks;
	ret->looks_failed = h->status.looks_failed;
	ret->captures = h->status.captures;
	ret->undelivered = h->status.undelivered;
	pthread_mutex_unlock(&h->lock);
}

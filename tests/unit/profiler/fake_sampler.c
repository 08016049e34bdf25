/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_sampler.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

static const struct prowl_event_kind fake_kind = {.name = "cpu-clock",
						  .type = "cpu",
						  .unit = "nanoseconds",
						  .period_type = "cpu",
						  .period_unit = "nanoseconds",
						  .scale_to_charge = true};

struct fake_sampler fake;

void fake_reset(void)
{
	fake_free();
	fake = (struct fake_sampler){
		.now = 1000000 * (uint64_t)FAKE_MS,
		.facts = {.whole_cpus = true, .kernel = true, .ncpus = 1, .max_stack = 127}};
}

void fake_free(void)
{
	free(fake.script);
	fake.script = NULL;
}

uint64_t fake_now(void)
{
	return fake.now;
}

bool fake_times(pid_t pid, struct prowl_times *ret)
{
	for (size_t i = 0; i < fake.nprocesses; i++) {
		if (fake.process[i].pid != pid)
			continue;
		*ret = fake.process[i].times;
		return ret->state != 0;
	}
	return fake.others && fake.others(pid, ret);
}

struct prowl_times *fake_times_of(pid_t pid)
{
	size_t i = 0;

	while (i < fake.nprocesses && fake.process[i].pid != pid)
		i++;
	if (i == fake.nprocesses) {
		assert(i < FAKE_PROCESSES);
		fake.nprocesses++;
		fake.process[i].pid = pid;
		fake.process[i].times = (struct prowl_times){
			.state = 'R', .threads = 1, .start = 1, .has_cpu = true};
	}
	return &fake.process[i].times;
}

void fake_cpu(pid_t pid, uint64_t ns)
{
	fake_times_of(pid)->cpu_ns = ns;
}

void fake_gone(pid_t pid)
{
	fake_times_of(pid)->state = 0;
}

void fake_event(const struct prowl_event *ev)
{
	if (fake.n == fake.cap) {
		fake.cap = fake.cap ? fake.cap * 2 : 64;
		fake.script = realloc(fake.script, fake.cap * sizeof *fake.script);
		assert(fake.script);
	}
	assert(fake.n == 0 || fake.script[fake.n - 1].time <= ev->time);
	fake.script[fake.n++] = *ev;
}

void fake_sample(uint64_t time, pid_t pid, uint64_t weight)
{
	static const uint64_t at[] = {0xffffffff81000000};

	fake_event(&(struct prowl_event){.type = PROWL_EVENT_SAMPLE,
					 .time = time,
					 .pid = pid,
					 .tid = pid,
					 .sample = {.ip = at[0],
						    .weight = weight,
						    .in_kernel = true,
						    .kernel = at,
						    .nkernel = 1}});
}

/* --- the sampler ----------------------------------------------------------------- */

static enum prowl_code fake_open(const struct prowl_sampler_options *o, struct prowl_sampler **ret,
				 struct prowl_err *err)
{
	struct prowl_sampler *s = calloc(1, sizeof *s);

	assert(s && fake.nopened < FAKE_OPENED);
	s->ops = &fake_sampler;
	s->facts = fake.facts;
	fake.opened[fake.nopened++] = *o;
	*ret = s;
	return PROWL_OK;
}

static void fake_close(struct prowl_sampler *s)
{
	fake.nclosed++;
	free(s);
}

static int fake_wait(struct prowl_sampler *s, int timeout_ms, int wake_fd, bool prompt)
{
	struct pollfd wake = {.fd = wake_fd, .events = POLLIN};
	uint64_t until = fake.now + (uint64_t)timeout_ms * FAKE_MS;

	fake.waits++;
	if (wake_fd >= 0 && poll(&wake, 1, 0) > 0)
		return 1;
	if (prompt && fake.next < fake.n && fake.script[fake.next].time < until)
		until = fake.script[fake.next].time;
	if (until > fake.now)
		fake.now = until;
	return 0;
}

static size_t fake_drain(struct prowl_sampler *s, const struct prowl_takers *takers, void *ctx)
{
	size_t n = 0;

	for (; fake.next < fake.n && fake.script[fake.next].time <= fake.now; fake.next++) {
		const struct prowl_event *ev = &fake.script[fake.next];
		bool sample = ev->type == PROWL_EVENT_SAMPLE;

		s->counts.samples += sample;
		if (!sample || takers->want(ctx, ev->pid))
			takers->event(ctx, ev);
		n++;
	}
	return n;
}

static int fake_add(struct prowl_sampler *s, pid_t pid)
{
	fake.nadded++;
	return 0;
}

static void fake_remove(struct prowl_sampler *s, pid_t pid)
{
	fake.nremoved++;
}

static void fake_take_output(struct prowl_sampler *s)
{
}

static void fake_stop(struct prowl_sampler *s)
{
	fake.stopped = true;
}

const struct prowl_sampler_ops fake_sampler = {.name = "fake",
					       .kind = &fake_kind,
					       .open = fake_open,
					       .close = fake_close,
					       .wait = fake_wait,
					       .drain = fake_drain,
					       .add = fake_add,
					       .remove = fake_remove,
					       .take_output = fake_take_output,
					       .stop = fake_stop};

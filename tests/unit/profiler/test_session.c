/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions over a scripted sampler and clock: windows, exits, execs, loss, wake-ups. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_sampler.h"
#include "pprof.h"
#include "session_parts.h"
#include "unit_test.h"

enum { RATE = 100, PERIOD = 10 * FAKE_MS };
#define MS     ((uint64_t)FAKE_MS)
#define SECOND (1000 * MS)

static struct prowl_session *s;
static struct pprof_profile *profile;
static uint64_t began;

static int setup(void **state)
{
	fake_reset();
	began = fake.now;
	fake_cpu(getpid(), 0);
	s = NULL;
	profile = NULL;
	return 0;
}

static int teardown(void **state)
{
	pprof_profile_free(profile);
	prowl_session_free(s);
	assert_int_equal(fake.nclosed, fake.nopened);
	fake_free();
	return 0;
}

static void open_with(struct prowl_options o)
{
	pid_t self = getpid();
	struct prowl_err err;

	if (!o.pids) {
		o.pids = &self;
		o.npids = 1;
	}
	if (!o.rate)
		o.rate = RATE;
	o.no_bpf = true;
	o.sampler = &fake_sampler;
	o.now = fake_now;
	o.times = fake_times;
	assert_int_equal(prowl_session_open(&o, &s, &err), PROWL_OK);
}

static void collect(uint64_t ms)
{
	prowl_session_collect(s, ms * MS, -1);
}

static void cut(void)
{
	struct prowl_err err;

	pprof_profile_free(profile);
	profile = NULL;
	assert_int_equal(prowl_session_cut(s, &profile, &err), PROWL_OK);
}

static int64_t sum(const struct pprof_profile *p, int value)
{
	int64_t n = 0;

	for (size_t i = 0; i < p->nsamples; i++)
		n += pprof_sample_values(p, i)[value];
	return n;
}

/* The sum at samples with this leaf. */
static int64_t sum_at(const struct pprof_profile *p, const char *leaf, int value)
{
	int64_t n = 0;

	for (size_t i = 0; i < p->nsamples; i++) {
		const struct pprof_location *l = &p->locations[pprof_sample_stack(p, i)[0]];
		uint32_t f = p->lines[l->first_line].function;

		if (!strcmp(p->strings[p->functions[f].name], leaf))
			n += pprof_sample_values(p, i)[value];
	}
	return n;
}

static pid_t child_that_waits(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

static void end_child(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void execs(uint64_t time, pid_t pid, const char *name)
{
	fake_event(&(struct prowl_event){.type = PROWL_EVENT_COMM,
					 .time = time,
					 .pid = pid,
					 .tid = pid,
					 .comm = {.exec = true, .comm = name}});
}

static void forks(uint64_t time, pid_t parent, pid_t pid)
{
	fake_event(&(struct prowl_event){.type = PROWL_EVENT_FORK,
					 .time = time,
					 .pid = pid,
					 .tid = pid,
					 .fork = {.ppid = parent, .ptid = parent}});
}

static void exits(uint64_t time, pid_t pid)
{
	fake_event(&(struct prowl_event){
		.type = PROWL_EVENT_EXIT, .time = time, .pid = pid, .tid = pid});
}

/* --- windows --------------------------------------------------------------------- */

/* Each sample is in one window, windows follow each other without a gap, weights are the charge. */
TEST_WITH(test_windows, setup, teardown)
{
	for (int i = 1; i <= 30; i++)
		fake_sample(began + (uint64_t)i * 100 * MS, getpid(), PERIOD);
	open_with((struct prowl_options){0});
	for (int i = 1; i <= 3; i++) {
		int64_t start = profile ? profile->time_nanos + profile->duration_nanos : 0;

		collect(1000);
		/* The charge is read with the end of the window. */
		fake_cpu(getpid(), (uint64_t)i * 11 * PERIOD);
		cut();
		assert_int_equal(sum(profile, 0), 10);
		assert_int_equal(sum(profile, 1), 11 * PERIOD);
		assert_int_equal(profile->duration_nanos, SECOND);
		assert_int_equal(profile->period, PERIOD);
		assert_int_equal(profile->ncomments, 0);
		if (start)
			assert_int_equal(profile->time_nanos, start);
	}
	assert_int_equal(prowl_session_result(s)->samples, 30);
	assert_int_equal(fake.now, began + 3 * SECOND);
	assert_int_equal(prowl_session_result(s)->first_sample_ns, 100 * MS);
}

/* Time without a sample belongs to the next window that has some, and at the end to no stack. */
TEST_WITH(test_time_is_kept, setup, teardown)
{
	fake_sample(began + 1500 * MS, getpid(), PERIOD);
	open_with((struct prowl_options){0});
	collect(1000);
	fake_cpu(getpid(), 1 * PERIOD);
	cut();
	assert_int_equal(profile->nsamples, 0);
	collect(1000);
	cut();
	assert_int_equal(sum(profile, 0), 1);
	assert_int_equal(sum(profile, 1), PERIOD);
	fake_cpu(getpid(), 5 * PERIOD);
	pprof_profile_free(profile);
	assert_int_equal(prowl_session_build(s, &profile, NULL), PROWL_OK);
	assert_int_equal(sum_at(profile, "[not sampled]", 1), 4 * PERIOD);
	assert_int_equal(sum(profile, 1), 4 * PERIOD);
}

/* Whatever is called after whatever: no crash, and nothing counts twice. */
TEST_WITH(test_any_order, setup, teardown)
{
	int64_t total = 0;
	struct prowl_err err;

	for (int i = 1; i <= 10; i++)
		fake_sample(began + (uint64_t)i * 100 * MS, getpid(), PERIOD);
	open_with((struct prowl_options){0});
	cut();
	total += sum(profile, 0);
	collect(500);
	assert_int_equal(prowl_session_run(s, 800 * MS, NULL, NULL, &err), PROWL_OK);
	assert_true(fake.stopped);
	assert_int_equal(fake.now, began + 800 * MS);
	collect(1000); /* is over */
	assert_int_equal(prowl_session_run(s, 5 * SECOND, NULL, NULL, &err), PROWL_OK);
	assert_int_equal(fake.now, began + 800 * MS);
	cut();
	assert_int_equal(sum(profile, 0), 8);
	total += sum(profile, 0);
	for (int i = 0; i < 2; i++) {
		pprof_profile_free(profile);
		profile = NULL;
		assert_int_equal(prowl_session_build(s, &profile, &err), PROWL_OK);
		assert_true(profile->ncomments > 0);
		total += sum(profile, 0);
	}
	cut();
	total += sum(profile, 0);
	collect(10);
	assert_int_equal(total, 8);
	assert_int_equal(prowl_session_result(s)->samples, 8);
}

/* Samples beyond the end of a run don't count, however late they are drained. */
TEST_WITH(test_end, setup, teardown)
{
	struct prowl_err err;

	fake_sample(began - 1, getpid(), PERIOD);
	fake_sample(began + 300 * MS, getpid(), PERIOD);
	fake_sample(began + 301 * MS, getpid(), PERIOD);
	open_with((struct prowl_options){0});
	assert_int_equal(prowl_session_run(s, 300 * MS, NULL, NULL, &err), PROWL_OK);
	fake.now += SECOND;
	assert_int_equal(prowl_session_build(s, &profile, &err), PROWL_OK);
	assert_int_equal(sum(profile, 0), 1);
	assert_int_equal(prowl_session_result(s)->seen, 2);
}

TEST_WITH(test_nothing, setup, teardown)
{
	struct prowl_err err;

	open_with((struct prowl_options){0});
	assert_int_equal(prowl_session_run(s, SECOND, NULL, NULL, &err), PROWL_NOTHING);
	assert_non_null(strstr(err.text, "the target used 0.0 ms of CPU in 1.0 s"));
}

/* --- what wakes it --------------------------------------------------------------- */

TEST_WITH(test_wake, setup, teardown)
{
	int fd;
	struct prowl_err err;

	fake_sample(began + 50 * MS, getpid(), PERIOD);
	open_with((struct prowl_options){0});
	fd = prowl_session_wake_fd(s);
	collect(100);
	assert_int_equal(write(fd, &(uint64_t){1}, 8), 8);
	prowl_session_collect(s, 10 * SECOND, fd);
	assert_int_equal(fake.now, began + 100 * MS);
	collect(100); /* without it, it goes on */
	assert_int_equal(fake.now, began + 200 * MS);
	/* What ends a run is not what ends the naming of its stacks. */
	assert_int_equal(prowl_session_run(s, 0, NULL, NULL, &err), PROWL_OK);
	assert_int_equal(prowl_session_build(s, &profile, &err), PROWL_OK);
	assert_false(prowl_session_result(s)->hurried);
	assert_int_equal(sum(profile, 0), 1);
}

static void on_progress(void *ctx, const struct prowl_result *r)
{
	++*(int *)ctx;
}

/* A slow rate is drained ten times a second, a fast one four times once it runs; a tick is kept. */
TEST_WITH(test_turns, setup, teardown)
{
	struct prowl_err err;
	int progress = 0;

	open_with((struct prowl_options){0});
	collect(10000);
	assert_in_range(fake.waits, 100, 101);
	prowl_session_free(s);
	fake.waits = 0;
	open_with((struct prowl_options){.rate = 9999});
	collect(10000);
	assert_in_range(fake.waits, 40, 50);
	prowl_session_free(s);
	open_with((struct prowl_options){.rate = 9999, .tick_ms = 20});
	prowl_session_run(s, SECOND, on_progress, &progress, &err);
	assert_in_range(progress, 50, 51);
}

/* --- loss ------------------------------------------------------------------------ */

static void loses(uint64_t time, uint64_t n)
{
	fake_event(&(struct prowl_event){.type = PROWL_EVENT_LOST, .time = time, .lost = n});
}

/* Per thread they are samples of the targets, with a weight; of a later window only once. */
TEST_WITH(test_lost, setup, teardown)
{
	fake.facts.whole_cpus = false;
	loses(began - 1, 100); /* before the session */
	fake_sample(began + 10 * MS, getpid(), PERIOD);
	loses(began + 20 * MS, 3);
	fake_sample(began + 1010 * MS, getpid(), PERIOD);
	open_with((struct prowl_options){0});
	collect(1000);
	fake_cpu(getpid(), 4 * PERIOD);
	cut();
	assert_int_equal(sum_at(profile, "[lost]", 0), 3);
	assert_int_equal(sum_at(profile, "[lost]", 1), 3 * PERIOD);
	assert_int_equal(sum(profile, 1), 4 * PERIOD);
	collect(1000);
	fake_cpu(getpid(), 5 * PERIOD);
	cut();
	assert_int_equal(sum_at(profile, "[lost]", 0), 0);
	assert_int_equal(sum(profile, 1), PERIOD);
	assert_int_equal(prowl_session_result(s)->lost, 3);
}

/* With whole CPUs they may be of anybody: a count only. */
TEST_WITH(test_lost_of_cpus, setup, teardown)
{
	fake_sample(began + 10 * MS, getpid(), PERIOD);
	loses(began + 20 * MS, 1);
	open_with((struct prowl_options){0});
	collect(1000);
	fake_cpu(getpid(), 2 * PERIOD);
	cut();
	assert_int_equal(sum(profile, 0), 1);
	assert_int_equal(sum(profile, 1), 2 * PERIOD);
	assert_int_equal(prowl_session_result(s)->lost, 1);
}

/* Where stacks are cut because the copies are too short, larger ones take over, twice at most. */
TEST_WITH(test_short_copies, setup, teardown)
{
	static const uint64_t user[] = {0x1000};

	for (uint64_t i = 0; i < 300; i++)
		fake_event(&(struct prowl_event){
			.type = PROWL_EVENT_SAMPLE,
			.time = began + (i + 1) * 10 * MS,
			.pid = getpid(),
			.tid = getpid(),
			.sample = {.weight = PERIOD,
				   .user = user,
				   .nuser = 1,
				   .has_regs = true,
				   .regs = {.ip = (uint64_t)(uintptr_t)test_short_copies}}});
	open_with((struct prowl_options){.rate = 2000});
	collect(4000);
	assert_int_equal(prowl_session_result(s)->samples, 300);
	assert_int_equal(prowl_session_result(s)->user_stacks, 300);
	assert_int_equal(fake.opened[0].stack_bytes, 512);
	assert_int_equal(fake.nopened, 3);
	assert_int_equal(fake.opened[1].stack_bytes, 4096);
	assert_int_equal(fake.opened[2].stack_bytes, 8192);
	/* No sample is counted by both, none by neither. */
	assert_int_equal(prowl_session_result(s)->seen, 300);
}

/* --- processes ------------------------------------------------------------------- */

/* A target that ends is seen by its clock, and ends the collecting. */
TEST_WITH(test_exit, setup, teardown)
{
	struct prowl_target t;

	fake_sample(began + 100 * MS, getpid(), PERIOD);
	exits(began + 400 * MS, getpid());
	open_with((struct prowl_options){0});
	collect(300);
	fake_cpu(getpid(), PERIOD);
	collect(50);
	fake_gone(getpid());
	collect(10000);
	assert_in_range(fake.now - began, 350 * MS, 600 * MS);
	assert_true(prowl_session_result(s)->all_exited);
	cut();
	assert_int_equal(sum(profile, 0), 1);
	assert_int_equal(sum(profile, 1), PERIOD);
	/* It stays in the list, until it is removed. */
	cut();
	assert_int_equal(prowl_session_targets(s), 1);
	prowl_session_target(s, 0, &t);
	assert_true(t.exited);
	prowl_session_remove(s, getpid());
	cut();
	assert_int_equal(prowl_session_targets(s), 0);
	assert_int_equal(s->procs.nimages - s->procs.nunused, 0);
}

/* Samples of before an exec are named by the mappings of before, in their window. */
TEST_WITH(test_exec, setup, teardown)
{
	const struct prowl_image *first;

	fake_sample(began + 100 * MS, getpid(), PERIOD);
	execs(began + 200 * MS, getpid(), "next");
	fake_sample(began + 300 * MS, getpid(), PERIOD);
	open_with((struct prowl_options){0});
	first = s->procs.procs[0]->image;
	collect(1000);
	assert_ptr_equal(s->procs.images[0], first);
	assert_true(first->in_window);
	cut();
	assert_int_equal(sum(profile, 0), 2);
	assert_null(s->procs.images[0]);
	assert_non_null(s->procs.images[1]);
	assert_string_equal(s->procs.procs[0]->comm, "next");
	/* It is the only one, and goes on. */
	fake_sample(fake.now + 100 * MS, getpid(), PERIOD);
	collect(1000);
	cut();
	assert_int_equal(sum(profile, 0), 1);
}

static int by_process(void *ctx, pid_t pid, struct pprof_profile *p)
{
	int64_t *samples = ctx;

	assert_true(pid == getpid() || pid == (pid_t)samples[0]);
	samples[pid == getpid() ? 1 : 2] += sum(p, 0);
	pprof_profile_free(p);
	return 0;
}

/* A process is a target from when it is added until it is removed, not before and not after. */
TEST_WITH(test_add_remove, setup, teardown)
{
	pid_t pid = child_that_waits();
	int64_t samples[3] = {pid};
	struct prowl_err err;

	fake_cpu(pid, 0);
	for (int i = 1; i <= 30; i++) {
		fake_sample(began + (uint64_t)i * 100 * MS, getpid(), PERIOD);
		fake_sample(began + (uint64_t)i * 100 * MS, pid, PERIOD);
	}
	open_with((struct prowl_options){0});
	collect(1000);
	assert_int_equal(prowl_session_add(s, pid, &err), PROWL_OK);
	assert_int_equal(prowl_session_add(s, pid, &err), PROWL_OK);
	assert_int_equal(prowl_session_targets(s), 2);
	assert_int_equal(fake.nadded, 1);
	collect(1000);
	assert_int_equal(prowl_session_cut_each(s, PROWL_BY_PROCESS, by_process, samples, &err),
			 PROWL_OK);
	assert_int_equal(samples[1], 20);
	assert_int_equal(samples[2], 10);
	collect(500);
	prowl_session_remove(s, pid);
	assert_int_equal(fake.nremoved, 1);
	collect(500);
	assert_int_equal(prowl_session_cut_each(s, PROWL_BY_PROCESS, by_process, samples, &err),
			 PROWL_OK);
	assert_int_equal(samples[1], 30);
	assert_int_equal(samples[2], 15);
	assert_int_equal(prowl_session_targets(s), 1);
	assert_int_equal(prowl_session_result(s)->samples, 45);
	end_child(pid);
	assert_int_equal(prowl_session_add(s, pid, &err), PROWL_NOTHING);
	assert_int_equal(prowl_session_targets(s), 1);
}

/* What a removed process used is in the windows until then, to the nanosecond. */
TEST_WITH(test_charge_of_removed, setup, teardown)
{
	pid_t pid = child_that_waits();
	struct prowl_err err;
	int64_t total = 0;

	fake_cpu(pid, 0);
	fake_sample(began + 100 * MS, getpid(), PERIOD);
	open_with((struct prowl_options){.stay = true});
	assert_int_equal(prowl_session_add(s, pid, &err), PROWL_OK);
	collect(500);
	fake_cpu(getpid(), PERIOD);
	fake_cpu(pid, 7 * PERIOD); /* and no sample */
	prowl_session_remove(s, pid);
	fake_cpu(pid, 100 * PERIOD);
	cut();
	total += sum(profile, 1);
	assert_int_equal(sum_at(profile, "[not sampled]", 1), 7 * PERIOD);
	collect(500);
	cut();
	total += sum(profile, 1);
	assert_int_equal(total, 8 * PERIOD);
	assert_int_equal(prowl_session_result(s)->cpu_ns, 8 * PERIOD);
	end_child(pid);
}

/* A session without a target waits for one, if it is to. */
TEST_WITH(test_stay, setup, teardown)
{
	open_with((struct prowl_options){.stay = true});
	prowl_session_remove(s, getpid());
	collect(1000);
	assert_int_equal(fake.now, began + SECOND);
	cut();
	assert_int_equal(profile->nsamples, 0);
	assert_int_equal(prowl_session_targets(s), 0);
	assert_int_equal(prowl_session_add(s, getpid(), NULL), PROWL_OK);
	fake_sample(fake.now + 100 * MS, getpid(), PERIOD);
	collect(1000);
	cut();
	assert_int_equal(sum(profile, 0), 1);
}

/* --- a storm --------------------------------------------------------------------- */

static uint64_t child_clock;

/* Children live from their fork until the next reading of the clocks. */
static bool child_times(pid_t pid, struct prowl_times *ret)
{
	if (fake.now > child_clock)
		return false;
	*ret = (struct prowl_times){.state = 'R', .threads = 1, .start = 2, .has_cpu = true};
	return true;
}

/*
 * 5,000 children, each of which execs, is sampled and ends: the table, the images and the numbers
 * of threads are no more after the last window than after the first, and all of their time counts.
 */
TEST_WITH(test_storm, setup, teardown)
{
	enum { WINDOWS = 50, CHILDREN = 100, FIRST = 1 << 28 };
	size_t nimages = 0, nthreads = 0;
	int64_t total = 0;
	pid_t pid = FIRST;

	fake.others = child_times;
	open_with((struct prowl_options){.children = true, .threads = true});
	s->procs.procs[0]->had_children = false;
	for (int w = 0; w < WINDOWS; w++) {
		uint64_t at = fake.now + 10 * MS;

		for (int i = 0; i < CHILDREN; i++, pid++) {
			forks(at, getpid(), pid);
			execs(at, pid, "child");
			fake_sample(at, pid, PERIOD);
			exits(at, pid);
		}
		child_clock = at + 500 * MS;
		collect(400);
		child_clock = 0;
		/* The parent has waited for them: one tick each. */
		fake_times_of(getpid())->cutime += CHILDREN * (uint64_t)sysconf(_SC_CLK_TCK) *
						   PERIOD / SECOND;
		collect(200);
		cut();
		total += sum(profile, 1);
		assert_int_equal(sum(profile, 0), CHILDREN);
		assert_int_equal(s->procs.n, 1);
		if (w == 1) {
			nimages = s->procs.nimages;
			nthreads = s->threads.n;
		} else if (w > 1) {
			assert_int_equal(s->procs.nimages, nimages);
			assert_int_equal(s->threads.n, nthreads);
		}
	}
	assert_int_equal(pid - FIRST, WINDOWS * CHILDREN);
	assert_int_equal(total, WINDOWS * CHILDREN * (int64_t)PERIOD);
	assert_int_equal(prowl_session_result(s)->samples, WINDOWS * CHILDREN);
}

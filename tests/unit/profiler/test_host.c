/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host over a scripted sampler and clocks: processes that come and go by records, windows, clock
 * steps, series, others, limits, shedding. Processes have pids that no kernel gives.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fake_sampler.h"
#include "host_parts.h"
#include "pprof.h"
#include "unit_test.h"

enum { RATE = 100, PERIOD = 10 * FAKE_MS, FIRST = 0x7000000, MOST = 16 };
#define MS     ((uint64_t)FAKE_MS)
#define SECOND (1000 * MS)
#define WINDOW (10 * SECOND)

struct seen_part {
	char service[32];
	uint64_t samples, cpu_ns;
	int64_t time, duration;
};

struct seen_window {
	struct prowl_host_window w; /* its pointers are gone */
	struct seen_part part[MOST];
	struct {
		pid_t pid;
		char service[32];
		uint64_t samples;
	} member[MOST];
	struct {
		char comm[64];
		uint64_t samples, cpu_ns;
	} other[MOST];
};

static struct prowl_host *h;
static struct seen_window windows[MOST];
static size_t nwindows, ndecided, nappeared, ngone, nchanged, nevents[PROWL_HOST_TROUBLE + 1];
static int64_t wall_offset, slept;
static unsigned int rate_of_slow;
static char program[256]; /* this test's own file */
static struct stat program_stat;
static struct prowl_host_program last;
static char last_cgroup[256];
static bool refuse_all;

/* --- the caller ------------------------------------------------------------------ */

/* Programs called "svc-..." are targets, each name a service. */
static void decide(void *ctx, const struct prowl_host_program *p, struct prowl_host_decision *ret)
{
	static struct prowl_series *made;
	struct prowl_series_label label = {PROWL_SERIES_SERVICE, p->comm, true};

	if (p->id.pid < FIRST)
		return;
	ndecided++;
	last = *p;
	snprintf(last_cgroup, sizeof last_cgroup, "%s", p->cgroup);
	if (refuse_all || strncmp(p->comm, "svc-", 4) != 0)
		return;
	prowl_series_free(made);
	assert_int_equal(prowl_series_new(&label, 1, &made), 0);
	ret->profile = true;
	ret->series = made;
	ret->rate = strcmp(p->comm, "svc-slow") == 0 ? rate_of_slow : 0;
}

static void on_window(void *ctx, struct prowl_host_window *w)
{
	struct seen_window *seen = &windows[nwindows++];

	assert_true(nwindows <= MOST && w->nparts <= MOST && w->nmembers <= MOST);
	memset(seen, 0, sizeof *seen);
	seen->w = *w;
	for (size_t i = 0; i < w->nparts; i++) {
		seen->part[i] = (struct seen_part){.samples = w->parts[i].samples,
						   .cpu_ns = w->parts[i].cpu_ns,
						   .time = w->parts[i].profile->time_nanos,
						   .duration = w->parts[i].profile->duration_nanos};
		snprintf(seen->part[i].service, 32, "%s",
			 prowl_series_get(w->parts[i].series, PROWL_SERIES_SERVICE));
	}
	for (size_t i = 0; i < w->nmembers; i++) {
		seen->member[i].pid = w->members[i].id.pid;
		seen->member[i].samples = w->members[i].samples;
		snprintf(seen->member[i].service, 32, "%s",
			 prowl_series_get(w->members[i].series, PROWL_SERIES_SERVICE));
	}
	for (size_t i = 0; i < w->nothers && i < MOST; i++) {
		snprintf(seen->other[i].comm, 64, "%s", w->others[i].comm);
		seen->other[i].samples = w->others[i].samples;
		seen->other[i].cpu_ns = w->others[i].cpu_ns;
	}
}

static void on_target(void *ctx, const struct prowl_host_target *t)
{
	if (t->id.pid < FIRST)
		return;
	nappeared += t->change == PROWL_HOST_APPEARED;
	ngone += t->change == PROWL_HOST_GONE;
	nchanged += t->change == PROWL_HOST_CHANGED;
}

static void on_event(void *ctx, const struct prowl_host_event *e)
{
	nevents[e->kind]++;
}

static uint64_t wall(void)
{
	return fake.now + (uint64_t)wall_offset;
}

static uint64_t boot(void)
{
	return fake.now + (uint64_t)slept;
}

/* --- before and after ------------------------------------------------------------ */

static int setup(void **state)
{
	ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

	assert_true(n > 0 && stat("/proc/self/exe", &program_stat) == 0);
	program[n] = '\0';
	fake_reset();
	fake.now = 1000 * SECOND;
	wall_offset = (int64_t)(1700000000 * SECOND);
	slept = 0;
	nwindows = ndecided = nappeared = ngone = nchanged = 0;
	memset(nevents, 0, sizeof nevents);
	rate_of_slow = 0;
	refuse_all = false;
	h = NULL;
	return 0;
}

static int teardown(void **state)
{
	prowl_host_free(h);
	assert_int_equal(fake.nclosed, fake.nopened);
	fake_free();
	return 0;
}

static void open_with(struct prowl_host_options o)
{
	static const struct prowl_host_ops ops = {
		.decide = decide, .window = on_window, .target = on_target, .event = on_event};
	struct prowl_err err;

	o.rate = RATE;
	o.window_ns = WINDOW;
	o.no_bpf = true;
	o.no_labels = true;
	o.budget.over_ns = 3600 * SECOND; /* the test's own time is none of the script's */
	o.clocks = (struct prowl_host_clocks){fake_now, wall, boot};
	o.sampler = &fake_sampler;
	o.times = fake_times;
	assert_int_equal(prowl_host_open(&o, &ops, NULL, &h, &err), PROWL_OK);
	assert_int_equal(host_begin(h, &err), PROWL_OK);
}

static void run_until(uint64_t time)
{
	while (fake.now < time)
		host_turn(h, -1);
}

static void end(void)
{
	host_end(h);
	assert_true(nwindows > 0);
}

/* --- scripts --------------------------------------------------------------------- */

static void fork_at(uint64_t time, pid_t parent, pid_t pid)
{
	fake_event(&(struct prowl_event){.type = PROWL_EVENT_FORK,
					 .time = time,
					 .pid = pid,
					 .tid = pid,
					 .fork = {.ppid = parent, .ptid = parent}});
}

static void exec_file(uint64_t time, pid_t pid, const char *comm, const char *path,
		      const struct stat *st)
{
	fake_event(&(struct prowl_event){.type = PROWL_EVENT_COMM,
					 .time = time,
					 .pid = pid,
					 .tid = pid,
					 .comm = {.exec = true, .comm = comm}});
	fake_event(&(struct prowl_event){.type = PROWL_EVENT_MMAP,
					 .time = time,
					 .pid = pid,
					 .tid = pid,
					 .mmap = {.start = 0x400000,
						  .len = 0x100000,
						  .ino = st->st_ino,
						  .major = major(st->st_dev),
						  .minor = minor(st->st_dev),
						  .prot = 5,
						  .path = path}});
}

static void exec_at(uint64_t time, pid_t pid, const char *comm)
{
	exec_file(time, pid, comm, program, &program_stat);
}

static void exit_at(uint64_t time, pid_t pid)
{
	fake_event(&(struct prowl_event){
		.type = PROWL_EVENT_EXIT, .time = time, .pid = pid, .tid = pid});
}

static void samples_at(uint64_t time, pid_t pid, int n)
{
	for (int i = 0; i < n; i++)
		fake_sample(time + (uint64_t)i * PERIOD, pid, PERIOD);
}

static const struct seen_part *part_of(const struct seen_window *w, const char *service)
{
	for (size_t i = 0; i < w->w.nparts; i++) {
		if (!strcmp(w->part[i].service, service))
			return &w->part[i];
	}
	return NULL;
}

static uint64_t other_of(const struct seen_window *w, const char *comm)
{
	for (size_t i = 0; i < w->w.nothers && i < MOST; i++) {
		if (!strcmp(w->other[i].comm, comm))
			return w->other[i].samples;
	}
	return 0;
}

/* --- processes ------------------------------------------------------------------- */

TEST_WITH(a_program_that_is_gone_when_its_records_are_read_is_of_its_service, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;
	const struct seen_part *part;

	fork_at(t, FIRST, FIRST + 1);
	samples_at(t, FIRST + 1, 2); /* before its exec: of nobody's name yet */
	exec_at(t + 30 * MS, FIRST + 1, "svc-a");
	samples_at(t + 40 * MS, FIRST + 1, 5);
	exit_at(t + 90 * MS, FIRST + 1);
	open_with((struct prowl_host_options){0});
	run_until(t + 2 * SECOND);
	end();
	assert_int_equal(ndecided, 1);
	assert_true(last.gone && last.elf && !last.go);
	assert_int_equal(nappeared, 1);
	assert_int_equal(ngone, 1);
	part = part_of(&windows[0], "svc-a");
	assert_non_null(part);
	assert_int_equal(part->samples, 5);
	assert_int_equal(part->cpu_ns, 5 * PERIOD);
	assert_int_equal(windows[0].w.nmembers, 1);
	assert_int_equal(windows[0].member[0].pid, FIRST + 1);
	assert_int_equal(windows[0].w.others_samples, 2);
	assert_int_equal(h->table.n == 0 || !host_table_find(&h->table, FIRST + 1), 1);
}

TEST_WITH(a_program_is_read_once, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;
	uint64_t before;

	open_with((struct prowl_host_options){0});
	before = h->programs.opened;
	for (int i = 1; i <= 5; i++) {
		fork_at(t + (uint64_t)i * 100 * MS, FIRST, FIRST + i);
		exec_at(t + (uint64_t)i * 100 * MS + MS, FIRST + i, "svc-a");
		exit_at(t + (uint64_t)i * 100 * MS + 2 * MS, FIRST + i);
	}
	run_until(t + 2 * SECOND);
	end();
	assert_int_equal(ndecided, 5);
	assert_true(h->programs.opened <= before + 1); /* the scan has read it: it is ours */
	assert_int_equal(nappeared, 5);
	assert_int_equal(ngone, 5);
	assert_int_equal(h->groups.n, 0);
}

TEST_WITH(programs_beyond_the_ration_count_as_others, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;
	uint64_t unseen;

	open_with((struct prowl_host_options){0});
	host_tidy(h); /* of this machine, some may have ended while they were listed */
	unseen = h->status.unseen;
	host_programs_fini(&h->programs);
	h->tokens = 0;
	h->next_tokens = UINT64_MAX;
	fork_at(t, FIRST, FIRST + 1);
	exec_at(t + MS, FIRST + 1, "svc-a");
	samples_at(t + 2 * MS, FIRST + 1, 3);
	exit_at(t + 40 * MS, FIRST + 1);
	run_until(t + SECOND);
	end();
	assert_int_equal(ndecided, 0);
	assert_int_equal(h->status.unseen, unseen + 1);
	assert_int_equal(other_of(&windows[0], "svc-a"), 3);
}

TEST_WITH(a_series_has_one_profile_whoever_is_in_it, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;
	const struct seen_part *part;

	exec_at(t, FIRST + 1, "svc-a");
	exec_at(t, FIRST + 2, "svc-a");
	exec_at(t, FIRST + 3, "svc-b");
	for (int i = 0; i < 4; i++) {
		fake_sample(t + (uint64_t)i * PERIOD, FIRST + 1, PERIOD);
		fake_sample(t + (uint64_t)i * PERIOD, FIRST + 2, PERIOD);
		fake_sample(t + (uint64_t)i * PERIOD, FIRST + 3, PERIOD);
	}
	open_with((struct prowl_host_options){0});
	run_until(t + SECOND);
	end();
	assert_int_equal(windows[0].w.nparts, 2);
	part = part_of(&windows[0], "svc-a");
	assert_int_equal(part->samples, 8);
	assert_int_equal(part_of(&windows[0], "svc-b")->samples, 4);
	assert_int_equal(windows[0].w.nmembers, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(windows[0].member[i].samples, 4);
		assert_string_equal(windows[0].member[i].service,
				    windows[0].member[i].pid == FIRST + 3 ? "svc-b" : "svc-a");
	}
	assert_int_equal(windows[0].w.cpu_ns, 12 * PERIOD);
}

TEST_WITH(a_fork_is_of_its_parents_service_until_it_executes_something_else, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;

	exec_at(t, FIRST + 1, "svc-a");
	fork_at(t + 10 * MS, FIRST + 1, FIRST + 2);
	samples_at(t + 20 * MS, FIRST + 2, 2);
	exec_at(t + 50 * MS, FIRST + 2, "tool");
	samples_at(t + 60 * MS, FIRST + 2, 3);
	exit_at(t + 100 * MS, FIRST + 2);
	fork_at(t + 110 * MS, FIRST + 1, FIRST + 3);
	exec_at(t + 120 * MS, FIRST + 3, "svc-b");
	samples_at(t + 130 * MS, FIRST + 3, 4);
	open_with((struct prowl_host_options){0});
	run_until(t + SECOND);
	end();
	assert_int_equal(part_of(&windows[0], "svc-a")->samples, 2);
	assert_int_equal(part_of(&windows[0], "svc-b")->samples, 4);
	assert_int_equal(other_of(&windows[0], "tool"), 3);
	assert_int_equal(nappeared, 2); /* the fork that became a tool was never said to be one */
}

/* CPU times are read when records are, after the exec: it may be most of what was used by then. */
TEST_WITH(what_a_fork_uses_after_its_exec_is_not_of_its_parents_service, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;

	exec_at(t, FIRST + 1, "svc-a");
	samples_at(t + 10 * MS, FIRST + 1, 3);
	fake_cpu(FIRST + 1, 30 * MS);
	fork_at(t + 50 * MS, FIRST + 1, FIRST + 2);
	exec_at(t + 51 * MS, FIRST + 2, "svc-b");
	samples_at(t + 60 * MS, FIRST + 2, 10);
	fake_cpu(FIRST + 2, 101 * MS);
	fork_at(t + 170 * MS, FIRST + 1, FIRST + 3);
	samples_at(t + 180 * MS, FIRST + 3, 1);
	exec_at(t + 191 * MS, FIRST + 3, "tool");
	samples_at(t + 200 * MS, FIRST + 3, 5);
	fake_cpu(FIRST + 3, 62 * MS);
	open_with((struct prowl_host_options){0});
	run_until(t + SECOND);
	end();
	assert_int_equal(part_of(&windows[0], "svc-a")->cpu_ns, 30 * MS + PERIOD);
	assert_int_equal(part_of(&windows[0], "svc-b")->cpu_ns, 101 * MS);
	assert_int_equal(windows[0].w.cpu_ns, 141 * MS);
}

/* A shell that works for a while, and then becomes the service. */
TEST_WITH(what_was_used_before_an_exec_is_not_of_the_program, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;

	fork_at(t, FIRST, FIRST + 1);
	samples_at(t + 10 * MS, FIRST + 1, 15);
	exec_at(t + 160 * MS, FIRST + 1, "svc-a");
	samples_at(t + 170 * MS, FIRST + 1, 2);
	open_with((struct prowl_host_options){0});
	fake_cpu(FIRST + 1, 170 * MS);
	run_until(t + 2 * SECOND);
	end();
	assert_int_equal(windows[0].w.others_samples, 15);
	assert_int_equal(part_of(&windows[0], "svc-a")->samples, 2);
	/* The records are read within 250 ms. */
	assert_in_range(part_of(&windows[0], "svc-a")->cpu_ns, 10 * MS, 90 * MS);
}

TEST_WITH(a_program_that_executes_another_ends_with_that, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;

	exec_at(t, FIRST + 1, "svc-a");
	samples_at(t + 10 * MS, FIRST + 1, 4);
	samples_at(t + 12 * SECOND, FIRST + 1, 3);
	exec_at(t + 12050 * MS, FIRST + 1, "svc-b");
	samples_at(t + 12060 * MS, FIRST + 1, 6);
	open_with((struct prowl_host_options){0});
	fake_cpu(FIRST + 1, 40 * MS);
	run_until(t + 11500 * MS);
	fake_cpu(FIRST + 1, 130 * MS);
	run_until(t + 30 * SECOND);
	end();
	assert_int_equal(part_of(&windows[0], "svc-a")->cpu_ns, 40 * MS);
	assert_int_equal(part_of(&windows[1], "svc-a")->cpu_ns, 30 * MS);
	assert_int_equal(part_of(&windows[1], "svc-b")->cpu_ns, 60 * MS);
}

TEST_WITH(a_pid_that_is_used_again_is_another_process, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;

	exec_at(t, FIRST + 1, "svc-a");
	samples_at(t + 10 * MS, FIRST + 1, 2);
	exit_at(t + 50 * MS, FIRST + 1);
	fork_at(t + 60 * MS, FIRST, FIRST + 1);
	exec_at(t + 70 * MS, FIRST + 1, "svc-b");
	samples_at(t + 80 * MS, FIRST + 1, 3);
	exit_at(t + 120 * MS, FIRST + 1);
	fork_at(t + 130 * MS, FIRST, FIRST + 1);
	samples_at(t + 140 * MS, FIRST + 1, 4); /* no target at all */
	open_with((struct prowl_host_options){0});
	run_until(t + SECOND);
	end();
	assert_int_equal(part_of(&windows[0], "svc-a")->samples, 2);
	assert_int_equal(part_of(&windows[0], "svc-b")->samples, 3);
	assert_int_equal(windows[0].w.others_samples, 4);
	assert_int_equal(nappeared, 2);
	assert_int_equal(ngone, 2);
}

TEST_WITH(an_idle_target_stays_one_and_its_windows_add_up, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;
	uint64_t cpu = 0;

	fake_cpu(FIRST + 1, 0);
	exec_at(t, FIRST + 1, "svc-a");
	samples_at(t + 10 * MS, FIRST + 1, 3);
	samples_at(t + 25 * SECOND, FIRST + 1, 3);
	open_with((struct prowl_host_options){0});
	run_until(t + 500 * MS);
	fake_cpu(FIRST + 1, 32 * MS);
	run_until(t + 20 * SECOND);
	fake_cpu(FIRST + 1, 64 * MS);
	run_until(t + 40 * SECOND);
	end();
	for (size_t i = 0; i < nwindows; i++)
		cpu += windows[i].w.cpu_ns;
	assert_int_equal(cpu, 64 * MS);
	assert_int_equal(ngone, 0);
	assert_int_equal(h->sampled, 1);
}

TEST_WITH(lost_records_have_processes_listed_anew, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;
	uint64_t scans;

	open_with((struct prowl_host_options){0});
	scans = h->status.scans;
	fake_event(&(struct prowl_event){.type = PROWL_EVENT_LOST, .time = t, .lost = 7});
	run_until(t + 2 * SECOND);
	end();
	assert_int_equal(h->status.scans, scans + 1);
	assert_int_equal(nevents[PROWL_HOST_LOST], 1);
	assert_int_equal(windows[0].w.lost, 7);
}

TEST_WITH(rules_that_change_take_effect_and_are_said, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;
	pid_t self = getpid();

	/* Live: this process, as the host looks at it. */
	open_with((struct prowl_host_options){.self = true});
	assert_non_null(host_table_find(&h->table, self));
	exec_at(t, FIRST + 1, "svc-a");
	run_until(t + SECOND);
	assert_int_equal(nappeared, 1);
	refuse_all = true;
	prowl_host_reconsider(h);
	run_until(t + 3 * SECOND);
	/* It is not below /proc, so all that is known is that it has gone. */
	assert_int_equal(ngone, 1);
	end();
}

/* --- others ---------------------------------------------------------------------- */

TEST_WITH(others_count_by_name_and_all_adds_up, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;

	exec_at(t, FIRST + 1, "tool0");
	exec_at(t, FIRST + 2, "tool1");
	exec_at(t, FIRST + 3, "tool2");
	samples_at(t + 10 * MS, FIRST + 1, 5);
	samples_at(t + 110 * MS, FIRST + 2, 3);
	samples_at(t + 210 * MS, FIRST + 3, 1);
	samples_at(t + 310 * MS, -1, 2);
	open_with((struct prowl_host_options){.limits = {.others = 2}});
	run_until(t + SECOND);
	end();
	assert_int_equal(windows[0].w.nothers, 3);
	assert_string_equal(windows[0].other[0].comm, "tool0");
	assert_int_equal(windows[0].other[0].samples, 5);
	assert_int_equal(windows[0].other[0].cpu_ns, 5 * PERIOD);
	assert_string_equal(windows[0].other[1].comm, "tool1");
	assert_string_equal(windows[0].other[2].comm, "(rest)");
	assert_int_equal(windows[0].other[2].samples, 3);
	assert_int_equal(windows[0].w.others_samples, 11);
	assert_int_equal(windows[0].w.others_cpu_ns, 11 * PERIOD);
}

/* --- windows --------------------------------------------------------------------- */

TEST_WITH(windows_are_whole_periods_of_the_wall_clock_without_a_gap, setup, teardown)
{
	const uint64_t t = fake.now;

	wall_offset += (int64_t)(3 * SECOND);
	exec_at(t + MS, FIRST + 1, "svc-a");
	samples_at(t + 6995 * MS, FIRST + 1, 2); /* one before a boundary, one after it */
	open_with((struct prowl_host_options){0});
	run_until(t + 30 * SECOND);
	end();
	assert_true(nwindows >= 4);
	assert_true(windows[0].w.flags & PROWL_HOST_SHORT);
	assert_true(windows[0].w.flags & PROWL_HOST_RESTARTED);
	assert_int_equal(windows[0].w.mono_end - t, 7 * SECOND);
	assert_int_equal(part_of(&windows[0], "svc-a")->samples, 1);
	assert_int_equal(part_of(&windows[1], "svc-a")->samples, 1);
	for (size_t i = 0; i < nwindows; i++) {
		const struct prowl_host_window *w = &windows[i].w;

		assert_int_equal(w->number, i);
		assert_int_equal(w->slot % (int64_t)WINDOW, 0);
		assert_int_equal(w->again, 0);
		assert_int_equal(w->wall_start - wall_offset, w->mono_start);
		if (i > 0) {
			assert_int_equal(w->mono_start, windows[i - 1].w.mono_end);
			assert_int_equal(w->slot, windows[i - 1].w.slot + (int64_t)WINDOW);
			assert_int_equal(w->wall_start, w->slot);
		}
		if (i > 0 && i + 1 < nwindows) {
			assert_int_equal(w->flags, 0);
			assert_int_equal(w->mono_end - w->mono_start, WINDOW);
		}
		for (size_t k = 0; k < w->nparts; k++) {
			assert_int_equal(windows[i].part[k].time, w->wall_start);
			assert_int_equal(windows[i].part[k].duration, w->mono_end - w->mono_start);
		}
	}
	assert_true(windows[nwindows - 1].w.flags & PROWL_HOST_LAST);
}

/* Also by the wall clock, whatever became of that. */
static void assert_each_is_as_long_as_it_was(void)
{
	for (size_t i = 0; i < nwindows; i++) {
		const struct prowl_host_window *w = &windows[i].w;

		assert_int_equal(w->wall_end - w->wall_start, w->mono_end - w->mono_start);
	}
}

TEST_WITH(a_clock_that_is_set_forward_makes_no_window_longer, setup, teardown)
{
	const uint64_t t = fake.now;

	open_with((struct prowl_host_options){0});
	run_until(t + 23 * SECOND);
	wall_offset += (int64_t)(20ll * 365 * 86400 * SECOND);
	run_until(t + 55 * SECOND);
	end();
	assert_true(windows[2].w.flags & PROWL_HOST_CLOCK_STEPPED);
	assert_each_is_as_long_as_it_was();
}

TEST_WITH(a_clock_that_is_set_back_ends_the_window, setup, teardown)
{
	const uint64_t t = fake.now;

	open_with((struct prowl_host_options){0});
	run_until(t + 23 * SECOND);
	wall_offset -= (int64_t)(3600 * SECOND);
	run_until(t + 55 * SECOND);
	end();
	assert_int_equal(nevents[PROWL_HOST_CLOCK], 1);
	assert_true(windows[2].w.flags & PROWL_HOST_CLOCK_STEPPED);
	assert_false(windows[2].w.flags & PROWL_HOST_SUSPENDED);
	assert_int_equal(windows[3].w.mono_start, windows[2].w.mono_end);
	assert_int_equal(windows[3].w.again, 1);
	assert_true(windows[3].w.wall_start < windows[2].w.wall_start);
	assert_each_is_as_long_as_it_was();
	assert_int_equal(windows[4].w.again, 1); /* all of that hour is there already */
	for (size_t i = 0; i < nwindows; i++) {
		for (size_t k = 0; k < i; k++)
			assert_false(windows[i].w.slot == windows[k].w.slot &&
				     windows[i].w.again == windows[k].w.again);
	}
}

TEST_WITH(a_small_step_within_a_window_makes_two_of_one_slot, setup, teardown)
{
	const uint64_t t = fake.now;

	open_with((struct prowl_host_options){0});
	run_until(t + 13 * SECOND);
	wall_offset += (int64_t)(700 * MS);
	run_until(t + 25 * SECOND);
	end();
	assert_true(windows[1].w.flags & PROWL_HOST_CLOCK_STEPPED);
	assert_int_equal(windows[2].w.slot, windows[1].w.slot);
	assert_int_equal(windows[2].w.again, 1);
	assert_int_equal(windows[3].w.again, 0);
	assert_int_equal(windows[3].w.slot, windows[1].w.slot + (int64_t)WINDOW);
}

TEST_WITH(a_clock_that_is_slewed_is_no_step, setup, teardown)
{
	const uint64_t t = fake.now;

	open_with((struct prowl_host_options){0});
	for (int i = 1; i <= 40; i++) {
		run_until(t + (uint64_t)i * SECOND);
		wall_offset -= (int64_t)(5 * MS);
	}
	end();
	assert_int_equal(nevents[PROWL_HOST_CLOCK], 0);
	for (size_t i = 1; i < nwindows; i++) {
		assert_int_equal(windows[i].w.slot, windows[i - 1].w.slot + (int64_t)WINDOW);
		assert_int_equal(windows[i].w.again, 0);
	}
}

TEST_WITH(sleep_of_the_machine_is_no_clock_step, setup, teardown)
{
	const uint64_t t = fake.now;

	open_with((struct prowl_host_options){0});
	run_until(t + 13 * SECOND);
	slept += (int64_t)(500 * SECOND);
	wall_offset += (int64_t)(500 * SECOND);
	run_until(t + 25 * SECOND);
	end();
	assert_true(windows[1].w.flags & PROWL_HOST_SUSPENDED);
	assert_false(windows[1].w.flags & PROWL_HOST_CLOCK_STEPPED);
	assert_int_equal(windows[2].w.mono_start, windows[1].w.mono_end);
	assert_true(windows[2].w.wall_start > windows[1].w.wall_start + (int64_t)(400 * SECOND));
	assert_each_is_as_long_as_it_was();
}

/* --- rates, limits, budget ------------------------------------------------------- */

TEST_WITH(a_lower_rate_takes_every_kth_sample_for_k, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;

	rate_of_slow = RATE / 4;
	exec_at(t, FIRST + 1, "svc-slow");
	samples_at(t + 10 * MS, FIRST + 1, 80);
	open_with((struct prowl_host_options){0});
	run_until(t + 2 * SECOND);
	end();
	assert_int_equal(part_of(&windows[0], "svc-slow")->samples, 20);
	assert_int_equal(part_of(&windows[0], "svc-slow")->cpu_ns, 80 * PERIOD);
}

TEST_WITH(targets_beyond_the_limit_count_as_others, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;
	struct prowl_host_status st;

	exec_at(t, FIRST + 1, "svc-a");
	exec_at(t, FIRST + 2, "svc-b");
	samples_at(t + 10 * MS, FIRST + 1, 2);
	samples_at(t + 40 * MS, FIRST + 2, 3);
	open_with((struct prowl_host_options){.limits = {.targets = 1}});
	run_until(t + SECOND / 2);
	prowl_host_status(h, &st);
	end();
	assert_int_equal(part_of(&windows[0], "svc-a")->samples, 2);
	assert_null(part_of(&windows[0], "svc-b"));
	assert_int_equal(other_of(&windows[0], "svc-b"), 3);
	assert_int_equal(nevents[PROWL_HOST_LIMIT], 1);
}

TEST(the_budget_goes_step_by_step_and_back)
{
	struct host_budget b = {.sampling = 0.005, .looking = 0.003, .over_ns = 10 * SECOND};
	uint64_t now = SECOND, sampler = 0;
	unsigned int changes = 0;

	assert_false(host_budget_measure(&b, now, 0, 0));
	/* 1 %: above 0.8 %. Three in a row for each step. */
	for (int i = 1; i <= 3 * (HOST_STEPS - 1); i++) {
		now += 10 * SECOND;
		sampler += SECOND / 10;
		changes += host_budget_measure(&b, now, sampler, 0);
		assert_int_equal(b.step, i / 3);
	}
	assert_int_equal(changes, HOST_STEPS - 1);
	for (int i = 0; i < 6; i++) {
		now += 10 * SECOND;
		sampler += SECOND / 10;
		assert_false(host_budget_measure(&b, now, sampler, 0));
	}
	/* 0.7 %: below the budget, but not by so much that less could be left out. */
	for (int i = 0; i < 20; i++) {
		now += 10 * SECOND;
		sampler += 7 * SECOND / 100;
		assert_false(host_budget_measure(&b, now, sampler, 0));
	}
	for (int i = 1; i <= 6; i++) {
		now += 10 * SECOND;
		assert_int_equal(host_budget_measure(&b, now, sampler, 0), i == 6);
	}
	assert_int_equal(b.step, HOST_STEPS - 2);
	/* Measured in between, nothing is known yet. */
	assert_false(host_budget_measure(&b, now + SECOND, sampler + SECOND, 0));
}

TEST_WITH(the_last_step_leaves_out_those_with_the_least_cpu_time, setup, teardown)
{
	const uint64_t t = fake.now + SECOND;
	static const char *const comms[] = {"svc-a", "svc-b", "svc-c", "svc-d"};

	for (int i = 0; i < 4; i++)
		exec_at(t, FIRST + 1 + i, comms[i]);
	for (int i = 0; i < 4; i++)
		samples_at(t + (uint64_t)(1 + i) * 100 * MS, FIRST + 1 + i, 4 - i);
	samples_at(t + 10 * SECOND, FIRST + 4, 6);
	samples_at(t + 11 * SECOND, FIRST + 1, 6);
	for (int i = 0; i < 4; i++)
		fake_cpu(FIRST + 1 + i, (uint64_t)(4 - i) * PERIOD);
	open_with((struct prowl_host_options){0});
	run_until(t + 9 * SECOND); /* the first window is over */
	h->budget.step = HOST_STEP_FEWER;
	host_shed(h);
	assert_int_equal(h->sampled, 3);
	run_until(t + 18 * SECOND);
	end();
	assert_null(part_of(&windows[nwindows - 1], "svc-d"));
	assert_int_equal(windows[nwindows - 1].w.others_samples, 6);
	/* Every third sample counts, for three. */
	assert_int_equal(part_of(&windows[nwindows - 1], "svc-a")->samples, 2);
	assert_true(windows[nwindows - 1].w.flags & PROWL_HOST_SHED);
	assert_int_equal(ngone, 0); /* it is still there, and will be sampled again */
}

TEST(options_out_of_range_are_refused)
{
	static const struct prowl_host_ops ops = {.decide = decide};
	struct prowl_host_options o = {.window_ns = 7 * SECOND};
	struct prowl_host *none;
	struct prowl_err err;

	assert_int_equal(prowl_host_open(&o, &ops, NULL, &none, &err), PROWL_USAGE);
	o = (struct prowl_host_options){.rate = 1001};
	assert_int_equal(prowl_host_open(&o, &ops, NULL, &none, &err), PROWL_USAGE);
	o = (struct prowl_host_options){.drain_ns = 11 * SECOND};
	assert_int_equal(prowl_host_open(&o, &ops, NULL, &none, &err), PROWL_USAGE);
}

/* --- flows ----------------------------------------------------------------------- */

static struct pprof_profile *snapshot(const int64_t (*values)[4], size_t n)
{
	static const char *const types[] = {"alloc_objects", "alloc_space", "inuse_objects",
					    "inuse_space"};
	struct pprof_profile *p;

	assert_int_equal(pprof_profile_new(&p), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pprof_sample_type(p, types[i], i % 2 ? "bytes" : "count"), 0);
	assert_int_equal(pprof_period(p, "space", "bytes", 524288), 0);
	for (size_t i = 0; i < n; i++) {
		struct pprof_function f = {.start_line = (int64_t)i + 1};
		struct pprof_line line = {.line = 1};
		char name[32];
		uint32_t loc;

		snprintf(name, sizeof name, "main.f%zu", i);
		assert_int_equal(pprof_string(p, name, &f.name), 0);
		assert_int_equal(pprof_function(p, &f, &line.function), 0);
		assert_int_equal(pprof_location(p, PPROF_NONE, 0x1000 * (i + 1), &line, 1, &loc),
				 0);
		assert_int_equal(pprof_sample_add(p, &loc, 1, values[i], NULL, 0), 0);
	}
	return p;
}

TEST(levels_and_flows_of_one_snapshot_are_apart)
{
	static const int64_t values[][4] = {{10, 1000, 2, 200}, {5, 500, 0, 0}};
	struct pprof_profile *p = snapshot(values, 2), *level, *flow;

	assert_int_equal(host_flow_columns(p, "inuse", &level), 0);
	assert_int_equal(level->nsample_types, 2);
	assert_int_equal(level->nsamples, 1);
	assert_int_equal(pprof_sample_values(level, 0)[1], 200);
	assert_int_equal(level->period, 524288);
	assert_int_equal(host_flow_change(NULL, p, "alloc", &flow), 0);
	assert_int_equal(flow->nsamples, 2);
	assert_int_equal(host_flow_columns(p, "cpu", &flow), -2 /* ENOENT */);
	pprof_profile_free(flow);
	pprof_profile_free(level);
	pprof_profile_free(p);
}

TEST(a_flow_is_what_was_added_and_never_negative)
{
	static const int64_t before[][4] = {{10, 1000, 2, 200}, {5, 500, 1, 1}, {7, 70, 1, 1}};
	static const int64_t after[][4] = {
		{15, 1500, 1, 100}, {5, 500, 9, 9}, {6, 60, 1, 1}, {3, 300, 3, 300}};
	struct pprof_profile *from = snapshot(before, 3), *to = snapshot(after, 4), *flow;
	int64_t objects = 0, space = 0;

	assert_int_equal(host_flow_change(from, to, "alloc", &flow), 0);
	for (size_t i = 0; i < flow->nsamples; i++) {
		objects += pprof_sample_values(flow, i)[0];
		space += pprof_sample_values(flow, i)[1];
	}
	assert_int_equal(flow->nsamples, 2); /* one grew, one is new */
	assert_int_equal(objects, 5 + 3);
	assert_int_equal(space, 500 + 300);
	pprof_profile_free(flow);
	pprof_profile_free(from);
	pprof_profile_free(to);
}

/* --- the cache of programs ------------------------------------------------------- */

TEST(programs_that_were_asked_for_least_recently_make_room)
{
	struct host_programs c = {0};
	struct host_key key;
	int fd = host_program_open(getpid(), &key);

	assert_true(fd >= 0);
	assert_null(host_programs_find(&c, &key));
	assert_non_null(host_programs_read(&c, &key, fd));
	assert_true(host_programs_find(&c, &key)->program.elf);
	for (uint64_t i = 1; i <= HOST_PROGRAMS; i++) {
		struct host_key other = {.dev = 1, .ino = i, .size = i, .changed = (int64_t)i};

		assert_non_null(host_programs_read(&c, &other, open("/dev/null", 0)));
		assert_non_null(host_programs_find(&c, &key)); /* still of use */
	}
	assert_int_equal(c.n, HOST_PROGRAMS);
	assert_null(host_programs_find(&c, &(struct host_key){1, 1, 1, 1}));
	key.changed++; /* written since */
	assert_null(host_programs_find(&c, &key));
	host_programs_fini(&c);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that are added to a sampler of single threads, and removed. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "perf_parts.h"
#include "probe.h"
#include "unit_test.h"

enum { TIMES = 40, AT_A_TIME = 3 };

static const char *needs_perf(void)
{
	static char why[64];
	int r = prowl_probe_perf(getpid(), -1, false);

	if (r == 0)
		return NULL;
	snprintf(why, sizeof why, "perf_event_open: %s", strerror(-r));
	return why;
}

TEST_NEEDS(needs_perf);

static size_t descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static pid_t sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The events of each are where their ids say. */
static void check_map(const struct perf_sampler *p)
{
	size_t known = 0;

	for (size_t i = 0; i < p->nevents; i++) {
		uint32_t at;

		if (!p->events[i].id)
			continue;
		known++;
		assert_true(prowl_idmap_get(&p->by_id, p->events[i].id, &at));
		assert_int_equal(at, i);
	}
	assert_int_equal(p->by_id.n, known);
}

TEST(processes_that_leave_take_their_descriptors_along)
{
	struct prowl_sampler_options o = {.period_ns = 10000000, .per_thread = true};
	struct prowl_sampler *s;
	struct prowl_err err;
	size_t events = 0, fds = 0;

	assert_int_equal(prowl_perf.open(&o, &s, &err), PROWL_OK);
	assert_false(s->facts.whole_cpus);
	for (int i = 0; i < TIMES; i++) {
		pid_t pid[AT_A_TIME];

		for (int k = 0; k < AT_A_TIME; k++) {
			pid[k] = sleeper();
			assert_int_equal(s->ops->add(s, pid[k]), 0);
		}
		assert_true(s->facts.nevents >= AT_A_TIME);
		s->ops->remove(s, pid[1]); /* neither the first nor the last */
		check_map((struct perf_sampler *)s);
		s->ops->remove(s, pid[0]);
		s->ops->remove(s, pid[2]);
		check_map((struct perf_sampler *)s);
		for (int k = 0; k < AT_A_TIME; k++)
			end(pid[k]);
		if (i == 0) { /* what is left owns the rings */
			events = s->facts.nevents;
			fds = descriptors();
			assert_true(events <= s->facts.ncpus);
		}
		assert_int_equal(s->facts.nevents, events);
		assert_int_equal(((struct perf_sampler *)s)->nevents, events);
		assert_int_equal(((struct perf_sampler *)s)->nkeepers, 0);
		assert_int_equal(descriptors(), fds);
	}
	s->ops->close(s);
}

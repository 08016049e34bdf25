/* SPDX-License-Identifier: Apache-2.0 */
/* On a crowded machine, real-time for a limited time; and all as before afterwards. */
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "urgent.h"
#include "unit_test.h"

static volatile int done;

static void *busy(void *arg)
{
	while (!done)
		;
	return NULL;
}

static bool realtime(void)
{
	return (sched_getscheduler(0) & ~SCHED_RESET_ON_FORK) == SCHED_RR;
}

static double elapsed(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Until it is so, or half a minute has passed. */
static bool becomes(bool (*is)(void), bool want)
{
	double until = elapsed(CLOCK_MONOTONIC) + 30;

	while (is() != want && elapsed(CLOCK_MONOTONIC) < until)
		;
	return is() == want;
}

static bool collected(void)
{
	prowl_urgent_again();
	usleep(10000);
	return realtime();
}

TEST(test_crowd)
{
	enum { MOST = 512 };
	long n = 6 * sysconf(_SC_NPROCESSORS_ONLN);
	const struct sched_param lowest = {.sched_priority = 1};
	pthread_t threads[MOST];
	struct rlimit was, is;
	double began;
	int nice = getpriority(PRIO_PROCESS, 0);

	if (n > MOST)
		skip();
	if (sched_setscheduler(0, SCHED_RR, &lowest) < 0) {
		print_message("no permission to be real-time\n");
		skip();
	}
	assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}), 0);
	assert_int_equal(getrlimit(RLIMIT_RTTIME, &was), 0);
	for (long i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, busy, NULL), 0);
	prowl_urgent_begin();
	assert_true(becomes(collected, true));
	assert_true(prowl_urgent_crowd());
	/* A child has none of it. */
	assert_int_equal(sched_getscheduler(0), SCHED_RR | SCHED_RESET_ON_FORK);
	/* Who goes on and on is put back, each time anew: the kernel looks once a tick. */
	for (int turn = 0; turn < 3; turn++) {
		began = elapsed(CLOCK_THREAD_CPUTIME_ID);
		assert_true(becomes(realtime, false));
		assert_true(elapsed(CLOCK_THREAD_CPUTIME_ID) - began < 0.1);
		assert_true(becomes(collected, true));
	}
	prowl_urgent_end();
	done = 1;
	for (long i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	assert_false(realtime());
	assert_int_equal(getpriority(PRIO_PROCESS, 0), nice);
	assert_int_equal(getrlimit(RLIMIT_RTTIME, &is), 0);
	assert_true(is.rlim_cur == was.rlim_cur && is.rlim_max == was.rlim_max);
}

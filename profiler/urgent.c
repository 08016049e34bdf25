/* SPDX-License-Identifier: Apache-2.0 */
#include "urgent.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	NICE = -10,
	NICE_CROWD = -20,
	CROWD = 4,             /* runnable threads for each CPU */
	CROWD_PAUSE_MS = 1000, /* between two looks for them */
};

enum mode { ORDINARY, LIMITED, REALTIME };

static struct { /* of the process, as what it keeps */
	int nice;
	bool begun;
	enum mode mode;
	volatile sig_atomic_t put_back;
	uint64_t since; /* ms: the last try */
	struct rlimit limit;
	struct sigaction action;
} own;

bool prowl_urgent_crowd(void)
{
	FILE *f = fopen("/proc/loadavg", "re");
	long running = 0, cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!f)
		return false;
	if (fscanf(f, "%*f %*f %*f %ld/", &running) != 1)
		running = 0;
	fclose(f);
	return running > CROWD * cpus;
}

static void ordinary(void)
{
	sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0});
}

static void on_limit(int sig)
{
	int saved = errno;

	ordinary();
	own.put_back = 1;
	errno = saved;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static bool set_limit(void)
{
	struct sigaction sa = {.sa_handler = on_limit, .sa_flags = (int)SA_RESTART};
	struct rlimit limit;

	if (getrlimit(RLIMIT_RTTIME, &own.limit) < 0)
		return false;
	limit = own.limit;
	if (limit.rlim_cur > PROWL_URGENT_MS * 1000u)
		limit.rlim_cur = PROWL_URGENT_MS * 1000u;
	if (setrlimit(RLIMIT_RTTIME, &limit) < 0)
		return false;
	sigaction(SIGXCPU, &sa, &own.action);
	own.mode = LIMITED;
	return true;
}

static void become_realtime(void)
{
	static const struct sched_param lowest = {.sched_priority = 1};

	own.put_back = 0;
	if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) == 0)
		own.mode = REALTIME;
}

void prowl_urgent_begin(void)
{
	own.nice = getpriority(PRIO_PROCESS, 0);
	own.begun = true;
	setpriority(PRIO_PROCESS, 0, prowl_urgent_crowd() ? NICE_CROWD : NICE);
}

void prowl_urgent_collect(void)
{
	uint64_t now = now_ms();

	if ((own.mode == REALTIME && !own.put_back) ||
	    now - own.since < (own.mode == ORDINARY ? CROWD_PAUSE_MS : PROWL_URGENT_PAUSE_MS))
		return;
	own.since = now;
	if (own.mode != ORDINARY ||
	    (prowl_urgent_crowd() && sched_getscheduler(0) == SCHED_OTHER && set_limit()))
		become_realtime();
}

void prowl_urgent_relax(void)
{
	if (own.mode == ORDINARY)
		return;
	ordinary();
	setrlimit(RLIMIT_RTTIME, &own.limit);
	sigaction(SIGXCPU, &own.action, NULL);
	own.mode = ORDINARY;
}

void prowl_urgent_end(void)
{
	prowl_urgent_relax();
	if (own.begun)
		setpriority(PRIO_PROCESS, 0, own.nice);
	own.begun = false;
}

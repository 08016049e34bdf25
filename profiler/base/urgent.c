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
	CROWD_PAUSE_MS = 1000, /* between two counts of them */
	TURN_MS = 3,           /* of each of them */
	LEAST_MS = 10,
	MOST_MS = 100,
	PAUSE = 20, /* pause after a real-time phase, as a multiple of its length */
};

enum mode { ORDINARY, LIMITED, REALTIME };

static struct { /* state of the process: signals have no context */
	int nice;
	bool begun;
	enum mode mode;
	volatile sig_atomic_t put_back;
	uint64_t since;   /* ms: the last try */
	uint64_t cpu;     /* ms of own CPU time when the real-time phase began */
	unsigned int run; /* ms: real-time without a pause */
	struct rlimit limit;
	struct sigaction action;
} own;

/* Runnable threads for each CPU. */
static long crowd(void)
{
	FILE *f = fopen("/proc/loadavg", "re");
	long running = 0, cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!f)
		return 0;
	if (fscanf(f, "%*f %*f %*f %ld/", &running) != 1)
		running = 0;
	fclose(f);
	return running / (cpus > 0 ? cpus : 1);
}

bool prowl_urgent_crowd(void)
{
	return crowd() > CROWD;
}

/* The flag stays: without privilege it can be set, but not cleared. */
static bool ordinary(void)
{
	return sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &(struct sched_param){0}) ==
	       0;
}

static void on_limit(int sig)
{
	int saved = errno;

	if (own.mode == REALTIME && ordinary())
		own.put_back = 1;
	errno = saved;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static uint64_t cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static bool set_limit(long threads)
{
	struct sigaction sa = {.sa_handler = on_limit, .sa_flags = (int)SA_RESTART};
	long ms = threads * TURN_MS / 10;

	/* The kernel kills at the hard limit. */
	if (getrlimit(RLIMIT_RTTIME, &own.limit) < 0 || own.limit.rlim_max != RLIM_INFINITY)
		return false;
	own.run = (unsigned int)(ms < LEAST_MS ? LEAST_MS : ms > MOST_MS ? MOST_MS : ms);
	sigaction(SIGXCPU, &sa, &own.action);
	own.mode = LIMITED;
	return true;
}

static void become_realtime(void)
{
	static const struct sched_param lowest = {.sched_priority = 1};

	/* Set each time: with each signal the kernel raises it by a second. */
	const struct rlimit limit = {own.run * 1000u, own.limit.rlim_max};

	own.put_back = 0;
	own.cpu = cpu_ms();
	if (setrlimit(RLIMIT_RTTIME, &limit) < 0)
		return;
	own.mode = REALTIME;
	if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) < 0)
		own.mode = LIMITED;
	else /* a sleep resets the count of the limit */
		nanosleep(&(struct timespec){.tv_nsec = 1}, NULL);
}

/* The limit counts time without a sleep; as much time with short sleeps is too much, too. */
static void look_at_time(void)
{
	if (own.mode == REALTIME && !own.put_back && cpu_ms() - own.cpu >= own.run && ordinary())
		own.put_back = 1;
}

void prowl_urgent_again(void)
{
	uint64_t now = now_ms();
	long threads;

	look_at_time();
	if ((own.mode == REALTIME && !own.put_back) ||
	    now - own.since < (own.mode == ORDINARY ? CROWD_PAUSE_MS : PAUSE * own.run))
		return;
	own.since = now;
	threads = own.mode == ORDINARY ? crowd() : 0;
	if (own.mode != ORDINARY ||
	    (threads > CROWD && sched_getscheduler(0) == SCHED_OTHER && set_limit(threads)))
		become_realtime();
}

void prowl_urgent_begin(void)
{
	own.nice = getpriority(PRIO_PROCESS, 0);
	own.begun = true;
	setpriority(PRIO_PROCESS, 0, prowl_urgent_crowd() ? NICE_CROWD : NICE);
	prowl_urgent_again();
}

static void end_realtime(void)
{
	if (own.mode == ORDINARY)
		return;
	if (sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}) < 0)
		ordinary();
	setrlimit(RLIMIT_RTTIME, &own.limit);
	sigaction(SIGXCPU, &own.action, NULL);
	own.mode = ORDINARY;
}

void prowl_urgent_end(void)
{
	end_realtime();
	if (own.begun)
		setpriority(PRIO_PROCESS, 0, own.nice);
	own.begun = false;
}

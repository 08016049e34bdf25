/* SPDX-License-Identifier: Apache-2.0 */
/* CPU time of processes, as the kernel charges it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "procfs.h"
#include "procs_parts.h"

enum { CLOCK_TRIES = 4 };

/*
 * The process' CPU-time clock (clock_getcpuclockid(3)): nanoseconds charged by the scheduler,
 * exited threads included, readable by anyone.
 */
static bool cpu_clock(pid_t pid, uint64_t *ret)
{
	struct timespec ts;
	clockid_t id;

	if (clock_getcpuclockid(pid, &id) != 0 || clock_gettime(id, &ts) < 0)
		return false;
	*ret = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	return true;
}

/* Fields 3, 14 to 17, 20 and 22 of /proc/PID/stat, and the clock. */
static bool read_times(pid_t pid, struct prowl_times *ret)
{
	char buf[1024];
	const char *p;

	if (prowl_read_of(pid, "stat", buf, sizeof buf) <= 0)
		return false;
	p = strrchr(buf, ')'); /* the name may hold anything, also ')' */
	if (!p || sscanf(p + 1,
			 " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu %*d %*d "
			 "%lu %*d %lu",
			 &ret->state, &ret->utime, &ret->stime, &ret->cutime, &ret->cstime,
			 &ret->threads, &ret->start) != 7)
		return false;
	ret->has_cpu = cpu_clock(pid, &ret->cpu_ns);
	return true;
}

static uint64_t ns_of(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

/* The same of a zombie that is our own child: not in clock ticks. */
static void reaped_exactly(struct prowl_proc *p)
{
	uint64_t tick = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t own = p->cpu_last, both, u, k;
	siginfo_t info = {0};
	struct rusage ru;

	if (syscall(SYS_waitid, P_PID, p->pid, &info, WEXITED | WNOHANG | WNOWAIT, &ru) < 0 ||
	    info.si_pid != p->pid)
		return;
	u = ns_of(ru.ru_utime);
	k = ns_of(ru.ru_stime);
	both = u + k;
	if (both < own)
		both = own;
	u -= p->utime_last * tick < u ? p->utime_last * tick : u;
	p->reaped_last.user = u < both - own ? u : both - own;
	p->reaped_last.system = both - own - p->reaped_last.user;
}

/* The reading that was the last one stays known until the records up to it have been seen. */
static void keep_reading(const struct prowl_procs *t, struct prowl_proc *p)
{
	if (p->clocked && p->clocked <= t->seen)
		p->settled = (struct prowl_reading){.clocked = p->clocked,
						    .cpu = p->cpu_last,
						    .utime = p->utime_last,
						    .stime = p->stime_last,
						    .sampled = p->sampled_at_clock};
}

void procs_clock_back(struct prowl_proc *p)
{
	const struct prowl_reading *r = &p->settled;
	bool any = r->clocked > 0;

	p->clocked = r->clocked;
	p->cpu_last = any ? r->cpu : p->cpu_first;
	p->utime_last = any ? r->utime : p->utime_first;
	p->stime_last = any ? r->stime : p->stime_first;
	p->sampled_at_clock = r->sampled;
}

static void take_times(const struct prowl_procs *t, struct prowl_proc *p,
		       const struct prowl_times *s)
{
	keep_reading(t, p);
	uint64_t tick = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);

	p->utime_last = s->utime;
	p->stime_last = s->stime;
	p->reaped_last = (struct prowl_reaped){s->cutime * tick, s->cstime * tick};
	if (!s->has_cpu)
		return;
	p->cpu_last = s->cpu_ns;
	p->sampled_at_clock = p->sampled;
	p->clocked = procs_now(t);
	p->complete = p->exited;
}

void procs_clock_one(const struct prowl_procs *t, struct prowl_proc *p, bool first)
{
	struct prowl_times s = {0};

	if (p->gone || p->removed)
		return;
	if (!(t->times ? t->times : read_times)(p->pid, &s) || s.state == 'X' ||
	    (p->start && s.start != p->start)) {
		p->exited = p->gone = true;
		return;
	}
	if (p->exited)
		return;
	p->start = s.start;
	/* A process whose first thread has ended is a zombie with threads, and runs. */
	p->exited = s.state == 'Z' && s.threads <= 1;
	take_times(t, p, &s);
	if (p->exited && !t->times)
		reaped_exactly(p);
	if (first) {
		p->since = procs_now(t);
		p->cpu_first = p->cpu_last;
		p->utime_first = p->utime_last;
		p->stime_first = p->stime_last;
		p->reaped_first = p->reaped_last;
	}
}

/* Returns how many turned out to be gone. */
static size_t read_all(struct prowl_procs *t, bool first)
{
	size_t gone = 0;

	for (size_t i = 0; i < t->n; i++) {
		bool was = t->procs[i]->gone;

		procs_clock_one(t, t->procs[i], first);
		gone += t->procs[i]->gone && !was;
	}
	return gone;
}

void prowl_procs_clock(struct prowl_procs *t, bool first)
{
	/* The time of those is now in their parents' counts, which may have been read before. */
	for (int i = 0; i < CLOCK_TRIES && read_all(t, first) > 0; i++)
		;
}

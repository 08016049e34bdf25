/* SPDX-License-Identifier: Apache-2.0 */
/* Opening perf events: on whole CPUs or for each thread, with what the kernel allows. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "arch.h"
#include "array.h"
#include "bpf.h"
#include "log.h"
#include "perf_parts.h"
#include "perf_record.h"
#include "urgent.h"

enum {
	MAX_CPUS = 4096,
	MIN_ORDER = 5,        /* 128 KiB */
	THREAD_MIN_ORDER = 7, /* 512 KiB: the usual limit, for the crowd of first periods */
	MAX_ORDER = 11,       /* 8 MiB */
	CROWD_RINGS = 8,      /* times as large, on a crowded machine */
	CROWD = 64,           /* threads */
	CROWD_STACK = 512,    /* bytes of each stack copy, then */
	ATTACH_PASSES = 50,
	MOMENT_BYTES = 6144, /* of most moments, at most */
};

uint64_t perf_next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* "0-3,8" → the CPUs that are online. */
int perf_online_cpus(struct perf_sampler *p)
{
	char buf[4096];
	int fd = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, buf, sizeof buf - 1) : -1;
	char *s = buf;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		n = snprintf(buf, sizeof buf, "0-%ld", sysconf(_SC_NPROCESSORS_ONLN) - 1);
	buf[n] = '\0';
	p->cpus = calloc(MAX_CPUS, sizeof *p->cpus);
	if (!p->cpus)
		return -ENOMEM;
	while (*s >= '0' && *s <= '9') {
		long lo = strtol(s, &s, 10), hi = lo;

		if (*s == '-')
			hi = strtol(s + 1, &s, 10);
		for (long c = lo; c <= hi && p->ncpus < MAX_CPUS; c++)
			p->cpus[p->ncpus++] = (struct perf_cpu){
				.cpu = (int)c, .fd = -1, .output = -1};
		if (*s == ',')
			s++;
	}
	return p->ncpus ? 0 : -ENODEV;
}

void perf_fill_attr(struct perf_sampler *p)
{
	p->attr = (struct perf_event_attr){
		.size = sizeof p->attr,
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = p->o.period_ns,
		.sample_type = PROWL_SAMPLE_TYPE,
		.sample_regs_user = uw_arch_perf_regs(),
		.sample_stack_user = p->o.stack_bytes,
		.sample_id_all = 1,
		.disabled = 1,
		.exclude_idle = 1,
		.exclude_hv = 1,
		/* user_only: the kernel's time is sampled all the same, and counts at its caller.
		 */
		.exclude_callchain_kernel = p->o.user_only,
		/* Address spaces and threads are followed by records, in the order of time. */
		.mmap = 1,
		.mmap2 = 1,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
	};
}

unsigned int perf_ring_order(const struct prowl_sampler_options *o)
{
	/* Half a second of samples, a full stack copy and a deep chain each; more where we may have
	 * to wait for our turn. (Without privilege their memory is limited.) */
	uint64_t per_second = 1000000000u / (o->period_ns ? o->period_ns : 1) + 1;
	uint64_t want = per_second * (o->ring_ms ? o->ring_ms : 500) *
			(o->stack_bytes + 600u + (o->bpf || o->bpf_follows ? MOMENT_BYTES : 0)) /
			1000 * (geteuid() == 0 && prowl_urgent_crowd() ? CROWD_RINGS : 1);
	unsigned int order = MIN_ORDER;

	while (order < MAX_ORDER && ((uint64_t)4096 << order) < want)
		order++;
	return order;
}

static int open_event(struct perf_sampler *p, pid_t tid, int cpu, uint64_t period, bool inherit)
{
	struct perf_event_attr attr = p->attr;
	int fd, error;

	attr.sample_period = period;
	attr.inherit = inherit;
	attr.wakeup_watermark = p->o.wake_each ? 1 : (4096u << p->order) / 4;
	fd = (int)syscall(SYS_perf_event_open, &attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0) {
		error = errno;
		uw_log(UW_LOG_PERF, "perf_event_open of thread %d on CPU %d: %s", (int)tid, cpu,
		       strerror(error));
		errno = error;
	}
	return fd;
}

/* Maps the ring of a CPU, smaller where the limit of locked memory asks for it. */
static int map_ring(struct perf_sampler *p, struct perf_cpu *c, int fd)
{
	int r;

	for (;;) {
		r = prowl_ring_map(&c->ring, fd, p->order);
		if (r == 0 || (r != -EPERM && r != -ENOMEM) || p->order <= 1)
			break;
		p->order--;
	}
	if (r == 0)
		c->fd = fd;
	return r;
}

static int add_event(struct perf_sampler *p, int fd, pid_t pid, pid_t tid, uint64_t first)
{
	bool phased = first == p->o.period_ns;
	struct perf_event *e;

	if (p->nevents == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 64;

		e = realloc(p->events, cap * sizeof *e);
		if (!e)
			return -ENOMEM;
		p->events = e;
		p->cap = cap;
	}
	e = &p->events[p->nevents];
	*e = (struct perf_event){
		.fd = fd, .pid = pid, .tid = tid, .phased = phased, .first = first};
	if (tid >= 0) {
		if (ioctl(fd, PERF_EVENT_IOC_ID, &e->id) < 0)
			return -errno;
		if (prowl_idmap_put(&p->by_id, e->id, (uint32_t)p->nevents) < 0)
			return -ENOMEM;
	}
	p->nevents++;
	if (!phased)
		p->unphased++;
	return 0;
}

/*
 * What the BPF program writes on a CPU goes to an event of its own, but into the ring of the CPU's
 * samples: written in the same interrupt, a moment comes right before its sample.
 */
static int open_output(struct perf_sampler *p, struct perf_cpu *c)
{
	struct perf_event_attr attr = {
		.size = sizeof attr,
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_period = 1,
		.sample_type = PROWL_OUTPUT_TYPE,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark = UINT32_MAX / 2,
	};

	c->output = (int)syscall(SYS_perf_event_open, &attr, -1, c->cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (c->output < 0 || ioctl(c->output, PERF_EVENT_IOC_SET_OUTPUT, c->fd) < 0 ||
	    ioctl(c->output, PERF_EVENT_IOC_ID, &c->moments.id) < 0)
		return -errno;
	return prowl_bpf_output(p->o.bpf, c->cpu, c->output);
}

/* Threads that start later take the program along with the event. */
static int add_moments(struct perf_sampler *p, struct perf_cpu *c, int fd)
{
	int r = c->output < 0 ? open_output(p, c) : 0;

	if (r == 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, prowl_bpf_fd(p->o.bpf)) < 0)
		r = -errno;
	return r;
}

static int attach_event(struct perf_sampler *p, struct perf_cpu *c, int fd, pid_t pid, pid_t tid,
			uint64_t first)
{
	int r = 0;

	if (c->fd < 0)
		r = map_ring(p, c, fd);
	else if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, c->fd) < 0)
		r = -errno;
	if (r == 0)
		r = add_event(p, fd, pid, tid, first);
	if (r == 0 && p->o.bpf && p->base.facts.bpf_error == 0)
		p->base.facts.bpf_error = add_moments(p, c, fd);
	if (r == 0 && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) < 0) {
		r = -errno;
		p->nevents--; /* the caller closes it */
	}
	return r;
}

void perf_set_bpf(struct prowl_sampler *sampler, struct prowl_bpf *bpf)
{
	struct perf_sampler *p = perf_of(sampler);
	int r = p->base.facts.whole_cpus ? 0 : -ENOTSUP;

	p->o.bpf = bpf;
	for (size_t i = 0; r == 0 && i < p->ncpus; i++)
		r = add_moments(p, &p->cpus[i], p->cpus[i].fd);
	p->base.facts.bpf_error = r;
}

static int open_whole_cpus(struct perf_sampler *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->ncpus; i++) {
		int fd = open_event(p, -1, p->cpus[i].cpu, p->o.period_ns, false), r;

		if (fd < 0 && errno == ENODEV)
			continue; /* went offline just now */
		if (fd < 0)
			return -errno;
		p->cpus[kept] = (struct perf_cpu){.cpu = p->cpus[i].cpu, .fd = -1, .output = -1};
		r = attach_event(p, &p->cpus[kept], fd, -1, -1, p->o.period_ns);
		if (r < 0) {
			if (p->cpus[kept].fd != fd)
				close(fd);
			return r;
		}
		kept++;
	}
	p->ncpus = kept;
	return kept ? 0 : -ENODEV;
}

/* A first period, uniform but for the shortest, which would flood the ring before it is replaced.
 */
static uint64_t first_period(struct perf_sampler *p)
{
	uint64_t period = p->o.period_ns, phase = perf_next_random(&p->rng) % period + 1;

	return phase < period / PERF_PHASE_PARTS ? period / PERF_PHASE_PARTS : phase;
}

/*
 * Where all events of a thread are inherited, the kernel exchanges the events of parent and child
 * instead of switching them. Then the parent's own end with the child, and no period can be set any
 * more. One event that is not inherited and never counts keeps them apart.
 */
static int keep_context(struct perf_sampler *p, pid_t pid, pid_t tid)
{
	struct perf_event_attr attr = {.size = sizeof attr,
				       .type = PERF_TYPE_SOFTWARE,
				       .config = PERF_COUNT_SW_DUMMY,
				       .exclude_kernel = p->attr.exclude_kernel,
				       .exclude_hv = 1};
	int fd, r = prowl_array_reserve(&p->keepers, &p->keepers_cap, p->nkeepers + 1,
					sizeof *p->keepers);

	if (r < 0)
		return r;
	fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	p->keepers[p->nkeepers++] = (struct perf_keeper){fd, pid};
	return 0;
}

int perf_open_on_cpus(struct perf_sampler *p, pid_t pid, pid_t tid, bool fresh, bool inherit)
{
	for (size_t i = 0; i < p->ncpus; i++) {
		uint64_t first = fresh ? p->o.period_ns : first_period(p);
		int fd = open_event(p, tid, p->cpus[i].cpu, first, inherit), r;

		if (fd < 0 && errno == ENODEV)
			continue;
		if (fd < 0)
			return -errno;
		r = attach_event(p, &p->cpus[i], fd, pid, tid, first);
		if (r < 0) {
			if (p->cpus[i].fd != fd)
				close(fd);
			return r;
		}
	}
	return 0;
}

static int open_thread(struct perf_sampler *p, pid_t pid, pid_t tid, bool fresh)
{
	uint32_t unused;
	int r;

	if (prowl_idmap_get(&p->tids, (uint64_t)tid, &unused))
		return 0;
	r = keep_context(p, pid, tid);
	if (r == 0)
		r = perf_open_on_cpus(p, pid, tid, fresh, true);
	return r < 0 ? r : prowl_idmap_put(&p->tids, (uint64_t)tid, 1);
}

/*
 * A process that has just begun: its threads are sampled from their start, and the many that are to
 * inherit from the first one shall not inherit a short period.
 */
static bool is_fresh(const struct perf_sampler *p, pid_t pid)
{
	struct timespec t;
	clockid_t id;

	return clock_getcpuclockid(pid, &id) == 0 && clock_gettime(id, &t) == 0 && t.tv_sec == 0 &&
	       (uint64_t)t.tv_nsec < p->o.period_ns;
}

/*
 * Attaches all threads of a process. One that starts meanwhile is either seen by the next listing
 * or inherits its parent's events; where both happen, its inherited samples are dropped as
 * duplicates. Returns how many threads were attached in all, or negative errno for the first one.
 */
int perf_open_process(struct perf_sampler *p, pid_t pid)
{
	char path[64];
	int attached = 0, first_error = 0;
	bool fresh = is_fresh(p, pid);

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	for (int pass = 0; pass < ATTACH_PASSES; pass++) {
		DIR *dir = opendir(path);
		size_t before = p->tids.n;
		struct dirent *d;

		if (!dir)
			return attached ? attached : (errno == ENOENT ? -ESRCH : -errno);
		while ((d = readdir(dir))) {
			pid_t tid = (pid_t)atoi(d->d_name);
			int r;

			if (tid <= 0)
				continue;
			r = open_thread(p, pid, tid, fresh);
			if (r == 0) {
				attached++;
			} else if (r != -ESRCH) {
				p->base.counts.failed_threads++;
				if (!first_error)
					first_error = r;
				if (!attached || r == -EMFILE || r == -EACCES)
					break;
			}
		}
		closedir(dir);
		if (first_error && (first_error == -EMFILE || first_error == -EACCES || !attached))
			return first_error;
		if (p->tids.n == before)
			break;
	}
	return attached ? attached : (first_error ? first_error : -ESRCH);
}

/* A directory has a link for each folder in it, and two more. */
static size_t count_threads(const struct perf_sampler *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->o.npids; i++) {
		char path[64];
		struct stat st;

		snprintf(path, sizeof path, "/proc/%d/task", (int)p->o.pids[i]);
		if (stat(path, &st) == 0 && st.st_nlink > 2)
			n += st.st_nlink - 2;
	}
	return n;
}

/* Where processes are added later: whether it would be allowed. */
static int try_own_thread(struct perf_sampler *p)
{
	int fd = open_event(p, 0, -1, p->o.period_ns, false);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int open_per_thread(struct perf_sampler *p)
{
	int r = p->o.npids ? 0 : try_own_thread(p);

	p->by_thread = true;
	if (p->order < THREAD_MIN_ORDER)
		p->order = THREAD_MIN_ORDER;
	/* Many first periods end at about the same time: their samples shall fit. */
	if (count_threads(p) > CROWD && p->attr.sample_stack_user > CROWD_STACK)
		p->attr.sample_stack_user = CROWD_STACK;
	for (size_t i = 0; i < p->o.npids && r >= 0; i++)
		r = perf_open_process(p, p->o.pids[i]);
	return r < 0 ? r : 0;
}

static void close_output(struct perf_cpu *c)
{
	if (c->output >= 0)
		close(c->output);
	c->output = -1;
	prowl_moment_pair_fini(&c->moments);
}

void perf_close_events(struct perf_sampler *p)
{
	for (size_t i = 0; i < p->ncpus; i++) {
		prowl_ring_fini(&p->cpus[i].ring);
		p->cpus[i].fd = -1;
		close_output(&p->cpus[i]);
	}
	for (size_t i = 0; i < p->nevents; i++) {
		if (p->events[i].fd >= 0)
			close(p->events[i].fd);
	}
	for (size_t i = 0; i < p->nkeepers; i++)
		close(p->keepers[i].fd);
	p->nevents = p->nkeepers = p->nspread = 0;
	p->unphased = 0;
	p->base.facts.bpf_error = 0;
	prowl_idmap_fini(&p->by_id);
	prowl_idmap_fini(&p->tids);
	prowl_idmap_fini(&p->heirs);
}

/* One descriptor for each CPU, or for each thread on each: takes what the hard limit gives. */
static void allow_files(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

/* Tries from the most to the least privilege. */
int perf_open_best(struct perf_sampler *p)
{
	int r = -EACCES;

	allow_files();
	p->base.facts.kernel = true;
	if (!p->o.per_thread) {
		r = open_whole_cpus(p);
		if (r == 0) {
			p->base.facts.whole_cpus = true;
			return 0;
		}
		perf_close_events(p);
		if (r != -EACCES && r != -EPERM)
			return r;
	}
	free(p->cpus);
	p->ncpus = 0;
	r = perf_online_cpus(p);
	if (r < 0)
		return r;
	r = open_per_thread(p);
	if (r == -EACCES || r == -EPERM) {
		perf_close_events(p);
		p->attr.exclude_kernel = 1;
		p->attr.exclude_callchain_kernel = 1;
		p->base.facts.kernel = false;
		r = open_per_thread(p);
	}
	return r;
}

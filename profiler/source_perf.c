/* SPDX-License-Identifier: Apache-2.0 */
#include "source_perf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "idmap.h"
#include "perf_ring.h"

#ifndef PERF_RECORD_MISC_COMM_EXEC
#define PERF_RECORD_MISC_COMM_EXEC (1 << 13)
#endif

enum {
	MAX_CPUS = 4096,
	MIN_ORDER = 5,        /* 128 KiB */
	THREAD_MIN_ORDER = 7, /* 512 KiB: the usual limit, for the crowd of first periods */
	MAX_ORDER = 11,       /* 8 MiB */
	CROWD = 64,           /* threads */
	CROWD_STACK = 512,    /* bytes of each stack copy, then */
	ATTACH_PASSES = 50,
	PHASE_PARTS = 8, /* the shortest first period is period / PHASE_PARTS */
};

struct event {
	int fd;
	pid_t tid;   /* -1: a whole CPU */
	bool phased; /* its period is the nominal one */
	uint64_t id;
	uint64_t since;  /* when that was set; samples before are dropped */
	uint64_t first;  /* the period before, which threads started until then have inherited */
	uint64_t credit; /* time that samples of theirs stand for, but for those that counted */
};

struct cpu {
	int cpu;
	int fd; /* of the event that owns the ring; -1: no ring yet */
	struct prowl_ring ring;
	const struct perf_event_header *next;
	uint64_t next_time;
};

struct prowl_perf {
	struct prowl_perf_options o;
	struct prowl_perf_facts facts;
	struct prowl_perf_counts counts;
	struct perf_event_attr attr;
	struct cpu *cpus;
	size_t ncpus;
	struct event *events;
	size_t nevents, cap;
	struct prowl_idmap by_id, tids;
	struct prowl_idmap born; /* threads that may have inherited a first period: when, see age */
	unsigned int order;
	uint64_t rng;
	size_t unphased;
	uint64_t opened, last_phased; /* times */
	struct pollfd *polls;
};

/* --- small things ---------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static int read_int(const char *path, int none)
{
	char buf[32];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return none;
	n = read(fd, buf, sizeof buf - 1);
	close(fd);
	if (n <= 0)
		return none;
	buf[n] = '\0';
	return atoi(buf);
}

/* "0-3,8" → the CPUs that are online. */
static int online_cpus(struct prowl_perf *p)
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
			p->cpus[p->ncpus++] = (struct cpu){.cpu = (int)c, .fd = -1};
		if (*s == ',')
			s++;
	}
	return p->ncpus ? 0 : -ENODEV;
}

/* --- opening --------------------------------------------------------------------- */

static void fill_attr(struct prowl_perf *p)
{
	p->attr = (struct perf_event_attr){
		.size = sizeof p->attr,
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = p->o.period_ns,
		.sample_type = PROWL_SAMPLE_TYPE,
		.sample_regs_user = UW_REGS_MASK_AMD64,
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

static unsigned int ring_order(const struct prowl_perf_options *o)
{
	/* Half a second of samples, a full stack copy and a deep chain each. */
	uint64_t per_second = 1000000000u / (o->period_ns ? o->period_ns : 1) + 1;
	uint64_t want = per_second * (o->stack_bytes + 600u) / 2;
	unsigned int order = MIN_ORDER;

	while (order < MAX_ORDER && ((uint64_t)4096 << order) < want)
		order++;
	return order;
}

static int open_event(struct prowl_perf *p, pid_t tid, int cpu, uint64_t period)
{
	struct perf_event_attr attr = p->attr;

	attr.sample_period = period;
	attr.wakeup_watermark = p->o.wake_each ? 1 : (4096u << p->order) / 4;
	return (int)syscall(SYS_perf_event_open, &attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

/* Maps the ring of a CPU, smaller where the limit of locked memory asks for it. */
static int map_ring(struct prowl_perf *p, struct cpu *c, int fd)
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

static int add_event(struct prowl_perf *p, int fd, pid_t tid, uint64_t first)
{
	bool phased = first == p->o.period_ns;
	struct event *e;

	if (p->nevents == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 64;

		e = realloc(p->events, cap * sizeof *e);
		if (!e)
			return -ENOMEM;
		p->events = e;
		p->cap = cap;
	}
	e = &p->events[p->nevents];
	*e = (struct event){.fd = fd, .tid = tid, .phased = phased, .first = first};
	/* Where in its period the first sample that counts lies is random too. */
	if (!phased)
		e->credit = next_random(&p->rng) % p->o.period_ns;
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

static int attach_event(struct prowl_perf *p, struct cpu *c, int fd, pid_t tid, uint64_t first)
{
	int r = 0;

	if (c->fd < 0)
		r = map_ring(p, c, fd);
	else if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, c->fd) < 0)
		r = -errno;
	if (r == 0)
		r = add_event(p, fd, tid, first);
	if (r == 0 && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) < 0) {
		r = -errno;
		p->nevents--; /* the caller closes it */
	}
	return r;
}

static int open_whole_cpus(struct prowl_perf *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->ncpus; i++) {
		int fd = open_event(p, -1, p->cpus[i].cpu, p->o.period_ns), r;

		if (fd < 0 && errno == ENODEV)
			continue; /* went offline just now */
		if (fd < 0)
			return -errno;
		p->cpus[kept] = (struct cpu){.cpu = p->cpus[i].cpu, .fd = -1};
		r = attach_event(p, &p->cpus[kept], fd, -1, p->o.period_ns);
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
static uint64_t first_period(struct prowl_perf *p)
{
	uint64_t period = p->o.period_ns, phase = next_random(&p->rng) % period + 1;

	return phase < period / PHASE_PARTS ? period / PHASE_PARTS : phase;
}

static int open_thread(struct prowl_perf *p, pid_t tid, bool fresh)
{
	uint32_t unused;

	if (prowl_idmap_get(&p->tids, (uint64_t)tid, &unused))
		return 0;
	for (size_t i = 0; i < p->ncpus; i++) {
		uint64_t first = fresh ? p->o.period_ns : first_period(p);
		int fd = open_event(p, tid, p->cpus[i].cpu, first), r;

		if (fd < 0 && errno == ENODEV)
			continue;
		if (fd < 0)
			return -errno;
		r = attach_event(p, &p->cpus[i], fd, tid, first);
		if (r < 0) {
			if (p->cpus[i].fd != fd)
				close(fd);
			return r;
		}
	}
	return prowl_idmap_put(&p->tids, (uint64_t)tid, 1);
}

/*
 * A process that has just begun: its threads are sampled from their start, and the many that are to
 * inherit from the first one shall not inherit a short period.
 */
static bool is_fresh(const struct prowl_perf *p, pid_t pid)
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
static int open_process(struct prowl_perf *p, pid_t pid)
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
			r = open_thread(p, tid, fresh);
			if (r == 0) {
				attached++;
			} else if (r != -ESRCH) {
				p->counts.failed_threads++;
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
static size_t count_threads(const struct prowl_perf *p)
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

static int open_per_thread(struct prowl_perf *p)
{
	struct rlimit lim;
	int r = 0;

	/* Two descriptors a thread on two CPUs: take what the hard limit gives. */
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	p->attr.inherit = 1;
	if (p->order < THREAD_MIN_ORDER)
		p->order = THREAD_MIN_ORDER;
	/* Many first periods end at about the same time: their samples shall fit. */
	if (count_threads(p) > CROWD && p->attr.sample_stack_user > CROWD_STACK)
		p->attr.sample_stack_user = CROWD_STACK;
	for (size_t i = 0; i < p->o.npids; i++) {
		r = open_process(p, p->o.pids[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static void close_events(struct prowl_perf *p)
{
	for (size_t i = 0; i < p->ncpus; i++) {
		prowl_ring_fini(&p->cpus[i].ring);
		p->cpus[i].fd = -1;
	}
	for (size_t i = 0; i < p->nevents; i++)
		close(p->events[i].fd);
	p->nevents = 0;
	p->unphased = 0;
	prowl_idmap_fini(&p->by_id);
	prowl_idmap_fini(&p->tids);
	prowl_idmap_fini(&p->born);
}

/* Tries from the most to the least privilege. */
static int open_best(struct prowl_perf *p)
{
	int r = -EACCES;

	p->facts.kernel = true;
	if (!p->o.per_thread) {
		r = open_whole_cpus(p);
		if (r == 0) {
			p->facts.whole_cpus = true;
			return 0;
		}
		close_events(p);
		if (r != -EACCES && r != -EPERM)
			return r;
	}
	free(p->cpus);
	p->ncpus = 0;
	r = online_cpus(p);
	if (r < 0)
		return r;
	r = open_per_thread(p);
	if (r == -EACCES || r == -EPERM) {
		close_events(p);
		p->attr.exclude_kernel = 1;
		p->attr.exclude_callchain_kernel = 1;
		p->facts.kernel = false;
		r = open_per_thread(p);
	}
	return r;
}

/* --- saying what is missing ------------------------------------------------------ */

static int own_seccomp(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");
	int mode = 0;

	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	}
	if (f)
		fclose(f);
	return mode;
}

static enum prowl_code explain(const struct prowl_perf *p, int r, struct prowl_err *err)
{
	int paranoid = p->facts.paranoid;
	pid_t pid = p->o.npids ? p->o.pids[0] : 0;

	switch (-r) {
	case ESRCH:
		return prowl_fail(err, PROWL_NOTHING, "process %d does not exist any more",
				  (int)pid);
	case EMFILE: {
		struct rlimit lim = {0};

		getrlimit(RLIMIT_NOFILE, &lim);
		prowl_fail(err, PROWL_FAILED,
			   "too many threads: without CAP_PERFMON each thread needs one file "
			   "descriptor per CPU (%u CPUs), and the limit is %llu",
			   (unsigned)p->ncpus, (unsigned long long)lim.rlim_cur);
		prowl_hint(err, "raise it (ulimit -Hn, as root), or grant CAP_PERFMON:\n"
				"  " PROWL_SETCAP);
		return PROWL_FAILED;
	}
	case ENOSYS:
		prowl_fail(err, PROWL_PERMISSION,
			   "the kernel or a sandbox has no perf_event_open "
			   "(ENOSYS)");
		prowl_hint(err, "run prowl outside of the sandbox, on the host");
		return PROWL_PERMISSION;
	case EPERM:
	case EACCES:
		if (own_seccomp() == 2 && r == -EPERM) {
			prowl_fail(
				err, PROWL_PERMISSION,
				"perf_event_open is refused (EPERM) and this process runs under a "
				"seccomp filter (Seccomp: 2)");
			prowl_hint(err,
				   "Docker: --cap-add PERFMON --cap-add SYS_PTRACE, or a seccomp "
				   "profile that allows perf_event_open\n"
				   "Kubernetes: securityContext: {capabilities: {add: [PERFMON, "
				   "SYS_PTRACE]}}");
			return PROWL_PERMISSION;
		}
		prowl_fail(err, PROWL_PERMISSION,
			   "not allowed to sample process %d (perf_event_open: %s; "
			   "kernel.perf_event_paranoid is %d, uid %d)",
			   (int)pid, strerror(-r), paranoid, (int)geteuid());
		if (paranoid > 2)
			prowl_hint(
				err,
				"kernel.perf_event_paranoid above 2 needs CAP_PERFMON even for own "
				"processes; smallest fix, either of:\n"
				"  " PROWL_SETCAP "\n"
				"  sudo sysctl kernel.perf_event_paranoid=2");
		else
			prowl_hint(
				err,
				"own processes can be sampled without privilege, those of others "
				"need CAP_PERFMON and CAP_SYS_PTRACE:\n"
				"  " PROWL_SETCAP "\n"
				"or run prowl as the process' own user, or as root");
		return PROWL_PERMISSION;
	default:
		return prowl_fail(err, PROWL_FAILED, "perf_event_open: %s", strerror(-r));
	}
}

enum prowl_code prowl_perf_open(const struct prowl_perf_options *o, struct prowl_perf **ret,
				struct prowl_err *err)
{
	struct prowl_perf *p = calloc(1, sizeof *p);
	enum prowl_code code;
	int r;

	if (!p)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	p->o = *o;
	p->facts.paranoid = read_int("/proc/sys/kernel/perf_event_paranoid", -99);
	p->facts.max_stack = (unsigned int)read_int("/proc/sys/kernel/perf_event_max_stack", 127);
	if (getrandom(&p->rng, sizeof p->rng, GRND_NONBLOCK) != sizeof p->rng || p->rng == 0)
		p->rng = now_ns() | 1;
	p->opened = now_ns();
	p->order = ring_order(o);
	fill_attr(p);
	r = online_cpus(p);
	if (r == 0)
		r = open_best(p);
	if (r == 0) {
		p->polls = calloc(p->ncpus + 1, sizeof *p->polls);
		r = p->polls ? 0 : -ENOMEM;
	}
	if (r < 0) {
		code = explain(p, r, err);
		prowl_perf_close(p);
		return code;
	}
	p->facts.ncpus = (unsigned int)p->ncpus;
	p->facts.nevents = (unsigned int)p->nevents;
	p->facts.ring_bytes = (size_t)4096 << p->order;
	*ret = p;
	return PROWL_OK;
}

const struct prowl_perf_facts *prowl_perf_facts(const struct prowl_perf *p)
{
	return &p->facts;
}

const struct prowl_perf_counts *prowl_perf_counts(const struct prowl_perf *p)
{
	return &p->counts;
}

/* --- draining -------------------------------------------------------------------- */

int prowl_perf_wait(struct prowl_perf *p, int timeout_ms, int wake_fd, bool prompt)
{
	nfds_t n = 0;
	int first = (int)(p->o.period_ns / PHASE_PARTS / 1000000u) + 1;

	for (size_t i = 0; i < p->ncpus; i++) {
		if (p->cpus[i].fd >= 0 && (prompt || !p->o.wake_each))
			p->polls[n++] = (struct pollfd){.fd = p->cpus[i].fd, .events = POLLIN};
	}
	if (wake_fd >= 0)
		p->polls[n++] = (struct pollfd){.fd = wake_fd, .events = POLLIN};
	/* While first periods wait to be replaced, look often enough that few samples are dropped.
	 */
	if (p->unphased && timeout_ms > first)
		timeout_ms = first;
	n = (nfds_t)poll(p->polls, n, timeout_ms);
	/* A ring whose threads are all gone says POLLHUP at once and for ever: wait by the clock.
	 */
	for (size_t i = 0; (int)n > 0 && i < p->ncpus; i++) {
		if (p->polls[i].revents & POLLHUP) {
			struct timespec t = {.tv_nsec = 2000000};

			nanosleep(&t, NULL);
			break;
		}
	}
	return (int)n;
}

/* Replaces a first period at its first sample. False: the sample is to be dropped. */
static bool phase(struct prowl_perf *p, struct event *e, uint64_t time)
{
	uint64_t period = p->o.period_ns;

	if (e->phased) {
		if (time >= e->since)
			return true;
		p->counts.phase_drops++;
		return false;
	}
	ioctl(e->fd, PERF_EVENT_IOC_PERIOD, &period);
	e->phased = true;
	e->since = p->last_phased = now_ns();
	p->unphased--;
	return true;
}

/* A time in units of 16 us since we began, which fit 32 bits for 19 hours. */
static uint32_t age(const struct prowl_perf *p, uint64_t time)
{
	uint64_t units = time > p->opened ? (time - p->opened) >> 14 : 0;

	return units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
}

/*
 * Has this thread inherited the first period of e? Its own events, which inherit the first one's
 * attributes as they are at that time, can't be reached to set another one.
 */
static bool inherited_first(const struct prowl_perf *p, const struct event *e, pid_t tid)
{
	uint32_t born;

	return e->first != p->o.period_ns && e->tid != tid &&
	       prowl_idmap_get(&p->born, (uint64_t)tid, &born) &&
	       (!e->since || born < age(p, e->since));
}

static bool wanted(struct prowl_perf *p, const struct prowl_event *ev)
{
	uint32_t i, unused;
	struct event *e;

	if (p->facts.whole_cpus || !prowl_idmap_get(&p->by_id, ev->id, &i))
		return true;
	e = &p->events[i];
	if (e->tid != ev->tid && prowl_idmap_get(&p->tids, (uint64_t)ev->tid, &unused)) {
		p->counts.duplicates++;
		return false;
	}
	if (!inherited_first(p, e, ev->tid))
		return phase(p, e, ev->time);
	if (!e->phased)
		phase(p, e, ev->time); /* so that no more threads inherit it */
	e->credit += e->first;
	if (e->credit < p->o.period_ns) {
		p->counts.surplus++;
		return false;
	}
	e->credit -= p->o.period_ns;
	return true;
}

/* Keeps up which threads have events of their own, and which may have inherited a first period. */
static void follow(struct prowl_perf *p, const struct prowl_event *ev)
{
	if (p->facts.whole_cpus)
		return;
	if (ev->type == PROWL_EVENT_EXIT) {
		/* The number may come again: with the next thread, or with an exec's. */
		prowl_idmap_del(&p->tids, (uint64_t)ev->tid);
		prowl_idmap_del(&p->born, (uint64_t)ev->tid);
	} else if (ev->type == PROWL_EVENT_FORK && (p->unphased || ev->time < p->last_phased)) {
		prowl_idmap_put(&p->born, (uint64_t)ev->tid, age(p, ev->time));
	}
}

static void peek(struct prowl_perf *p, struct cpu *c, const struct prowl_perf_takers *t, void *ctx)
{
	bool bad;

	c->next = prowl_ring_peek(&c->ring, &bad);
	c->next_time = c->next ? prowl_perf_time(c->next) : UINT64_MAX;
	if (bad)
		p->counts.damaged++;
	if (c->next && t->soon && c->next->type == PERF_RECORD_SAMPLE)
		t->soon(ctx, prowl_perf_ip(c->next));
}

static void hand_out(struct prowl_perf *p, const struct perf_event_header *rec,
		     const struct prowl_perf_takers *t, void *ctx)
{
	struct prowl_event ev;

	if (prowl_perf_decode(rec, &ev) < 0)
		p->counts.damaged++;
	else if (ev.type == PROWL_EVENT_THROTTLE)
		p->counts.throttled++;
	else if (ev.type != PROWL_EVENT_SAMPLE || wanted(p, &ev)) {
		follow(p, &ev);
		t->event(ctx, &ev);
	}
}

size_t prowl_perf_drain(struct prowl_perf *p, const struct prowl_perf_takers *takers, void *ctx)
{
	/* What comes while rings are looked at may be later than what the first one doesn't show
	 * yet: a sample must not overtake the exec or the mapping that it is to be named by. */
	uint64_t until = now_ns();
	size_t n = 0;

	for (size_t i = 0; i < p->ncpus; i++) {
		struct cpu *c = &p->cpus[i];

		c->next = NULL;
		c->next_time = UINT64_MAX;
		if (c->fd >= 0) {
			p->counts.bytes += prowl_ring_begin(&c->ring);
			peek(p, c, takers, ctx);
		}
	}
	for (;;) {
		struct cpu *c = NULL;

		for (size_t i = 0; i < p->ncpus; i++) {
			if (p->cpus[i].next && (!c || p->cpus[i].next_time < c->next_time))
				c = &p->cpus[i];
		}
		if (!c || c->next_time > until)
			break;
		if (c->next->type != PERF_RECORD_SAMPLE ||
		    takers->want(ctx, prowl_perf_pid(c->next)))
			hand_out(p, c->next, takers, ctx);
		n++;
		prowl_ring_take(&c->ring, c->next);
		peek(p, c, takers, ctx);
	}
	for (size_t i = 0; i < p->ncpus; i++) {
		if (p->cpus[i].fd >= 0)
			prowl_ring_end(&p->cpus[i].ring);
	}
	return n;
}

void prowl_perf_stop(struct prowl_perf *p)
{
	prctl(PR_TASK_PERF_EVENTS_DISABLE);
}

void prowl_perf_close(struct prowl_perf *p)
{
	if (!p)
		return;
	close_events(p);
	free(p->cpus);
	free(p->events);
	free(p->polls);
	free(p);
}

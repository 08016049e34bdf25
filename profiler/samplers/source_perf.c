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

#include "arch.h"
#include "array.h"
#include "bpf.h"
#include "grants.h"
#include "idmap.h"
#include "moment_pair.h"
#include "perf_ring.h"
#include "urgent.h"

#ifndef PERF_RECORD_MISC_COMM_EXEC
#define PERF_RECORD_MISC_COMM_EXEC (1 << 13)
#endif

const struct prowl_event_kind prowl_cpu_clock = {.name = "cpu-clock",
						 .type = "cpu",
						 .unit = "nanoseconds",
						 .period_type = "cpu",
						 .period_unit = "nanoseconds",
						 .scale_to_charge = true};

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
	PHASE_PARTS = 8,     /* the shortest first period is period / PHASE_PARTS */
	/*
	 * Spread periods, from SPREAD_FROM_NS to a SPREAD_PARTS-th of the nominal one, or to
	 * SPREAD_TO_NS where that is more: a sample costs some 13 us, so that these threads have up
	 * to some 4 % less of the CPU.
	 */
	SPREAD_FROM_NS = 50000,
	SPREAD_TO_NS = 1000000,
	SPREAD_PARTS = 4,
	SPREAD_ENDED = 8,  /* threads that must have ended first, */
	SPREAD_MISSED = 2, /* and nominal periods that no sample stands for */
	SPREAD_MS = 5,     /* so long a period is inherited */
	SPREAD_IDLE = 400, /* of these without a new thread, and it ends */
	LOOK_MS = 20,      /* for such threads, in the first half second; then LOOK_LATER_MS */
	LOOK_FIRST_MS = 500,
	LOOK_LATER_MS = 100,
};

struct event {
	int fd;
	pid_t pid, tid; /* -1: a whole CPU */
	bool phased;    /* its period is the nominal one */
	uint64_t id;
	uint64_t since; /* when that was set; samples before are dropped */
	uint64_t first; /* the period before, which threads started until then have inherited */
	/* Of threads that inherited it, and of what it has given. */
	uint64_t began, ended;
	uint64_t weight; /* ns that its samples stand for */
	struct heirs {
		bool spread;    /* it is there for them only, with spread periods */
		uint64_t place; /* of the period in its range; 2^64 is its end */
		uint64_t began; /* at the last change */
		unsigned int idle;
	} heirs;
};

struct cpu {
	int cpu;
	int fd; /* of the event that owns the ring; -1: no ring yet */
	struct prowl_ring ring;
	const struct perf_event_header *next;
	uint64_t next_time;
	int output; /* event for moments, in the same ring; -1: none */
	struct prowl_moment_pair moments;
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
	struct prowl_idmap
		heirs; /* samples so far of a thread with a spread period, see heir_key */
	int *keepers;  /* descriptors, see keep_context */
	size_t nkeepers, keepers_cap;
	unsigned int order;
	uint64_t rng;
	size_t unphased;
	size_t nspread; /* events */
	bool stopped;
	bool by_thread;                 /* whole CPUs were not allowed, or not wanted */
	uint64_t opened, looked, moved; /* times */
	struct pollfd *polls;
	struct prowl_moment moment; /* of the sample that is handed out */
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
			p->cpus[p->ncpus++] = (struct cpu){.cpu = (int)c, .fd = -1, .output = -1};
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

static unsigned int ring_order(const struct prowl_perf_options *o)
{
	/* Half a second of samples, a full stack copy and a deep chain each; more where we may have
	 * to wait for our turn. (Without privilege their memory is limited.) */
	uint64_t per_second = 1000000000u / (o->period_ns ? o->period_ns : 1) + 1;
	uint64_t want = per_second * (o->stack_bytes + 600u + (o->bpf ? MOMENT_BYTES : 0)) / 2 *
			(geteuid() == 0 && prowl_urgent_crowd() ? CROWD_RINGS : 1);
	unsigned int order = MIN_ORDER;

	while (order < MAX_ORDER && ((uint64_t)4096 << order) < want)
		order++;
	return order;
}

static int open_event(struct prowl_perf *p, pid_t tid, int cpu, uint64_t period, bool inherit)
{
	struct perf_event_attr attr = p->attr;

	attr.sample_period = period;
	attr.inherit = inherit;
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

static int add_event(struct prowl_perf *p, int fd, pid_t pid, pid_t tid, uint64_t first)
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
	*e = (struct event){.fd = fd, .pid = pid, .tid = tid, .phased = phased, .first = first};
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
static int open_output(struct prowl_perf *p, struct cpu *c)
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
static int add_moments(struct prowl_perf *p, struct cpu *c, int fd)
{
	int r = c->output < 0 ? open_output(p, c) : 0;

	if (r == 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, prowl_bpf_fd(p->o.bpf)) < 0)
		r = -errno;
	return r;
}

static int attach_event(struct prowl_perf *p, struct cpu *c, int fd, pid_t pid, pid_t tid,
			uint64_t first)
{
	int r = 0;

	if (c->fd < 0)
		r = map_ring(p, c, fd);
	else if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, c->fd) < 0)
		r = -errno;
	if (r == 0)
		r = add_event(p, fd, pid, tid, first);
	if (r == 0 && p->o.bpf && p->facts.bpf_error == 0)
		p->facts.bpf_error = add_moments(p, c, fd);
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
		int fd = open_event(p, -1, p->cpus[i].cpu, p->o.period_ns, false), r;

		if (fd < 0 && errno == ENODEV)
			continue; /* went offline just now */
		if (fd < 0)
			return -errno;
		p->cpus[kept] = (struct cpu){.cpu = p->cpus[i].cpu, .fd = -1, .output = -1};
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
static uint64_t first_period(struct prowl_perf *p)
{
	uint64_t period = p->o.period_ns, phase = next_random(&p->rng) % period + 1;

	return phase < period / PHASE_PARTS ? period / PHASE_PARTS : phase;
}

/*
 * Where all events of a thread are inherited, the kernel exchanges the events of parent and child
 * instead of switching them. Then the parent's own end with the child, and no period can be set any
 * more. One event that is not inherited and never counts keeps them apart.
 */
static int keep_context(struct prowl_perf *p, pid_t tid)
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
	p->keepers[p->nkeepers++] = fd;
	return 0;
}

static int open_on_cpus(struct prowl_perf *p, pid_t pid, pid_t tid, bool fresh, bool inherit)
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

static int open_thread(struct prowl_perf *p, pid_t pid, pid_t tid, bool fresh)
{
	uint32_t unused;
	int r;

	if (prowl_idmap_get(&p->tids, (uint64_t)tid, &unused))
		return 0;
	r = keep_context(p, tid);
	if (r == 0)
		r = open_on_cpus(p, pid, tid, fresh, true);
	return r < 0 ? r : prowl_idmap_put(&p->tids, (uint64_t)tid, 1);
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
			r = open_thread(p, pid, tid, fresh);
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
	int r = 0;

	p->by_thread = true;
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

static void close_output(struct cpu *c)
{
	if (c->output >= 0)
		close(c->output);
	c->output = -1;
	prowl_moment_pair_fini(&c->moments);
}

static void close_events(struct prowl_perf *p)
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
		close(p->keepers[i]);
	p->nevents = p->nkeepers = p->nspread = 0;
	p->unphased = 0;
	p->facts.bpf_error = 0;
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
static int open_best(struct prowl_perf *p)
{
	int r = -EACCES;

	allow_files();
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
	case ENFILE:
		return prowl_fail(err, PROWL_FAILED,
				  "the whole machine has no file descriptor left (fs.file-max)");
	case ENOMEM:
		return prowl_fail(err, PROWL_FAILED,
				  "out of memory for the kernel's ring buffers or for addresses to "
				  "see them (limit on virtual memory, ulimit -v?)");
	case EMFILE: {
		struct rlimit lim = {0};

		getrlimit(RLIMIT_NOFILE, &lim);
		if (!p->by_thread)
			return prowl_fail(
				err, PROWL_FAILED,
				"too few file descriptors: each of the %u CPUs needs one, "
				"and the limit is %llu (ulimit -n)",
				(unsigned)p->ncpus, (unsigned long long)lim.rlim_cur);
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
				"%sprowl heap, goroutine and wall need no perf events",
				geteuid() ? "or run prowl as the process' own user, or as root; "
					  : "");
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
	if (p->nspread && timeout_ms > SPREAD_MS)
		timeout_ms = SPREAD_MS;
	else if (!p->facts.whole_cpus && timeout_ms > LOOK_MS &&
		 now_ns() - p->opened < LOOK_FIRST_MS * 1000000ull)
		timeout_ms = LOOK_MS;
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
	e->since = now_ns();
	p->unphased--;
	return true;
}

/* --- what a sample stands for ---------------------------------------------------- */

/* The shortest of the spread periods, and the longest. */
static uint64_t spread_from(const struct prowl_perf *p)
{
	uint64_t most = p->o.period_ns / 4;

	return most < SPREAD_FROM_NS ? most : SPREAD_FROM_NS;
}

static uint64_t spread_to(const struct prowl_perf *p)
{
	uint64_t to = p->o.period_ns / SPREAD_PARTS;

	if (to < SPREAD_TO_NS)
		to = SPREAD_TO_NS;
	return to < p->o.period_ns ? to : p->o.period_ns;
}

uint64_t prowl_perf_spread_weight(uint64_t from, uint64_t to, uint64_t period, uint64_t nth)
{
	double x = (double)nth * (double)period / (double)to, sum = 1.6449340668482264; /* pi^2/6 */
	double density = (double)(to - from) / (double)to;

	if (x <= 1)
		return nth == 1 ? to - from : 0;
	/* The sum of 1 / i^2 from ceil(x) to the last i that has a period in the range. */
	if (x > 64)
		return period;
	for (unsigned int i = 1; i < x; i++)
		sum -= 1.0 / ((double)i * i);
	sum -= (double)from / (double)to / x;
	return (uint64_t)((double)period * density / (x * sum));
}

static uint64_t heir_key(uint32_t event, pid_t tid)
{
	return (uint64_t)(event + 1) << 32 | (uint32_t)tid;
}

/* A thread that began since we are here: its period is the one that was set at that time. */
static uint64_t heirs_weight(struct prowl_perf *p, uint32_t event, const struct prowl_event *ev)
{
	uint64_t period = ev->sample.period, key = heir_key(event, ev->tid);
	uint32_t n = 0;

	if (period >= p->o.period_ns)
		return p->o.period_ns;
	if (period == p->events[event].first || period < spread_from(p) || period > spread_to(p))
		return period;
	prowl_idmap_get(&p->heirs, key, &n);
	n += n < UINT32_MAX;
	if (prowl_idmap_put(&p->heirs, key, n) < 0)
		return period;
	return prowl_perf_spread_weight(spread_from(p), spread_to(p), period, n);
}

/* Also sets what it stands for. False: it doesn't count. */
static bool wanted(struct prowl_perf *p, struct prowl_event *ev)
{
	uint32_t i, unused;
	struct event *e;

	ev->sample.weight = p->o.period_ns;
	if (p->facts.whole_cpus || !prowl_idmap_get(&p->by_id, ev->id, &i))
		return true;
	e = &p->events[i];
	if (e->tid != ev->tid && prowl_idmap_get(&p->tids, (uint64_t)ev->tid, &unused)) {
		p->counts.duplicates++;
		return false;
	}
	if (e->tid == ev->tid) {
		if (e->heirs.spread || !phase(p, e, ev->time))
			return false;
	} else {
		if (!e->phased)
			phase(p, e, ev->time); /* so that no more threads inherit it */
		ev->sample.weight = heirs_weight(p, i, ev);
	}
	e->weight += ev->sample.weight;
	p->counts.surplus += ev->sample.weight == 0;
	return ev->sample.weight != 0;
}

/* --- threads that live less than a period ---------------------------------------- */

/*
 * An inherited event begins with a whole period, so that a thread that lives less than that has no
 * sample. Where much time is missed so, the events that threads inherit get another period every
 * SPREAD_MS: all periods of the range, as evenly as can be (steps of the golden ratio). A first
 * sample then comes at each time of a thread's life equally often, and the weights are such that
 * all of its samples stand for its time, see prowl_perf_spread_weight. The parent gets events of
 * its own.
 */
static void move_period(struct prowl_perf *p, struct event *e)
{
	uint64_t from = spread_from(p), range = spread_to(p) - from, period = p->o.period_ns;

	e->heirs.idle = e->began == e->heirs.began ? e->heirs.idle + 1 : 0;
	e->heirs.began = e->began;
	e->heirs.place += 0x9e3779b97f4a7c15ull;
	if (e->heirs.idle < SPREAD_IDLE)
		period = from + (uint64_t)((double)range * ((double)e->heirs.place * 0x1p-64));
	else if (e->heirs.idle > SPREAD_IDLE)
		return;
	ioctl(e->fd, PERF_EVENT_IOC_PERIOD, &period);
}

static void move_periods(struct prowl_perf *p, uint64_t now)
{
	if (!p->nspread || now - p->moved < (SPREAD_MS - 1) * 1000000ull)
		return;
	p->moved = now;
	for (size_t i = 0; i < p->nevents; i++) {
		if (p->events[i].heirs.spread)
			move_period(p, &p->events[i]);
	}
}

/* All but the first n; none of the others has a ring. */
static void forget_events(struct prowl_perf *p, size_t n)
{
	while (p->nevents > n) {
		struct event *e = &p->events[--p->nevents];

		prowl_idmap_del(&p->by_id, e->id);
		if (!e->phased)
			p->unphased--;
		close(e->fd);
	}
}

static void spread(struct prowl_perf *p, pid_t pid, pid_t tid)
{
	size_t n = p->nevents;

	/* Without descriptors for it, all stays as it is; what is missed is told at the end. */
	if (open_on_cpus(p, pid, tid, false, false) < 0) {
		forget_events(p, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct event *e = &p->events[i];

		if (e->tid != tid)
			continue;
		if (!e->phased)
			p->unphased--;
		e->phased = true;
		e->heirs = (struct heirs){.spread = true, .place = next_random(&p->rng)};
		p->nspread++;
	}
}

/* Is much of the time of e's threads in none of its samples? */
static bool misses(const struct prowl_perf *p, const struct event *e)
{
	uint64_t total, missed;

	if (read(e->fd, &total, sizeof total) != sizeof total || total <= e->weight)
		return false;
	missed = total - e->weight;
	return missed > SPREAD_MISSED * p->o.period_ns && missed > total / 20;
}

static void look_for_short(struct prowl_perf *p, uint64_t now)
{
	uint64_t pause = now - p->opened < LOOK_FIRST_MS * 1000000ull ? LOOK_MS : LOOK_LATER_MS;
	size_t n = p->nevents;

	if (p->facts.whole_cpus || now - p->looked < (pause - 1) * 1000000ull)
		return;
	p->looked = now;
	for (size_t i = 0; i < n; i++) {
		struct event *e = &p->events[i];

		if (e->ended < SPREAD_ENDED || e->heirs.spread)
			continue;
		e->ended = 0;
		if (misses(p, e))
			spread(p, e->pid, e->tid);
	}
}

/* Which threads have events of their own, and which have inherited one. */
static void follow(struct prowl_perf *p, const struct prowl_event *ev)
{
	uint32_t i, unused;

	if (p->facts.whole_cpus || (ev->type != PROWL_EVENT_EXIT && ev->type != PROWL_EVENT_FORK))
		return;
	if (ev->type == PROWL_EVENT_FORK) {
		if (prowl_idmap_get(&p->by_id, ev->id, &i))
			p->events[i].began++;
		return;
	}
	/* The number may come again: with the next thread, or with an exec's. */
	if (prowl_idmap_get(&p->tids, (uint64_t)ev->tid, &unused)) {
		prowl_idmap_del(&p->tids, (uint64_t)ev->tid);
		return;
	}
	if (prowl_idmap_get(&p->by_id, ev->id, &i))
		p->events[i].ended++;
	else
		return;
	/* The events of a thread, one for each CPU, follow each other. */
	for (uint32_t j = i; p->heirs.n && j < p->nevents && p->events[j].tid == p->events[i].tid;
	     j++)
		prowl_idmap_del(&p->heirs, heir_key(j, ev->tid));
	for (uint32_t j = i; p->heirs.n && j-- > 0 && p->events[j].tid == p->events[i].tid;)
		prowl_idmap_del(&p->heirs, heir_key(j, ev->tid));
}

static void peek(struct prowl_perf *p, struct cpu *c, const struct prowl_perf_takers *t, void *ctx)
{
	bool bad;

	while ((c->next = prowl_ring_peek(&c->ring, &bad)) &&
	       prowl_moment_pair_take(&c->moments, c->next))
		prowl_ring_take(&c->ring, c->next);
	c->next_time = c->next ? prowl_perf_time(c->next) : UINT64_MAX;
	if (bad)
		p->counts.damaged++;
	if (c->next && t->soon && c->next->type == PERF_RECORD_SAMPLE)
		t->soon(ctx, prowl_perf_ip(c->next));
}

static void hand_out(struct prowl_perf *p, struct cpu *c, const struct prowl_perf_takers *t,
		     void *ctx)
{
	const struct perf_event_header *rec = c->next;
	struct prowl_event ev;

	if (prowl_perf_decode(rec, &ev) < 0)
		p->counts.damaged++;
	else if (ev.type == PROWL_EVENT_THROTTLE)
		p->counts.throttled++;
	else if (ev.type != PROWL_EVENT_SAMPLE || wanted(p, &ev)) {
		follow(p, &ev);
		if (ev.type == PROWL_EVENT_SAMPLE)
			ev.sample.moment = prowl_moment_pair_of(&c->moments, &ev, &p->moment);
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
		p->counts.samples += c->next->type == PERF_RECORD_SAMPLE;
		if (c->next->type != PERF_RECORD_SAMPLE ||
		    takers->want(ctx, prowl_perf_pid(c->next)))
			hand_out(p, c, takers, ctx);
		prowl_moment_pair_next(&c->moments);
		n++;
		prowl_ring_take(&c->ring, c->next);
		peek(p, c, takers, ctx);
	}
	for (size_t i = 0; i < p->ncpus; i++) {
		prowl_moment_pair_keep(&p->cpus[i].moments);
		p->counts.stray_moments += p->cpus[i].moments.strays;
		p->cpus[i].moments.strays = 0;
		if (p->cpus[i].fd >= 0)
			prowl_ring_end(&p->cpus[i].ring);
	}
	if (!p->stopped) {
		look_for_short(p, until);
		move_periods(p, until);
	}
	return n;
}

int prowl_perf_add(struct prowl_perf *p, pid_t pid)
{
	int r = p->facts.whole_cpus ? 0 : open_process(p, pid);

	return r < 0 ? r : 0;
}

static bool owns_ring(const struct prowl_perf *p, int fd)
{
	for (size_t i = 0; i < p->ncpus; i++) {
		if (p->cpus[i].fd == fd)
			return true;
	}
	return false;
}

void prowl_perf_remove(struct prowl_perf *p, pid_t pid)
{
	for (size_t i = 0; i < p->nevents; i++) {
		struct event *e = &p->events[i];

		if (e->pid != pid || e->fd < 0)
			continue;
		prowl_idmap_del(&p->by_id, e->id);
		prowl_idmap_del(&p->tids, (uint64_t)e->tid);
		p->unphased -= !e->phased;
		p->nspread -= e->heirs.spread;
		e->phased = true;
		e->heirs.spread = false;
		e->ended = 0;
		ioctl(e->fd, PERF_EVENT_IOC_DISABLE, 0);
		if (owns_ring(p, e->fd))
			continue;
		close(e->fd);
		e->fd = -1;
	}
}

void prowl_perf_take_output(struct prowl_perf *p)
{
	for (size_t i = 0; p->o.bpf && i < p->ncpus; i++) {
		if (p->cpus[i].fd >= 0 && p->cpus[i].output >= 0)
			prowl_bpf_output(p->o.bpf, p->cpus[i].cpu, p->cpus[i].output);
	}
}

void prowl_perf_stop(struct prowl_perf *p)
{
	p->stopped = true;
	prctl(PR_TASK_PERF_EVENTS_DISABLE);
}

void prowl_perf_close(struct prowl_perf *p)
{
	if (!p)
		return;
	close_events(p);
	free(p->cpus);
	free(p->events);
	free(p->keepers);
	free(p->polls);
	free(p);
}

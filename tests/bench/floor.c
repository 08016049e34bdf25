/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor: the least that any sampler on perf_event_open has to do.
 *
 * Opens the events, maps the rings, drains them and counts bytes and records; nothing is walked,
 * named or kept. What a profiler costs beyond this program is the profiler's own doing, so the
 * figures of tests/bench are given as ratios to it.
 *
 *	floor -p PID [-F rate] [-d seconds] [-t] [-c] [-r] [-s bytes] [-m pages] [-u]
 *
 *	-t	one event per thread and CPU (what an unprivileged user may open) instead of one per
 *CPU -c	no call chain -r	add the user registers ip, sp, bp and r14 -s	add a copy
 *of N bytes of the user stack -m	ring pages per CPU, a power of two (128) -u	user frames
 *only
 *
 * Prints `name value` lines. Exit 77: not permitted here.
 */
#include <asm/perf_regs.h>
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct ring {
	int fd;
	struct perf_event_mmap_page *meta;
	uint8_t *data;
	uint64_t size;
};

struct counts {
	uint64_t samples;
	uint64_t others;
	uint64_t lost;
	uint64_t throttled;
	uint64_t records;
	uint64_t bytes;
	uint64_t sample_bytes;
	uint64_t first_ns;
	uint64_t seen_ns;
};

struct options {
	pid_t pid;
	uint64_t rate;
	double seconds;
	uint64_t stack;
	size_t pages;
	bool per_thread;
	bool no_chain;
	bool regs;
	bool user;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct perf_event_attr attributes(const struct options *o)
{
	struct perf_event_attr a = {
		.size = sizeof(a),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.freq = 1,
		.sample_freq = o->rate,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |
			       PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD,
		.disabled = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.sample_id_all = 1,
		.exclude_hv = 1,
		.exclude_idle = 1,
		.exclude_kernel = o->user,
		.exclude_callchain_kernel = o->user,
		.inherit = o->per_thread,
	};

	if (!o->no_chain)
		a.sample_type |= PERF_SAMPLE_CALLCHAIN;
	if (o->regs) {
		a.sample_type |= PERF_SAMPLE_REGS_USER;
#ifdef __x86_64__
		a.sample_regs_user = 1u << PERF_REG_X86_IP | 1u << PERF_REG_X86_SP |
				     1u << PERF_REG_X86_BP | 1u << PERF_REG_X86_R14;
#else
		a.sample_regs_user = UINT64_C(1) << PERF_REG_ARM64_PC |
				     UINT64_C(1) << PERF_REG_ARM64_SP |
				     UINT64_C(1) << PERF_REG_ARM64_X29 |
				     UINT64_C(1) << PERF_REG_ARM64_X28;
#endif
	}
	if (o->stack != 0) {
		a.sample_type |= PERF_SAMPLE_STACK_USER;
		a.sample_stack_user = (uint32_t)o->stack;
	}
	return a;
}

static int event_open(struct perf_event_attr *attr, pid_t pid, int cpu)
{
	return (int)syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static int fail(const char *what)
{
	int err = errno;

	fprintf(stderr, "floor: %s: %s\n", what, strerror(err));
	return err == EACCES || err == EPERM || err == ENOSYS ? 77 : 1;
}

static int ring_map(struct ring *r, int fd, size_t pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, (pages + 1) * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -1;
	*r = (struct ring){.fd = fd, .meta = p, .data = (uint8_t *)p + page, .size = pages * page};
	return 0;
}

/* One event for each thread on this CPU; all but the first write into the first one's ring. */
static int open_threads(const struct options *o, struct perf_event_attr *attr, int cpu,
			struct ring *r, unsigned *events)
{
	char path[64];
	struct dirent *e;
	int ring = -1;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)o->pid);
	d = opendir(path);
	if (d == NULL)
		return -1;
	while ((e = readdir(d)) != NULL) {
		int fd;

		if (e->d_name[0] == '.')
			continue;
		fd = event_open(attr, atoi(e->d_name), cpu);
		if (fd < 0 && errno == ESRCH)
			continue;
		if (fd < 0) {
			closedir(d);
			return -1;
		}
		if (ring < 0) {
			ring = fd;
			if (ring_map(r, fd, o->pages) < 0) {
				closedir(d);
				return -1;
			}
		} else if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, ring) < 0) {
			closedir(d);
			return -1;
		}
		if (ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) < 0) {
			closedir(d);
			return -1;
		}
		++*events;
	}
	closedir(d);
	return ring < 0 ? -1 : 0;
}

static int open_cpu(const struct options *o, struct perf_event_attr *attr, int cpu, struct ring *r,
		    unsigned *events)
{
	int fd = event_open(attr, -1, cpu);

	if (fd < 0 || ring_map(r, fd, o->pages) < 0)
		return -1;
	if (ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) < 0)
		return -1;
	++*events;
	return 0;
}

static uint64_t word(const struct ring *r, uint64_t at)
{
	uint64_t v;

	/* Records are multiples of eight bytes and the ring too: a word never wraps. */
	memcpy(&v, r->data + (at & (r->size - 1)), sizeof(v));
	return v;
}

static void drain(struct ring *r, pid_t pid, struct counts *c)
{
	uint64_t head = __atomic_load_n(&r->meta->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = r->meta->data_tail;

	while (tail < head) {
		uint64_t first = word(r, tail);
		struct perf_event_header h;

		memcpy(&h, &first, sizeof(h));
		if (h.size < sizeof(h) || h.size > head - tail)
			break;
		c->records++;
		c->bytes += h.size;
		if (h.type == PERF_RECORD_SAMPLE) {
			uint64_t ids = word(r, tail + 16), when = word(r, tail + 24);

			if ((pid_t)(uint32_t)ids == pid) {
				c->samples++;
				c->sample_bytes += h.size;
				if (c->first_ns == 0 || when < c->first_ns)
					c->first_ns = when;
				if (c->seen_ns == 0)
					c->seen_ns = now_ns();
			} else {
				c->others++;
			}
		} else if (h.type == PERF_RECORD_LOST) {
			c->lost += word(r, tail + 16);
		} else if (h.type == PERF_RECORD_THROTTLE) {
			c->throttled++;
		}
		tail += h.size;
	}
	__atomic_store_n(&r->meta->data_tail, tail, __ATOMIC_RELEASE);
}

static int usage(void)
{
	fprintf(stderr, "usage: floor -p PID [-F rate] [-d seconds] [-t] [-c] [-r] [-s bytes] "
			"[-m pages] [-u]\n");
	return 2;
}

static int parse(int argc, char **argv, struct options *o)
{
	int opt;

	while ((opt = getopt(argc, argv, "p:F:d:tcrs:m:u")) != -1) {
		switch (opt) {
		case 'p':
			o->pid = atoi(optarg);
			break;
		case 'F':
			o->rate = strtoull(optarg, NULL, 10);
			break;
		case 'd':
			o->seconds = strtod(optarg, NULL);
			break;
		case 't':
			o->per_thread = true;
			break;
		case 'c':
			o->no_chain = true;
			break;
		case 'r':
			o->regs = true;
			break;
		case 's':
			o->stack = strtoull(optarg, NULL, 10);
			break;
		case 'm':
			o->pages = strtoull(optarg, NULL, 10);
			break;
		case 'u':
			o->user = true;
			break;
		default:
			return -1;
		}
	}
	if (o->pid <= 0 || optind != argc || o->rate == 0 || o->pages == 0 ||
	    (o->pages & (o->pages - 1)) != 0)
		return -1;
	return 0;
}

static void print(const struct counts *c, uint64_t launch, uint64_t opened, unsigned events)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	printf("events %u\n", events);
	printf("open_ms %.3f\n", (double)(opened - launch) / 1e6);
	if (c->samples != 0) {
		printf("first_sample_ms %.3f\n", (double)(int64_t)(c->first_ns - launch) / 1e6);
		printf("first_seen_ms %.3f\n", (double)(c->seen_ns - launch) / 1e6);
		printf("first_sample_ns %llu\n", (unsigned long long)c->first_ns);
		printf("bytes_per_sample %.1f\n", (double)c->sample_bytes / (double)c->samples);
	}
	printf("samples %llu\n", (unsigned long long)c->samples);
	printf("samples_of_others %llu\n", (unsigned long long)c->others);
	printf("lost %llu\n", (unsigned long long)c->lost);
	printf("throttled %llu\n", (unsigned long long)c->throttled);
	printf("records %llu\n", (unsigned long long)c->records);
	printf("bytes %llu\n", (unsigned long long)c->bytes);
	printf("user_ms %.3f\n",
	       (double)ru.ru_utime.tv_sec * 1e3 + (double)ru.ru_utime.tv_usec / 1e3);
	printf("sys_ms %.3f\n",
	       (double)ru.ru_stime.tv_sec * 1e3 + (double)ru.ru_stime.tv_usec / 1e3);
	printf("peak_kb %ld\n", ru.ru_maxrss);
}

int main(int argc, char **argv)
{
	struct options o = {.rate = 99, .seconds = 1, .pages = 128};
	uint64_t launch = now_ns(), opened, end;
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	struct perf_event_attr attr;
	struct counts c = {0};
	unsigned events = 0;
	struct ring *rings;
	struct pollfd *fds;
	size_t n = 0;

	if (parse(argc, argv, &o) < 0)
		return usage();
	rings = calloc((size_t)cpus, sizeof(*rings));
	fds = calloc((size_t)cpus, sizeof(*fds));
	if (rings == NULL || fds == NULL)
		return fail("memory");
	attr = attributes(&o);
	/* Wake once half a ring is full; small records come rarely, so the time limit drains them.
	 */
	attr.watermark = 1;
	attr.wakeup_watermark = (uint32_t)(o.pages * (size_t)sysconf(_SC_PAGESIZE) / 2);
	for (int cpu = 0; cpu < cpus; cpu++) {
		int rc = o.per_thread ? open_threads(&o, &attr, cpu, &rings[n], &events)
				      : open_cpu(&o, &attr, cpu, &rings[n], &events);

		if (rc < 0 && errno == ENODEV)
			continue;
		if (rc < 0)
			return fail("perf_event_open");
		fds[n] = (struct pollfd){.fd = rings[n].fd, .events = POLLIN};
		n++;
	}
	opened = now_ns();
	end = opened + (uint64_t)(o.seconds * 1e9);
	for (;;) {
		uint64_t now = now_ns(), left;

		if (now >= end)
			break;
		left = (end - now) / 1000000 + 1;
		/* Look often until the first sample is there, at leisure after it. */
		if (c.samples == 0 && left > 5)
			left = 5;
		poll(fds, n, left > 100 ? 100 : (int)left);
		for (size_t i = 0; i < n; i++)
			drain(&rings[i], o.pid, &c);
	}
	for (size_t i = 0; i < n; i++) {
		ioctl(rings[i].fd, PERF_EVENT_IOC_DISABLE, 0);
		drain(&rings[i], o.pid, &c);
	}
	print(&c, launch, opened, events);
	return 0;
}

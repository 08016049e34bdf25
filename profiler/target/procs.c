/* SPDX-License-Identifier: Apache-2.0 */
#include "procs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "procfs.h"

enum { CLOCK_TRIES = 4 };

static void *grow(void *array, size_t *cap, size_t n, size_t size)
{
	size_t want = *cap ? *cap * 2 : 8;
	void *p = array;

	if (n < *cap)
		return array;
	p = realloc(array, want * size);
	if (p)
		*cap = want;
	return p;
}

static struct prowl_image *image_new(struct prowl_procs *t, struct prowl_proc *proc)
{
	struct prowl_image **images = grow(t->images, &t->images_cap, t->nimages, sizeof *images);
	struct prowl_image *im;

	if (!images)
		return NULL;
	t->images = images;
	im = calloc(1, sizeof *im);
	if (!im)
		return NULL;
	im->id = (uint32_t)t->nimages;
	im->proc = proc;
	t->images[t->nimages++] = im;
	return im;
}

void prowl_procs_fini(struct prowl_procs *t)
{
	for (size_t i = 0; i < t->nimages; i++) {
		uw_space_fini(&t->images[i]->space);
		free(t->images[i]);
	}
	for (size_t i = 0; i < t->n; i++)
		free(t->procs[i]);
	free(t->images);
	free(t->procs);
	uw_binaries_fini(&t->files);
	*t = (struct prowl_procs){0};
}

struct prowl_proc *prowl_procs_find(struct prowl_procs *t, pid_t pid)
{
	if (t->last && t->last->pid == pid)
		return t->last;
	for (size_t i = 0; i < t->n; i++) {
		if (t->procs[i]->pid == pid && !t->procs[i]->replaced)
			return t->last = t->procs[i];
	}
	return NULL;
}

/* --- CPU time -------------------------------------------------------------------- */

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

struct stat_line { /* of /proc/PID/stat: fields 3, 14 to 17, 20 and 22 */
	char state;
	uint64_t utime, stime; /* clock ticks */
	uint64_t cutime, cstime;
	long threads;
	uint64_t start; /* clock ticks since boot */
};

static bool read_stat(pid_t pid, struct stat_line *s)
{
	char buf[1024];
	const char *p;

	if (prowl_read_of(pid, "stat", buf, sizeof buf) <= 0)
		return false;
	p = strrchr(buf, ')'); /* the name may hold anything, also ')' */
	return p && sscanf(p + 1,
			   " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu %*d %*d "
			   "%ld %*d %lu",
			   &s->state, &s->utime, &s->stime, &s->cutime, &s->cstime, &s->threads,
			   &s->start) == 7;
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

static void read_times(struct prowl_proc *p, const struct stat_line *s)
{
	uint64_t tick = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t cpu;

	p->utime_last = s->utime;
	p->stime_last = s->stime;
	p->reaped_last = (struct prowl_reaped){s->cutime * tick, s->cstime * tick};
	if (!cpu_clock(p->pid, &cpu))
		return;
	p->cpu_last = cpu;
	p->sampled_at_clock = p->sampled;
	p->clocked = prowl_now();
	p->complete = p->exited;
}

static void read_clock(struct prowl_proc *p, bool first)
{
	struct stat_line s;

	if (p->gone)
		return;
	if (!read_stat(p->pid, &s) || s.state == 'X' || (p->start && s.start != p->start)) {
		p->exited = p->gone = true;
		return;
	}
	if (p->exited)
		return;
	p->start = s.start;
	/* A process whose first thread has ended is a zombie with threads, and runs. */
	p->exited = s.state == 'Z' && s.threads <= 1;
	read_times(p, &s);
	if (p->exited)
		reaped_exactly(p);
	if (first) {
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

		read_clock(t->procs[i], first);
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

bool prowl_procs_all_exited(const struct prowl_procs *t)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!t->procs[i]->exited)
			return false;
	}
	return true;
}

/* --- processes and images -------------------------------------------------------- */

/* Some descriptors, as many as a reading takes, and so much more address space: negative errno
 * where they can't be had. */
static int probe_limits(size_t bytes)
{
	int fds[4], r = 0;
	size_t n = 0;
	void *p;

	while (n < sizeof fds / sizeof *fds && r == 0) {
		fds[n] = open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
		if (fds[n] < 0)
			r = -errno;
		else
			n++;
	}
	while (n > 0)
		close(fds[--n]);
	if (r == -EMFILE || r == -ENFILE)
		return r;
	p = mmap(NULL, bytes ? bytes : 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	munmap(p, bytes ? bytes : 1);
	return 0;
}

bool prowl_short_of(struct uw_space *space, pid_t pid, struct prowl_err *err)
{
	char path[64];
	struct stat st;
	int r = space->exe ? space->exe->go_error : 0;

	if (space->exe && uw_binary_elf(space->exe) && r != -ENOMEM)
		return false;
	snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
	if (r == 0)
		r = probe_limits(stat(path, &st) == 0 ? (size_t)st.st_size : 0);
	if (r != -EMFILE && r != -ENFILE && r != -ENOMEM)
		return false;
	prowl_fail(err, PROWL_FAILED, "the program of process %d can't be read: %s (%s)", (int)pid,
		   strerror(-r),
		   r == -ENOMEM ? "limit on virtual memory, ulimit -v?"
				: "limit on open files, ulimit -n?");
	return true;
}

static struct prowl_proc *proc_new(struct prowl_procs *t, pid_t pid, bool root)
{
	struct prowl_proc **procs = grow(t->procs, &t->cap, t->n, sizeof *procs);
	struct prowl_proc *p;

	if (!procs)
		return NULL;
	t->procs = procs;
	p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->pid = pid;
	p->root = root;
	p->image = image_new(t, p);
	if (!p->image) {
		free(p);
		return NULL;
	}
	t->procs[t->n++] = p;
	t->last = p;
	return p;
}

/* Not all kernels tell. */
static bool has_children(pid_t pid)
{
	char path[64], c;
	struct dirent *d;
	bool has = false;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && !has && (d = readdir(dir))) {
		pid_t tid = (pid_t)atoi(d->d_name);
		int fd;

		if (tid <= 0)
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)tid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		has = (fd < 0 && access("/proc/self/task", F_OK) == 0) ||
		      (fd >= 0 && read(fd, &c, 1) == 1);
		if (fd >= 0)
			close(fd);
	}
	if (dir)
		closedir(dir);
	return has || !dir;
}

int prowl_procs_add(struct prowl_procs *t, pid_t pid, bool root, struct prowl_proc **ret)
{
	struct prowl_proc *p = prowl_procs_find(t, pid);
	struct prowl_image *im;

	if (p) {
		*ret = p;
		return 0;
	}
	if (kill(pid, 0) < 0 && errno == ESRCH)
		return -ESRCH;
	p = proc_new(t, pid, root);
	if (!p)
		return -ENOMEM;
	im = p->image;
	p->had_children = t->children && has_children(pid);
	uw_space_init(&im->space, &t->files, pid);
	prowl_comm(pid, p->comm, sizeof p->comm);
	read_clock(p, true);
	im->load_error = uw_space_load(&im->space);
	*ret = p;
	return 0;
}

/* An exec: the mappings so far are another program's. */
static void on_exec(struct prowl_procs *t, struct prowl_proc *p)
{
	struct prowl_image *im = p->image;

	if (im->sampled)
		im = image_new(t, p);
	else
		uw_space_fini(&im->space);
	if (!im)
		return;
	im->base = 0;
	im->load_error = 0;
	uw_space_init(&im->space, &t->files, p->pid);
	p->image = im;
}

static void on_mmap(struct prowl_procs *t, struct prowl_proc *p, const struct prowl_event *ev)
{
	struct uw_map_event e = {.start = ev->mmap.start,
				 .end = ev->mmap.start + ev->mmap.len,
				 .offset = ev->mmap.offset,
				 .dev = makedev(ev->mmap.major, ev->mmap.minor),
				 .ino = ev->mmap.ino,
				 .path = ev->mmap.path};
	struct uw_space *s = &p->image->space;

	if (!(ev->mmap.prot & PROT_EXEC))
		return;
	if (!strcmp(e.path, "//anon"))
		e.path = "";
	if (p->image->sampled && uw_space_conflicts(s, &e)) {
		struct prowl_image *im = image_new(t, p);

		if (!im || uw_space_clone(s, &im->space) < 0)
			return;
		p->image = im;
		s = &im->space;
	}
	uw_space_add(s, &e);
	if (!s->exe && s->n == 1)
		s->exe = s->maps[0].bin; /* after an exec the program itself is mapped first */
}

/*
 * A new process has this number. One that we knew by it is over, unless the record has come a
 * second time, from another event.
 */
static bool is_known(struct prowl_procs *t, pid_t pid)
{
	struct prowl_proc *p = prowl_procs_find(t, pid);

	if (!p)
		return false;
	read_clock(p, false);
	if (!p->exited)
		return true;
	p->replaced = true;
	t->last = NULL;
	return false;
}

static void on_fork(struct prowl_procs *t, const struct prowl_event *ev, struct prowl_proc **forked)
{
	struct prowl_proc *parent, *p;
	struct prowl_image *im;

	if (ev->pid == ev->fork.ppid || is_known(t, ev->pid) || !t->children)
		return;
	parent = prowl_procs_find(t, ev->fork.ppid);
	if (!parent)
		return;
	p = proc_new(t, ev->pid, false);
	if (!p)
		return;
	im = p->image;
	memcpy(p->comm, parent->comm, sizeof p->comm);
	if (uw_space_clone(&parent->image->space, &im->space) == 0) {
		im->space.pid = im->space.living = ev->pid;
		im->space.live = uw_mem_process(ev->pid);
	}
	read_clock(p, false);
	*forked = p;
}

void prowl_procs_event(struct prowl_procs *t, const struct prowl_event *ev,
		       struct prowl_proc **forked)
{
	struct prowl_proc *p;

	*forked = NULL;
	if (ev->type == PROWL_EVENT_FORK) {
		on_fork(t, ev, forked);
		return;
	}
	p = prowl_procs_find(t, ev->pid);
	if (!p)
		return;
	switch (ev->type) {
	case PROWL_EVENT_MMAP:
		on_mmap(t, p, ev);
		break;
	case PROWL_EVENT_COMM:
		if (ev->tid == p->pid)
			snprintf(p->comm, sizeof p->comm, "%s", ev->comm.comm);
		if (ev->comm.exec)
			on_exec(t, p);
		break;
	case PROWL_EVENT_EXIT:
		/* The leader may end before its threads: gone is what the process table says. */
		read_clock(p, false);
		break;
	default:
		break;
	}
}

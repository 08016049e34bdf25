/* SPDX-License-Identifier: Apache-2.0 */
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

#include "array.h"
#include "procfs.h"
#include "procs_parts.h"

/* --- the table ------------------------------------------------------------------- */

/* The id of an image that is over, or a new one. */
static int take_id(struct prowl_procs *t, uint32_t *ret)
{
	int r;

	if (t->nunused) {
		*ret = t->unused[--t->nunused];
		return 0;
	}
	r = prowl_array_reserve(&t->images, &t->images_cap, t->nimages + 1, sizeof *t->images);
	if (r == 0)
		*ret = (uint32_t)t->nimages++;
	return r;
}

static struct prowl_image *image_new(struct prowl_procs *t, struct prowl_proc *proc)
{
	struct prowl_image *im = calloc(1, sizeof *im);

	if (!im || take_id(t, &im->id) < 0) {
		free(im);
		return NULL;
	}
	im->proc = proc;
	im->refs = 1;
	t->images[im->id] = im;
	return im;
}

static void image_unref(struct prowl_procs *t, struct prowl_image *im)
{
	if (--im->refs > 0)
		return;
	t->images[im->id] = NULL;
	/* Without memory to note it, the id is not used again. */
	if (prowl_array_reserve(&t->retired, &t->retired_cap, t->nretired + 1,
				sizeof *t->retired) == 0)
		t->retired[t->nretired++] = im->id;
	uw_space_fini(&im->space);
	free(im);
}

void prowl_procs_release(struct prowl_procs *t)
{
	for (size_t i = 0; i < t->nimages; i++) {
		struct prowl_image *im = t->images[i];

		if (!im || !im->in_window)
			continue;
		im->in_window = false;
		image_unref(t, im);
	}
}

void prowl_procs_reuse(struct prowl_procs *t)
{
	if (prowl_array_reserve(&t->unused, &t->unused_cap, t->nunused + t->nretired,
				sizeof *t->unused) == 0) {
		for (size_t i = 0; i < t->nretired; i++)
			t->unused[t->nunused++] = t->retired[i];
	}
	t->nretired = 0;
}

void prowl_procs_fini(struct prowl_procs *t)
{
	for (size_t i = 0; i < t->nimages; i++) {
		if (!t->images[i])
			continue;
		uw_space_fini(&t->images[i]->space);
		free(t->images[i]);
	}
	for (size_t i = 0; i < t->n; i++)
		free(t->procs[i]);
	free(t->images);
	free(t->retired);
	free(t->unused);
	free(t->procs);
	prowl_idmap_fini(&t->by_pid);
	uw_binaries_fini(&t->files);
	*t = (struct prowl_procs){0};
}

struct prowl_proc *prowl_procs_find(struct prowl_procs *t, pid_t pid)
{
	uint32_t i;

	if (t->last && t->last->pid == pid)
		return t->last;
	if (pid <= 0 || !prowl_idmap_get(&t->by_pid, (uint64_t)pid, &i))
		return NULL;
	return t->last = t->procs[i];
}

/* Its number is no name of it any more. */
static void lose_pid(struct prowl_procs *t, struct prowl_proc *p)
{
	if (prowl_procs_find(t, p->pid) == p)
		prowl_idmap_del(&t->by_pid, (uint64_t)p->pid);
	t->last = NULL;
}

void prowl_procs_remove(struct prowl_procs *t, struct prowl_proc *p)
{
	procs_clock_one(t, p, false);
	p->removed = true;
	lose_pid(t, p);
}

uint64_t prowl_procs_executes(struct prowl_procs *t, struct prowl_proc *p, uint64_t time)
{
	if (p->clocked > time)
		procs_clock_back(p);
	p->exited = p->removed = true; /* the rest is known by its samples */
	p->complete = false;
	lose_pid(t, p);
	return p->cpu_last + p->sampled - p->sampled_at_clock;
}

void prowl_procs_forget(struct prowl_procs *t, bool (*over)(void *ctx, const struct prowl_proc *p),
			void *ctx)
{
	size_t kept = 0;

	t->last = NULL;
	for (size_t i = 0; i < t->n; i++) {
		struct prowl_proc *p = t->procs[i];

		if (over(ctx, p)) {
			lose_pid(t, p);
			image_unref(t, p->image);
			free(p);
			continue;
		}
		/* It was in the map: there is room for it. */
		if (kept < i && prowl_procs_find(t, p->pid) == p)
			prowl_idmap_put(&t->by_pid, (uint64_t)p->pid, (uint32_t)kept);
		t->procs[kept++] = p;
		t->last = NULL;
	}
	t->n = kept;
}

bool prowl_procs_all_exited(const struct prowl_procs *t)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!t->procs[i]->exited && !t->procs[i]->removed)
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
	struct prowl_proc *p = calloc(1, sizeof *p);

	if (!p || prowl_array_reserve(&t->procs, &t->cap, t->n + 1, sizeof *t->procs) < 0 ||
	    prowl_idmap_put(&t->by_pid, (uint64_t)pid, (uint32_t)t->n) < 0) {
		free(p);
		return NULL;
	}
	p->pid = pid;
	p->root = root;
	p->image = image_new(t, p);
	if (!p->image) {
		prowl_idmap_del(&t->by_pid, (uint64_t)pid);
		free(p);
		return NULL;
	}
	t->procs[t->n++] = p;
	t->last = p;
	return p;
}

/* Not all kernels say. */
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
	procs_clock_one(t, p, true);
	im->load_error = uw_space_load(&im->space);
	*ret = p;
	return 0;
}

/* From now on the process has this image. */
static void set_image(struct prowl_procs *t, struct prowl_proc *p, struct prowl_image *im)
{
	image_unref(t, p->image);
	p->image = im;
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
	if (im != p->image)
		set_image(t, p, im);
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

		if (!im)
			return;
		if (uw_space_clone(s, &im->space) < 0) {
			image_unref(t, im);
			return;
		}
		set_image(t, p, im);
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
	procs_clock_one(t, p, false);
	if (!p->exited)
		return true;
	p->replaced = p->gone = true;
	lose_pid(t, p);
	return false;
}

/* What a fork gives. */
static void copy_space(struct prowl_proc *p, const struct prowl_proc *parent)
{
	struct prowl_image *im = p->image;

	if (uw_space_clone(&parent->image->space, &im->space) < 0)
		return;
	im->space.pid = im->space.living = p->pid;
	im->space.live = uw_mem_process(p->pid);
}

int prowl_procs_adopt(struct prowl_procs *t, pid_t pid, const struct prowl_proc *parent, bool all,
		      struct prowl_proc **ret)
{
	struct prowl_proc *p = proc_new(t, pid, true);

	if (!p)
		return -ENOMEM;
	if (parent) {
		memcpy(p->comm, parent->comm, sizeof p->comm);
		copy_space(p, parent);
	} else {
		uw_space_init(&p->image->space, &t->files, pid);
	}
	procs_clock_one(t, p, !all);
	*ret = p;
	return 0;
}

static void on_fork(struct prowl_procs *t, const struct prowl_event *ev, struct prowl_proc **forked)
{
	struct prowl_proc *parent, *p;

	if (ev->pid == ev->fork.ppid || is_known(t, ev->pid) || !t->children)
		return;
	parent = prowl_procs_find(t, ev->fork.ppid);
	if (!parent)
		return;
	p = proc_new(t, ev->pid, false);
	if (!p)
		return;
	memcpy(p->comm, parent->comm, sizeof p->comm);
	copy_space(p, parent);
	procs_clock_one(t, p, false);
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
		procs_clock_one(t, p, false);
		break;
	default:
		break;
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "proclist.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "array.h"
#include "gomodule.h"
#include "idmap.h"
#include "maps.h"
#include "memelf.h"
#include "probe.h"
#include "procfs.h"
#include "space.h"
#include "task.h"
#include "whatis.h"

enum { CACHE = 64 };

struct cached { /* many processes run the same file */
	dev_t dev;
	ino_t ino;
	struct timespec changed;
	struct prowl_program program;
	bool used;
};

struct list {
	unsigned int flags;
	struct cached cache[CACHE];
	uid_t last_uid;
	char last_user[33];
	ino_t pid_ns, mnt_ns;
	struct prowl_idmap libraries; /* mapped file → may be Go */
	struct prowl_program other;   /* of a file that is not the executable */
};

/* --- one process --- */

/* False: gone, or it has no memory (a kernel thread, a zombie). */
static bool read_status(struct prowl_process *p)
{
	char buf[4096];
	uint64_t v;

	if (prowl_read_of(p->living, "status", buf, sizeof buf) <= 0)
		return false;
	if (prowl_status_field(buf, "VmRSS", 10, &v))
		p->rss = v * 1024;
	else if (!p->zombie)
		return false;
	if (prowl_status_field(buf, "Uid", 10, &v))
		p->uid = (uid_t)v;
	if (prowl_status_field(buf, "Threads", 10, &v))
		p->threads = (unsigned int)v;
	return true;
}

ssize_t prowl_read_exe(pid_t pid, char *buf, size_t len)
{
	char path[64];
	ssize_t n;

	uw_task_path(pid, "exe", path, sizeof path);
	n = readlink(path, buf, len - 1);
	buf[n > 0 ? n : 0] = '\0';
	return n;
}

static void read_exe(struct prowl_process *p)
{
	static const char mark[] = " (deleted)";
	char path[64];
	ssize_t n;
	size_t len;

	p->exe_error = 0;
	snprintf(path, sizeof path, "/proc/%d/exe", (int)p->living);
	n = readlink(path, p->exe, sizeof p->exe - 1);
	if (n < 0) {
		p->exe_error = -errno;
		return;
	}
	p->exe[n] = '\0';
	len = (size_t)n;
	if (len > sizeof mark - 1 && !strcmp(p->exe + len - (sizeof mark - 1), mark)) {
		p->exe[len - (sizeof mark - 1)] = '\0';
		p->deleted = true;
	}
}

static void read_user(struct list *l, struct prowl_process *p)
{
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (!l->last_user[0] || l->last_uid != p->uid) {
		if (getpwuid_r(p->uid, &pw, buf, sizeof buf, &found) != 0)
			found = NULL;
		if (found)
			snprintf(l->last_user, sizeof l->last_user, "%s", pw.pw_name);
		else
			snprintf(l->last_user, sizeof l->last_user, "%u", (unsigned int)p->uid);
		l->last_uid = p->uid;
	}
	memcpy(p->user, l->last_user, sizeof p->user);
}

static void probe_process(struct list *l, struct prowl_process *p)
{
	ino_t pid_ns = prowl_namespace(p->living, "pid");
	ino_t mnt_ns = prowl_namespace(p->living, "mnt");

	p->other_namespace = (pid_ns && l->pid_ns && pid_ns != l->pid_ns) ||
			     (mnt_ns && l->mnt_ns && mnt_ns != l->mnt_ns);
	p->maps_error = prowl_probe_maps(p->pid);
	p->memory_error = prowl_probe_memory(p->pid);
	p->perf_error = prowl_probe_perf(p->pid, -1, true);
	if (p->perf_error == -EACCES || p->perf_error == -EPERM)
		p->perf_error = prowl_probe_perf(p->pid, -1, false);
}

/* The program behind fd, which is taken over; NULL and *error when it can't be read. */
static const struct prowl_program *program_of(struct list *l, int fd, int *error)
{
	struct stat st;
	struct cached *c;

	if (fstat(fd, &st) < 0) {
		*error = -errno;
		close(fd);
		return NULL;
	}
	c = &l->cache[(st.st_ino ^ st.st_dev) % CACHE];
	if (c->used && c->dev == st.st_dev && c->ino == st.st_ino &&
	    c->changed.tv_sec == st.st_ctim.tv_sec && c->changed.tv_nsec == st.st_ctim.tv_nsec) {
		close(fd);
		return &c->program;
	}
	if (c->used)
		prowl_program_fini(&c->program);
	c->used = false;
	*error = prowl_program_read(fd, &c->program);
	if (*error < 0)
		return NULL;
	c->used = true;
	c->dev = st.st_dev;
	c->ino = st.st_ino;
	c->changed = st.st_ctim;
	return &c->program;
}

static const struct prowl_program none;

static void read_program(struct list *l, struct prowl_process *p)
{
	char path[64];
	int fd = -1;

	p->program = &none;
	snprintf(path, sizeof path, "/proc/%d/exe", (int)p->living);
	if (p->exe_error == 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd < 0)
			p->exe_error = -errno;
	}
	if (fd >= 0) {
		const struct prowl_program *prog = program_of(l, fd, &p->exe_error);

		if (prog)
			p->program = prog;
	}
}

/* --- Go that is not the executable --- */

struct looking {
	struct list *l;
	pid_t living;
	bool program; /* its executable is Go: only anonymous code matters */
	struct uw_mem mem;
	uint64_t run, run_end; /* of the last anonymous memory */
	bool maybe;
	bool anonymous; /* there is code of no file */
};

static bool file_may_be_go(pid_t living, const struct uw_map *map)
{
	char path[4300];
	struct uw_diag diag;
	struct uw_elf *elf;
	struct stat st;
	bool maybe;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/root%s", (int)living, map->path);
	fd = uw_open_regular(path, &st);
	if (fd >= 0 && st.st_ino != map->inode) {
		close(fd);
		fd = -1;
	}
	if (fd < 0) {
		snprintf(path, sizeof path, "/proc/%d/map_files/%llx-%llx", (int)living,
			 (unsigned long long)map->start, (unsigned long long)map->end);
		fd = uw_open_regular(path, &st);
	}
	if (fd < 0 || uw_elf_open(fd, &elf, &diag) < 0)
		return false;
	maybe = uw_gomodule_maybe(elf);
	uw_elf_free(elf);
	return maybe;
}

/* Libraries are shared by many processes: each is read once. */
static bool library_may_be_go(struct looking *k, const struct uw_map *map)
{
	uint64_t key = map->inode * 0x9e3779b97f4a7c15ull +
		       ((uint64_t)map->major << 32 | map->minor);
	uint32_t maybe;

	if (!prowl_idmap_get(&k->l->libraries, key, &maybe)) {
		maybe = file_may_be_go(k->living, map);
		prowl_idmap_put(&k->l->libraries, key, maybe); /* without memory: read again */
	}
	return maybe;
}

static int look_at_map(void *ctx, const struct uw_map *map)
{
	struct looking *k = ctx;
	bool executable = map->prot & PROT_EXEC;

	if (uw_space_is_anonymous(map->inode, map->path)) {
		if (map->start - k->run_end > UW_MAX_RUN_GAP)
			k->run = map->start;
		k->run_end = map->end;
		k->anonymous |= executable;
		k->maybe |= executable && (uw_memelf_begins(&k->mem, map->start, map->end) ||
					   (k->run < map->start &&
					    uw_memelf_begins(&k->mem, k->run, map->start)));
	} else if (executable && map->inode && !k->program) {
		k->maybe |= library_may_be_go(k, map);
	}
	return k->maybe || (k->program && k->anonymous);
}

/* Decides by the mappings alone whether its files and memory are worth the work of all commands. */
static bool may_be_go(struct list *l, pid_t pid, pid_t living, bool program)
{
	struct looking k = {
		.l = l, .living = living, .program = program, .mem = uw_mem_task(pid, living)};
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/%d/maps", (int)living);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	uw_maps_read(fd, look_at_map, &k);
	close(fd);
	/* A Go program is read further only if it may have moved its text. */
	return program ? k.anonymous : k.maybe;
}

/* Finds Go where all other commands find it, whatever the executable is. */
static void find_go(struct list *l, struct prowl_process *p)
{
	struct uw_binaries files = {0};
	struct uw_space space;

	if (!may_be_go(l, p->pid, p->living, p->program->go))
		return;
	uw_space_init(&space, &files, p->pid);
	if (uw_space_load(&space) == 0 && p->program->go)
		p->changed = !uw_space_go(&space) && prowl_whatis_changed(&space);
	else if (uw_space_go(&space) &&
		 prowl_program_describe(uw_binary_elf(space.go_bin), space.go, &l->other) == 0) {
		p->program = &l->other;
		if (space.go_bin != space.exe)
			snprintf(p->go_file, sizeof p->go_file, "%s", space.go_bin->path);
	}
	uw_space_fini(&space);
	uw_binaries_fini(&files);
}

/* Reads a process whose main thread has ended by another thread; false: nothing to show. */
static bool without_exe(struct list *l, struct prowl_process *p)
{
	struct uw_task task;

	uw_task_of(p->pid, &task);
	if (task.kind == UW_TASK_ZOMBIE) {
		p->zombie = true;
		return l->flags & PROWL_LIST_ALL;
	}
	if (task.kind != UW_TASK_PROCESS || task.living == p->pid)
		return false;
	p->living = task.living;
	read_exe(p);
	return p->exe_error != -ENOENT && p->exe_error != -ESRCH;
}

static int list_one(struct list *l, pid_t pid, int (*cb)(void *ctx, const struct prowl_process *p),
		    void *ctx, struct prowl_list_result *res)
{
	struct prowl_process p = {.pid = pid, .living = pid, .program = &none};
	int r;

	/*
	 * Kernel threads have no program: ENOENT for root; for others EACCES, as for every process.
	 */
	read_exe(&p);
	if ((p.exe_error == -ENOENT || p.exe_error == -ESRCH) && !without_exe(l, &p))
		return 0;
	if (p.exe_error == 0)
		read_program(l, &p);
	if ((p.exe_error == -ENOENT || p.exe_error == -ESRCH) && !p.zombie)
		return 0;
	if (p.exe_error == 0)
		find_go(l, &p);
	if (!p.program->go && !(l->flags & PROWL_LIST_ALL)) {
		if (p.exe_error && !(l->flags & PROWL_LIST_QUICK) && read_status(&p))
			res->hidden++;
		return 0;
	}
	prowl_comm(pid, p.comm, sizeof p.comm);
	if (!(l->flags & PROWL_LIST_QUICK)) {
		if (!read_status(&p))
			return 0;
		read_user(l, &p);
		if (!p.zombie)
			probe_process(l, &p);
	}
	res->listed++;
	r = cb(ctx, &p);
	if (p.program == &l->other)
		prowl_program_fini(&l->other);
	return r;
}

/* --- all --- */

static int by_number(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

static int all_pids(pid_t **ret, size_t *n)
{
	DIR *dir = opendir("/proc");
	size_t cap = 0;
	struct dirent *d;

	*ret = NULL;
	*n = 0;
	if (!dir)
		return -errno;
	while ((d = readdir(dir))) {
		char *end;
		long pid = strtol(d->d_name, &end, 10);

		if (*end || pid <= 0 || pid == getpid())
			continue;
		if (prowl_array_reserve(ret, &cap, *n + 1, sizeof **ret) < 0) {
			closedir(dir);
			free(*ret);
			return -ENOMEM;
		}
		(*ret)[(*n)++] = (pid_t)pid;
	}
	closedir(dir);
	if (*n)
		qsort(*ret, *n, sizeof **ret, by_number);
	return 0;
}

enum prowl_code prowl_list(unsigned int flags, int (*cb)(void *ctx, const struct prowl_process *p),
			   void *ctx, struct prowl_list_result *ret, struct prowl_err *err)
{
	struct list *l = calloc(1, sizeof *l);
	pid_t *pids;
	size_t n;
	int r = l ? all_pids(&pids, &n) : -ENOMEM;

	*ret = (struct prowl_list_result){0};
	if (r < 0) {
		free(l);
		return prowl_fail(err, PROWL_FAILED, "/proc can't be listed: %s", strerror(-r));
	}
	l->flags = flags;
	l->pid_ns = prowl_namespace(0, "pid");
	l->mnt_ns = prowl_namespace(0, "mnt");
	for (size_t i = 0; i < n; i++) {
		if (list_one(l, pids[i], cb, ctx, ret) != 0)
			break;
	}
	for (size_t i = 0; i < CACHE; i++) {
		if (l->cache[i].used)
			prowl_program_fini(&l->cache[i].program);
	}
	prowl_idmap_fini(&l->libraries);
	free(pids);
	free(l);
	return PROWL_OK;
}

static const char *error_reason(int error)
{
	return error == -EACCES || error == -EPERM ? "no permission" : strerror(-error);
}

void prowl_process_obstacle(const struct prowl_process *p, char *buf, size_t len)
{
	if (p->zombie)
		snprintf(buf, len, "a zombie: it has ended");
	else if (p->changed)
		snprintf(buf, len, "its code was changed in memory");
	else if (p->exe_error)
		snprintf(buf, len, "%s: its program", error_reason(p->exe_error));
	else if (p->maps_error)
		snprintf(buf, len, "%s: its mappings", error_reason(p->maps_error));
	else if (p->perf_error)
		snprintf(buf, len, "%s: perf events", error_reason(p->perf_error));
	else
		snprintf(buf, len, "%s", "");
}

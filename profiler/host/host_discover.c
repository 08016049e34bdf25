/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes there are: by the records that come with the samples, which know a program before
 * its first sample and after its end; and by /proc, for what was there before and what was lost.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host_parts.h"
#include "procfs.h"

static bool is_self(const struct prowl_host *h, pid_t pid)
{
	return !h->o.self && pid == getpid();
}

static struct host_process *find_or_add(struct prowl_host *h, pid_t pid)
{
	struct host_process *p = host_table_find(&h->table, pid);

	if (p)
		return p;
	pthread_mutex_lock(&h->lock);
	p = host_table_add(&h->table, pid);
	pthread_mutex_unlock(&h->lock);
	return p;
}

static void set_comm(struct prowl_host *h, struct host_process *p, const char *comm)
{
	pthread_mutex_lock(&h->lock);
	snprintf(p->comm, sizeof p->comm, "%s", comm);
	pthread_mutex_unlock(&h->lock);
}

/* The number is another process' from here on, or the process begins anew by an exec. */
static void renew(struct prowl_host *h, struct host_process *p)
{
	host_leave(h, p, HOST_SEEN);
	pthread_mutex_lock(&h->lock);
	p->samples = p->cpu_ns = p->looked = p->look_cpu_ns = p->recent = 0;
	p->last_window = 0;
	p->wall = 0;
	p->looked_at = false;
	pthread_mutex_unlock(&h->lock);
	p->ended = p->born = false;
	p->used = 0;
}

/* --- records --------------------------------------------------------------------- */

static void on_fork(struct prowl_host *h, const struct prowl_seen *seen)
{
	struct host_process *parent = host_table_find(&h->table, seen->parent);
	struct host_process *p = find_or_add(h, seen->pid);

	h->status.forks++;
	if (!p)
		return;
	if (p->busy) {
		p->again = true;
		return;
	}
	renew(h, p);
	p->id.start = 0;
	p->parent = seen->parent;
	p->born = true;
	p->exec = p->forked = seen->time;
	set_comm(h, p, parent ? parent->comm : "");
	/* It has the program of its parent, which is no target, or may become one. */
	p->state = parent && parent->state == HOST_SEEN ? HOST_SEEN : HOST_WAITING;
	if (parent && parent->state == HOST_TARGET && !is_self(h, p->id.pid))
		host_inherit(h, p, parent);
}

static void on_exec(struct prowl_host *h, const struct prowl_seen *seen)
{
	struct host_process *p = find_or_add(h, seen->pid);
	uint64_t used = 0;
	bool born;

	h->status.execs++;
	if (!p)
		return;
	if (p->busy) {
		p->again = true;
		return;
	}
	born = p->born && p->state != HOST_TARGET; /* else its time so far is of another program */
	if (p->state == HOST_TARGET && h->session)
		used = prowl_session_executes(h->session, p->id.pid, seen->time);
	renew(h, p);
	p->used = used;
	p->born = born;
	p->exec = seen->time;
	p->state = HOST_STARTED;
	set_comm(h, p, seen->comm);
}

/* Of a process that is gone: what its parent is, it was. */
static void facts_of_parent(struct prowl_host *h, const struct host_process *p, const char *path,
			    struct host_facts *f)
{
	const struct host_process *parent = host_table_find(&h->table, p->parent);

	host_facts_fini(f);
	*f = (struct host_facts){.parent = p->parent};
	snprintf(f->exe, sizeof f->exe, "%s", path);
	if (parent && parent->cgroup) {
		f->uid = parent->uid;
		snprintf(f->cgroup, sizeof f->cgroup, "%s", parent->cgroup);
	} else if (p->parent) {
		host_facts_uid(p->parent, &f->uid);
		prowl_read_of(p->parent, "cgroup", f->cgroup, sizeof f->cgroup);
	}
}

/* The file that was executed; false: it can't be found any more, or has to wait. */
static struct host_known *known_of(struct prowl_host *h, const struct host_key *key, int fd)
{
	struct host_known *k = host_programs_find(&h->programs, key);

	if (k) {
		close(fd);
		return k;
	}
	if (h->tokens == 0) {
		close(fd);
		return NULL;
	}
	h->tokens--;
	return host_programs_read(&h->programs, key, fd);
}

/* A program that was read before and that no rule may want: most that a busy machine executes. */
static bool is_ruled_out(struct prowl_host *h, struct host_process *p, const char *path)
{
	struct host_known *k;
	struct host_key key;

	if (!h->ops.rules_out || host_program_of(p->id.pid, &key) < 0)
		return false;
	k = host_programs_find(&h->programs, &key);
	return k && host_ruled_out(h, p, path, k);
}

static void on_program(struct prowl_host *h, struct host_process *p, const struct prowl_seen *seen)
{
	struct host_known *k = NULL;
	struct host_facts f = {0};
	struct host_key key;
	bool there;
	int fd;

	if (is_ruled_out(h, p, seen->path)) {
		p->state = HOST_SEEN;
		return;
	}
	there = host_facts_read(p->id.pid, &h->o, &f) && !strcmp(f.exe, seen->path);
	fd = there ? host_program_open(p->id.pid, &key) : -ESRCH;
	if (fd < 0) {
		there = false;
		facts_of_parent(h, p, seen->path, &f);
		fd = host_program_open_at(p->parent, seen->path, seen->ino, &key);
	}
	if (fd >= 0)
		k = known_of(h, &key, fd);
	p->id.start = f.start;
	if (there && f.parent)
		p->parent = f.parent;
	p->state = HOST_SEEN;
	if (k)
		host_ask(h, p, &f, k, true, !there);
	else if (there)
		p->state = HOST_WAITING;
	else
		h->status.unseen++;
	host_facts_fini(&f);
}

static void on_mapping(struct prowl_host *h, const struct prowl_seen *seen)
{
	struct host_process *p = host_table_find(&h->table, seen->pid);

	if (!p || p->state != HOST_STARTED || seen->path[0] != '/')
		return;
	if (is_self(h, p->id.pid))
		p->state = HOST_SEEN;
	else if (h->status.mode == PROWL_HOST_WHOLE_CPUS)
		on_program(h, p, seen);
	else
		p->state = HOST_WAITING; /* it needs events of its own, once the rings are read */
}

static void on_end(struct prowl_host *h, const struct prowl_seen *seen)
{
	struct host_process *p = host_table_find(&h->table, seen->pid);

	h->status.exits++;
	if (p)
		p->ended = true;
}

static void on_other(struct prowl_host *h, pid_t pid)
{
	struct host_process *p;

	h->status.others_samples++;
	if (h->o.one_other) {
		host_others_add(&h->others, "(other)");
		return;
	}
	p = pid > 0 ? find_or_add(h, pid) : NULL;
	if (p && !p->comm[0]) {
		char comm[64];

		prowl_comm(pid, comm, sizeof comm);
		set_comm(h, p, comm[0] ? comm : "(gone)");
	}
	host_others_add(&h->others, p ? p->comm : "(kernel)");
}

void host_seen(void *host, const struct prowl_seen *seen)
{
	struct prowl_host *h = host;
	struct host_process *p;

	switch (seen->kind) {
	case PROWL_SEEN_FORK:
		on_fork(h, seen);
		break;
	case PROWL_SEEN_EXEC:
		on_exec(h, seen);
		break;
	case PROWL_SEEN_NAME:
		p = host_table_find(&h->table, seen->pid);
		if (p)
			set_comm(h, p, seen->comm);
		break;
	case PROWL_SEEN_MAPPING:
		on_mapping(h, seen);
		break;
	case PROWL_SEEN_EXIT:
		on_end(h, seen);
		break;
	case PROWL_SEEN_SAMPLE:
		on_other(h, seen->pid);
		break;
	case PROWL_SEEN_LOST:
		h->lost = true;
		break;
	}
}

/* --- /proc ----------------------------------------------------------------------- */

static bool is_kernel(const struct host_facts *f)
{
	return f->exe_error == -ENOENT || f->exe_error == -ESRCH;
}

/* A process that is there. What the rings say of it meanwhile asks for a second look. */
static void look_at(struct prowl_host *h, struct host_process *p)
{
	struct host_known *k = NULL;
	struct host_facts f;
	struct host_key key;
	int fd;

	p->busy = true;
	p->again = false;
	if (!host_facts_read(p->id.pid, &h->o, &f)) {
		p->ended = true;
	} else if (is_kernel(&f) || is_self(h, p->id.pid)) {
		p->id.start = f.start;
		set_comm(h, p, f.comm);
		p->state = HOST_SEEN;
	} else {
		fd = host_program_open(p->id.pid, &key);
		k = fd >= 0 ? known_of(h, &key, fd) : NULL;
		p->id.start = f.start;
		p->parent = f.parent;
		set_comm(h, p, f.comm);
		if (fd < 0 || k)
			host_ask(h, p, &f, k, false, false);
		else if (p->state != HOST_TARGET)
			p->state = HOST_WAITING;
	}
	host_facts_fini(&f);
	p->busy = false;
	if (p->again) {
		renew(h, p);
		p->state = HOST_WAITING;
	}
}

/* A process that is known: the same one, with the same program? */
static void compare(struct prowl_host *h, struct host_process *p)
{
	uint64_t start = host_start_of(p->id.pid);
	char comm[64];

	prowl_comm(p->id.pid, comm, sizeof comm);
	if (p->id.start && start && start != p->id.start) {
		renew(h, p);
		p->state = HOST_WAITING;
	} else if (p->state == HOST_SEEN && strcmp(comm, p->comm) != 0) {
		p->state = HOST_WAITING; /* an exec that was not seen changes the name */
	}
}

static void found(struct prowl_host *h, pid_t pid, bool full)
{
	struct host_process *p = host_table_find(&h->table, pid);

	if (!p) {
		p = find_or_add(h, pid);
		if (!p)
			return;
	} else if (full) {
		compare(h, p);
	}
	p->found = true;
	if (p->state == HOST_WAITING)
		look_at(h, p);
}

void host_scan(struct prowl_host *h, bool full)
{
	size_t before = h->table.n;
	DIR *dir = opendir("/proc");
	struct dirent *d;

	if (!dir) {
		host_say(h, PROWL_HOST_TROUBLE, "/proc can't be listed: %s", strerror(errno));
		return;
	}
	h->status.scans++;
	for (size_t i = 0; i < before; i++)
		h->table.list[i]->found = false;
	while ((d = readdir(dir))) {
		pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);

		if (pid > 0)
			found(h, pid, full);
	}
	closedir(dir);
	/* Those that came by records meanwhile are not in the list. */
	for (size_t i = 0; i < before; i++) {
		struct host_process *p = h->table.list[i];

		if (!p->found && host_start_of(p->id.pid) == 0)
			p->ended = true;
	}
}

/* --- in between ------------------------------------------------------------------ */

static void drop(struct prowl_host *h, struct host_process *p)
{
	if (p->state == HOST_TARGET)
		host_admitted(h, p);
	h->status.unseen += p->state == HOST_WAITING;
	if (p->state != HOST_SEEN)
		host_leave(h, p, HOST_SEEN);
	pthread_mutex_lock(&h->lock);
	host_table_remove(&h->table, p);
	pthread_mutex_unlock(&h->lock);
}

static bool has_ended(struct prowl_host *h, const struct host_process *p)
{
	if (!p->ended)
		return false;
	/* Its main thread may end before others. */
	return p->state != HOST_TARGET || !h->session || prowl_session_ended(h->session, p->id.pid);
}

void host_tidy(struct prowl_host *h)
{
	/* Backwards: the last one takes the place of one that leaves; new ones wait for the next
	 * time. */
	for (size_t i = h->table.n; i-- > 0;) {
		struct host_process *p = h->table.list[i];

		if (has_ended(h, p))
			drop(h, p);
		else if (p->state == HOST_WAITING && h->tokens)
			look_at(h, p);
		else if (p->state == HOST_TARGET)
			host_admitted(h, p);
	}
}

void host_reconsider_all(struct prowl_host *h)
{
	h->limit_said = false;
	for (size_t i = h->table.n; i-- > 0;) {
		struct host_process *p = h->table.list[i];

		if (p->ended || p->state == HOST_STARTED || is_self(h, p->id.pid))
			continue;
		if (p->state == HOST_DENIED || p->state == HOST_SHED)
			host_leave(h, p, HOST_SEEN);
		look_at(h, p);
	}
}

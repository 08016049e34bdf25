/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "procfs.h"

void prowl_threads_fini(struct prowl_threads *t)
{
	free(t->thread);
	free(t->unused);
	prowl_idmap_fini(&t->by_tid);
	*t = (struct prowl_threads){0};
}

static struct prowl_thread *find(struct prowl_threads *t, pid_t tid)
{
	uint32_t i;

	return prowl_idmap_get(&t->by_tid, (uint64_t)tid, &i) ? &t->thread[i] : NULL;
}

static struct prowl_thread *make(struct prowl_threads *t, pid_t pid, pid_t tid)
{
	size_t i = t->n;

	if (t->nunused)
		i = t->unused[t->nunused - 1];
	else if (prowl_array_reserve(&t->thread, &t->cap, t->n + 1, sizeof *t->thread) < 0)
		return NULL;
	if (prowl_idmap_put(&t->by_tid, (uint64_t)tid, (uint32_t)i) < 0)
		return NULL;
	if (i == t->n)
		t->n++;
	else
		t->nunused--;
	t->thread[i] = (struct prowl_thread){.pid = pid, .tid = tid};
	return &t->thread[i];
}

static void rename_thread(struct prowl_threads *t, pid_t pid, pid_t tid, const char *name)
{
	struct prowl_thread *th = find(t, tid);

	if (th && !strncmp(th->name, name, sizeof th->name - 1))
		return;
	if (!th || th->sampled)
		th = make(t, pid, tid);
	if (th)
		snprintf(th->name, sizeof th->name, "%s", name);
}

static void free_number(struct prowl_threads *t, size_t i)
{
	t->thread[i].unused = true;
	/* Without memory to note it, its place stays unused. */
	if (prowl_array_reserve(&t->unused, &t->unused_cap, t->nunused + 1, sizeof *t->unused) == 0)
		t->unused[t->nunused++] = (uint32_t)i;
}

static void end_thread(struct prowl_threads *t, pid_t tid)
{
	const struct prowl_thread *th = find(t, tid);

	if (!th)
		return;
	prowl_idmap_del(&t->by_tid, (uint64_t)tid);
	if (!th->sampled)
		free_number(t, (size_t)(th - t->thread));
}

static void read_name(struct prowl_threads *t, pid_t pid, pid_t tid)
{
	char name[64];

	prowl_thread_comm(pid, tid, name, sizeof name);
	rename_thread(t, pid, tid, name);
}

void prowl_threads_add(struct prowl_threads *t, pid_t pid)
{
	char path[64];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		pid_t tid = (pid_t)atoi(d->d_name);

		if (tid > 0)
			read_name(t, pid, tid);
	}
	if (dir)
		closedir(dir);
}

static void begin_thread(struct prowl_threads *t, const struct prowl_event *ev)
{
	const struct prowl_thread *parent = find(t, ev->fork.ptid);
	char name[sizeof parent->name];

	if (!parent)
		return; /* its first sample asks */
	memcpy(name, parent->name, sizeof name);
	end_thread(t, ev->tid); /* an end that was not seen */
	rename_thread(t, ev->pid, ev->tid, name);
}

void prowl_threads_event(struct prowl_threads *t, const struct prowl_event *ev)
{
	switch (ev->type) {
	case PROWL_EVENT_COMM:
		rename_thread(t, ev->pid, ev->tid, ev->comm.comm);
		break;
	case PROWL_EVENT_FORK:
		begin_thread(t, ev);
		break;
	case PROWL_EVENT_EXIT:
		end_thread(t, ev->tid);
		break;
	default:
		break;
	}
}

uint32_t prowl_threads_sampled(struct prowl_threads *t, pid_t pid, pid_t tid)
{
	struct prowl_thread *th = find(t, tid);

	if (!th) {
		read_name(t, pid, tid);
		th = find(t, tid);
	}
	if (!th)
		return 0;
	th->sampled = true;
	return (uint32_t)(th - t->thread) + 1;
}

const struct prowl_thread *prowl_threads_get(const struct prowl_threads *t, uint32_t number)
{
	return number && number <= t->n ? &t->thread[number - 1] : NULL;
}

void prowl_threads_remove(struct prowl_threads *t, pid_t pid)
{
	for (size_t i = 0; i < t->n; i++) {
		if (t->thread[i].pid == pid && find(t, t->thread[i].tid) == &t->thread[i])
			end_thread(t, t->thread[i].tid);
	}
}

void prowl_threads_release(struct prowl_threads *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct prowl_thread *th = &t->thread[i];

		th->sampled = false;
		if (!th->unused && find(t, th->tid) != th)
			free_number(t, i);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to all processes of the machine, for whoever chooses targets by it. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "session_parts.h"

/* --- telling --------------------------------------------------------------------- */

static bool tells(const struct prowl_event *ev, struct prowl_seen *seen)
{
	switch (ev->type) {
	case PROWL_EVENT_FORK:
		seen->kind = PROWL_SEEN_FORK;
		seen->parent = ev->fork.ppid;
		return ev->pid != ev->fork.ppid; /* else a thread */
	case PROWL_EVENT_COMM:
		seen->kind = ev->comm.exec ? PROWL_SEEN_EXEC : PROWL_SEEN_NAME;
		seen->comm = ev->comm.comm;
		return ev->comm.exec || ev->pid == ev->tid;
	case PROWL_EVENT_MMAP:
		seen->kind = PROWL_SEEN_MAPPING;
		seen->path = ev->mmap.path;
		seen->dev = makedev(ev->mmap.major, ev->mmap.minor);
		seen->ino = ev->mmap.ino;
		return ev->mmap.prot & PROT_EXEC;
	case PROWL_EVENT_EXIT:
		seen->kind = PROWL_SEEN_EXIT;
		return ev->pid == ev->tid;
	case PROWL_EVENT_LOST:
		seen->kind = PROWL_SEEN_LOST;
		return true;
	default:
		return false;
	}
}

void session_seen(struct prowl_session *s, const struct prowl_event *ev)
{
	struct prowl_seen seen = {.pid = ev->pid, .time = ev->time};

	if (s->o.seen && ev->type != PROWL_EVENT_SAMPLE && tells(ev, &seen))
		s->o.seen(s->o.seen_ctx, &seen);
}

void session_seen_other(struct prowl_session *s, pid_t pid)
{
	if (s->o.seen)
		s->o.seen(s->o.seen_ctx,
			  &(struct prowl_seen){.kind = PROWL_SEEN_SAMPLE, .pid = pid});
}

/* --- being told ------------------------------------------------------------------ */

/*
 * What a process used before its exec is not known: at most what passed since then is of the new
 * program, of which only one thread runs at first.
 */
static void begin_at_exec(struct prowl_proc *p, const struct prowl_adopted *a)
{
	uint64_t passed = p->clocked > a->since ? p->clocked - a->since : 0;

	uint64_t before = p->cpu_last > passed ? p->cpu_last - passed : 0;

	if (a->used) /* all else is of the new one */
		before = p->cpu_last < a->used ? p->cpu_last : a->used;
	else if (a->born && before > a->since - a->forked)
		before = a->since - a->forked; /* of one thread, too */
	p->cpu_first = before;
}

int prowl_session_adopt(struct prowl_session *s, const struct prowl_adopted *a)
{
	struct prowl_proc *parent = a->parent ? prowl_procs_find(&s->procs, a->parent) : NULL, *p;
	int r;

	if (prowl_procs_find(&s->procs, a->pid))
		return -EEXIST;
	if (a->parent && !parent)
		return -ESRCH;
	r = prowl_procs_adopt(&s->procs, a->pid, parent, a->born, &p);
	if (r < 0)
		return r;
	if (!a->born || (a->forked && a->forked <= a->since))
		begin_at_exec(p, a);
	p->since = a->since;
	if (a->comm)
		snprintf(p->comm, sizeof p->comm, "%s", a->comm);
	if (s->o.threads)
		prowl_threads_add(&s->threads, a->pid);
	prowl_moments_follow(&s->moments, p);
	return 0;
}

static void stop_following(struct prowl_session *s, struct prowl_proc *p)
{
	s->sampler->ops->remove(s->sampler, p->pid);
	prowl_moments_gone(&s->moments, p);
	prowl_threads_remove(&s->threads, p->pid);
}

void prowl_session_drop(struct prowl_session *s, pid_t pid)
{
	struct prowl_proc *p = prowl_procs_find(&s->procs, pid);

	if (!p)
		return;
	stop_following(s, p);
	prowl_procs_remove(&s->procs, p);
}

uint64_t prowl_session_executes(struct prowl_session *s, pid_t pid, uint64_t time)
{
	struct prowl_proc *p = prowl_procs_find(&s->procs, pid);

	if (!p)
		return 0;
	stop_following(s, p);
	return prowl_procs_executes(&s->procs, p, time);
}

void prowl_session_remove(struct prowl_session *s, pid_t pid)
{
	if (!prowl_procs_find(&s->procs, pid))
		return;
	session_drain(s);
	prowl_session_drop(s, pid);
}

void prowl_session_set(struct prowl_session *s, pid_t pid, pid_t group, unsigned int every)
{
	struct prowl_proc *p = prowl_procs_find(&s->procs, pid);

	if (!p)
		return;
	p->group = group;
	if (p->every != every) /* any of the first ones is as good as another */
		p->skipped = every > 1 ? (unsigned int)((uint64_t)pid * 2654435761u >> 7) % every
				       : 0;
	p->every = every;
}

bool prowl_session_ended(struct prowl_session *s, pid_t pid)
{
	const struct prowl_proc *p = prowl_procs_find(&s->procs, pid);

	return !p || p->exited;
}

uint64_t prowl_session_since(const struct prowl_session *s)
{
	return s->from + s->at_window_start.duration_ns;
}

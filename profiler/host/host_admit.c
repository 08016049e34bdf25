/* SPDX-License-Identifier: Apache-2.0 */
/* What a decision makes of a process: a target of the session, or none. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host_parts.h"

/* --- saying so ------------------------------------------------------------------- */

void host_admitted(struct prowl_host *h, struct host_process *p)
{
	if (p->told)
		return;
	p->told = true;
	host_tell(h, p, p->state == HOST_DENIED ? PROWL_HOST_DENIED : PROWL_HOST_APPEARED);
}

static void set_state(struct prowl_host *h, struct host_process *p, enum host_state state)
{
	pthread_mutex_lock(&h->lock);
	h->sampled += (state == HOST_TARGET) - (size_t)(p->state == HOST_TARGET);
	if ((state == HOST_TARGET) != (p->state == HOST_TARGET))
		h->version++;
	p->state = state;
	pthread_mutex_unlock(&h->lock);
}

static void deny(struct prowl_host *h, struct host_process *p, const char *why)
{
	pthread_mutex_lock(&h->lock);
	free(p->why);
	p->why = strdup(why);
	pthread_mutex_unlock(&h->lock);
	set_state(h, p, HOST_DENIED);
	host_admitted(h, p);
}

void host_leave(struct prowl_host *h, struct host_process *p, enum host_state state)
{
	if (p->state == HOST_TARGET && h->session)
		prowl_session_drop(h->session, p->id.pid);
	set_state(h, p, state);
	if (state == HOST_SHED)
		return;
	if (p->told)
		host_tell(h, p, PROWL_HOST_GONE);
	p->told = false;
	pthread_mutex_lock(&h->lock);
	host_process_clear(p);
	pthread_mutex_unlock(&h->lock);
}

/* --- rates ----------------------------------------------------------------------- */

/* One sample in so many, for its own rate and for the budget. */
static unsigned int every_of(const struct prowl_host *h, const struct host_process *p)
{
	unsigned int every = p->rate && p->rate < h->o.rate ? (h->o.rate + p->rate / 2) / p->rate
							    : 1;

	if (h->budget.step >= HOST_STEP_THIRD)
		return every * 3;
	return h->budget.step >= HOST_STEP_HALF ? every * 2 : every;
}

static void set_terms(struct prowl_host *h, const struct host_process *p)
{
	if (h->session)
		prowl_session_set(h->session, p->id.pid, p->series->group, every_of(h, p));
}

/* --- into the session ------------------------------------------------------------ */

static bool has_room(struct prowl_host *h)
{
	bool events = h->session && h->status.mode == PROWL_HOST_PER_THREAD &&
		      prowl_session_events(h->session) >= h->o.limits.events;

	if (h->sampled < h->o.limits.targets && !events)
		return true;
	if (!h->limit_said)
		host_say(h, PROWL_HOST_LIMIT,
			 events ? "%zu perf events are open: further processes are not sampled "
				  "(limits.events)"
				: "%zu processes are sampled: further ones count among the others "
				  "(limits.targets)",
			 events ? h->o.limits.events : h->o.limits.targets);
	h->limit_said = true;
	return false;
}

static void admit(struct prowl_host *h, struct host_process *p, bool by_record)
{
	struct prowl_adopted a = {.pid = p->id.pid,
				  .since = p->exec,
				  .born = p->born,
				  .forked = p->forked,
				  .used = p->used,
				  .comm = p->comm};
	struct prowl_err err = {0};

	if (!has_room(h)) {
		set_state(h, p, HOST_SHED);
		host_admitted(h, p);
		return;
	}
	if (h->session && by_record) {
		int r = prowl_session_adopt(h->session, &a);

		if (r < 0 && r != -EEXIST) {
			deny(h, p, strerror(-r));
			return;
		}
	} else if (h->session && prowl_session_add(h->session, p->id.pid, &err) != PROWL_OK) {
		if (err.code == PROWL_NOTHING)
			host_leave(h, p, HOST_SEEN); /* it has ended */
		else
			deny(h, p, err.text);
		return;
	}
	set_state(h, p, HOST_TARGET);
	set_terms(h, p);
	host_admitted(h, p);
}

void host_inherit(struct prowl_host *h, struct host_process *p, const struct host_process *parent)
{
	struct prowl_adopted a = {
		.pid = p->id.pid, .parent = parent->id.pid, .since = p->exec, .born = true};

	if (!h->session || !has_room(h) || prowl_session_adopt(h->session, &a) < 0)
		return;
	pthread_mutex_lock(&h->lock);
	p->id.start = host_start_of(p->id.pid);
	p->uid = parent->uid;
	p->exe = parent->exe ? strdup(parent->exe) : NULL;
	p->cgroup = parent->cgroup ? strdup(parent->cgroup) : NULL;
	memcpy(p->go_version, parent->go_version, sizeof p->go_version);
	p->series = parent->series;
	p->series->refs++;
	p->rate = parent->rate;
	memcpy(p->period, parent->period, sizeof p->period);
	p->wall = host_wall(h);
	p->looked_at = true; /* what its memory counts was counted in its parent's */
	pthread_mutex_unlock(&h->lock);
	set_state(h, p, HOST_TARGET);
	set_terms(h, p); /* said later: most execute something else at once */
}

/* --- decisions ------------------------------------------------------------------- */

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static void describe(const struct host_process *p, const struct host_facts *f,
		     const struct host_known *k, bool gone, struct prowl_host_program *ret)
{
	*ret = (struct prowl_host_program){.id = p->id,
					   .gone = gone,
					   .parent = p->parent,
					   .wall = (uint64_t)p->wall,
					   .uid = f->uid,
					   .comm = p->comm,
					   .exe = f->exe,
					   .cgroup = f->cgroup,
					   .cmdline = or_empty(f->cmdline),
					   .environment = f->environment ? f->environment : "\0",
					   .go_version = "",
					   .package = "",
					   .module = "",
					   .module_version = "",
					   .revision = "",
					   .go_build_id = "",
					   .build_id = ""};
	if (!k || k->error)
		return;
	ret->elf = k->program.elf;
	ret->go = k->program.go;
	ret->go_version = k->program.go_version;
	ret->package = or_empty(k->program.build.path);
	ret->module = or_empty(k->program.build.main.path);
	ret->module_version = or_empty(k->program.build.main.version);
	ret->revision = or_empty(prowl_buildinfo_setting(&k->program.build, "vcs.revision"));
	ret->go_build_id = k->program.go_build_id;
	ret->build_id = k->program.build_id;
}

bool host_ruled_out(struct prowl_host *h, const struct host_process *p, const char *exe,
		    const struct host_known *k)
{
	struct prowl_host_program program;
	struct host_facts f = {.uid = (uid_t)-1};

	describe(p, &f, k, false, &program);
	program.exe = exe;
	return h->ops.rules_out(h->ctx, &program);
}

/* Keeps what was decided. False: without memory. */
static bool keep(struct prowl_host *h, struct host_process *p, const struct host_facts *f,
		 const struct host_known *k, const struct prowl_host_decision *d)
{
	struct host_series *series = host_groups_take(&h->groups, d->series);

	if (!series)
		return false;
	pthread_mutex_lock(&h->lock);
	host_process_clear(p);
	p->series = series;
	p->uid = f->uid;
	p->exe = strdup(f->exe);
	p->cgroup = strdup(f->cgroup);
	p->rate = d->rate;
	if (k && k->program.go) {
		snprintf(p->go_version, sizeof p->go_version, "%.63s", k->program.go_version);
		memcpy(p->period, d->period, sizeof p->period);
	}
	h->version++;
	pthread_mutex_unlock(&h->lock);
	return true;
}

void host_ask(struct prowl_host *h, struct host_process *p, const struct host_facts *f,
	      const struct host_known *k, bool by_record, bool gone)
{
	struct prowl_host_decision d = {0};
	struct prowl_host_program program;
	pid_t group = p->series ? p->series->group : 0;

	if (!p->wall)
		p->wall = host_wall(h);
	describe(p, f, k, gone, &program);
	h->ops.decide(h->ctx, &program, &d);
	if (!d.profile || !d.series) {
		host_leave(h, p, HOST_SEEN);
		return;
	}
	if (!keep(h, p, f, k, &d)) {
		host_leave(h, p, HOST_SEEN);
		host_say(h, PROWL_HOST_TROUBLE, "out of memory: process %d is not sampled",
			 (int)p->id.pid);
		return;
	}
	if (p->state != HOST_TARGET) {
		admit(h, p, by_record);
		return;
	}
	set_terms(h, p);
	if (p->series->group != group)
		host_tell(h, p, PROWL_HOST_CHANGED);
}

/* --- shedding -------------------------------------------------------------------- */

static int least_first(const void *a, const void *b)
{
	const struct host_process *const *x = a, *const *y = b;

	if ((*x)->recent != (*y)->recent)
		return (*x)->recent < (*y)->recent ? -1 : 1;
	return ((*x)->id.pid > (*y)->id.pid) - ((*x)->id.pid < (*y)->id.pid);
}

static void leave_out_quarter(struct prowl_host *h)
{
	struct host_process **targets = calloc(h->sampled + 1, sizeof(*targets));
	size_t n = 0;

	for (size_t i = 0; targets && i < h->table.n && n < h->sampled; i++) {
		if (h->table.list[i]->state == HOST_TARGET)
			targets[n++] = h->table.list[i];
	}
	if (n)
		qsort(targets, n, sizeof(*targets), least_first);
	for (size_t i = 0; i < n / 4; i++)
		host_leave(h, targets[i], HOST_SHED);
	free(targets);
}

static void take_back(struct prowl_host *h)
{
	for (size_t i = 0; i < h->table.n; i++) {
		struct host_process *p = h->table.list[i];

		if (p->state != HOST_SHED || !p->series || p->ended || !has_room(h))
			continue;
		p->busy = true;
		admit(h, p, false);
		p->busy = false;
	}
}

void host_shed(struct prowl_host *h)
{
	if (h->budget.step >= HOST_STEP_FEWER)
		leave_out_quarter(h);
	else
		take_back(h);
	for (size_t i = 0; i < h->table.n; i++) {
		if (h->table.list[i]->state == HOST_TARGET)
			set_terms(h, h->table.list[i]);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A window is cut: its profiles, whose they are, and what is known of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "clock.h"
#include "host_parts.h"
#include "pprof.h"

struct cut {
	struct prowl_host *h;
	struct host_job *job;
	pid_t *part_groups, *member_groups;
	size_t cap_part_groups, cap_member_groups;
	bool members; /* have been asked for */
	int error;
};

/* --- marks: frames that stand for what could not be had -------------------------- */

static uint32_t string_of(const struct pprof_profile *p, const char *s)
{
	for (uint32_t i = 0; i < p->nstrings; i++) {
		if (!strcmp(p->strings[i], s))
			return i;
	}
	return PPROF_NONE;
}

struct marks {
	uint32_t truncated, unknown, lost;
};

enum { TRUNCATED = 1, UNKNOWN = 2, LOST = 4 };

static unsigned int mark_of(const struct pprof_profile *p, uint32_t location, const struct marks *m)
{
	const struct pprof_location *l = &p->locations[location];
	uint32_t name;

	if (l->nlines == 0)
		return UNKNOWN;
	name = p->functions[p->lines[l->first_line].function].name;
	return (name == m->truncated ? TRUNCATED : 0u) | (name == m->unknown ? UNKNOWN : 0u) |
	       (name == m->lost ? LOST : 0u);
}

static void count_sample(struct prowl_host_part *part, size_t i, const struct marks *m)
{
	const struct pprof_profile *p = part->profile;
	const uint32_t *stack = pprof_sample_stack(p, i);
	const int64_t *v = pprof_sample_values(p, i);
	uint64_t n = (uint64_t)v[0];
	unsigned int marks = 0;

	for (uint32_t k = 0; k < p->samples[i].nlocations; k++)
		marks |= mark_of(p, stack[k], m);
	part->samples += n;
	part->cpu_ns += (uint64_t)v[1];
	part->truncated += marks & TRUNCATED ? n : 0;
	part->unknown += marks & UNKNOWN ? n : 0;
	part->lost += marks & LOST ? n : 0;
}

static void count_part(struct prowl_host_part *part)
{
	struct marks m = {.truncated = string_of(part->profile, "[truncated]"),
			  .unknown = string_of(part->profile, "[unknown]"),
			  .lost = string_of(part->profile, "[lost]")};

	for (size_t i = 0; i < part->profile->nsamples; i++)
		count_sample(part, i, &m);
}

/* --- parts and members ----------------------------------------------------------- */

static void on_member(void *ctx, const struct prowl_session_member *m)
{
	struct cut *c = ctx;
	struct host_job *job = c->job;
	size_t n = job->w.nmembers;

	if (prowl_array_reserve(&job->members, &job->cap_members, n + 1, sizeof *job->members) <
		    0 ||
	    prowl_array_reserve(&c->member_groups, &c->cap_member_groups, n + 1,
				sizeof *c->member_groups) < 0)
		return;
	c->member_groups[n] = m->group;
	job->members[n] = (struct prowl_host_member){.id = {.pid = m->pid, .start = m->start},
						     .comm = strdup(m->comm),
						     .samples = m->samples,
						     .cpu_ns = m->cpu_ns};
	job->w.nmembers = n + (job->members[n].comm != NULL);
}

/*
 * Of a profile that can't be handed over. One of no process has what no room was found for; records
 * that found none in a ring are counted by the window already.
 */
static uint64_t lost_with(const struct cut *c, const struct prowl_host_part *part, bool of_series)
{
	const struct prowl_result *r = prowl_session_result(c->h->session);
	uint64_t counted = r->whole_cpus ? 0 : r->lost - c->h->before.lost;

	if (of_series)
		return part->samples;
	return part->lost > counted ? part->lost - counted : 0;
}

static void take_part(struct cut *c, pid_t group, struct pprof_profile *p)
{
	struct host_series *series = host_groups_find(&c->h->groups, group);
	struct host_job *job = c->job;
	struct prowl_host_part part = {.profile = p};
	struct prowl_series *copy = NULL;
	size_t n = job->w.nparts;

	count_part(&part);
	if (!series || prowl_series_copy(series->s, &copy) < 0 ||
	    prowl_array_reserve(&job->parts, &job->cap_parts, n + 1, sizeof *job->parts) < 0 ||
	    prowl_array_reserve(&c->part_groups, &c->cap_part_groups, n + 1,
				sizeof *c->part_groups) < 0) {
		job->w.lost += lost_with(c, &part, series != NULL);
		prowl_series_free(copy);
		pprof_profile_free(p);
		return;
	}
	part.series = copy;
	job->w.samples += part.samples;
	job->w.cpu_ns += part.cpu_ns;
	job->w.lost += part.lost;
	job->w.truncated += part.truncated;
	job->w.unknown += part.unknown;
	c->part_groups[n] = group;
	job->parts[n] = part;
	job->w.nparts = n + 1;
}

static int on_profile(void *ctx, pid_t group, struct pprof_profile *p)
{
	struct cut *c = ctx;

	if (!c->members)
		prowl_session_members(c->h->session, on_member, c);
	c->members = true;
	take_part(c, group, p);
	return 0;
}

/* Members are of the series of their part; those without one leave. */
static void name_members(struct cut *c)
{
	struct host_job *job = c->job;
	size_t kept = 0;

	for (size_t i = 0; i < job->w.nmembers; i++) {
		struct prowl_host_member m = job->members[i];
		size_t k = 0;

		while (k < job->w.nparts && c->part_groups[k] != c->member_groups[i])
			k++;
		if (k == job->w.nparts) {
			free((char *)m.comm);
			continue;
		}
		m.series = job->parts[k].series;
		job->members[kept++] = m;
	}
	job->w.nmembers = kept;
}

static void note_others(struct prowl_host *h, struct host_job *job)
{
	uint64_t period = 1000000000u / h->o.rate;

	host_others_sort(&h->others, h->o.limits.others);
	job->w.others_samples = h->others.samples;
	job->w.others_cpu_ns = h->others.samples * period;
	job->others = calloc(h->others.n + 1, sizeof *job->others);
	job->names = h->others;
	h->others = (struct host_others){0};
	for (size_t i = 0; job->others && i < job->names.n; i++)
		job->others[i] = (struct prowl_host_other){.comm = job->names.list[i].comm,
							   .samples = job->names.list[i].samples,
							   .cpu_ns = job->names.list[i].samples *
								     period};
	job->w.others = job->others;
	job->w.nothers = job->others ? job->names.n : 0;
}

/* --- facts ----------------------------------------------------------------------- */

static uint64_t own_cpu(const struct prowl_host *h)
{
	uint64_t ns = host_thread_cpu(h->sampler) + host_look_cpu(h);

	return h->deliver.started ? ns + host_thread_cpu(h->deliver.thread) : ns;
}

/* Of a window that ends since a clock was set, by the clock as it was: it is as long as it was. */
static int64_t wall_of_end(const struct prowl_host *h, uint64_t mono)
{
	bool stepped = h->clock.flags & (PROWL_HOST_CLOCK_STEPPED | PROWL_HOST_SUSPENDED);
	int64_t offset = stepped ? h->clock.offset : host_wall(h) - (int64_t)host_mono(h);
	int64_t end = (int64_t)mono + offset;

	return end > h->clock.wall_start ? end : h->clock.wall_start;
}

static void note_time(struct prowl_host *h, struct host_job *job, unsigned int flags)
{
	struct prowl_host_window *w = &job->w;

	w->number = h->number++;
	w->boot_id = h->boot_id;
	w->slot = h->clock.slot;
	w->again = h->clock.again;
	w->wall_start = h->clock.wall_start;
	w->mono_start = h->clock.mono_start;
	w->mono_end = prowl_session_since(h->session);
	w->wall_end = wall_of_end(h, w->mono_end);
	w->flags = h->clock.flags | flags | (w->number ? 0 : PROWL_HOST_RESTARTED) |
		   (h->budget.step ? PROWL_HOST_SHED : 0);
	w->rate = h->o.rate;
	w->whole_cpus = h->status.mode == PROWL_HOST_WHOLE_CPUS;
	for (size_t i = 0; i < w->nparts; i++) {
		job->parts[i].profile->time_nanos = w->wall_start;
		job->parts[i].profile->duration_nanos = (int64_t)(w->mono_end - w->mono_start);
	}
}

/* With the lock held. */
static void count_member(struct prowl_host *h, const struct prowl_host_member *m, int64_t wall)
{
	struct host_process *p = host_table_find(&h->table, m->id.pid);

	if (!p || (p->id.start && m->id.start && p->id.start != m->id.start))
		return;
	p->samples += m->samples;
	p->cpu_ns += m->cpu_ns;
	p->recent += m->cpu_ns;
	p->last_window = wall;
}

static void count_window(struct prowl_host *h, const struct prowl_host_window *w)
{
	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < h->table.n; i++)
		h->table.list[i]->recent -= h->table.list[i]->recent / 8;
	for (size_t i = 0; i < w->nmembers; i++)
		count_member(h, &w->members[i], w->wall_start);
	h->status.windows++;
	h->status.samples += w->samples;
	h->status.cpu_ns += w->cpu_ns;
	h->status.lost += w->lost;
	if (w->pause_ns > h->status.pause_most_ns)
		h->status.pause_most_ns = w->pause_ns;
	pthread_mutex_unlock(&h->lock);
}

static void begin(struct prowl_host *h)
{
	h->before = *prowl_session_result(h->session);
	h->own_before = own_cpu(h);
	host_groups_sweep(&h->groups);
	host_others_clear(&h->others);
	host_clock_begin(&h->clock, prowl_session_since(h->session));
}

void host_begin_windows(struct prowl_host *h)
{
	h->own_before = own_cpu(h);
	h->before = *prowl_session_result(h->session);
	host_clock_begin(&h->clock, prowl_session_since(h->session));
}

static void hand_over(struct prowl_host *h, struct host_job *job)
{
	job->w.parts = job->parts;
	job->w.members = job->members;
	count_window(h, &job->w);
	host_deliver_push(h, job);
}

void host_cut(struct prowl_host *h, unsigned int flags)
{
	struct cut c = {.h = h, .job = calloc(1, sizeof(struct host_job))};
	uint64_t before = host_mono(h);
	struct prowl_err err;
	enum prowl_code code;

	if (!c.job) {
		host_say(h, PROWL_HOST_TROUBLE,
			 "out of memory: a window goes on into the next one");
		return;
	}
	code = prowl_session_cut_each(h->session, PROWL_BY_GROUP, on_profile, &c, &err);
	if (code != PROWL_OK)
		host_say(h, PROWL_HOST_TROUBLE, "a window is not complete: %s", err.text);
	name_members(&c);
	note_time(h, c.job, flags);
	note_others(h, c.job);
	c.job->w.lost += prowl_session_result(h->session)->lost - h->before.lost;
	c.job->w.own_cpu_ns = own_cpu(h) - h->own_before;
	c.job->w.pause_ns = host_mono(h) - before;
	free(c.part_groups);
	free(c.member_groups);
	begin(h);
	hand_over(h, c.job);
}

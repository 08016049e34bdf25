/* SPDX-License-Identifier: Apache-2.0 */
/* What the host gives: decisions about processes, and windows, snapshots and figures to keep. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "daemon_parts.h"
#include "figures.h"
#include "pprof.h"
#include "relabel.h"
#include "subject.h"

/* --- which processes, under which name ------------------------------------------------------- */

static struct roster_id roster_id(struct prowl_host_id id)
{
	return (struct roster_id){id.pid, id.start};
}

static void copy(char *buf, size_t len, const char *text)
{
	snprintf(buf, len, "%s", text ? text : "");
}

static void remember(struct daemon *d, const struct prowl_host_program *p,
		     const struct prowl_known *k, const struct prowl_rule *rule)
{
	struct roster_entry e = {.id = roster_id(p->id), .series = d->decided};

	copy(e.container_id, sizeof e.container_id, k->place.container_id);
	copy(e.pod, sizeof e.pod, k->named.pod);
	copy(e.image, sizeof e.image, k->named.image);
	copy(e.rule, sizeof e.rule, rule->origin);
	copy(e.cgroup, sizeof e.cgroup, k->place.path);
	copy(e.comm, sizeof e.comm, p->comm);
	copy(e.exe, sizeof e.exe, p->exe);
	copy(e.go, sizeof e.go, k->go_version);
	roster_put(d->roster, &e);
}

static void see(const struct prowl_host_program *p, struct prowl_process_facts *ret)
{
	*ret = (struct prowl_process_facts){
		.pid = p->id.pid,
		.uid = p->uid,
		.comm = p->comm,
		.exe = p->exe,
		.cgroup = p->cgroup,
		.environment = p->environment,
		.go = p->go,
		.self = p->id.pid == getpid(),
		.go_version = p->go_version,
		.package = p->package,
		.module = p->module,
		.revision = p->revision,
		.go_build_id = p->go_build_id,
		.build_id = p->build_id,
	};
}

/* Its own schedule, where the rule has one. */
static void schedule(const struct daemon *d, const struct prowl_rule *rule,
		     uint64_t period[PROWL_LOOKS])
{
	static const enum prowl_schedule of[PROWL_LOOKS] = {
		[PROWL_LOOK_FIGURES] = PROWL_SCHEDULE_FIGURES,
		[PROWL_LOOK_HEAP] = PROWL_SCHEDULE_HEAP,
		[PROWL_LOOK_GOROUTINE] = PROWL_SCHEDULE_GOROUTINE,
		[PROWL_LOOK_BLOCK] = PROWL_SCHEDULE_BLOCK,
		[PROWL_LOOK_MUTEX] = PROWL_SCHEDULE_MUTEX,
	};

	for (size_t i = 0; i < PROWL_LOOKS; i++) {
		period[i] = rule->has_period[of[i]] ? rule->period[of[i]]
						    : d->config->runtime[of[i]];
		period[i] /= d->scale;
	}
}

static void decide_by(struct daemon *d, const struct prowl_host_program *p,
		      struct prowl_host_decision *ret)
{
	static const struct prowl_rule self = {.profile = true, .origin = "profile.self"};
	const struct prowl_rule *rule;
	struct prowl_known known;
	struct prowl_process_facts seen;

	see(p, &seen);
	prowl_known_of(d->names, &seen, prowl_now(), &known);
	rule = seen.self ? &self : prowl_rules_find(&d->config->rules, &known.subject);
	if (!rule || !rule->profile || known.place.helper)
		return;
	prowl_series_free(d->decided);
	d->decided = NULL;
	if (prowl_subject_series(&known.subject, rule, &d->config->labels, d->hostname,
				 &d->decided) < 0)
		return;
	remember(d, p, &known, rule);
	ret->profile = true;
	ret->series = d->decided;
	ret->rate = rule->rate;
	schedule(d, rule, ret->period);
}

static void decide(void *ctx, const struct prowl_host_program *p, struct prowl_host_decision *ret)
{
	struct daemon *d = ctx;

	*ret = (struct prowl_host_decision){0};
	pthread_rwlock_rdlock(&d->lock);
	if (p->id.pid != getpid() || d->config->profile.self)
		decide_by(d, p, ret);
	pthread_rwlock_unlock(&d->lock);
}

/* What could not be read may be anything. */
static bool rules_out(void *ctx, const struct prowl_host_program *p)
{
	struct daemon *d = ctx;
	const struct prowl_subject s = {
		.go = p->go,
		.fact = {[PROWL_FACT_COMM] = p->comm,
			 [PROWL_FACT_EXE] = p->exe,
			 [PROWL_FACT_PACKAGE] = p->package,
			 [PROWL_FACT_MODULE] = p->module},
	};
	bool out;

	if (!p->elf || p->id.pid == getpid())
		return false;
	pthread_rwlock_rdlock(&d->lock);
	out = prowl_rules_exclude(&d->config->rules, &s);
	pthread_rwlock_unlock(&d->lock);
	return out;
}

/* --- what is kept ---------------------------------------------------------------------------- */

/* The Unix time at which a process began. */
static int64_t began(uint64_t ticks)
{
	uint64_t boot = prowl_clock_ns(CLOCK_BOOTTIME), hz = (uint64_t)sysconf(_SC_CLK_TCK);

	if (!ticks)
		return 0;
	return daemon_wall() - (int64_t)(boot - ticks * (1000000000 / hz));
}

static struct prowl_store_process process_of(struct daemon *d, struct prowl_host_id id,
					     struct roster_entry *e)
{
	struct prowl_store_process p = {.pid = id.pid, .start = began(id.start)};

	if (!roster_get(d->roster, roster_id(id), e))
		return p;
	p.end = e->gone;
	p.pod = e->pod;
	p.container = e->container_id;
	p.image = e->image;
	return p;
}

const struct pprof_profile *daemon_as_wanted(struct daemon *d, const struct pprof_profile *profile,
					     struct pprof_profile **made)
{
	int r = 0;

	*made = NULL;
	pthread_rwlock_rdlock(&d->lock);
	if (relabel_wanted(&d->config->labels))
		r = relabel(profile, &d->config->labels, made);
	pthread_rwlock_unlock(&d->lock);
	if (r < 0)
		return NULL;
	return *made ? *made : profile;
}

static void put(struct daemon *d, const struct prowl_store_part *parts, size_t n)
{
	struct prowl_err err = {0};
	enum prowl_code code;
	bool kept = false;

	if (!d->store || !n)
		return;
	code = prowl_store_put(d->store, parts, n, &kept, &err);
	/* Also what this disk doesn't take. */
	for (size_t i = 0; code != PROWL_USAGE && i < n; i++)
		daemon_push_offer(d, &parts[i]);
	if (code == PROWL_OK) {
		d->stored++;
		return;
	}
	d->store_failures++;
	daemon_say(d->log, DAEMON_ERROR, "store: %s%s", err.text,
		   kept ? "; kept in memory, to be written later" : "");
}

static void tick(struct daemon *d)
{
	struct prowl_err err = {0};

	if (d->store && prowl_store_tick(d->store, daemon_wall(), &err) != PROWL_OK)
		daemon_say(d->log, DAEMON_ERROR, "store: %s", err.text);
}

/* --- windows -----------------------------------------------------------------------------------
 */

struct window { /* being stored */
	struct daemon *d;
	const struct prowl_host_window *w;
	struct prowl_store_part *parts;
	struct pprof_profile **made; /* for each part; may be NULL */
	struct prowl_store_process *processes;
	struct roster_entry *entries; /* their texts */
	size_t nparts, nprocesses;
	uint64_t lost; /* by nobody knows which processes, not yet told of one */
	struct pprof_profile *others;
};

static struct prowl_store_facts facts_of(const struct prowl_host_window *w)
{
	struct prowl_store_facts f = {
		/* A window is stored under the time that it was meant to begin. */
		.wall_start = w->wall_start < w->slot ? w->slot : w->wall_start,
		.wall_end = w->wall_end,
		.mono_start = (int64_t)w->mono_start,
		.mono_end = (int64_t)w->mono_end,
		.rate = w->rate,
		.own_cpu_ns = w->own_cpu_ns,
		.flags = w->flags &
			 (PROWL_STORE_SHORT | PROWL_STORE_CLOCK_STEPPED | PROWL_STORE_SUSPENDED |
			  PROWL_STORE_SHED | PROWL_STORE_RESTARTED),
	};

	if (f.wall_end < f.wall_start) /* it ended before that */
		f.wall_end = f.wall_start;
	copy(f.boot_id, sizeof f.boot_id, w->boot_id);
	return f;
}

_Static_assert((int)PROWL_HOST_SHORT == (int)PROWL_STORE_SHORT &&
		       (int)PROWL_HOST_CLOCK_STEPPED == (int)PROWL_STORE_CLOCK_STEPPED &&
		       (int)PROWL_HOST_SUSPENDED == (int)PROWL_STORE_SUSPENDED &&
		       (int)PROWL_HOST_SHED == (int)PROWL_STORE_SHED &&
		       (int)PROWL_HOST_RESTARTED == (int)PROWL_STORE_RESTARTED,
	       "host and store have the same flags");

static void add_processes(struct window *s, struct prowl_store_part *part)
{
	part->processes = s->processes + s->nprocesses;
	for (size_t i = 0; i < s->w->nmembers; i++) {
		const struct prowl_host_member *m = &s->w->members[i];

		if (!prowl_series_same(m->series, part->series))
			continue;
		s->processes[s->nprocesses] = process_of(s->d, m->id, &s->entries[s->nprocesses]);
		s->nprocesses++;
		part->nprocesses++;
	}
}

static uint64_t lost_by_all(const struct prowl_host_window *w)
{
	uint64_t known = 0;

	for (size_t i = 0; i < w->nparts; i++)
		known += w->parts[i].lost;
	return w->lost > known ? w->lost - known : 0;
}

/*
 * Records that were lost may have been of any process: a part for each series, as its samples are
 * of all; what is left is told of the others.
 */
static uint64_t share_of_lost(struct window *s, uint64_t samples)
{
	uint64_t all = s->w->samples + s->w->others_samples, share;

	share = all ? (uint64_t)((double)lost_by_all(s->w) * (double)samples / (double)all) : 0;
	share = share < s->lost ? share : s->lost;
	s->lost -= share;
	return share;
}

static void add_part(struct window *s, const struct prowl_host_part *p)
{
	struct prowl_store_part *part = &s->parts[s->nparts];

	*part = (struct prowl_store_part){
		.series = p->series,
		.kind = "cpu",
		.profile = daemon_as_wanted(s->d, p->profile, &s->made[s->nparts]),
		.facts = facts_of(s->w),
	};
	part->facts.samples = p->samples;
	part->facts.cpu_ns = p->cpu_ns;
	part->facts.lost = p->lost + share_of_lost(s, p->samples);
	part->facts.truncated = p->truncated;
	part->facts.unknown = p->unknown;
	if (!part->profile)
		return;
	add_processes(s, part);
	s->nparts++;
}

/* A sample of one frame for each name. */
static int add_other(struct pprof_profile *p, const struct prowl_host_other *o)
{
	const int64_t values[] = {(int64_t)o->samples, (int64_t)o->cpu_ns};
	struct pprof_function f = {0};
	struct pprof_line line = {0};
	uint32_t location;
	int r = pprof_string(p, o->comm, &f.name);

	f.system_name = f.name;
	if (r == 0)
		r = pprof_function(p, &f, &line.function);
	if (r == 0)
		r = pprof_location(p, PPROF_NONE, 0, &line, 1, &location);
	return r < 0 ? r : pprof_sample_add(p, &location, 1, values, NULL, 0);
}

static int make_others(const struct prowl_host_window *w, struct pprof_profile **ret)
{
	struct pprof_profile *p;
	int r = pprof_profile_new(&p);

	if (r < 0)
		return r;
	r = pprof_sample_type(p, "samples", "count");
	if (r == 0)
		r = pprof_sample_type(p, "cpu", "nanoseconds");
	if (r == 0)
		r = pprof_period(p, "cpu", "nanoseconds", 1000000000 / (w->rate ? w->rate : 1));
	for (size_t i = 0; r == 0 && i < w->nothers; i++)
		r = add_other(p, &w->others[i]);
	p->time_nanos = w->wall_start;
	p->duration_nanos = w->wall_end - w->wall_start;
	if (r == 0)
		*ret = p;
	else
		pprof_profile_free(p);
	return r;
}

/* The rest of the machine, so that a timeline adds up to all of it. */
static void add_others(struct window *s)
{
	struct prowl_store_part *part = &s->parts[s->nparts];

	if (!(s->w->nothers || s->lost) || !s->d->others || make_others(s->w, &s->others) < 0)
		return;
	*part = (struct prowl_store_part){
		.series = s->d->others,
		.kind = "cpu",
		.profile = s->others,
		.facts = facts_of(s->w),
	};
	part->facts.samples = s->w->others_samples;
	part->facts.cpu_ns = s->w->others_cpu_ns;
	part->facts.lost = s->lost;
	s->nparts++;
}

static void store_window(struct daemon *d, const struct prowl_host_window *w)
{
	struct window s = {
		.d = d,
		.w = w,
		.lost = lost_by_all(w),
		.parts = calloc(w->nparts + 1, sizeof *s.parts),
		.made = calloc(w->nparts + 1, sizeof *s.made),
		.processes = calloc(w->nmembers + 1, sizeof *s.processes),
		.entries = calloc(w->nmembers + 1, sizeof *s.entries),
	};

	if (s.parts && s.made && s.processes && s.entries) {
		for (size_t i = 0; i < w->nparts; i++)
			add_part(&s, &w->parts[i]);
		add_others(&s);
		put(d, s.parts, s.nparts);
	} else {
		d->store_failures++;
		daemon_say(d->log, DAEMON_ERROR, "out of memory: a window is lost");
	}
	for (size_t i = 0; s.made && i <= w->nparts; i++)
		pprof_profile_free(s.made[i]);
	pprof_profile_free(s.others);
	free(s.parts);
	free(s.made);
	free(s.processes);
	free(s.entries);
}

static void on_window(void *ctx, struct prowl_host_window *w)
{
	struct daemon *d = ctx;

	store_window(d, w);
	tick(d);
	d->progress = prowl_now();
	daemon_say(d->log, DAEMON_DEBUG,
		   "window %llu: series=%zu samples=%llu lost=%llu own_cpu_ms=%llu",
		   (unsigned long long)w->number, w->nparts, (unsigned long long)w->samples,
		   (unsigned long long)w->lost, (unsigned long long)(w->own_cpu_ns / 1000000));
}

/* --- runtime profiles and figures --------------------------------------------------------------
 */

static void on_snapshot(void *ctx, struct prowl_host_snapshot *s)
{
	struct daemon *d = ctx;
	struct pprof_profile *made;
	struct roster_entry entry;
	struct prowl_store_process process = process_of(d, s->id, &entry);
	struct prowl_store_part part = {
		.series = s->series,
		.kind = s->kind,
		.level = !s->flow,
		.profile = daemon_as_wanted(d, s->profile, &made),
		.facts = {.wall_start = s->wall_start,
			  .wall_end = s->wall_end,
			  .mono_start = (int64_t)s->mono - (s->wall_end - s->wall_start),
			  .mono_end = (int64_t)s->mono,
			  .own_cpu_ns = s->cost_ns},
		.processes = &process,
		.nprocesses = 1,
	};

	if (part.profile) {
		part.facts.samples = part.profile->nsamples;
		put(d, &part, 1);
	}
	pprof_profile_free(made);
}

static int64_t figure(const struct prowl_figures *f, enum prowl_figure which)
{
	return f->known[which] ? f->value[which] : -1;
}

static void on_figures(void *ctx, const struct prowl_host_figures *f)
{
	struct daemon *d = ctx;
	struct roster_figures kept = {
		.wall = f->wall,
		.goroutines = figure(f->figures, PROWL_FIGURE_GOROUTINES),
		.threads = figure(f->figures, PROWL_FIGURE_THREADS),
		.heap_live = figure(f->figures, PROWL_FIGURE_HEAP_LIVE),
		.heap_goal = figure(f->figures, PROWL_FIGURE_HEAP_GOAL),
		.gc_cpu = f->figures->gc_cpu_fraction,
	};

	roster_figures(d->roster, roster_id(f->id), &kept);
}

/* --- what happens -------------------------------------------------------------------------------
 */

static void on_target(void *ctx, const struct prowl_host_target *t)
{
	static const char *const words[] = {
		[PROWL_HOST_APPEARED] = "target",
		[PROWL_HOST_CHANGED] = "target changed",
		[PROWL_HOST_GONE] = "target gone",
		[PROWL_HOST_DENIED] = "target can't be sampled",
	};
	struct daemon *d = ctx;

	if (t->change == PROWL_HOST_GONE)
		roster_gone(d->roster, roster_id(t->id), t->wall);
	daemon_say(d->log, DAEMON_DEBUG, "%s: service=%s pid=%d%s%s", words[t->change],
		   t->series ? prowl_series_get(t->series, PROWL_SERIES_SERVICE) : "?",
		   (int)t->id.pid, t->why && *t->why ? ": " : "", t->why ? t->why : "");
	/* Without its number, so that many of them are one line. */
	if (t->change == PROWL_HOST_DENIED)
		daemon_say(d->log, DAEMON_WARNING, "%s: service=%s: %s", words[t->change],
			   t->series ? prowl_series_get(t->series, PROWL_SERIES_SERVICE) : "?",
			   t->why ? t->why : "");
}

static void on_event(void *ctx, const struct prowl_host_event *e)
{
	struct daemon *d = ctx;

	daemon_say(d->log, e->kind == PROWL_HOST_MODE ? DAEMON_INFO : DAEMON_WARNING, "%s",
		   e->text);
}

const struct prowl_host_ops daemon_ops = {
	.decide = decide,
	.rules_out = rules_out,
	.window = on_window,
	.snapshot = on_snapshot,
	.figures = on_figures,
	.target = on_target,
	.event = on_event,
};

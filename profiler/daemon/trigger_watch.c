/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that reads what triggers look at, and others that take what they want. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "array.h"
#include "cgroup_memory.h"
#include "clock.h"
#include "daemon_parts.h"
#include "kinds.h"
#include "procfs.h"
#include "triggers.h"

enum { MOST_JOBS = 4, MAX_PER_HOUR = 20 };
static const uint64_t SECOND = 1000000000, CPU_SPAN = 5000000000, MINUTE = 60000000000;

struct job { /* an event that is being taken */
	struct watch *w;
	pthread_t thread;
	bool used;
	atomic_bool done;
	struct daemon_event event;
	char kind[64], why[200];
	struct prowl_trigger_capture captures[PROWL_TRIGGER_CAPTURES];
	char kinds[PROWL_TRIGGER_CAPTURES][32];
};

struct seen { /* of a process, from one look to the next */
	struct roster_id id;
	uint64_t looked, memory_at, ticks_at; /* monotonic ns */
	double ticks, cpu, memory;            /* negative: not known yet */
};

struct watch {
	struct daemon *d;
	struct triggers *triggers;
	pthread_t thread;
	int stop_fd;
	struct roster_id *ids;
	size_t nids, cap_ids;
	struct seen *seen;
	size_t nseen, cap_seen;
	struct job jobs[MOST_JOBS];
	struct roster_id firing; /* the one that is being looked at */
	double tick_ns, page;
};

/* --- taking an event ---------------------------------------------------------------------------
 */

static void *take(void *arg)
{
	struct job *j = arg;
	struct prowl_err err = {0};

	if (daemon_event_take(j->w->d, &j->event, &err) != PROWL_OK)
		daemon_say(j->w->d->log, DAEMON_WARNING, "event: %s of pid %d: %s", j->kind,
			   (int)j->event.id.pid, err.text);
	atomic_store(&j->done, true);
	return NULL;
}

static struct job *free_job(struct watch *w)
{
	for (size_t i = 0; i < MOST_JOBS; i++) {
		struct job *j = &w->jobs[i];

		if (j->used && atomic_load(&j->done)) {
			pthread_join(j->thread, NULL);
			j->used = false;
		}
		if (!j->used)
			return j;
	}
	return NULL;
}

/* A copy of what it needs: a reload may take the trigger away. */
static void fill(struct job *j, struct watch *w, const struct prowl_trigger *t, const char *why)
{
	*j = (struct job){.w = w};
	snprintf(j->kind, sizeof j->kind, "%s", t->name);
	snprintf(j->why, sizeof j->why, "%s", why);
	for (size_t i = 0; i < t->ncapture; i++) {
		snprintf(j->kinds[i], sizeof j->kinds[i], "%s", t->capture[i].kind);
		j->captures[i] = (struct prowl_trigger_capture){j->kinds[i], t->capture[i].ns};
	}
	j->event = (struct daemon_event){.id = w->firing,
					 .kind = j->kind,
					 .why = j->why,
					 .capture = j->captures,
					 .ncapture = t->ncapture,
					 .wake_fd = w->stop_fd};
}

static void fire(void *ctx, const struct prowl_trigger *t, const char *why)
{
	struct watch *w = ctx;
	struct job *j = free_job(w);

	w->d->fired++;
	if (!j) {
		daemon_say(w->d->log, DAEMON_WARNING,
			   "event: %s of pid %d is left out: others are being taken", t->name,
			   (int)w->firing.pid);
		return;
	}
	fill(j, w, t, why);
	j->used = pthread_create(&j->thread, NULL, take, j) == 0;
}

/* --- reading -------------------------------------------------------------------------------------
 */

static struct seen *seen_of(struct watch *w, struct roster_id id)
{
	for (size_t i = 0; i < w->nseen; i++) {
		if (w->seen[i].id.pid == id.pid && w->seen[i].id.start == id.start)
			return &w->seen[i];
	}
	if (prowl_array_reserve(&w->seen, &w->cap_seen, w->nseen + 1, sizeof *w->seen) < 0)
		return NULL;
	w->seen[w->nseen] = (struct seen){.id = id, .ticks = -1, .cpu = -1, .memory = -1};
	return &w->seen[w->nseen++];
}

static double stat_number(const char *stat, int field)
{
	char text[32];

	return prowl_stat_field(stat, field, text, sizeof text) ? strtod(text, NULL) : 0;
}

/* CPUs in use, over a span that a tick of the clock doesn't matter in. */
static void read_stat(struct watch *w, struct seen *s, uint64_t now, struct trigger_figures *f)
{
	char stat[1024];
	double ticks;

	if (prowl_read_of(s->id.pid, "stat", stat, sizeof stat) <= 0)
		return;
	ticks = stat_number(stat, 14) + stat_number(stat, 15);
	f->value[PROWL_TRIGGER_RSS] = stat_number(stat, 24) * w->page;
	if (s->ticks < 0 || now - s->ticks_at >= CPU_SPAN) {
		if (s->ticks >= 0)
			s->cpu = (ticks - s->ticks) * w->tick_ns / (double)(now - s->ticks_at);
		s->ticks = ticks;
		s->ticks_at = now;
	}
	f->value[PROWL_TRIGGER_CPU] = s->cpu;
}

/* Returns when it must be looked at again. */
static uint64_t read_memory(struct seen *s, const char *cgroup, uint64_t now,
			    struct trigger_figures *f)
{
	struct cgroup_memory m;
	uint64_t next = SECOND;

	if (!*cgroup || !cgroup_memory("/sys/fs/cgroup", cgroup, &m))
		return next;
	f->value[PROWL_TRIGGER_MEMORY] = (double)m.current;
	f->limit = (double)m.limit;
	if (m.limit)
		next = triggers_next(s->memory, (double)m.current, now - s->memory_at, f->limit);
	s->memory = (double)m.current;
	s->memory_at = now;
	return next;
}

static uint64_t look_at(struct watch *w, struct roster_id id)
{
	uint64_t now = prowl_now(), next;
	struct trigger_figures f;
	struct roster_entry e;
	struct seen *s = seen_of(w, id);

	if (!s || !roster_get(w->d->roster, id, &e))
		return SECOND;
	for (size_t i = 0; i < PROWL_TRIGGER_FIGURES; i++)
		f.value[i] = -1;
	f.limit = -1;
	s->looked = now;
	read_stat(w, s, now, &f);
	next = read_memory(s, e.cgroup, now, &f);
	if (e.figures.wall) {
		f.value[PROWL_TRIGGER_GOROUTINES] = (double)e.figures.goroutines;
		f.value[PROWL_TRIGGER_THREADS] = (double)e.figures.threads;
		f.value[PROWL_TRIGGER_HEAP_LIVE] = (double)e.figures.heap_live;
	}
	w->firing = id;
	triggers_look(w->triggers, id, now, &f, fire, w);
	return next;
}

/* --- the thread
 * ------------------------------------------------------------------------------------ */

static int note_id(void *ctx, const struct prowl_host_target *t)
{
	struct watch *w = ctx;

	if (prowl_array_reserve(&w->ids, &w->cap_ids, w->nids + 1, sizeof *w->ids) < 0)
		return -ENOMEM;
	w->ids[w->nids++] = (struct roster_id){t->id.pid, t->id.start};
	return 0;
}

static void forget(struct watch *w, uint64_t before)
{
	triggers_forget(w->triggers, before);
	for (size_t i = 0; i < w->nseen;) {
		if (w->seen[i].looked >= before)
			i++;
		else
			w->seen[i] = w->seen[--w->nseen];
	}
}

/* All processes once; when to do that again. */
static uint64_t look_at_all(struct watch *w)
{
	uint64_t next = SECOND;

	w->nids = 0;
	prowl_host_targets(w->d->host, note_id, w);
	for (size_t i = 0; i < w->nids; i++) {
		uint64_t one = look_at(w, w->ids[i]);

		next = one < next ? one : next;
	}
	if (prowl_now() > MINUTE)
		forget(w, prowl_now() - MINUTE);
	return next;
}

static void *watch(void *arg)
{
	struct watch *w = arg;
	struct pollfd end = {.fd = w->stop_fd, .events = POLLIN};
	int ms = 0;

	while (poll(&end, 1, ms) == 0)
		ms = (int)(look_at_all(w) / 1000000);
	for (size_t i = 0; i < MOST_JOBS; i++) {
		if (w->jobs[i].used)
			pthread_join(w->jobs[i].thread, NULL);
	}
	return NULL;
}

static void watch_free(struct watch *w)
{
	triggers_free(w->triggers);
	if (w->stop_fd >= 0)
		close(w->stop_fd);
	free(w->ids);
	free(w->seen);
	free(w);
}

enum prowl_code daemon_check_triggers(const struct prowl_config *c, struct prowl_err *err)
{
	for (size_t i = 0; i < c->ntriggers; i++) {
		for (size_t k = 0; k < c->triggers[i].ncapture; k++) {
			if (!prowl_kind_named(c->triggers[i].capture[k].kind))
				return prowl_fail(
					err, PROWL_USAGE,
					"the trigger %s captures '%s', which is no kind of "
					"profile",
					c->triggers[i].name, c->triggers[i].capture[k].kind);
		}
	}
	return PROWL_OK;
}

enum prowl_code daemon_watch_begin(struct daemon *d, struct prowl_err *err)
{
	struct watch *w;

	/* Events are kept in the store. */
	if (!d->first->ntriggers || !d->store)
		return PROWL_OK;
	w = calloc(1, sizeof *w);
	if (!w)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	w->d = d;
	w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	w->tick_ns = 1e9 / (double)sysconf(_SC_CLK_TCK);
	w->page = (double)sysconf(_SC_PAGESIZE);
	w->triggers = triggers_new(d->first->triggers, d->first->ntriggers, MAX_PER_HOUR);
	if (w->triggers && w->stop_fd >= 0 && pthread_create(&w->thread, NULL, watch, w) == 0) {
		d->watch = w;
		return PROWL_OK;
	}
	watch_free(w);
	return prowl_fail(err, PROWL_FAILED, "triggers can't be watched");
}

void daemon_watch_end(struct daemon *d)
{
	/* Captures that it ends read one of them each; the others are told all the same. */
	uint64_t many = UINT32_MAX;

	if (!d->watch)
		return;
	(void)!write(d->watch->stop_fd, &many, sizeof many);
	pthread_join(d->watch->thread, NULL);
	watch_free(d->watch);
	d->watch = NULL;
}

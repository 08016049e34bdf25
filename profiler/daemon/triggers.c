/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAST = 60, LEAST_PAST = 20 };
static const uint64_t HOUR = 3600000000000, DAY = 24 * (uint64_t)3600000000000;

struct state {                      /* of a trigger and a process */
	uint64_t since, fired, day; /* conditions hold; last; begin of the day that counts */
	bool holds, has_fired;
	unsigned int today;
	/* The past of a figure that is compared with it, evenly over the span. */
	double past[PAST];
	size_t npast, next;
	uint64_t noted;
};

struct process {
	struct roster_id id;
	uint64_t looked;
	struct state *states; /* for each trigger */
};

struct triggers {
	const struct prowl_trigger *list;
	size_t n;
	unsigned int max_per_hour;
	struct hourly {
		uint64_t begin;
		unsigned int fired;
	} * hourly; /* for each trigger */
	struct process *processes;
	size_t nprocesses, cap;
};

struct triggers *triggers_new(const struct prowl_trigger *list, size_t n, unsigned int max_per_hour)
{
	struct triggers *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	*t = (struct triggers){.list = list,
			       .n = n,
			       .max_per_hour = max_per_hour,
			       .hourly = calloc(n + 1, sizeof *t->hourly)};
	if (t->hourly)
		return t;
	free(t);
	return NULL;
}

void triggers_free(struct triggers *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->nprocesses; i++)
		free(t->processes[i].states);
	free(t->processes);
	free(t->hourly);
	free(t);
}

void triggers_forget(struct triggers *t, uint64_t before)
{
	for (size_t i = 0; i < t->nprocesses;) {
		if (t->processes[i].looked >= before) {
			i++;
			continue;
		}
		free(t->processes[i].states);
		t->processes[i] = t->processes[--t->nprocesses];
	}
}

static struct process *find(struct triggers *t, struct roster_id id)
{
	struct process *bigger;

	for (size_t i = 0; i < t->nprocesses; i++) {
		if (t->processes[i].id.pid == id.pid && t->processes[i].id.start == id.start)
			return &t->processes[i];
	}
	if (t->nprocesses == t->cap) {
		bigger = reallocarray(t->processes, t->cap + 64, sizeof *bigger);
		if (!bigger)
			return NULL;
		t->processes = bigger;
		t->cap += 64;
	}
	t->processes[t->nprocesses] = (struct process){
		.id = id, .states = calloc(t->n + 1, sizeof(struct state))};
	if (!t->processes[t->nprocesses].states)
		return NULL;
	return &t->processes[t->nprocesses++];
}

/* --- conditions ------------------------------------------------------------------------------- */

static int by_value(const void *va, const void *vb)
{
	double a = *(const double *)va, b = *(const double *)vb;

	return (a > b) - (a < b);
}

/* Negative: its past is too short. */
static double median(const struct state *s)
{
	double sorted[PAST];

	if (s->npast < LEAST_PAST)
		return -1;
	memcpy(sorted, s->past, s->npast * sizeof *sorted);
	qsort(sorted, s->npast, sizeof *sorted, by_value);
	return sorted[s->npast / 2];
}

static void note(struct state *s, double value, uint64_t now, uint64_t span)
{
	if (s->npast && now - s->noted < span / PAST)
		return;
	s->past[s->next] = value;
	s->next = (s->next + 1) % PAST;
	s->npast += s->npast < PAST;
	s->noted = now;
}

/* The bound of a condition; negative: it is not known. */
static double bound_of(const struct prowl_condition *c, const struct trigger_figures *f,
		       const struct state *s)
{
	double m;

	switch (c->kind) {
	case PROWL_ABOVE_LIMIT:
		return f->limit > 0 ? f->limit * c->value : -1;
	case PROWL_ABOVE_MEDIAN:
		m = median(s);
		return m < 0 ? -1 : m * c->value;
	case PROWL_ABOVE:
		break;
	}
	return c->value;
}

static void describe(const struct prowl_condition *c, const struct trigger_figures *f, double bound,
		     char *why, size_t len)
{
	double v = f->value[c->figure];
	const char *name = prowl_trigger_figure_name(c->figure);

	if (c->kind == PROWL_ABOVE_LIMIT)
		snprintf(why, len, "%s is %.0f %% of the limit of %.0f bytes", name,
			 100 * v / f->limit, f->limit);
	else
		snprintf(why, len, "%s is %.10g, above %.10g", name, v, bound);
}

/* Whether all hold; why: the last of them. */
static bool holds(const struct prowl_trigger *t, struct state *s, uint64_t now,
		  const struct trigger_figures *f, char *why, size_t len)
{
	bool all = t->nwhen > 0;

	for (size_t i = 0; i < t->nwhen; i++) {
		const struct prowl_condition *c = &t->when[i];
		double v = f->value[c->figure], bound = bound_of(c, f, s);

		if (v >= 0 && c->kind == PROWL_ABOVE_MEDIAN)
			note(s, v, now, c->span);
		all &= v >= 0 && v >= t->min && bound >= 0 && v > bound;
		if (all)
			describe(c, f, bound, why, len);
	}
	return all;
}

/* --- firing --------------------------------------------------------------------------------------
 */

static bool may_fire(const struct triggers *t, size_t i, struct state *s, uint64_t now)
{
	const struct prowl_trigger *trigger = &t->list[i];
	struct hourly *h = &t->hourly[i];

	if (s->has_fired && now - s->fired < trigger->cooldown)
		return false;
	if (now - s->day >= DAY) {
		s->day = now;
		s->today = 0;
	}
	if (now - h->begin >= HOUR) {
		h->begin = now;
		h->fired = 0;
	}
	if (s->today >= trigger->max_per_day || h->fired >= t->max_per_hour)
		return false;
	s->has_fired = true;
	s->fired = now;
	s->today++;
	h->fired++;
	return true;
}

void triggers_look(struct triggers *t, struct roster_id id, uint64_t now,
		   const struct trigger_figures *f,
		   void (*fire)(void *ctx, const struct prowl_trigger *trigger, const char *why),
		   void *ctx)
{
	struct process *p = find(t, id);

	if (!p)
		return;
	p->looked = now;
	for (size_t i = 0; i < t->n; i++) {
		struct state *s = &p->states[i];
		char why[200] = "";
		bool is = holds(&t->list[i], s, now, f, why, sizeof why);

		if (is && !s->holds)
			s->since = now;
		s->holds = is;
		if (is && now - s->since >= t->list[i].for_ && may_fire(t, i, s, now))
			fire(ctx, &t->list[i], why);
	}
}

uint64_t triggers_next(double before, double is, uint64_t elapsed, double limit)
{
	static const uint64_t least = 20000000, most = 1000000000;
	double wait;

	if (before < 0 || is <= before || limit <= 0 || !elapsed)
		return most;
	if (is >= limit)
		return least;
	wait = (limit - is) / ((is - before) / (double)elapsed) / 4;
	return wait < (double)least ? least : wait > (double)most ? most : (uint64_t)wait;
}

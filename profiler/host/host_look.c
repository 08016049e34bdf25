/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runtime profiles and figures of all targets, one after the other, in a thread of its own. Each
 * target's looks are spread over their period, and after each look there is a pause that keeps the
 * whole to its share of a CPU: too many targets are looked at late, not at too high a cost.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "array.h"
#include "clock.h"
#include "host_parts.h"
#include "kinds.h"
#include "pprof.h"
#include "runtime.h"

enum {
	RUNTIMES = 64,   /* that are kept open */
	MOST_WAIT_S = 1, /* until targets are compared again */
	MOST_PAUSE_S = 60,
	THIN = 5,
	BACK_OFF = 10, /* times the period, for what can't be read */
};
#define HOUR_NS UINT64_C(3600000000000)

enum flow { FLOW_ALLOCS, FLOW_BLOCK, FLOW_MUTEX, FLOWS };

struct snapshot { /* encoded, of the last look */
	uint8_t *bytes;
	size_t len;
	int64_t wall;
	uint64_t mono;
};

struct looked {
	struct prowl_host_id id;
	char comm[64];
	struct prowl_series *series;
	uint64_t period[PROWL_LOOKS], due[PROWL_LOOKS]; /* mono */
	bool born;                                      /* after we began, and never looked at */
	int64_t wall;                                   /* when it was found */
	struct snapshot before[FLOWS];
	bool given[FLOWS];         /* some of it: a beginning is not known any more */
	struct prowl_runtime *rt;  /* for figures; NULL: closed */
	uint64_t used;             /* when, in looks */
	bool block_off, mutex_off; /* the program records none, by its figures */
	bool found;
};

struct host_look {
	pthread_t thread;
	pthread_cond_t wake;
	bool stop;
	struct looked **list;
	size_t n, cap, open;
	uint64_t version, looks;
	_Atomic uint64_t cpu; /* ns, so far */
};

static uint64_t own_cpu(void)
{
	return prowl_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* --- whom to look at ------------------------------------------------------------- */

static void close_runtime(struct host_look *l, struct looked *t)
{
	if (t->rt)
		l->open--;
	prowl_runtime_free(t->rt);
	t->rt = NULL;
}

static void forget(struct host_look *l, struct looked *t)
{
	close_runtime(l, t);
	for (int i = 0; i < FLOWS; i++)
		free(t->before[i].bytes);
	prowl_series_free(t->series);
	free(t);
}

static struct looked *find(struct host_look *l, const struct prowl_host_id *id)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->list[i]->id.pid == id->pid && l->list[i]->id.start == id->start)
			return l->list[i];
	}
	return NULL;
}

/* At a time of its own within the period, the same whenever it is asked. */
static uint64_t first_due(const struct prowl_host *h, pid_t pid, int which, uint64_t period)
{
	uint64_t r = ((uint64_t)pid * PROWL_LOOKS + (uint64_t)which) * 0x9e3779b97f4a7c15ull;

	return host_mono(h) +
	       (uint64_t)((double)(r >> 11) / (double)(UINT64_C(1) << 53) * (double)period);
}

/* With the lock held. */
static void take_terms(const struct prowl_host *h, const struct host_process *p, struct looked *t)
{
	memcpy(t->comm, p->comm, sizeof t->comm);
	if (!t->series || !prowl_series_same(t->series, p->series->s)) {
		struct prowl_series *copy;

		if (prowl_series_copy(p->series->s, &copy) == 0) {
			prowl_series_free(t->series);
			t->series = copy;
		}
	}
	for (int i = 0; i < PROWL_LOOKS; i++) {
		if (t->period[i] != p->period[i])
			t->due[i] = first_due(h, p->id.pid, i, p->period[i]);
		t->period[i] = p->period[i];
	}
}

/* With the lock held. What was given of it before it was no target for a while stays given. */
static void add(struct prowl_host *h, struct host_process *p)
{
	struct host_look *l = h->look;
	struct looked *t = find(l, &p->id);

	if (!t) {
		if (prowl_array_reserve(&l->list, &l->cap, l->n + 1, sizeof *l->list) < 0)
			return;
		t = calloc(1, sizeof *t);
		if (!t)
			return;
		t->id = p->id;
		t->born = p->born && !p->looked_at;
		t->wall = p->wall;
		p->looked_at = true;
		l->list[l->n++] = t;
	}
	take_terms(h, p, t);
	t->found = t->series != NULL;
}

static bool wants_looks(const struct host_process *p)
{
	bool any = false;

	for (int i = 0; i < PROWL_LOOKS; i++)
		any |= p->period[i] > 0;
	return any && p->state == HOST_TARGET && p->id.start && !p->ended;
}

static void compare(struct prowl_host *h)
{
	struct host_look *l = h->look;
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++)
		l->list[i]->found = false;
	for (size_t i = 0; i < h->table.n; i++) {
		if (wants_looks(h->table.list[i]))
			add(h, h->table.list[i]);
	}
	for (size_t i = 0; i < l->n; i++) {
		if (l->list[i]->found)
			l->list[kept++] = l->list[i];
		else
			forget(l, l->list[i]);
	}
	l->n = kept;
}

/* --- one look -------------------------------------------------------------------- */

struct looking {
	struct prowl_host *h;
	struct looked *t;
	uint64_t from_cpu;
	int64_t wall; /* when the last profile was taken */
	uint64_t mono;
	enum prowl_code code;
	struct prowl_err err;
};

static void close_oldest(struct host_look *l)
{
	struct looked *oldest = NULL;

	for (size_t i = 0; i < l->n; i++) {
		if (l->list[i]->rt && (!oldest || l->list[i]->used < oldest->used))
			oldest = l->list[i];
	}
	if (oldest)
		close_runtime(l, oldest);
}

static bool open_runtime(struct looking *k)
{
	struct host_look *l = k->h->look;
	struct prowl_who who = {.pid = k->t->id.pid};

	if (k->t->rt && !prowl_runtime_same(k->t->rt))
		close_runtime(l, k->t);
	if (!k->t->rt) {
		if (l->open >= RUNTIMES)
			close_oldest(l);
		k->code = prowl_runtime_open(&who, &k->t->rt, &k->err);
		if (k->code != PROWL_OK) {
			k->t->rt = NULL;
			return false;
		}
		l->open++;
	}
	k->t->used = l->looks;
	return true;
}

static bool is_off(const struct prowl_figures *f, enum prowl_figure rate)
{
	return f->known[rate] && f->value[rate] == 0;
}

static void look_at_figures(struct looking *k)
{
	struct prowl_figures f;
	struct prowl_host_figures out = {
		.id = k->t->id, .comm = k->t->comm, .series = k->t->series, .figures = &f};

	if (!open_runtime(k))
		return;
	prowl_figures_read(k->t->rt, &f);
	if (!prowl_runtime_same(k->t->rt))
		return; /* of two programs */
	k->t->block_off = is_off(&f, PROWL_FIGURE_BLOCK_RATE);
	k->t->mutex_off = is_off(&f, PROWL_FIGURE_MUTEX_RATE);
	out.wall = host_wall(k->h);
	if (k->h->ops.figures)
		k->h->ops.figures(k->h->ctx, &out);
}

static struct pprof_profile *take(struct looking *k, const char *kind)
{
	struct prowl_who who = {.pid = k->t->id.pid};
	struct prowl_take o = {0};
	struct prowl_taken taken;
	struct pprof_profile *p;

	k->code = prowl_kind_take(prowl_kind_named(kind), &who, &o, &p, &taken, &k->err);
	k->wall = host_wall(k->h);
	k->mono = host_mono(k->h);
	if (k->code != PROWL_OK)
		return NULL;
	if (host_start_of(k->t->id.pid) != k->t->id.start) {
		pprof_profile_free(p);
		return NULL;
	}
	return p;
}

/* The end of the look before; by the clock as it is now, if that has been set since. */
static int64_t begin_of(const struct looking *k, const struct snapshot *since)
{
	int64_t wall = since->mono ? k->wall - (int64_t)(k->mono - since->mono) : since->wall;

	if (llabs(wall - since->wall) < (int64_t)HOST_STEP_MS * 1000000)
		wall = since->wall;
	return wall < k->wall ? wall : k->wall;
}

static void hand_over(struct looking *k, const char *kind, const struct snapshot *since,
		      struct pprof_profile *p)
{
	struct prowl_host_snapshot s = {.id = k->t->id,
					.comm = k->t->comm,
					.series = k->t->series,
					.kind = kind,
					.flow = since != NULL,
					.wall_start = since ? begin_of(k, since) : k->wall,
					.wall_end = k->wall,
					.mono = k->mono,
					.cost_ns = own_cpu() - k->from_cpu,
					.profile = p};

	if (since) {
		p->time_nanos = s.wall_start;
		p->duration_nanos = s.wall_end - s.wall_start;
	}
	if (k->h->ops.snapshot)
		k->h->ops.snapshot(k->h->ctx, &s);
	pprof_profile_free(s.profile);
}

static void keep(struct looking *k, enum flow which, const struct pprof_profile *p)
{
	struct snapshot *before = &k->t->before[which];

	free(before->bytes);
	*before = (struct snapshot){.wall = k->wall, .mono = k->mono};
	if (pprof_encode(p, PPROF_LEVEL_DEFAULT, &before->bytes, &before->len) < 0)
		before->bytes = NULL;
}

/*
 * What came since the look before. At the first look that is everything of a program that began
 * while we watched; of an older one it is not known.
 */
static void flow(struct looking *k, enum flow which, const char *kind, const char *prefix,
		 const struct pprof_profile *now)
{
	struct snapshot since = k->t->before[which];
	struct pprof_profile *before = NULL, *change;
	bool first = !since.bytes, all = k->t->born && !k->t->given[which];

	if (first)
		since.wall = k->t->wall;
	k->t->given[which] = true;
	if ((!first || all) &&
	    (first || pprof_decode(since.bytes, since.len, SIZE_MAX, &before, NULL) == 0) &&
	    host_flow_change(before, now, prefix, &change) == 0)
		hand_over(k, kind, &since, change);
	pprof_profile_free(before);
	keep(k, which, now);
}

static void look_at_heap(struct looking *k)
{
	struct pprof_profile *p = take(k, "heap"), *level;

	if (!p)
		return;
	if (host_flow_columns(p, "inuse", &level) == 0)
		hand_over(k, "heap", NULL, level);
	flow(k, FLOW_ALLOCS, "allocs", "alloc", p);
	pprof_profile_free(p);
	p = take(k, "threadcreate");
	if (p)
		hand_over(k, "threadcreate", NULL, p);
}

static void look_at_goroutines(struct looking *k)
{
	struct pprof_profile *p = take(k, "goroutine");

	if (p)
		hand_over(k, "goroutine", NULL, p);
}

static void look_at_waits(struct looking *k, enum flow which, const char *kind, bool off)
{
	struct pprof_profile *p = off ? NULL : take(k, kind);

	if (p)
		flow(k, which, kind, "", p);
	pprof_profile_free(p);
}

/* What can't be read is said once, and tried less often. */
static void note(struct looking *k)
{
	struct prowl_host *h = k->h;
	bool failed = k->code != PROWL_OK && k->code != PROWL_NOTHING;
	struct host_process *p;

	pthread_mutex_lock(&h->lock);
	p = host_table_find(&h->table, k->t->id.pid);
	h->status.looks++;
	h->status.looks_failed += failed;
	if (p && p->id.start == k->t->id.start) {
		p->looked++;
		p->look_cpu_ns += own_cpu() - k->from_cpu;
		free(p->looks);
		p->looks = failed ? strdup(k->err.text) : NULL;
	}
	pthread_mutex_unlock(&h->lock);
}

static uint64_t period_of(const struct prowl_host *h, const struct looked *t, int which)
{
	uint64_t period = t->period[which];

	if (which == PROWL_LOOK_GOROUTINE && h->step >= HOST_STEP_THIN_LOOKS)
		period *= THIN;
	if (which == PROWL_LOOK_HEAP && h->step >= HOST_STEP_HEAP_HOURLY && period < HOUR_NS)
		period = HOUR_NS;
	return period;
}

/* Returns the CPU time that it took. */
static uint64_t look(struct prowl_host *h, struct looked *t, int which)
{
	struct looking k = {.h = h, .t = t, .from_cpu = own_cpu()};
	uint64_t period = period_of(h, t, which), cost, share;

	h->look->looks++;
	switch (which) {
	case PROWL_LOOK_FIGURES:
		look_at_figures(&k);
		break;
	case PROWL_LOOK_HEAP:
		look_at_heap(&k);
		break;
	case PROWL_LOOK_GOROUTINE:
		look_at_goroutines(&k);
		break;
	case PROWL_LOOK_BLOCK:
		look_at_waits(&k, FLOW_BLOCK, "block", t->block_off);
		break;
	default:
		look_at_waits(&k, FLOW_MUTEX, "mutex", t->mutex_off);
		break;
	}
	note(&k);
	cost = own_cpu() - k.from_cpu;
	/* A target that costs more than its share is looked at less often. */
	share = (uint64_t)((double)cost * (double)h->look->n / h->o.budget.looking);
	if (k.code != PROWL_OK && k.code != PROWL_NOTHING)
		period *= BACK_OFF;
	t->due[which] = host_mono(h) + (period > share ? period : share);
	return cost;
}

/* --- the thread ------------------------------------------------------------------ */

/* The one that is due first; NULL: none. */
static struct looked *next_due(const struct host_look *l, int *which)
{
	struct looked *next = NULL;

	for (size_t i = 0; i < l->n; i++) {
		for (int k = 0; k < PROWL_LOOKS; k++) {
			struct looked *t = l->list[i];

			if (!t->period[k] || (next && t->due[k] >= next->due[*which]))
				continue;
			next = t;
			*which = k;
		}
	}
	return next;
}

/* With the lock held. True: it is time to stop. */
static bool wait_ns(struct prowl_host *h, uint64_t ns)
{
	uint64_t most = MOST_WAIT_S * UINT64_C(1000000000);
	struct timespec until = prowl_timespec(prowl_now() + (ns < most ? ns : most));

	if (!h->look->stop && ns)
		pthread_cond_timedwait(&h->look->wake, &h->lock, &until);
	return h->look->stop;
}

static void *look_on(void *host)
{
	struct prowl_host *h = host;
	struct host_look *l = h->look;
	uint64_t not_before = 0;

	pthread_mutex_lock(&h->lock);
	for (;;) {
		uint64_t now = host_mono(h), due, cost;
		struct looked *t;
		int which = 0;

		if (l->version != h->version) {
			l->version = h->version;
			compare(h);
		}
		t = next_due(l, &which);
		due = t ? t->due[which] : UINT64_MAX;
		if (due < not_before)
			due = not_before;
		if (wait_ns(h, due > now ? due - now : 0))
			break;
		if (due > now)
			continue;
		pthread_mutex_unlock(&h->lock);
		cost = look(h, t, which);
		l->cpu = own_cpu();
		not_before = host_mono(h) + (uint64_t)((double)cost / h->o.budget.looking);
		if (not_before > host_mono(h) + MOST_PAUSE_S * UINT64_C(1000000000))
			not_before = host_mono(h) + MOST_PAUSE_S * UINT64_C(1000000000);
		pthread_mutex_lock(&h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

int host_look_start(struct prowl_host *h)
{
	struct host_look *l = calloc(1, sizeof *l);
	pthread_condattr_t attr;
	int r;

	if (!l)
		return -ENOMEM;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->wake, &attr);
	pthread_condattr_destroy(&attr);
	h->look = l;
	r = pthread_create(&l->thread, NULL, look_on, h);
	if (r) {
		pthread_cond_destroy(&l->wake);
		free(l);
		h->look = NULL;
	}
	return -r;
}

void host_look_stop(struct prowl_host *h)
{
	struct host_look *l = h->look;

	if (!l)
		return;
	pthread_mutex_lock(&h->lock);
	l->stop = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&h->lock);
	pthread_join(l->thread, NULL);
	pthread_cond_destroy(&l->wake);
	for (size_t i = 0; i < l->n; i++)
		forget(l, l->list[i]);
	free(l->list);
	free(l);
	h->look = NULL;
}

uint64_t host_look_cpu(const struct prowl_host *h)
{
	return h->look ? h->look->cpu : 0;
}

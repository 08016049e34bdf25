/* SPDX-License-Identifier: Apache-2.0 */
#include "charge.h"

#include "session_parts.h"

/*
 * Chance explains that much: three standard deviations of as many independent samples (one in 740
 * differs by more), and late timers.
 */
#define DEVIATIONS 3
#define LATE       0.05
enum { TICKS_NS = 20000000 }; /* two counts of children in clock ticks, rounded down */

/* Is a more than b by no more than chance explains? */
static bool within(double a, double b, double square)
{
	double more = a - b * (1 + LATE);

	return more <= 0 || more * more <= DEVIATIONS * DEVIATIONS * square;
}

struct sums { /* of a group, in this window */
	uint64_t charged, user, sampled;
	double square;
};

bool prowl_charge_pooled(const struct prowl_proc *p)
{
	return !p->root && p->gone;
}

/* It is no target any more, and no child either. */
static bool has_left(const struct prowl_proc *p)
{
	return p->removed || (p->replaced && p->root);
}

/* Since the process was met. */
static uint64_t charge_of(const struct prowl_proc *p)
{
	uint64_t rest = p->exited && !p->complete ? p->sampled - p->sampled_at_clock : 0;

	return p->cpu_last - p->cpu_first + rest;
}

static uint64_t part_of(uint64_t whole, uint64_t part, uint64_t other)
{
	if (part + other == 0)
		return whole;
	return (uint64_t)((double)whole * (double)part / (double)(part + other));
}

static uint64_t since(uint64_t now, uint64_t at_window_start)
{
	return now > at_window_start ? now - at_window_start : 0;
}

static void add_proc(const struct prowl_session *s, const struct prowl_proc *p, struct sums *sums)
{
	uint64_t charged = since(charge_of(p), p->at_window_start.charge);
	uint64_t u = p->utime_last - p->utime_first - p->at_window_start.utime;
	uint64_t k = p->stime_last - p->stime_first - p->at_window_start.stime;
	uint64_t sampled = p->sampled - p->at_window_start.sampled, user = charged;

	/* By ticks; where none fell on user code, by its samples. */
	if (!s->result.kernel && (u > 0 || sampled == 0))
		user = part_of(charged, u, k);
	else if (!s->result.kernel && sampled < charged)
		user = sampled;
	sums->charged += charged;
	sums->user += user;
	sums->sampled += sampled;
	sums->square += p->square - p->at_window_start.square;
}

static struct sums pool_sums(const struct prowl_session *s)
{
	const struct prowl_pool *pool = &s->pool;
	struct sums sums = {0};
	double more;

	for (size_t i = 0; i < s->procs.n; i++) {
		if (prowl_charge_pooled(s->procs.procs[i]))
			add_proc(s, s->procs.procs[i], &sums);
	}
	add_proc(s, &pool->forgotten, &sums);
	more = (double)sums.charged + (double)(pool->more - pool->at_window_start.more);
	sums.charged = more > 0 ? (uint64_t)more : 0;
	if (s->result.kernel)
		sums.user = sums.charged;
	else if (pool->known)
		sums.user = part_of(sums.charged, pool->reaped.user, pool->reaped.system);
	else if (sums.user > sums.charged)
		sums.user = sums.charged;
	return sums;
}

static uint64_t kernel_of(const struct sums *sums)
{
	return since(sums->charged, sums->user);
}

/* --- how samples represent it ---------------------------------------------------- */

/* Samples that the kernel dropped: they are known to be of the targets, or may be anybody's. */
static double with_lost(const struct prowl_session *s, bool of_targets)
{
	uint64_t lost = s->result.lost - s->at_window_start.lost;
	uint64_t seen = of_targets ? s->result.samples - s->at_window_start.samples
				   : s->result.seen - s->at_window_start.seen;

	if (s->result.whole_cpus == of_targets || seen == 0)
		return 1;
	return 1 + (double)lost / (double)seen;
}

/* last: what has no sample in this window is in no later one. */
static struct prowl_share share_of(const struct prowl_session *s, const struct sums *sums,
				   bool last)
{
	struct prowl_share share = {.charged = sums->user, .scale = 1, .kernel = kernel_of(sums)};
	double targets = with_lost(s, true), anybodys = with_lost(s, false);
	double expected = (double)sums->sampled * targets;

	if (sums->user == 0)
		return share;
	if (expected == 0) {
		share.unsampled = last ? sums->user : 0;
	} else if (within((double)sums->user / anybodys, expected,
			  sums->square * targets * targets)) {
		share.scale = (double)sums->user / expected;
	} else {
		share.scale = anybodys;
		share.unsampled = since(sums->user, (uint64_t)(expected * anybodys));
	}
	return share;
}

struct prowl_share prowl_charge_share(const struct prowl_session *s, const struct prowl_proc *p)
{
	struct sums sums = {0};

	add_proc(s, p, &sums);
	return share_of(s, &sums, s->stopped || has_left(p));
}

struct prowl_share prowl_charge_pool(const struct prowl_session *s)
{
	struct sums sums = pool_sums(s);

	return share_of(s, &sums, s->stopped);
}

/* --- up to date ------------------------------------------------------------------ */

/*
 * Children that were waited for, by those that were not: what gone processes had in their own
 * counts is now in their parents'.
 */
static void count_reaped(struct prowl_session *s)
{
	struct prowl_pool *pool = &s->pool;

	pool->reaped = s->left.reaped;
	pool->known = s->procs.children && !s->left.unknown;
	for (size_t i = 0; i < s->procs.n; i++) {
		const struct prowl_proc *p = s->procs.procs[i];

		if (prowl_charge_pooled(p))
			continue;
		pool->known &= !p->had_children;
		pool->reaped.user += since(p->reaped_last.user, p->reaped_first.user);
		pool->reaped.system += since(p->reaped_last.system, p->reaped_first.system);
	}
}

/* How much more is charged to the pool than is known of its processes one by one. */
static void update_pool(struct prowl_session *s)
{
	struct prowl_pool *pool = &s->pool;
	double reaped, each = 0, square = 0;

	count_reaped(s);
	reaped = (double)(pool->reaped.user + pool->reaped.system);
	for (size_t i = 0; i < s->procs.n; i++) {
		const struct prowl_proc *p = s->procs.procs[i];

		if (!prowl_charge_pooled(p))
			continue;
		each += (double)charge_of(p);
		square += p->square;
	}
	each += (double)charge_of(&pool->forgotten);
	square += pool->forgotten.square;
	/* Some ended without a parent that counts them. */
	if (!within(each, reaped + TICKS_NS, square))
		pool->known = false;
	pool->more = pool->known ? (int64_t)(reaped - each) : 0;
}

void prowl_charge_update(struct prowl_session *s)
{
	struct sums pool;
	int64_t charged;

	update_pool(s);
	pool = pool_sums(s);
	charged = s->pool.more + (int64_t)(s->left.charge + charge_of(&s->pool.forgotten));
	s->result.kernel_unsampled_ns = s->left.kernel + s->pool.at_window_start.kernel +
					kernel_of(&pool);
	for (size_t i = 0; i < s->procs.n; i++) {
		const struct prowl_proc *p = s->procs.procs[i];
		struct sums sums = {0};

		charged += (int64_t)charge_of(p);
		s->result.kernel_unsampled_ns += p->at_window_start.kernel;
		if (prowl_charge_pooled(p))
			continue;
		add_proc(s, p, &sums);
		s->result.kernel_unsampled_ns += kernel_of(&sums);
	}
	s->result.cpu_ns = charged > 0 ? (uint64_t)charged : 0;
}

static void begin(struct prowl_proc *p, uint64_t kernel)
{
	p->at_window_start = (struct prowl_proc_counts){.samples = p->samples,
							.sampled = p->sampled,
							.square = p->square,
							.charge = charge_of(p),
							.kernel = p->at_window_start.kernel +
								  kernel,
							.utime = p->utime_last - p->utime_first,
							.stime = p->stime_last - p->stime_first};
}

void prowl_charge_begin_window(struct prowl_session *s)
{
	struct sums pool = pool_sums(s);

	for (size_t i = 0; i < s->procs.n; i++) {
		struct prowl_proc *p = s->procs.procs[i];
		struct sums sums = {0};

		if (prowl_charge_pooled(p)) {
			if (pool.sampled)
				begin(p, 0);
			continue;
		}
		add_proc(s, p, &sums);
		if (sums.sampled || has_left(p))
			begin(p, kernel_of(&sums));
	}
	if (pool.sampled) {
		begin(&s->pool.forgotten, 0);
		s->pool.at_window_start.more = s->pool.more;
		s->pool.at_window_start.kernel += kernel_of(&pool);
	}
}

/* --- processes that are forgotten ------------------------------------------------ */

/* The sum of the children that were, as if they were one: it is all that the pool asks for. */
static void add_to_pool(struct prowl_proc *sum, const struct prowl_proc *p)
{
	struct prowl_proc_counts *a = &sum->at_window_start;
	const struct prowl_proc_counts *b = &p->at_window_start;

	sum->exited = sum->complete = sum->gone = true;
	sum->cpu_last += charge_of(p);
	sum->utime_last += p->utime_last - p->utime_first;
	sum->stime_last += p->stime_last - p->stime_first;
	sum->samples += p->samples;
	sum->sampled += p->sampled;
	sum->square += p->square;
	a->samples += b->samples;
	a->sampled += b->sampled;
	a->square += b->square;
	a->charge += b->charge;
	a->utime += b->utime;
	a->stime += b->stime;
}

void prowl_charge_forget(struct prowl_session *s, const struct prowl_proc *p)
{
	struct prowl_left *left = &s->left;

	left->kernel += p->at_window_start.kernel;
	if (prowl_charge_pooled(p)) {
		add_to_pool(&s->pool.forgotten, p);
		return;
	}
	left->charge += charge_of(p);
	left->reaped.user += since(p->reaped_last.user, p->reaped_first.user);
	left->reaped.system += since(p->reaped_last.system, p->reaped_first.system);
	/* The parent of a child that was removed will count all of its time. */
	left->unknown |= p->had_children || !p->root;
}

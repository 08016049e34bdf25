/* SPDX-License-Identifier: Apache-2.0 */
/* From a sampler's events to counted stacks, and from one window to the next. */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "session_parts.h"

enum {
	DRAIN_MS = 100,
	CLOCK_MS = 90, /* between two readings of the targets' CPU clocks, at least */
	/*
	 * Above SESSION_WAKE_RATE: a wake-up with cold caches costs as much as walking a hundred
	 * samples. Not at the beginning, nor where processes come and go: their clocks and their
	 * files can be read only while they are there.
	 */
	FAST_DRAIN_MS = 250,
	FAST_CLOCK_MS = 490,
	SLOW_CLOCK = 10, /* drains, where the caller says how often that is */
	FORGET_S = 10,
	DRAIN_PAUSES = 32,  /* of the walker, in one drain */
	JUDGED = 50,        /* samples that show whether the copies are too short */
	CUT_SHARE = 200,    /* one stack in as many may be cut */
	CUT_LEAST = 4,      /* so many are no accident */
	CLOCKS_NS = 500000, /* to read the times of one process, at most */
	CLOCKS_TRIES = 50,
	FIRST_MS = 500,          /* in which the copies of the stack find their size */
	AHEAD_WORDS = 32 * 1024, /* of the hash's arena, that get their pages at once */
	MIN_AHEAD = 512,         /* samples, before which that is not worth it */
	UNSAMPLED_PERIODS = 10,
	PROMPT_MS = 1000, /* how long that is kept up after it was last of use */
};

#if !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/*
 * Reads the targets' CPU time and says when that was. On a machine where busy threads stand in line
 * we may be off the CPU between the two for long: then it is done again.
 */
uint64_t session_read_clocks(struct prowl_session *s, bool first)
{
	uint64_t before, after;
	int tries = 0;

	do {
		before = s->o.now();
		prowl_procs_clock(&s->procs, first);
		after = s->o.now();
	} while (after - before > CLOCKS_NS * (s->procs.n + 1) && ++tries < CLOCKS_TRIES);
	return before + (after - before) / 2;
}

/* --- collecting ------------------------------------------------------------------ */

static void add_pending(struct prowl_session *s)
{
	struct prowl_pending *w = &s->pending;

	prowl_stackhash_add_many(&s->hash, w->key, w->n);
	w->n = w->used = 0;
}

static void add(struct prowl_session *s, const struct prowl_stackkey *key, uint64_t base,
		uint64_t time, uint64_t weight)
{
	struct prowl_pending *w = &s->pending;
	uint64_t *words = w->words + w->used;
	size_t n = prowl_stackkey_pack(key, base, words);

	w->key[w->n].hash = prowl_stackhash_hash(words, n);
	if (s->timeline.moments)
		prowl_timeline_add(&s->timeline, w->key[w->n].hash, time);
	w->key[w->n].words = words;
	w->key[w->n].n = n;
	w->key[w->n].count = 1;
	w->key[w->n].weight = weight;
	w->used += n;
	w->n++;
	if (w->n == PROWL_PENDING || w->used + PROWL_KEY_WORDS > PROWL_PENDING_WORDS)
		add_pending(s);
}

static void count(struct prowl_session *s, struct prowl_proc *p, uint64_t time, uint64_t weight)
{
	s->result.samples++;
	s->result.sampled_ns += weight;
	p->samples++;
	p->sampled += weight;
	p->square += (double)weight * (double)weight;
	if (time <= p->clocked)
		p->sampled_at_clock += weight;
}

static void count_end(struct prowl_result *r, enum uw_end end)
{
	r->complete += end == UW_END_ROOT || end == UW_END_SWITCH;
	r->truncated += end == UW_END_TRUNCATED || end == UW_END_NO_MEM;
	r->unknown_root += end == UW_END_UNKNOWN;
	if (end == UW_END_NO_REGS)
		r->no_user++;
	else
		r->user_stacks++;
}

static void on_sample(struct prowl_session *s, const struct prowl_event *ev)
{
	struct prowl_proc *p = prowl_procs_find(&s->procs, ev->pid);
	unsigned int limit = s->sampler->facts.max_stack;
	struct uw_sample us = {.chain = ev->sample.user,
			       .nchain = ev->sample.nuser,
			       /* Frames of the kernel and of the user share the limit. */
			       .chain_full = ev->sample.nkernel + ev->sample.nuser + 1 >= limit,
			       .stack = ev->sample.stack,
			       .stack_len = ev->sample.stack_len};
	struct prowl_stackkey key;
	uint64_t weight;
	enum uw_end end;
	uint32_t labels = 0;
	size_t n;

	if (!p || ev->time < s->from || ev->time < p->since || ev->time > s->to)
		return;
	if (p->every > 1) {
		if (++p->skipped < p->every)
			return;
		p->skipped = 0;
	}
	weight = ev->sample.weight * (p->every > 1 ? p->every : 1);
	if (s->labels) /* first: they are of the moment */
		labels = prowl_labels_of(s->labels, &p->image->space, ev, s->o.now());
	if (s->result.samples == 0)
		s->result.first_sample_ns = ev->time - s->opened;
	n = ev->sample.nkernel < PROWL_MAX_KERNEL ? ev->sample.nkernel : PROWL_MAX_KERNEL;
	for (size_t i = 0; i < n; i++)
		key.pcs[i] = ev->sample.kernel[i] - (i > 0);
	if (ev->sample.has_regs)
		us.regs = &ev->sample.regs;
	prowl_moments_of(&s->moments, p, ev, &us);
	key.nkernel = (uint32_t)n;
	key.nuser = (uint32_t)uw_walk(s->walker, &p->image->space, &us, key.pcs + n, PROWL_MAX_USER,
				      &end);
	count_end(&s->result, end);
	key.image = p->image->id;
	key.end = (uint8_t)end;
	key.labels = labels;
	key.thread = s->o.threads ? prowl_threads_sampled(&s->threads, ev->pid, ev->tid) : 0;
	if (!p->image->base)
		p->image->base = p->image->space.go_lo;
	prowl_image_sampled(p->image);
	count(s, p, ev->time, weight);
	add(s, &key, p->image->base, ev->time, weight);
}

static bool want_pid(void *ctx, pid_t pid)
{
	struct prowl_session *s = ctx;

	if (prowl_procs_find(&s->procs, pid))
		return true;
	session_seen_other(s, pid);
	return false;
}

static void on_soon(void *ctx, uint64_t ip)
{
	struct prowl_session *s = ctx;

	uw_walker_expect(s->walker, ip);
}

static void on_exit_of(struct prowl_session *s, pid_t pid)
{
	struct prowl_proc *p = prowl_procs_find(&s->procs, pid);

	if (p && p->exited)
		prowl_moments_gone(&s->moments, p);
}

static void on_event(void *ctx, const struct prowl_event *ev)
{
	struct prowl_session *s = ctx;
	struct prowl_proc *forked;

	if (ev->time < s->copy.from || ev->time >= s->copy.to)
		return;
	if (ev->type != PROWL_EVENT_FORK)
		session_seen(s, ev);
	switch (ev->type) {
	case PROWL_EVENT_SAMPLE:
		on_sample(s, ev);
		break;
	case PROWL_EVENT_LOST:
		if (ev->time >= s->from)
			s->result.lost += prowl_moments_lost_samples(&s->moments, ev->lost);
		break;
	default:
		prowl_procs_event(&s->procs, ev, &forked);
		/* The number of a child is free only now, if another process had it. */
		if (ev->type == PROWL_EVENT_FORK)
			session_seen(s, ev);
		if (s->o.threads && prowl_procs_find(&s->procs, ev->pid))
			prowl_threads_event(&s->threads, ev);
		if (ev->type == PROWL_EVENT_EXIT)
			on_exit_of(s, ev->pid);
		break;
	}
}

static void populate(uintptr_t from, uintptr_t to)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	from &= ~(page - 1);
	to &= ~(page - 1);
	if (from < to)
		madvise((void *)from, to - from, MADV_POPULATE_WRITE);
}

/*
 * Makes the pages that the hash will need next, all at once: a fault for each is several times as
 * dear. Linux before 5.14 can't, and then they come one by one.
 */
static void make_pages(struct prowl_session *s)
{
	struct prowl_stackhash_ahead ahead = prowl_stackhash_ahead(&s->hash, AHEAD_WORDS);
	uintptr_t arena = (uintptr_t)ahead.arena.at, from, to;

	if (s->result.samples < MIN_AHEAD)
		return;
	if (ahead.table.len && (uintptr_t)ahead.table.at > s->populated_table) {
		populate((uintptr_t)ahead.table.at, (uintptr_t)ahead.table.at + ahead.table.len);
		s->populated_table = (uintptr_t)ahead.table.at;
	}
	if (s->populated_to > arena + ahead.arena.len / 2)
		return;
	from = arena > s->populated_to ? arena : s->populated_to;
	to = arena + ahead.arena.len;
	populate(from, to);
	s->populated_to = to;
}

void session_drain(struct prowl_session *s)
{
	static const struct prowl_takers takers = {want_pid, on_soon, on_event};
	uint64_t now = s->o.now();

	s->sampler->ops->drain(s->sampler, &takers, s);
	s->procs.seen = now;
	add_pending(s);
	make_pages(s);
}

/*
 * Where stacks are cut because the copies are too short for them, events with larger ones take
 * over, at a moment that both have seen. Of whole CPUs only: events of single threads begin anew
 * with each thread.
 */
static void grow_copies(struct prowl_session *s)
{
	uint64_t cut = uw_walker_stats(s->walker)->copy_short, now_cut = cut - s->copy.cut;
	uint64_t n = s->result.samples - s->copy.samples;
	uint32_t most = s->o.rate > SESSION_WAKE_RATE ? SESSION_STACK_FAST_MOST : SESSION_STACK_C;
	uint32_t bytes = s->copy.bytes < SESSION_STACK_GO ? SESSION_STACK_GO : most;
	struct prowl_sampler *larger;
	struct prowl_err err;

	if (s->o.stack_bytes || !s->result.whole_cpus || s->copy.bytes >= most || n < JUDGED)
		return;
	if (now_cut < CUT_LEAST && n < CUT_LEAST * CUT_SHARE)
		return; /* too few to tell: goes on counting */
	s->copy.samples = s->result.samples;
	s->copy.cut = cut;
	if (now_cut < CUT_LEAST || now_cut * CUT_SHARE <= n)
		return;
	s->copy.bytes = bytes;
	if (session_open_sampler(s, bytes, &larger, &err) != PROWL_OK) {
		s->sampler->ops->take_output(s->sampler);
		return;
	}
	if (!larger->facts.whole_cpus) {
		prowl_sampler_close(larger);
		s->sampler->ops->take_output(s->sampler);
		return;
	}
	s->copy.to = s->o.now();
	session_drain(s);
	s->copy.damaged += s->sampler->counts.damaged;
	s->copy.throttled += s->sampler->counts.throttled;
	s->copy.seen += s->sampler->counts.samples;
	s->copy.stray += s->sampler->counts.stray_moments;
	prowl_sampler_close(s->sampler);
	s->sampler = larger;
	s->copy.from = s->copy.to;
	s->copy.to = UINT64_MAX;
}

static void take_counts(struct prowl_session *s)
{
	const struct prowl_sampler_counts *c = &s->sampler->counts;

	if (s->labels) {
		const struct prowl_labels_counts *lc = prowl_labels_counts(s->labels);

		s->result.labelled = lc->labelled;
		s->result.unlabelled = lc->none;
		s->result.labels_too_old = lc->too_old;
		s->result.labels_unknown = lc->unknown;
		s->result.labels_cut = lc->cut;
		s->result.labels_exact = lc->exact;
	}
	s->result.copied = s->moments.samples;
	s->result.copies_lost = s->moments.bpf ? prowl_bpf_lost(s->moments.bpf) : 0;
	s->result.copies_stray = s->copy.stray + c->stray_moments;
	s->result.damaged = s->copy.damaged + c->damaged;
	s->result.throttled = s->copy.throttled + c->throttled;
	s->result.seen = s->copy.seen + c->samples;
	s->result.all_exited = prowl_procs_all_exited(&s->procs);
	prowl_charge_update(s);
}

/* Ends sampling, and the last window with it. */
static void stop(struct prowl_session *s)
{
	if (s->stopped)
		return;
	s->stopped = true;
	s->sampler->ops->stop(s->sampler);
	s->to = session_read_clocks(s, false);
	s->result.duration_ns = s->to - s->from;
	session_drain(s);
	s->walks = *uw_walker_stats(s->walker);
	uw_walker_forget(s->walker); /* its caches make room for the profile */
	take_counts(s);
}

/* Few targets are read often, since one may exit; the times of many, over and over, cost more. */
static uint64_t clock_turn_ms(const struct prowl_session *s, bool fast)
{
	if (fast)
		return FAST_CLOCK_MS;
	return s->o.drain_ms ? (uint64_t)s->o.drain_ms * SLOW_CLOCK : CLOCK_MS;
}

/* Until `end`, or wake_fd is readable, or every target exited. */
static void collect(struct prowl_session *s, uint64_t end, int wake_fd,
		    void (*progress)(void *ctx, const struct prowl_result *r), void *ctx)
{
	struct pollfd wake = {.fd = wake_fd, .events = POLLIN};

	while (!s->stopped) {
		uint64_t now = s->o.now();
		bool fast = s->o.rate > SESSION_WAKE_RATE && !s->o.children && s->clocked &&
			    now - s->from > FIRST_MS * 1000000ull;
		uint64_t turn = fast ? FAST_DRAIN_MS : s->o.drain_ms ? s->o.drain_ms : DRAIN_MS;
		uint64_t clock_turn = clock_turn_ms(s, fast) * 1000000ull;
		uint64_t left = end > now ? (end - now) / 1000000u + ((end - now) % 1000000u != 0)
					  : 0;

		if (now >= end || (!s->o.stay && prowl_procs_all_exited(&s->procs)) ||
		    poll(&wake, 1, 0) > 0)
			break;
		if (s->o.tick_ms && s->o.tick_ms < turn)
			turn = s->o.tick_ms;
		s->sampler->ops->wait(s->sampler, left < turn ? (int)left : (int)turn, wake_fd,
				      session_is_prompt(s) || now < s->prompt_until);
		if (now - s->clocked > clock_turn) {
			prowl_procs_clock(&s->procs, false);
			s->clocked = now;
		}
		uw_walker_patience(s->walker, DRAIN_PAUSES);
		session_drain(s);
		grow_copies(s);
		prowl_residency_keep(&s->residency, &s->procs.files,
				     uw_walker_stats(s->walker)->lookups);
		if (uw_walker_stats(s->walker)->live_attempts != s->live_attempts) {
			s->live_attempts = uw_walker_stats(s->walker)->live_attempts;
			s->prompt_until = now + PROMPT_MS * 1000000ull;
		}
		if (progress) {
			s->result.duration_ns = s->o.now() - s->from;
			progress(ctx, &s->result);
		}
	}
}

enum prowl_code prowl_session_run(struct prowl_session *s, uint64_t duration_ns,
				  void (*progress)(void *ctx, const struct prowl_result *r),
				  void *ctx, struct prowl_err *err)
{
	uint64_t woken;

	collect(s, duration_ns ? s->from + duration_ns : UINT64_MAX, s->wake_fd, progress, ctx);
	/* What ended the window is not what shall end the naming of its stacks. */
	while (read(s->wake_fd, &woken, sizeof woken) < 0 && errno == EINTR)
		;
	stop(s);
	/* Without any sample, too: how much was not sampled is worth to know. */
	if (s->result.samples > 0 || s->result.cpu_ns > UNSAMPLED_PERIODS * s->result.period_ns)
		return PROWL_OK;
	if (s->result.all_exited)
		return prowl_fail(err, PROWL_NOTHING,
				  "nothing captured: the target exited before its first sample");
	return prowl_fail(err, PROWL_NOTHING,
			  "nothing captured: the target used %.1f ms of CPU in %.1f s",
			  (double)s->result.cpu_ns / 1e6, (double)s->result.duration_ns / 1e9);
}

/* --- one window after the other -------------------------------------------------- */

void prowl_session_collect(struct prowl_session *s, uint64_t duration_ns, int wake_fd)
{
	uint64_t now = s->o.now();

	if (s->stopped)
		return;
	collect(s, duration_ns < UINT64_MAX - now ? now + duration_ns : UINT64_MAX, wake_fd, NULL,
		NULL);
	s->walks = *uw_walker_stats(s->walker);
	s->result.duration_ns = s->o.now() - s->from;
	take_counts(s);
}

/*
 * Samples that were drained after the clock was read belong to the window in which they are
 * counted: each window has the time that was charged in it, and its samples share that. An exited
 * process' clock is of earlier, and what it did since is known by samples only.
 */
static void settle(struct prowl_session *s)
{
	if (s->stopped)
		return;
	s->result.duration_ns = session_read_clocks(s, false) - s->from;
	session_drain(s);
	for (size_t i = 0; i < s->procs.n; i++) {
		struct prowl_proc *p = s->procs.procs[i];

		if (!p->exited)
			p->sampled_at_clock = p->sampled;
	}
	s->walks = *uw_walker_stats(s->walker);
	take_counts(s);
}

/*
 * Debug sections: to unpack them takes tens of milliseconds, to keep them megabytes; for the
 * addresses that are new in some of the next windows they stay for a while. And what windows have
 * freed: the allocator keeps it in pieces, more of them with each window that was larger than all
 * before.
 */
static void give_memory_back(struct prowl_session *s)
{
	uint64_t now = s->o.now();

	if (now - s->forgotten < FORGET_S * 1000000000ull)
		return;
	uw_binaries_forget(&s->procs.files);
#if defined(__GLIBC__)
	malloc_trim(0);
#endif
	s->forgotten = now;
}

enum prowl_code prowl_session_cut_each(struct prowl_session *s, enum prowl_group group,
				       prowl_window_fn cb, void *ctx, struct prowl_err *err)
{
	int r;

	settle(s);
	r = prowl_session_profiles(s, group, cb, ctx);
	prowl_session_begin_window(s);
	give_memory_back(s);
	if (r < 0)
		return prowl_fail(err, PROWL_FAILED, "building the profile: %s", strerror(-r));
	return PROWL_OK;
}

static int keep_profile(void *ctx, pid_t pid, struct pprof_profile *p)
{
	*(struct pprof_profile **)ctx = p;
	return 0;
}

enum prowl_code prowl_session_cut(struct prowl_session *s, struct pprof_profile **ret,
				  struct prowl_err *err)
{
	return prowl_session_cut_each(s, PROWL_TOGETHER, keep_profile, ret, err);
}

enum prowl_code prowl_session_build(struct prowl_session *s, struct pprof_profile **ret,
				    struct prowl_err *err)
{
	enum prowl_code code;

	stop(s);
	code = prowl_session_cut(s, ret, err);
	/* All of it is in the profile, which is encoded next. */
	madvise(s->hash_mem, s->hash_len, MADV_DONTNEED);
	uw_binaries_trim(&s->procs.files);
	if (code == PROWL_OK)
		prowl_session_note(s, *ret);
	return code;
}

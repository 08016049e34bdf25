/* SPDX-License-Identifier: Apache-2.0 */
#include "session_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "access.h"
#include "arch.h"
#include "program.h"
#include "whatis.h"

enum {
	DRAIN_MS = 100,
	CLOCK_MS = 90, /* between two readings of the targets' CPU clocks, at least */
	/*
	 * Above MAX_WAKE_RATE: to wake, in caches full of the target's, costs what a hundred
	 * samples do. Not at the beginning, nor where processes come and go: their clocks and
	 * their files can be read only while they are there.
	 */
	FAST_DRAIN_MS = 250,
	FAST_CLOCK_MS = 490,
	FORGET_S = 10,
	DRAIN_PAUSES = 32, /* of the walker, in one drain */
	/*
	 * Copies of the stack: 512 bytes repair nearly all leaves of Go, 4 KiB those with a large
	 * frame and a BP of their own, 16 KiB hold most stacks of C.
	 */
	STACK_FASTEST = 512,
	STACK_GO = 4096,
	STACK_C = 16384,
	STACK_FAST_MOST = 8192, /* above MAX_WAKE_RATE */
	JUDGED = 50,            /* samples that tell whether the copies are too short */
	CUT_SHARE = 200,        /* one stack in as many may be cut */
	MAX_WAKE_RATE = 1000,   /* Hz up to which each sample may wake us */
	CLOCKS_NS = 500000,     /* to read the times of one process, at most */
	CLOCKS_TRIES = 50,
	FIRST_PROMPT_MS = 300,
	FIRST_MS = 500,          /* in which the copies of the stack find their size */
	AHEAD_WORDS = 32 * 1024, /* of the hash's arena, that get their pages at once */
	MIN_AHEAD = 512,         /* samples, before which that is not worth it */
	UNSAMPLED_PERIODS = 10,
	PROMPT_MS = 1000, /* how long that is kept up after it was last of use */
};

#if !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/* Half a GiB of address space; the least has room for some 20,000 stacks. */
static const struct prowl_stackhash_geometry largest = {.log2_slots = 18, .words = 1u << 25};
enum { HASH_LEAST_WORDS = 1 << 20 };

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/*
 * Reads the targets' CPU time and says when that was. On a machine where busy threads stand in line
 * we may be off the CPU between the two for long: then it is done again.
 */
static uint64_t read_clocks(struct prowl_session *s, bool first)
{
	uint64_t before, after;
	int tries = 0;

	do {
		before = clock_ns(CLOCK_MONOTONIC);
		prowl_procs_clock(&s->procs, first);
		after = clock_ns(CLOCK_MONOTONIC);
	} while (after - before > CLOCKS_NS * (s->procs.n + 1) && ++tries < CLOCKS_TRIES);
	return before + (after - before) / 2;
}

/* --- opening --------------------------------------------------------------------- */

/* Whether code that is not Go can be on a stack: the target has a C library. */
static bool has_c(const struct prowl_procs *t)
{
	for (size_t i = 0; i < t->nimages; i++) {
		const struct uw_space *s;

		if (!t->images[i])
			continue;
		s = &t->images[i]->space;
		for (size_t j = 0; j < s->n; j++) {
			if (s->maps[j].bin && s->maps[j].bin != s->exe && !s->maps[j].vdso)
				return true;
		}
	}
	return false;
}

static uint32_t stack_bytes(const struct prowl_session *s)
{
	bool c = s->o.children || has_c(&s->procs);

	if (s->o.stack_bytes)
		return (s->o.stack_bytes + 7) & ~7u;
	if (s->o.rate <= 250)
		return c ? STACK_C : STACK_GO;
	return s->o.rate <= 1000 ? STACK_GO : STACK_FASTEST;
}

static enum prowl_code check_target(struct prowl_proc *p, struct prowl_err *err)
{
	int pid = (int)p->pid, e = p->image->load_error;

	if (e == -EACCES || e == -EPERM) {
		prowl_fail(err, PROWL_PERMISSION,
			   "not allowed to read the mappings of process %d (/proc/%d/maps: %s; "
			   "uid %d): no frame could be named",
			   pid, pid, strerror(-e), (int)geteuid());
		prowl_hint_reading(err, p->pid);
		return PROWL_PERMISSION;
	}
	return prowl_short_of(&p->image->space, p->pid, err) ? PROWL_FAILED : PROWL_OK;
}

static enum prowl_code find_target(struct prowl_session *s, pid_t pid, struct prowl_proc **ret,
				   struct prowl_err *err)
{
	enum prowl_code code = prowl_whatis(pid, NULL, err);
	int r;

	if (code != PROWL_OK)
		return code;
	r = prowl_procs_add(&s->procs, pid, true, ret);
	if (r == -ESRCH)
		return prowl_fail(err, PROWL_NOTHING, "there is no process %d", (int)pid);
	if (r < 0)
		return prowl_fail(err, PROWL_FAILED, "process %d: %s", (int)pid, strerror(-r));
	return check_target(*ret, err);
}

static enum prowl_code find_targets(struct prowl_session *s, struct prowl_err *err)
{
	enum prowl_code code = PROWL_OK;
	struct prowl_proc *p;

	for (size_t i = 0; i < s->o.npids && code == PROWL_OK; i++)
		code = find_target(s, s->o.pids[i], &p, err);
	return code;
}

/* Mappings made between the first reading and the first record are seen by a second reading. */
static void reload_maps(struct prowl_session *s)
{
	for (size_t i = 0; i < s->procs.n; i++) {
		struct prowl_image *im = s->procs.procs[i]->image;

		im->load_error = uw_space_load(&im->space);
	}
}

/* Where address space is limited, a quarter of it at most: binaries and rings need some, too. */
static bool fits(size_t len)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_AS, &limit) < 0 || len <= limit.rlim_cur / 4;
}

/* Address space, not memory: pages are taken as stacks come. */
static void *map_hash(struct prowl_stackhash_geometry *g, size_t *len)
{
	for (;; g->words /= 2) {
		void *p = MAP_FAILED;

		*len = prowl_stackhash_bytes(g);
		if (fits(*len) || g->words <= HASH_LEAST_WORDS)
			p = mmap(NULL, *len, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p != MAP_FAILED || g->words <= HASH_LEAST_WORDS)
			return p == MAP_FAILED ? NULL : p;
	}
}

static enum prowl_code make_hash(struct prowl_session *s, struct prowl_err *err)
{
	struct prowl_stackhash_geometry geometry = largest;

	s->hash_mem = map_hash(&geometry, &s->hash_len);
	if (!s->hash_mem)
		return prowl_fail(err, PROWL_FAILED,
				  "out of address space: %zu MiB more are needed (limit on virtual "
				  "memory, ulimit -v?)",
				  s->hash_len >> 20);
	madvise(s->hash_mem, s->hash_len, MADV_NOHUGEPAGE);
	if (prowl_stackhash_init(s->hash_mem, s->hash_len, &geometry, &s->hash) < 0)
		return prowl_fail(err, PROWL_FAILED, "stack hash: bad geometry");
	return PROWL_OK;
}

static enum prowl_code open_perf(struct prowl_session *s, uint32_t copy, struct prowl_perf **ret,
				 struct prowl_err *err)
{
	struct prowl_perf_options po = {
		.pids = s->o.pids,
		.npids = s->o.pids ? s->o.npids : 0, /* whole CPUs need none */
		.period_ns = 1000000000u / s->o.rate,
		.stack_bytes = copy,
		.per_thread = s->o.per_thread,
		.wake_each = s->o.labels || (s->o.rate <= MAX_WAKE_RATE && has_c(&s->procs)),
		.user_only = s->o.user_only,
		.bpf = s->moments.bpf,
	};

	return prowl_perf_open(&po, ret, err);
}

static enum prowl_code open_all(struct prowl_session *s, struct prowl_err *err)
{
	enum prowl_code code = find_targets(s, err);

	if (code == PROWL_OK)
		code = make_hash(s, err);
	if (code != PROWL_OK)
		return code;
	prowl_moments_open(&s->moments, s->o.no_bpf, s->o.labels);
	for (size_t i = 0; i < s->procs.n; i++)
		prowl_moments_follow(&s->moments, s->procs.procs[i]);
	s->copy.bytes = stack_bytes(s);
	s->copy.to = UINT64_MAX;
	code = open_perf(s, s->copy.bytes, &s->perf, err);
	if (code != PROWL_OK)
		return code;
	s->from = read_clocks(s, true);
	s->forgotten = s->from;
	s->prompt_until = s->from + FIRST_PROMPT_MS * 1000000ull;
	s->wall_start = (int64_t)(clock_ns(CLOCK_REALTIME) - (clock_ns(CLOCK_MONOTONIC) - s->from));
	reload_maps(s);
	for (size_t i = 0; s->o.threads && i < s->procs.n; i++)
		prowl_threads_add(&s->threads, s->procs.procs[i]->pid);
	s->result.period_ns = 1000000000u / s->o.rate;
	s->result.whole_cpus = prowl_perf_facts(s->perf)->whole_cpus;
	s->result.kernel = prowl_perf_facts(s->perf)->kernel;
	s->result.paranoid = prowl_perf_facts(s->perf)->paranoid;
	s->result.no_bpf = prowl_perf_facts(s->perf)->bpf_error ? "the kernel refuses it"
								: s->moments.why_not;
	return PROWL_OK;
}

enum prowl_code prowl_session_open(const struct prowl_options *o, struct prowl_session **ret,
				   struct prowl_err *err)
{
	struct prowl_session *s;
	enum prowl_code code;

	if (!uw_arch_perf_regs())
		return prowl_fail(err, PROWL_UNSUPPORTED, "CPU profiles are for amd64 only so far");
	s = calloc(1, sizeof *s);
	if (!s)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	s->opened = clock_ns(CLOCK_MONOTONIC);
	s->o = *o;
	prowl_trim_init(&s->trim);
	if (s->o.rate == 0)
		s->o.rate = PROWL_DEFAULT_RATE;
	s->o.threads |= o->timeline;
	s->procs.children = o->children;
	s->to = UINT64_MAX;
	s->wake_fd = o->wake_fd > 0 ? fcntl(o->wake_fd, F_DUPFD_CLOEXEC, 0)
				    : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd < 0)
		code = prowl_fail(err, PROWL_FAILED, "%s (limit on open files, ulimit -n?)",
				  strerror(errno));
	else if (uw_walker_new(&s->walker) < 0 || (o->labels && prowl_labels_new(&s->labels) < 0) ||
		 (o->timeline && prowl_timeline_init(&s->timeline) < 0))
		code = prowl_fail(err, PROWL_FAILED,
				  "out of memory (limit on virtual memory, ulimit -v?)");
	else
		code = open_all(s, err);
	s->o.pids = NULL;
	if (code != PROWL_OK) {
		prowl_session_free(s);
		return code;
	}
	*ret = s;
	return PROWL_OK;
}

void prowl_session_free(struct prowl_session *s)
{
	if (!s)
		return;
	prowl_perf_close(s->perf);
	uw_walker_free(s->walker);
	prowl_labels_free(s->labels);
	prowl_moments_close(&s->moments);
	prowl_timeline_fini(&s->timeline);
	prowl_threads_fini(&s->threads);
	prowl_trim_fini(&s->trim);
	prowl_procs_fini(&s->procs);
	prowl_knames_fini(&s->names.kernel);
	prowl_symcache_fini(&s->names.native);
	if (s->hash_mem)
		munmap(s->hash_mem, s->hash_len);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	free(s);
}

int prowl_session_wake_fd(const struct prowl_session *s)
{
	return s->wake_fd;
}

const struct prowl_result *prowl_session_result(const struct prowl_session *s)
{
	return &s->result;
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

static void count(struct prowl_session *s, struct prowl_proc *p, const struct prowl_event *ev)
{
	uint64_t weight = ev->sample.weight;

	s->result.samples++;
	s->result.sampled_ns += weight;
	p->samples++;
	p->sampled += weight;
	p->square += (double)weight * (double)weight;
	if (ev->time <= p->clocked)
		p->sampled_at_clock += weight;
}

static void on_sample(struct prowl_session *s, const struct prowl_event *ev)
{
	struct prowl_proc *p = prowl_procs_find(&s->procs, ev->pid);
	unsigned int limit = prowl_perf_facts(s->perf)->max_stack;
	struct uw_sample us = {.chain = ev->sample.user,
			       .nchain = ev->sample.nuser,
			       /* Frames of the kernel and of the user share the limit. */
			       .chain_full = ev->sample.nkernel + ev->sample.nuser + 1 >= limit,
			       .stack = ev->sample.stack,
			       .stack_len = ev->sample.stack_len};
	struct prowl_stackkey key;
	enum uw_end end;
	uint32_t labels = 0;
	size_t n;

	if (!p || ev->time < s->from || ev->time < p->since || ev->time > s->to)
		return;
	if (s->labels) /* first: they are of the moment */
		labels = prowl_labels_of(s->labels, &p->image->space, ev,
					 clock_ns(CLOCK_MONOTONIC));
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
	if (end == UW_END_NO_REGS)
		s->result.no_user++;
	else
		s->result.user_stacks++;
	s->result.ends[end]++;
	key.image = p->image->id;
	key.end = (uint8_t)end;
	key.labels = labels;
	key.thread = s->o.threads ? prowl_threads_sampled(&s->threads, ev->pid, ev->tid) : 0;
	if (!p->image->base)
		p->image->base = p->image->space.go_lo;
	prowl_image_sampled(p->image);
	count(s, p, ev);
	add(s, &key, p->image->base, ev->time, ev->sample.weight);
}

static bool want_pid(void *ctx, pid_t pid)
{
	struct prowl_session *s = ctx;

	return prowl_procs_find(&s->procs, pid) != NULL;
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

static void drain(struct prowl_session *s)
{
	static const struct prowl_perf_takers takers = {want_pid, on_soon, on_event};

	prowl_perf_drain(s->perf, &takers, s);
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
	const uint64_t *ends = s->result.ends;
	uint64_t cut = ends[UW_END_TRUNCATED] + ends[UW_END_NO_MEM], now_cut = cut - s->copy.cut;
	uint64_t n = s->result.samples - s->copy.samples;
	uint32_t most = s->o.rate > MAX_WAKE_RATE ? STACK_FAST_MOST : STACK_C;
	uint32_t bytes = s->copy.bytes < STACK_GO ? STACK_GO : most;
	struct prowl_perf *larger;
	struct prowl_err err;

	if (s->o.stack_bytes || !s->result.whole_cpus || s->copy.bytes >= most || n < JUDGED)
		return;
	s->copy.samples = s->result.samples;
	s->copy.cut = cut;
	if (now_cut * CUT_SHARE <= n)
		return;
	s->copy.bytes = bytes;
	if (open_perf(s, bytes, &larger, &err) != PROWL_OK) {
		prowl_perf_take_output(s->perf);
		return;
	}
	if (!prowl_perf_facts(larger)->whole_cpus) {
		prowl_perf_close(larger);
		prowl_perf_take_output(s->perf);
		return;
	}
	s->copy.to = clock_ns(CLOCK_MONOTONIC);
	drain(s);
	s->copy.damaged += prowl_perf_counts(s->perf)->damaged;
	s->copy.throttled += prowl_perf_counts(s->perf)->throttled;
	s->copy.seen += prowl_perf_counts(s->perf)->samples;
	s->copy.stray += prowl_perf_counts(s->perf)->stray_moments;
	prowl_perf_close(s->perf);
	s->perf = larger;
	s->copy.from = s->copy.to;
	s->copy.to = UINT64_MAX;
}

static void take_counts(struct prowl_session *s)
{
	const struct prowl_perf_counts *c = prowl_perf_counts(s->perf);

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
	prowl_perf_stop(s->perf);
	s->to = read_clocks(s, false);
	s->result.duration_ns = s->to - s->from;
	drain(s);
	s->result.walks = *uw_walker_stats(s->walker);
	uw_walker_forget(s->walker); /* its caches make room for the profile */
	take_counts(s);
}

/* Until `end`, or wake_fd is readable, or every target exited. */
static void collect(struct prowl_session *s, uint64_t end, int wake_fd,
		    void (*progress)(void *ctx, const struct prowl_result *r), void *ctx)
{
	struct pollfd wake = {.fd = wake_fd, .events = POLLIN};

	while (!s->stopped) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC);
		bool fast = s->o.rate > MAX_WAKE_RATE && !s->o.children && s->clocked &&
			    now - s->from > FIRST_MS * 1000000ull;
		uint64_t turn = fast ? FAST_DRAIN_MS : DRAIN_MS;
		uint64_t clock_turn = (fast ? FAST_CLOCK_MS : CLOCK_MS) * 1000000ull;
		uint64_t left = end > now ? (end - now) / 1000000u + ((end - now) % 1000000u != 0)
					  : 0;

		if (now >= end || (!s->o.stay && prowl_procs_all_exited(&s->procs)) ||
		    poll(&wake, 1, 0) > 0)
			break;
		if (s->o.tick_ms && s->o.tick_ms < turn)
			turn = s->o.tick_ms;
		prowl_perf_wait(s->perf, left < turn ? (int)left : (int)turn, wake_fd,
				s->labels || now < s->prompt_until);
		if (now - s->clocked > clock_turn) {
			prowl_procs_clock(&s->procs, false);
			s->clocked = now;
		}
		uw_walker_patience(s->walker, DRAIN_PAUSES);
		drain(s);
		grow_copies(s);
		prowl_trim(&s->trim, &s->procs.files, uw_walker_stats(s->walker)->lookups);
		if (uw_walker_stats(s->walker)->live_attempts != s->live_attempts) {
			s->live_attempts = uw_walker_stats(s->walker)->live_attempts;
			s->prompt_until = now + PROMPT_MS * 1000000ull;
		}
		if (progress) {
			s->result.duration_ns = clock_ns(CLOCK_MONOTONIC) - s->from;
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

/* --- targets that come and go ---------------------------------------------------- */

enum prowl_code prowl_session_add(struct prowl_session *s, pid_t pid, struct prowl_err *err)
{
	struct prowl_proc *p = prowl_procs_find(&s->procs, pid);
	enum prowl_code code;
	int r;

	if (p) {
		p->root = true;
		return PROWL_OK;
	}
	/* What waits in the rings is older than the mappings that are read next. */
	drain(s);
	code = find_target(s, pid, &p, err);
	if (code == PROWL_OK) {
		r = prowl_perf_add(s->perf, pid);
		if (r < 0)
			code = prowl_fail(err, PROWL_FAILED, "process %d can't be sampled: %s",
					  (int)pid, strerror(-r));
	}
	if (code != PROWL_OK) {
		if (p)
			prowl_procs_remove(&s->procs, p);
		return code;
	}
	p->image->load_error = uw_space_load(&p->image->space); /* until it was sampled */
	if (s->o.threads)
		prowl_threads_add(&s->threads, pid);
	prowl_moments_follow(&s->moments, p);
	return PROWL_OK;
}

void prowl_session_remove(struct prowl_session *s, pid_t pid)
{
	struct prowl_proc *p = prowl_procs_find(&s->procs, pid);

	if (!p)
		return;
	drain(s);
	prowl_perf_remove(s->perf, pid);
	prowl_moments_gone(&s->moments, p);
	prowl_threads_remove(&s->threads, pid);
	prowl_procs_remove(&s->procs, p);
}

/* --- one window after the other -------------------------------------------------- */

void prowl_session_collect(struct prowl_session *s, uint64_t duration_ns, int wake_fd)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (s->stopped)
		return;
	collect(s, duration_ns < UINT64_MAX - now ? now + duration_ns : UINT64_MAX, wake_fd, NULL,
		NULL);
	s->result.walks = *uw_walker_stats(s->walker);
	s->result.duration_ns = clock_ns(CLOCK_MONOTONIC) - s->from;
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
	s->result.duration_ns = read_clocks(s, false) - s->from;
	drain(s);
	for (size_t i = 0; i < s->procs.n; i++) {
		struct prowl_proc *p = s->procs.procs[i];

		if (!p->exited)
			p->sampled_at_clock = p->sampled;
	}
	s->result.walks = *uw_walker_stats(s->walker);
	take_counts(s);
}

/*
 * To unpack them takes tens of milliseconds, to keep them megabytes: for the addresses that are new
 * in some of the next windows they stay for a while.
 */
static void forget_debug_sections(struct prowl_session *s)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (now - s->forgotten < FORGET_S * 1000000000ull)
		return;
	uw_binaries_forget(&s->procs.files);
	s->forgotten = now;
}

enum prowl_code prowl_session_cut_each(struct prowl_session *s, enum prowl_group group,
				       prowl_window_fn cb, void *ctx, struct prowl_err *err)
{
	int r;

	settle(s);
	r = prowl_session_profiles(s, group, cb, ctx);
	forget_debug_sections(s);
	prowl_session_begin_window(s);
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
	/* The profile, which is encoded next, has all that the hash had. */
	madvise(s->hash_mem, s->hash_len, MADV_DONTNEED);
	uw_binaries_trim(&s->procs.files);
	if (code == PROWL_OK)
		prowl_session_note(s, *ret);
	return code;
}

/* --- facts about targets --------------------------------------------------------- */

size_t prowl_session_targets(const struct prowl_session *s)
{
	return s->procs.n;
}

void prowl_session_target(struct prowl_session *s, size_t i, struct prowl_target *ret)
{
	struct prowl_proc *p = s->procs.procs[i];
	struct uw_space *space = &p->image->space;
	struct uw_go *go = uw_space_go(space);
	const struct uw_elf *elf = space->exe ? uw_binary_elf(space->exe) : NULL;
	struct uw_section sec;

	*ret = (struct prowl_target){
		.pid = p->pid, .load_error = p->image->load_error, .exited = p->exited};
	memcpy(ret->comm, p->comm, sizeof ret->comm);
	if (elf) {
		ret->stripped = !uw_elf_section(elf, ".symtab", &sec);
		ret->pie = elf->type == 3; /* ET_DYN */
		ret->cgo = go && prowl_elf_has_c(elf);
	}
	if (go) {
		strncpy(ret->go_version, uw_go_version(go), sizeof ret->go_version - 1);
		ret->go_guessed = uw_go_guessed(go);
	} else if (space->exe) {
		ret->go_error = space->exe->go_error == -ENOENT ? 0 : space->exe->go_error;
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "rtprofile.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "gobuckets.h"
#include "goticks.h"
#include "comments.h"
#include "pprof.h"
#include "runtime.h"
#include "rtstack.h"

enum {
	CREATE_STACK = 32, /* words of m.createstack */
	MAX_THREADS = 100000,
	MAX_VALUES = 4,
	TEND_NS = 100000000, /* between two checks of the guardian */
};

#define UNSCALED ", and not scaled: the rate of then is not known"

struct snapshot {
	struct uw_gobuckets b; /* of threadcreate: stacks only */
	uint64_t rate;
	int64_t when;             /* ns since 1970 */
	struct prowl_idmap index; /* bucket → index + 1 */
};

struct prowl_rtprofile {
	enum prowl_rtprofile_kind kind;
	struct prowl_runtime *rt;
	struct snapshot first, last;
	bool delta;
	double ticks;                 /* a second */
	struct prowl_rates *rates;    /* NULL: none were set */
	struct prowl_rtprofile *next; /* of the next runtime in the process */
	struct prowl_rtprofile_result result;
};

static const enum uw_goglobal mem_globals[] = {UW_GLOBAL_MBUCKETS, UW_GLOBAL_MPROF_CYCLE,
					       UW_GLOBAL_MEM_PROFILE_RATE};
static const enum uw_goglobal block_globals[] = {UW_GLOBAL_BBUCKETS, UW_GLOBAL_BLOCK_PROFILE_RATE};
static const enum uw_goglobal mutex_globals[] = {UW_GLOBAL_XBUCKETS, UW_GLOBAL_MUTEX_PROFILE_RATE};
static const enum uw_goglobal thread_globals[] = {UW_GLOBAL_ALLM};

static const char *const mem_types[][2] = {{"alloc_objects", "count"},
					   {"alloc_space", "bytes"},
					   {"inuse_objects", "count"},
					   {"inuse_space", "bytes"}};
static const char *const contention_types[][2] = {{"contentions", "count"},
						  {"delay", "nanoseconds"}};
static const char *const thread_types[][2] = {{"threadcreate", "count"}};

/* What differs between the kinds. */
static const struct kind {
	const char *name;
	enum uw_bucket_kind bucket; /* 0: threads */
	bool rated;                 /* sampled by a rate, which is in the variable: */
	enum uw_goglobal rate;
	const enum uw_goglobal *globals; /* variables that lead to the records, for the comments */
	size_t nglobals;
	const char *const (*types)[2];
	size_t nvalues;
	const char *period_type[2];
	const char *preferred; /* sample type; NULL: the last */
} kinds[] = {
	[PROWL_HEAP] = {.name = "heap",
			.bucket = UW_BUCKET_MEM,
			.rated = true,
			.rate = UW_GLOBAL_MEM_PROFILE_RATE,
			.globals = mem_globals,
			.nglobals = 3,
			.types = mem_types,
			.nvalues = 4,
			.period_type = {"space", "bytes"}},
	[PROWL_ALLOCS] = {.name = "allocs",
			  .bucket = UW_BUCKET_MEM,
			  .rated = true,
			  .rate = UW_GLOBAL_MEM_PROFILE_RATE,
			  .globals = mem_globals,
			  .nglobals = 3,
			  .types = mem_types,
			  .nvalues = 4,
			  .period_type = {"space", "bytes"},
			  .preferred = "alloc_space"},
	[PROWL_BLOCK] = {.name = "block",
			 .bucket = UW_BUCKET_BLOCK,
			 .rated = true,
			 .rate = UW_GLOBAL_BLOCK_PROFILE_RATE,
			 .globals = block_globals,
			 .nglobals = 2,
			 .types = contention_types,
			 .nvalues = 2,
			 .period_type = {"contentions", "count"}},
	[PROWL_MUTEX] = {.name = "mutex",
			 .bucket = UW_BUCKET_MUTEX,
			 .rated = true,
			 .rate = UW_GLOBAL_MUTEX_PROFILE_RATE,
			 .globals = mutex_globals,
			 .nglobals = 2,
			 .types = contention_types,
			 .nvalues = 2,
			 .period_type = {"contentions", "count"}},
	[PROWL_THREADCREATE] = {.name = "threadcreate",
				.globals = thread_globals,
				.nglobals = 1,
				.types = thread_types,
				.nvalues = 1,
				.period_type = {"threadcreate", "count"}},
};

const char *prowl_rtprofile_name(enum prowl_rtprofile_kind kind)
{
	return kinds[kind].name;
}

const struct prowl_rtprofile_result *prowl_rtprofile_result(const struct prowl_rtprofile *r)
{
	return &r->result;
}

/* --- reading --- */

static enum prowl_code cant_read(const struct prowl_rtprofile *r, int error, struct prowl_err *err)
{
	char what[32];

	snprintf(what, sizeof what, "%s profile", kinds[r->kind].name);
	return prowl_fail_target(err, &r->rt->target, what, error);
}

/* Creation stacks of all threads, as buckets. */
static int read_threads(struct prowl_rtprofile *r, struct uw_gobuckets *to)
{
	const struct uw_golayout *l = r->rt->layout;
	const struct uw_mem *mem = &r->rt->space.live;
	uint64_t at = uw_goglobal(&r->rt->globals, UW_GLOBAL_ALLM), m = 0;
	int e = at ? uw_read_u64(mem, at, &m) : -ENOENT;

	for (; e == 0 && m; to->n++) {
		struct uw_bucket b = {.at = m, .count = 1, .first = to->npcs};

		if (m % 8 || to->n == MAX_THREADS)
			return -EBADMSG;
		if (to->n == to->cap) {
			size_t cap = to->cap ? to->cap * 2 : 64;
			void *buckets = realloc(to->buckets, cap * sizeof *to->buckets), *pcs;

			if (!buckets)
				return -ENOMEM;
			to->buckets = buckets;
			pcs = realloc(to->pcs, cap * CREATE_STACK * sizeof *to->pcs);
			if (!pcs)
				return -ENOMEM;
			to->pcs = pcs;
			to->cap = cap;
		}
		e = uw_read(mem, m + l->m.createstack, to->pcs + to->npcs, CREATE_STACK * 8);
		if (e == 0)
			e = uw_read_u64(mem, m + l->m.alllink, &m);
		while (e == 0 && b.nstack < CREATE_STACK && to->pcs[b.first + b.nstack])
			b.nstack++;
		to->npcs += b.nstack;
		to->buckets[to->n] = b;
	}
	return e;
}

static int snapshot_take(struct prowl_rtprofile *r, struct snapshot *s)
{
	const struct kind *k = &kinds[r->kind];
	uint64_t at = k->rated ? uw_goglobal(&r->rt->globals, k->rate) : 0;
	int e = 0;

	s->when = r->rt->target.core ? 0 : (int64_t)prowl_clock_ns(CLOCK_REALTIME);
	if (k->rated)
		e = at ? uw_read_u64(&r->rt->space.live, at, &s->rate) : -ENOENT;
	if (e == 0 && k->bucket)
		e = uw_gobuckets_read(r->rt->layout, &r->rt->globals, &r->rt->space.live, k->bucket,
				      &s->b);
	else if (e == 0)
		e = read_threads(r, &s->b);
	/* Data or an error of another program image is no answer. */
	if (e != -ESRCH && e != -ENOMEM && !prowl_runtime_same(r->rt))
		e = -ESTALE;
	r->result.retries += s->b.retries;
	r->result.reread += s->b.reread;
	r->result.torn += s->b.torn;
	r->result.unsettled |= s->b.unsettled;
	r->result.no_gc = s->b.no_gc;
	r->result.rate = s->rate;
	r->result.records = s->b.n;
	return e;
}

/* --- why there may be nothing --- */

static enum prowl_code no_heap(const struct prowl_rtprofile *r, struct prowl_err *err)
{
	if (!prowl_runtime_heap_linked_out(r->rt))
		prowl_fail(err, PROWL_NOTHING,
			   "process %d (%s) records no allocations: its MemProfileRate is 0",
			   (int)r->rt->target.pid, r->rt->target.comm);
	else
		prowl_fail(err, PROWL_NOTHING,
			   "process %d (%s) records no allocations: the linker switched heap "
			   "profiling off, since the program never asks for its heap profile",
			   (int)r->rt->target.pid, r->rt->target.comm);
	prowl_hint(err,
		   "import runtime/pprof or net/http/pprof in the program%s; or let prowl set the "
		   "rate in the process for a window: --allow-write=heap-rate --seconds 30",
		   prowl_runtime_heap_linked_out(r->rt)
			   ? ""
			   : ", and leave runtime.MemProfileRate as it is");
	return PROWL_NOTHING;
}

static enum prowl_code no_record(const struct prowl_rtprofile *r, struct prowl_err *err)
{
	const char *how = r->kind == PROWL_BLOCK ? "runtime.SetBlockProfileRate(1000000)"
						 : "runtime.SetMutexProfileFraction(100)";

	if (kinds[r->kind].bucket == UW_BUCKET_MEM)
		return no_heap(r, err);
	prowl_fail(err, PROWL_NOTHING,
		   "process %d (%s) records no %s events: its %s profile rate is 0, as it is "
		   "until the program sets it",
		   (int)r->rt->target.pid, r->rt->target.comm, kinds[r->kind].name,
		   kinds[r->kind].name);
	prowl_hint(err,
		   "call %s in the program; or let prowl set the rate in the process for a window: "
		   "--allow-write=%s-rate --seconds 30",
		   how, kinds[r->kind].name);
	return PROWL_NOTHING;
}

/* Recording is on, but there are no records. */
static enum prowl_code no_sample(const struct prowl_rtprofile *r, struct prowl_err *err)
{
	const char *name = kinds[r->kind].name;

	if (!r->delta)
		return prowl_fail(err, PROWL_NOTHING,
				  "process %d (%s) has recorded nothing yet for its %s profile",
				  (int)r->rt->target.pid, r->rt->target.comm, name);
	prowl_fail(err, PROWL_NOTHING,
		   "nothing changed in the %s profile of process %d (%s) in %.3g s", name,
		   (int)r->rt->target.pid, r->rt->target.comm,
		   (double)(r->last.when - r->first.when) / 1e9);
	if (kinds[r->kind].bucket == UW_BUCKET_MEM)
		prowl_hint(err, "heap profiles change with garbage collections only: a window that "
				"has none is empty");
	return PROWL_NOTHING;
}

static bool records_nothing(const struct prowl_rtprofile *r)
{
	const struct kind *k = &kinds[r->kind];

	if (!k->bucket || r->last.rate != 0)
		return false;
	if (r->last.b.n == 0)
		return true;
	/* A few allocations were recorded before the runtime switched profiling off: no profile. */
	return k->bucket == UW_BUCKET_MEM && prowl_runtime_heap_linked_out(r->rt);
}

/* --- values --- */

static int64_t to_i64(double v)
{
	return v > -9.2e18 && v < 9.2e18 ? (int64_t)v : 0;
}

static void scale_heap(int64_t count, uint64_t size, uint64_t rate, int64_t *values)
{
	double scale, bytes = (double)((uint64_t)count * size);

	values[0] = values[1] = 0;
	if (count == 0 || size == 0)
		return;
	if ((int64_t)rate <= 1) {
		values[0] = count;
		values[1] = (int64_t)((uint64_t)count * size);
		return;
	}
	scale = 1 / (1 - exp(-(double)size / (double)rate));
	values[0] = to_i64((double)count * scale);
	values[1] = to_i64(bytes * scale);
}

/*
 * The rate by which values are scaled on reading: sampled objects, and contentions up to go1.19. Go
 * uses the current rate, so that contentions become 0 once the program has switched recording off;
 * the rate at which they were sampled is not stored. Best guess: the rate at the start of the
 * window, else 1. It has to be the same at both ends of a window, so that older records cancel out.
 */
static uint64_t rate_of(const struct prowl_rtprofile *r)
{
	if (r->last.rate)
		return r->last.rate;
	return r->delta && r->first.rate ? r->first.rate : 1;
}

static void values_of(const struct prowl_rtprofile *r, const struct uw_bucket *b, int64_t *values)
{
	double ghz = r->ticks / 1e9, ns;

	if (kinds[r->kind].bucket == UW_BUCKET_MEM) {
		scale_heap(b->allocs, b->size, rate_of(r), values);
		scale_heap(b->allocs - b->frees, b->size, rate_of(r), values + 2);
		return;
	}
	values[0] = b->count;
	if (r->kind == PROWL_THREADCREATE)
		return;
	ns = (double)b->ticks / ghz;
	if (r->kind == PROWL_BLOCK && b->count == 0)
		values[0] = 1; /* as in Go: readers divide by it, so never 0 */
	if (r->kind == PROWL_MUTEX && r->rt->layout->mutex_scaled_on_read) {
		values[0] = (int64_t)((uint64_t)b->count * rate_of(r));
		ns *= (double)rate_of(r);
	}
	values[1] = to_i64(ns);
}

static int index_first(struct prowl_rtprofile *r)
{
	for (size_t i = 0; i < r->first.b.n; i++) {
		int e = prowl_idmap_put(&r->first.index, r->first.b.buckets[i].at, (uint32_t)i);

		if (e < 0)
			return e;
	}
	return 0;
}

/* Subtracts the values at the start of the window; false when nothing changed. */
static bool subtract_first(const struct prowl_rtprofile *r, const struct uw_bucket *b,
			   int64_t *values)
{
	int64_t before[MAX_VALUES] = {0};
	bool any = false;
	uint32_t at;

	if (prowl_idmap_get(&r->first.index, b->at, &at))
		values_of(r, &r->first.b.buckets[at], before);
	for (size_t i = 0; i < kinds[r->kind].nvalues; i++) {
		values[i] = (int64_t)((uint64_t)values[i] - (uint64_t)before[i]);
		any |= values[i] != 0;
	}
	return any;
}

/* --- the profile --- */

static int size_label(struct pprof_profile *p, const struct prowl_rtprofile *r,
		      const struct uw_bucket *b, struct pprof_label *ret)
{
	if (kinds[r->kind].bucket != UW_BUCKET_MEM ||
	    (r->rt->layout->mem_has_bytes && b->allocs == 0))
		return 0;
	*ret = (struct pprof_label){.num = (int64_t)b->size};
	return pprof_string(p, "bytes", &ret->key) < 0 ? -ENOMEM : 1;
}

/* The object size, and the runtime if there are several: at most two labels. */
static int labels_of(struct pprof_profile *p, const struct prowl_rtprofile *r,
		     const struct uw_bucket *b, struct pprof_label *ret)
{
	int n = size_label(p, r, b, ret), k;

	if (n < 0)
		return n;
	k = prowl_label_runtime(p, r->rt, ret + n);
	return k < 0 ? k : n + k;
}

static int add_bucket(struct prowl_rtprofile *r, struct prowl_rtstack *stored,
		      const struct uw_bucket *b)
{
	bool heap = kinds[r->kind].bucket == UW_BUCKET_MEM;
	uint32_t locs[UW_BUCKET_MAX_STACK];
	int64_t values[MAX_VALUES];
	struct pprof_label labels[2];
	int n, nl;

	values_of(r, b, values);
	if (r->delta && !subtract_first(r, b, values))
		return 0;
	n = prowl_rtstack_stack(stored, r->last.b.pcs + b->first, b->nstack, heap, locs);
	nl = n < 0 ? n : labels_of(stored->p, r, b, labels);
	if (nl < 0)
		return nl;
	/* Go merges equal stacks in the profile of threads and in differences. */
	if (r->delta || r->kind == PROWL_THREADCREATE)
		return pprof_sample_add(stored->p, locs, (size_t)n, values, labels, (size_t)nl);
	return pprof_sample_append(stored->p, locs, (size_t)n, values, labels, (size_t)nl);
}

/* Notes rates that are not the program's own. */
static void add_rates(const struct prowl_rtprofile *r, struct pprof_profile *p)
{
	for (int i = 0; r->rates && i < PROWL_RATES; i++) {
		const struct prowl_rate_change *c = &prowl_rates_report(r->rates)->change[i];

		if (c->state == PROWL_RATE_UNTOUCHED)
			continue;
		prowl_comment(p, "%s was %llu; prowl set it to %llu for this window",
			      prowl_rate_variable((enum prowl_rate)i),
			      (unsigned long long)c->before, (unsigned long long)c->set);
		if (i == PROWL_RATE_HEAP && c->before != 0)
			prowl_comment(p,
				      "warning: what was allocated before and freed in the window "
				      "was sampled at the old rate and is scaled by the new one");
	}
}

static void add_comments(struct prowl_rtprofile *r, struct pprof_profile *p,
			 enum uw_goticks_source ticks)
{
	static const char *const ticks_from[] = {"nanoseconds", "the runtime's own figure",
						 "the runtime's clocks at its start",
						 "this machine's clock, measured"};
	const struct kind *k = &kinds[r->kind];

	prowl_comment(
		p, "prowl " PROWL_VERSION ": %s profile as the Go runtime records it, read from %s",
		k->name, r->rt->target.core ? "a core file" : "outside");
	prowl_comments_runtime(p, r->rt);
	for (size_t i = 0; i < k->nglobals; i++)
		prowl_comment(p, "%s found by %s", uw_goglobal_name(k->globals[i]),
			      uw_goglobal_source_name(r->rt->globals.var[k->globals[i]].source));
	add_rates(r, p);
	prowl_comment(p, "records: %zu; read again: %u times; being written: %u; not whole: %u",
		      r->result.records, r->result.retries, r->result.reread, r->result.torn);
	prowl_comment(p, "stack words outside of all mappings: %llu; without a name: %llu",
		      (unsigned long long)r->result.outside, (unsigned long long)r->result.unknown);
	if (r->result.unsettled)
		prowl_comment(
			p,
			"warning: garbage collections ended faster than the records could be read; "
			"they are of up to three of them");
	if (k->bucket == UW_BUCKET_MEM)
		prowl_comment(p, "garbage collections: %s",
			      r->last.b.no_gc
				      ? "none yet; objects count as soon as they are allocated"
				      : "values are as of the last one");
	if (k->bucket == UW_BUCKET_BLOCK || k->bucket == UW_BUCKET_MUTEX)
		prowl_comment(p, "ticks a second: %.0f, from %s", r->ticks, ticks_from[ticks]);
	if (k->bucket && r->last.rate == 0)
		prowl_comment(p, "warning: the rate is 0 now; the records are from before%s",
			      r->result.unscaled ? UNSCALED : "");
	if (k->bucket && r->delta && r->first.rate != r->last.rate)
		prowl_comment(
			p,
			"warning: the rate was %llu at the start of the window, and %llu at its end",
			(unsigned long long)r->first.rate, (unsigned long long)r->last.rate);
}

static int profile_begin(struct prowl_rtprofile *r, struct pprof_profile *p)
{
	const struct kind *k = &kinds[r->kind];
	int64_t period = k->bucket == UW_BUCKET_MEM ? (int64_t)r->last.rate : 1;
	int e = pprof_period(p, k->period_type[0], k->period_type[1], period);

	for (size_t i = 0; e == 0 && i < k->nvalues; i++)
		e = pprof_sample_type(p, k->types[i][0], k->types[i][1]);
	if (e == 0 && k->preferred)
		e = pprof_string(p, k->preferred, &p->default_sample_type);
	p->time_nanos = r->delta ? r->first.when : r->last.when;
	p->duration_nanos = r->delta ? r->last.when - r->first.when : 0;
	return e;
}

/* Values are scaled on reading, and the rate is not known: they are a lower bound. */
static bool values_unscaled(const struct prowl_rtprofile *r)
{
	bool on_read = kinds[r->kind].bucket == UW_BUCKET_MEM ||
		       (r->kind == PROWL_MUTEX && r->rt->layout->mutex_scaled_on_read);

	return on_read && r->last.rate == 0 && !(r->delta && r->first.rate);
}

static int add_runtime_samples(struct prowl_rtprofile *r, struct pprof_profile *p)
{
	enum uw_goticks_source source = UW_TICKS_NANOSECONDS;
	enum uw_bucket_kind bucket = kinds[r->kind].bucket;
	const struct uw_elf *elf = uw_binary_elf(r->rt->space.go_bin);
	struct prowl_rtstack stored;
	size_t before = p->nsamples;
	int e = 0;

	prowl_rtstack_init(&stored, p, &r->rt->space, r->rt->go, true);
	if (e == 0 && (bucket == UW_BUCKET_BLOCK || bucket == UW_BUCKET_MUTEX) && r->last.b.n)
		e = uw_goticks_per_second(r->rt->layout, &r->rt->globals, &r->rt->space.live,
					  elf ? elf->machine : 0, !r->rt->target.core, &r->ticks,
					  &source);
	r->result.ticks_measured = source == UW_TICKS_MEASURED;
	if (e == 0)
		e = prowl_rtstack_first_mapping(&stored);
	for (size_t i = 0; e == 0 && i < r->last.b.n; i++)
		e = add_bucket(r, &stored, &r->last.b.buckets[i]);
	r->result.outside = stored.outside;
	r->result.unknown = stored.unknown;
	r->result.unscaled = values_unscaled(r);
	r->result.samples = p->nsamples - before;
	if (e == 0)
		add_comments(r, p, source);
	prowl_rtstack_fini(&stored);
	return e;
}

/* --- what is called --- */

static enum prowl_code open_runtime(enum prowl_rtprofile_kind kind, const struct prowl_who *who,
				    size_t which, struct prowl_rtprofile **ret,
				    struct prowl_err *err)
{
	struct prowl_rtprofile *r = calloc(1, sizeof *r);
	enum prowl_code code;

	if (!r)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	r->kind = kind;
	r->ticks = 1e9;
	code = prowl_runtime_open(who, &r->rt, err);
	if (code == PROWL_OK && which)
		code = prowl_runtime_choose(r->rt, which, err);
	if (code != PROWL_OK) {
		prowl_rtprofile_free(r);
		return code;
	}
	r->result.target = r->rt->target;
	*ret = r;
	return PROWL_OK;
}

enum prowl_code prowl_rtprofile_open(enum prowl_rtprofile_kind kind, const struct prowl_who *who,
				     struct prowl_rtprofile **ret, struct prowl_err *err)
{
	struct prowl_rtprofile *first = NULL;
	enum prowl_code code = open_runtime(kind, who, 0, &first, err);

	if (code != PROWL_OK || !first)
		return code;
	for (size_t i = first->rt->target.nruntimes; code == PROWL_OK && i-- > 1;) {
		struct prowl_rtprofile *r = NULL;

		code = open_runtime(kind, who, i, &r, err);
		if (code == PROWL_OK && r) {
			r->next = first->next;
			first->next = r;
		}
	}
	if (code != PROWL_OK)
		prowl_rtprofile_free(first);
	else
		*ret = first;
	return code;
}

static void snapshot_fini(struct snapshot *s)
{
	uw_gobuckets_fini(&s->b);
	prowl_idmap_fini(&s->index);
}

void prowl_rtprofile_free(struct prowl_rtprofile *r)
{
	while (r) {
		struct prowl_rtprofile *next = r->next;

		prowl_rates_free(r->rates);
		snapshot_fini(&r->first);
		snapshot_fini(&r->last);
		prowl_runtime_free(r->rt);
		free(r);
		r = next;
	}
}

enum prowl_code prowl_rtprofile_set_rates(struct prowl_rtprofile *r,
					  const struct prowl_rates_wish *wish, uint64_t max_ns,
					  struct prowl_err *err)
{
	return prowl_rates_set(r->rt, wish, max_ns, &r->rates, err);
}

enum prowl_code prowl_rtprofile_wait(struct prowl_rtprofile *r, uint64_t ns, int wake_fd,
				     void (*on_guardian)(void *ctx), void *ctx,
				     struct prowl_err *err)
{
	struct pollfd wake = {.fd = wake_fd > 0 ? wake_fd : -1, .events = POLLIN};
	uint64_t now = prowl_now(), end = now + ns;
	enum prowl_code code = PROWL_OK;

	while (code == PROWL_OK && now < end) {
		uint64_t left = end - now;
		bool anew = false;

		if (r->rates && left > TEND_NS)
			left = TEND_NS;
		if (ppoll(&wake, 1,
			  &(struct timespec){(time_t)(left / 1000000000),
					     (long)(left % 1000000000)},
			  NULL) > 0)
			break;
		if (r->rates)
			code = prowl_rates_tend(r->rates, &anew, err);
		if (code == PROWL_OK && anew)
			on_guardian(ctx);
		now = prowl_now();
	}
	return code;
}

const struct prowl_rates_report *prowl_rtprofile_rates(const struct prowl_rtprofile *r)
{
	return r->rates ? prowl_rates_report(r->rates) : NULL;
}

static int start_runtime(struct prowl_rtprofile *r)
{
	int e = snapshot_take(r, &r->first);

	if (e == 0)
		e = index_first(r);
	r->delta = true;
	return e;
}

enum prowl_code prowl_rtprofile_start(struct prowl_rtprofile *r, struct prowl_err *err)
{
	for (; r; r = r->next) {
		int e = start_runtime(r);

		if (e < 0)
			return cant_read(r, e, err);
	}
	return PROWL_OK;
}

/* Adds the counts of another runtime to those of the first one. */
static void add_result(struct prowl_rtprofile_result *to, const struct prowl_rtprofile_result *r)
{
	to->records += r->records;
	to->samples += r->samples;
	to->retries += r->retries;
	to->reread += r->reread;
	to->torn += r->torn;
	to->outside += r->outside;
	to->unknown += r->unknown;
	to->unsettled |= r->unsettled;
	to->unscaled |= r->unscaled;
	to->ticks_measured |= r->ticks_measured;
}

/* Adds the samples of one runtime, or a comment on why it has none. */
static int add_runtime(struct prowl_rtprofile *r, struct pprof_profile *p)
{
	struct prowl_err why = {0};

	if (!records_nothing(r))
		return add_runtime_samples(r, p);
	no_record(r, &why);
	return prowl_comment(p, "runtime %s: %s", prowl_runtime_file(r->rt), why.text);
}

static enum prowl_code add_runtimes(struct prowl_rtprofile *r, struct pprof_profile *p,
				    struct prowl_err *err)
{
	bool none = true;
	int e = profile_begin(r, p);

	for (struct prowl_rtprofile *o = r; o && e == 0; o = o->next) {
		none &= records_nothing(o);
		e = add_runtime(o, p);
		if (o != r)
			add_result(&r->result, &o->result);
	}
	if (e < 0)
		return cant_read(r, e, err);
	if (none)
		return no_record(r, err);
	return p->nsamples ? PROWL_OK : no_sample(r, err);
}

enum prowl_code prowl_rtprofile_build(struct prowl_rtprofile *r, struct pprof_profile **ret,
				      struct prowl_err *err)
{
	struct prowl_rtprofile *at = r;
	struct pprof_profile *p;
	enum prowl_code code;
	int e = 0;

	while ((e = snapshot_take(at, &at->last)) == 0 && at->next)
		at = at->next;
	if (r->rates)
		prowl_rates_restore(r->rates);
	if (e < 0)
		return cant_read(at, e, err);
	e = pprof_profile_new(&p);
	if (e < 0)
		return cant_read(r, e, err);
	code = add_runtimes(r, p, err);
	if (code != PROWL_OK) {
		pprof_profile_free(p);
		return code;
	}
	*ret = p;
	return PROWL_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "gobuckets.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "memcache.h"

enum {
	/* runtime.bucket, of all versions; the stack and then the record follow. */
	AT_ALLNEXT = 8,
	AT_TYP = 16,
	AT_SIZE = 32,
	AT_NSTK = 40,
	HEADER = 48,

	FUTURES = 3, /* memRecord: active, then these */
	MAX_RECORD = (1 + FUTURES) * 4 * 8,

	QUICK_TRIES = 8, /* the list is read anew at once, then after a pause each */
	MAX_TRIES = 200,
	PAUSE_NS = 2000000,
	MAX_REREADS = 16,
};

#define MAX_OBJECT (1ull << 47)

struct reader {
	const struct uw_golayout *l;
	const struct uw_mem *live; /* memory as it is now */
	struct uw_memcache *cache;
	struct uw_mem mem; /* the cache's */
	uint64_t cycle_at;
	enum uw_bucket_kind kind;
	struct uw_gobuckets *to;
	/* of the walk under way */
	uint32_t cycle;
	bool active_seen;   /* an active record that is not all zero: collected at least once */
	struct counts *all; /* per bucket: with all futures, in case that nothing is active */
	size_t cap_all;
};

struct counts {
	uint64_t allocs, frees, alloc_bytes, free_bytes;
};

static uint64_t u64_at(const uint8_t *p, size_t at)
{
	uint64_t v;

	memcpy(&v, p + at, sizeof v);
	return v;
}

static bool plausible(uint64_t p)
{
	return p >= 4096 && p < 1ull << 48 && p % 8 == 0;
}

/* --- the record of a bucket ------------------------------------------------------ */

static size_t counts_bytes(const struct reader *rd)
{
	return rd->l->mem_has_bytes ? 32 : 16;
}

static size_t record_bytes(const struct reader *rd)
{
	return rd->kind == UW_BUCKET_MEM ? (1 + FUTURES) * counts_bytes(rd) : 16;
}

/* The which-th cycle of a memRecord: 0 is active, 1.. are futures. */
static struct counts counts_of(const struct reader *rd, const uint8_t *record, size_t which)
{
	const uint8_t *p = record + which * counts_bytes(rd);
	struct counts c = {.allocs = u64_at(p, 0), .frees = u64_at(p, 8)};

	if (rd->l->mem_has_bytes) {
		c.alloc_bytes = u64_at(p, 16);
		c.free_bytes = u64_at(p, 24);
	}
	return c;
}

static void add(struct counts *to, struct counts c)
{
	to->allocs += c.allocs;
	to->frees += c.frees;
	to->alloc_bytes += c.alloc_bytes;
	to->free_bytes += c.free_bytes;
}

static bool none(struct counts c)
{
	return c.allocs == 0 && c.frees == 0;
}

static bool torn(const struct reader *rd, struct counts c, uint64_t size)
{
	return rd->l->mem_has_bytes &&
	       (c.alloc_bytes != c.allocs * size || c.free_bytes != c.frees * size);
}

/*
 * The record from memory as it is now, until its numbers agree with each other and two reads with
 * themselves: it was seen while the runtime wrote it.
 */
static int read_settled(struct reader *rd, uint64_t at, uint64_t size, uint8_t *record)
{
	uint8_t again[MAX_RECORD];
	size_t len = record_bytes(rd);

	rd->to->reread++;
	for (int i = 0; i < MAX_REREADS; i++) {
		struct counts all = {0};
		int r = uw_read(rd->live, at, record, len);

		if (r == 0)
			r = uw_read(rd->live, at, again, len);
		if (r < 0)
			return r;
		for (size_t k = 0; k <= FUTURES; k++)
			add(&all, counts_of(rd, record, k));
		if (memcmp(record, again, len) == 0 && !torn(rd, all, size))
			return 0;
	}
	rd->to->torn++;
	return 0;
}

/*
 * active + what is due to be flushed to it: the same before and after the flush of a cycle, which
 * needs not be over.
 */
static int take_mem(struct reader *rd, uint64_t at, uint8_t *record, struct uw_bucket *b,
		    struct counts *all)
{
	size_t due = 1 + rd->cycle % FUTURES; /* what the next flush moves to active */
	struct counts c;

	*all = (struct counts){0};
	for (size_t k = 0; k <= FUTURES; k++)
		add(all, counts_of(rd, record, k));
	if (torn(rd, *all, b->size) || !none(counts_of(rd, record, due))) {
		int r = read_settled(rd, at, b->size, record);

		if (r < 0)
			return r;
		*all = (struct counts){0};
		for (size_t k = 0; k <= FUTURES; k++)
			add(all, counts_of(rd, record, k));
	}
	c = counts_of(rd, record, 0);
	add(&c, counts_of(rd, record, due));
	rd->active_seen |= !none(c);
	b->allocs = (int64_t)c.allocs;
	b->frees = (int64_t)c.frees;
	return 0;
}

/* A count that is not a sane number counts as 0: Go would convert it to something arbitrary. */
static int64_t count_of(const struct reader *rd, const uint8_t *record)
{
	double d;

	if (!rd->l->block_count_float)
		return (int64_t)u64_at(record, 0);
	memcpy(&d, record, sizeof d);
	return d >= 0 && d < 9.2e18 ? (int64_t)d : 0;
}

/* --- the list -------------------------------------------------------------------- */

static void *grown(void *p, size_t *cap, size_t want, size_t each)
{
	size_t bigger = *cap ? *cap * 2 : 256;

	while (bigger < want)
		bigger *= 2;
	p = realloc(p, bigger * each);
	if (p)
		*cap = bigger;
	return p;
}

static int reserve(struct reader *rd, size_t nstack)
{
	struct uw_gobuckets *to = rd->to;
	void *p;

	if (to->n == to->cap) {
		p = grown(to->buckets, &to->cap, to->n + 1, sizeof *to->buckets);
		if (!p)
			return -ENOMEM;
		to->buckets = p;
	}
	if (to->n >= rd->cap_all) {
		p = grown(rd->all, &rd->cap_all, to->n + 1, sizeof *rd->all);
		if (!p)
			return -ENOMEM;
		rd->all = p;
	}
	if (to->npcs + nstack > UW_BUCKETS_MAX_WORDS)
		return -EBADMSG;
	if (to->npcs + nstack > to->cap_pcs) {
		p = grown(to->pcs, &to->cap_pcs, to->npcs + nstack, sizeof *to->pcs);
		if (!p)
			return -ENOMEM;
		to->pcs = p;
	}
	return 0;
}

static int take_bucket(struct reader *rd, uint64_t at, uint64_t *next)
{
	uint8_t header[HEADER], record[MAX_RECORD];
	struct uw_gobuckets *to = rd->to;
	struct uw_bucket b = {.at = at};
	uint64_t nstack, end;
	int r = uw_read(&rd->mem, at, header, sizeof header);

	if (r < 0)
		return r;
	nstack = u64_at(header, AT_NSTK);
	b.size = u64_at(header, AT_SIZE);
	if (u64_at(header, AT_TYP) != (uint64_t)rd->kind || nstack > UW_BUCKET_MAX_STACK ||
	    b.size >= MAX_OBJECT || (rd->kind != UW_BUCKET_MEM && b.size != 0))
		return -EBADMSG;
	r = reserve(rd, nstack);
	if (r < 0)
		return r;
	b.first = to->npcs;
	b.nstack = (uint32_t)nstack;
	end = at + HEADER + nstack * 8;
	if (nstack)
		r = uw_read(&rd->mem, at + HEADER, to->pcs + to->npcs, nstack * 8);
	if (r == 0)
		r = uw_read(&rd->mem, end, record, record_bytes(rd));
	if (r == 0 && rd->kind == UW_BUCKET_MEM)
		r = take_mem(rd, end, record, &b, &rd->all[to->n]);
	if (r < 0)
		return r;
	if (rd->kind != UW_BUCKET_MEM) {
		b.count = count_of(rd, record);
		b.ticks = (int64_t)u64_at(record, 8);
	}
	to->buckets[to->n++] = b;
	to->npcs += nstack;
	*next = u64_at(header, AT_ALLNEXT);
	return 0;
}

/* One walk over the list. A ring is found by a mark that waits at ever longer distances. */
static int walk(struct reader *rd, uint64_t at)
{
	uint64_t mark = 0;
	size_t turn = 1;

	rd->to->n = rd->to->npcs = 0;
	rd->active_seen = false;
	while (at) {
		int r;

		if (!plausible(at) || at == mark || rd->to->n == UW_BUCKETS_MAX)
			return -EBADMSG;
		if (rd->to->n == turn) {
			mark = at;
			turn *= 2;
		}
		r = take_bucket(rd, at, &at);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- the cycle ------------------------------------------------------------------- */

static int read_cycle(struct reader *rd, uint32_t *cycle)
{
	uint32_t word = 0;
	int r = uw_read(rd->live, rd->cycle_at, &word, sizeof word);

	*cycle = rd->l->prof_cycle_struct ? word : word >> 1; /* mProfHolder: bit 0 is `flushed` */
	return r;
}

static void count_futures(struct reader *rd)
{
	rd->to->no_gc = !rd->active_seen;
	for (size_t i = 0; rd->to->no_gc && i < rd->to->n; i++) {
		rd->to->buckets[i].allocs = (int64_t)rd->all[i].allocs;
		rd->to->buckets[i].frees = (int64_t)rd->all[i].frees;
	}
}

/* One try: 0 when it agrees with one cycle, 1 when not. */
static int try_mem(struct reader *rd, uint64_t head_at, bool *folding)
{
	uint32_t after = 0;
	uint64_t head = 0;
	int r = read_cycle(rd, &rd->cycle);

	if (r == 0)
		r = uw_read_u64(rd->live, head_at, &head);
	if (r == 0) {
		uw_memcache_forget(rd->cache);
		r = walk(rd, head);
	}
	if (r == 0)
		r = read_cycle(rd, &after);
	if (r < 0)
		return r;
	rd->to->cycle = rd->cycle;
	/*
	 * Before the first collection the runtime's own profile moves everything to active. Some of
	 * it there may mean that it is at that just now: the next walk sees all of it moved.
	 */
	if (rd->cycle == 0 && rd->active_seen && !*folding) {
		*folding = true;
		return 1;
	}
	return rd->cycle != after;
}

static int read_mem(struct reader *rd, uint64_t head_at)
{
	struct timespec pause = {.tv_nsec = PAUSE_NS};
	bool folding = false;
	int r = 1;

	for (int i = 0; r == 1 && i < MAX_TRIES; i++) {
		if (i > 0)
			rd->to->retries++;
		if (i >= QUICK_TRIES)
			nanosleep(&pause, NULL);
		r = try_mem(rd, head_at, &folding);
	}
	if (r < 0)
		return r;
	rd->to->unsettled = r == 1;
	count_futures(rd);
	return 0;
}

static int read_list(struct reader *rd, uint64_t head_at)
{
	uint64_t head = 0;
	int r;

	if (rd->kind == UW_BUCKET_MEM)
		return read_mem(rd, head_at);
	r = uw_read_u64(rd->live, head_at, &head);
	return r < 0 ? r : walk(rd, head);
}

int uw_gobuckets_read(const struct uw_golayout *layout, const struct uw_goglobals *globals,
		      const struct uw_mem *mem, enum uw_bucket_kind kind, struct uw_gobuckets *ret)
{
	static const enum uw_goglobal heads[] = {[UW_BUCKET_MEM] = UW_GLOBAL_MBUCKETS,
						 [UW_BUCKET_BLOCK] = UW_GLOBAL_BBUCKETS,
						 [UW_BUCKET_MUTEX] = UW_GLOBAL_XBUCKETS};
	struct reader rd = {.l = layout, .live = mem, .kind = kind, .to = ret};
	uint64_t head = uw_goglobal(globals, heads[kind]);
	int r;

	rd.cycle_at = uw_goglobal(globals, UW_GLOBAL_MPROF_CYCLE);
	if (!head || (kind == UW_BUCKET_MEM && !rd.cycle_at))
		return -ENOENT;
	ret->n = ret->npcs = 0;
	ret->no_gc = ret->unsettled = false;
	ret->retries = ret->reread = ret->torn = 0;
	r = uw_memcache_new(mem, &rd.cache);
	if (r < 0)
		return r;
	rd.mem = uw_memcache_mem(rd.cache);
	r = read_list(&rd, head);
	uw_memcache_free(rd.cache);
	free(rd.all);
	return r;
}

void uw_gobuckets_fini(struct uw_gobuckets *b)
{
	free(b->buckets);
	free(b->pcs);
	*b = (struct uw_gobuckets){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By value: the content of a variable shows whether it can be the one, and for lists that are not
 * empty even which it is.
 */
#include <stdlib.h>
#include <string.h>

#include "goglobals_parts.h"
#include "golayout.h"

enum {
	CHUNK = 64 << 10, /* bytes of variables that are read together */
	MAX_SCAN = 64 << 20,
	MAX_PROBES = 1 << 17, /* pointers that are followed */
	MIN_POINTER = 4096,
	MAX_SLICE = 1 << 24,

	/* runtime.bucket, the same in all versions; the stack follows. */
	BUCKET_ALLNEXT = 8,
	BUCKET_TYPE = 16,
	BUCKET_NSTK = 40,
	BUCKET_HEADER = 48,
	MAX_NSTK = 1100, /* what runtime.maxProfStackDepth and its margins allow */
	BUCKETS_LOOKED_AT = 4,
	MAX_ALLGS = 4,
};

enum bucket_type { MEM_BUCKET = 1, BLOCK_BUCKET, MUTEX_BUCKET };

struct target {
	const struct uw_golayout *l;
	const struct uw_mem *live;
	uint64_t text_lo, text_hi;
	bool searching; /* not verifying what another way found */
};

static uint64_t u64_at(const void *bytes, size_t off)
{
	uint64_t v;

	memcpy(&v, (const char *)bytes + off, sizeof v);
	return v;
}

static bool pointer(uint64_t p)
{
	return p >= MIN_POINTER && p % 8 == 0 && p < 1ull << 56;
}

static struct target target_of(const struct uw_go *go, const struct uw_mem *live, uint64_t bias)
{
	struct target t = {.l = uw_go_layout(go), .live = live};

	uw_go_text(go, &t.text_lo, &t.text_hi);
	t.text_lo += bias;
	t.text_hi += bias;
	return t;
}

/* --- what lists are made of ------------------------------------------------------ */

/* A goroutine names itself in its scheduling record and, other than a thread's g0, has a number. */
static bool is_goroutine(const struct target *t, uint64_t g)
{
	uint64_t self = 0, goid = 0;

	return pointer(g) && uw_read_u64(t->live, g + t->l->g.sched + t->l->gobuf.g, &self) == 0 &&
	       self == g && uw_read_u64(t->live, g + t->l->g.goid, &goid) == 0 && goid != 0;
}

/* A slice that begins with a goroutine; the last one may be only just being made. */
static bool is_allgs(const struct target *t, const uint8_t *slice)
{
	uint64_t ptr = u64_at(slice, 0), len = u64_at(slice, 8), cap = u64_at(slice, 16), first = 0;

	return pointer(ptr) && len > 0 && len <= cap && cap <= MAX_SLICE &&
	       uw_read_u64(t->live, ptr, &first) == 0 && is_goroutine(t, first);
}

/*
 * Whether a bucket's stack is one. In a search every pc must be the module's; a list that was found
 * otherwise may also have callers in plugins.
 */
static bool stack_is_code(const struct target *t, uint64_t bucket, uint64_t n)
{
	uint64_t pcs[MAX_NSTK];
	uint64_t ours = 0, marks = 0;

	if (uw_read(t->live, bucket + BUCKET_HEADER, pcs, n * sizeof pcs[0]) < 0)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		marks += pcs[i] == UINT64_MAX;
		ours += pcs[i] >= t->text_lo && pcs[i] <= t->text_hi;
	}
	return ours > 0 && (!t->searching || ours + marks == n);
}

/* The type of the bucket at addr, 0 if it is none; *next is the one behind it. */
static uint64_t bucket_type(const struct target *t, uint64_t addr, uint64_t *next)
{
	uint8_t b[BUCKET_HEADER];
	uint64_t type, n;

	if (!pointer(addr) || uw_read(t->live, addr, b, sizeof b) < 0)
		return 0;
	type = u64_at(b, BUCKET_TYPE);
	n = u64_at(b, BUCKET_NSTK);
	*next = u64_at(b, BUCKET_ALLNEXT);
	if (type < MEM_BUCKET || type > MUTEX_BUCKET || n == 0 || n > MAX_NSTK ||
	    (*next && !pointer(*next)) || !stack_is_code(t, addr, n))
		return 0;
	return type;
}

/* The same of a list's head: some more must be of the same kind. */
static uint64_t list_type(const struct target *t, uint64_t head)
{
	uint64_t next = 0, type = bucket_type(t, head, &next);

	for (int i = 1; type && next && i < BUCKETS_LOOKED_AT; i++) {
		if (bucket_type(t, next, &next) != type)
			return 0;
	}
	return type;
}

/* --- what was found holds what it must ------------------------------------------- */

static const uint8_t head_types[UW_GLOBAL_COUNT] = {
	[UW_GLOBAL_MBUCKETS] = MEM_BUCKET,
	[UW_GLOBAL_XBUCKETS] = MUTEX_BUCKET,
	[UW_GLOBAL_BBUCKETS] = BLOCK_BUCKET,
};

/* A thread's first stack belongs to it. */
static bool thread_holds(const struct target *t, uint64_t m)
{
	uint64_t g0 = 0, own = 0;

	if (m == 0)
		return true;
	if (!pointer(m) || uw_read_u64(t->live, m + t->l->m.g0, &g0) < 0 || !pointer(g0))
		return false;
	return uw_read_u64(t->live, g0 + t->l->g.m, &own) == 0 && own == m;
}

static bool slice_holds(const uint8_t *s)
{
	uint64_t ptr = u64_at(s, 0), len = u64_at(s, 8), cap = u64_at(s, 16);

	return len <= cap && cap <= MAX_SLICE && (cap ? pointer(ptr) : true);
}

static bool counts_hold(const struct target *t, uint64_t memstats)
{
	uint32_t n[2];
	double fraction;

	if (uw_read(t->live, memstats + t->l->memstats.numgc, n, sizeof n) < 0 ||
	    uw_read(t->live, memstats + t->l->memstats.gc_cpu_fraction, &fraction,
		    sizeof fraction) < 0)
		return true;
	return n[1] <= n[0] && fraction >= 0 && fraction <= 1;
}

static bool holds(const struct target *t, enum uw_goglobal which, uint64_t addr)
{
	uint8_t v[24] = {0};
	uint64_t word;
	int32_t half;
	bool wide = which == UW_GLOBAL_ALLGS || which == UW_GLOBAL_ALLP;

	if (uw_read(t->live, addr, v, wide ? 24 : 8) < 0)
		return true;
	word = u64_at(v, 0);
	memcpy(&half, v, sizeof half);
	switch (which) {
	case UW_GLOBAL_ALLGS:
		return word == 0 ? u64_at(v, 8) == 0 : is_allgs(t, v);
	case UW_GLOBAL_ALLP:
		return slice_holds(v);
	case UW_GLOBAL_ALLGPTR:
		return word == 0 || pointer(word);
	case UW_GLOBAL_ALLGLEN:
		return word <= MAX_SLICE;
	case UW_GLOBAL_MBUCKETS:
	case UW_GLOBAL_XBUCKETS:
	case UW_GLOBAL_BBUCKETS:
		return word == 0 || list_type(t, word) == head_types[which];
	case UW_GLOBAL_ALLM:
		return thread_holds(t, word);
	case UW_GLOBAL_GOMAXPROCS:
		return half >= 0 && half <= MAX_SLICE;
	case UW_GLOBAL_MEM_PROFILE_RATE:
		return (int64_t)word >= 0;
	case UW_GLOBAL_GC_CONTROLLER:
		return half >= -1;
	case UW_GLOBAL_MEMSTATS:
		return counts_hold(t, addr);
	default:
		return true;
	}
}

void uw_goglobals_verify(const struct uw_go *go, const struct uw_mem *live, uint64_t bias,
			 struct uw_goglobals *ret)
{
	struct target t = target_of(go, live, bias);

	for (size_t i = 0; i < UW_GLOBAL_COUNT; i++) {
		if (ret->var[i].source != UW_GLOBAL_MISSING &&
		    ret->var[i].source != UW_GLOBAL_BY_SYMBOL && !holds(&t, i, ret->var[i].addr)) {
			ret->var[i].source = UW_GLOBAL_MISSING;
			ret->var[i].addr = 0;
		}
	}
}

/* --- looking for lists ----------------------------------------------------------- */

struct scan {
	struct target t;
	const struct uw_go *go;
	uint64_t bias;
	size_t probes;
	bool for_copies; /* the second time: of what was seen */
	/* Where each was seen; one that is seen in two places is not found. */
	uint64_t seen[UW_GLOBAL_COUNT];
	bool twice[UW_GLOBAL_COUNT];
	size_t ngs;
	struct {
		uint64_t addr, array;
		size_t copies;
	} gs[MAX_ALLGS]; /* slices of goroutines */
};

/*
 * The garbage collector has slices of goroutines, too. The array of the right one has a second
 * pointer to it, runtime.allgptr.
 */
static void see_goroutines(struct scan *s, uint64_t addr, uint64_t array)
{
	if (s->ngs == MAX_ALLGS) {
		s->twice[UW_GLOBAL_ALLGS] = true;
		return;
	}
	s->gs[s->ngs].addr = addr;
	s->gs[s->ngs++].array = array;
}

static void see_copy(struct scan *s, uint64_t addr, uint64_t v)
{
	for (size_t i = 0; i < s->ngs; i++)
		s->gs[i].copies += v == s->gs[i].array && addr != s->gs[i].addr;
}

static void see(struct scan *s, enum uw_goglobal which, uint64_t addr)
{
	if (s->seen[which])
		s->twice[which] = true;
	s->seen[which] = addr;
}

static void probe(struct scan *s, uint64_t addr, const uint8_t *word, size_t left)
{
	uint64_t v = u64_at(word, 0), type;

	if (s->for_copies) {
		see_copy(s, addr, v);
		return;
	}
	if (!pointer(v) || s->probes == MAX_PROBES)
		return;
	s->probes++;
	type = list_type(&s->t, v);
	for (size_t i = 0; type && i < UW_GLOBAL_COUNT; i++) {
		if (head_types[i] == type)
			see(s, i, addr);
	}
	if (!type && left >= 24 && is_allgs(&s->t, word))
		see_goroutines(s, addr, v);
}

static void scan_range(struct scan *s, const struct uw_go_range *r, uint8_t *buf)
{
	uint64_t size = r->hi - r->lo;

	/* Each chunk starts before the end of the last, so that a slice on the border is seen. */
	for (uint64_t at = -r->lo & 7; at < size && at < MAX_SCAN; at += CHUNK) {
		size_t len = size - at < CHUNK + 16 ? size - at : CHUNK + 16;
		uint64_t addr = r->lo + at + s->bias;

		if (uw_read(s->t.live, addr, buf, len) < 0)
			continue;
		for (size_t i = 0; i < CHUNK && i + 8 <= len; i += 8)
			probe(s, addr + i, buf + i, len - i);
	}
}

void uw_goglobals_by_value(const struct uw_go *go, const struct uw_mem *live, uint64_t bias,
			   struct uw_goglobals *ret)
{
	static const enum uw_goglobal lists[] = {UW_GLOBAL_ALLGS, UW_GLOBAL_MBUCKETS,
						 UW_GLOBAL_XBUCKETS, UW_GLOBAL_BBUCKETS};
	struct scan s = {.t = target_of(go, live, bias), .go = go, .bias = bias};
	const struct uw_go_range *vars = uw_go_vars(go);
	uint8_t *buf = malloc(CHUNK + 16);

	if (!buf)
		return;
	s.t.searching = true;
	scan_range(&s, &vars[UW_GO_BSS], buf);
	scan_range(&s, &vars[UW_GO_NOPTRBSS], buf);
	s.for_copies = true;
	if (s.ngs)
		scan_range(&s, &vars[UW_GO_BSS], buf);
	free(buf);
	for (size_t i = 0; i < s.ngs; i++) {
		if (s.gs[i].copies)
			see(&s, UW_GLOBAL_ALLGS, s.gs[i].addr);
	}
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		enum uw_goglobal w = lists[i];

		if (ret->var[w].source != UW_GLOBAL_MISSING || !s.seen[w] || s.twice[w])
			continue;
		ret->var[w].addr = s.seen[w];
		ret->var[w].source = UW_GLOBAL_BY_VALUE;
	}
}

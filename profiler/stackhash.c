/* SPDX-License-Identifier: Apache-2.0 */
#include "stackhash.h"

#include <stdatomic.h>

#define MAGIC        UINT64_C(0x31686b7473776f70) /* changes with the layout */
#define GENERATION   (UINT64_C(1) << 63)
#define LINE         64
#define BUCKET_SLOTS 8

/* A lock in the place of an atomic would be a deadlock in a signal handler, and useless when
 * shared. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && sizeof(uint64_t) == sizeof(long long),
	       "64-bit atomics are not lock-free here");

enum phase {
	CLEAN = 0, /* empty, or current */
	WAITING,   /* no longer current, but not all its writers are known to have left */
	READY,     /* the reader's alone */
};

struct counts { /* of one generation; see the header for who writes what */
	_Alignas(LINE) _Atomic uint64_t left;
	_Alignas(LINE) _Atomic uint64_t top;
	_Atomic uint64_t used;
	_Atomic uint64_t dropped_count;
	_Atomic uint64_t dropped_weight;
	_Atomic uint64_t clashes;
	uint64_t entered;
	uint64_t phase;
};

struct prowl_stackhash_region {
	_Atomic uint64_t magic;
	uint32_t log2_slots;
	uint32_t words;
	_Alignas(LINE) _Atomic uint64_t state;
	struct counts counts[2];
};

/*
 * A look-up reads the first line of a bucket, which only changes when a new stack comes; counting
 * dirties one of the other two.
 */
struct prowl_stackhash_bucket {
	_Alignas(LINE) _Atomic uint64_t slot[BUCKET_SLOTS];
	struct value {
		_Atomic uint64_t count, weight;
	} value[BUCKET_SLOTS];
};
_Static_assert(sizeof(struct prowl_stackhash_bucket) == 3 * LINE, "buckets are three lines");

static size_t round_up(size_t n)
{
	return (n + LINE - 1) / LINE * LINE;
}

static size_t touched_words(const struct prowl_stackhash *h)
{
	return (h->nbuckets + 63) / 64;
}

/* Reads no memory of the region: fills all of the handle but its pointers. */
static bool handle_plan(const struct prowl_stackhash_geometry *geometry, struct prowl_stackhash *h)
{
	/* Tables before the main one, as log2 of buckets; only those that are smaller than it. */
	static const uint32_t small[] = {6, 9, 12};
	uint32_t main_log2, probes = PROWL_STACKHASH_PROBES / BUCKET_SLOTS;

	/* A place in the arena has 32 bits, and 0 isn't one. */
	if (geometry->log2_slots < PROWL_STACKHASH_LOG2_MIN ||
	    geometry->log2_slots > PROWL_STACKHASH_LOG2_MAX || geometry->words == UINT32_MAX)
		return false;
	h->geometry = *geometry;
	h->ntables = 0;
	h->nbuckets = 0;
	main_log2 = geometry->log2_slots - 3;
	for (size_t i = 0; i < sizeof small / sizeof *small && small[i] < main_log2; i++) {
		h->table[h->ntables++] = (struct prowl_stackhash_table){
			.first = h->nbuckets, .mask = (1U << small[i]) - 1, .probes = 1};
		h->nbuckets += 1U << small[i];
		probes--;
	}
	if (probes > 1U << main_log2)
		probes = 1U << main_log2;
	h->table[h->ntables++] = (struct prowl_stackhash_table){
		.first = h->nbuckets, .mask = (1U << main_log2) - 1, .probes = probes};
	h->nbuckets += 1U << main_log2;
	return true;
}

/* Lays the parts out behind the header; returns the end. base may be NULL to have the size only. */
static size_t handle_place(struct prowl_stackhash *h, char *base)
{
	size_t at = round_up(sizeof(struct prowl_stackhash_region));

	for (int g = 0; g < 2; g++) {
		size_t touched = at;
		size_t buckets = touched + round_up(touched_words(h) * sizeof(uint64_t));
		size_t arena = buckets + h->nbuckets * sizeof(struct prowl_stackhash_bucket);

		at = arena + round_up(((size_t)h->geometry.words + 1) * sizeof(uint64_t));
		if (!base)
			continue;
		h->part[g].touched = (void *)(base + touched);
		h->part[g].buckets = (void *)(base + buckets);
		h->part[g].arena = (void *)(base + arena);
	}
	h->region = (void *)base;
	return at;
}

size_t prowl_stackhash_bytes(const struct prowl_stackhash_geometry *geometry)
{
	struct prowl_stackhash h;

	return handle_plan(geometry, &h) ? handle_place(&h, NULL) : 0;
}

static int handle_make(void *mem, size_t len, const struct prowl_stackhash_geometry *geometry,
		       struct prowl_stackhash *ret)
{
	size_t need = prowl_stackhash_bytes(geometry);

	if (need == 0 || len < need)
		return PROWL_STACKHASH_INVALID;
	(void)handle_plan(geometry, ret);
	(void)handle_place(ret, mem);
	return PROWL_STACKHASH_OK;
}

int prowl_stackhash_init(void *mem, size_t len, const struct prowl_stackhash_geometry *geometry,
			 struct prowl_stackhash *ret)
{
	int r;

	if ((uintptr_t)mem % LINE != 0)
		return PROWL_STACKHASH_INVALID;
	r = handle_make(mem, len, geometry, ret);
	if (r < 0)
		return r;
	ret->region->log2_slots = geometry->log2_slots;
	ret->region->words = geometry->words;
	/* Last, so that who attaches meanwhile finds either no hash or a whole one. */
	atomic_store_explicit(&ret->region->magic, MAGIC, memory_order_release);
	return PROWL_STACKHASH_OK;
}

int prowl_stackhash_attach(void *mem, size_t len, struct prowl_stackhash *ret)
{
	struct prowl_stackhash_region *region = mem;
	struct prowl_stackhash_geometry geometry;

	if ((uintptr_t)mem % LINE != 0 || len < sizeof *region ||
	    atomic_load_explicit(&region->magic, memory_order_acquire) != MAGIC)
		return PROWL_STACKHASH_INVALID;
	/* Read once: the other process must not change what has been checked. */
	geometry.log2_slots = *(const volatile uint32_t *)&region->log2_slots;
	geometry.words = *(const volatile uint32_t *)&region->words;
	return handle_make(mem, len, &geometry, ret);
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 p = (unsigned __int128)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/*
 * Each pair of words is one full multiplication whose halves are folded together. Four chains, as a
 * multiplication can be started every cycle but takes some four. The constants are random, odd and
 * have as many ones as zeros.
 */
uint64_t prowl_stackhash_hash(const uint64_t *words, size_t n)
{
	const uint64_t k0 = UINT64_C(0x81e5b445fac5a46d), k1 = UINT64_C(0x1d299890b05dfe79);
	const uint64_t k2 = UINT64_C(0x437ae2e161deb423), k3 = UINT64_C(0x283a42ce49fee23d);
	const uint64_t k4 = UINT64_C(0xbf26906ea49f2913);
	uint64_t a = k0 ^ n, b = k1, c = k2, d = k3;
	size_t i = 0;

	for (; n - i >= 8; i += 8) {
		a = fold(a ^ words[i], k1 ^ words[i + 1]);
		b = fold(b ^ words[i + 2], k2 ^ words[i + 3]);
		c = fold(c ^ words[i + 4], k3 ^ words[i + 5]);
		d = fold(d ^ words[i + 6], k4 ^ words[i + 7]);
	}
	for (; n - i >= 2; i += 2) {
		uint64_t t = a;

		a = fold(b ^ words[i], k1 ^ words[i + 1]);
		b = c;
		c = d;
		d = t;
	}
	if (i < n)
		a = fold(a ^ words[i], k2);
	return fold(fold(a ^ k3, b ^ k4), fold(c ^ k1, d ^ k0) ^ k2);
}

/* Without an early end inside of a block: the usual answer is that they are equal. */
static bool words_equal(const uint64_t *a, const uint64_t *b, size_t n)
{
	size_t i = 0;

	for (; n - i >= 8; i += 8) {
		uint64_t x = 0;

		for (size_t j = 0; j < 8; j++)
			x |= a[i + j] ^ b[i + j];
		if (x)
			return false;
	}
	for (; i < n; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

static bool key_equal(const uint64_t *arena, uint32_t place, const uint64_t *words, size_t n)
{
	return arena[place] == n && words_equal(arena + place + 1, words, n);
}

/*
 * Reserves room for a key and writes it there; its place, or 0 when the arena is full. Place p is
 * arena[p], and top counts from 0 = place 1.
 *
 * Acquire, here, and release, in key_give_back: the words may have been another writer's, who wrote
 * them and gave them back.
 */
static uint32_t key_write(const struct prowl_stackhash *h, unsigned g, const uint64_t *words,
			  size_t n)
{
	_Atomic uint64_t *top = &h->region->counts[g].top;
	uint64_t size = h->geometry.words, need = n + 1, at, end;
	uint64_t *arena = h->part[g].arena;

	/* Asked first, so that a large key that has no room leaves what there is to smaller ones.
	 */
	at = atomic_load_explicit(top, memory_order_relaxed);
	if (at > size || need > size - at)
		return 0;
	at = atomic_fetch_add_explicit(top, need, memory_order_acquire);
	if (at > size || need > size - at) {
		/* A race for the last room. Failing to undo it leaves the arena full, which it is.
		 */
		end = at + need;
		atomic_compare_exchange_strong_explicit(top, &end, at, memory_order_relaxed,
							memory_order_relaxed);
		return 0;
	}
	at++;
	arena[at] = n;
	for (size_t i = 0; i < n; i++)
		arena[at + 1 + i] = words[i];
	return (uint32_t)at;
}

static void key_give_back(const struct prowl_stackhash *h, unsigned g, uint32_t place, size_t n)
{
	uint64_t end = place + n;

	atomic_compare_exchange_strong_explicit(&h->region->counts[g].top, &end, place - 1,
						memory_order_release, memory_order_relaxed);
}

static void mark_touched(const struct prowl_stackhash *h, unsigned g, uint32_t bucket)
{
	_Atomic uint64_t *word = &h->part[g].touched[bucket / 64];
	uint64_t bit = UINT64_C(1) << bucket % 64;

	if (!(atomic_load_explicit(word, memory_order_relaxed) & bit))
		atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
}

static void value_add(struct value *v, uint64_t count, uint64_t weight)
{
	atomic_fetch_add_explicit(&v->count, count, memory_order_relaxed);
	atomic_fetch_add_explicit(&v->weight, weight, memory_order_relaxed);
}

/*
 * The value of the key, which is taken in if it is new; NULL when there is no room. *place is the
 * room that this call has reserved for the key and not used, 0 for none.
 */
static struct value *bucket_find(const struct prowl_stackhash *h, unsigned g, uint32_t bucket,
				 uint64_t tag, const uint64_t *words, size_t n, uint32_t *place,
				 bool *full)
{
	struct prowl_stackhash_bucket *b = &h->part[g].buckets[bucket];
	struct counts *counts = &h->region->counts[g];

	for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
		uint64_t s = atomic_load_explicit(&b->slot[i], memory_order_acquire);

		if (s == 0) {
			if (*place == 0)
				*place = key_write(h, g, words, n);
			if (*place == 0) {
				*full = true;
				return NULL;
			}
			mark_touched(h, g, bucket);
			if (atomic_compare_exchange_strong_explicit(&b->slot[i], &s, tag | *place,
								    memory_order_release,
								    memory_order_acquire)) {
				*place = 0;
				atomic_fetch_add_explicit(&counts->used, 1, memory_order_relaxed);
				return &b->value[i];
			}
			/* Somebody was faster; s is what they put there, perhaps the same key. */
		}
		if ((s ^ tag) >> 32 != 0)
			continue;
		if (key_equal(h->part[g].arena, (uint32_t)s, words, n))
			return &b->value[i];
		atomic_fetch_add_explicit(&counts->clashes, 1, memory_order_relaxed);
	}
	return NULL;
}

static struct value *find(const struct prowl_stackhash *h, unsigned g, uint64_t hash,
			  const uint64_t *words, size_t n)
{
	uint64_t tag = hash >> 32 << 32;
	/*
	 * Odd, so that a small table is seen whole; from bits that don't choose the first bucket,
	 * as neighbours would fill up in clusters and drop the earlier.
	 */
	uint32_t stride = (uint32_t)(hash >> 40) | 1;
	struct value *v = NULL;
	uint32_t place = 0;
	bool full = false;

	for (uint32_t t = 0; t < h->ntables && !v && !full; t++) {
		const struct prowl_stackhash_table *table = &h->table[t];
		uint32_t bucket = (uint32_t)hash;

		for (uint32_t p = 0; p < table->probes && !v && !full; p++, bucket += stride)
			v = bucket_find(h, g, table->first + (bucket & table->mask), tag, words, n,
					&place, &full);
	}
	if (place)
		key_give_back(h, g, place, n);
	return v;
}

int prowl_stackhash_add_hashed(const struct prowl_stackhash *h, uint64_t hash,
			       const uint64_t *words, size_t n, uint64_t count, uint64_t weight)
{
	struct prowl_stackhash_region *region = h->region;
	struct value *v = NULL;
	unsigned g;

	g = atomic_fetch_add_explicit(&region->state, 1, memory_order_acquire) >> 63;
	if (n <= PROWL_STACKHASH_KEY_MAX)
		v = find(h, g, hash, words, n);
	if (v) {
		value_add(v, count, weight);
	} else {
		atomic_fetch_add_explicit(&region->counts[g].dropped_count, count,
					  memory_order_relaxed);
		atomic_fetch_add_explicit(&region->counts[g].dropped_weight, weight,
					  memory_order_relaxed);
	}
	atomic_fetch_add_explicit(&region->counts[g].left, 1, memory_order_release);
	return v ? PROWL_STACKHASH_OK : PROWL_STACKHASH_DROPPED;
}

int prowl_stackhash_add(const struct prowl_stackhash *h, const uint64_t *words, size_t n,
			uint64_t count, uint64_t weight)
{
	/* What is too long is dropped whatever its hash. */
	uint64_t hash = n <= PROWL_STACKHASH_KEY_MAX ? prowl_stackhash_hash(words, n) : 0;

	return prowl_stackhash_add_hashed(h, hash, words, n, count, weight);
}

void prowl_stackhash_prefetch(const struct prowl_stackhash *h, uint64_t hash)
{
	unsigned g = atomic_load_explicit(&h->region->state, memory_order_relaxed) >> 63;

	for (uint32_t t = 0; t < h->ntables; t++) {
		const struct prowl_stackhash_table *table = &h->table[t];
		struct prowl_stackhash_bucket *b =
			&h->part[g].buckets[table->first + ((uint32_t)hash & table->mask)];

		for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
			uint64_t s = atomic_load_explicit(&b->slot[i], memory_order_relaxed);

			if (s == 0)
				return;
			if ((s ^ hash) >> 32 != 0)
				continue;
			/* No fault comes of a bad place. */
			__builtin_prefetch(h->part[g].arena + (uint32_t)s);
			__builtin_prefetch(h->part[g].arena + (uint32_t)s + 8);
			__builtin_prefetch(&b->value[i], 1);
			return;
		}
	}
}

static unsigned generation_current(const struct prowl_stackhash *h)
{
	return atomic_load_explicit(&h->region->state, memory_order_relaxed) >> 63;
}

/* The touched buckets: the first one at or after `bucket`, or nbuckets. */
static uint32_t bucket_next(const struct prowl_stackhash *h, unsigned g, uint32_t bucket)
{
	while (bucket < h->nbuckets) {
		uint64_t word = atomic_load_explicit(&h->part[g].touched[bucket / 64],
						     memory_order_relaxed) >>
				bucket % 64;

		if (word) {
			bucket += (uint32_t)__builtin_ctzll(word);
			return bucket < h->nbuckets ? bucket : h->nbuckets;
		}
		bucket = (bucket / 64 + 1) * 64;
	}
	return h->nbuckets;
}

static void generation_clear(const struct prowl_stackhash *h, unsigned g)
{
	struct counts *counts = &h->region->counts[g];

	for (uint32_t i = bucket_next(h, g, 0); i < h->nbuckets; i = bucket_next(h, g, i + 1)) {
		struct prowl_stackhash_bucket *b = &h->part[g].buckets[i];

		for (unsigned j = 0; j < BUCKET_SLOTS; j++) {
			atomic_store_explicit(&b->slot[j], 0, memory_order_relaxed);
			atomic_store_explicit(&b->value[j].count, 0, memory_order_relaxed);
			atomic_store_explicit(&b->value[j].weight, 0, memory_order_relaxed);
		}
	}
	for (size_t i = 0; i < touched_words(h); i++)
		if (atomic_load_explicit(&h->part[g].touched[i], memory_order_relaxed))
			atomic_store_explicit(&h->part[g].touched[i], 0, memory_order_relaxed);
	/* The arena stays as it is: nothing leads there any more. */
	atomic_store_explicit(&counts->top, 0, memory_order_relaxed);
	atomic_store_explicit(&counts->used, 0, memory_order_relaxed);
	atomic_store_explicit(&counts->dropped_count, 0, memory_order_relaxed);
	atomic_store_explicit(&counts->dropped_weight, 0, memory_order_relaxed);
	atomic_store_explicit(&counts->clashes, 0, memory_order_relaxed);
	counts->phase = CLEAN;
}

static void pause_processor(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static int generation_wait(const struct prowl_stackhash *h, unsigned g, uint64_t spins,
			   void (*relax)(void *arg), void *arg)
{
	struct counts *counts = &h->region->counts[g];

	while (atomic_load_explicit(&counts->left, memory_order_acquire) != counts->entered) {
		if (spins-- == 0)
			return PROWL_STACKHASH_BUSY;
		if (relax)
			relax(arg);
		else
			pause_processor();
	}
	counts->phase = READY;
	return PROWL_STACKHASH_OK;
}

int prowl_stackhash_flip(const struct prowl_stackhash *h, uint64_t spins, void (*relax)(void *arg),
			 void *arg)
{
	unsigned old = generation_current(h), fresh = old ^ 1;
	struct counts *counts = h->region->counts;
	uint64_t state;

	if (counts[fresh].phase == WAITING) /* an earlier flip has switched already */
		return generation_wait(h, fresh, spins, relax, arg);
	if (counts[fresh].phase == READY)
		generation_clear(h, fresh);
	atomic_store_explicit(&counts[fresh].left, 0, memory_order_relaxed);
	state = atomic_exchange_explicit(&h->region->state, fresh ? GENERATION : 0,
					 memory_order_acq_rel);
	counts[old].entered = state & ~GENERATION;
	counts[old].phase = WAITING;
	return generation_wait(h, old, spins, relax, arg);
}

void prowl_stackhash_abandon(const struct prowl_stackhash *h)
{
	struct counts *counts = &h->region->counts[generation_current(h) ^ 1];

	if (counts->phase == WAITING)
		atomic_store_explicit(&counts->left, counts->entered, memory_order_relaxed);
}

/* The place of a taken slot's key if it lies inside of the arena, and its length; else 0. */
static uint32_t slot_check(const struct prowl_stackhash *h, unsigned g, uint64_t slot, size_t *n)
{
	uint32_t place = (uint32_t)slot;
	uint64_t len;

	if (place == 0 || place > h->geometry.words)
		return 0;
	/* Once: in shared memory it might change between check and use. */
	len = *(const volatile uint64_t *)&h->part[g].arena[place];
	if (len > PROWL_STACKHASH_KEY_MAX || len > h->geometry.words - place)
		return 0;
	*n = len;
	return place;
}

static int generation_each(const struct prowl_stackhash *h, unsigned g, prowl_stackhash_fn fn,
			   void *arg, uint64_t *damaged)
{
	for (uint32_t i = bucket_next(h, g, 0); i < h->nbuckets; i = bucket_next(h, g, i + 1)) {
		struct prowl_stackhash_bucket *b = &h->part[g].buckets[i];

		for (unsigned j = 0; j < BUCKET_SLOTS; j++) {
			uint64_t s = atomic_load_explicit(&b->slot[j], memory_order_acquire);
			uint64_t count, weight;
			uint32_t place;
			size_t n;
			int r;

			if (s == 0)
				break; /* slots of a bucket are taken in order */
			place = slot_check(h, g, s, &n);
			if (place == 0) {
				++*damaged;
				continue;
			}
			if (!fn)
				continue;
			count = atomic_load_explicit(&b->value[j].count, memory_order_relaxed);
			weight = atomic_load_explicit(&b->value[j].weight, memory_order_relaxed);
			r = fn(arg, h->part[g].arena + place + 1, n, count, weight);
			if (r != 0)
				return r;
		}
	}
	return 0;
}

int prowl_stackhash_each(const struct prowl_stackhash *h, prowl_stackhash_fn fn, void *arg)
{
	unsigned g = generation_current(h) ^ 1;
	uint64_t damaged = 0;

	if (h->region->counts[g].phase == WAITING)
		return PROWL_STACKHASH_BUSY;
	return generation_each(h, g, fn, arg, &damaged);
}

static void generation_stats(const struct prowl_stackhash *h, unsigned g,
			     struct prowl_stackhash_stats *ret)
{
	struct counts *counts = &h->region->counts[g];
	uint64_t top = atomic_load_explicit(&counts->top, memory_order_relaxed);

	*ret = (struct prowl_stackhash_stats){
		.slots = atomic_load_explicit(&counts->used, memory_order_relaxed),
		.slots_max = (uint64_t)h->nbuckets * BUCKET_SLOTS,
		.words = top < h->geometry.words ? top : h->geometry.words,
		.words_max = h->geometry.words,
		.dropped_count = atomic_load_explicit(&counts->dropped_count, memory_order_relaxed),
		.dropped_weight = atomic_load_explicit(&counts->dropped_weight,
						       memory_order_relaxed),
		.clashes = atomic_load_explicit(&counts->clashes, memory_order_relaxed),
	};
}

int prowl_stackhash_stats(const struct prowl_stackhash *h, struct prowl_stackhash_stats *ret)
{
	unsigned g = generation_current(h) ^ 1;

	if (h->region->counts[g].phase == WAITING)
		return PROWL_STACKHASH_BUSY;
	generation_stats(h, g, ret);
	generation_each(h, g, NULL, NULL, &ret->damaged);
	return PROWL_STACKHASH_OK;
}

void prowl_stackhash_live(const struct prowl_stackhash *h, struct prowl_stackhash_stats *ret)
{
	generation_stats(h, generation_current(h), ret);
}

struct prowl_stackhash_ahead prowl_stackhash_ahead(const struct prowl_stackhash *h, uint32_t words)
{
	unsigned g = generation_current(h);
	const struct counts *counts = &h->region->counts[g];
	uint64_t top = atomic_load_explicit(&counts->top, memory_order_relaxed);
	uint64_t used = atomic_load_explicit(&counts->used, memory_order_relaxed), slots = 0;
	struct prowl_stackhash_ahead ahead = {0};

	if (top < h->geometry.words) {
		uint64_t room = h->geometry.words - top;

		ahead.arena.at = h->part[g].arena + top + 1;
		ahead.arena.len = (room < words ? room : words) * sizeof(uint64_t);
	}
	/* Not the main table, of which small windows never see much. */
	for (uint32_t t = 0; t + 2 < h->ntables && used >= slots; t++) {
		const struct prowl_stackhash_table *next = &h->table[t + 1];

		slots += ((uint64_t)h->table[t].mask + 1) * BUCKET_SLOTS;
		if (used < slots / 2 || used >= slots)
			continue;
		ahead.table.at = &h->part[g].buckets[next->first];
		ahead.table.len = ((size_t)next->mask + 1) * sizeof *h->part[g].buckets;
	}
	return ahead;
}

int prowl_stackhash_clear(const struct prowl_stackhash *h)
{
	unsigned g = generation_current(h) ^ 1;

	if (h->region->counts[g].phase == WAITING)
		return PROWL_STACKHASH_BUSY;
	generation_clear(h, g);
	return PROWL_STACKHASH_OK;
}

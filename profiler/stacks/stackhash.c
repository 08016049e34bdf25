/* SPDX-License-Identifier: Apache-2.0 */
#include "stackhash.h"

#include <stdatomic.h>

#define MAGIC        UINT64_C(0x32686b7473776f70) /* changes with the layout */
#define GENERATION   (UINT64_C(1) << 63)
#define LINE         64
#define BUCKET_SLOTS 8
#define DONE_WORDS   (UINT64_C(32) << 10) /* of the arena, reported as done at once */

/* A lock in the place of an atomic would be a deadlock in a signal handler, and useless when
 * shared. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && sizeof(uint64_t) == sizeof(long long),
	       "64-bit atomics are not lock-free here");

enum phase {
	CLEAN = 0, /* empty, or current */
	WAITING,   /* no longer current, but not all its writers are known to have left */
	READY,     /* the reader's alone */
	IN_A_ROW,  /* the same, and the arena's entries can be read one after the other */
	SCATTERED, /* the same, and entries are found by the slots only */
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
	uint64_t abandoned; /* some writer's entry may be half written */
};

struct prowl_stackhash_region {
	_Atomic uint64_t magic;
	uint32_t log2_slots;
	uint32_t words;
	_Alignas(LINE) _Atomic uint64_t state;
	struct counts counts[2];
};

/* One cache line. */
struct prowl_stackhash_bucket {
	_Alignas(LINE) _Atomic uint64_t slot[BUCKET_SLOTS];
};

/*
 * An entry of the arena. What a look-up that finds its key reads and changes lies together: the
 * count, the weight, the length and the first words.
 */
struct entry {
	_Atomic uint64_t count, weight;
	uint64_t head; /* LIVE or VOID, and the number of words */
	uint64_t words[];
};
#define ENTRY_WORDS (sizeof(struct entry) / sizeof(uint64_t))
#define LIVE        (UINT64_C(1) << 63)
#define VOID        (UINT64_C(1) << 62) /* lost the race for its slot, and stays */

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
	static const uint32_t small[] = {6, 9, 12, 13};
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

static struct entry *entry_at(const struct prowl_stackhash *h, unsigned g, uint32_t place)
{
	return (struct entry *)(h->part[g].arena + place);
}

static bool entry_equal(const struct entry *e, const uint64_t *words, size_t n)
{
	return e->head == (LIVE | n) && words_equal(e->words, words, n);
}

/*
 * Reserves room for a key and writes its entry there; its place, or 0 when the arena is full. Place
 * p is arena[p], and top counts from 0 = place 1.
 *
 * Acquire, here, and release, in entry_give_back: the words may have been another writer's, who
 * wrote them and gave them back.
 */
static uint32_t entry_write(const struct prowl_stackhash *h, unsigned g, const uint64_t *words,
			    size_t n)
{
	_Atomic uint64_t *top = &h->region->counts[g].top;
	uint64_t size = h->geometry.words, need = n + ENTRY_WORDS, at, end;
	struct entry *e;

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
	e = entry_at(h, g, (uint32_t)at);
	atomic_store_explicit(&e->count, 0, memory_order_relaxed);
	atomic_store_explicit(&e->weight, 0, memory_order_relaxed);
	e->head = LIVE | n;
	for (size_t i = 0; i < n; i++)
		e->words[i] = words[i];
	return (uint32_t)at;
}

static void entry_give_back(const struct prowl_stackhash *h, unsigned g, uint32_t place, size_t n)
{
	uint64_t end = place - 1 + n + ENTRY_WORDS;

	entry_at(h, g, place)->head = VOID | n;
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

/*
 * The entry of the key, which is taken in if it is new; NULL when there is no room. *place is the
 * room that this call has reserved for the key and not used, 0 for none.
 */
static struct entry *bucket_find(const struct prowl_stackhash *h, unsigned g, uint32_t bucket,
				 uint64_t tag, const uint64_t *words, size_t n, uint32_t *place,
				 bool *full)
{
	struct prowl_stackhash_bucket *b = &h->part[g].buckets[bucket];
	struct counts *counts = &h->region->counts[g];

	for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
		uint64_t s = atomic_load_explicit(&b->slot[i], memory_order_acquire);
		struct entry *e;

		if (s == 0) {
			if (*place == 0)
				*place = entry_write(h, g, words, n);
			if (*place == 0) {
				*full = true;
				return NULL;
			}
			mark_touched(h, g, bucket);
			if (atomic_compare_exchange_strong_explicit(&b->slot[i], &s, tag | *place,
								    memory_order_release,
								    memory_order_acquire)) {
				e = entry_at(h, g, *place);
				*place = 0;
				atomic_fetch_add_explicit(&counts->used, 1, memory_order_relaxed);
				return e;
			}
			/* Somebody was faster; s is what they put there, perhaps the same key. */
		}
		if ((s ^ tag) >> 32 != 0)
			continue;
		e = entry_at(h, g, (uint32_t)s);
		if (entry_equal(e, words, n))
			return e;
		atomic_fetch_add_explicit(&counts->clashes, 1, memory_order_relaxed);
	}
	return NULL;
}

static struct entry *find(const struct prowl_stackhash *h, unsigned g, uint64_t hash,
			  const uint64_t *words, size_t n)
{
	uint64_t tag = hash >> 32 << 32;
	/*
	 * Odd, so that a small table is seen whole; from bits that don't choose the first bucket,
	 * as neighbours would fill up in clusters and drop the earlier.
	 */
	uint32_t stride = (uint32_t)(hash >> 40) | 1;
	struct entry *e = NULL;
	uint32_t place = 0;
	bool full = false;

	for (uint32_t t = 0; t < h->ntables && !e && !full; t++) {
		const struct prowl_stackhash_table *table = &h->table[t];
		uint32_t bucket = (uint32_t)hash;

		for (uint32_t p = 0; p < table->probes && !e && !full; p++, bucket += stride)
			e = bucket_find(h, g, table->first + (bucket & table->mask), tag, words, n,
					&place, &full);
	}
	if (place)
		entry_give_back(h, g, place, n);
	return e;
}

/* Between entry and exit: adds to generation g. False: there was no room. */
static bool add(const struct prowl_stackhash *h, unsigned g, const struct prowl_stackhash_key *key)
{
	struct counts *counts = &h->region->counts[g];
	struct entry *e = NULL;

	if (key->n <= PROWL_STACKHASH_KEY_MAX)
		e = find(h, g, key->hash, key->words, key->n);
	if (e) {
		atomic_fetch_add_explicit(&e->count, key->count, memory_order_relaxed);
		atomic_fetch_add_explicit(&e->weight, key->weight, memory_order_relaxed);
		return true;
	}
	atomic_fetch_add_explicit(&counts->dropped_count, key->count, memory_order_relaxed);
	atomic_fetch_add_explicit(&counts->dropped_weight, key->weight, memory_order_relaxed);
	return false;
}

static unsigned enter(const struct prowl_stackhash *h)
{
	return atomic_fetch_add_explicit(&h->region->state, 1, memory_order_acquire) >> 63;
}

static void leave(const struct prowl_stackhash *h, unsigned g)
{
	atomic_fetch_add_explicit(&h->region->counts[g].left, 1, memory_order_release);
}

int prowl_stackhash_add_hashed(const struct prowl_stackhash *h, uint64_t hash,
			       const uint64_t *words, size_t n, uint64_t count, uint64_t weight)
{
	const struct prowl_stackhash_key key = {hash, words, n, count, weight};
	unsigned g = enter(h);
	bool added = add(h, g, &key);

	leave(h, g);
	return added ? PROWL_STACKHASH_OK : PROWL_STACKHASH_DROPPED;
}

/* Where the first look for a key goes in each table. */
static struct prowl_stackhash_bucket *home(const struct prowl_stackhash *h, unsigned g, uint32_t t,
					   uint64_t hash)
{
	const struct prowl_stackhash_table *table = &h->table[t];

	return &h->part[g].buckets[table->first + ((uint32_t)hash & table->mask)];
}

/* Tables that keys are likely to be in: few go on to the next before one is about half full. */
static uint32_t tables_used(const struct prowl_stackhash *h, unsigned g)
{
	uint64_t used = atomic_load_explicit(&h->region->counts[g].used, memory_order_relaxed);
	uint64_t slots = 0;
	uint32_t t;

	for (t = 0; t < h->ntables && slots <= used; t++)
		slots += (uint64_t)(h->table[t].mask + 1) * BUCKET_SLOTS / 2;
	return t;
}

/* Asks for the entry that a key may have, when the slots have come. */
static void expect_entry(const struct prowl_stackhash *h, unsigned g, uint64_t hash)
{
	for (uint32_t t = 0; t < h->ntables; t++) {
		struct prowl_stackhash_bucket *b = home(h, g, t, hash);

		for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
			uint64_t s = atomic_load_explicit(&b->slot[i], memory_order_relaxed);

			if (s == 0)
				return;
			if ((s ^ hash) >> 32 != 0)
				continue;
			/* No fault comes of a bad place. */
			__builtin_prefetch(h->part[g].arena + (uint32_t)s, 1);
			__builtin_prefetch(h->part[g].arena + (uint32_t)s + 8);
			return;
		}
	}
}

static size_t add_batch(const struct prowl_stackhash *h, const struct prowl_stackhash_key *keys,
			size_t n)
{
	unsigned g = enter(h);
	uint32_t tables = tables_used(h, g);
	size_t dropped = 0;

	for (size_t i = 0; i < n; i++)
		for (uint32_t t = 0; t < tables; t++)
			__builtin_prefetch(home(h, g, t, keys[i].hash));
	for (size_t i = 0; i < n; i++)
		expect_entry(h, g, keys[i].hash);
	for (size_t i = 0; i < n; i++)
		dropped += !add(h, g, &keys[i]);
	leave(h, g);
	return dropped;
}

size_t prowl_stackhash_add_many(const struct prowl_stackhash *h,
				const struct prowl_stackhash_key *keys, size_t n)
{
	size_t dropped = 0;

	for (size_t i = 0; i < n; i += PROWL_STACKHASH_BATCH) {
		size_t left = n - i;

		dropped += add_batch(h, keys + i,
				     left < PROWL_STACKHASH_BATCH ? left : PROWL_STACKHASH_BATCH);
	}
	return dropped;
}

int prowl_stackhash_add(const struct prowl_stackhash *h, const uint64_t *words, size_t n,
			uint64_t count, uint64_t weight)
{
	/* What is too long is dropped whatever its hash. */
	uint64_t hash = n <= PROWL_STACKHASH_KEY_MAX ? prowl_stackhash_hash(words, n) : 0;

	return prowl_stackhash_add_hashed(h, hash, words, n, count, weight);
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

		for (unsigned j = 0; j < BUCKET_SLOTS; j++)
			atomic_store_explicit(&b->slot[j], 0, memory_order_relaxed);
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
	counts->abandoned = 0;
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
	if (counts[fresh].phase != CLEAN)
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

	if (counts->phase != WAITING)
		return;
	atomic_store_explicit(&counts->left, counts->entered, memory_order_relaxed);
	counts->abandoned = 1;
}

/*
 * The entry at a place, and its length, if it lies inside of the arena; else NULL. *live: it is in
 * use. Its head is read once: in shared memory it might change between check and use.
 */
static struct entry *entry_check(const struct prowl_stackhash *h, unsigned g, uint64_t place,
				 size_t *n, bool *live)
{
	uint64_t words = h->geometry.words, head, len;
	struct entry *e;

	if (place == 0 || place > words || words - place + 1 < ENTRY_WORDS)
		return NULL;
	e = entry_at(h, g, (uint32_t)place);
	head = *(const volatile uint64_t *)&e->head;
	*live = head & LIVE;
	len = head & ~(*live ? LIVE : VOID);
	if (len > PROWL_STACKHASH_KEY_MAX || len > words - place + 1 - ENTRY_WORDS)
		return NULL;
	*n = len;
	return e;
}

static int entry_tell(struct entry *e, size_t n, prowl_stackhash_fn fn, void *arg)
{
	return fn(arg, e->words, n, atomic_load_explicit(&e->count, memory_order_relaxed),
		  atomic_load_explicit(&e->weight, memory_order_relaxed));
}

static uint64_t arena_end(const struct prowl_stackhash *h, unsigned g)
{
	uint64_t top = atomic_load_explicit(&h->region->counts[g].top, memory_order_relaxed);

	return top < h->geometry.words ? top : h->geometry.words;
}

/*
 * Do the arena's entries follow one another up to its end, and are they those of the slots? Not
 * where a writer died between reserving and writing its own, or somebody scribbled.
 */
static bool is_in_a_row(const struct prowl_stackhash *h, unsigned g)
{
	const struct counts *counts = &h->region->counts[g];
	uint64_t place = 1, end = arena_end(h, g), used = 0;
	bool live;
	size_t n;

	if (counts->abandoned)
		return false;
	while (place <= end && entry_check(h, g, place, &n, &live)) {
		used += live;
		place += ENTRY_WORDS + n;
	}
	return place == end + 1 &&
	       used == atomic_load_explicit(&counts->used, memory_order_relaxed);
}

static int each_in_a_row(const struct prowl_stackhash *h, unsigned g, prowl_stackhash_fn fn,
			 void *arg, prowl_stackhash_done_fn done)
{
	uint64_t *arena = h->part[g].arena;
	uint64_t place = 1, told = 0, end = arena_end(h, g);
	struct entry *e;
	bool live;
	size_t n;
	int r = 0;

	while (r == 0 && place <= end && (e = entry_check(h, g, place, &n, &live))) {
		if (live)
			r = entry_tell(e, n, fn, arg);
		place += ENTRY_WORDS + n;
		if (done && place - told > DONE_WORDS) {
			done(arg, arena + told, (place - told) * sizeof *arena);
			told = place;
		}
	}
	return r == 0 && place != end + 1 ? PROWL_STACKHASH_DAMAGED : r;
}

static int each_slot(const struct prowl_stackhash *h, unsigned g, prowl_stackhash_fn fn, void *arg,
		     uint64_t *damaged)
{
	for (uint32_t i = bucket_next(h, g, 0); i < h->nbuckets; i = bucket_next(h, g, i + 1)) {
		struct prowl_stackhash_bucket *b = &h->part[g].buckets[i];

		for (unsigned j = 0; j < BUCKET_SLOTS; j++) {
			uint64_t s = atomic_load_explicit(&b->slot[j], memory_order_acquire);
			struct entry *e;
			bool live;
			size_t n;
			int r;

			if (s == 0)
				break; /* slots of a bucket are taken in order */
			e = entry_check(h, g, (uint32_t)s, &n, &live);
			if (!e || !live) {
				++*damaged;
				continue;
			}
			r = fn ? entry_tell(e, n, fn, arg) : 0;
			if (r != 0)
				return r;
		}
	}
	return 0;
}

/* How the window can be read, found out once. */
static uint64_t phase_of(const struct prowl_stackhash *h, unsigned g)
{
	struct counts *counts = &h->region->counts[g];

	if (counts->phase == READY)
		counts->phase = is_in_a_row(h, g) ? IN_A_ROW : SCATTERED;
	return counts->phase;
}

static int generation_each(const struct prowl_stackhash *h, unsigned g, prowl_stackhash_fn fn,
			   void *arg, prowl_stackhash_done_fn done)
{
	uint64_t damaged = 0;

	switch (phase_of(h, g)) {
	case WAITING:
		return PROWL_STACKHASH_BUSY;
	case IN_A_ROW:
		return each_in_a_row(h, g, fn, arg, done);
	case SCATTERED:
		return each_slot(h, g, fn, arg, &damaged);
	default:
		return 0;
	}
}

int prowl_stackhash_each(const struct prowl_stackhash *h, prowl_stackhash_fn fn, void *arg)
{
	return generation_each(h, generation_current(h) ^ 1, fn, arg, NULL);
}

int prowl_stackhash_take(const struct prowl_stackhash *h, prowl_stackhash_fn fn, void *arg,
			 prowl_stackhash_done_fn done)
{
	unsigned g = generation_current(h) ^ 1;
	int r = generation_each(h, g, fn, arg, done);

	if (h->region->counts[g].phase != WAITING)
		generation_clear(h, g);
	return r;
}

static void generation_stats(const struct prowl_stackhash *h, unsigned g,
			     struct prowl_stackhash_stats *ret)
{
	struct counts *counts = &h->region->counts[g];

	*ret = (struct prowl_stackhash_stats){
		.slots = atomic_load_explicit(&counts->used, memory_order_relaxed),
		.slots_max = (uint64_t)h->nbuckets * BUCKET_SLOTS,
		.words = arena_end(h, g),
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
	uint64_t phase = phase_of(h, g);

	if (phase == WAITING)
		return PROWL_STACKHASH_BUSY;
	generation_stats(h, g, ret);
	if (phase == SCATTERED)
		each_slot(h, g, NULL, NULL, &ret->damaged);
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

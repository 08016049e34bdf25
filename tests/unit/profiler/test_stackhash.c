/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stackhash.h"
#include "unit_test.h"

enum { ENTRY = 3 }; /* words of the arena that a key takes beside its own */

struct hash { /* a hash in a mapping of its own */
	struct prowl_stackhash h;
	void *mem;
	size_t len;
};

static void hash_init(struct hash *hash, uint32_t log2_slots, uint32_t words)
{
	struct prowl_stackhash_geometry geometry = {.log2_slots = log2_slots, .words = words};

	hash->len = prowl_stackhash_bytes(&geometry);
	assert_int_not_equal(hash->len, 0);
	hash->mem = mmap(NULL, hash->len, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(hash->mem, MAP_FAILED);
	assert_int_equal(prowl_stackhash_init(hash->mem, hash->len, &geometry, &hash->h), 0);
}

static void hash_fini(struct hash *hash)
{
	munmap(hash->mem, hash->len);
}

/* What one window holds, by the first word of its keys. */
struct window {
	uint64_t keys, count, weight;
	uint64_t count_of[256], weight_of[256], n_of[256];
};

static int window_add(void *arg, const uint64_t *words, size_t n, uint64_t count, uint64_t weight)
{
	struct window *w = arg;
	uint64_t id = n ? words[0] % 256 : 0;

	w->keys++;
	w->count += count;
	w->weight += weight;
	w->count_of[id] += count;
	w->weight_of[id] += weight;
	w->n_of[id] = n;
	return 0;
}

static void collect(const struct prowl_stackhash *h, struct window *w,
		    struct prowl_stackhash_stats *stats)
{
	memset(w, 0, sizeof *w);
	assert_int_equal(prowl_stackhash_flip(h, 0, NULL, NULL), 0);
	assert_int_equal(prowl_stackhash_each(h, window_add, w), 0);
	assert_int_equal(prowl_stackhash_stats(h, stats), 0);
	assert_int_equal(stats->slots, w->keys);
	assert_int_equal(stats->damaged, 0);
}

TEST(test_geometry)
{
	struct prowl_stackhash_geometry g = {.log2_slots = 10, .words = 1000};
	struct prowl_stackhash h, before;
	size_t len = prowl_stackhash_bytes(&g);
	char *mem = aligned_alloc(64, (len + 127) / 64 * 64);

	assert_non_null(mem);
	memset(mem, 0, len + 64);
	memset(&h, 0x5a, sizeof h);
	before = h;
	assert_int_equal(prowl_stackhash_attach(mem, len, &h), PROWL_STACKHASH_INVALID);
	assert_int_equal(prowl_stackhash_init(mem, len - 1, &g, &h), PROWL_STACKHASH_INVALID);
	assert_int_equal(prowl_stackhash_init(mem + 8, len, &g, &h), PROWL_STACKHASH_INVALID);
	g.log2_slots = PROWL_STACKHASH_LOG2_MIN - 1;
	assert_int_equal(prowl_stackhash_bytes(&g), 0);
	assert_int_equal(prowl_stackhash_init(mem, len, &g, &h), PROWL_STACKHASH_INVALID);
	g.log2_slots = PROWL_STACKHASH_LOG2_MAX + 1;
	assert_int_equal(prowl_stackhash_bytes(&g), 0);
	g = (struct prowl_stackhash_geometry){.log2_slots = 10, .words = UINT32_MAX};
	assert_int_equal(prowl_stackhash_bytes(&g), 0);
	assert_memory_equal(&h, &before, sizeof h);

	g.words = 1000;
	assert_int_equal(prowl_stackhash_init(mem, len, &g, &h), 0);
	assert_int_equal(prowl_stackhash_attach(mem, len - 1, &h), PROWL_STACKHASH_INVALID);
	assert_int_equal(prowl_stackhash_attach(mem, 8, &h), PROWL_STACKHASH_INVALID);
	assert_int_equal(prowl_stackhash_attach(mem + 8, len, &h), PROWL_STACKHASH_INVALID);
	assert_int_equal(prowl_stackhash_attach(mem, len, &h), 0);
	assert_int_equal(h.geometry.words, 1000);
	free(mem);
}

TEST(test_equal_keys)
{
	static const uint64_t key[] = {7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
	struct prowl_stackhash_stats stats;
	struct window w;
	struct hash hash;

	hash_init(&hash, 10, 1000);
	for (int i = 0; i < 100; i++)
		assert_int_equal(prowl_stackhash_add(&hash.h, key, 11, 2, 1000), 0);
	collect(&hash.h, &w, &stats);
	assert_int_equal(w.keys, 1);
	assert_int_equal(w.count_of[7], 200);
	assert_int_equal(w.weight_of[7], 100000);
	assert_int_equal(w.n_of[7], 11);
	assert_int_equal(stats.words, 11 + ENTRY);

	/* Also with one hash for all, only the length tells a prefix. */
	for (size_t n = 0; n <= 11; n++)
		assert_int_equal(prowl_stackhash_add_hashed(&hash.h, 5, key, n, 1, 1), 0);
	collect(&hash.h, &w, &stats);
	assert_int_equal(w.keys, 12);

	/* A prefix, a longer one that ends in zero and nothing at all are keys of their own. */
	for (size_t n = 0; n <= 11; n++)
		assert_int_equal(prowl_stackhash_add(&hash.h, key, n, 1, 1), 0);
	assert_int_equal(prowl_stackhash_add(&hash.h, (uint64_t[]){7, 0}, 2, 1, 1), 0);
	assert_int_equal(prowl_stackhash_add(&hash.h, (uint64_t[]){7, 0, 0}, 3, 1, 1), 0);
	collect(&hash.h, &w, &stats);
	assert_int_equal(w.keys, 14);
	assert_int_equal(w.count, 14);
	hash_fini(&hash);
}

TEST(test_one_word_differs)
{
	uint64_t key[40];
	struct prowl_stackhash_stats stats;
	struct window w;
	struct hash hash;

	hash_init(&hash, 10, 10000);
	memset(key, 0, sizeof key);
	/* With one hash for all it is the comparison that tells them apart. */
	for (size_t i = 0; i < 40; i++) {
		key[i] = 1;
		assert_int_equal(prowl_stackhash_add_hashed(&hash.h, 42, key, 40, 1, 1), 0);
		key[i] = 0;
	}
	collect(&hash.h, &w, &stats);
	assert_int_equal(w.keys, 40);
	assert_int_equal(stats.clashes, 40 * 39 / 2);
	hash_fini(&hash);
}

TEST(test_collisions)
{
	const uint64_t all = PROWL_STACKHASH_PROBES;
	struct prowl_stackhash_stats stats;
	struct window w;
	struct hash hash;

	/* Five tables, four, two and one: the sequence has as many slots. */
	for (uint32_t log2_slots = 20; log2_slots >= 8; log2_slots -= 4) {
		hash_init(&hash, log2_slots, 1000);
		for (int round = 0; round < 3; round++)
			for (uint64_t i = 0; i < all; i++)
				assert_int_equal(prowl_stackhash_add_hashed(
							 &hash.h, 0x123456789abcdef, &i, 1, 1, i),
						 0);
		/* The probe limit: dropped, though there are free slots elsewhere. */
		for (uint64_t i = all; i < all + 10; i++)
			assert_int_equal(
				prowl_stackhash_add_hashed(&hash.h, 0x123456789abcdef, &i, 1, 1, i),
				PROWL_STACKHASH_DROPPED);
		/* Same buckets, another tag (its lower bits don't change the stride): no room
		 * either. */
		assert_int_equal(
			prowl_stackhash_add_hashed(&hash.h, 0x123456689abcdef, &all, 1, 1, 1000),
			PROWL_STACKHASH_DROPPED);
		collect(&hash.h, &w, &stats);
		assert_int_equal(w.keys, all);
		for (uint64_t i = 0; i < all; i++) {
			assert_int_equal(w.count_of[i], 3);
			assert_int_equal(w.weight_of[i], 3 * i);
		}
		assert_int_equal(stats.dropped_count, 11);
		assert_int_equal(stats.dropped_weight, 10 * all + 45 + 1000);
		assert_int_equal(stats.words, (1 + ENTRY) * all);
		hash_fini(&hash);
	}
}

TEST(test_full_table)
{
	struct prowl_stackhash_stats stats;
	struct window w;
	struct hash hash;

	hash_init(&hash, 3, 1000);
	for (int round = 0; round < 2; round++)
		for (uint64_t i = 0; i < 20; i++)
			assert_int_equal(prowl_stackhash_add(&hash.h, &i, 1, 1, 100 + i),
					 i < 8 ? 0 : PROWL_STACKHASH_DROPPED);
	prowl_stackhash_live(&hash.h, &stats);
	assert_int_equal(stats.slots, 8);
	assert_int_equal(stats.slots_max, 8);
	assert_int_equal(stats.dropped_count, 24);
	collect(&hash.h, &w, &stats);
	assert_int_equal(w.keys, 8);
	assert_int_equal(w.count, 16);
	assert_int_equal(stats.dropped_count, 24);
	assert_int_equal(stats.dropped_weight, 2 * (12 * 100 + 8 * 12 + 66));
	assert_int_equal(stats.words, 8 * (1 + ENTRY));

	/* Full is over with the window. */
	for (uint64_t i = 20; i < 28; i++)
		assert_int_equal(prowl_stackhash_add(&hash.h, &i, 1, 1, 1), 0);
	collect(&hash.h, &w, &stats);
	assert_int_equal(w.keys, 8);
	assert_int_equal(stats.dropped_count, 0);
	hash_fini(&hash);
}

TEST(test_full_arena)
{
	uint64_t big[20] = {1}, small[] = {2, 2}, last[] = {3}, none = 4;
	struct prowl_stackhash_stats stats;
	struct window w;
	struct hash hash;

	hash_init(&hash, 8, 20 + 2 + 1 + 3 * ENTRY);
	assert_int_equal(prowl_stackhash_add(&hash.h, big, 20, 1, 1), 0);
	big[0] = 9;
	assert_int_equal(prowl_stackhash_add(&hash.h, big, 20, 1, 7), PROWL_STACKHASH_DROPPED);
	/* The large one took nothing away: a smaller one still fits, the next to the last word. */
	assert_int_equal(prowl_stackhash_add(&hash.h, small, 2, 1, 1), 0);
	assert_int_equal(prowl_stackhash_add(&hash.h, last, 1, 1, 1), 0);
	assert_int_equal(prowl_stackhash_add(&hash.h, &none, 1, 1, 5), PROWL_STACKHASH_DROPPED);
	assert_int_equal(prowl_stackhash_add(&hash.h, &none, 0, 1, 5), PROWL_STACKHASH_DROPPED);
	assert_int_equal(prowl_stackhash_add(&hash.h, small, 2, 1, 1), 0);
	collect(&hash.h, &w, &stats);
	assert_int_equal(w.keys, 3);
	assert_int_equal(w.count_of[2], 2);
	assert_int_equal(w.n_of[1], 20);
	assert_int_equal(stats.words, 23 + 3 * ENTRY);
	assert_int_equal(stats.words_max, 23 + 3 * ENTRY);
	assert_int_equal(stats.dropped_count, 3);
	assert_int_equal(stats.dropped_weight, 17);
	assert_int_equal(prowl_stackhash_add(&hash.h, big, 20, 1, 7), 0);
	hash_fini(&hash);

	hash_init(&hash, 8, 0);
	assert_int_equal(prowl_stackhash_add(&hash.h, NULL, 0, 1, 1), PROWL_STACKHASH_DROPPED);
	collect(&hash.h, &w, &stats);
	assert_int_equal(stats.dropped_count, 1);
	hash_fini(&hash);
}

TEST(test_longest_key)
{
	static uint64_t key[PROWL_STACKHASH_KEY_MAX + 1];
	struct prowl_stackhash_stats stats;
	struct window w;
	struct hash hash;

	hash_init(&hash, 8, 10000);
	key[0] = 5;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(prowl_stackhash_add(&hash.h, key, PROWL_STACKHASH_KEY_MAX, 1, 1),
				 0);
		assert_int_equal(
			prowl_stackhash_add(&hash.h, key, PROWL_STACKHASH_KEY_MAX + 1, 1, 10),
			PROWL_STACKHASH_DROPPED);
	}
	collect(&hash.h, &w, &stats);
	assert_int_equal(w.keys, 1);
	assert_int_equal(w.n_of[5], PROWL_STACKHASH_KEY_MAX);
	assert_int_equal(w.count, 2);
	assert_int_equal(stats.dropped_weight, 20);
	hash_fini(&hash);
}

static int stop_at_third(void *arg, const uint64_t *words, size_t n, uint64_t count,
			 uint64_t weight)
{
	return ++*(int *)arg == 3 ? 77 : 0;
}

TEST(test_windows)
{
	struct prowl_stackhash_stats stats;
	struct window w = {0};
	struct hash hash;
	int calls = 0;

	hash_init(&hash, 8, 1000);
	/* Before the first flip there is nothing to collect, and clearing is harmless. */
	assert_int_equal(prowl_stackhash_each(&hash.h, window_add, &w), 0);
	assert_int_equal(w.keys, 0);
	assert_int_equal(prowl_stackhash_clear(&hash.h), 0);

	for (uint64_t i = 0; i < 5; i++)
		prowl_stackhash_add(&hash.h, &i, 1, 1, 10);
	collect(&hash.h, &w, &stats);
	assert_int_equal(w.keys, 5);
	/* What comes now is the next window's; this one stays as it is and can be read again. */
	for (uint64_t i = 0; i < 3; i++)
		prowl_stackhash_add(&hash.h, &i, 1, 1, 20);
	memset(&w, 0, sizeof w);
	assert_int_equal(prowl_stackhash_each(&hash.h, window_add, &w), 0);
	assert_int_equal(w.count, 5);
	assert_int_equal(w.weight, 50);
	assert_int_equal(prowl_stackhash_each(&hash.h, stop_at_third, &calls), 77);
	assert_int_equal(calls, 3);

	assert_int_equal(prowl_stackhash_clear(&hash.h), 0);
	memset(&w, 0, sizeof w);
	assert_int_equal(prowl_stackhash_each(&hash.h, window_add, &w), 0);
	assert_int_equal(w.keys, 0);
	assert_int_equal(prowl_stackhash_stats(&hash.h, &stats), 0);
	assert_int_equal(stats.slots + stats.words, 0);

	collect(&hash.h, &w, &stats);
	assert_int_equal(w.count, 3);
	assert_int_equal(w.weight, 60);
	collect(&hash.h, &w, &stats); /* not cleared by us: flip does it */
	assert_int_equal(w.keys, 0);
	collect(&hash.h, &w, &stats);
	assert_int_equal(w.keys, 0);
	hash_fini(&hash);
}

/* Many windows of random content in small tables, against plain arrays. */
TEST(test_model)
{
	struct prowl_stackhash_stats stats;
	struct window w;
	struct hash hash;

	srandom(1);
	hash_init(&hash, 6, 600);
	for (int window = 0; window < 2000; window++) {
		uint64_t want[256] = {0}, dropped = 0, key[6];
		long adds = random() % 300;

		for (long i = 0; i < adds; i++) {
			uint64_t id = (uint64_t)(random() % (window % 2 ? 30 : 200));
			uint64_t weight = (uint64_t)random();

			for (size_t j = 0; j < 6; j++)
				key[j] = id * (j + 1);
			key[0] = id;
			if (prowl_stackhash_add(&hash.h, key, id % 6 + 1, 1, weight) == 0)
				want[id] += weight;
			else
				dropped += weight;
		}
		collect(&hash.h, &w, &stats);
		assert_int_equal(stats.dropped_weight, dropped);
		assert_int_equal(w.count + stats.dropped_count, adds);
		assert_memory_equal(w.weight_of, want, sizeof want);
		if (window % 3 == 0)
			prowl_stackhash_clear(&hash.h);
	}
	hash_fini(&hash);
}

TEST(test_fills_well)
{
	struct prowl_stackhash_stats stats;
	struct window w;
	struct hash hash;
	uint64_t key[12] = {0};

	/* Neighbouring addresses, as stacks have them; 60 % of the slots without a drop. */
	hash_init(&hash, 16, 1 << 20);
	for (uint64_t i = 0; i < 40000; i++) {
		key[5] = 0x400000 + i / 200 * 4;
		key[11] = 0x7f0000000000 + i % 200;
		assert_int_equal(prowl_stackhash_add(&hash.h, key, 12, 1, 1), 0);
	}
	collect(&hash.h, &w, &stats);
	assert_int_equal(w.keys, 40000);
	assert_int_equal(stats.clashes, 0);
	hash_fini(&hash);
}

TEST(test_few_pages)
{
	struct prowl_stackhash_geometry geometry = {.log2_slots = 18, .words = 1 << 24};
	struct prowl_stackhash_stats stats;
	struct prowl_stackhash h;
	struct window w;
	struct stat st;
	size_t len = prowl_stackhash_bytes(&geometry);
	uint64_t key[30] = {0};
	int fd = memfd_create("stackhash", MFD_CLOEXEC);
	void *mem;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	assert_int_equal(prowl_stackhash_init(mem, len, &geometry, &h), 0);
	for (uint64_t i = 0; i < 64; i++) {
		key[0] = i;
		assert_int_equal(prowl_stackhash_add(&h, key, 30, 1, 1), 0);
	}
	collect(&h, &w, &stats);
	assert_int_equal(w.keys, 64);
	assert_int_equal(prowl_stackhash_clear(&h), 0);
	collect(&h, &w, &stats);
	assert_int_equal(fstat(fd, &st), 0);
	/* 17 KB of keys, 4 KB of slots, 5 KB of bits twice, the header; of some 260 MB. */
	assert_in_range((uintmax_t)st.st_blocks * 512, 4096, 80 * 1024);
	munmap(mem, len);
	close(fd);
}

TEST(test_two_mappings)
{
	struct prowl_stackhash_geometry geometry = {.log2_slots = 10, .words = 4000};
	struct prowl_stackhash_stats stats;
	struct prowl_stackhash reader, writer;
	struct window w;
	size_t len = prowl_stackhash_bytes(&geometry);
	int fd = memfd_create("stackhash", MFD_CLOEXEC), status;
	void *mem, *other;
	pid_t pid;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	other = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	assert_ptr_not_equal(other, MAP_FAILED);
	assert_ptr_not_equal(mem, other);
	assert_int_equal(prowl_stackhash_init(mem, len, &geometry, &reader), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		munmap(mem, len);
		if (prowl_stackhash_attach(other, len, &writer) != 0)
			_exit(1);
		for (uint64_t i = 0; i < 100; i++)
			if (prowl_stackhash_add(&writer, (uint64_t[]){i, ~i, i}, 3, 1, i) != 0)
				_exit(2);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(prowl_stackhash_add(&reader, (uint64_t[]){7, ~UINT64_C(7), 7}, 3, 1, 0),
			 0);
	collect(&reader, &w, &stats);
	assert_int_equal(w.keys, 100);
	assert_int_equal(w.count_of[7], 2);
	assert_int_equal(w.weight, 4950);
	munmap(mem, len);
	munmap(other, len);
	close(fd);
}

/* Many at once are as many one by one: also twice the same, new and known, with and without room.
 */
TEST(test_many)
{
	enum { KEYS = 200 };
	static uint64_t words[KEYS][4];
	struct prowl_stackhash_key keys[KEYS];
	struct prowl_stackhash_stats stats;
	struct hash many, single;
	struct window w, v;

	srandom(3);
	hash_init(&many, 6, 150 * ENTRY);
	hash_init(&single, 6, 150 * ENTRY);
	for (size_t n = 0; n <= KEYS; n = n * 3 / 2 + 1) {
		size_t dropped = 0, count = 0, weight = 0;

		for (size_t i = 0; i < n; i++) {
			words[i][0] = (uint64_t)random() % (n + 1) % 256;
			words[i][1] = words[i][0] * 7;
			keys[i] = (struct prowl_stackhash_key){
				prowl_stackhash_hash(words[i], 1 + words[i][0] % 4), words[i],
				1 + words[i][0] % 4, 1 + i % 3, 5 + i % 7};
			if (prowl_stackhash_add(&single.h, keys[i].words, keys[i].n, keys[i].count,
						keys[i].weight) == PROWL_STACKHASH_OK)
				continue;
			dropped++;
			count += keys[i].count;
			weight += keys[i].weight;
		}
		assert_int_equal(prowl_stackhash_add_many(&many.h, keys, n), dropped);
		assert_true(n < KEYS / 2 || dropped > 0);
		collect(&single.h, &v, &stats);
		assert_int_equal(stats.dropped_count, count);
		collect(&many.h, &w, &stats);
		assert_int_equal(stats.dropped_count, count);
		assert_int_equal(stats.dropped_weight, weight);
		assert_memory_equal(&w, &v, sizeof w);
	}
	/* Longer than any: dropped, the others not. */
	keys[0] = (struct prowl_stackhash_key){1, words[0], PROWL_STACKHASH_KEY_MAX + 1, 1, 1};
	keys[1] = (struct prowl_stackhash_key){1, words[0], 1, 1, 1};
	assert_int_equal(prowl_stackhash_add_many(&many.h, keys, 2), 1);
	collect(&many.h, &w, &stats);
	assert_int_equal(w.keys, 1);
	hash_fini(&many);
	hash_fini(&single);
}

struct taken {
	struct window w;
	const char *from, *to; /* of the arena, told as done */
	size_t pieces, after;  /* after: keys that were told before their place was done */
	size_t stop;
};

static int take_one(void *arg, const uint64_t *words, size_t n, uint64_t count, uint64_t weight)
{
	struct taken *t = arg;

	t->after += !t->to || (const char *)words >= t->to;
	window_add(&t->w, words, n, count, weight);
	return t->w.keys == t->stop;
}

static void wipe(void *arg, void *at, size_t len)
{
	struct taken *t = arg;

	assert_true(!t->to || t->to == at); /* piece by piece, in a row */
	if (!t->from)
		t->from = at;
	t->to = (const char *)at + len;
	t->pieces++;
	memset(at, 0, len);
}

/* What was read is told as done, never what is still to be read, and then nothing is left. */
TEST(test_take)
{
	struct prowl_stackhash_stats stats;
	uint64_t key[30] = {0};
	struct window w;
	struct hash hash;

	hash_init(&hash, 14, 1 << 20);
	for (int round = 0; round < 4; round++) {
		struct taken t = {.stop = round == 3 ? 5000 : 0};

		for (uint64_t i = 0; i < 8000; i++) {
			key[0] = i % 256;
			key[29] = i;
			assert_int_equal(prowl_stackhash_add(&hash.h, key, 30, 1, 3), 0);
		}
		assert_int_equal(prowl_stackhash_flip(&hash.h, 0, NULL, NULL), 0);
		assert_int_equal(prowl_stackhash_take(&hash.h, take_one, &t, wipe), round == 3);
		assert_int_equal(t.w.keys, round == 3 ? 5000 : 8000);
		assert_int_equal(t.w.weight, 3 * t.w.keys);
		assert_int_equal(t.after, t.w.keys);
		assert_true(t.pieces >= 3);
		memset(&w, 0, sizeof w);
		assert_int_equal(prowl_stackhash_each(&hash.h, window_add, &w), 0);
		assert_int_equal(w.keys, 0);
		assert_int_equal(prowl_stackhash_stats(&hash.h, &stats), 0);
		assert_int_equal(stats.slots + stats.words + stats.damaged, 0);
	}
	hash_fini(&hash);
}

/*
 * A writer that is suspended at the worst place: its key lies in a page that can't be read, so that
 * it faults between its entry and its exit, and the fault's handler plays everybody else.
 */
static struct {
	struct hash hash;
	uint64_t *key;
	int flip, flip_again, each, take, clear, stats, nested, relaxed, signals;
	uint64_t nested_count;
} suspended;

static void count_relax(void *arg)
{
	++*(int *)arg;
}

static void on_fault(int sig)
{
	const struct prowl_stackhash *h = &suspended.hash.h;
	struct prowl_stackhash_stats stats;
	struct window w;
	uint64_t same[] = {200, 201};

	if (suspended.signals++) /* a fault that isn't ours: don't loop */
		_exit(99);
	/* Another add of the same key, by a handler that interrupted this one. */
	suspended.nested = prowl_stackhash_add_hashed(h, 5, same, 2, 10, 10);
	suspended.flip = prowl_stackhash_flip(h, 3, count_relax, &suspended.relaxed);
	/* The switch has happened: this is the next window's. */
	suspended.nested |= prowl_stackhash_add_hashed(h, 5, same, 2, 100, 100);
	suspended.flip_again = prowl_stackhash_flip(h, 1000, NULL, NULL);
	suspended.each = prowl_stackhash_each(h, window_add, &w);
	suspended.take = prowl_stackhash_take(h, window_add, &w, NULL);
	suspended.clear = prowl_stackhash_clear(h);
	suspended.stats = prowl_stackhash_stats(h, &stats);
	mprotect(suspended.key, 4096, PROT_READ);
}

TEST(test_suspended_writer)
{
	struct sigaction action = {.sa_handler = on_fault}, before;
	struct prowl_stackhash_stats stats;
	struct window w = {0};

	hash_init(&suspended.hash, 8, 1000);
	suspended.key = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			     0);
	assert_ptr_not_equal(suspended.key, MAP_FAILED);
	suspended.key[0] = 200;
	suspended.key[1] = 201;
	assert_int_equal(mprotect(suspended.key, 4096, PROT_NONE), 0);
	assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
	assert_int_equal(prowl_stackhash_add_hashed(&suspended.hash.h, 5, suspended.key, 2, 1, 1),
			 0);
	assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);

	assert_int_equal(suspended.signals, 1);
	assert_int_equal(suspended.nested, 0);
	assert_int_equal(suspended.flip, PROWL_STACKHASH_BUSY);
	assert_int_equal(suspended.relaxed, 3);
	assert_int_equal(suspended.flip_again, PROWL_STACKHASH_BUSY);
	assert_int_equal(suspended.each, PROWL_STACKHASH_BUSY);
	assert_int_equal(suspended.take, PROWL_STACKHASH_BUSY);
	assert_int_equal(suspended.clear, PROWL_STACKHASH_BUSY);
	assert_int_equal(suspended.stats, PROWL_STACKHASH_BUSY);

	/* Goes on with the flip that was made: the first window has both adds in one slot. */
	collect(&suspended.hash.h, &w, &stats);
	assert_int_equal(w.keys, 1);
	assert_int_equal(w.count_of[200], 11);
	assert_int_equal(stats.words, 2 * (2 + ENTRY)); /* one of them void */
	collect(&suspended.hash.h, &w, &stats);
	assert_int_equal(w.keys, 1);
	assert_int_equal(w.count_of[200], 100);
	munmap(suspended.key, 4096);
	hash_fini(&suspended.hash);
}

TEST(test_killed_writer)
{
	struct prowl_stackhash_stats stats;
	struct hash hash;
	struct window w;
	int status;
	pid_t pid;

	hash_init(&hash, 8, 1000);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit none = {0};
		uint64_t *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGSEGV, SIG_DFL);
		for (uint64_t i = 0; i < 50; i++)
			prowl_stackhash_add(&hash.h, &i, 1, 1, 1);
		prowl_stackhash_add_hashed(&hash.h, 1, hole, 10, 1, 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	/* Behind the room that it had reserved and not written. */
	for (uint64_t i = 50; i < 60; i++)
		assert_int_equal(prowl_stackhash_add(&hash.h, &i, 1, 1, 1), 0);

	assert_int_equal(prowl_stackhash_flip(&hash.h, 10, NULL, NULL), PROWL_STACKHASH_BUSY);
	prowl_stackhash_abandon(&hash.h);
	collect(&hash.h, &w, &stats);
	assert_int_equal(w.count, 60);
	assert_int_equal(w.keys, 60);
	/* And the generation is as good as new. */
	for (uint64_t window = 0; window < 4; window++) {
		assert_int_equal(prowl_stackhash_add(&hash.h, &window, 1, 1, 1), 0);
		collect(&hash.h, &w, &stats);
		assert_int_equal(w.count, 1);
	}
	hash_fini(&hash);
}

static int touch(void *arg, const uint64_t *words, size_t n, uint64_t count, uint64_t weight)
{
	for (size_t i = 0; i < n; i++)
		*(uint64_t *)arg += words[i];
	return 0;
}

/* A writer's process that writes anything anywhere: the reader stays inside of the region. */
TEST(test_scribbled)
{
	struct prowl_stackhash_geometry geometry = {.log2_slots = 8, .words = 3000};
	size_t len = prowl_stackhash_bytes(&geometry), room = (len + 4095) / 4096 * 4096;
	struct prowl_stackhash_stats stats;
	struct prowl_stackhash h;
	uint64_t sum = 0, damaged = 0;
	char *map = mmap(NULL, room + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
	char *mem;

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map + room, 4096, PROT_NONE), 0);
	mem = map + room - len; /* the end of the region touches the hole */
	srandom(2);
	for (int round = 0; round < 300; round++) {
		memset(mem, 0, len);
		assert_int_equal(prowl_stackhash_init(mem, len, &geometry, &h), 0);
		for (uint64_t i = 0; i < 40; i++)
			prowl_stackhash_add(&h, (uint64_t[]){i, i}, 2, 1, 1);
		prowl_stackhash_flip(&h, 0, NULL, NULL);
		for (size_t i = 64; i < len; i += round % 2 ? 1 : (size_t)random() % 64 + 1)
			mem[i] = (char)random();
		for (int flip = 0; flip < 4; flip++) {
			prowl_stackhash_each(&h, touch, &sum);
			if (prowl_stackhash_stats(&h, &stats) == 0)
				damaged += stats.damaged;
			prowl_stackhash_flip(&h, 10, NULL, NULL);
			prowl_stackhash_abandon(&h);
		}
		prowl_stackhash_clear(&h);
		/* The header: whatever it says, a handle is either refused or fits. */
		for (size_t i = 8; i < 16; i++)
			mem[i] = (char)(random() % (round % 3 ? 2 : 256));
		if (prowl_stackhash_attach(mem, len, &h) == 0)
			assert_true(prowl_stackhash_bytes(&h.geometry) <= len);
	}
	assert_int_not_equal(damaged, 0);
	munmap(map, room + 4096);
}

/* Slots that lead to each place near the end of the arena, with any head there. */
TEST(test_scribbled_end)
{
	struct prowl_stackhash_geometry geometry = {.log2_slots = 8, .words = 3007};
	size_t len = prowl_stackhash_bytes(&geometry), room = (len + 4095) / 4096 * 4096;
	char *map = mmap(NULL, room + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
	uint64_t sum = 0;
	char *mem;

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map + room, 4096, PROT_NONE), 0);
	mem = map + room - len;
	for (uint64_t at = 0; at < 16 * 8 * 4; at++) {
		uint64_t place = geometry.words - 6 + at / 32, head = at % 8 | (at / 8 % 4) << 62;
		struct prowl_stackhash_stats stats;
		struct prowl_stackhash h;
		uint64_t *slot, *arena;

		memset(mem, 0, len);
		assert_int_equal(prowl_stackhash_init(mem, len, &geometry, &h), 0);
		/* Into the generation that lies last. */
		assert_int_equal(prowl_stackhash_flip(&h, 0, NULL, NULL), 0);
		assert_int_equal(prowl_stackhash_add_hashed(&h, 0, &at, 1, 1, 1), 0);
		slot = (uint64_t *)h.part[1].buckets;
		arena = h.part[1].arena;
		assert_int_equal(*slot, 1);
		*slot = place;
		if (place + 2 <= geometry.words)
			arena[place + 2] = head;
		arena[3] = 0; /* the entry itself: so that the slots are asked */
		assert_int_equal(prowl_stackhash_flip(&h, 0, NULL, NULL), 0);
		prowl_stackhash_each(&h, touch, &sum);
		assert_int_equal(prowl_stackhash_stats(&h, &stats), 0);
		assert_true(stats.damaged <= 1);
		prowl_stackhash_take(&h, touch, &sum, NULL);
	}
	munmap(map, room + 4096);
}

static void check_range(const struct hash *hash, const struct prowl_stackhash_range *r)
{
	if (r->len == 0)
		return;
	assert_true((char *)r->at >= (char *)hash->mem);
	assert_true((char *)r->at + r->len <= (char *)hash->mem + hash->len);
}

/* What is told to come next lies in the region, and is where new keys then go. */
TEST(test_ahead)
{
	struct prowl_stackhash_ahead now, next;
	size_t tables = 0, full = 0;
	uint64_t key[4] = {0};
	struct hash hash;

	hash_init(&hash, 18, 8000 * (ENTRY + 4));
	now = prowl_stackhash_ahead(&hash.h, 1000);
	assert_int_equal(now.arena.len, 8000);
	assert_int_equal(now.table.len, 0);
	for (key[0] = 1; key[0] <= 8010; key[0]++) {
		uint64_t hashed = prowl_stackhash_hash(key, 4);
		int r;

		r = prowl_stackhash_add_hashed(&hash.h, hashed, key, 4, 1, 1);
		next = prowl_stackhash_ahead(&hash.h, 1000);
		check_range(&hash, &next.arena);
		check_range(&hash, &next.table);
		if (r == PROWL_STACKHASH_OK) {
			uint64_t *at = now.arena.at;

			assert_memory_equal(at + ENTRY, key, sizeof key);
			assert_true(next.arena.len == 0 || next.arena.at == at + ENTRY + 4);
		}
		tables += next.table.len != now.table.len;
		full += next.arena.len == 0;
		now = next;
	}
	assert_true(tables >= 3); /* the second comes, and has come; the third comes */
	assert_true(full > 0);
	hash_fini(&hash);
}

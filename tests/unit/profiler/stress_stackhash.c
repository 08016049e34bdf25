/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight writers, interrupted by signals whose handler writes too, and a reader that never stops
 * flipping: for each key, what was added is what was collected and what was dropped, to the unit.
 *
 *	stress_stackhash [ADDS]     adds in all, half of them into a hash that is too small
 *	stress_stackhash bench      what an add costs
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "stackhash.h"

#define WRITERS 8
#define KEYS    4096
#define LONGEST 64

struct tally {
	uint64_t count[KEYS], weight[KEYS];
};

struct writer {
	pthread_t thread;
	uint64_t adds, random, random_handler;
	_Atomic bool ready, done;
	/* A handler has its own, as it may interrupt the thread in the middle of a sum. */
	struct tally added, dropped, added_handler, dropped_handler;
};

static uint64_t keys[KEYS][LONGEST];
static struct prowl_stackhash hash;
static struct writer writers[WRITERS];
static struct tally collected;
static _Atomic bool writers_gone;
static _Thread_local struct writer *self;

static size_t key_len(uint64_t id)
{
	return 1 + id * 7 % LONGEST;
}

static uint64_t random_next(uint64_t *state)
{
	*state += UINT64_C(0x9d3f7b2c15e84a61);
	return prowl_stackhash_hash(state, 1);
}

static void die(const char *what, uint64_t id, uint64_t a, uint64_t b)
{
	fprintf(stderr, "key %" PRIu64 ": %s: %" PRIu64 ", %" PRIu64 "\n", id, what, a, b);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/*
 * Some keys are everywhere, most are rare: as in a profile. One add, or (of one key, so that it is
 * known which ones were dropped) some at once, at most `most`; returns how many.
 */
static uint64_t add_some(uint64_t *random, uint64_t most, struct tally *added,
			 struct tally *dropped)
{
	struct prowl_stackhash_key many[2 * PROWL_STACKHASH_BATCH];
	uint64_t r = random_next(random), n = 1, lost;
	uint64_t id = (r % KEYS) >> (r >> 32) % 10;
	uint64_t weight = r >> 40;

	if (r >> 60 == 0)
		n = 1 + (r >> 52) % (2 * PROWL_STACKHASH_BATCH);
	if (n > most)
		n = most;
	for (uint64_t i = 0; i < n; i++)
		many[i] = (struct prowl_stackhash_key){prowl_stackhash_hash(keys[id], key_len(id)),
						       keys[id], key_len(id), 1, weight};
	added->count[id] += n;
	added->weight[id] += n * weight;
	lost = n > 1 ? prowl_stackhash_add_many(&hash, many, n)
		     : prowl_stackhash_add(&hash, keys[id], key_len(id), 1, weight) < 0;
	dropped->count[id] += lost;
	dropped->weight[id] += lost * weight;
	return n;
}

static void on_signal(int sig)
{
	if (self)
		add_some(&self->random_handler, 1, &self->added_handler, &self->dropped_handler);
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;

	self = w;
	atomic_store(&w->ready, true);
	for (uint64_t i = 0; i < w->adds;)
		i += add_some(&w->random, w->adds - i, &w->added, &w->dropped);
	atomic_store(&w->done, true);
	return NULL;
}

struct window {
	uint64_t number;
	uint64_t seen[KEYS]; /* the window in which the key was last collected */
	uint64_t stacks;
};

static int collect_one(void *arg, const uint64_t *words, size_t n, uint64_t count, uint64_t weight)
{
	struct window *w = arg;
	uint64_t id = n ? words[0] : KEYS;

	if (id >= KEYS || n != key_len(id) || memcmp(words, keys[id], n * sizeof *words) != 0)
		die("not what was added", id, n, 0);
	if (w->seen[id] == w->number)
		die("twice in one window", id, w->number, 0);
	w->seen[id] = w->number;
	w->stacks++;
	collected.count[id] += count;
	collected.weight[id] += weight;
	return 0;
}

/* What was read is never read again. */
static void wipe(void *arg, void *at, size_t len)
{
	memset(at, 0xff, len);
}

/* Sleeps, as the writers that it waits for need the processor. */
static void relax(void *arg)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
}

struct reader {
	uint64_t windows, busy, stacks, dropped_count, dropped_weight;
};

static void *reader_main(void *arg)
{
	static struct window window;
	struct prowl_stackhash_stats stats;
	struct reader *reader = arg;
	int last = 0;

	window.stacks = 0;
	/* When the writers have gone, one more flip for what they left in the current window. */
	while (last < 2) {
		uint64_t before = window.stacks;

		if (atomic_load(&writers_gone))
			last++;
		/* From no patience at all to enough: both ways out of a flip are to be taken. */
		while (prowl_stackhash_flip(&hash, reader->windows % 4 * 10, relax, NULL) < 0) {
			reader->busy++;
			relax(NULL);
		}
		window.number++;
		reader->windows++;
		prowl_stackhash_stats(&hash, &stats);
		if (reader->windows % 3)
			prowl_stackhash_each(&hash, collect_one, &window);
		else
			prowl_stackhash_take(&hash, collect_one, &window, wipe);
		if (stats.damaged || stats.slots != window.stacks - before)
			die("slots", 0, stats.slots, window.stacks - before);
		reader->dropped_count += stats.dropped_count;
		reader->dropped_weight += stats.dropped_weight;
		if (reader->windows % 2)
			prowl_stackhash_clear(&hash);
		if (reader->windows % 8 < 6)
			nanosleep(&(struct timespec){.tv_nsec = 1000L << reader->windows % 11},
				  NULL);
	}
	reader->stacks = window.stacks;
	return NULL;
}

static void hash_new(uint32_t log2_slots, uint32_t words)
{
	struct prowl_stackhash_geometry geometry = {.log2_slots = log2_slots, .words = words};
	size_t len = prowl_stackhash_bytes(&geometry);
	void *mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED || prowl_stackhash_init(mem, len, &geometry, &hash) < 0) {
		fprintf(stderr, "no hash\n");
		exit(1);
	}
}

static void hash_free(void)
{
	munmap(hash.region, prowl_stackhash_bytes(&hash.geometry));
}

static void keys_make(void)
{
	uint64_t state = 1;

	for (uint64_t id = 0; id < KEYS; id++) {
		keys[id][0] = id;
		for (size_t i = 1; i < LONGEST; i++)
			keys[id][i] = random_next(&state);
	}
}

static void run(const char *name, uint64_t adds)
{
	uint64_t count = 0, dropped_count = 0, dropped_weight = 0, signals = 0, start = now_ns();
	struct reader reader = {0};
	pthread_t reader_thread;
	bool all_done = false;

	memset(&collected, 0, sizeof collected);
	memset(writers, 0, sizeof writers);
	atomic_store(&writers_gone, false);
	if (pthread_create(&reader_thread, NULL, reader_main, &reader) != 0)
		die("no thread", 0, 0, 0);
	for (uint64_t i = 0; i < WRITERS; i++) {
		writers[i].adds = adds / WRITERS;
		writers[i].random = i << 32;
		writers[i].random_handler = i << 32 | UINT64_C(1) << 31;
		if (pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]) != 0)
			die("no thread", 0, 0, 0);
	}
	while (!all_done) {
		all_done = true;
		for (int i = 0; i < WRITERS; i++) {
			if (atomic_load(&writers[i].done))
				continue;
			all_done = false;
			if (atomic_load(&writers[i].ready)) /* not joined yet, so it may be sent */
				pthread_kill(writers[i].thread, SIGUSR1);
		}
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	atomic_store(&writers_gone, true);
	pthread_join(reader_thread, NULL);

	for (uint64_t id = 0; id < KEYS; id++) {
		uint64_t c = 0, w = 0, dc = 0, dw = 0;

		for (int i = 0; i < WRITERS; i++) {
			const struct writer *t = &writers[i];

			c += t->added.count[id] + t->added_handler.count[id];
			w += t->added.weight[id] + t->added_handler.weight[id];
			dc += t->dropped.count[id] + t->dropped_handler.count[id];
			dw += t->dropped.weight[id] + t->dropped_handler.weight[id];
			signals += t->added_handler.count[id];
		}
		if (c != collected.count[id] + dc)
			die("count", id, c, collected.count[id] + dc);
		if (w != collected.weight[id] + dw)
			die("weight", id, w, collected.weight[id] + dw);
		count += c;
		dropped_count += dc;
		dropped_weight += dw;
	}
	if (dropped_count != reader.dropped_count || dropped_weight != reader.dropped_weight)
		die("dropped", 0, dropped_count, reader.dropped_count);
	if (count != adds / WRITERS * WRITERS + signals)
		die("adds", 0, count, adds);
	printf("%s: %" PRIu64 " adds (%" PRIu64 " in signal handlers) in %.1f s; %" PRIu64
	       " windows, %" PRIu64 " stacks, %" PRIu64 " flips busy, %" PRIu64
	       " dropped; sums exact\n",
	       name, count, signals, (double)(now_ns() - start) / 1e9, reader.windows,
	       reader.stacks, reader.busy, dropped_count);
	fflush(stdout);
}

/* One thread, keys of 30 words that are there already; the best of several rounds. */
static void bench(void)
{
	static uint64_t stacks[32768][30];
	const uint64_t rounds = 15, adds = 2000000;
	uint64_t state = 1, best, sum = 0;

	for (uint64_t i = 0; i < 32768; i++)
		for (size_t j = 0; j < 30; j++)
			stacks[i][j] = random_next(&state);
	for (uint64_t n = 1; n <= 32768; n *= 32) {
		hash_new(16, 1 << 21);
		best = UINT64_MAX;
		for (uint64_t r = 0; r < rounds; r++) {
			uint64_t start = now_ns(), took;

			for (uint64_t i = 0; i < adds; i++)
				prowl_stackhash_add(&hash, stacks[i * 5 % n], 30, 1, 10);
			took = now_ns() - start;
			best = took < best ? took : best;
		}
		printf("add, 30 words, %5" PRIu64 " stacks: %5.1f ns\n", n,
		       (double)best / (double)adds);
		hash_free();
	}
	best = UINT64_MAX;
	for (uint64_t r = 0; r < rounds; r++) {
		uint64_t start = now_ns(), took;

		for (uint64_t i = 0; i < adds; i++)
			sum += prowl_stackhash_hash(stacks[(i ^ sum) % 8], 30);
		took = now_ns() - start;
		best = took < best ? took : best;
	}
	printf("hash alone, 30 words: %.1f ns (%" PRIx64 ")\n", (double)best / (double)adds, sum);

	hash_new(16, 1 << 21);
	for (sum = 0; prowl_stackhash_add(&hash, (uint64_t[]){sum, 1, 2}, 3, 1, 1) == 0; sum++)
		;
	printf("first drop with %" PRIu64 " stacks in a main table of 65536 slots\n", sum);
	hash_free();
}

int main(int argc, char **argv)
{
	uint64_t adds = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;

	if (argc > 1 && strcmp(argv[1], "bench") == 0) {
		bench();
		return 0;
	}
	if (adds == 0) {
		fprintf(stderr, "usage: %s [ADDS | bench]\n", argv[0]);
		return 2;
	}
	keys_make();
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_signal, .sa_flags = SA_RESTART},
		  NULL);
	hash_new(14, 1 << 19);
	run("roomy", adds / 2);
	hash_free();
	hash_new(8, 8192);
	run("tight", adds - adds / 2);
	hash_free();
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels of goroutines, in memory that is laid out here as the runtime of a version does it: a
 * thread with its three g's, and label sets as maps and as slices, whole and damaged.
 */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golabels.h"
#include "unit_test.h"

#define BASE 0xc000000000ull
#define G    (BASE + 0x0000) /* the user goroutine */
#define G0   (BASE + 0x0400)
#define GSIG (BASE + 0x0800)
#define M    (BASE + 0x0c00)
#define SET  (BASE + 0x1000) /* what g.labels points to */
#define HMAP (BASE + 0x1040)
#define DATA (BASE + 0x2000) /* elements or buckets */
#define OLD  (BASE + 0x8000)
#define TEXT (BASE + 0xc000)
enum { BYTES = 0x20000, BUCKET = 272, STACK = 0x8000 };

struct world {
	const struct uw_golayout *l;
	uint8_t bytes[BYTES];
	struct uw_mem_bytes range;
	struct uw_mem mem;
	uint64_t text; /* next free place for a string */
	uint64_t m;
	struct uw_regs regs;
	struct uw_golabels labels;
	/* The reads after which the labels of G become `then`; 0: never. */
	int change_after;
	uint64_t then;
};

static void put(struct world *w, uint64_t at, uint64_t v)
{
	assert_true(at >= BASE && at + 8 <= BASE + BYTES);
	memcpy(w->bytes + (at - BASE), &v, 8);
}

static uint64_t stack_of(uint64_t g)
{
	return 0x7000000000 + (g - BASE) * 0x100;
}

static void put_g(struct world *w, uint64_t g, uint64_t goid)
{
	put(w, g + w->l->g.stack, stack_of(g));
	put(w, g + w->l->g.stack + 8, stack_of(g) + STACK);
	put(w, g + w->l->g.m, M);
	put(w, g + w->l->g.sched + w->l->gobuf.g, g);
	put(w, g + w->l->g.goid, goid);
	w->bytes[g - BASE + w->l->g.atomicstatus] = 2;
}

static int read_world(void *ctx, uint64_t addr, void *buf, size_t len)
{
	struct world *w = ctx;
	struct uw_mem mem = uw_mem_bytes(&w->range);
	int r = uw_read(&mem, addr, buf, len);

	if (w->change_after && --w->change_after == 0)
		put(w, G + w->l->g.labels, w->then);
	return r;
}

static struct world *world(int minor)
{
	struct world *w = calloc(1, sizeof *w);

	assert_non_null(w);
	w->l = uw_golayout_for(minor, 0);
	assert_non_null(w->l);
	w->range = (struct uw_mem_bytes){.base = BASE, .bytes = w->bytes, .len = BYTES};
	w->mem = (struct uw_mem){.read = read_world, .ctx = w};
	w->text = TEXT;
	put_g(w, G, 17);
	put_g(w, G0, 0);
	put_g(w, GSIG, 0);
	put(w, M + w->l->m.g0, G0);
	put(w, M + w->l->m.gsignal, GSIG);
	put(w, M + w->l->m.curg, G);
	w->regs = (struct uw_regs){.sp = stack_of(G) + 0x4000, .r14 = G};
	return w;
}

static void put_string(struct world *w, uint64_t at, const char *s)
{
	put(w, at, s[0] ? w->text : 0);
	put(w, at + 8, strlen(s));
	assert_true(w->text + strlen(s) <= BASE + BYTES);
	memcpy(w->bytes + (w->text - BASE), s, strlen(s));
	w->text += strlen(s);
}

static void put_slice(struct world *w, uint64_t set, uint64_t elements, size_t n,
		      const char *const *strings)
{
	put(w, set, elements);
	put(w, set + 8, n);
	put(w, set + 16, n);
	for (size_t i = 0; i < 2 * n; i++)
		put_string(w, elements + i * 16, strings[i]);
}

static void put_cell(struct world *w, uint64_t bucket, size_t i, const char *key, const char *value)
{
	w->bytes[bucket - BASE + i] = (uint8_t)(5 + i);
	put_string(w, bucket + 8 + i * 16, key);
	put_string(w, bucket + 136 + i * 16, value);
}

static void put_map(struct world *w, uint64_t count, unsigned int b, uint64_t buckets, uint64_t old)
{
	put(w, SET, HMAP);
	put(w, HMAP, count);
	put(w, HMAP + 8, (uint64_t)b << 8);
	put(w, HMAP + 16, buckets);
	put(w, HMAP + 24, old);
	put(w, G + w->l->g.labels, SET);
}

static int get(struct world *w)
{
	return uw_golabels_read(w->l, &w->mem, &w->regs, &w->m, &w->labels);
}

/* "key=value key=value", or the error. */
static const char *shown(struct world *w)
{
	static char buf[UW_LABELS_MAX * 2 * (UW_LABEL_BYTES + 2)];
	size_t len = 0;
	int r = get(w);

	if (r < 0)
		return strerror(-r);
	assert_int_equal((size_t)r, w->labels.n);
	buf[0] = '\0';
	for (size_t i = 0; i < w->labels.n; i++) {
		assert_int_equal(strlen(w->labels.label[i].key), w->labels.label[i].key_len);
		assert_int_equal(strlen(w->labels.label[i].value), w->labels.label[i].value_len);
		len += (size_t)snprintf(buf + len, sizeof buf - len, "%s%s=%s", i ? " " : "",
					w->labels.label[i].key, w->labels.label[i].value);
	}
	return buf;
}

#define assert_labels(w, text)  assert_string_equal(shown(w), text)
#define assert_error(w, number) assert_string_equal(shown(w), strerror(number))

static const char *const two[] = {"tenant", "red", "zone", "a"};

/* A thread of a version that has slices, its goroutine labelled. */
static struct world *labelled(void)
{
	struct world *w = world(27);

	put_slice(w, SET, DATA, 2, two);
	put(w, G + w->l->g.labels, SET);
	return w;
}

/* --- whose labels ---------------------------------------------------------------- */

TEST(test_none)
{
	struct world *w = world(27);

	assert_labels(w, "");
	assert_int_equal(w->m, M);
	free(w);
}

TEST(test_every_version)
{
	for (int minor = 16; minor <= 27; minor++) {
		struct world *w = world(minor);

		if (w->l->labels_slice) {
			put_slice(w, SET, DATA, 2, two);
			put(w, G + w->l->g.labels, SET);
		} else {
			put_cell(w, DATA, 3, "zone", "a");
			put_cell(w, DATA, 0, "tenant", "red");
			put_map(w, 2, 0, DATA, 0);
		}
		for (int i = 0; i < 3; i++)
			assert_labels(w, "tenant=red zone=a");
		free(w);
	}
}

TEST(test_other_stacks)
{
	struct world *w = labelled();

	w->regs.r14 = G0; /* the runtime on the thread's own stack */
	w->regs.sp = stack_of(G0) + 8;
	assert_labels(w, "tenant=red zone=a");
	w->regs.r14 = GSIG; /* a signal handler */
	w->regs.sp = stack_of(GSIG) + STACK;
	assert_labels(w, "tenant=red zone=a");
	w->regs.r14 = G; /* C or the vDSO, which left the register alone */
	w->regs.sp = stack_of(G0) + 800;
	assert_labels(w, "tenant=red zone=a");
	put(w, M + w->l->m.curg, 0); /* the scheduler */
	w->regs.r14 = G0;
	assert_labels(w, "");
	free(w);
}

TEST(test_left_its_thread)
{
	struct world *w = labelled();

	put(w, G + w->l->g.m, 0);
	assert_labels(w, "tenant=red zone=a");
	assert_int_equal(w->m, 0);
	w->bytes[G - BASE + w->l->g.atomicstatus] = 6;
	assert_error(w, ENOENT);
	free(w);
}

TEST(test_no_g)
{
	static const uint64_t wild[] = {0, 1, 8, G + 4, SET, M, BASE + BYTES, UINT64_MAX, ~7ull};
	struct world *w = labelled();

	for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
		w->regs.r14 = wild[i];
		assert_error(w, ENOENT);
	}
	w->regs.r14 = G;
	w->regs.sp = stack_of(G); /* stack.lo is not on the stack */
	assert_error(w, ENOENT);
	w->regs.sp = stack_of(G) + STACK + 8;
	assert_error(w, ENOENT);
	w->regs.sp = 0;
	assert_error(w, ENOENT);
	free(w);
}

TEST(test_known_thread)
{
	struct world *w = labelled();

	assert_labels(w, "tenant=red zone=a");
	assert_int_equal(w->m, M);
	w->regs.r14 = 12345; /* C code */
	w->regs.sp = stack_of(G0) + 800;
	assert_labels(w, "tenant=red zone=a");
	w->regs.sp = stack_of(M); /* no stack of this thread */
	assert_error(w, ENOENT);
	w->regs.sp = stack_of(G0) + 800;
	put(w, G + w->l->g.m, M + 8); /* its goroutine went elsewhere */
	assert_error(w, ENOENT);
	put(w, G + w->l->g.m, M);
	w->m = G; /* no m at all */
	assert_true(get(w) < 0);
	w->m = BASE + BYTES;
	assert_true(get(w) < 0);
	w->m = 0;
	assert_error(w, ENOENT);
	free(w);
}

/* A g that its m doesn't know is none. */
TEST(test_strange_m)
{
	struct world *w = labelled();

	w->regs.r14 = G;
	w->regs.sp = stack_of(G0) + 800;
	put(w, M + w->l->m.curg, GSIG);
	assert_error(w, ENOENT);
	put(w, M + w->l->m.curg, 13);
	assert_error(w, ENOENT);
	put(w, M + w->l->m.g0, 0);
	assert_error(w, ENOENT);
	free(w);
}

/* --- slices ---------------------------------------------------------------------- */

TEST(test_sorted)
{
	static const char *const s[] = {"b", "2", "", "empty key", "ab", "", "a", "1"};
	struct world *w = labelled();

	put_slice(w, SET, DATA, 4, s);
	assert_labels(w, "=empty key a=1 ab= b=2");
	free(w);
}

TEST(test_longest)
{
	char name[UW_LABEL_BYTES + 2];
	const char *strings[2 * UW_LABELS_MAX];
	struct world *w = labelled();

	memset(name, 'x', sizeof name - 1);
	name[UW_LABEL_BYTES + 1] = '\0';
	for (size_t i = 0; i < 2 * UW_LABELS_MAX; i++)
		strings[i] = name + 1;
	put_slice(w, SET, DATA, UW_LABELS_MAX, strings);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(get(w), UW_LABELS_MAX);
		assert_int_equal(w->labels.label[UW_LABELS_MAX - 1].value_len, UW_LABEL_BYTES);
		assert_false(w->labels.cut);
		assert_int_equal(w->labels.left_out, 0);
	}
	free(w);
}

/* What is too long is cut, at a whole character; the other labels are as they are. */
TEST(test_too_long)
{
	static const char *const characters[] = {"~", "\xc3\xa4", "\xe2\x82\xac",
						 "\xf0\x9f\x90\xbe"};

	for (size_t c = 0; c < 4; c++) {
		char value[2000] = "", want[600] = "";
		const char *strings[] = {"sql", value, "zone", "a", value, "by"};
		struct world *w = labelled();
		size_t len = strlen(characters[c]);

		for (size_t i = 0; i < 300; i++)
			memcpy(value + i * len, characters[c], len);
		memcpy(want, value, (UW_LABEL_BYTES - 3) / len * len);
		strcat(want, "\xe2\x80\xa6");
		put_slice(w, SET, DATA, 3, strings);
		for (int i = 0; i < 2; i++) { /* read apart, and read ahead */
			assert_int_equal(get(w), 3);
			assert_true(w->labels.cut);
			assert_string_equal(w->labels.label[0].key, "sql");
			assert_string_equal(w->labels.label[0].value, want);
			assert_int_equal(w->labels.label[0].value_len, strlen(want));
			assert_string_equal(w->labels.label[1].value, "a");
			assert_string_equal(w->labels.label[2].key, want);
			assert_string_equal(w->labels.label[2].value, "by");
		}
		free(w);
	}
}

/* Of too many those stay whose keys sort first, in whatever order they lie. */
TEST(test_too_many)
{
	enum { N = 100 };
	char keys[N][8];
	const char *strings[2 * N];

	for (int way = 0; way < 2; way++) {
		struct world *w = way ? labelled() : world(22);

		for (size_t i = 0; i < N; i++) {
			snprintf(keys[i], sizeof keys[i], "k%02zu", i * 37 % N);
			strings[2 * i] = keys[i];
			strings[2 * i + 1] = keys[i] + 1;
			if (way == 0)
				put_cell(w, DATA + BUCKET * (i / 7), i % 7, keys[i], keys[i] + 1);
		}
		if (way == 0)
			put_map(w, N, 4, DATA, 0);
		else
			put_slice(w, SET, DATA, N, strings);
		assert_int_equal(get(w), UW_LABELS_MAX);
		assert_int_equal(w->labels.left_out, N - UW_LABELS_MAX);
		assert_false(w->labels.cut);
		for (size_t i = 0; i < UW_LABELS_MAX; i++) {
			char want[8];

			snprintf(want, sizeof want, "k%02zu", i);
			assert_string_equal(w->labels.label[i].key, want);
			assert_string_equal(w->labels.label[i].value, want + 1);
		}
		free(w);
	}
}

/* More than are looked at. */
TEST(test_hundreds)
{
	struct world *w = labelled();

	for (size_t i = 0; i < 600; i++) {
		put(w, OLD + i * 32, TEXT);
		put(w, OLD + i * 32 + 8, 1);
	}
	put(w, SET, OLD);
	put(w, SET + 8, 600);
	put(w, SET + 16, 600);
	assert_int_equal(get(w), UW_LABELS_MAX);
	assert_int_equal(w->labels.left_out, 600 - UW_LABELS_MAX);
	free(w);
}

TEST(test_damaged_slices)
{
	struct world *w = labelled();

	put(w, SET + 8, 1ull << 40);
	put(w, SET + 16, 1ull << 40);
	assert_error(w, EBADMSG);
	put_slice(w, SET, DATA, 2, two);
	put(w, SET + 16, 1); /* len > cap */
	assert_error(w, EBADMSG);
	put(w, SET + 16, 2);
	put(w, SET, 3);
	assert_error(w, EBADMSG);
	put(w, SET, BASE + BYTES - 8);
	assert_true(get(w) < 0);
	put(w, SET, DATA);
	put(w, DATA + 8, 1ull << 60);
	assert_error(w, EBADMSG);
	put(w, DATA + 8, 6);
	put(w, DATA, UINT64_MAX - 2);
	assert_true(get(w) < 0);
	put(w, G + w->l->g.labels, SET + 1);
	assert_error(w, EBADMSG);
	put(w, G + w->l->g.labels, 0);
	assert_labels(w, "");
	free(w);
}

TEST(test_nul)
{
	struct world *w = labelled();

	w->bytes[TEXT - BASE + 2] = '\0';
	assert_labels(w, "te\xff"
			 "ant=red zone=a");
	assert_true(w->labels.cut);
	w->bytes[TEXT - BASE + 2] = 'n';
	w->bytes[TEXT - BASE + 8] = '\0'; /* the last byte of a text */
	assert_labels(w, "tenant=re\xff zone=a");
	free(w);
}

/* --- maps ------------------------------------------------------------------------ */

TEST(test_overflowing)
{
	struct world *w = world(22);
	char want[400] = "", key[8], value[8];
	size_t len = 0;

	/* Two buckets, the second one with two more behind it. */
	for (int i = 0; i < 26; i++) {
		uint64_t bucket = i < 2 ? DATA : DATA + BUCKET * (uint64_t)(1 + (i - 2) / 8);

		snprintf(key, sizeof key, "k%02d", i);
		snprintf(value, sizeof value, "v%d", i);
		put_cell(w, bucket, i < 2 ? (size_t)i : (size_t)(i - 2) % 8, key, value);
		len += (size_t)snprintf(want + len, sizeof want - len, "%s%s=%s", i ? " " : "", key,
					value);
	}
	put(w, DATA + BUCKET + 264, DATA + 2 * BUCKET);
	put(w, DATA + 2 * BUCKET + 264, DATA + 3 * BUCKET);
	put_map(w, 26, 1, DATA, 0);
	assert_labels(w, want);
	assert_labels(w, want);
	free(w);
}

TEST(test_growing)
{
	struct world *w = world(23);

	/* Four new buckets; of two old ones the first has been moved. */
	put_cell(w, DATA, 0, "a", "1");
	put_cell(w, DATA + 2 * BUCKET, 1, "b", "2");
	put_cell(w, OLD, 0, "a", "stale");
	w->bytes[OLD - BASE] = 2;
	put_cell(w, OLD + BUCKET, 0, "c", "3");
	put_map(w, 3, 2, DATA, OLD);
	assert_labels(w, "a=1 b=2 c=3");
	w->bytes[HMAP - BASE + 8] = 8; /* as many old ones as new ones */
	put_cell(w, OLD + 3 * BUCKET, 7, "d", "4");
	put(w, HMAP, 4);
	assert_labels(w, "a=1 b=2 c=3 d=4");
	free(w);
}

TEST(test_damaged_maps)
{
	struct world *w = world(19);

	put_cell(w, DATA, 0, "a", "1");
	put_map(w, 1, 0, DATA, 0);
	assert_labels(w, "a=1");
	put(w, DATA + 264, DATA); /* a circle with a label in it */
	assert_error(w, EBADMSG);
	put(w, DATA + 264, DATA + BUCKET); /* an empty one */
	put(w, DATA + BUCKET + 264, DATA + BUCKET);
	assert_error(w, EBADMSG);
	put(w, DATA + 264, 0);
	put(w, DATA + BUCKET + 264, 0);
	put_map(w, 1, 255, DATA, 0);
	assert_error(w, EBADMSG);
	put_map(w, 1, 17, DATA, 0);
	assert_error(w, EBADMSG);
	put_map(w, 1, 6, DATA, 0);
	assert_labels(w, "a=1");
	put_map(w, 1, 6, BASE + BYTES - 2 * BUCKET, 0);
	assert_true(get(w) < 0);
	put_map(w, 33, 0, DATA, 0);
	assert_error(w, EBADMSG);
	put_map(w, 1ull << 40, 0, DATA, 0);
	assert_error(w, EBADMSG);
	put_map(w, 2, 0, DATA, 0); /* one is missing */
	assert_error(w, EBADMSG);
	put_map(w, 1, 0, 0, 0);
	assert_error(w, EBADMSG);
	put_map(w, 1, 0, DATA, 7);
	assert_error(w, EBADMSG);
	put_map(w, 0, 0, 0, 0);
	assert_labels(w, "");
	put(w, SET, 0); /* a nil map */
	assert_labels(w, "");
	put(w, SET, 9);
	assert_error(w, EBADMSG);
	free(w);
}

/* --- memory that changes --------------------------------------------------------- */

TEST(test_changed)
{
	static const char *const blue[] = {"tenant", "blue"};

	/* At whatever read the change comes, the labels are the old or the new ones. */
	for (int after = 1; after < 12; after++) {
		struct world *w = labelled();
		const char *s;

		put_slice(w, SET + 64, DATA + 512, 1, blue);
		for (int warm = 0; warm < 2; warm++) {
			put(w, G + w->l->g.labels, SET);
			w->change_after = after;
			w->then = SET + 64;
			s = shown(w);
			assert_true(!strcmp(s, "tenant=red zone=a") || !strcmp(s, "tenant=blue"));
			put(w, G + w->l->g.labels, SET);
			w->change_after = after;
			w->then = 0;
			s = shown(w);
			assert_true(!strcmp(s, "tenant=red zone=a") || !strcmp(s, ""));
		}
		free(w);
	}
}

/* The same pointers, later: what is there then counts, not what was. */
TEST(test_reused)
{
	static const char *const other[] = {"a", "b", "c", "d", "e", "f"};
	struct world *w = labelled();

	assert_labels(w, "tenant=red zone=a");
	memcpy(w->bytes + (TEXT - BASE) + 6, "RED", 3);
	assert_labels(w, "tenant=RED zone=a");
	put_slice(w, SET, DATA + 512, 3, other);
	assert_labels(w, "a=b c=d e=f");
	put(w, SET + 8, 1);
	assert_labels(w, "a=b");
	put(w, SET + 8, 3);
	put(w, DATA + 512, BASE + BYTES);
	assert_true(get(w) < 0);
	put(w, DATA + 512, TEXT);
	assert_labels(w, "c=d e=f t=b");
	free(w);
}

TEST(test_noise)
{
	uint64_t seed = 88172645463325252ull;
	struct world *w = world(19), *clean = world(19);

	for (int i = 0; i < 10; i++)
		put_cell(clean, i < 8 ? DATA : DATA + BUCKET, (size_t)i % 8, two[i % 3], two[1]);
	put(clean, DATA + 264, DATA + BUCKET);
	put_map(clean, 10, 0, DATA, 0);
	for (int i = 0; i < 40000; i++) {
		memcpy(w->bytes, clean->bytes, TEXT - BASE + 64);
		if (i & 1) {
			w->l = uw_golayout_for(27, 0);
			memcpy(w->bytes, clean->bytes, 16);
			put_g(w, G, 17);
			put_slice(w, SET, DATA, 2, two);
			put(w, G + w->l->g.labels, SET);
			w->text = TEXT;
		} else {
			w->l = clean->l;
		}
		for (int k = 0; k < 3; k++) {
			static const uint16_t parts[] = {0, 0x400, 0xc00, 0x1000, 0x2000};
			size_t at;

			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			at = parts[seed % 5] + (seed >> 8) % 480;
			w->bytes[at] = (uint8_t)(seed >> 40);
		}
		w->regs.sp = stack_of(i & 2 ? G0 : G) + 64;
		assert_true(get(w) <= UW_LABELS_MAX);
	}
	free(w);
	free(clean);
}

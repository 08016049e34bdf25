/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include "testing.h"
#include "unit_test.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

TEST(decoding_gives_what_was_encoded)
{
	static const int levels[] = {PPROF_LEVEL_RAW, PPROF_LEVEL_DEFAULT, 1, 6, 9};
	struct pprof_profile *p = t_rich();

	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		struct t_bytes b = t_encode(p, levels[i]);
		struct pprof_profile *q = t_decode(b);

		assert_int_equal(q->nsamples, p->nsamples);
		assert_int_equal(q->nlocations, p->nlocations);
		assert_int_equal(q->time_nanos, p->time_nanos);
		assert_string_equal(q->strings[q->comments[0]], "second thoughts");
		assert_string_equal(q->strings[q->drop_frames], "malloc|free");
		t_same(p, q);
		pprof_profile_free(q);
		free(b.bytes);
	}
	pprof_profile_free(p);
}

TEST(empty_profile_round_trips)
{
	struct pprof_profile *p = t_new(), *q;
	struct t_bytes b = t_encode(p, PPROF_LEVEL_DEFAULT);

	q = t_decode(b);
	t_same(p, q);
	free(b.bytes);
	pprof_profile_free(p);
	pprof_profile_free(q);
}

static struct pprof_profile *shuffled(bool backwards)
{
	struct pprof_profile *p = t_new();
	uint32_t m;

	if (backwards)
		for (int i = 99; i >= 0; i--)
			t_str(p, (char[]){'u', '0' + i / 10, '0' + i % 10, 0});
	t_types(p);
	m = t_mapping(p, 0x1000, "bin");
	for (int n = 0; n < 50; n++) {
		int i = backwards ? 49 - n : n;
		char name[] = {'f', 'a' + i % 7, 'a' + i % 5, '\0'};
		uint32_t stack[] = {t_loc(p, m, 0x1000 + i, name, i),
				    t_loc(p, m, 0x2000 + i % 3, "root", 1)};
		struct pprof_label labels[] = {
			{.key = t_str(p, "k"), .str = t_str(p, name)},
			{.key = t_str(p, "a"), .num = i, .unit = t_str(p, "u")},
		};

		t_add(p, stack, 2, i, labels, i % 3);
	}
	return p;
}

TEST(order_of_building_does_not_show)
{
	struct pprof_profile *p = shuffled(false), *q = shuffled(true);
	struct t_bytes a = t_encode(p, 1), b = t_encode(q, 1);

	t_same(p, q);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.bytes, b.bytes, a.len);
	free(a.bytes);
	free(b.bytes);
	pprof_profile_free(p);
	pprof_profile_free(q);
}

TEST(files_are_the_same_bytes)
{
	struct pprof_profile *p = t_rich(), *q;
	FILE *f = tmpfile();

	assert_non_null(f);
	assert_int_equal(pprof_write_fd(p, 1, fileno(f)), 0);
	assert_int_equal(lseek(fileno(f), 0, SEEK_SET), 0);
	assert_int_equal(pprof_read_fd(fileno(f), 0, &q, NULL), 0);
	t_same(p, q);
	assert_int_equal(pprof_write_fd(p, 1, -1), -EBADF);
	assert_int_equal(pprof_write_fd(p, 10, fileno(f)), -EINVAL);
	fclose(f);
	pprof_profile_free(p);
	pprof_profile_free(q);
}

/* Stacks of a few locations that share much, labels in any order, with many repeats. */
static void random_sample(struct pprof_profile *p, bool append)
{
	struct pprof_label labels[] = {{.key = t_str(p, "k"), .str = t_str(p, "v")},
				       {.key = t_str(p, "n"), .num = random() % 2 + 1}};
	struct pprof_label swapped[] = {labels[1], labels[0]};
	int64_t values[] = {1 + random() % 5, 10};
	size_t n = (size_t)random() % 9, nlabels = (size_t)random() % 3;
	const struct pprof_label *l = random() % 2 ? labels : swapped;
	uint32_t stack[8];

	if (nlabels == 1)
		l = labels;
	for (size_t i = 0; i < n; i++) {
		char name[2] = {(char)('a' + random() % 2), '\0'};

		stack[i] = t_loc(p, PPROF_NONE, (uint64_t)name[0], name, 1);
	}
	if (append)
		assert_int_equal(pprof_sample_append(p, stack, n, values, l, nlabels), 0);
	else
		assert_int_equal(pprof_sample_add(p, stack, n, values, l, nlabels), 0);
}

static const char *root(const struct pprof_profile *p, size_t sample, size_t depth)
{
	const struct pprof_sample *s = &p->samples[sample];
	const struct pprof_location *l;

	if (depth >= s->nlocations)
		return "";
	l = &p->locations[p->stacks[s->first_location + s->nlocations - 1 - depth]];
	return p->strings[p->functions[p->lines[l->first_line].function].name];
}

/* Equal samples that were appended are one in the file, as if they had been added up before. */
TEST(equal_samples_are_written_as_one)
{
	struct pprof_profile *apart = t_new(), *summed = t_new(), *read;
	uint8_t *a, *b;
	size_t na, nb;

	t_types(apart);
	t_types(summed);
	for (int i = 0; i < 6000; i++) {
		srandom((unsigned int)i);
		random_sample(apart, true);
		srandom((unsigned int)(6000 - 1 - i));
		random_sample(summed, false);
	}
	assert_int_equal(apart->nsamples, 6000);
	assert_true(summed->nsamples < 3000);
	assert_int_equal(pprof_encode(apart, PPROF_LEVEL_RAW, &a, &na), 0);
	assert_int_equal(pprof_encode(summed, PPROF_LEVEL_RAW, &b, &nb), 0);
	assert_int_equal(na, nb);
	assert_memory_equal(a, b, na);
	assert_int_equal(pprof_decode(a, na, 0, &read, NULL), 0);
	assert_int_equal(read->nsamples, summed->nsamples);
	/* In the order of their stacks, from the root on. */
	for (size_t i = 1; i < read->nsamples; i++) {
		size_t d = 0;

		while (d < 8 && !strcmp(root(read, i - 1, d), root(read, i, d)))
			d++;
		assert_true(strcmp(root(read, i - 1, d), root(read, i, d)) <= 0);
	}
	free(a);
	free(b);
	pprof_profile_free(apart);
	pprof_profile_free(summed);
	pprof_profile_free(read);
}

/* The largest numbers there are, in messages that are large themselves. */
TEST(extremes_fit)
{
	enum { TYPES = 1000, LINES = 1000, LABELS = 2000, FRAMES = 3000 };
	struct pprof_profile *p = t_new(), *q;
	struct pprof_line *lines = calloc(LINES, sizeof *lines);
	struct pprof_label *labels = calloc(LABELS, sizeof *labels);
	uint32_t *stack = calloc(FRAMES, sizeof *stack), loc;
	int64_t *values = calloc(TYPES, sizeof *values);
	struct pprof_mapping m = {.start = UINT64_MAX - 1,
				  .limit = UINT64_MAX,
				  .offset = UINT64_MAX,
				  .filename = t_str(p, "f"),
				  .build_id = t_str(p, "b"),
				  .has_functions = true,
				  .has_filenames = true,
				  .has_line_numbers = true,
				  .has_inline_frames = true};
	struct pprof_function f = {t_str(p, "n"), t_str(p, "s"), t_str(p, "f"), INT64_MIN};
	uint32_t mapping, function;
	uint8_t *bytes;
	size_t len;

	assert_int_equal(pprof_mapping(p, &m, &mapping), 0);
	assert_int_equal(pprof_function(p, &f, &function), 0);
	for (size_t i = 0; i < LINES; i++)
		lines[i] = (struct pprof_line){function, INT64_MIN, -1};
	assert_int_equal(pprof_location(p, mapping, UINT64_MAX, lines, LINES, &loc), 0);
	for (size_t i = 0; i < LABELS; i++)
		labels[i] = (struct pprof_label){
			.key = t_str(p, "k"), .unit = t_str(p, "u"), .num = INT64_MIN};
	for (size_t i = 0; i < TYPES; i++) {
		char name[16];

		snprintf(name, sizeof name, "t%zu", i);
		assert_int_equal(pprof_sample_type(p, name, "u"), 0);
		values[i] = i % 2 ? -1 : INT64_MIN;
	}
	for (size_t i = 0; i < FRAMES; i++)
		stack[i] = loc;
	assert_int_equal(pprof_sample_add(p, stack, FRAMES, values, labels, LABELS), 0);
	assert_int_equal(pprof_sample_add(p, NULL, 0, values, NULL, 0), 0);
	assert_int_equal(pprof_encode(p, 0, &bytes, &len), 0);
	assert_int_equal(pprof_decode(bytes, len, 0, &q, NULL), 0);
	assert_int_equal(q->nsamples, 2);
	for (size_t i = 0; i < 2; i++)
		assert_memory_equal(pprof_sample_values(q, i), values, TYPES * sizeof *values);
	assert_int_equal(q->nlines, LINES);
	assert_int_equal(q->lines[LINES - 1].line, INT64_MIN);
	assert_int_equal(q->nlabels, LABELS);
	free(bytes);
	free(lines);
	free(labels);
	free(stack);
	free(values);
	pprof_profile_free(p);
	pprof_profile_free(q);
}

static void place_of_two(struct pprof_profile *p, const char *file)
{
	uint32_t mapping = file ? t_mapping(p, 0x400000, file) : PPROF_NONE, loc;

	loc = t_loc(p, mapping, 0x400100, "f", 1);
	t_add(p, &loc, 1, 1, NULL, 0);
}

/* Of two mappings at one place, and of none, too. */
TEST(order_of_mappings_does_not_show)
{
	static const char *const orders[][4] = {
		{"a", "b", "c", NULL}, {"a", "c", NULL, "b"}, {"a", NULL, "b", "c"}};
	uint8_t *bytes[3];
	size_t len[3];

	for (int i = 0; i < 3; i++) {
		struct pprof_profile *p = t_new();

		t_types(p);
		for (int j = 0; j < 4; j++)
			place_of_two(p, orders[i][j]);
		assert_int_equal(p->nlocations, 4);
		assert_int_equal(pprof_encode(p, PPROF_LEVEL_RAW, &bytes[i], &len[i]), 0);
		assert_int_equal(len[i], len[0]);
		assert_memory_equal(bytes[i], bytes[0], len[0]);
		pprof_profile_free(p);
	}
	for (int i = 0; i < 3; i++)
		free(bytes[i]);
}

/* Larger than what is packed at once, and in every level. */
TEST(a_large_profile)
{
	static const int levels[] = {PPROF_LEVEL_RAW, PPROF_LEVEL_DEFAULT, 9};
	size_t len = 9 * 1000 * 1000;
	char *text = malloc(len + 1);
	struct pprof_profile *p = t_rich();
	unsigned seed = 1;

	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = (char)('a' + rand_r(&seed) % 20);
	text[len] = '\0';
	assert_int_equal(pprof_comment(p, text), 0);
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		struct t_bytes b = t_encode(p, levels[i]);
		struct pprof_profile *q = t_decode(b);

		assert_true(i == 0 ? b.len > len : b.len < len);
		t_same(p, q);
		assert_string_equal(q->strings[q->comments[q->ncomments - 1]], text);
		pprof_profile_free(q);
		free(b.bytes);
	}
	free(text);
	pprof_profile_free(p);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"
#include "unit_test.h"

#include <errno.h>

static struct pprof_profile *merged(struct pprof_profile *a, struct pprof_profile *b)
{
	const struct pprof_profile *in[] = {a, b};
	struct pprof_diag d = {"no failure noted"};
	struct pprof_profile *p = NULL;
	int r = pprof_merge(in, b ? 2 : 1, &p, &d);

	if (r < 0)
		fail_msg("%s: %s", d.what, d.detail);
	return p;
}

/* A run of a program that was loaded at `base`. */
static struct pprof_profile *run_at(uint64_t base, int64_t count, const char *extra)
{
	struct pprof_profile *p = t_new();
	uint32_t m, stack[2];

	t_types(p);
	m = t_mapping(p, base, "/usr/bin/target");
	p->mappings[m].has_functions = count != 2;
	stack[1] = t_loc(p, m, base + 0x100, "main.main", 3);
	stack[0] = t_loc(p, m, base + 0x200, "main.work", 4);
	t_add(p, stack, 2, count, NULL, 0);
	stack[0] = t_loc(p, PPROF_NONE, base + 7, extra, 5);
	t_add(p, stack, 2, 1, NULL, 0);
	assert_int_equal(pprof_comment(p, "host: here"), 0);
	assert_int_equal(pprof_comment(p, extra), 0);
	p->time_nanos = 1000 - count;
	p->duration_nanos = 10 * count;
	p->period = 100 + count;
	return p;
}

TEST(one_input_gives_itself)
{
	struct pprof_profile *p = t_rich(), *m = merged(p, NULL), *again = merged(m, NULL);

	t_same(p, m);
	t_same(m, again);
	pprof_profile_free(p);
	pprof_profile_free(m);
	pprof_profile_free(again);
}

TEST(runs_line_up_under_aslr)
{
	struct pprof_profile *a = run_at(0x555500000000, 1, "x"), *b = run_at(0x10000, 2, "y");
	struct pprof_profile *m = merged(a, b);

	assert_int_equal(m->nmappings, 1);
	assert_int_equal(m->mappings[0].start, 0x10000);
	assert_false(m->mappings[0].has_functions);
	assert_int_equal(m->nsamples, 3);
	assert_int_equal(pprof_sample_values(m, 0)[0], 3);
	assert_int_equal(m->time_nanos, 998);
	assert_int_equal(m->duration_nanos, 30);
	assert_int_equal(m->period, 102);
	assert_int_equal(m->ncomments, 3);
	assert_string_equal(m->strings[m->comments[0]], "host: here");
	assert_string_equal(m->strings[m->comments[1]], "x");
	pprof_profile_free(a);
	pprof_profile_free(b);
	pprof_profile_free(m);
}

TEST(order_of_inputs_makes_no_difference)
{
	struct pprof_profile *a = run_at(0x555500000000, 1, "x"), *b = run_at(0x10000, 2, "y");
	struct pprof_profile *c = t_rich();
	struct pprof_profile *ab = merged(a, b), *ba = merged(b, a);
	struct pprof_profile *abc = merged(ab, c), *cab = merged(c, ab);

	t_same(ab, ba);
	t_same(abc, cab);
	pprof_profile_free(a);
	pprof_profile_free(b);
	pprof_profile_free(c);
	pprof_profile_free(ab);
	pprof_profile_free(ba);
	pprof_profile_free(abc);
	pprof_profile_free(cab);
}

TEST(grouping_makes_no_difference)
{
	struct pprof_profile *a = run_at(0x30000, 1, "x"), *b = run_at(0x10000, 2, "y");
	struct pprof_profile *c = run_at(0x20000, 3, "z");
	struct pprof_profile *ab = merged(a, b), *bc = merged(b, c);
	struct pprof_profile *ab_c = merged(ab, c), *a_bc = merged(a, bc);

	t_same(ab_c, a_bc);
	pprof_profile_free(a);
	pprof_profile_free(b);
	pprof_profile_free(c);
	pprof_profile_free(ab);
	pprof_profile_free(bc);
	pprof_profile_free(ab_c);
	pprof_profile_free(a_bc);
}

TEST(merging_with_itself_doubles)
{
	struct pprof_profile *p = t_rich(), *m = merged(p, p);

	assert_int_equal(m->nsamples, p->nsamples);
	assert_int_equal(m->nlocations, p->nlocations);
	for (size_t i = 0; i < p->nsamples; i++)
		assert_int_equal(pprof_sample_values(m, i)[0], 2 * pprof_sample_values(p, i)[0]);
	assert_int_equal(m->ncomments, p->ncomments);
	assert_string_equal(m->strings[m->drop_frames], "malloc|free");
	pprof_profile_free(p);
	pprof_profile_free(m);
}

TEST(differences_are_named)
{
	struct pprof_profile *a = run_at(0, 1, "x"), *b = t_new(), *c = t_new(), *d = t_new();
	struct pprof_profile *none = t_new();
	const struct pprof_profile *ab[] = {a, a, b}, *ac[] = {a, c}, *ad[] = {a, d};
	const struct pprof_profile *an[] = {a, none};
	struct pprof_profile *p;
	struct pprof_diag diag;

	assert_int_equal(pprof_sample_type(b, "alloc_space", "bytes"), 0);
	assert_int_equal(pprof_merge(ab, 3, &p, &diag), -EINVAL);
	assert_string_equal(diag.what, "no sample type is in all");
	assert_string_equal(diag.detail, "samples/count and alloc_space/bytes");
	assert_int_equal(diag.at, 2);
	assert_int_equal(pprof_merge(an, 2, &p, &diag), -EINVAL);
	assert_string_equal(diag.what, "one has no sample types");

	assert_int_equal(pprof_sample_type(c, "sample", "count"), 0);
	assert_int_equal(pprof_sample_type(c, "cpu", "bytes"), 0);
	assert_int_equal(pprof_merge(ac, 2, &p, &diag), -EINVAL);
	assert_string_equal(diag.what, "sample types differ");
	assert_string_equal(diag.detail, "cpu/nanoseconds and cpu/bytes");

	t_types(d);
	assert_int_equal(pprof_period(d, "space", "bytes", 1), 0);
	assert_int_equal(pprof_merge(ad, 2, &p, &diag), -EINVAL);
	assert_string_equal(diag.what, "period types differ");
	assert_int_equal(pprof_merge(NULL, 0, &p, &diag), -EINVAL);
	pprof_profile_free(a);
	pprof_profile_free(b);
	pprof_profile_free(c);
	pprof_profile_free(d);
	pprof_profile_free(none);
}

/* A profile of one function, with these types and values; ends at a NULL. */
static struct pprof_profile *of_types(const char *const *types, const int64_t *values)
{
	struct pprof_profile *p = t_new();
	uint32_t loc;

	for (; *types; types += 2)
		assert_int_equal(pprof_sample_type(p, types[0], types[1]), 0);
	assert_int_equal(pprof_period(p, "cpu", "nanoseconds", 10000000), 0);
	loc = t_loc(p, PPROF_NONE, 0, "main.a", 1);
	assert_int_equal(pprof_sample_add(p, &loc, 1, values, NULL, 0), 0);
	return p;
}

#define TYPES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* As pprof does since Go 1.21: the common types, in any order, in the finest unit. */
TEST(shared_types_are_merged)
{
	const int64_t values[] = {1, 10000000};
	const struct {
		const char *const *types;
		int64_t values[3];
		const char *want, *left_out;
		int64_t sums[2];
	} cases[] = {
		{TYPES("cpu", "nanoseconds"), {50000000}, "cpu", "samples", {60000000}},
		{TYPES("cpu", "nanoseconds", "samples", "count"),
		 {50000000, 5},
		 "samples cpu",
		 NULL,
		 {6, 60000000}},
		{TYPES("samples", "count", "cpu", "microseconds"),
		 {5, 50000},
		 "samples cpu",
		 NULL,
		 {6, 60000000}},
		{TYPES("wall", "ms", "cpu", "ms", "sample", "count"),
		 {7, 50, 5},
		 "sample cpu",
		 "wall",
		 {6, 60000000}},
		{TYPES("samples", "count", "cpu", "picoseconds"), {1, 2}, NULL, NULL, {0}},
	};
	const char *const *first = TYPES("samples", "count", "cpu", "nanoseconds");

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pprof_profile *a = of_types(first, values), *m = NULL;
		struct pprof_profile *b = of_types(cases[i].types, cases[i].values);
		struct pprof_diag diag = {0};
		char names[64] = "";
		int r = pprof_merge((const struct pprof_profile *const[]){a, b}, 2, &m, &diag);

		pprof_profile_free(a);
		pprof_profile_free(b);
		assert_int_equal(r, cases[i].want ? 0 : -EINVAL);
		if (r < 0)
			continue;
		for (size_t t = 0; t < m->nsample_types; t++) {
			strcat(strcat(names, t ? " " : ""), m->strings[m->sample_types[t].type]);
			assert_int_equal(pprof_sample_values(m, 0)[t], cases[i].sums[t]);
		}
		assert_string_equal(names, cases[i].want);
		assert_int_equal(m->nsamples, 1);
		assert_true(!diag.what == !cases[i].left_out);
		assert_string_equal(diag.detail, cases[i].left_out ? cases[i].left_out : "");
		pprof_profile_free(m);
	}
}

/* Values, and the period, in the finest unit of all, whoever has it. */
TEST(units_are_scaled)
{
	struct pprof_profile *a = of_types(TYPES("cpu", "ms"), (int64_t[]){3}), *m;
	struct pprof_profile *b = of_types(TYPES("cpu", "us"), (int64_t[]){INT64_MAX}), *again;
	struct pprof_profile *c = of_types(TYPES("cpu", "ms"), (int64_t[]){INT64_MAX});
	struct pprof_profile *d = of_types(TYPES("cpu", "us"), (int64_t[]){0});

	assert_int_equal(pprof_period(a, "cpu", "us", 20000), 0);
	assert_int_equal(pprof_merge((const struct pprof_profile *const[]){a, b}, 2, &m, NULL), 0);
	assert_string_equal(m->strings[m->sample_types[0].unit], "us");
	assert_string_equal(m->strings[m->period_type.unit], "nanoseconds");
	assert_int_equal(m->period, 20000000);
	assert_int_equal(pprof_sample_values(m, 0)[0], (int64_t)((uint64_t)INT64_MAX + 3000));
	assert_int_equal(pprof_merge((const struct pprof_profile *const[]){b, a}, 2, &again, NULL),
			 0);
	t_same(m, again);
	pprof_profile_free(again);
	pprof_profile_free(m);
	/* Values saturate. */
	assert_int_equal(pprof_merge((const struct pprof_profile *const[]){c, d}, 2, &m, NULL), 0);
	assert_int_equal(pprof_sample_values(m, 0)[0], INT64_MAX);
	pprof_profile_free(m);
	pprof_profile_free(a);
	pprof_profile_free(b);
	pprof_profile_free(c);
	pprof_profile_free(d);
}

/* Values in both cancel out; those in one keep their sign. */
TEST(differences)
{
	struct pprof_profile *a = t_rich(), *b = t_rich(), *mean, *d;
	const struct pprof_profile *two[] = {a, b};
	int64_t sum = 0, marked = 0, plain = 0;
	struct t_bytes bytes;

	t_add(b, NULL, 0, 40, NULL, 0);
	assert_int_equal(pprof_merge_scaled(two, 2, 0.5, &mean, NULL), 0);
	for (size_t i = 0; i < mean->nsamples; i++)
		sum += pprof_sample_values(mean, i)[0];
	assert_int_equal(sum, 25 + 20);
	pprof_profile_free(mean);
	assert_int_equal(pprof_difference(a, b, &d, NULL), 0);
	for (size_t i = 0; i < d->nsamples; i++) {
		const struct pprof_label *l = pprof_sample_labels(d, i);
		int64_t v = pprof_sample_values(d, i)[0];
		bool of_base = false;

		for (uint32_t k = 0; k < d->samples[i].nlabels; k++)
			of_base |= !strcmp(d->strings[l[k].key], "pprof::base") &&
				   !strcmp(d->strings[l[k].str], "true");
		assert_true(of_base ? v < 0 : v > 0);
		*(of_base ? &marked : &plain) += v;
	}
	assert_int_equal(marked, -25);
	assert_int_equal(plain, 25 + 40);
	assert_int_equal(d->duration_nanos, b->duration_nanos);
	bytes = t_encode(d, PPROF_LEVEL_RAW);
	pprof_profile_free(t_decode(bytes));
	free(bytes.bytes);
	pprof_profile_free(d);
	pprof_profile_free(a);
	pprof_profile_free(b);
}

/* All samples of a profile, one by one into an empty one, are that profile. */
TEST(a_copier_copies_what_samples_refer_to)
{
	struct pprof_profile *p = t_rich(), *q = t_new(), *one;
	const struct pprof_profile *in[] = {p};
	const struct pprof_label *labels;
	const uint32_t *stack;
	struct pprof_copier *c;

	p->locations[p->stacks[0]].is_folded = true;
	for (size_t i = 0; i < p->nsample_types; i++)
		assert_int_equal(pprof_sample_type(q, p->strings[p->sample_types[i].type],
						   p->strings[p->sample_types[i].unit]),
				 0);
	assert_int_equal(pprof_copier_new(p, q, &c), 0);
	for (size_t i = 0; i < p->nsamples; i++) {
		const struct pprof_sample *s = &p->samples[i];

		assert_int_equal(pprof_copier_stack(c, i, &stack), 0);
		assert_int_equal(pprof_copier_labels(c, i, &labels), 0);
		assert_int_equal(pprof_sample_add(q, stack, s->nlocations,
						  pprof_sample_values(p, i), labels, s->nlabels),
				 0);
	}
	pprof_copier_free(c);
	/* the header */
	assert_int_equal(pprof_merge(in, 1, &one, NULL), 0);
	q->time_nanos = one->time_nanos;
	q->duration_nanos = one->duration_nanos;
	assert_int_equal(pprof_period(q, one->strings[one->period_type.type],
				      one->strings[one->period_type.unit], one->period),
			 0);
	for (size_t i = 0; i < one->ncomments; i++)
		assert_int_equal(pprof_comment(q, one->strings[one->comments[i]]), 0);
	assert_int_equal(
		pprof_string(q, one->strings[one->default_sample_type], &q->default_sample_type),
		0);
	assert_int_equal(pprof_string(q, one->strings[one->drop_frames], &q->drop_frames), 0);
	assert_int_equal(pprof_string(q, one->strings[one->keep_frames], &q->keep_frames), 0);
	assert_int_equal(pprof_string(q, one->strings[one->doc_url], &q->doc_url), 0);
	t_same(one, q);
	pprof_copier_free(NULL);
	pprof_profile_free(p);
	pprof_profile_free(q);
	pprof_profile_free(one);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"
#include "unit_test.h"

#include <errno.h>

TEST(strings_are_interned)
{
	struct pprof_profile *p = t_new();
	uint32_t a = t_str(p, "main.main");

	assert_int_equal(t_str(p, ""), 0);
	assert_int_equal(t_str(p, NULL), 0);
	assert_int_equal(t_str(p, "main.main"), a);
	assert_int_not_equal(t_str(p, "main.mai"), a);
	assert_int_not_equal(t_str(p, "main.main2"), a);
	assert_string_equal(p->strings[a], "main.main");
	pprof_profile_free(p);
}

TEST(strings_survive_growth)
{
	struct pprof_profile *p = t_new();
	char name[32], *longer = malloc(100001);

	memset(longer, 'x', 100000);
	longer[100000] = '\0';
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof name, "function.%d", i);
		assert_int_equal(t_str(p, name), i + 1);
	}
	assert_string_equal(p->strings[t_str(p, longer)], longer);
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof name, "function.%d", i);
		assert_int_equal(t_str(p, name), i + 1);
	}
	free(longer);
	pprof_profile_free(p);
}

TEST(strings_become_utf8)
{
	struct pprof_profile *p = t_new();
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"a\xff"
		 "b",
		 "a\xef\xbf\xbd"
		 "b"},
		{"\xc3\xa9", "\xc3\xa9"},
		{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
		{"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(p->strings[t_str(p, cases[i].in)], cases[i].out);
	pprof_profile_free(p);
}

TEST(equal_things_are_one)
{
	struct pprof_profile *p = t_rich();
	size_t mappings = p->nmappings, functions = p->nfunctions, locations = p->nlocations;
	uint32_t m = t_mapping(p, 0x400000, "/usr/bin/target");

	assert_int_equal(t_loc(p, m, 0x401000, "main.main", 12), 0);
	assert_int_equal(p->nmappings, mappings);
	assert_int_equal(p->nfunctions, functions);
	assert_int_equal(p->nlocations, locations);
	t_loc(p, m, 0x401000, "main.main", 13);
	assert_int_equal(p->nlocations, locations + 1);
	pprof_profile_free(p);
}

TEST(samples_are_merged)
{
	struct pprof_profile *p = t_new();
	uint32_t loc;

	t_types(p);
	loc = t_loc(p, PPROF_NONE, 1, "f", 1);
	{
		struct pprof_label ab[] = {
			{.key = t_str(p, "a"), .str = t_str(p, "x")},
			{.key = t_str(p, "b"), .num = 2, .unit = t_str(p, "id")}};
		struct pprof_label ba[] = {ab[1], ab[0]};
		struct pprof_label void_label = {.key = t_str(p, "c")};

		t_add(p, &loc, 1, 1, NULL, 0);
		t_add(p, &loc, 1, 2, ab, 2);
		t_add(p, &loc, 1, 3, ba, 2);
		t_add(p, &loc, 1, 4, &void_label, 1);
	}
	assert_int_equal(p->nsamples, 2);
	assert_int_equal(pprof_sample_values(p, 0)[0], 5);
	assert_int_equal(pprof_sample_values(p, 1)[0], 5);
	assert_int_equal(pprof_sample_values(p, 1)[1], 50000000);
	pprof_profile_free(p);
}

TEST(appended_samples_stay_apart)
{
	struct pprof_profile *p = t_new();
	uint32_t loc;
	int64_t v[] = {1, 10000000};

	t_types(p);
	loc = t_loc(p, PPROF_NONE, 1, "f", 1);
	assert_int_equal(pprof_sample_append(p, &loc, 1, v, NULL, 0), 0);
	assert_int_equal(pprof_sample_append(p, &loc, 1, v, NULL, 0), 0);
	assert_int_equal(p->nsamples, 2);
	t_add(p, &loc, 1, 5, NULL, 0);
	assert_int_equal(p->nsamples, 2);
	assert_int_equal(pprof_sample_values(p, 0)[0], 6);
	pprof_profile_free(p);
}

TEST(wrong_indices_are_refused)
{
	struct pprof_profile *p = t_new();
	struct pprof_mapping m = {.filename = 99};
	struct pprof_function f = {.name = 99};
	struct pprof_line line = {.function = 0};
	struct pprof_label label = {.key = 99};
	int64_t v[] = {1, 1};
	uint32_t loc = 0;

	assert_int_equal(pprof_sample_add(p, NULL, 0, v, NULL, 0), -EINVAL);
	t_types(p);
	assert_int_equal(pprof_mapping(p, &m, &loc), -EINVAL);
	assert_int_equal(pprof_function(p, &f, &loc), -EINVAL);
	assert_int_equal(pprof_location(p, PPROF_NONE, 0, &line, 1, &loc), -EINVAL);
	assert_int_equal(pprof_location(p, 0, 0, NULL, 0, &loc), -EINVAL);
	assert_int_equal(pprof_sample_add(p, &loc, 1, v, NULL, 0), -EINVAL);
	assert_int_equal(pprof_sample_add(p, NULL, 0, v, &label, 1), -EINVAL);
	t_add(p, NULL, 0, 1, NULL, 0);
	assert_int_equal(pprof_sample_type(p, "late", "count"), -EBUSY);
	pprof_profile_free(p);
}

TEST(default_sample_type_is_found)
{
	struct pprof_profile *p = t_new();
	size_t i = 99;

	assert_int_equal(pprof_find_sample_type(p, NULL, &i), -ENOENT);
	t_types(p);
	assert_int_equal(pprof_find_sample_type(p, NULL, &i), 0);
	assert_int_equal(i, 1);
	p->default_sample_type = t_str(p, "samples");
	assert_int_equal(pprof_find_sample_type(p, "", &i), 0);
	assert_int_equal(i, 0);
	assert_int_equal(pprof_find_sample_type(p, "cpu", &i), 0);
	assert_int_equal(i, 1);
	assert_int_equal(pprof_find_sample_type(p, "wall", &i), -ENOENT);
	pprof_profile_free(p);
}

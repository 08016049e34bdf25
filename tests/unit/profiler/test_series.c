/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>

#include "series.h"
#include "unit_test.h"

#define IDENTITY(n, v)         \
	{                      \
		(n), (v), true \
	}
#define BESIDES(n, v)           \
	{                       \
		(n), (v), false \
	}

static struct prowl_series *make(const struct prowl_series_label *labels, size_t n)
{
	struct prowl_series *s = NULL;

	assert_int_equal(prowl_series_new(labels, n, &s), 0);
	return s;
}

TEST(test_sorted_and_each_once)
{
	const struct prowl_series_label labels[] = {
		IDENTITY("unit", "etcd.service"), IDENTITY("service", "etcd"),
		IDENTITY("service", "other"),     IDENTITY("", "no name"),
		IDENTITY("container", ""),        IDENTITY("host", NULL),
	};
	struct prowl_series *s = make(labels, sizeof labels / sizeof *labels);

	assert_int_equal(s->n, 2);
	assert_string_equal(s->labels[0].name, "service");
	assert_string_equal(prowl_series_get(s, "service"), "etcd");
	assert_string_equal(prowl_series_get(s, "unit"), "etcd.service");
	assert_string_equal(prowl_series_get(s, "host"), "");
	prowl_series_free(s);
}

TEST(test_what_is_known_besides_is_no_identity)
{
	const struct prowl_series_label a[] = {IDENTITY("service", "etcd"),
					       BESIDES("go", "go1.19")};
	const struct prowl_series_label b[] = {BESIDES("team", "x"), IDENTITY("service", "etcd")};
	const struct prowl_series_label c[] = {IDENTITY("service", "etce"),
					       BESIDES("go", "go1.19")};
	struct prowl_series *x = make(a, 2), *y = make(b, 2), *z = make(c, 2);

	assert_true(prowl_series_same(x, y));
	assert_true(x->hash == y->hash);
	assert_false(prowl_series_same(x, z));
	assert_true(x->hash != z->hash);
	prowl_series_free(x);
	prowl_series_free(y);
	prowl_series_free(z);
}

TEST(test_the_hash_is_that_of_files)
{
	const struct prowl_series_label a[] = {IDENTITY("service", "etcd"), IDENTITY("host", "h")};
	struct prowl_series *s = make(a, 2), *copy;

	/* of "host=h\nservice=etcd\n", all at once */
	assert_true(s->hash == 0xc2b72bff4c6e08f5ull);
	assert_int_equal(prowl_series_copy(s, &copy), 0);
	assert_true(prowl_series_same(s, copy));
	prowl_series_free(s);
	prowl_series_free(copy);
}

TEST(test_long_values_are_cut_at_a_character)
{
	char value[PROWL_SERIES_VALUE + 8];
	struct prowl_series_label l = IDENTITY("service", value);
	struct prowl_series *s;

	memset(value, 'a', sizeof value);
	memcpy(value + PROWL_SERIES_VALUE - 1, "\xe2\x82\xac", 4);
	s = make(&l, 1);
	assert_int_equal(strlen(prowl_series_get(s, "service")), PROWL_SERIES_VALUE - 1);
	prowl_series_free(s);
}

TEST(test_at_most_so_many)
{
	struct prowl_series_label labels[PROWL_SERIES_LABELS + 5];
	char names[PROWL_SERIES_LABELS + 5][8];
	struct prowl_series *s;

	for (int i = 0; i < PROWL_SERIES_LABELS + 5; i++) {
		snprintf(names[i], sizeof names[i], "l%03d", i);
		labels[i] = (struct prowl_series_label)IDENTITY(names[i], "v");
	}
	s = make(labels, PROWL_SERIES_LABELS + 5);
	assert_int_equal(s->n, PROWL_SERIES_LABELS);
	prowl_series_free(s);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>

#include "labels.h"
#include "unit_test.h"

static struct uw_golabels set;

static void add(const char *key, const char *value)
{
	set.label[set.n].key = key;
	set.label[set.n].value = value;
	set.label[set.n].key_len = (uint16_t)strlen(key);
	set.label[set.n].value_len = (uint16_t)strlen(value);
	set.n++;
}

TEST(test_sets)
{
	struct prowl_labels *l;
	struct prowl_label got[4];
	uint32_t red, other;

	assert_int_equal(prowl_labels_new(&l), 0);
	set.n = 0;
	add("tenant", "red");
	add("zone", "");
	red = prowl_labels_intern(l, &set);
	assert_int_equal(red, 1);
	assert_int_equal(prowl_labels_intern(l, &set), red);
	set.n = 0;
	add("tenant", "redzone"); /* the same letters */
	other = prowl_labels_intern(l, &set);
	assert_int_equal(other, 2);
	assert_int_equal(prowl_labels_get(l, red, got, 4), 2);
	assert_string_equal(got[0].key, "tenant");
	assert_string_equal(got[0].value, "red");
	assert_string_equal(got[1].key, "zone");
	assert_string_equal(got[1].value, "");
	assert_int_equal(prowl_labels_get(l, red, got, 1), 1);
	assert_int_equal(prowl_labels_get(l, other, got, 4), 1);
	assert_string_equal(got[0].value, "redzone");
	assert_int_equal(prowl_labels_get(l, 0, got, 4), 0);
	assert_int_equal(prowl_labels_get(l, 3, got, 4), 0);
	assert_int_equal(prowl_labels_get(l, UINT32_MAX, got, 4), 0);
	prowl_labels_free(l);
}

TEST(test_cut)
{
	struct prowl_labels *l;
	uint32_t whole, cut, fewer;

	assert_int_equal(prowl_labels_new(&l), 0);
	set.n = 0;
	add("tenant", "red");
	whole = prowl_labels_intern(l, &set);
	add("zone", "a");
	set.cut = true;
	cut = prowl_labels_intern(l, &set);
	add("zone2", "a");
	set.cut = false;
	set.left_out = 1;
	fewer = prowl_labels_intern(l, &set);
	set.left_out = 0;
	assert_false(prowl_labels_cut(l, 0));
	assert_false(prowl_labels_cut(l, whole));
	assert_true(prowl_labels_cut(l, cut));
	assert_true(prowl_labels_cut(l, fewer));
	assert_false(prowl_labels_cut(l, fewer + 1));
	prowl_labels_free(l);
}

TEST(test_limit)
{
	struct prowl_labels *l;
	struct prowl_label got;
	char value[16];

	assert_int_equal(prowl_labels_new(&l), 0);
	for (uint32_t i = 0; i < PROWL_LABELS_MAX_SETS + 10; i++) {
		snprintf(value, sizeof value, "%u", i);
		set.n = 0;
		add("request", value);
		assert_int_equal(prowl_labels_intern(l, &set),
				 i < PROWL_LABELS_MAX_SETS ? i + 1 : 0);
	}
	for (uint32_t i = 0; i < PROWL_LABELS_MAX_SETS; i++) {
		snprintf(value, sizeof value, "%u", i);
		assert_int_equal(prowl_labels_get(l, i + 1, &got, 1), 1);
		assert_string_equal(got.value, value);
		set.n = 0;
		add("request", value);
		assert_int_equal(prowl_labels_intern(l, &set), i + 1);
	}
	prowl_labels_free(l);
	prowl_labels_free(NULL);
}

TEST(test_not_go)
{
	struct prowl_event ev = {.type = PROWL_EVENT_SAMPLE, .time = 1};
	struct uw_binaries reg = {0};
	struct uw_space space;
	struct prowl_labels *l;

	uw_space_init(&space, &reg, 1);
	assert_int_equal(prowl_labels_new(&l), 0);
	assert_int_equal(prowl_labels_of(l, &space, &ev, 1), 0);
	assert_int_equal(prowl_labels_counts(l)->none, 1);
	assert_int_equal(prowl_labels_counts(l)->unknown, 0);
	prowl_labels_free(l);
	uw_space_fini(&space);
}

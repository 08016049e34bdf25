/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void decoding_gives_what_was_encoded(void **state)
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

static void empty_profile_round_trips(void **state)
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

static void order_of_building_does_not_show(void **state)
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

static void files_are_the_same_bytes(void **state)
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

/* Beyond what is packed at once, and in every level. */
static void a_large_profile(void **state)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decoding_gives_what_was_encoded),
		cmocka_unit_test(empty_profile_round_trips),
		cmocka_unit_test(order_of_building_does_not_show),
		cmocka_unit_test(files_are_the_same_bytes),
		cmocka_unit_test(a_large_profile),
	};

	return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}

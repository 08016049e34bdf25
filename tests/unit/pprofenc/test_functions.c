/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"
#include "pprof_report.h"
#include "unit_test.h"

#include <errno.h>

static const struct pprof_function_row *row(const struct pprof_functions *f, const char *name)
{
	for (size_t i = 0; i < f->nrows; i++) {
		if (!strcmp(f->rows[i].name, name))
			return &f->rows[i];
	}
	fail_msg("no row %s", name);
	return NULL;
}

static int64_t call(const struct pprof_functions *f, const char *from, const char *to)
{
	for (size_t i = 0; i < f->ncalls; i++) {
		const struct pprof_call *c = &f->calls[i];

		if (!strcmp(f->rows[c->from].name, from) && !strcmp(f->rows[c->to].name, to))
			return c->value;
	}
	return -1;
}

static struct pprof_functions *table(const struct pprof_profile *p, const char *type)
{
	struct pprof_functions *f = NULL;

	assert_int_equal(pprof_functions_new(p, type, &f), 0);
	return f;
}

/* main calls work, at two lines, which calls itself; work inlines leaf; code without symbols. */
static struct pprof_profile *calls(int64_t times)
{
	struct pprof_profile *p = t_new();
	struct pprof_line inlined[2];
	uint32_t m, so, root, early, late, leaf, raw;

	t_types(p);
	m = t_mapping(p, 0x400000, "/usr/bin/target");
	so = t_mapping(p, 0x7f0000000000, "/lib/libc.so.6");
	root = t_loc(p, m, 0x401000, "main.main", 12);
	early = t_loc(p, m, 0x402000, "main.work", 34);
	late = t_loc(p, m, 0x402010, "main.work", 36);
	inlined[0] = (struct pprof_line){t_func(p, "main.leaf"), 5, 0};
	inlined[1] = (struct pprof_line){t_func(p, "main.work"), 35, 0};
	assert_int_equal(pprof_location(p, m, 0x403000, inlined, 2, &leaf), 0);
	assert_int_equal(pprof_location(p, so, 0x7f0000001234, NULL, 0, &raw), 0);
	t_add(p, (uint32_t[]){early, early, root}, 3, 5 * times, NULL, 0);
	t_add(p, (uint32_t[]){late, root}, 2, 7 * times, NULL, 0);
	t_add(p, (uint32_t[]){leaf, root}, 2, 20 * times, NULL, 0);
	t_add(p, (uint32_t[]){raw, root}, 2, 3 * times, NULL, 0);
	return p;
}

TEST(rows_and_calls)
{
	struct pprof_profile *p = calls(1);
	struct pprof_functions *f = table(p, "samples");

	assert_int_equal(f->total, 35);
	assert_int_equal(f->nrows, 4);
	assert_int_equal(row(f, "main.main")->flat, 0);
	assert_int_equal(row(f, "main.main")->cum, 35);
	assert_int_equal(row(f, "main.main")->line, 12);
	assert_string_equal(row(f, "main.main")->file, "main.go");
	assert_int_equal(row(f, "main.work")->flat, 12);
	assert_int_equal(row(f, "main.work")->cum, 32);
	/* most of its flat value is there, though more of its cum is at 35 */
	assert_int_equal(row(f, "main.work")->line, 36);
	assert_int_equal(row(f, "main.leaf")->flat, 20);
	assert_int_equal(row(f, "[libc.so.6]")->flat, 3);
	assert_int_equal(row(f, "[libc.so.6]")->line, 0);
	assert_int_equal(call(f, "main.main", "main.work"), 32);
	assert_int_equal(call(f, "main.work", "main.leaf"), 20);
	assert_int_equal(call(f, "main.main", "[libc.so.6]"), 3);
	assert_int_equal(call(f, "main.work", "main.work"), -1);
	pprof_functions_free(f);
	f = table(p, NULL);
	assert_int_equal(f->total, 350000000);
	pprof_functions_free(f);
	assert_int_equal(pprof_functions_new(p, "nothing", &f), -ENOENT);
	pprof_profile_free(p);
}

/* The table of two profiles is that of the merged one. */
TEST(tables_add_up)
{
	struct pprof_profile *a = calls(1), *b = t_rich(), *both;
	const struct pprof_profile *inputs[] = {a, b};
	struct pprof_functions *sum = table(NULL, NULL), *fa = table(a, NULL), *fb = table(b, NULL),
			       *want;

	assert_int_equal(pprof_functions_add(sum, fa), 0);
	assert_int_equal(pprof_functions_add(sum, fb), 0);
	assert_int_equal(pprof_merge(inputs, 2, &both, NULL), 0);
	want = table(both, NULL);
	assert_int_equal(sum->total, want->total);
	assert_int_equal(sum->nrows, want->nrows);
	assert_int_equal(sum->ncalls, want->ncalls);
	for (size_t i = 0; i < want->nrows; i++) {
		const struct pprof_function_row *w = &want->rows[i], *r = row(sum, w->name);

		assert_int_equal(r->flat, w->flat);
		assert_int_equal(r->cum, w->cum);
	}
	for (size_t i = 0; i < want->ncalls; i++) {
		const struct pprof_call *c = &want->calls[i];

		assert_int_equal(call(sum, want->rows[c->from].name, want->rows[c->to].name),
				 c->value);
	}
	pprof_functions_free(sum);
	pprof_functions_free(fa);
	pprof_functions_free(fb);
	pprof_functions_free(want);
	pprof_profile_free(a);
	pprof_profile_free(b);
	pprof_profile_free(both);
}

TEST(an_empty_one)
{
	struct pprof_functions *f = table(NULL, NULL), *other = table(NULL, NULL);

	assert_int_equal(pprof_functions_add(f, other), 0);
	assert_int_equal(f->total, 0);
	assert_int_equal(f->nrows, 0);
	pprof_functions_free(f);
	pprof_functions_free(other);
	pprof_functions_free(NULL);
}

/* The larger flat value decides the line, whatever the order of tables. */
TEST(lines_of_the_larger)
{
	for (int order = 0; order < 2; order++) {
		struct pprof_profile *few = t_new(), *many = t_new();
		struct pprof_functions *f = table(NULL, NULL), *a, *b;
		uint32_t l;

		t_types(few);
		t_types(many);
		l = t_loc(few, t_mapping(few, 0x400000, "t"), 0x401000, "main.work", 1);
		t_add(few, &l, 1, 2, NULL, 0);
		l = t_loc(many, t_mapping(many, 0x400000, "t"), 0x402000, "main.work", 2);
		t_add(many, &l, 1, 9, NULL, 0);
		a = table(order ? few : many, NULL);
		b = table(order ? many : few, NULL);
		assert_int_equal(pprof_functions_add(f, a), 0);
		assert_int_equal(pprof_functions_add(f, b), 0);
		assert_int_equal(row(f, "main.work")->line, 2);
		pprof_functions_free(f);
		pprof_functions_free(a);
		pprof_functions_free(b);
		pprof_profile_free(few);
		pprof_profile_free(many);
	}
}

/* Control characters of a name never come through. */
TEST(hostile_names)
{
	struct pprof_profile *p = t_new();
	struct pprof_functions *f;
	char *longest = malloc(100001);
	uint32_t m, l[2];

	memset(longest, 'x', 100000);
	longest[100000] = '\0';
	t_types(p);
	m = t_mapping(p, 0x400000, "t");
	l[0] = t_loc(p, m, 0x401000, "a\033[2Jb\xc2\x9b\x7f\n\xff", 1);
	l[1] = t_loc(p, m, 0x402000, longest, 1);
	t_add(p, l, 2, 1, NULL, 0);
	f = table(p, NULL);
	assert_int_equal(row(f, "a?[2Jb???\xef\xbf\xbd")->flat, 10000000);
	assert_int_equal(row(f, longest)->cum, 10000000);
	pprof_functions_free(f);
	pprof_profile_free(p);
	free(longest);
}

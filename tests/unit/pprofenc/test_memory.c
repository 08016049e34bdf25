/* SPDX-License-Identifier: Apache-2.0 */
/* Every single allocation fails once: the call says so, nothing leaks, the profile stays as it was.
 */
#include "testing.h"
#include "pprof_report.h"
#include "unit_test.h"

#include <errno.h>

static long countdown = -1; /* allocations until the one that fails; negative: none does */

static int fails(void)
{
	return countdown >= 0 && countdown-- == 0;
}

/* Replacements by the linker (--wrap). */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

/* Calls `once` until no allocation is left to fail; returns how many did. */
static long sweep(int (*once)(void *ctx), void *ctx)
{
	for (long n = 0; n < 100000; n++) {
		int r;

		countdown = n;
		r = once(ctx);
		if (countdown >= 0) {
			countdown = -1;
			assert_int_equal(r, 0);
			return n;
		}
		countdown = -1;
		/* The decoder does without its larger scratch memory. */
		assert_true(r == -ENOMEM || r == 0);
	}
	fail_msg("it never ends");
	return 0;
}

static int encode_once(void *ctx)
{
	uint8_t *bytes;
	size_t len;
	int r = pprof_encode(ctx, 1, &bytes, &len);

	if (r == 0)
		free(bytes);
	return r;
}

static int decode_once(void *ctx)
{
	const struct t_bytes *b = ctx;
	struct pprof_profile *p;
	int r = pprof_decode(b->bytes, b->len, 0, &p, NULL);

	if (r == 0)
		pprof_profile_free(p);
	return r;
}

static void names_the_step(const struct pprof_diag *d)
{
	assert_string_equal(d->what, "out of memory");
	assert_memory_equal(d->detail, "while ", 6);
}

static int merge_once(void *ctx)
{
	const struct pprof_profile *in[] = {ctx, ctx};
	struct pprof_profile *p;
	struct pprof_diag diag = {0};
	int r = pprof_merge(in, 2, &p, &diag);

	if (r == 0)
		pprof_profile_free(p);
	else
		names_the_step(&diag);
	return r;
}

static int filter_once(void *ctx)
{
	static const struct pprof_filter_options o = {
		.size = sizeof o,
		.focus = "main",
		.hide = "leaf",
		.show_from = "main",
		.tag_focus = "endpoint=.|bytes",
		.tag_ignore = "1kb:",
		.tag_show = ".",
		.tag_root = "endpoint",
		.tag_leaf = "bytes",
		.granularity = PPROF_LINE,
		.runtime = PPROF_RUNTIME_FOLD,
	};
	struct pprof_diag diag;
	struct pprof_profile *p;
	int r = pprof_filter(ctx, &o, &p, &diag);

	if (r == 0)
		pprof_profile_free(p);
	else
		names_the_step(&diag);
	return r;
}

static int functions_once(void *ctx)
{
	struct pprof_functions *f, *sum = NULL;
	int r = pprof_functions_new(ctx, NULL, &f);

	if (r < 0)
		return r;
	r = pprof_functions_new(NULL, NULL, &sum);
	if (r == 0)
		r = pprof_functions_add(sum, f);
	pprof_functions_free(sum);
	pprof_functions_free(f);
	return r;
}

struct report {
	const struct pprof_profile *p;
	const struct pprof_exporter *e;
	const struct pprof_report_options *o;
	FILE *to;
};

static int report_once(void *ctx)
{
	const struct report *x = ctx;

	return x->e->write(x->p, x->o, x->to);
}

TEST(encoding_runs_out)
{
	struct pprof_profile *p = t_rich();

	assert_true(sweep(encode_once, p) > 10);
	pprof_profile_free(p);
}

TEST(decoding_runs_out)
{
	struct pprof_profile *p = t_rich();
	struct t_bytes raw = t_encode(p, PPROF_LEVEL_RAW), gz = t_encode(p, 1);

	assert_true(sweep(decode_once, &raw) > 20);
	assert_true(sweep(decode_once, &gz) > 20);
	free(raw.bytes);
	free(gz.bytes);
	pprof_profile_free(p);
}

TEST(merging_runs_out)
{
	struct pprof_profile *p = t_rich();

	assert_true(sweep(merge_once, p) > 20);
	pprof_profile_free(p);
}

TEST(filtering_runs_out)
{
	struct pprof_profile *p = t_rich();

	assert_true(sweep(filter_once, p) > 40);
	pprof_profile_free(p);
}

TEST(tables_run_out)
{
	struct pprof_profile *p = t_rich();

	assert_true(sweep(functions_once, p) > 10);
	pprof_profile_free(p);
}

TEST(reporting_runs_out)
{
	struct report x = {.p = t_rich(), .to = fopen("/dev/null", "w")};

	for (size_t i = 0; (x.e = pprof_exporter_at(i)); i++)
		assert_true(sweep(report_once, &x) > 0);
	/* a tree of which most goes */
	x.e = pprof_exporter_named("flame");
	x.o = &(struct pprof_report_options){.size = sizeof *x.o, .nodes = 1};
	assert_true(sweep(report_once, &x) > 15);
	fclose(x.to);
	pprof_profile_free((struct pprof_profile *)x.p);
}

static int add_all(struct pprof_profile *p, int i)
{
	char name[16];
	struct pprof_function f = {.start_line = i};
	struct pprof_line line = {.line = i};
	struct pprof_label label = {.num = i + 1};
	int64_t values[] = {1, 2};
	uint32_t loc;
	int r;

	snprintf(name, sizeof name, "f%d", i);
	r = pprof_string(p, name, &f.name);
	if (r == 0)
		r = pprof_function(p, &f, &line.function);
	if (r == 0)
		r = pprof_location(p, PPROF_NONE, i, &line, 1, &loc);
	label.key = f.name;
	return r == 0 ? pprof_sample_add(p, &loc, 1, values, &label, 1) : r;
}

TEST(building_goes_on_after_a_failure)
{
	struct pprof_profile *p = t_new(), *q = t_new();

	t_types(p);
	t_types(q);
	for (int i = 0; i < 500; i++) {
		int r;

		assert_int_equal(add_all(q, i), 0);
		for (long n = 0;; n++) {
			countdown = n;
			r = add_all(p, i);
			countdown = -1;
			if (r == 0)
				break;
			assert_int_equal(r, -ENOMEM);
		}
	}
	t_same(p, q);
	pprof_profile_free(p);
	pprof_profile_free(q);
}

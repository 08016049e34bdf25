/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles that the runtime keeps, of records that are made here: values, windows, refusals. */
#include <stddef.h>
#include <stdint.h>

#include <math.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "build_runtime.h"
#include "pprof.h"
#include "rtprofile.h"
#include "unit_test.h"

enum { HEAP = 1, BLOCK, MUTEX };

struct taken {
	struct prowl_rtprofile *r;
	struct pprof_profile *p;
	struct prowl_err err;
};

static void open_kind(struct made_runtime *m, enum prowl_rtprofile_kind kind, struct taken *t)
{
	struct prowl_who who = made_who(m);

	memset(t, 0, sizeof *t);
	assert_int_equal(prowl_rtprofile_open(kind, &who, &t->r, &t->err), PROWL_OK);
}

static enum prowl_code build(struct taken *t)
{
	return prowl_rtprofile_build(t->r, &t->p, &t->err);
}

static enum prowl_code take(struct made_runtime *m, enum prowl_rtprofile_kind kind, struct taken *t)
{
	open_kind(m, kind, t);
	return build(t);
}

static void taken_fini(struct taken *t)
{
	pprof_profile_free(t->p);
	prowl_rtprofile_free(t->r);
}

static int64_t value(const struct taken *t, size_t sample, size_t which)
{
	return pprof_sample_values(t->p, sample)[which];
}

static const char *type(const struct taken *t, size_t i)
{
	return t->p->strings[t->p->sample_types[i].type];
}

static void heap_counts(struct made_runtime *m, uint64_t record, uint64_t size, uint64_t allocs,
			uint64_t frees)
{
	made_poke(m, record, allocs, 8);
	made_poke(m, record + 8, frees, 8);
	if (m->l->mem_has_bytes) {
		made_poke(m, record + 16, allocs * size, 8);
		made_poke(m, record + 24, frees * size, 8);
	}
}

static void start(struct made_runtime *m, int minor, bool live, uint64_t heap_rate)
{
	made_start(m, minor, live);
	made_variable(m, UW_GLOBAL_MEM_PROFILE_RATE, heap_rate);
	/* Seven garbage collections. */
	made_variable(m, UW_GLOBAL_MPROF_CYCLE, m->l->prof_cycle_struct ? 7 : 7 << 1);
}

/* The ticks of a second, as the runtime itself has measured them. */
static void place_ticks(struct made_runtime *m, uint64_t per_second)
{
	uint64_t off = made_variable(m, UW_GLOBAL_TICKS, 0);

	made_poke(m, off + m->l->ticks.val, per_second, 8);
}

TEST(heap_is_scaled_as_in_go)
{
	static const int minors[] = {16, 20, 23, 27};

	for (size_t v = 0; v < sizeof minors / sizeof minors[0]; v++) {
		double scale = 1 / (1 - exp(-48.0 / 4096));
		struct made_runtime m;
		struct taken t;

		start(&m, minors[v], false, 4096);
		heap_counts(&m, made_bucket(&m, HEAP, 48, 4), 48, 10, 4);
		assert_int_equal(take(&m, PROWL_HEAP, &t), PROWL_OK);
		assert_int_equal(t.p->nsamples, 1);
		assert_string_equal(type(&t, 0), "alloc_objects");
		assert_string_equal(type(&t, 3), "inuse_space");
		assert_int_equal(value(&t, 0, 0), (int64_t)(10 * scale));
		assert_int_equal(value(&t, 0, 1), (int64_t)(480 * scale));
		assert_int_equal(value(&t, 0, 2), (int64_t)(6 * scale));
		assert_int_equal(value(&t, 0, 3), (int64_t)(288 * scale));
		assert_int_equal(t.p->period, 4096);
		assert_int_equal(prowl_rtprofile_result(t.r)->records, 1);
		assert_int_equal(prowl_rtprofile_result(t.r)->outside, 0);
		taken_fini(&t);
		made_end(&m);
	}
}

TEST(at_rate_1_each_object_counts)
{
	struct made_runtime m;
	struct taken t;

	start(&m, 27, false, 1);
	heap_counts(&m, made_bucket(&m, HEAP, 48, 4), 48, 10, 10);
	heap_counts(&m, made_bucket(&m, HEAP, 16, 5), 16, 3, 0);
	assert_int_equal(take(&m, PROWL_ALLOCS, &t), PROWL_OK);
	assert_int_equal(t.p->nsamples, 2);
	assert_string_equal(t.p->strings[t.p->default_sample_type], "alloc_space");
	for (size_t i = 0; i < 2; i++) {
		bool large = value(&t, i, 1) == 480;

		assert_int_equal(value(&t, i, 0), large ? 10 : 3);
		assert_int_equal(value(&t, i, 1), large ? 480 : 48);
		assert_int_equal(value(&t, i, 3), large ? 0 : 48);
	}
	taken_fini(&t);
	made_end(&m);
}

static void contention(struct made_runtime *m, uint64_t record, uint64_t count, uint64_t ticks)
{
	double as_float = (double)count;

	if (m->l->block_count_float)
		memcpy(&count, &as_float, sizeof count);
	made_poke(m, record, count, 8);
	made_poke(m, record + 8, ticks, 8);
}

TEST(contentions_become_nanoseconds)
{
	static const int minors[] = {16, 19, 23, 27};

	for (size_t v = 0; v < sizeof minors / sizeof minors[0]; v++) {
		struct made_runtime m;
		struct taken t;

		made_start(&m, minors[v], false);
		place_ticks(&m, 2000000000);
		made_variable(&m, UW_GLOBAL_BLOCK_PROFILE_RATE, 1);
		contention(&m, made_bucket(&m, BLOCK, 0, 4), 7, 6000);
		contention(&m, made_bucket(&m, BLOCK, 0, 8), 0, 2000);
		assert_int_equal(take(&m, PROWL_BLOCK, &t), PROWL_OK);
		assert_int_equal(t.p->nsamples, 2);
		assert_string_equal(type(&t, 0), "contentions");
		for (size_t i = 0; i < 2; i++) {
			bool large = value(&t, i, 1) == 3000;

			/* Never 0: readers divide by it. */
			assert_int_equal(value(&t, i, 0), large ? 7 : 1);
			assert_int_equal(value(&t, i, 1), large ? 3000 : 1000);
		}
		taken_fini(&t);
		made_end(&m);
	}
}

/* Up to go1.19 a fraction of the contentions is recorded, and scaled when it is read. */
TEST(contended_locks_are_scaled_where_go_does)
{
	static const int minors[] = {19, 27};

	for (size_t v = 0; v < sizeof minors / sizeof minors[0]; v++) {
		struct made_runtime m;
		struct taken t;
		int64_t by;

		made_start(&m, minors[v], false);
		by = m.l->mutex_scaled_on_read ? 10 : 1;
		place_ticks(&m, 1000000000);
		made_variable(&m, UW_GLOBAL_MUTEX_PROFILE_RATE, 10);
		contention(&m, made_bucket(&m, MUTEX, 0, 4), 7, 500);
		assert_int_equal(take(&m, PROWL_MUTEX, &t), PROWL_OK);
		assert_int_equal(value(&t, 0, 0), 7 * by);
		assert_int_equal(value(&t, 0, 1), 500 * by);
		taken_fini(&t);
		made_end(&m);
	}
}

TEST(a_window_has_what_came_within_it)
{
	struct made_runtime m;
	struct taken t;
	uint64_t first;

	start(&m, 27, true, 1);
	first = made_bucket(&m, HEAP, 48, 4);
	heap_counts(&m, first, 48, 10, 4);
	heap_counts(&m, made_bucket(&m, HEAP, 8, 6), 8, 5, 5);
	open_kind(&m, PROWL_HEAP, &t);
	assert_int_equal(prowl_rtprofile_start(t.r, &t.err), PROWL_OK);
	heap_counts(&m, first, 48, 12, 9);
	heap_counts(&m, made_bucket(&m, HEAP, 32, 8), 32, 1, 0);
	assert_int_equal(build(&t), PROWL_OK);
	assert_int_equal(t.p->nsamples, 2); /* none of the second, which did not change */
	for (size_t i = 0; i < 2; i++) {
		bool old = value(&t, i, 0) == 2;

		assert_int_equal(value(&t, i, 0), old ? 2 : 1);
		assert_int_equal(value(&t, i, 1), old ? 96 : 32);
		assert_int_equal(value(&t, i, 2), old ? -3 : 1);
		assert_int_equal(value(&t, i, 3), old ? -144 : 32);
	}
	assert_true(t.p->duration_nanos >= 0);
	taken_fini(&t);
	made_end(&m);
}

TEST(a_window_in_which_nothing_changes)
{
	struct made_runtime m;
	struct taken t;

	start(&m, 27, true, 1);
	heap_counts(&m, made_bucket(&m, HEAP, 48, 4), 48, 10, 4);
	open_kind(&m, PROWL_HEAP, &t);
	assert_int_equal(prowl_rtprofile_start(t.r, &t.err), PROWL_OK);
	assert_int_equal(build(&t), PROWL_NOTHING);
	assert_non_null(strstr(t.err.text, "nothing changed in the heap profile of process 4242"));
	taken_fini(&t);
	made_end(&m);
}

/* The window of a written descriptor ends at once, whatever its length. */
TEST(a_wake_descriptor_ends_the_window)
{
	struct made_runtime m;
	struct taken t;
	int fd = eventfd(1, EFD_CLOEXEC);

	assert_true(fd > 0);
	start(&m, 27, true, 1);
	open_kind(&m, PROWL_HEAP, &t);
	assert_int_equal(prowl_rtprofile_wait(t.r, INT64_MAX, fd, NULL, NULL, &t.err), PROWL_OK);
	assert_int_equal(prowl_rtprofile_wait(t.r, 1, 0, NULL, NULL, &t.err), PROWL_OK);
	taken_fini(&t);
	made_end(&m);
	close(fd);
}

TEST(threads_by_who_made_them)
{
	struct made_runtime m;
	struct taken t;

	made_start(&m, 27, false);
	for (int i = 0; i < 5; i++)
		made_thread(&m);
	assert_int_equal(take(&m, PROWL_THREADCREATE, &t), PROWL_OK);
	assert_int_equal(prowl_rtprofile_result(t.r)->records, 5);
	assert_int_equal(t.p->nsamples, 1);
	assert_int_equal(value(&t, 0, 0), 5);
	taken_fini(&t);
	made_end(&m);
}

/* A list of threads that leads back to itself ends. */
TEST(a_circle_of_threads)
{
	struct made_runtime m;
	struct taken t;
	uint64_t thread;

	made_start(&m, 27, false);
	thread = made_thread(&m);
	made_poke(&m, thread + m.l->m.alllink, MADE_BASE + thread, 8);
	assert_int_equal(take(&m, PROWL_THREADCREATE, &t), PROWL_UNSUPPORTED);
	assert_non_null(strstr(t.err.text, "is not of the form that is known of this version"));
	taken_fini(&t);
	made_poke(&m, thread + m.l->m.alllink, 0x30, 8); /* where nothing is */
	assert_int_equal(take(&m, PROWL_THREADCREATE, &t), PROWL_FAILED);
	assert_non_null(strstr(t.err.text, "does not have its whole threadcreate profile"));
	taken_fini(&t);
	made_end(&m);
}

TEST(what_is_switched_off)
{
	struct made_runtime m;
	struct taken t;

	start(&m, 27, false, 0);
	made_variable(&m, UW_GLOBAL_MBUCKETS, 0);
	assert_int_equal(take(&m, PROWL_HEAP, &t), PROWL_NOTHING);
	/* The sample program has no function that reads the profile. */
	assert_non_null(strstr(t.err.text, "the linker switched heap profiling off"));
	assert_non_null(strstr(t.err.hint, "--allow-write=heap-rate"));
	taken_fini(&t);
	made_variable(&m, UW_GLOBAL_MUTEX_PROFILE_RATE, 0);
	made_variable(&m, UW_GLOBAL_XBUCKETS, 0);
	assert_int_equal(take(&m, PROWL_MUTEX, &t), PROWL_NOTHING);
	assert_non_null(strstr(t.err.text, "its mutex profile rate is 0"));
	assert_non_null(strstr(t.err.hint, "--allow-write=mutex-rate"));
	taken_fini(&t);
	made_variable(&m, UW_GLOBAL_MUTEX_PROFILE_RATE, 10);
	assert_int_equal(take(&m, PROWL_MUTEX, &t), PROWL_NOTHING);
	assert_non_null(strstr(t.err.text, "has recorded nothing yet for its mutex profile"));
	taken_fini(&t);
	made_end(&m);
}

TEST(where_it_is_kept_is_not_known)
{
	struct made_runtime m;
	struct taken t;

	made_start(&m, 27, false);
	assert_int_equal(take(&m, PROWL_BLOCK, &t), PROWL_UNSUPPORTED);
	assert_string_equal(t.err.text, "process 4242 (sample, go1.27.9): where its runtime keeps "
					"its block profile was not found");
	taken_fini(&t);
	made_end(&m);
}

TEST(the_target_executes_another_program)
{
	struct made_runtime m;
	struct taken t;

	start(&m, 27, true, 1);
	heap_counts(&m, made_bucket(&m, HEAP, 48, 4), 48, 10, 4);
	open_kind(&m, PROWL_HEAP, &t);
	m.gone = true;
	assert_int_equal(build(&t), PROWL_NOTHING);
	assert_string_equal(t.err.text,
			    "process 4242 (sample) has ended or executes another program");
	assert_null(t.p);
	taken_fini(&t);
	made_end(&m);
}

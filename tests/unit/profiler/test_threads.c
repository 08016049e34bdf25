/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "threads.h"
#include "unit_test.h"

enum { PID = 1 << 29 }; /* above every number of a process */

static void begins(struct prowl_threads *t, pid_t tid, pid_t parent)
{
	struct prowl_event ev = {.type = PROWL_EVENT_FORK, .pid = PID, .tid = tid};

	ev.fork.ptid = parent;
	prowl_threads_event(t, &ev);
}

static void renames(struct prowl_threads *t, pid_t tid, const char *name)
{
	struct prowl_event ev = {.type = PROWL_EVENT_COMM, .pid = PID, .tid = tid};

	ev.comm.comm = name;
	prowl_threads_event(t, &ev);
}

static void ends(struct prowl_threads *t, pid_t tid)
{
	prowl_threads_event(
		t, &(struct prowl_event){.type = PROWL_EVENT_EXIT, .pid = PID, .tid = tid});
}

static const char *name_of(struct prowl_threads *t, uint32_t number, pid_t tid)
{
	const struct prowl_thread *th = prowl_threads_get(t, number);

	assert_non_null(th);
	assert_int_equal(th->tid, tid);
	return th->name;
}

/* What it was called when it was sampled, whatever it is called later. */
TEST(test_renamed)
{
	struct prowl_threads t = {0};
	uint32_t first, second;

	renames(&t, PID, "main");
	begins(&t, PID + 1, PID);
	first = prowl_threads_sampled(&t, PID, PID + 1);
	assert_int_equal(prowl_threads_sampled(&t, PID, PID + 1), first);
	renames(&t, PID + 1, "main");
	assert_int_equal(prowl_threads_sampled(&t, PID, PID + 1), first);
	renames(&t, PID + 1, "worker");
	renames(&t, PID + 1, "a name that is too long for it");
	second = prowl_threads_sampled(&t, PID, PID + 1);
	assert_int_not_equal(first, second);
	assert_string_equal(name_of(&t, first, PID + 1), "main");
	assert_string_equal(name_of(&t, second, PID + 1), "a name that is ");
	prowl_threads_fini(&t);
}

/* Its number may be another thread's later. */
TEST(test_ended)
{
	struct prowl_threads t = {0};
	uint32_t first, second;

	renames(&t, PID, "main");
	begins(&t, PID + 1, PID);
	renames(&t, PID + 1, "first");
	first = prowl_threads_sampled(&t, PID, PID + 1);
	ends(&t, PID + 1);
	begins(&t, PID + 1, PID);
	second = prowl_threads_sampled(&t, PID, PID + 1);
	assert_string_equal(name_of(&t, first, PID + 1), "first");
	assert_string_equal(name_of(&t, second, PID + 1), "main");
	prowl_threads_fini(&t);
}

/* Those that end unsampled take no memory. */
TEST(test_many)
{
	struct prowl_threads t = {0};

	renames(&t, PID, "main");
	for (pid_t i = 1; i <= 100000; i++) {
		begins(&t, PID + i, PID);
		renames(&t, PID + i, "short");
		ends(&t, PID + i);
	}
	assert_in_range(t.n, 1, 3);
	assert_in_range(prowl_threads_sampled(&t, PID, PID), 1, 3);
	prowl_threads_fini(&t);
}

/* Threads that were there before are asked for their names. */
TEST(test_of_process)
{
	struct prowl_threads t = {0};
	pid_t self = getpid();

	assert_int_equal(prctl(PR_SET_NAME, "before"), 0);
	prowl_threads_add(&t, self);
	assert_int_equal(prctl(PR_SET_NAME, "after"), 0);
	assert_string_equal(name_of(&t, prowl_threads_sampled(&t, self, self), self), "before");
	/* Nobody knows that one any more. */
	assert_string_equal(name_of(&t, prowl_threads_sampled(&t, PID, PID), PID), "");
	assert_null(prowl_threads_get(&t, 0));
	assert_null(prowl_threads_get(&t, 1000));
	prowl_threads_fini(&t);
}

/* Once no key names them, numbers of threads that have ended are given again. */
TEST(test_release)
{
	struct prowl_threads t = {0};
	size_t n = 0;

	renames(&t, PID, "main");
	prowl_threads_sampled(&t, PID, PID);
	for (pid_t i = 1; i <= 1000; i++) {
		uint32_t number;

		begins(&t, PID + i, PID);
		number = prowl_threads_sampled(&t, PID, PID + i);
		ends(&t, PID + i);
		assert_string_equal(name_of(&t, number, PID + i), "main");
		if (i % 10 == 0)
			prowl_threads_release(&t);
		if (i == 10)
			n = t.n;
	}
	assert_int_equal(t.n, n);
	assert_string_equal(name_of(&t, prowl_threads_sampled(&t, PID, PID), PID), "main");
	prowl_threads_fini(&t);
}

TEST(test_remove)
{
	struct prowl_threads t = {0};

	renames(&t, PID, "main");
	begins(&t, PID + 1, PID);
	prowl_threads_sampled(&t, PID, PID + 1);
	assert_int_equal(t.by_tid.n, 2);
	prowl_threads_remove(&t, PID);
	assert_int_equal(t.by_tid.n, 0);
	prowl_threads_release(&t);
	assert_int_equal(t.nunused, t.n);
	prowl_threads_fini(&t);
}

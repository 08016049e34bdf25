/* SPDX-License-Identifier: Apache-2.0 */
/* The guardian, with a file in the place of a target's memory: it reads and writes the same way. */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guardian.h"
#include "unit_test.h"

enum { WORDS = 8 };

static int memory(const uint64_t *words)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, words, WORDS * sizeof *words), WORDS * sizeof *words);
	return fd;
}

static uint64_t word(int mem, size_t i)
{
	uint64_t v;

	assert_int_equal(pread(mem, &v, sizeof v, (off_t)(i * sizeof v)), sizeof v);
	return v;
}

TEST(puts_back_what_is_its_own)
{
	static const uint64_t words[WORDS] = {5, 1, 9, 0};
	int mem = memory(words), read_only;
	char path[64];
	struct guarded w = {.addr = 0, .before = 1, .set = 5};

	assert_int_equal(guarded_restore(mem, &w), GUARDED_RESTORED);
	assert_int_equal(word(mem, 0), 1);
	assert_int_equal(guarded_restore(mem, &w), GUARDED_RESTORED); /* it is back already */
	w.addr = 16;                                                  /* has 9: somebody else's */
	assert_int_equal(guarded_restore(mem, &w), GUARDED_FOREIGN);
	assert_int_equal(word(mem, 2), 9);
	w.addr = sizeof words; /* of an image that is gone nothing is read */
	assert_int_equal(guarded_restore(mem, &w), GUARDED_GONE);
	snprintf(path, sizeof path, "/proc/self/fd/%d", mem);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read_only >= 0);
	w = (struct guarded){.addr = 16, .before = 1, .set = 9};
	assert_int_equal(guarded_restore(read_only, &w), GUARDED_STUCK);
	assert_int_equal(word(mem, 2), 9);
	close(read_only);
	close(mem);
}

TEST(says_what_it_did)
{
	static const uint64_t words[WORDS] = {5, 6, 9};
	const struct guarded guarded[3] = {{0, 1, 5}, {8, 2, 6}, {16, 3, 7}};
	int mem = memory(words);
	enum guarded_state states[3];
	struct guardian g;

	assert_int_equal(guardian_start(&g, mem, guarded, 3, 0), 0);
	assert_true(g.pid > 0);
	assert_false(guardian_was_killed(&g));
	assert_int_equal(word(mem, 0), 5); /* not before the end */
	guardian_end(&g, states, 3);
	assert_int_equal(g.pid, 0);
	assert_int_equal(states[0], GUARDED_RESTORED);
	assert_int_equal(states[1], GUARDED_RESTORED);
	assert_int_equal(states[2], GUARDED_FOREIGN);
	assert_int_equal(word(mem, 0), 1);
	assert_int_equal(word(mem, 1), 2);
	assert_int_equal(word(mem, 2), 9);
	guardian_end(&g, states, 3); /* once more is no error */
	assert_int_equal(states[0], GUARDED_UNKNOWN);
	close(mem);
}

TEST(one_that_was_killed_has_done_nothing)
{
	static const uint64_t words[WORDS] = {5};
	const struct guarded guarded = {0, 1, 5};
	int mem = memory(words);
	enum guarded_state s;
	struct guardian g;
	siginfo_t info;

	assert_int_equal(guardian_start(&g, mem, &guarded, 1, 0), 0);
	assert_int_equal(kill(g.pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)g.pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(guardian_was_killed(&g));
	assert_int_equal(g.pid, 0);
	assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), -1); /* it is reaped */
	assert_int_equal(errno, ECHILD);
	assert_false(guardian_was_killed(&g));
	guardian_end(&g, &s, 1);
	assert_int_equal(s, GUARDED_UNKNOWN);
	assert_int_equal(word(mem, 0), 5);
	close(mem);
}

/* Its time is up while we live: what it did is known at the end. */
TEST(its_time_is_up)
{
	static const uint64_t words[WORDS] = {5};
	const struct guarded guarded = {0, 1, 5};
	int mem = memory(words);
	enum guarded_state s;
	struct guardian g;
	siginfo_t info;

	assert_int_equal(guardian_start(&g, mem, &guarded, 1, 1), 0);
	assert_int_equal(waitid(P_PID, (id_t)g.pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(word(mem, 0), 1);
	assert_false(guardian_was_killed(&g));
	guardian_end(&g, &s, 1);
	assert_int_equal(s, GUARDED_RESTORED);
	close(mem);
}

TEST(too_many_words)
{
	struct guarded guarded[GUARDIAN_MAX + 1] = {{0}};
	struct guardian g;

	assert_int_equal(guardian_start(&g, -1, guarded, GUARDIAN_MAX + 1, 0), -E2BIG);
	assert_int_equal(g.pid, 0);
}

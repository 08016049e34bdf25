/* SPDX-License-Identifier: Apache-2.0 */
/* What a number is, and memory of a process whose main thread has ended: on processes of the test.
 */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem.h"
#include "space.h"
#include "task.h"
#include "unit_test.h"

static const char word[] = "a word of the target";

static enum uw_task_kind kind_of(pid_t pid)
{
	struct uw_task t;

	uw_task_of(pid, &t);
	return t.kind;
}

TEST(test_none)
{
	assert_int_equal(kind_of(0), UW_TASK_NONE);
	assert_int_equal(kind_of(-1), UW_TASK_NONE);
	assert_int_equal(kind_of(0x7ffffff0), UW_TASK_NONE);
	assert_int_equal(uw_task_living(0x7ffffff0), 0x7ffffff0);
}

TEST(test_self)
{
	char path[64];
	struct uw_task t;

	uw_task_of(getpid(), &t);
	assert_int_equal(t.kind, UW_TASK_PROCESS);
	assert_int_equal(t.process, getpid());
	assert_int_equal(t.living, getpid());
	assert_int_equal(t.parent, getppid());
	uw_task_path(getpid(), "maps", path, sizeof path);
	assert_int_equal(access(path, R_OK), 0);
}

struct thread {
	pthread_barrier_t both;
	pid_t tid;
};

static void *wait_twice(void *arg)
{
	struct thread *t = arg;

	t->tid = (pid_t)syscall(SYS_gettid);
	pthread_barrier_wait(&t->both);
	pthread_barrier_wait(&t->both);
	return NULL;
}

TEST(test_thread)
{
	struct thread t;
	struct uw_task task;
	pthread_t id;

	assert_int_equal(pthread_barrier_init(&t.both, NULL, 2), 0);
	assert_int_equal(pthread_create(&id, NULL, wait_twice, &t), 0);
	pthread_barrier_wait(&t.both);
	uw_task_of(t.tid, &task);
	assert_int_equal(task.kind, UW_TASK_THREAD);
	assert_int_equal(task.process, getpid());
	pthread_barrier_wait(&t.both);
	pthread_join(id, NULL);
	pthread_barrier_destroy(&t.both);
}

/* Until its state is that; 30 s are more than any machine needs. */
static void wait_for(pid_t pid, enum uw_task_kind kind, bool leader_ended)
{
	struct uw_task t;

	for (int i = 0; i < 3000; i++) {
		uw_task_of(pid, &t);
		if (t.kind == kind && (t.living != pid) == leader_ended)
			return;
		usleep(10000);
	}
	fail_msg("%d is of kind %d, and not %d", (int)pid, (int)t.kind, (int)kind);
}

TEST(test_zombie)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	wait_for(pid, UW_TASK_ZOMBIE, false);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(kind_of(pid), UW_TASK_NONE);
}

static void *sleep_on(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* A process whose main thread has ended, and that has a thread; its pid is the test's state. */
static int without_leader(void **state)
{
	pid_t pid = fork();
	pthread_t id;

	if (pid == 0) {
		pthread_create(&id, NULL, sleep_on, NULL);
		syscall(SYS_exit, 0); /* of this thread alone */
	}
	*state = (void *)(intptr_t)pid;
	return pid < 0;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Also when the test failed: a child that is left would keep its standard output open. */
static int end_if_left(void **state)
{
	if (*state)
		end((pid_t)(intptr_t)*state);
	return 0;
}

TEST_WITH(test_leader_ended, without_leader, end_if_left)
{
	pid_t pid = (pid_t)(intptr_t)*state;
	struct uw_mem mem = uw_mem_process(pid);
	char got[sizeof word];
	struct uw_mem_part part = {(uintptr_t)word, got, sizeof got};
	int r;

	wait_for(pid, UW_TASK_PROCESS, true);
	r = uw_read(&mem, (uintptr_t)word, got, sizeof got);
	if (r != -ENOSYS && r != -EPERM) { /* a container */
		assert_int_equal(r, 0);
		assert_string_equal(got, word);
		memset(got, 0, sizeof got);
		assert_int_equal(uw_read_parts(&mem, &part, 1), 0);
		assert_string_equal(got, word);
	}
	end(pid);
	*state = NULL;
	assert_int_equal(uw_read(&mem, (uintptr_t)word, got, sizeof got), r == 0 ? -ESRCH : r);
}

/* Is the program of the process, as /proc shows it, this one? An emulator runs as itself. */
static bool is_own_program(pid_t pid)
{
	char path[64], own[4096], other[4096];
	ssize_t n = readlink("/proc/self/exe", own, sizeof own);

	uw_task_path(pid, "exe", path, sizeof path);
	return n > 0 && readlink(path, other, sizeof other) == n && !memcmp(own, other, (size_t)n);
}

TEST_WITH(test_leader_ended_space, without_leader, end_if_left)
{
	pid_t pid = (pid_t)(intptr_t)*state;
	struct uw_binaries files = {0};
	struct uw_space space;

	wait_for(pid, UW_TASK_PROCESS, true);
	if (!is_own_program(pid)) {
		print_message("# skipped: in an emulator /proc/PID/maps is the emulator's\n");
		skip();
	}
	uw_space_init(&space, &files, pid);
	assert_int_equal(uw_space_load(&space), 0);
	assert_int_not_equal(space.living, pid);
	assert_non_null(space.exe);
	assert_non_null(uw_space_at(&space, (uintptr_t)test_leader_ended));
	uw_space_fini(&space);
	uw_binaries_fini(&files);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Signals while a file is written: it is removed, and the signal still ends the process. */
#include <stddef.h>
#include <stdint.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stop.h"
#include "unit_test.h"

static char path[] = "/tmp/prowl-stop-XXXXXX";

/* In a child that writes the file, and says when it may be stopped. */
static void child(int ready, bool catches)
{
	if (catches)
		stop_catch(-1);
	stop_removes(path);
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static int killed_by(int sig, bool catches, int times)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0)
		child(ready[1], catches);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	for (int i = 0; i < times; i++) {
		assert_int_equal(kill(pid, sig), 0);
		while (times > 1 && i == 0 && access(path, F_OK) == 0 && kill(pid, sig) == 0)
			usleep(1000); /* the same signal twice at once is one */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(ready[0]);
	close(ready[1]);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

static void make(void)
{
	int fd;

	snprintf(path, sizeof path, "/tmp/prowl-stop-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
}

TEST(one_signal_removes_it_where_none_is_caught)
{
	static const int sigs[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++) {
		make();
		assert_int_equal(killed_by(sigs[i], false, 1), sigs[i]);
		assert_int_equal(access(path, F_OK), -1);
	}
}

TEST(the_second_one_removes_it_where_they_are)
{
	make();
	assert_int_equal(killed_by(SIGTERM, true, 2), SIGTERM);
	assert_int_equal(access(path, F_OK), -1);
}

TEST(all_is_as_before_when_it_is_written)
{
	struct sigaction is;

	stop_removes("/nowhere");
	assert_int_equal(sigaction(SIGTERM, NULL, &is), 0);
	assert_true(is.sa_handler != SIG_DFL);
	stop_removes(NULL);
	assert_int_equal(sigaction(SIGTERM, NULL, &is), 0);
	assert_true(is.sa_handler == SIG_DFL);
	/* One that the caller ignores stays ignored. */
	assert_true(signal(SIGHUP, SIG_IGN) == SIG_DFL);
	stop_removes("/nowhere");
	assert_int_equal(sigaction(SIGHUP, NULL, &is), 0);
	assert_true(is.sa_handler == SIG_IGN);
	stop_removes(NULL);
	signal(SIGHUP, SIG_DFL);
}

/* What bench does: a command in a session of its own, which gets the signals. */
static void session(int ready)
{
	int hold[2];
	sigset_t before;
	char byte;
	pid_t pid;

	stop_catch_for_session();
	stop_hold(&before);
	if (pipe(hold) < 0)
		_exit(1);
	pid = fork();
	if (pid == 0) {
		setsid();
		signal(SIGINT, SIG_IGN); /* only the second signal ends it */
		stop_let_child(&before);
		if (write(hold[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	stop_session(pid);
	stop_let(&before);
	if (read(hold[0], &byte, 1) != 1 || write(ready, "", 1) != 1)
		_exit(1);
	while (!stop_asked())
		usleep(1000);
	if (write(ready, "", 1) != 1)
		_exit(1);
	while (waitpid(pid, NULL, 0) < 0)
		;
	_exit(7); /* it outlives all signals */
}

TEST(a_session_gets_the_signals_and_prowl_stays)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0)
		session(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(kill(pid, SIGINT), 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(kill(pid, SIGINT), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	close(ready[0]);
	close(ready[1]);
}

TEST(a_signal_that_is_held_is_waited_for)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		sigset_t before;

		stop_hold(&before);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		stop_wait();
		_exit(7);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(kill(pid, SIGHUP), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	close(ready[0]);
	close(ready[1]);
}

TEST(a_pipe_is_as_it_was_in_children)
{
	struct sigaction is;

	signal(SIGPIPE, SIG_DFL);
	stop_ignore_pipe();
	assert_int_equal(sigaction(SIGPIPE, NULL, &is), 0);
	assert_true(is.sa_handler == SIG_IGN);
	stop_let_pipe();
	assert_int_equal(sigaction(SIGPIPE, NULL, &is), 0);
	assert_true(is.sa_handler == SIG_DFL);
}

static int begin(void **state)
{
	/* nohup, and shells for what they start in the background, have some ignored */
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	return 0;
}

TEST_GROUP(begin, NULL);

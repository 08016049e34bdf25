/* SPDX-License-Identifier: Apache-2.0 */
#include "stop.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
enum { NENDS = sizeof ends / sizeof *ends };

/* A signal handler has no other way to know them. */
static volatile sig_atomic_t asked, removes;
static volatile int wake = -1;
static volatile pid_t pass_on, session;
static volatile sig_atomic_t stays; /* no signal ends prowl */
static void (*pipe_before)(int);
static char leftover[PATH_MAX];

static void end(int sig)
{
	if (removes)
		unlink(leftover);
	signal(sig, SIG_DFL);
	raise(sig); /* delivered when the handler returns */
}

static void on_stop(int sig)
{
	uint64_t one = 1;
	int saved = errno, again = asked;

	if (again && !stays) {
		end(sig);
		return;
	}
	asked = 1;
	/* Right after a fork it is not yet a session of its own. */
	if (session > 0 && kill(-session, again ? SIGKILL : sig) < 0)
		kill(session, again ? SIGKILL : sig);
	if (wake >= 0 && write(wake, &one, sizeof one) < 0)
		end(sig);
	if (sig != SIGINT && pass_on > 0)
		kill(pass_on, sig);
	errno = saved;
}

/* With SA_RESTART, so that a file is written whole; a sleep ends with a signal all the same. */
static struct sigaction action(void (*handler)(int))
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = (int)SA_RESTART};

	/* One at a time: the handler must not be interrupted by another one. */
	for (int i = 0; i < NENDS; i++)
		sigaddset(&sa.sa_mask, ends[i]);
	return sa;
}

static void set(void (*handler)(int))
{
	struct sigaction sa = action(handler), old;

	for (int i = 0; i < NENDS; i++) {
		/* nohup */
		if (ends[i] == SIGHUP && sigaction(SIGHUP, NULL, &old) == 0 &&
		    old.sa_handler == SIG_IGN)
			continue;
		sigaction(ends[i], &sa, NULL);
	}
}

void stop_catch(int wake_fd)
{
	wake = wake_fd;
	set(on_stop);
}

void stop_pass_on(pid_t pid)
{
	pass_on = pid;
}

void stop_catch_for_session(void)
{
	stays = 1;
	stop_catch(-1);
}

void stop_session(pid_t pid)
{
	session = pid;
}

void stop_hold(sigset_t *before)
{
	struct sigaction sa = action(SIG_DFL);

	sigprocmask(SIG_BLOCK, &sa.sa_mask, before);
}

void stop_let(const sigset_t *before)
{
	sigprocmask(SIG_SETMASK, before, NULL);
}

void stop_let_child(const sigset_t *before)
{
	struct sigaction is;

	for (int i = 0; i < NENDS; i++) {
		if (sigaction(ends[i], NULL, &is) == 0 && is.sa_handler == on_stop)
			signal(ends[i], SIG_DFL);
	}
	stop_let(before);
}

void stop_wait(void)
{
	struct sigaction sa = action(SIG_DFL);
	int sig;

	sigwait(&sa.sa_mask, &sig);
}

void stop_sleep_until(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000),
			     .tv_nsec = (long)(ns % 1000000000)};

	while (!asked && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

void stop_ignore_pipe(void)
{
	pipe_before = signal(SIGPIPE, SIG_IGN);
}

void stop_let_pipe(void)
{
	signal(SIGPIPE, pipe_before);
}

bool stop_asked(void)
{
	return asked;
}

void stop_release(void)
{
	set(SIG_DFL);
	wake = -1;
}

/* Where a signal is not caught, it removes the file before it ends prowl. */
static void replace(void (*old)(int), void (*now)(int))
{
	struct sigaction sa = action(now), is;

	for (int i = 0; i < NENDS; i++) {
		if (sigaction(ends[i], NULL, &is) == 0 && is.sa_handler == old)
			sigaction(ends[i], &sa, NULL);
	}
}

void stop_removes(const char *path)
{
	removes = 0;
	atomic_signal_fence(memory_order_seq_cst);
	if (path && strlen(path) < sizeof leftover) {
		strcpy(leftover, path);
		atomic_signal_fence(memory_order_seq_cst);
		removes = 1;
		replace(SIG_DFL, end);
	} else {
		replace(end, SIG_DFL);
	}
}

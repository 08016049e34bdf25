/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signals that end prowl: Ctrl-C, SIGTERM and SIGHUP. The first one ends the work early, and
 * its result is still written; the second one, whichever it is, ends prowl at once.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Starts catching. The first signal is written to wake_fd, an eventfd; -1: none. */
void stop_catch(int wake_fd);
/* A signal to prowl alone (one from a terminal reaches both) is passed on to pid. */
void stop_pass_on(pid_t pid);
/* Whether there was a signal. */
bool stop_asked(void);
/* Sleeps until that time of CLOCK_MONOTONIC, or a signal. */
void stop_sleep_until(uint64_t ns);
/* Stops catching: any of the signals ends prowl. */
void stop_release(void);

/*
 * For a command that starts others and removes what they leave behind: no signal ends prowl. The
 * session that runs gets the first one, and SIGKILL at the second one.
 */
void stop_catch_for_session(void);
/* The leader of that session; 0: none runs. */
void stop_session(pid_t leader);

/* Holds the signals back, so that none is lost around a fork or before a thread; let them go. */
void stop_hold(sigset_t *before);
void stop_let(const sigset_t *before);
/* The same in a child, which they end as if prowl caught none. */
void stop_let_child(const sigset_t *before);
/* Waits for a signal that is held back. */
void stop_wait(void);

/* A reader that goes away becomes an error of write(2). */
void stop_ignore_pipe(void);
/* In a child: SIGPIPE as prowl found it. */
void stop_let_pipe(void);

/*
 * A file to remove when a signal ends prowl, also one that is not caught; NULL: none any more. At
 * most one.
 */
void stop_removes(const char *path);

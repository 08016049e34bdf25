/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ctrl-C, SIGTERM and SIGHUP: the first one ends what is being done early, and what there is is
 * still written; the second one, whichever it is, ends prowl at once.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* From now on. The first one is written to wake_fd, an eventfd; -1: nobody waits. */
void stop_catch(int wake_fd);
/* What is sent to us alone (not from a terminal, which reaches both) is passed on to pid. */
void stop_pass_on(pid_t pid);
/* Whether there was one. */
bool stop_asked(void);
/* From now on any of them ends prowl. */
void stop_release(void);
/* A file that is to go when prowl is ended, by a signal that nobody catches as well; NULL: no
 * longer. At most one. */
void stop_removes(const char *path);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work for other threads: at most so many at a time, at most so many that wait. Threads are started
 * when they are needed and stay; they have a lower priority than the rest of the process.
 */
#pragma once

struct jobs;

/* -ENOMEM */
int jobs_new(unsigned int threads, unsigned int waiting, struct jobs **ret);
/* -EAGAIN: as many wait as may. */
int jobs_add(struct jobs *j, void (*run)(void *arg), void *arg);
/* Takes no more of them, and returns when all that were added have run. NULL: nothing. */
void jobs_end(struct jobs *j);
/* The same, and frees it. */
void jobs_free(struct jobs *j);

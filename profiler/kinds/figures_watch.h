/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The figures of a running process, read repeatedly in a thread of its own: reading a million
 * goroutines takes most of a second, and the caller must not wait for that. The pause after each
 * reading keeps their total cost below a fraction of one CPU.
 *
 * Functions belong to the thread that started the watch.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "figures.h"

struct prowl_figures_watch;

/*
 * Starts reading, at most once each `period_ns` and with at most `budget` of one CPU's time (0.005
 * is half a percent). A process that can't be read is no error: there are no figures then. -ENOMEM,
 * or the errno of pthread_create.
 */
int prowl_figures_watch_start(pid_t pid, uint64_t period_ns, double budget,
			      struct prowl_figures_watch **ret);

/* The newest figures and their age; false: there are none (yet). */
bool prowl_figures_watch_get(struct prowl_figures_watch *w, struct prowl_figures *ret,
			     uint64_t *age_ns);

/* Waits for a reading in progress. NULL is accepted. */
void prowl_figures_watch_stop(struct prowl_figures_watch *w);

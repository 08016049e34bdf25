/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The figures of a running process again and again, in a thread of its own: reading a million
 * goroutines takes most of a second, for which nobody else has to wait. The pause after each
 * reading is so long that all of them stay below a part of one CPU.
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
 * Begins to read, no more often than each `period_ns`, and with no more of one CPU's time than
 * `budget` (0.005 is half a percent). A process that can't be read is no error: nothing is there
 * then. -ENOMEM, or the errno of pthread_create.
 */
int prowl_figures_watch_start(pid_t pid, uint64_t period_ns, double budget,
			      struct prowl_figures_watch **ret);

/* The newest figures and how old they are; false: there are none, as yet or for good. */
bool prowl_figures_watch_get(struct prowl_figures_watch *w, struct prowl_figures *ret,
			     uint64_t *age_ns);

/* Waits for a reading that is under way. NULL is accepted. */
void prowl_figures_watch_stop(struct prowl_figures_watch *w);

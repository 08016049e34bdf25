/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little work, but in time: on a busy machine rings fill while we stand in line, and processes that
 * were to be read have ended.
 *
 * With the privilege for it (CAP_SYS_NICE) we are nicer to ourselves. On a machine with several
 * times as many runnable threads as CPUs that is not enough: there we are real-time while we only
 * collect, for no longer than PROWL_URGENT_MS at a time (and what is left of the kernel's tick),
 * which is less than what each of those threads waits for its turn anyway. Where we run on without
 * a pause, a signal (SIGXCPU) puts us back, and PROWL_URGENT_PAUSE_MS pass before we try again.
 * Real-time is not inherited by a child. One user in a process.
 */
#pragma once

#include <stdbool.h>

enum { PROWL_URGENT_MS = 10, PROWL_URGENT_PAUSE_MS = 200 };

/* Are there more than four runnable threads for each CPU? */
bool prowl_urgent_crowd(void);

void prowl_urgent_begin(void);
/* From here on we mostly wait; to be called again and again. */
void prowl_urgent_collect(void);
/* What follows may take longer than PROWL_URGENT_MS: only nicer from here on. */
void prowl_urgent_relax(void);
/* As it was before prowl_urgent_begin. */
void prowl_urgent_end(void);

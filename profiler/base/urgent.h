/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little work, but in time: on a busy machine rings fill while we stand in line, and processes that
 * were to be read have ended.
 *
 * With the privilege for it (CAP_SYS_NICE) we are nicer to ourselves. On a machine with several
 * times as many runnable threads as CPUs that is not enough: there we are real-time, for a tenth of
 * what each of those threads waits for its turn anyway (10 to 100 ms, and what is left of the
 * kernel's tick). Where we run on without a pause for longer, a signal (SIGXCPU) puts us back;
 * where we used as much with pauses, the next call does. Twenty times as long passes before we try
 * again. Not where the limit for it (RLIMIT_RTTIME) has a hard one: there the kernel would kill.
 * Real-time is not inherited by a child. One user in a process.
 */
#pragma once

#include <stdbool.h>

/* Are there more than four runnable threads for each CPU? */
bool prowl_urgent_crowd(void);

void prowl_urgent_begin(void);
/* To be called again and again: what was put back may go on, and the crowd may have come since. */
void prowl_urgent_again(void);
/* As it was before prowl_urgent_begin. */
void prowl_urgent_end(void);

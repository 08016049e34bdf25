/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little work, but in time: on a busy machine rings fill up while we wait for a CPU, and processes
 * end before they are read.
 *
 * With the privilege for it (CAP_SYS_NICE) the process raises its priority. With several times as
 * many runnable threads as CPUs that is not enough: then it is real-time, for a tenth of the time
 * that each of those threads waits for its turn anyway (10 to 100 ms, and the rest of the kernel's
 * tick). A longer run without a pause is ended by a signal (SIGXCPU), one with pauses by the next
 * call. The next try comes after twenty times as long. Never if RLIMIT_RTTIME has a hard limit:
 * there the kernel would kill. Real-time is not inherited by a child. One user in a process.
 */
#pragma once

#include <stdbool.h>

/* Whether there are more than four runnable threads per CPU. */
bool prowl_urgent_crowd(void);

void prowl_urgent_begin(void);
/* Call it repeatedly: a new phase may begin, or the load may have come since. */
void prowl_urgent_again(void);
/* Restores the priority from before prowl_urgent_begin. */
void prowl_urgent_end(void);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Privilege that prowl has beyond its user, from its file (setcap, setuid): it is used to read
 * processes and for nothing else. Everything that the user can name or influence, files above all,
 * is opened with the user's own rights.
 *
 * Without such privilege (also as root, who is the user then) the functions do nothing. They apply
 * to the calling thread and the threads that it starts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a command may need, as bits. Everything else that the file has is dropped at the start. */
enum {
	PROWL_MAY_SAMPLE = 1, /* CAP_PERFMON and CAP_BPF; CAP_SYS_ADMIN where Linux has neither */
	PROWL_MAY_READ = 2,   /* CAP_SYS_PTRACE, and CAP_CHECKPOINT_RESTORE for deleted programs */
	PROWL_MAY_NAME = 4,   /* CAP_SYSLOG */
};

/* Whether our program has more rights than its user (AT_SECURE). */
bool prowl_privilege_elevated(void);

/*
 * Call it first: drops for good everything that `may` does not name, and lowers the rest. False: it
 * can't be dropped, and prowl must not go on.
 */
bool prowl_privilege_begin(unsigned int may);

/* Raises and lowers what begin has left. */
void prowl_privilege_raise(void);
void prowl_privilege_lower(void);

/* Drops for good what is no longer needed. */
void prowl_privilege_drop(unsigned int may);

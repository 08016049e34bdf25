/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What prowl may do beyond its user, when it has that from its file (setcap, setuid): to look at
 * processes, and nothing else. All that the user can name or influence, files above all, is opened
 * with the user's own rights.
 *
 * Without such privilege (root included, who is the user) nothing here does anything. Of the
 * calling thread and those that it starts.
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

/* The kernel says that what we execute has more rights than its user (AT_SECURE). */
bool prowl_privilege_elevated(void);

/*
 * First of all: drops what `may` does not name, for good, and lays down the rest. False: it can't
 * be dropped, and prowl must not go on.
 */
bool prowl_privilege_begin(unsigned int may);

/* Takes up, and lays down again, what begin has left. */
void prowl_privilege_raise(void);
void prowl_privilege_lower(void);

/* Drops for good what is not needed any more. */
void prowl_privilege_drop(unsigned int may);

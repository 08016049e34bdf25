/* SPDX-License-Identifier: Apache-2.0 */
/* Why a process can't be looked at, and what would help: the words, in one place. */
#pragma once

#include <sys/types.h>

#include "err.h"

/*
 * Adds to e what forbids to read the memory or files of pid (Yama, SELinux, seccomp, a user
 * namespace, missing capabilities), what grants it, and what works without. e may be NULL.
 */
void prowl_hint_reading(struct prowl_err *e, pid_t pid);

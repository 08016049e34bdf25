/* SPDX-License-Identifier: Apache-2.0 */
/* Why a process can't be read, and what would help: the sentences, in one place. */
#pragma once

#include <sys/types.h>

#include "err.h"

/*
 * Adds hints to e: what forbids reading the memory or files of pid (Yama, SELinux, seccomp, a user
 * namespace, missing capabilities), what grants it, and what works without. e may be NULL.
 */
void prowl_hint_reading(struct prowl_err *e, pid_t pid);

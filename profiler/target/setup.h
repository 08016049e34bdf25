/* SPDX-License-Identifier: Apache-2.0 */
/* What a program that looks at targets does first, before it makes threads. */
#pragma once

#include <stdbool.h>

/*
 * Survives files of targets that are truncated while they are read (without that, a target can end
 * this process, no more), and switches on the messages for developers in the domains of `debug`,
 * separated by commas (NULL: none). False: a domain is not known; *ret_known lists those that are.
 */
bool prowl_setup(const char *debug, const char **ret_known);

/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles from files. */
#pragma once

#include <stddef.h>

struct pprof_profile;

/* Reads all files ("-" is standard input) and merges them; NULL after saying what is wrong. */
struct pprof_profile *input_load(char *const *paths, size_t n);

/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles from files. */
#pragma once

#include <stddef.h>

struct pprof_profile;

/*
 * Reads all files ("-" is standard input, "store:..." see input_store.h) and merges them; NULL
 * after an error message.
 */
struct pprof_profile *input_load(char *const *paths, size_t n);

/* The rest of the comment that begins with `key`; "" without one. Borrowed from p. */
const char *input_comment(const struct pprof_profile *p, const char *key);

/*
 * The profile that p is compared with; it must also have values of that type (NULL: p's default).
 * NULL after an error message.
 */
struct pprof_profile *input_load_base(const char *path, const struct pprof_profile *p,
				      const char *type);

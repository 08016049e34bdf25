/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identifies the program's own functions: those of package main and of all modules, also of those
 * that it depends on. Go itself (the runtime, the standard library), the kernel and C are not its
 * own.
 *
 * A package belongs to the standard library if its path begins like one of that and no profile says
 * that it is of the program's module ("build: module=", "build: package=" in the comments); so the
 * go command and the compiler have functions of their own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct pprof_profile;

struct own_modules {
	const char **paths; /* borrowed from the profiles */
	size_t n, cap;
};

int pp_own_init(struct own_modules *m, const struct pprof_profile *const *profiles, size_t n);
void pp_own_fini(struct own_modules *m);

/* file: of the source; object: file name of the binary; "" unknown. */
bool pp_is_own(const struct own_modules *m, const char *function, const char *file,
	       const char *object);

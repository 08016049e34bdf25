/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which functions are the program's own: those of package main and of modules, its own and those
 * that it depends on. What Go itself brings (the runtime, the standard library), the kernel and C
 * are not.
 *
 * A package is the standard library's if its path begins as one of that does and no profile says
 * ("build: module=", "build: package=" in the comments) that it is of the program's module; so the
 * functions of the go command and of the compiler are their own.
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

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of a profile's kernel addresses: from what an earlier run kept where that still holds, from
 * /proc/kallsyms otherwise.
 *
 * Kept is $XDG_CACHE_HOME/prowl/kallsyms, by default $HOME/.cache/prowl/kallsyms. Not where neither
 * is set, nor where PROWL_NO_CACHE is, nor in a program that was started with more privilege than
 * its user has (set-user-id, file capabilities): the symbols that it may see are not for its user's
 * disk. The folder and the file must belong to the effective user and be writable by no other.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kallsyms.h"

struct prowl_ksyms_paths { /* NULL: the system's */
	const char *kallsyms, *modules, *boot_id;
};

struct prowl_ksyms {
	struct uw_kallsyms *kept, *read; /* either may be NULL */
	enum prowl_ksyms_cache {
		PROWL_KSYMS_NO_CACHE,
		PROWL_KSYMS_KEPT,    /* named from the file, as far as it goes */
		PROWL_KSYMS_WRITTEN, /* there was none, or one that doesn't hold any more */
		PROWL_KSYMS_UNWRITABLE,
	} cache;
	int cache_error; /* negative errno: why there is no cache, or why it could not be written */
};

/*
 * The names of n addresses in ascending order; paths may be NULL. -EPERM: the kernel hides its
 * addresses. A cache that can't be used or written is no error. After an error *k is empty; it may
 * be asked and ended like any other.
 */
int prowl_ksyms_init(struct prowl_ksyms *k, const uint64_t *pcs, size_t n,
		     const struct prowl_ksyms_paths *paths);
void prowl_ksyms_fini(struct prowl_ksyms *k);

/* As uw_kallsyms_name, for one of the addresses. */
const char *prowl_ksyms_name(const struct prowl_ksyms *k, uint64_t pc, const char **module);

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

struct prowl_kernel_symbols_paths { /* NULL: the system's */
	const char *kallsyms, *modules, *boot_id;
};

struct prowl_kernel_symbols {
	struct uw_kallsyms *kept, *read; /* either may be NULL */
	enum prowl_kernel_symbols_cache {
		PROWL_KERNEL_SYMBOLS_NO_CACHE,
		PROWL_KERNEL_SYMBOLS_KEPT,    /* named from the file, as far as it goes */
		PROWL_KERNEL_SYMBOLS_WRITTEN, /* there was none, or one that doesn't hold any more
					       */
		PROWL_KERNEL_SYMBOLS_UNWRITABLE,
	} cache;
	int cache_error; /* negative errno: why there is no cache, or why it could not be written */
};

/*
 * The names of n addresses in ascending order; paths may be NULL. -EPERM: the kernel hides its
 * addresses. A cache that can't be used or written is no error. After an error *k is empty; it may
 * be asked and ended like any other.
 */
int prowl_kernel_symbols_init(struct prowl_kernel_symbols *k, const uint64_t *pcs, size_t n,
			      const struct prowl_kernel_symbols_paths *paths);
void prowl_kernel_symbols_fini(struct prowl_kernel_symbols *k);

/* As uw_kallsyms_name, for one of the addresses. */
const char *prowl_kernel_symbols_name(const struct prowl_kernel_symbols *k, uint64_t pc,
				      const char **module);

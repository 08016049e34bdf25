/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of kernel addresses that come bit by bit, in one window after the other: each address is
 * looked up once. Where the symbols are not kept on disk, all of them are read once and held in
 * memory from the second time on (35 bytes each), as each reading costs tens of milliseconds.
 * Emptied at the beginning of a window when it has PROWL_KERNEL_NAMES_MAX addresses, some 3 MB.
 *
 * One thread. Private to this folder.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "idmap.h"
#include "kernel_symbols.h"

enum { PROWL_KERNEL_NAMES_MAX = 32768 };

struct prowl_kernel_name {
	char *name;   /* NULL: none covers the address */
	char *module; /* NULL: the kernel itself */
};

struct prowl_kernel_names { /* zero-initialised is empty */
	struct prowl_idmap ids;
	struct prowl_kernel_name *names;
	size_t n, cap;
	unsigned int times; /* that symbols were looked for */
	struct uw_kallsyms *all;
	enum prowl_kernel_symbols_cache cache; /* of the last time */
	int cache_error;
};

/*
 * Learns the names of n addresses in ascending order, all of a window. -EPERM: the kernel hides its
 * addresses; -ENOMEM; or why symbols could not be read. After an error, addresses that are new have
 * no name.
 */
int prowl_kernel_names_learn(struct prowl_kernel_names *k, const uint64_t *pcs, size_t n);
/* NULL: no name. Borrowed from k. */
const struct prowl_kernel_name *prowl_kernel_names_of(const struct prowl_kernel_names *k,
						      uint64_t pc);
void prowl_kernel_names_fini(struct prowl_kernel_names *k);

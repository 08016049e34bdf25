/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of kernel addresses that come bit by bit, in one window after the other: each address is
 * looked up once. Where the symbols are not kept on disk, all of them are read once and held in
 * memory from the second time on (35 bytes each), as each reading costs tens of milliseconds.
 *
 * One thread. Private to this folder.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "idmap.h"
#include "kernel_symbols.h"

struct prowl_kname {
	char *name;   /* NULL: none covers the address */
	char *module; /* NULL: the kernel itself */
};

struct prowl_knames { /* zero-initialised is empty */
	struct prowl_idmap ids;
	struct prowl_kname *names;
	size_t n, cap;
	unsigned int times; /* that symbols were looked for */
	struct uw_kallsyms *all;
	enum prowl_ksyms_cache cache; /* of the last time */
	int cache_error;
};

/*
 * Learns the names of n addresses in ascending order. -EPERM: the kernel hides its addresses;
 * -ENOMEM; or why symbols could not be read. After an error, addresses that are new have no name.
 */
int prowl_knames_learn(struct prowl_knames *k, const uint64_t *pcs, size_t n);
/* NULL: no name. Borrowed from k. */
const struct prowl_kname *prowl_knames_of(const struct prowl_knames *k, uint64_t pc);
void prowl_knames_fini(struct prowl_knames *k);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of native addresses, kept from one window of a session to the next: to look them up means
 * to read symbol tables and debug information, which are unpacked for that and not kept.
 *
 * Holds copies. Emptied when it has PROWL_SYMBOL_CACHE_MAX addresses, some 4 MB. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "idmap.h"
#include "symbolize.h"

enum { PROWL_SYMBOL_CACHE_MAX = 16384 };

struct prowl_symbol_cache { /* zero-initialised is empty */
	struct prowl_idmap ids;
	struct prowl_symbol_cache_entry {
		uint64_t key;
		struct uw_symbol *symbols;
		size_t n;
	} * entries;
	size_t n, cap;
};

void prowl_symbol_cache_fini(struct prowl_symbol_cache *c);
/*
 * The frames at pc in an image, as uw_symbolize gave them; false: not known. The strings live until
 * the next put.
 */
bool prowl_symbol_cache_get(const struct prowl_symbol_cache *c, uint32_t image, uint64_t pc,
			    struct uw_symbol *symbols, size_t *ret_n);
/* Keeps them; where memory runs out it doesn't, and the address is looked up again. */
void prowl_symbol_cache_put(struct prowl_symbol_cache *c, uint32_t image, uint64_t pc,
			    const struct uw_symbol *symbols, size_t n);
/* Forgets what it has of the images for which `ended` is true. */
void prowl_symbol_cache_forget(struct prowl_symbol_cache *c,
			       bool (*ended)(void *ctx, uint32_t image), void *ctx);

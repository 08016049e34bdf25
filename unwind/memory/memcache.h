/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader that turns many small reads into few large ones: for lists whose elements lie close
 * together, read once. Bytes are kept once read, so all of them are as old as the first read;
 * forget it to see memory anew.
 *
 * Bounded memory (256 KiB), whatever is read. One thread.
 */
#pragma once

#include "mem.h"

struct uw_memcache;

/* `below` is copied; its context must outlive the cache. -ENOMEM. */
int uw_memcache_new(const struct uw_mem *below, struct uw_memcache **ret);
void uw_memcache_free(struct uw_memcache *c);
void uw_memcache_forget(struct uw_memcache *c);
/* The reader; fails exactly where `below` does. Borrows the cache. */
struct uw_mem uw_memcache_mem(struct uw_memcache *c);

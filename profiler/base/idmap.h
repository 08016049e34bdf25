/* SPDX-License-Identifier: Apache-2.0 */
/* A map from 64-bit keys to 32-bit values: open addressing, grows, key 0 is not allowed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prowl_idmap_slot {
	uint64_t key;
	uint32_t val;
};

struct prowl_idmap { /* zero-initialised is empty */
	struct prowl_idmap_slot *slots;
	size_t n, cap;
};

bool prowl_idmap_get(const struct prowl_idmap *m, uint64_t key, uint32_t *ret);
/* Adds or replaces. -ENOMEM leaves the map unchanged. */
int prowl_idmap_put(struct prowl_idmap *m, uint64_t key, uint32_t val);
/* Removes a key; a missing key is no error. */
void prowl_idmap_del(struct prowl_idmap *m, uint64_t key);
void prowl_idmap_fini(struct prowl_idmap *m);

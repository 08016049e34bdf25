/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which stacks were seen before: numbers them from 0 in the order of their first appearance, so
 * that the caller keeps what it knows of each in an array. Grows; one thread. Where the size must
 * be fixed and many write, see stackhash.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "idmap.h"

struct prowl_stackset_key {
	size_t first, n; /* in words */
	uint64_t hash;
};

struct prowl_stackset { /* zero-initialised is empty */
	struct prowl_idmap by_hash;
	struct prowl_stackset_key *keys;
	uint64_t *words;
	size_t n, cap, nwords, cap_words;
};

/* The number of a stack; *is_new: it was not in the set. -ENOMEM leaves the set as it was. */
int prowl_stackset_add(struct prowl_stackset *s, const uint64_t *words, size_t n, uint32_t *ret,
		       bool *is_new);
/* Its words, valid until the next add. */
const uint64_t *prowl_stackset_words(const struct prowl_stackset *s, uint32_t stack, size_t *n);
/* Of its words alone: the same in every set. */
uint64_t prowl_stackset_hash(const struct prowl_stackset *s, uint32_t stack);
void prowl_stackset_fini(struct prowl_stackset *s);

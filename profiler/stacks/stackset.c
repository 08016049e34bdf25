/* SPDX-License-Identifier: Apache-2.0 */
#include "stackset.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "stackhash.h"

/* The next place to look at, after a key that another stack has; 0 is no key. */
static uint64_t next_key(uint64_t key)
{
	return key + 1 ? key + 1 : 1;
}

static bool equals(const struct prowl_stackset *s, uint32_t stack, const uint64_t *words, size_t n)
{
	const struct prowl_stackset_key *k = &s->keys[stack];

	return k->n == n && (n == 0 || !memcmp(s->words + k->first, words, n * sizeof *words));
}

static int add_new(struct prowl_stackset *s, const uint64_t *words, size_t n, uint64_t hash,
		   uint64_t key)
{
	int r = prowl_array_reserve(&s->keys, &s->cap, s->n + 1, sizeof *s->keys);

	if (r == 0)
		r = prowl_array_reserve(&s->words, &s->cap_words, s->nwords + n, sizeof *s->words);
	if (r == 0)
		r = prowl_idmap_put(&s->by_hash, key, (uint32_t)s->n);
	if (r < 0)
		return r;
	s->keys[s->n++] = (struct prowl_stackset_key){s->nwords, n, hash};
	if (n)
		memcpy(s->words + s->nwords, words, n * sizeof *words);
	s->nwords += n;
	return 0;
}

int prowl_stackset_add(struct prowl_stackset *s, const uint64_t *words, size_t n, uint32_t *ret,
		       bool *is_new)
{
	uint64_t hash = prowl_stackhash_hash(words, n), key = hash ? hash : 1;

	*is_new = false;
	for (; prowl_idmap_get(&s->by_hash, key, ret); key = next_key(key)) {
		if (equals(s, *ret, words, n))
			return 0;
	}
	*ret = (uint32_t)s->n;
	*is_new = true;
	return add_new(s, words, n, hash, key);
}

const uint64_t *prowl_stackset_words(const struct prowl_stackset *s, uint32_t stack, size_t *n)
{
	*n = s->keys[stack].n;
	return s->words + s->keys[stack].first;
}

uint64_t prowl_stackset_hash(const struct prowl_stackset *s, uint32_t stack)
{
	return s->keys[stack].hash;
}

void prowl_stackset_fini(struct prowl_stackset *s)
{
	prowl_idmap_fini(&s->by_hash);
	free(s->keys);
	free(s->words);
	*s = (struct prowl_stackset){0};
}

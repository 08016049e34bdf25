/* SPDX-License-Identifier: Apache-2.0 */
#include "symbol_cache.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"

enum { PC_BITS = 48 }; /* of the user's half of an address space */

/* 0: can't be kept. */
static uint64_t key_of(uint32_t image, uint64_t pc)
{
	return image >> (64 - PC_BITS) || pc >> PC_BITS ? 0 : (uint64_t)image << PC_BITS | pc;
}

void prowl_symbol_cache_fini(struct prowl_symbol_cache *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->entries[i].symbols);
	free(c->entries);
	prowl_idmap_fini(&c->ids);
	*c = (struct prowl_symbol_cache){0};
}

bool prowl_symbol_cache_get(const struct prowl_symbol_cache *c, uint32_t image, uint64_t pc,
			    struct uw_symbol *symbols, size_t *ret_n)
{
	uint64_t key = key_of(image, pc);
	const struct prowl_symbol_cache_entry *e;
	uint32_t id;

	if (!key || !prowl_idmap_get(&c->ids, key, &id))
		return false;
	e = &c->entries[id];
	if (e->n)
		memcpy(symbols, e->symbols, e->n * sizeof *symbols);
	*ret_n = e->n;
	return true;
}

static size_t length(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

static const char *copy(char **at, const char *s)
{
	char *to = *at;
	size_t n = length(s);

	if (!s)
		return NULL;
	memcpy(to, s, n);
	*at += n;
	return to;
}

/* Symbols and, behind them, their strings, in one piece. */
static struct uw_symbol *copy_all(const struct uw_symbol *symbols, size_t n)
{
	size_t bytes = n * sizeof *symbols;
	struct uw_symbol *to;
	char *at;

	for (size_t i = 0; i < n; i++) {
		const struct uw_frame *f = &symbols[i].frame;

		bytes += length(f->name) + length(f->readable) + length(f->file);
	}
	to = malloc(bytes + 1);
	if (!to)
		return NULL;
	at = (char *)(to + n);
	for (size_t i = 0; i < n; i++) {
		to[i] = symbols[i];
		to[i].frame.name = copy(&at, symbols[i].frame.name);
		to[i].frame.readable = copy(&at, symbols[i].frame.readable);
		to[i].frame.file = copy(&at, symbols[i].frame.file);
	}
	return to;
}

void prowl_symbol_cache_put(struct prowl_symbol_cache *c, uint32_t image, uint64_t pc,
			    const struct uw_symbol *symbols, size_t n)
{
	uint64_t key = key_of(image, pc);
	struct uw_symbol *kept;

	if (!key)
		return;
	if (c->n == PROWL_SYMBOL_CACHE_MAX)
		prowl_symbol_cache_fini(c);
	if (prowl_array_reserve(&c->entries, &c->cap, c->n + 1, sizeof *c->entries) < 0)
		return;
	kept = copy_all(symbols, n);
	if (!kept || prowl_idmap_put(&c->ids, key, (uint32_t)c->n) < 0) {
		free(kept);
		return;
	}
	c->entries[c->n++] = (struct prowl_symbol_cache_entry){key, kept, n};
}

void prowl_symbol_cache_forget(struct prowl_symbol_cache *c,
			       bool (*ended)(void *ctx, uint32_t image), void *ctx)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->n; i++) {
		struct prowl_symbol_cache_entry *e = &c->entries[i];

		if (ended(ctx, (uint32_t)(e->key >> PC_BITS))) {
			prowl_idmap_del(&c->ids, e->key);
			free(e->symbols);
			continue;
		}
		if (kept < i) /* it is in the map: there is room for it */
			prowl_idmap_put(&c->ids, e->key, (uint32_t)kept);
		c->entries[kept++] = *e;
	}
	c->n = kept;
}

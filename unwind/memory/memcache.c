/* SPDX-License-Identifier: Apache-2.0 */
#include "memcache.h"

#include <errno.h>
#include <stdlib.h>

enum {
	BLOCK_BITS = 15,
	BLOCK = 1 << BLOCK_BITS,
	BLOCKS = 8, /* direct-mapped */
};

enum state { EMPTY, HELD, REFUSED };

struct uw_memcache {
	struct uw_mem below;
	uint64_t number[BLOCKS]; /* address / BLOCK of what the slot holds */
	uint8_t state[BLOCKS];
	uint8_t bytes[BLOCKS][BLOCK];
};

int uw_memcache_new(const struct uw_mem *below, struct uw_memcache **ret)
{
	struct uw_memcache *c = malloc(sizeof *c);

	if (!c)
		return -ENOMEM;
	c->below = *below;
	uw_memcache_forget(c);
	*ret = c;
	return 0;
}

void uw_memcache_free(struct uw_memcache *c)
{
	free(c);
}

void uw_memcache_forget(struct uw_memcache *c)
{
	memset(c->state, EMPTY, sizeof c->state);
}

/* The block's bytes, or NULL where it can't be read as a whole: its mapping ends in it. */
static const uint8_t *block(struct uw_memcache *c, uint64_t number)
{
	size_t slot = number % BLOCKS;

	if (c->state[slot] == EMPTY || c->number[slot] != number) {
		c->number[slot] = number;
		c->state[slot] = uw_read(&c->below, number << BLOCK_BITS, c->bytes[slot], BLOCK) < 0
					 ? REFUSED
					 : HELD;
	}
	return c->state[slot] == HELD ? c->bytes[slot] : NULL;
}

static int read_cached(void *ctx, uint64_t addr, void *buf, size_t len)
{
	struct uw_memcache *c = ctx;
	uint8_t *to = buf;

	while (len > 0) {
		size_t at = addr & (BLOCK - 1);
		size_t k = len < BLOCK - at ? len : BLOCK - at;
		const uint8_t *b = block(c, addr >> BLOCK_BITS);
		int r = 0;

		if (b)
			memcpy(to, b + at, k);
		else
			r = uw_read(&c->below, addr, to, k);
		if (r < 0)
			return r;
		to += k;
		addr += k;
		len -= k;
	}
	return 0;
}

struct uw_mem uw_memcache_mem(struct uw_memcache *c)
{
	return (struct uw_mem){.read = read_cached, .ctx = c};
}

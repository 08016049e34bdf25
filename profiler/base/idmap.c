/* SPDX-License-Identifier: Apache-2.0 */
#include "idmap.h"

#include <errno.h>
#include <stdlib.h>

static size_t home_of(const struct prowl_idmap *m, uint64_t key)
{
	return (size_t)((key * 0x9e3779b97f4a7c15ull) >> 20) & (m->cap - 1);
}

static struct prowl_idmap_slot *slot_of(const struct prowl_idmap *m, uint64_t key)
{
	size_t i = home_of(m, key);

	while (m->slots[i].key != 0 && m->slots[i].key != key)
		i = (i + 1) & (m->cap - 1);
	return &m->slots[i];
}

bool prowl_idmap_get(const struct prowl_idmap *m, uint64_t key, uint32_t *ret)
{
	const struct prowl_idmap_slot *s;

	if (m->cap == 0)
		return false;
	s = slot_of(m, key);
	if (s->key == 0)
		return false;
	*ret = s->val;
	return true;
}

static int grow(struct prowl_idmap *m)
{
	struct prowl_idmap b = {.cap = m->cap ? m->cap * 2 : 64, .n = m->n};

	b.slots = calloc(b.cap, sizeof *b.slots);
	if (!b.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].key != 0)
			*slot_of(&b, m->slots[i].key) = m->slots[i];
	free(m->slots);
	*m = b;
	return 0;
}

int prowl_idmap_put(struct prowl_idmap *m, uint64_t key, uint32_t val)
{
	struct prowl_idmap_slot *s;

	if (m->n >= m->cap / 3 * 2 && grow(m) < 0)
		return -ENOMEM;
	s = slot_of(m, key);
	if (s->key == 0)
		m->n++;
	/* grow() failed or gave new ones. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	*s = (struct prowl_idmap_slot){key, val};
	return 0;
}

void prowl_idmap_del(struct prowl_idmap *m, uint64_t key)
{
	size_t hole, i;

	if (m->cap == 0)
		return;
	hole = i = (size_t)(slot_of(m, key) - m->slots);
	if (m->slots[hole].key == 0)
		return;
	m->n--;
	/* Later slots of the same run move up, but never before their home. */
	for (;;) {
		size_t home;

		i = (i + 1) & (m->cap - 1);
		if (m->slots[i].key == 0)
			break;
		home = home_of(m, m->slots[i].key);
		if (((i - home) & (m->cap - 1)) < ((i - hole) & (m->cap - 1)))
			continue;
		m->slots[hole] = m->slots[i];
		hole = i;
	}
	m->slots[hole].key = 0;
}

void prowl_idmap_fini(struct prowl_idmap *m)
{
	free(m->slots);
	*m = (struct prowl_idmap){0};
}

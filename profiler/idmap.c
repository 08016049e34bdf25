/* SPDX-License-Identifier: Apache-2.0 */
#include "idmap.h"

#include <errno.h>
#include <stdlib.h>

static size_t home_of(const struct prowl_idmap *m, uint64_t key)
{
	return (size_t)((key * 0x9e3779b97f4a7c15ull) >> 20) & (m->cap - 1);
}

static size_t slot_of(const struct prowl_idmap *m, uint64_t key)
{
	size_t i = home_of(m, key);

	while (m->keys[i] != 0 && m->keys[i] != key)
		i = (i + 1) & (m->cap - 1);
	return i;
}

bool prowl_idmap_get(const struct prowl_idmap *m, uint64_t key, uint32_t *ret)
{
	size_t i;

	if (m->cap == 0)
		return false;
	i = slot_of(m, key);
	if (m->keys[i] == 0)
		return false;
	*ret = m->vals[i];
	return true;
}

static int grow(struct prowl_idmap *m)
{
	struct prowl_idmap b = {.cap = m->cap ? m->cap * 2 : 64, .n = m->n};

	b.keys = calloc(b.cap, sizeof *b.keys);
	b.vals = calloc(b.cap, sizeof *b.vals);
	if (!b.keys || !b.vals) {
		prowl_idmap_fini(&b);
		return -ENOMEM;
	}
	for (size_t i = 0; i < m->cap; i++) {
		size_t j;

		if (m->keys[i] == 0)
			continue;
		j = slot_of(&b, m->keys[i]);
		b.keys[j] = m->keys[i];
		b.vals[j] = m->vals[i];
	}
	free(m->keys);
	free(m->vals);
	*m = b;
	return 0;
}

int prowl_idmap_put(struct prowl_idmap *m, uint64_t key, uint32_t val)
{
	size_t i;

	if (m->n * 2 >= m->cap && grow(m) < 0)
		return -ENOMEM;
	i = slot_of(m, key);
	if (m->keys[i] == 0)
		m->n++;
	m->keys[i] = key;
	/* grow() failed or gave new ones. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	m->vals[i] = val;
	return 0;
}

void prowl_idmap_del(struct prowl_idmap *m, uint64_t key)
{
	size_t hole, i;

	if (m->cap == 0)
		return;
	hole = i = slot_of(m, key);
	if (m->keys[hole] == 0)
		return;
	m->n--;
	/* Later ones of the same run move up, unless that were before their home. */
	for (;;) {
		size_t home;

		i = (i + 1) & (m->cap - 1);
		if (m->keys[i] == 0)
			break;
		home = home_of(m, m->keys[i]);
		if (((i - home) & (m->cap - 1)) < ((i - hole) & (m->cap - 1)))
			continue;
		m->keys[hole] = m->keys[i];
		m->vals[hole] = m->vals[i];
		hole = i;
	}
	m->keys[hole] = 0;
}

void prowl_idmap_fini(struct prowl_idmap *m)
{
	free(m->keys);
	free(m->vals);
	*m = (struct prowl_idmap){0};
}

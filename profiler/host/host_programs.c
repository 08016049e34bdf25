/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that were read once: a second run of one costs a stat, also where it is gone by then. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "array.h"
#include "elf.h"
#include "host_parts.h"
#include "task.h"

static uint64_t hash_of(const struct host_key *k)
{
	uint64_t h = k->ino * 0x9e3779b97f4a7c15ull;

	h = (h ^ k->dev) * 0xc2b2ae3d27d4eb4full;
	h = (h ^ k->size) * 0x165667b19e3779f9ull;
	h = (h ^ (uint64_t)k->changed) * 0x9e3779b97f4a7c15ull;
	h ^= h >> 32;
	return h ? h : 1;
}

static bool same(const struct host_key *a, const struct host_key *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->changed == b->changed;
}

struct host_known *host_programs_find(struct host_programs *c, const struct host_key *key)
{
	uint32_t i;

	if (!prowl_idmap_get(&c->by_key, hash_of(key), &i) || !same(&c->known[i].key, key))
		return NULL;
	c->known[i].used = ++c->clock;
	return &c->known[i];
}

/* The one that was not asked for the longest time makes room. */
static struct host_known *oldest(struct host_programs *c)
{
	struct host_known *k = &c->known[0];

	for (size_t i = 1; i < c->n; i++) {
		if (c->known[i].used < k->used)
			k = &c->known[i];
	}
	prowl_idmap_del(&c->by_key, hash_of(&k->key));
	prowl_program_fini(&k->program);
	return k;
}

static struct host_known *place(struct host_programs *c, const struct host_key *key)
{
	struct host_known *k;
	uint32_t taken;

	if (prowl_idmap_get(&c->by_key, hash_of(key), &taken)) { /* another one with that hash */
		k = &c->known[taken];
		prowl_program_fini(&k->program);
	} else if (c->n >= HOST_PROGRAMS) {
		k = oldest(c);
	} else if (prowl_array_reserve(&c->known, &c->cap, c->n + 1, sizeof *c->known) == 0) {
		k = &c->known[c->n++];
	} else {
		return NULL;
	}
	*k = (struct host_known){.key = *key, .used = ++c->clock};
	/* Without memory it is not found: read again. */
	prowl_idmap_put(&c->by_key, hash_of(key), (uint32_t)(k - c->known));
	return k;
}

/* What a decision never asks for takes most of the room. */
static void shrink(struct prowl_buildinfo *b)
{
	free(b->deps);
	b->deps = NULL;
	b->ndeps = 0;
}

struct host_known *host_programs_read(struct host_programs *c, const struct host_key *key, int fd)
{
	struct host_known *k = place(c, key);

	if (!k) {
		close(fd);
		return NULL;
	}
	c->opened++;
	k->error = prowl_program_read(fd, &k->program);
	shrink(&k->program.build);
	return k;
}

void host_programs_fini(struct host_programs *c)
{
	for (size_t i = 0; i < c->n; i++)
		prowl_program_fini(&c->known[i].program);
	free(c->known);
	prowl_idmap_fini(&c->by_key);
	*c = (struct host_programs){0};
}

/* --- files ----------------------------------------------------------------------- */

static struct host_key key_of(const struct stat *st)
{
	return (struct host_key){.dev = st->st_dev,
				 .ino = st->st_ino,
				 .size = (uint64_t)st->st_size,
				 .changed = (int64_t)st->st_mtim.tv_sec * 1000000000 +
					    st->st_mtim.tv_nsec};
}

static int open_file(const char *path, uint64_t ino, struct host_key *ret)
{
	struct stat st;
	int fd = uw_open_regular(path, &st);

	if (fd < 0)
		return fd;
	if (ino && st.st_ino != ino) {
		close(fd);
		return -ESTALE;
	}
	*ret = key_of(&st);
	return fd;
}

int host_program_of(pid_t pid, struct host_key *ret)
{
	struct stat st;
	char path[64];

	uw_task_path(pid, "exe", path, sizeof path);
	if (stat(path, &st) < 0)
		return -errno;
	*ret = key_of(&st);
	return 0;
}

int host_program_open(pid_t pid, struct host_key *ret)
{
	char path[64];

	uw_task_path(pid, "exe", path, sizeof path);
	return open_file(path, 0, ret);
}

int host_program_open_at(pid_t parent, const char *path, uint64_t ino, struct host_key *ret)
{
	char there[4200];
	int fd = -ENOENT;

	if (parent > 0 &&
	    snprintf(there, sizeof there, "/proc/%d/root%s", (int)parent, path) < (int)sizeof there)
		fd = open_file(there, ino, ret);
	return fd < 0 ? open_file(path, ino, ret) : fd;
}

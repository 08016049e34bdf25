/* SPDX-License-Identifier: Apache-2.0 */
#include "binary.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hash.h"

enum { MIN_SLOTS = 64 };

static struct uw_binary **slot_of(const struct uw_binaries *reg, uint64_t dev, uint64_t ino)
{
	return &reg->slots[uw_hash(dev * 31 + ino, 32) & (reg->nslots - 1)];
}

struct uw_binary *uw_binary_find(struct uw_binaries *reg, uint64_t dev, uint64_t ino)
{
	struct uw_binary *b = ino && reg->nslots ? *slot_of(reg, dev, ino) : NULL;

	while (b && (b->dev != dev || b->ino != ino))
		b = b->chain;
	return b;
}

/* Where there is no memory for more slots, the chains grow instead. */
static void more_slots(struct uw_binaries *reg)
{
	size_t n = reg->nslots ? 2 * reg->nslots : MIN_SLOTS;
	struct uw_binary **slots = calloc(n, sizeof *slots);

	if (!slots)
		return;
	free(reg->slots);
	reg->slots = slots;
	reg->nslots = n;
	for (struct uw_binary *b = reg->first; b; b = b->next) {
		if (b->ino) {
			struct uw_binary **slot = slot_of(reg, b->dev, b->ino);

			b->chain = *slot;
			*slot = b;
		}
	}
}

/* False: there is no table yet, nor memory for one. */
static bool enter(struct uw_binaries *reg, struct uw_binary *b)
{
	struct uw_binary **slot;

	if (reg->n >= reg->nslots)
		more_slots(reg);
	if (!reg->nslots)
		return false;
	if (b->ino) {
		slot = slot_of(reg, b->dev, b->ino);
		b->chain = *slot;
		*slot = b;
	}
	b->reg = reg;
	b->next = reg->first;
	if (b->next)
		b->next->prev = b;
	reg->first = b;
	reg->n++;
	return true;
}

static void leave(struct uw_binary *b)
{
	struct uw_binaries *reg = b->reg;
	struct uw_binary **p = b->ino ? slot_of(reg, b->dev, b->ino) : NULL;

	while (p && *p != b)
		p = &(*p)->chain;
	if (p)
		*p = b->chain;
	if (b->prev)
		b->prev->next = b->next;
	else
		reg->first = b->next;
	if (b->next)
		b->next->prev = b->prev;
	reg->n--;
}

static void binary_free(struct uw_binary *b)
{
	uw_elfsym_free(b->sym);
	uw_go_free(b->go);
	uw_eh_frame_free(b->eh_frame);
	uw_elf_free(b->elf);
	if (b->fd >= 0)
		close(b->fd);
	free(b->path);
	free(b->host_path);
	free(b);
}

struct uw_binary *uw_binary_get(struct uw_binaries *reg, uint64_t dev, uint64_t ino,
				const char *path, const char *host_path, int fd)
{
	struct uw_binary *b = uw_binary_find(reg, dev, ino);

	if (b) {
		if (fd >= 0 && b->no_fd && !b->parsed) {
			b->fd = fd;
			b->no_fd = false;
		} else if (fd >= 0) {
			close(fd);
		}
		return uw_binary_ref(b);
	}
	b = calloc(1, sizeof *b);
	if (!b) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	b->refs = 1;
	b->dev = dev;
	b->ino = ino;
	b->fd = fd;
	b->no_fd = fd < 0;
	b->care = &reg->care;
	b->path = strdup(path ? path : "");
	b->host_path = host_path ? strdup(host_path) : NULL;
	if (!b->path || !enter(reg, b)) {
		binary_free(b);
		return NULL;
	}
	return b;
}

struct uw_binary *uw_binary_ref(struct uw_binary *b)
{
	if (b)
		b->refs++;
	return b;
}

void uw_binary_unref(struct uw_binary *b)
{
	if (!b || --b->refs > 0)
		return;
	leave(b);
	binary_free(b);
}

void uw_binaries_fini(struct uw_binaries *reg)
{
	while (reg->first) {
		struct uw_binary *b = reg->first;

		reg->first = b->next;
		binary_free(b);
	}
	free(reg->slots);
	reg->slots = NULL;
	reg->nslots = reg->n = 0;
}

const struct uw_elf *uw_binary_elf(struct uw_binary *b)
{
	if (!b->parsed) {
		b->parsed = true;
		if (b->fd >= 0) {
			struct uw_diag diag;

			if (uw_elf_open(b->fd, &b->elf, &diag) < 0)
				b->elf = NULL;
			b->fd = -1;
		}
	}
	return b->elf;
}

struct uw_go *uw_binary_go(struct uw_binary *b, const struct uw_mem *live, uint64_t bias)
{
	if (!b->go_tried) {
		const struct uw_elf *elf = uw_binary_elf(b);

		b->go_tried = true;
		if (elf)
			b->go_error = uw_go_open(elf, live, bias, &b->go, &b->go_diag);
		if (b->go_error < 0)
			b->go = NULL;
	}
	return b->go;
}

struct uw_elfsym *uw_binary_sym(struct uw_binary *b)
{
	if (!b->sym_tried) {
		const struct uw_elf *elf = uw_binary_elf(b);

		b->sym_tried = true;
		if (elf && uw_elfsym_new(elf, b->host_path ? b->host_path : b->path, &b->sym) < 0)
			b->sym = NULL;
		if (b->sym)
			uw_elfsym_share(b->sym, b->care);
	}
	return b->sym;
}

struct uw_eh_frame *uw_binary_eh_frame(struct uw_binary *b)
{
	const struct uw_elf *elf = uw_binary_elf(b);

	if (!b->eh_frame && elf && uw_eh_frame_new(elf, &b->eh_frame) < 0)
		b->eh_frame = NULL;
	return b->eh_frame;
}

void uw_binaries_forget(struct uw_binaries *reg)
{
	for (struct uw_binary *b = reg->first; b; b = b->next) {
		if (b->sym)
			uw_elfsym_forget(b->sym);
	}
}

void uw_binaries_trim(struct uw_binaries *reg)
{
	for (struct uw_binary *b = reg->first; b; b = b->next) {
		if (b->elf)
			uw_elf_trim(b->elf);
	}
}

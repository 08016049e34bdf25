/* SPDX-License-Identifier: Apache-2.0 */
#include "binary.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct uw_binary *uw_binary_find(struct uw_binaries *reg, uint64_t dev, uint64_t ino)
{
	if (ino == 0)
		return NULL;
	for (struct uw_binary *b = reg->first; b; b = b->next) {
		if (b->dev == dev && b->ino == ino)
			return b;
	}
	return NULL;
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
	if (!b->path) {
		binary_free(b);
		return NULL;
	}
	b->next = reg->first;
	reg->first = b;
	return b;
}

struct uw_binary *uw_binary_ref(struct uw_binary *b)
{
	if (b)
		b->refs++;
	return b;
}

void uw_binaries_fini(struct uw_binaries *reg)
{
	while (reg->first) {
		struct uw_binary *b = reg->first;

		reg->first = b->next;
		binary_free(b);
	}
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

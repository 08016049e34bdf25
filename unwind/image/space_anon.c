/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executable memory that is no mapping of a program. Mostly it is code that was made at run time.
 * But a program may have moved its own text there, at the same addresses, to have it in large
 * pages; and a program that was unpacked by a packer was never anything else. Both are proved by
 * the bytes.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "maps.h"
#include "memelf.h"
#include "space.h"

enum {
	PAGE = 4096,
	COMPARED = 64, /* pages, at most */
};

/* --- a copy of a file's text ----------------------------------------------------- */

/* The part of the file's text that the memory covers; false: not even its beginning. */
static bool text_at(const struct uw_elf *elf, uint64_t bias, const struct uw_mapping *m,
		    const struct uw_segment **seg, uint64_t *end)
{
	uint64_t vaddr = m->start - bias;

	for (size_t i = 0; i < elf->nsegs; i++) {
		const struct uw_segment *g = &elf->segs[i];
		uint64_t first = g->vaddr & ~(uint64_t)(PAGE - 1), last = g->vaddr + g->filesz;

		if (!(g->flags & PF_X) || vaddr < first || vaddr >= last)
			continue;
		*seg = g;
		*end = m->end - bias < last ? m->end - bias : last;
		return true;
	}
	return false;
}

static bool same_page(const struct uw_space *s, const struct uw_elf *elf, uint64_t bias,
		      uint64_t vaddr, uint64_t len)
{
	const uint8_t *p = uw_elf_at(elf, vaddr, len);
	uint8_t page[PAGE];

	return p && uw_read(&s->live, vaddr + bias, page, len) == 0 && memcmp(p, page, len) == 0;
}

/* Is it the same, in pages from its first to its last? */
static bool same_bytes(const struct uw_space *s, const struct uw_elf *elf, uint64_t bias,
		       uint64_t from, uint64_t end)
{
	uint64_t pages = (end - from + PAGE - 1) / PAGE;
	uint64_t n = pages < COMPARED ? pages : COMPARED;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t at = from + (n > 1 ? i * (pages - 1) / (n - 1) : 0) * PAGE;

		if (!same_page(s, elf, bias, at, end - at < PAGE ? end - at : PAGE))
			return false;
	}
	return n > 0;
}

static bool is_copy_of(const struct uw_space *s, struct uw_mapping *m, const struct uw_near *near)
{
	const struct uw_elf *elf = near->bin ? uw_binary_elf(near->bin) : NULL;
	const struct uw_segment *seg;
	uint64_t bias, from, end;

	if (!elf || !uw_elf_bias(elf, near->start, near->offset, &bias) ||
	    !text_at(elf, bias, m, &seg, &end))
		return false;
	from = m->start - bias < seg->vaddr ? seg->vaddr : m->start - bias;
	if (!same_bytes(s, elf, bias, from, end))
		return false;
	m->mapped = m->bin;
	m->bin = near->bin;
	m->offset = seg->offset + (m->start - bias - seg->vaddr);
	m->bias = bias;
	m->copied = true;
	return true;
}

/* --- a program that is in memory only -------------------------------------------- */

struct run { /* anonymous memory, with small gaps at most */
	uint64_t inside;
	struct uw_memelf_part parts[UW_MEMELF_SEGMENTS];
	size_t n;
	bool found;
};

static bool can_be_part(const struct uw_map *map)
{
	return uw_space_is_anonymous(map->inode, map->path);
}

static int add_part(void *ctx, const struct uw_map *map)
{
	struct run *r = ctx;
	uint64_t end = r->n ? r->parts[r->n - 1].end : 0;

	if (!can_be_part(map) || map->start - end > UW_MAX_RUN_GAP || r->n == UW_MEMELF_SEGMENTS) {
		if (r->found)
			return 1;
		r->n = 0;
	}
	if (!can_be_part(map) || !(map->prot & PROT_READ))
		return 0;
	r->parts[r->n++] = (struct uw_memelf_part){map->start, map->end, map->prot, 0};
	r->found |= r->inside >= map->start && r->inside < map->end;
	return 0;
}

static bool read_run(const struct uw_space *s, struct run *r)
{
	char name[64];
	int fd;

	snprintf(name, sizeof name, "/proc/%d/maps", (int)s->living);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	uw_maps_read(fd, add_part, r);
	close(fd);
	return r->found;
}

/* All mappings of the program get the copy. */
static void take_program(struct uw_space *s, const struct run *r, struct uw_binary *bin)
{
	for (size_t i = 0; i < r->n; i++) {
		struct uw_mapping *m = uw_space_at(s, r->parts[i].start);

		if (!m || m->start != r->parts[i].start || m->copied)
			continue;
		m->mapped = m->bin;
		m->bin = bin;
		m->offset = r->parts[i].offset;
		m->bias = 0;
		m->copied = m->has_bias = m->bias_tried = true;
	}
	s->version = ++s->reg->versions;
}

static bool is_program(struct uw_space *s, struct uw_mapping *m)
{
	struct run r = {.inside = m->start};
	struct uw_binary *bin;
	int fd;

	if (!s->arch || s->pid == 0 || m->vdso ||
	    (!uw_memelf_begins(&s->live, m->start, m->end) &&
	     !(m->run < m->start && uw_memelf_begins(&s->live, m->run, m->start))) ||
	    !read_run(s, &r))
		return false;
	fd = uw_memelf_make(&s->live, s->arch->machine, r.parts, r.n);
	bin = fd < 0 ? NULL : uw_binary_get(s->reg, 0, 0, "[anon]", NULL, fd);
	/* Without Go's tables the copy gives nothing more than the memory does. */
	if (!bin || !uw_binary_go(bin, &s->live, 0)) {
		uw_binary_unref(bin);
		return false;
	}
	if (uw_space_hold(s, bin) < 0)
		return false;
	take_program(s, &r, bin);
	return m->copied;
}

bool uw_space_prove(struct uw_space *s, struct uw_mapping *m)
{
	return !m->vdso &&
	       (is_copy_of(s, m, &m->near[0]) || is_copy_of(s, m, &m->near[1]) || is_program(s, m));
}

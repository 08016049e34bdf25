/* SPDX-License-Identifier: Apache-2.0 */
#include "elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"

enum {
	/* The kernel loads no file with more than 64 KiB of program headers (fs/binfmt_elf.c). */
	MAX_SEGMENTS = 65536 / sizeof(Elf64_Phdr),
	MAX_SECTIONS = 65536,
	MAX_NOTES = 1 << 16, /* bytes of one segment or section of notes that are looked at */
};

static int map_file(struct uw_elf *e, struct uw_diag *diag)
{
	struct stat st;
	void *p;

	if (fstat(e->fd, &st) < 0)
		return uw_fail(diag, "file size", 0, errno);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < sizeof(Elf64_Ehdr))
		return uw_fail(diag, "ELF header", 0, ENOEXEC);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, e->fd, 0);
	if (p == MAP_FAILED)
		return uw_fail(diag, "mapping of the file", 0, errno);
	e->bytes = p;
	e->size = (size_t)st.st_size;
	return 0;
}

/*
 * libelf makes a table of all sections when it opens a file, and goes through it: of billions, in a
 * sparse file, it would never come back.
 */
static bool few_sections(const uint8_t *bytes, size_t size)
{
	Elf64_Ehdr eh;
	Elf64_Shdr first;

	memcpy(&eh, bytes, sizeof eh);
	if (eh.e_shnum || !eh.e_shoff || eh.e_shoff > size || size - eh.e_shoff < sizeof first)
		return true;
	memcpy(&first, bytes + eh.e_shoff, sizeof first);
	return first.sh_size <= MAX_SECTIONS;
}

bool uw_elf_openable(const void *bytes, size_t size)
{
	return size >= sizeof(Elf64_Ehdr) && memcmp(bytes, ELFMAG, SELFMAG) == 0 &&
	       ((const uint8_t *)bytes)[EI_CLASS] == ELFCLASS64 &&
	       ((const uint8_t *)bytes)[EI_DATA] == ELFDATA2LSB && few_sections(bytes, size);
}

static int read_header(struct uw_elf *e, struct uw_diag *diag)
{
	GElf_Ehdr eh;

	/* Mapped by map_file(). NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
	if (memcmp(e->bytes, ELFMAG, SELFMAG) != 0)
		return uw_fail(diag, "ELF magic", 0, ENOEXEC);
	if (e->bytes[EI_CLASS] != ELFCLASS64)
		return uw_fail(diag, "ELF class", EI_CLASS, ENOTSUP);
	if (e->bytes[EI_DATA] != ELFDATA2LSB)
		return uw_fail(diag, "ELF byte order", EI_DATA, ENOTSUP);
	if (!few_sections(e->bytes, e->size))
		return uw_fail(diag, "number of sections", 0, ENOEXEC);
	elf_version(EV_CURRENT);
	/* A mapping of its own, not elf_memory() on ours: when libdw unpacks a compressed section
	 * it writes to the section's header. */
	e->handle = elf_begin(e->fd, ELF_C_READ_MMAP_PRIVATE, NULL);
	if (!e->handle || elf_kind(e->handle) != ELF_K_ELF || !gelf_getehdr(e->handle, &eh))
		return uw_fail(diag, "ELF header", 0, ENOEXEC);
	e->machine = eh.e_machine;
	e->type = eh.e_type;
	e->entry = eh.e_entry;
	return 0;
}

/* Only bytes that the file really has count, whatever its headers promise. */
static uint64_t cut(const struct uw_elf *e, uint64_t offset, uint64_t size)
{
	if (offset >= e->size)
		return 0;
	return size < e->size - offset ? size : e->size - offset;
}

/* The GNU build id among the notes of [offset, offset+size), which end at the first damaged one. */
static void read_notes(struct uw_elf *e, uint64_t offset, uint64_t size, uint64_t align)
{
	static const char hex[] = "0123456789abcdef";
	struct uw_bytes b;

	size = cut(e, offset, size);
	if (!size)
		return;
	if (size > MAX_NOTES)
		size = MAX_NOTES;
	b = uw_bytes(e->bytes + offset, size);
	align = align == 8 ? 8 : 4;
	while (!b.bad && uw_bytes_left(&b)) {
		uint32_t namesz = uw_bytes_u32(&b), descsz = uw_bytes_u32(&b);
		uint32_t type = uw_bytes_u32(&b);
		uint64_t names = (12 + (uint64_t)namesz + align - 1) / align * align - 12;
		uint64_t descs = ((uint64_t)descsz + align - 1) / align * align;
		const uint8_t *name = uw_bytes_take(&b, names), *desc = b.at;

		if (!uw_bytes_take(&b, descsz) || !name)
			return;
		uw_bytes_take(&b, descs - descsz);
		if (type != NT_GNU_BUILD_ID || namesz != 4 || memcmp(name, "GNU", 4) != 0 ||
		    descsz == 0 || descsz > (sizeof e->build_id - 1) / 2)
			continue;
		for (uint32_t i = 0; i < descsz; i++) {
			e->build_id[2 * i] = hex[desc[i] >> 4];
			e->build_id[2 * i + 1] = hex[desc[i] & 15];
		}
		e->build_id[2 * descsz] = 0;
		return;
	}
}

static int read_segments(struct uw_elf *e, struct uw_diag *diag)
{
	size_t n;

	if (elf_getphdrnum(e->handle, &n) < 0 || n > MAX_SEGMENTS)
		return uw_fail(diag, "program headers", 0, ENOEXEC);
	e->segs = calloc(n ? n : 1, sizeof *e->segs);
	if (!e->segs)
		return uw_fail(diag, "program headers", 0, ENOMEM);
	for (size_t i = 0; i < n; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(e->handle, (int)i, &ph))
			return uw_fail(diag, "program header", i, ENOEXEC);
		if (ph.p_type == PT_NOTE && !e->build_id[0])
			read_notes(e, ph.p_offset, ph.p_filesz, ph.p_align);
		/* A segment that wraps around the address space is no segment. */
		if (ph.p_type != PT_LOAD || ph.p_vaddr + ph.p_memsz < ph.p_vaddr)
			continue;
		if (ph.p_filesz > ph.p_memsz)
			ph.p_filesz = ph.p_memsz;
		e->segs[e->nsegs++] = (struct uw_segment){
			.vaddr = ph.p_vaddr,
			.memsz = ph.p_memsz,
			.offset = ph.p_offset,
			.filesz = cut(e, ph.p_offset, ph.p_filesz),
			.flags = ph.p_flags};
	}
	return 0;
}

/*
 * Section headers are a hint: damaged ones are left out. Read here and kept, because libelf's
 * handle may not be used by two threads.
 */
static int read_sections(struct uw_elf *e, struct uw_diag *diag)
{
	size_t n, names;

	if (elf_getshdrnum(e->handle, &n) < 0 || n == 0 || n > MAX_SECTIONS ||
	    elf_getshdrstrndx(e->handle, &names) < 0)
		return 0;
	e->sections = calloc(n, sizeof *e->sections);
	if (!e->sections)
		return uw_fail(diag, "section headers", 0, ENOMEM);
	for (size_t i = 1; i < n; i++) {
		Elf_Scn *scn = elf_getscn(e->handle, i);
		const char *name;
		GElf_Shdr sh;

		if (!scn || !gelf_getshdr(scn, &sh))
			continue;
		name = elf_strptr(e->handle, names, sh.sh_name);
		if (!name)
			continue;
		if (sh.sh_type != SHT_NOBITS)
			sh.sh_size = cut(e, sh.sh_offset, sh.sh_size);
		if (sh.sh_type == SHT_NOTE && !e->build_id[0])
			read_notes(e, sh.sh_offset, sh.sh_size, sh.sh_addralign);
		e->sections[e->nsections++] = (struct uw_section){.name = name,
								  .vaddr = sh.sh_addr,
								  .offset = sh.sh_offset,
								  .size = sh.sh_size,
								  .type = sh.sh_type};
	}
	return 0;
}

int uw_open_regular(const char *path, struct stat *st)
{
	int at = open(path, O_PATH | O_CLOEXEC), fd, r = 0;
	char name[64];

	if (at < 0)
		return -errno;
	if (fstat(at, st) < 0)
		r = -errno;
	else if (!S_ISREG(st->st_mode))
		r = -EINVAL;
	if (r == 0) {
		snprintf(name, sizeof name, "/proc/self/fd/%d", at);
		fd = open(name, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? -errno : fd;
	}
	close(at);
	return r;
}

int uw_elf_open(int fd, struct uw_elf **ret, struct uw_diag *diag)
{
	struct uw_elf *e = calloc(1, sizeof *e);
	int r;

	if (!e) {
		close(fd);
		return uw_fail(diag, "file", 0, ENOMEM);
	}
	e->fd = fd;
	r = map_file(e, diag);
	if (r == 0)
		r = read_header(e, diag);
	if (r == 0)
		r = read_segments(e, diag);
	if (r == 0)
		r = read_sections(e, diag);
	if (r < 0) {
		uw_elf_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

void uw_elf_free(struct uw_elf *elf)
{
	if (!elf)
		return;
	elf_end(elf->handle);
	if (elf->bytes)
		munmap((void *)(uintptr_t)elf->bytes, elf->size);
	close(elf->fd);
	free(elf->sections);
	free(elf->segs);
	free(elf);
}

static const struct uw_segment *segment_at(const struct uw_elf *elf, uint64_t vaddr)
{
	for (size_t i = 0; i < elf->nsegs; i++)
		if (vaddr - elf->segs[i].vaddr < elf->segs[i].filesz)
			return &elf->segs[i];
	return NULL;
}

void uw_elf_trim(const struct uw_elf *elf)
{
	/* Private, never written: the next access reads the page again. */
	madvise((void *)(uintptr_t)elf->bytes, elf->size, MADV_DONTNEED);
}

const uint8_t *uw_elf_at(const struct uw_elf *elf, uint64_t vaddr, size_t len)
{
	const struct uw_segment *s = segment_at(elf, vaddr);

	if (!s || len > s->filesz - (vaddr - s->vaddr))
		return NULL;
	return elf->bytes + s->offset + (vaddr - s->vaddr);
}

size_t uw_elf_room(const struct uw_elf *elf, uint64_t vaddr)
{
	const struct uw_segment *s = segment_at(elf, vaddr);

	return s ? s->filesz - (vaddr - s->vaddr) : 0;
}

bool uw_elf_section(const struct uw_elf *elf, const char *name, struct uw_section *ret)
{
	for (size_t i = 0; i < elf->nsections; i++) {
		if (strcmp(elf->sections[i].name, name) == 0) {
			*ret = elf->sections[i];
			return true;
		}
	}
	return false;
}

/*
 * One page of the file may belong to two segments, the end of one and the start of the next, and is
 * then mapped twice. A mapping that starts with that page is the later one; where even that leaves
 * two, the executable one is meant, because that is what profilers ask for.
 */
bool uw_elf_bias(const struct uw_elf *elf, uint64_t start, uint64_t offset, uint64_t *ret)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const struct uw_segment *best = NULL;
	int best_rank = 0;

	for (size_t i = 0; i < elf->nsegs; i++) {
		const struct uw_segment *s = &elf->segs[i];
		uint64_t first = s->offset & ~(page - 1);
		int rank = 1 + 2 * (first == offset) + !!(s->flags & PF_X);

		if (offset < first || offset - first >= s->filesz + (s->offset - first))
			continue;
		if (rank > best_rank) {
			best_rank = rank;
			best = s;
		}
	}
	if (!best)
		return false;
	*ret = start - (best->vaddr + (offset - best->offset));
	return true;
}

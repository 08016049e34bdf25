/* SPDX-License-Identifier: Apache-2.0 */
#include "memelf.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	CHUNK = 1 << 20,
	MAX_WRITTEN = 16 << 20, /* of a part that is written to: most of it is zeros */
	MAX_ALL = 256 << 20,
};

/* Go's build id: in a note (its type and owner), and before the first function where there is none.
 */
#define NOTE        "\x04\0\0\0Go\0\0"
#define GO_BUILD_ID "\xff Go build ID: \""

bool uw_memelf_begins(const struct uw_mem *mem, uint64_t start, uint64_t end)
{
	uint8_t head[UW_MEMELF_HEAD];
	size_t len = end - start < sizeof head ? (size_t)(end - start) : sizeof head;

	if (len < PAGE || uw_read(mem, start, head, len) < 0)
		return false;
	return memcmp(head, ELFMAG, SELFMAG) == 0 ||
	       memmem(head, len, NOTE, sizeof NOTE - 1) != NULL ||
	       memmem(head, len, GO_BUILD_ID, sizeof GO_BUILD_ID - 1) != NULL;
}

static size_t length(const struct uw_memelf_part *p)
{
	uint64_t len = p->end - p->start;

	return p->prot & PROT_WRITE && len > MAX_WRITTEN ? MAX_WRITTEN : len;
}

static int write_all(int fd, const void *buf, size_t len, uint64_t at)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, buf, len, (off_t)at);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		buf = (const char *)buf + n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int copy_part(int fd, const struct uw_mem *mem, const struct uw_memelf_part *p, void *buf)
{
	size_t len = length(p);

	for (size_t at = 0; at < len; at += CHUNK) {
		size_t n = len - at < CHUNK ? len - at : CHUNK;
		int r = uw_read(mem, p->start + at, buf, n);

		if (r == 0)
			r = write_all(fd, buf, n, p->offset + at);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_headers(int fd, uint16_t machine, const struct uw_memelf_part *parts, size_t n)
{
	struct {
		Elf64_Ehdr e;
		Elf64_Phdr p[UW_MEMELF_SEGMENTS];
	} h = {.e = {.e_type = ET_EXEC,
		     .e_machine = machine,
		     .e_version = EV_CURRENT,
		     .e_phoff = sizeof h.e,
		     .e_ehsize = sizeof h.e,
		     .e_phentsize = sizeof h.p[0],
		     .e_phnum = (Elf64_Half)n}};

	_Static_assert(sizeof h <= PAGE, "the headers have a page");
	memcpy(h.e.e_ident, ELFMAG, SELFMAG);
	h.e.e_ident[EI_CLASS] = ELFCLASS64;
	h.e.e_ident[EI_DATA] = ELFDATA2LSB;
	h.e.e_ident[EI_VERSION] = EV_CURRENT;
	for (size_t i = 0; i < n; i++) {
		const struct uw_memelf_part *p = &parts[i];

		h.p[i] = (Elf64_Phdr){.p_type = PT_LOAD,
				      .p_flags = (p->prot & PROT_READ ? PF_R : 0u) |
						 (p->prot & PROT_WRITE ? PF_W : 0u) |
						 (p->prot & PROT_EXEC ? PF_X : 0u),
				      .p_offset = p->offset,
				      .p_vaddr = p->start,
				      .p_paddr = p->start,
				      .p_filesz = length(p),
				      .p_memsz = p->end - p->start,
				      .p_align = PAGE};
	}
	return write_all(fd, &h, sizeof h, 0);
}

int uw_memelf_make(const struct uw_mem *mem, uint16_t machine, struct uw_memelf_part *parts,
		   size_t n)
{
	uint64_t offset = PAGE;
	void *buf;
	int fd, r;

	if (n == 0 || n > UW_MEMELF_SEGMENTS)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		parts[i].offset = offset;
		offset += length(&parts[i]);
		if (length(&parts[i]) > MAX_ALL || offset > MAX_ALL)
			return -EFBIG;
	}
	buf = malloc(CHUNK);
	if (!buf)
		return -ENOMEM;
	fd = memfd_create("program", MFD_CLOEXEC);
	r = fd < 0 ? -errno : write_headers(fd, machine, parts, n);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = copy_part(fd, mem, &parts[i], buf);
	free(buf);
	if (r < 0 && fd >= 0)
		close(fd);
	return r < 0 ? r : fd;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "elf.h"
#include "unit_test.h"

struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[4];
	uint8_t notes[64];
	uint8_t rest[0x3000];
};

static const uint8_t notes[] = {
	/* a Go build id first, which is not the one meant */
	4, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0,   0,   'G', 'o', 0,    0,    'a',  'b',  'c',  0, 4, 0,
	0, 0, 5, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0,   0x01, 0x23, 0xab, 0xcd, 0xef, 0, 0, 0,
};

static void make(struct image *f)
{
	*f = (struct image){
		.eh =
			{
				.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB,
					    EV_CURRENT},
				.e_type = ET_DYN,
				.e_machine = EM_X86_64,
				.e_version = EV_CURRENT,
				.e_entry = 0x1234,
				.e_phoff = offsetof(struct image, ph),
				.e_ehsize = sizeof(Elf64_Ehdr),
				.e_phentsize = sizeof(Elf64_Phdr),
				.e_phnum = 4,
			},
		.ph =
			{
				/* the end of the first and the start of the second share a page */
				{PT_LOAD, PF_R, 0, 0, 0, 0x1200, 0x1200, 0x1000},
				{PT_LOAD, PF_R | PF_X, 0x1200, 0x2200, 0x2200, 0x800, 0x800,
				 0x1000},
				{PT_LOAD, PF_R | PF_W, 0x2000, 0x5000, 0x5000, 0x9000, 0x10000,
				 0x1000},
				{PT_NOTE, PF_R, offsetof(struct image, notes), 0, 0, sizeof notes,
				 sizeof notes, 4},
			},
	};
	memcpy(f->notes, notes, sizeof notes);
}

static int open_bytes(const void *p, size_t len, struct uw_elf **ret, struct uw_diag *diag)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, len), (ssize_t)len);
	return uw_elf_open(fd, ret, diag);
}

static struct uw_elf *open_image(const struct image *f)
{
	struct uw_elf *elf = NULL;

	assert_int_equal(open_bytes(f, sizeof *f, &elf, NULL), 0);
	return elf;
}

TEST(tells_what_it_is)
{
	struct image f;
	struct uw_elf *elf;

	make(&f);
	elf = open_image(&f);
	assert_int_equal(elf->machine, EM_X86_64);
	assert_int_equal(elf->type, ET_DYN);
	assert_int_equal(elf->entry, 0x1234);
	assert_int_equal(elf->nsegs, 3);
	assert_int_equal(elf->nsections, 0);
	assert_string_equal(elf->build_id, "0123abcdef");
	/* the third segment promises more than the file has */
	assert_int_equal(elf->segs[2].filesz, sizeof f - 0x2000);
	assert_int_equal(elf->segs[2].memsz, 0x10000);
	uw_elf_free(elf);
}

TEST(gives_bytes_of_the_file_only)
{
	struct image f;
	struct uw_elf *elf;

	make(&f);
	elf = open_image(&f);
	assert_ptr_equal(uw_elf_at(elf, 0x2200, 1), elf->bytes + 0x1200);
	assert_non_null(uw_elf_at(elf, 0x2200, 0x800));
	assert_null(uw_elf_at(elf, 0x2200, 0x801));
	assert_null(uw_elf_at(elf, 0x21ff, 1));
	assert_null(uw_elf_at(elf, 0x5000, SIZE_MAX));
	assert_null(uw_elf_at(elf, UINT64_MAX, 2));
	assert_null(uw_elf_at(elf, 0x5000 + sizeof f - 0x2000, 1));
	assert_int_equal(uw_elf_room(elf, 0x29ff), 1);
	assert_int_equal(uw_elf_room(elf, 0x2a00), 0);
	uw_elf_free(elf);
}

TEST(tells_the_bias)
{
	struct image f;
	struct uw_elf *elf;
	uint64_t bias;

	if (sysconf(_SC_PAGESIZE) != 0x1000)
		skip();
	make(&f);
	elf = open_image(&f);
	assert_true(uw_elf_bias(elf, 0x7f0000000000, 0, &bias));
	assert_int_equal(bias, 0x7f0000000000);
	/* page 1 of the file: a mapping that starts there is the second segment's */
	assert_true(uw_elf_bias(elf, 0x7f0000002000, 0x1000, &bias));
	assert_int_equal(bias, 0x7f0000000000);
	assert_true(uw_elf_bias(elf, 0x7f0000005000, 0x2000, &bias));
	assert_int_equal(bias, 0x7f0000000000);
	/* in the middle of a segment, as RELRO splits it */
	assert_true(uw_elf_bias(elf, 0x7f0000006000, 0x3000, &bias));
	assert_int_equal(bias, 0x7f0000000000);
	assert_false(uw_elf_bias(elf, 0x7f0000006000, 0x100000, &bias));
	uw_elf_free(elf);
}

TEST(refuses_what_it_cannot_read)
{
	struct uw_diag diag = {0};
	struct uw_elf *elf = NULL;
	struct image f;

	make(&f);
	f.eh.e_ident[0] = 0;
	assert_int_equal(open_bytes(&f, sizeof f, &elf, &diag), -ENOEXEC);
	assert_non_null(diag.what);
	make(&f);
	f.eh.e_ident[EI_CLASS] = ELFCLASS32;
	assert_int_equal(open_bytes(&f, sizeof f, &elf, &diag), -ENOTSUP);
	make(&f);
	f.eh.e_ident[EI_DATA] = ELFDATA2MSB;
	assert_int_equal(open_bytes(&f, sizeof f, &elf, &diag), -ENOTSUP);
	make(&f);
	assert_int_equal(open_bytes(&f, 10, &elf, &diag), -ENOEXEC);
	assert_int_equal(open_bytes(&f, 0, &elf, &diag), -ENOEXEC);
	assert_int_equal(uw_elf_open(open("/", O_RDONLY | O_CLOEXEC), &elf, &diag), -ENOEXEC);
	assert_null(elf);
}

TEST(finds_sections_of_itself)
{
	struct uw_elf *elf = NULL;
	struct uw_section sec;

	assert_int_equal(uw_elf_open(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), &elf, NULL), 0);
	assert_true(uw_elf_section(elf, ".text", &sec));
	assert_ptr_equal(uw_elf_at(elf, sec.vaddr, sec.size), elf->bytes + sec.offset);
	assert_true(uw_elf_section(elf, ".bss", &sec));
	assert_int_equal(sec.type, SHT_NOBITS);
	assert_false(uw_elf_section(elf, ".none", &sec));
	uw_elf_free(elf);
	uw_elf_free(NULL);
}

/* Every prefix, and every byte of the headers changed: opens or refuses, and stays in bounds. */
TEST(survives_damage)
{
	struct image f;
	struct uw_elf *elf;

	for (size_t len = 0; len < sizeof f.eh + sizeof f.ph + sizeof f.notes + 8; len += 3) {
		make(&f);
		if (open_bytes(&f, len, &elf, NULL) == 0)
			uw_elf_free(elf);
	}
	for (size_t i = 4; i < sizeof f.eh + sizeof f.ph + sizeof notes; i++) {
		make(&f);
		((uint8_t *)&f)[i] ^= 0xff;
		if (open_bytes(&f, sizeof f, &elf, NULL) < 0)
			continue;
		for (size_t k = 0; k < elf->nsegs; k++)
			assert_true(elf->segs[k].filesz == 0 ||
				    elf->segs[k].offset + elf->segs[k].filesz <= elf->size);
		uw_elf_free(elf);
	}
}

TEST(cursor_stays_inside)
{
	static const uint8_t p[] = {1, 2, 3, 4, 0x80, 0x01, 'a', 'b', 0, 'c'};
	struct uw_bytes b = uw_bytes(p, sizeof p), c;

	assert_int_equal(uw_bytes_u32(&b), 0x04030201);
	assert_int_equal(uw_bytes_uvarint(&b), 128);
	assert_string_equal(uw_bytes_cstr(&b), "ab");
	assert_null(uw_bytes_cstr(&b));
	assert_true(b.bad);
	assert_int_equal(uw_bytes_u8(&b), 0);
	c = uw_bytes_from(uw_bytes(p, sizeof p), sizeof p);
	assert_false(c.bad);
	assert_int_equal(uw_bytes_left(&c), 0);
	c = uw_bytes_from(uw_bytes(p, sizeof p), UINT64_MAX);
	assert_true(c.bad);
	c = uw_bytes(p, sizeof p);
	assert_int_equal(uw_bytes_u16_at(&c, 8), 'c' << 8);
	assert_int_equal(uw_bytes_u64_at(&c, 3), 0);
	assert_true(c.bad);
	assert_true(uw_bytes(NULL, 0).bad);
}

/* Only regular files are opened, and the other end of a FIFO is not waited for. */
TEST(test_open_regular)
{
	char dir[] = "/tmp/test_elf.XXXXXX", fifo[64], link[64], file[64];
	struct stat st;
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(fifo, sizeof fifo, "%s/fifo", dir);
	snprintf(link, sizeof link, "%s/link", dir);
	snprintf(file, sizeof file, "%s/file", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(symlink(fifo, link), 0);
	assert_int_equal(uw_open_regular(fifo, &st), -EINVAL);
	assert_int_equal(uw_open_regular(link, &st), -EINVAL);
	assert_int_equal(uw_open_regular(dir, &st), -EINVAL);
	assert_int_equal(uw_open_regular("/dev/null", &st), -EINVAL);
	assert_int_equal(uw_open_regular(file, &st), -ENOENT);
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "abc", 3), 3);
	close(fd);
	fd = uw_open_regular(file, &st);
	assert_true(fd >= 0);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(read(fd, link, sizeof link), 3);
	assert_memory_equal(link, "abc", 3);
	close(fd);
	unlink(file);
	snprintf(link, sizeof link, "%s/link", dir);
	unlink(link);
	unlink(fifo);
	rmdir(dir);
}

/* Tables that only a sparse file has room for: a reader of all of them does not come back. */
TEST(endless_tables)
{
	const off_t size = (off_t)1 << 40;
	Elf64_Shdr first = {.sh_size = UINT64_C(1) << 32};
	struct uw_elf *e;
	struct image f;
	int fd = memfd_create("endless", MFD_CLOEXEC);

	make(&f);
	f.eh.e_shoff = sizeof f;
	f.eh.e_shentsize = sizeof(Elf64_Shdr);
	assert_int_equal(pwrite(fd, &f, sizeof f, 0), sizeof f);
	assert_int_equal(pwrite(fd, &first, sizeof first, sizeof f), sizeof first);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(uw_elf_open(dup(fd), &e, NULL), -ENOEXEC);

	f.eh.e_shoff = 0;
	f.ph[3].p_offset = sizeof f + 4096;
	f.ph[3].p_filesz = f.ph[3].p_memsz = (Elf64_Xword)size;
	assert_int_equal(pwrite(fd, &f, sizeof f, 0), sizeof f);
	assert_int_equal(uw_elf_open(fd, &e, NULL), 0);
	assert_string_equal(e->build_id, "");
	uw_elf_free(e);
}

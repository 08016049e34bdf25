/* SPDX-License-Identifier: Apache-2.0 */
/* A program in memory becomes a file: its bytes, its bounds, what is no program. */
#include <stddef.h>
#include <stdint.h>

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gosym.h"
#include "memelf.h"
#include "sample_go.h"
#include "unit_test.h"

enum { PAGE = 4096, BASE = 0x400000 };

TEST(test_begins)
{
	uint8_t page[2 * PAGE] = {0};
	struct uw_mem_bytes b = {.base = BASE, .bytes = page, .len = sizeof page};
	struct uw_mem mem = uw_mem_bytes(&b);

	assert_false(uw_memelf_begins(&mem, BASE, BASE + sizeof page));
	memcpy(page, "\177ELF", 4);
	assert_true(uw_memelf_begins(&mem, BASE, BASE + sizeof page));
	assert_false(uw_memelf_begins(&mem, BASE, BASE + PAGE - 1));
	assert_false(uw_memelf_begins(&mem, BASE + sizeof page, BASE + 2 * sizeof page));
	memset(page, 0, sizeof page);
	memcpy(page + PAGE - 16, "\4\0\0\0Go\0", 8); /* a note of Go at the end of the first page */
	assert_true(uw_memelf_begins(&mem, BASE, BASE + sizeof page));
	memset(page, 0, sizeof page);
	memcpy(page + sizeof page - 16, "\xff Go build ID: \"", 16);
	assert_true(uw_memelf_begins(&mem, BASE, BASE + sizeof page));
}

/* A program as it was loaded, read once more from a copy of its memory: the same tables. */
TEST(test_program)
{
	struct sample_go sample;
	struct built_go built;
	struct uw_elf *elf, *copy;
	struct uw_go *go;
	uint64_t lo, hi;
	int fd;

	sample_go_init(&sample, uw_golayout_for(22, 5), "go1.22.5");
	built = build_go(&sample.go);
	elf = built_go_elf(&built);
	{
		struct uw_memelf_part parts[8] = {0};
		size_t n = 0;
		struct uw_mem_bytes bytes = {.base = BASE, .bytes = built.bytes, .len = built.size};
		struct uw_mem mem = uw_mem_bytes(&bytes);

		assert_in_range(elf->nsegs, 1, 8);
		for (size_t i = 0; i < elf->nsegs; i++)
			parts[n++] = (struct uw_memelf_part){
				elf->segs[i].vaddr, elf->segs[i].vaddr + elf->segs[i].filesz,
				(uint8_t)((elf->segs[i].flags & 1 ? PROT_EXEC : 0) |
					  (elf->segs[i].flags & 2 ? PROT_WRITE : 0) | PROT_READ),
				0};
		bytes.base = parts[0].start - elf->segs[0].offset;
		fd = uw_memelf_make(&mem, EM_X86_64, parts, n);
		assert_true(fd >= 0);
		assert_int_equal(uw_elf_open(fd, &copy, NULL), 0);
		assert_int_equal(copy->nsegs, n);
	}
	assert_int_equal(uw_go_open(copy, NULL, 0, &go, NULL), 0);
	assert_string_equal(uw_go_version(go), "go1.22.5");
	uw_go_text(go, &lo, &hi);
	assert_int_equal(lo, built.text);
	assert_int_equal(hi, built.entries[SAMPLE_NFUNCS]);
	uw_go_free(go);
	uw_elf_free(copy);
	uw_elf_free(elf);
	built_go_fini(&built);
}

static int read_anything(void *ctx, uint64_t addr, void *buf, size_t len)
{
	*(uint64_t *)ctx += len;
	memset(buf, 0, len);
	return 0;
}

TEST(test_bounds)
{
	uint64_t taken = 0;
	struct uw_mem mem = {.read = read_anything, .ctx = &taken};
	struct uw_memelf_part huge = {BASE, UINT64_MAX & ~0xfffull, PROT_READ | PROT_EXEC, 0};
	struct uw_memelf_part written[2] = {{BASE, BASE + PAGE, PROT_READ | PROT_EXEC, 0},
					    {1ull << 32, 1ull << 40, PROT_READ | PROT_WRITE, 0}};
	struct uw_memelf_part many[UW_MEMELF_SEGMENTS];
	int fd;

	assert_int_equal(uw_memelf_make(&mem, EM_X86_64, &huge, 1), -EFBIG);
	assert_int_equal(uw_memelf_make(&mem, EM_X86_64, &huge, 0), -EINVAL);
	assert_int_equal(uw_memelf_make(&mem, EM_X86_64, many, UW_MEMELF_SEGMENTS + 1), -EINVAL);
	for (size_t i = 0; i < UW_MEMELF_SEGMENTS; i++)
		many[i] = (struct uw_memelf_part){BASE + (i << 32), BASE + (i << 32) + (64 << 20),
						  PROT_READ, 0};
	assert_int_equal(uw_memelf_make(&mem, EM_X86_64, many, UW_MEMELF_SEGMENTS), -EFBIG);
	assert_int_equal(taken, 0);
	/* Of memory that is written to, its beginning is enough. */
	fd = uw_memelf_make(&mem, EM_X86_64, written, 2);
	assert_true(fd >= 0);
	assert_int_equal(taken, PAGE + (16 << 20));
	close(fd);
}

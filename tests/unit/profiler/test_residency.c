/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of mapped files are given back when they are many, and only then. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "elf.h"
#include "residency.h"
#include "unit_test.h"

enum { LARGE = 32 << 20 };

static size_t resident(const struct uw_elf *elf)
{
	size_t n = 0;
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) != 2 ||
		    start != (unsigned long)(uintptr_t)elf->bytes)
			continue;
		while (fgets(line, sizeof line, f) && sscanf(line, "Rss: %zu kB", &n) != 1)
			;
		break;
	}
	fclose(f);
	return n * 1024;
}

/* A copy of this program with much behind it, opened as a target's file is. */
static struct uw_elf *large_elf(void)
{
	int from = open("/proc/self/exe", O_RDONLY), fd = memfd_create("large", 0);
	static char buf[1 << 16];
	struct uw_elf *elf;
	ssize_t n;

	assert_true(from >= 0 && fd >= 0);
	while ((n = read(from, buf, sizeof buf)) > 0)
		assert_int_equal(write(fd, buf, (size_t)n), n);
	close(from);
	assert_int_equal(ftruncate(fd, LARGE), 0);
	assert_int_equal(uw_elf_open(fd, &elf, NULL), 0);
	return elf;
}

static void touch(const struct uw_elf *elf, size_t len)
{
	static volatile uint8_t sum;

	for (size_t i = 0; i < len; i += 4096)
		sum += elf->bytes[i];
}

TEST(test_trim)
{
	struct uw_elf *elf = large_elf();
	struct uw_binary bin = {.parsed = true, .elf = elf, .fd = -1};
	struct uw_binaries files = {.first = &bin};
	uint64_t lookups = 0;
	struct prowl_residency t;

	prowl_residency_init(&t);
	touch(elf, 1 << 20);
	for (int i = 0; i < 1000; i++)
		prowl_residency_keep(&t, &files, ++lookups);
	assert_true(resident(elf) >= 1 << 20);
	touch(elf, LARGE);
	assert_true(resident(elf) >= LARGE / 2);
	for (int i = 0; i < 1000; i++)
		prowl_residency_keep(&t, &files, ++lookups);
	assert_true(resident(elf) < 1 << 20);
	prowl_residency_fini(&t);
	prowl_residency_fini(&t);
	uw_elf_free(elf);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of /proc/kallsyms, which modules fill with names of theirs. Asked addresses get the same
 * names as from all symbols; so do those that a file keeps.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kallsyms.h"
#include "kallsyms_file.h"

enum { ADDRESSES = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int text_fd(const uint8_t *data, size_t size)
{
	int fd = memfd_create("kallsyms", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	return fd;
}

static void same_names(const struct uw_kallsyms *a, const struct uw_kallsyms *b, uint64_t pc)
{
	const char *in_a = NULL, *in_b = NULL;
	uint64_t from_a = 0, from_b = 0;
	const char *x = uw_kallsyms_name(a, pc, &in_a, &from_a);
	const char *y = uw_kallsyms_name(b, pc, &in_b, &from_b);

	if (!x != !y || (x && (strcmp(x, y) != 0 || from_a != from_b || from_a > pc)) ||
	    (x && (!in_a != !in_b || (in_a && strcmp(in_a, in_b) != 0))))
		abort();
}

/* Not every symbol is kept in a file, and not every address has a name in it. */
static void in_a_file(const struct uw_kallsyms *all, const uint64_t *pcs)
{
	struct uw_kallsyms_key key = {1, 2, 3};
	int fd = memfd_create("cache", MFD_CLOEXEC);
	struct uw_kallsyms *loaded;

	if (fd >= 0 && uw_kallsyms_save(all, &key, fd) == 0 &&
	    uw_kallsyms_load(fd, &key, pcs, ADDRESSES, &loaded) == 0) {
		for (size_t i = 0; i < ADDRESSES; i++) {
			if (uw_kallsyms_name(loaded, pcs[i], NULL, NULL))
				same_names(all, loaded, pcs[i]);
		}
		uw_kallsyms_free(loaded);
	}
	close(fd);
}

/* How far apart the addresses are that are asked for, and the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct uw_kallsyms *all, *some;
	uint64_t pcs[ADDRESSES];
	int fd;

	if (size < 1)
		return 0;
	for (size_t i = 0; i < ADDRESSES; i++)
		pcs[i] = 0xffffffff81000000ull + i * data[0] * 8;
	fd = text_fd(data + 1, size - 1);
	if (uw_kallsyms_read(fd, &all) == 0) {
		if (lseek(fd, 0, SEEK_SET) < 0)
			abort();
		if (uw_kallsyms_resolve(fd, pcs, ADDRESSES, &some) == 0) {
			for (size_t i = 0; i < ADDRESSES; i++)
				same_names(all, some, pcs[i]);
			uw_kallsyms_free(some);
		}
		in_a_file(all, pcs);
		uw_kallsyms_free(all);
	}
	close(fd);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A core file may come from anywhere: whatever its headers say, reads stay inside it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_mapping(struct uw_core *c, uint64_t start, uint64_t end)
{
	struct uw_mem m = uw_core_mem(c);
	uint8_t buf[64];
	size_t room = uw_core_room(c, start, sizeof buf);

	if (end <= start || room > sizeof buf)
		abort();
	if (room && uw_read(&m, start, buf, room) < 0)
		abort();
	/* Nothing was said of files, so what the core lacks can't be had. */
	if (room < sizeof buf && start + room < end && uw_read(&m, start, buf, room + 1) == 0)
		abort();
	uw_read(&m, end - 1, buf, 2);
	uw_read(&m, start - 1, buf, sizeof buf);
}

static void check(struct uw_core *c, size_t size)
{
	uint64_t start, end, last = 0;

	if (c->memory > (uint64_t)size * 65536 || c->nthreads > size / 100 || c->nfiles > size / 24)
		abort();
	for (size_t i = 0; uw_core_mapping(c, i, &start, &end) && i < 64; i++) {
		if (start < last)
			abort();
		last = end;
		check_mapping(c, start, end);
	}
	for (size_t i = 0; i < c->nfiles; i++) {
		if (strlen(c->files[i].path) > size || c->files[i].end <= c->files[i].start ||
		    !uw_core_file_at(c, c->files[i].start))
			abort();
	}
	if (strlen(c->comm) >= sizeof c->comm)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct uw_core *c;

	if (fd < 0)
		return 0;
	if (write(fd, data, size) != (ssize_t)size) {
		close(fd);
		return 0;
	}
	if (uw_core_open(fd, &c, NULL) < 0)
		return 0;
	check(c, size);
	uw_core_free(c);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a whole ELF file, whose names are asked for: symbol tables, .gnu_debugdata, the
 * name of a debug file, DWARF, packed or not. Answers are text with an end, and the same a second
 * time.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "elf.h"
#include "elfsym.h"

enum { FRAMES = 16, PLACES = 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t text(const char *s)
{
	return s ? strlen(s) : 0;
}

static void ask(struct uw_elfsym *s, uint64_t pc, size_t size)
{
	struct uw_frame frames[FRAMES], again[FRAMES];
	size_t n = uw_elfsym_frames(s, pc, frames, FRAMES);

	if (n > FRAMES || uw_elfsym_frames(s, pc, again, FRAMES) != n)
		abort();
	for (size_t i = 0; i < n; i++) {
		if (text(frames[i].name) != text(again[i].name) ||
		    text(frames[i].file) > size * 2048 || frames[i].line != again[i].line)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct uw_elfsym *s;
	struct uw_elf *elf;

	if (fd < 0)
		return 0;
	if (write(fd, data, size) != (ssize_t)size) {
		close(fd);
		return 0;
	}
	if (uw_elf_open(fd, &elf, NULL) < 0)
		return 0;
	if (uw_elfsym_new(elf, "/nowhere/program", &s) == 0) {
		for (size_t i = 0; i < elf->nsegs && i < 4; i++) {
			const struct uw_segment *seg = &elf->segs[i];
			uint64_t step = seg->memsz / PLACES + 1;

			for (uint64_t k = 0; k < PLACES; k++)
				ask(s, seg->vaddr + k * step, size);
		}
		ask(s, elf->entry, size);
		uw_elfsym_forget(s);
		ask(s, elf->entry + 4, size);
		uw_elfsym_free(s);
	}
	uw_elf_free(elf);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets of Go's tables share: opens bytes as an ELF file and asks everything. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gosym.h"

static inline struct uw_elf *fuzz_elf(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct uw_elf *elf;

	if (fd < 0)
		return NULL;
	if (write(fd, data, size) != (ssize_t)size) {
		close(fd);
		return NULL;
	}
	return uw_elf_open(fd, &elf, NULL) == 0 ? elf : NULL;
}

enum { FUZZ_PLACES = 8 }; /* addresses that are asked for, all over the text */

/* `shift` moves them a little, so that all addresses have their turn. */
static inline void fuzz_ask(const struct uw_elf *elf, const struct uw_mem *live, uint64_t bias,
			    unsigned int shift)
{
	struct uw_go_frame frames[UW_MAX_INLINE], again[UW_MAX_INLINE];
	struct uw_go_cursor cursor = {0};
	struct uw_go_func f;
	struct uw_go *go;
	uint64_t lo, hi;
	size_t len;

	if (uw_go_open(elf, live, bias, &go, NULL) < 0)
		return;
	uw_go_text(go, &lo, &hi);
	uw_go_modinfo(go, &len);
	uw_go_func_named(go, "runtime.goexit", &f);
	for (unsigned i = 0; i < FUZZ_PLACES && lo < hi; i++) {
		uint64_t pc = lo + (hi - lo > FUZZ_PLACES ? (hi - lo) / FUZZ_PLACES : 1) * i +
			      shift;
		size_t n;

		if (!uw_go_func_at(go, pc, &f))
			continue;
		if (pc < f.entry || pc >= f.end)
			abort();
		uw_go_sp_delta(go, &f, pc);
		/* A cursor that has been here answers the same twice, near or not. */
		if (uw_go_frames_at(go, pc, &cursor, again, UW_MAX_INLINE) !=
			    uw_go_frames_at(go, pc, &cursor, frames, UW_MAX_INLINE) ||
		    memcmp(&again[0].frame, &frames[0].frame, sizeof frames[0].frame) != 0)
			abort();
		n = uw_go_frames(go, &f, pc, frames, UW_MAX_INLINE);
		if (n < 1 || n > UW_MAX_INLINE)
			abort();
		for (size_t k = 0; k < n; k++)
			if (strlen(frames[k].frame.name) +
				    (frames[k].frame.file ? strlen(frames[k].frame.file) : 0) >
			    SIZE_MAX / 2)
				abort();
	}
	uw_go_free(go);
}

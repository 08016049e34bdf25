/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds core files in memory, as the kernel lays them out: headers, notes, then the segments, or
 * as gcore does it (notes last, bytes instead of pages in NT_FILE).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "regs.h"

enum { BUILD_CORE_MAX = 32 };

struct build_core_segment {
	uint64_t start, size;
	uint32_t flags;
	const void *bytes; /* NULL: left out */
	uint64_t held;     /* so many of them */
};

struct build_core_file {
	uint64_t start, end, offset;
	const char *path;
};

struct build_core_thread {
	uint32_t tid;
	struct uw_regs regs;
	uint64_t fs_base;
	uint16_t signal;
};

struct build_core { /* zero-initialised and filled by hand; each list ends with its first empty */
	uint16_t machine, type; /* EM_X86_64, ET_CORE unless set */
	const char *comm;       /* NULL: no NT_PRPSINFO */
	uint32_t pid;
	uint64_t entry, vdso;
	struct build_core_thread threads[BUILD_CORE_MAX];
	struct build_core_file files[BUILD_CORE_MAX];
	struct build_core_segment segments[BUILD_CORE_MAX];
	bool gcore;
};

struct built_core {
	uint8_t *bytes;
	size_t size;
	size_t headers_at, notes_at, notes_size, memory_at;
};

struct built_core build_core(const struct build_core *what);
/* The first `size` bytes of it behind a new descriptor. */
int built_core_fd(const struct built_core *b, size_t size);
void built_core_fini(struct built_core *b);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One Go program whose runtime is read: a live process or a core file, its image, its tables, and
 * where its runtime keeps what. What all collectors of runtime profiles (heap, goroutine, ...)
 * start from.
 *
 * Only reads; nothing is stopped. Belongs to one thread. Private to this folder and its tests.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "binary.h"
#include "corefile.h"
#include "err.h"
#include "goglobals.h"
#include "golayout.h"
#include "gosym.h"
#include "space.h"
#include "who.h"

struct prowl_runtime {
	struct prowl_target target;     /* of a core file nothing changes any more */
	int image;                      /* /proc/PID/mem, of this image only; -1: not allowed */
	char started[64];               /* where that isn't: when it began, and its stack */
	struct prowl_corefile corefile; /* of one: its threads and what was left out */
	struct uw_binaries files;
	struct uw_space space; /* space.live reads the target */
	struct uw_go *go;      /* of space */
	const struct uw_golayout *layout;
	struct uw_goglobals globals;
};

/*
 * PROWL_NOTHING: no such process; PROWL_PERMISSION: its memory may not be read, with what grants
 * it; PROWL_UNSUPPORTED: not Go, or a version whose tables are not known. A core file (from the
 * kernel or gcore) may fail as prowl_corefile_open does.
 */
enum prowl_code prowl_runtime_open(const struct prowl_who *who, struct prowl_runtime **ret,
				   struct prowl_err *err);
void prowl_runtime_free(struct prowl_runtime *rt);
/*
 * A process may have several runtimes: each library that is written in Go brings its own, and 0 is
 * the program's, or the first one's. Goes on with another one; PROWL_FAILED: its variables can't be
 * looked for. What was made of rt before (readers of goroutines, stored stacks) is of the one
 * before.
 */
enum prowl_code prowl_runtime_choose(struct prowl_runtime *rt, size_t which, struct prowl_err *err);
/* The file that the runtime is in. */
const char *prowl_runtime_file(const struct prowl_runtime *rt);
/*
 * Whether the process still executes the image that was opened, so that what was read since is of
 * one image: the same number may be another program, or the same one anew. Always of a core file.
 */
bool prowl_runtime_same(const struct prowl_runtime *rt);

/* The linker has switched heap profiling off: the program has no way to read the profile. */
bool prowl_runtime_heap_linked_out(const struct prowl_runtime *rt);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Go program whose runtime is read, a live process or a core file: its image, its tables, and the
 * addresses of its runtime's variables. The start of all collectors of runtime profiles.
 *
 * Only reads; nothing is stopped. Belongs to one thread. Private to profiler and its tests.
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
	struct prowl_target target; /* a core file never changes */
	int image;                  /* /proc/PID/mem, which keeps to this image; -1: not allowed */
	char started[64];           /* without it: start time and stack address */
	struct prowl_corefile corefile; /* a core file: its threads, and what it does not have */
	struct uw_binaries files;
	struct uw_space space; /* space.live reads the target */
	struct uw_go *go;      /* of space */
	const struct uw_golayout *layout;
	struct uw_goglobals globals;
};

/*
 * Switches to another runtime: a process may have several, since each library written in Go brings
 * its own; 0 is the program's, or the first one. PROWL_FAILED: the search for its variables failed.
 * Objects made from rt before (readers of goroutines, stored stacks) belong to the runtime before.
 */
enum prowl_code prowl_runtime_choose(struct prowl_runtime *rt, size_t which, struct prowl_err *err);
/* The file that the runtime is in. */
const char *prowl_runtime_file(const struct prowl_runtime *rt);
/*
 * Whether the process still executes the image that was opened, so that all data read since is of
 * one image: the pid may be another program by now, or the same one started anew. Always true of a
 * core file.
 */
bool prowl_runtime_same(const struct prowl_runtime *rt);

/* Whether the linker has switched heap profiling off: the program never reads the profile. */
bool prowl_runtime_heap_linked_out(const struct prowl_runtime *rt);

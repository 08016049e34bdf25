/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address space of a process whose core file is there: its mappings, and the files behind them,
 * if they are still those that were mapped.
 *
 * That a file is the right one is proved, not assumed: what the core holds of the file's read-only
 * pages (the kernel writes at least the first page, which has the build id) must be the same in the
 * file, byte by byte. A library that isn't is left out and counted; a wrong program is refused.
 */
#pragma once

#include <stddef.h>

#include "core.h"
#include "space.h"

struct uw_core_load {                       /* what was found */
	const struct uw_core_file *program; /* of the core; NULL: it doesn't say */
	char exe[4096];                     /* what was opened for it */
	bool proved;                        /* the core has pages of it, and they are the same */
	size_t missing;                     /* libraries that can't be opened here */
	size_t changed;                     /* libraries that are not what was mapped */
	const char *first_missing, *first_changed; /* paths, borrowed from the core; or NULL */
};

/*
 * Fills the empty space s, which borrows core. exe: the program's file, NULL for the one that the
 * core names. -ENODATA: the core doesn't record what was mapped; -ESTALE: the program's file is not
 * the one that ran; -ENOEXEC: it is no ELF file; -ENOMEM; else the errno of opening it. ret is
 * filled as far as it went.
 */
int uw_space_load_core(struct uw_space *s, struct uw_core *core, const char *exe,
		       struct uw_core_load *ret);

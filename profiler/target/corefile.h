/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A core file and the files of its process, opened together, with sentences for what can go wrong.
 * Private to this folder and its tests.
 */
#pragma once

#include "core.h"
#include "core_space.h"
#include "err.h"

struct prowl_corefile {
	struct uw_core *core;
	struct uw_core_load load;
};

/*
 * Fills space, which is initialised and empty, and borrows the core file from then on. exe: the
 * program's file, or NULL for the one that the core names. PROWL_FAILED: no core file, damaged, or
 * the program can't be opened; PROWL_UNSUPPORTED: not Go, or an unknown Go version or machine;
 * PROWL_USAGE: exe is another program. After a failure there is nothing to close, but space must be
 * ended.
 */
enum prowl_code prowl_corefile_open(const char *path, const char *exe, struct uw_space *space,
				    struct prowl_corefile *ret, struct prowl_err *err);
void prowl_corefile_close(struct prowl_corefile *c);

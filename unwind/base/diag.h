/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain facts about a failure: what was being read and where. No text is formatted and nothing is
 * allocated here; the profiler turns it into a sentence.
 */
#pragma once

#include <stdint.h>

struct uw_diag {
	const char
		*what; /* static string: the thing that was read, "moduledata", "program header" */
	uint64_t at;   /* address in the target or byte offset in the file; 0 when neither fits */
};

static inline int uw_fail(struct uw_diag *d, const char *what, uint64_t at, int err)
{
	if (d) {
		d->what = what;
		d->at = at;
	}
	return -err;
}

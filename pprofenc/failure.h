/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "pprof.h"

/* Notes a failure and returns -err. */
static inline int fail(struct pprof_diag *d, const char *what, uint64_t at, int err)
{
	if (d) {
		d->what = what;
		d->at = at;
		d->detail[0] = '\0';
	}
	return -err;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

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

/* Notes that memory or indices ran out, and during which step ("copying samples"). Returns r. */
static inline int fail_while(struct pprof_diag *d, const char *step, int r)
{
	fail(d, r == -ENOMEM ? "out of memory" : "too many of a kind", 0, -r);
	if (d)
		snprintf(d->detail, sizeof d->detail, "while %s", step);
	return r;
}

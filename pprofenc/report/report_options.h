/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "pprof_report.h"
#include "sized.h"

/* A caller's options, in full size. */
struct report_options {
	struct pprof_report_options o; /* o.filtered is NULL or &filtered */
	struct pprof_filter_options filtered;
};

/* -EINVAL, -E2BIG: see pp_sized. */
static inline int pp_report_options(struct report_options *r,
				    const struct pprof_report_options *given)
{
	int e = pp_sized(&r->o, sizeof r->o, given);

	if (e < 0 || !r->o.filtered)
		return e;
	e = pp_sized(&r->filtered, sizeof r->filtered, r->o.filtered);
	r->o.filtered = &r->filtered;
	return e;
}

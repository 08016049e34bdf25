/* SPDX-License-Identifier: Apache-2.0 */
#include "pgo_output.h"

#include <errno.h>
#include <string.h>

#include "pprof.h"
#include "term.h"

enum prowl_code pgo_make(const struct pprof_profile *p, struct pprof_profile **ret_profile)
{
	struct pprof_diag diag = {0};
	struct pprof_pgo facts = PPROF_SIZED(facts);
	int r = pprof_pgo(p, ret_profile, &facts, &diag);

	if (r < 0) {
		say_error("nothing for go build -pgo: %s", diag.what ? diag.what : strerror(-r));
		return r == -ENODATA   ? PROWL_NOTHING
		       : r == -ENOTSUP ? PROWL_UNSUPPORTED
				       : PROWL_FAILED;
	}
	say_info("for go build -pgo: kernel and C frames taken off %.1f %% of the samples; %.1f %% "
		 "of all had no Go code and were left out",
		 facts.uncovered * 100, facts.without_go * 100);
	if (facts.without_line > 0)
		say_warning("%.1f %% of the samples are of functions without a start line, whose "
			    "calls the compiler can't find",
			    facts.without_line * 100);
	return PROWL_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of targets may cost, all files of one registry together: they come from the maker
 * of the target, and some pages of them can demand gigabytes or hours.
 *
 * Zero-initialised: nothing was spent. A file that would exceed a limit is left out as a whole, and
 * counted: a table is used whole or not at all. Debug files that only the administrator can have
 * put there have no limit.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct uw_care {
	uint64_t unpacked; /* bytes that packed sections became */
	uint64_t summed;   /* bytes that were read to check whether a debug file fits */
	uint64_t slow_ns;  /* CPU time of single look-ups, beyond what a look-up may take */
	bool hurry;        /* set by the owner: the names that are there already, and no others */
	uint32_t left_out; /* files whose symbols or debug information were left out */
};

#define UW_CARE_UNPACKED  (UINT64_C(128) << 20)
#define UW_CARE_SUMMED    (UINT64_C(512) << 20)
#define UW_CARE_SLOW_NS   UINT64_C(1500000000)
#define UW_CARE_LOOKUP_NS UINT64_C(20000000) /* of a look-up, which is not counted */

/* Takes n of what a limit allows; false when that is more than is left. */
static inline bool uw_care_take(uint64_t *spent, uint64_t n, uint64_t limit)
{
	if (*spent > limit || n > limit - *spent)
		return false;
	*spent += n;
	return true;
}

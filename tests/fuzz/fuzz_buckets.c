/* SPDX-License-Identifier: Apache-2.0 */
/* The input is the memory behind a list of profile buckets: what is read lies within its bounds. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gobuckets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAP 0x10000000ull

static void check(const struct uw_gobuckets *b)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct uw_bucket *k = &b->buckets[i];

		if (k->nstack > UW_BUCKET_MAX_STACK || k->first + k->nstack > b->npcs)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct uw_mem_bytes range = {HEAP, data + 1, size ? size - 1 : 0, NULL};
	struct uw_mem mem = uw_mem_bytes(&range);
	struct uw_goglobals g = {0};
	struct uw_gobuckets b = {0};

	if (size < 2)
		return 0;
	g.var[UW_GLOBAL_MBUCKETS].addr = HEAP;
	g.var[UW_GLOBAL_XBUCKETS].addr = HEAP;
	g.var[UW_GLOBAL_BBUCKETS].addr = HEAP;
	g.var[UW_GLOBAL_MPROF_CYCLE].addr = HEAP + 8;
	if (uw_gobuckets_read(&uw_golayouts[data[0] / 3 % uw_golayouts_count], &g, &mem,
			      (enum uw_bucket_kind)(1 + data[0] % 3), &b) == 0)
		check(&b);
	uw_gobuckets_fini(&b);
	return 0;
}

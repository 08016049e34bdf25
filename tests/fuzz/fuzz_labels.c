/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a thread's registers and the memory behind them, where the labels of its goroutine
 * are looked for. */
#include <stdlib.h>
#include <string.h>

#include "golabels.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAP 0x10000000ull

static void check(const struct uw_golabels *l, int n)
{
	if (n > UW_LABELS_MAX || (n >= 0 && l->n != (size_t)n))
		abort();
	for (int i = 0; i < n; i++) {
		if (strlen(l->label[i].key) != l->label[i].key_len ||
		    strlen(l->label[i].value) != l->label[i].value_len ||
		    (i > 0 && strcmp(l->label[i - 1].key, l->label[i].key) > 0))
			abort();
	}
}

/* The layout, where g and the stack pointer are, where m is believed to be, the memory. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct uw_golabels labels;
	const struct uw_golayout *l;
	struct uw_mem_bytes range;
	struct uw_regs r = {0};
	struct uw_mem mem;
	uint64_t m;

	if (size < 8)
		return 0;
	l = &uw_golayouts[data[0] % uw_golayouts_count];
	r.r14 = HEAP + data[1] * 8ull;
	r.sp = HEAP + data[2] * 8ull;
	m = data[3] ? HEAP + data[3] * 8ull : 0;
	range = (struct uw_mem_bytes){HEAP, data + 8, size - 8, NULL};
	mem = uw_mem_bytes(&range);
	check(&labels, uw_golabels_read(l, &mem, &r, &m, &labels));
	check(&labels, uw_golabels_of(l, &mem, r.r14, HEAP + data[4] * 8ull, &labels));
	return 0;
}

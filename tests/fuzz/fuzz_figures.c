/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is the memory behind a runtime's variables, and where each variable is in it. What is
 * told of the runtime is within bounds, whatever is there.
 */
#include "figures.h"
#include "fuzz_go.h"
#include "fuzz_sample.h"
#include "runtime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAP 0x10000000ull

static void check(const struct prowl_figures *f)
{
	if (f->npauses > PROWL_PAUSES || f->nvariables > PROWL_VARIABLES)
		abort();
	for (size_t i = 0; i < f->nvariables; i++) {
		if (!f->variables[i].name || !f->variables[i].how)
			abort();
	}
	for (size_t i = 0; i < PROWL_WAIT_REASONS; i++) {
		if (f->waiting[i].reason && strlen(f->waiting[i].reason) == 0)
			abort();
	}
	for (int i = PROWL_FIGURE_GOROUTINES; i <= PROWL_FIGURE_UNREAD; i++) {
		if (f->known[i] && f->value[i] < 0)
			abort();
	}
}

/* The layout, a byte for the place of each variable, the memory. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct prowl_runtime rt = {0};
	struct prowl_figures f;
	struct uw_mem_bytes range;

	if (size < 1 + UW_GLOBAL_COUNT)
		return 0;
	rt.go = fuzz_sample_go(data[0]);
	rt.layout = uw_go_layout(rt.go);
	for (size_t i = 0; i < UW_GLOBAL_COUNT; i++) {
		if (!data[1 + i])
			continue;
		rt.globals.var[i].addr = HEAP + (data[1 + i] - 1) * 16ull;
		rt.globals.var[i].source = UW_GLOBAL_BY_CODE;
	}
	range = (struct uw_mem_bytes){HEAP, data + 1 + UW_GLOBAL_COUNT, size - 1 - UW_GLOBAL_COUNT,
				      NULL};
	rt.space.live = uw_mem_bytes(&range);
	rt.space.go = rt.go;
	rt.space.go_tried = true;
	rt.image = -1;
	prowl_figures_read(&rt, &f);
	check(&f);
	return 0;
}

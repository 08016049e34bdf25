/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is the memory behind a list of goroutines, with their stacks and labels: what is read
 * lies within its bounds, and a stack that is given ends in Go's text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gogoroutines.h"
#include "golabels.h"
#include "sample_go.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAP 0x10000000ull

struct target {
	struct built_go built;
	struct uw_binary bin;
	struct uw_binaries reg;
	struct uw_space space;
	struct uw_goroutines *reader;
};

/* One for each layout, made once. */
static struct target *target_of(uint8_t which)
{
	static struct target targets[32];
	struct target *t = &targets[which % uw_golayouts_count];
	const struct uw_golayout *l = &uw_golayouts[which % uw_golayouts_count];
	char version[32];
	struct sample_go s;

	if (t->reader)
		return t;
	snprintf(version, sizeof version, "go1.%d.%d", l->minor, l->patch);
	sample_go_init(&s, l, version);
	t->built = build_go(&s.go);
	t->bin = (struct uw_binary){.parsed = true, .elf = built_go_elf(&t->built), .fd = -1};
	uw_space_init(&t->space, &t->reg, 0);
	if (uw_go_open(t->bin.elf, NULL, 0, &t->space.go, NULL) < 0)
		abort();
	t->space.go_tried = true;
	t->space.go_bin = &t->bin;
	if (uw_goroutines_new(&t->space, &t->reader) < 0)
		abort();
	return t;
}

struct seen {
	struct target *t;
	struct uw_golabels labels;
};

static int on_goroutine(void *ctx, const struct uw_goroutine *g)
{
	struct seen *s = ctx;
	struct uw_go_func f;

	if (g->nwords > UW_GOROUTINE_MAX_WORDS)
		abort();
	if ((g->stack == UW_GOROUTINE_WHOLE) != (g->nwords > 0) && g->stack != UW_GOROUTINE_CUT)
		abort();
	for (size_t i = 0; i < g->nwords; i++) {
		if (!uw_go_func_at(s->t->space.go, g->words[i] - 1, &f) &&
		    !uw_go_func_at(s->t->space.go, g->words[i], &f))
			abort();
	}
	if (g->labels)
		(void)uw_golabels_of(uw_go_layout(s->t->space.go), &s->t->space.live, g->addr,
				     g->labels, &s->labels);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct uw_mem_bytes range = {HEAP, data + 1, size ? size - 1 : 0, NULL};
	struct uw_goglobals globals = {0};
	static struct seen seen;
	struct target *t;
	uint64_t *gs;
	size_t n;

	if (size < 2)
		return 0;
	t = target_of(data[0]);
	t->space.live = uw_mem_bytes(&range);
	seen.t = t;
	globals.var[UW_GLOBAL_ALLGS].addr = HEAP;
	if (uw_goroutines_list(&t->space.live, &globals, &gs, &n) < 0)
		return 0;
	uw_goroutines_read(t->reader, gs, n < 64 ? n : 64, true, on_goroutine, &seen);
	free(gs);
	return 0;
}

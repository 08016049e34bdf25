/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of a runtime whose memory is made here: mostly of what a broken or hostile one may hold.
 */
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <string.h>

#include "figures.h"
#include "runtime.h"
#include "sample_go.h"
#include "unit_test.h"

enum {
	BASE = 0x10000000,
	SIZE = 0x20000,
	VARS = 0x100,   /* a variable each 0x40 bytes */
	SCHED = 0x2000, /* variables that are larger */
	MEMSTATS = 0x3000,
	CONTROLLER = 0x6000,
	ARRAY = 0x8000,
	GS = 0x9000, /* a goroutine each 0x200 bytes */
	MS = 0x18000,
	PS = 0x1c000,
};

struct fixture {
	struct prowl_runtime rt;
	struct built_go built;
	struct uw_elf *elf;
	struct uw_mem_bytes mem;
	uint8_t *bytes;
	const struct uw_golayout *l;
	uint64_t n; /* goroutines made so far */
};

static void poke(struct fixture *f, uint64_t off, uint64_t v, size_t size)
{
	assert_true(off + size <= SIZE);
	memcpy(f->bytes + off, &v, size);
}

static uint64_t variable(struct fixture *f, enum uw_goglobal which, uint64_t off)
{
	f->rt.globals.var[which].addr = BASE + off;
	f->rt.globals.var[which].source = UW_GLOBAL_BY_CODE;
	return off;
}

static void init(struct fixture *f, int minor)
{
	struct sample_go s;

	memset(f, 0, sizeof *f);
	f->l = uw_golayout_for(minor, 99);
	sample_go_init(&s, f->l, minor == 16 ? "go1.16.9" : "go1.24.4");
	f->built = build_go(&s.go);
	f->elf = built_go_elf(&f->built);
	assert_int_equal(uw_go_open(f->elf, NULL, 0, &f->rt.go, NULL), 0);
	f->bytes = calloc(1, SIZE);
	assert_non_null(f->bytes);
	f->mem = (struct uw_mem_bytes){BASE, f->bytes, SIZE, NULL};
	f->rt.layout = f->l;
	f->rt.space.live = uw_mem_bytes(&f->mem);
	assert_true(uw_space_set_go(&f->rt.space, f->rt.go, NULL, 0));
}

static void fini(struct fixture *f)
{
	uw_space_fini(&f->rt.space);
	uw_go_free(f->rt.go);
	uw_elf_free(f->elf);
	built_go_fini(&f->built);
	free(f->bytes);
}

static void add_goroutine(struct fixture *f, uint32_t status, uint8_t reason, enum uw_go_special at)
{
	uint64_t g = GS + f->n * 0x200;

	poke(f, g + f->l->g.atomicstatus, status, 4);
	poke(f, g + f->l->g.waitreason, reason, 1);
	poke(f, g + f->l->g.startpc, f->built.entries[at == UW_GO_SYSTEMSTACK ? 2 : 0], 8);
	poke(f, g + f->l->g.sched + f->l->gobuf.g, BASE + g, 8);
	poke(f, ARRAY + f->n * 8, BASE + g, 8);
	f->n++;
}

static void set_list(struct fixture *f, uint64_t len)
{
	uint64_t at = variable(f, UW_GLOBAL_ALLGS, VARS);

	poke(f, at, BASE + ARRAY, 8);
	poke(f, at + 8, len, 8);
	poke(f, at + 16, len, 8);
}

static struct prowl_figures read_figures(struct fixture *f)
{
	struct prowl_figures r;

	prowl_figures_read(&f->rt, &r);
	return r;
}

static void assert_figure(const struct prowl_figures *r, enum prowl_figure which, int64_t v)
{
	assert_true(r->known[which]);
	assert_int_equal(r->value[which], v);
}

TEST(counts_goroutines_by_state)
{
	struct prowl_figures r;
	struct fixture f;

	init(&f, 24);
	add_goroutine(&f, 2, 0, UW_GO_NORMAL);
	add_goroutine(&f, 4, 2, UW_GO_NORMAL);
	add_goroutine(&f, 0x1004, 2, UW_GO_NORMAL); /* being scanned */
	add_goroutine(&f, 4, 200, UW_GO_NORMAL);    /* a reason that there isn't */
	add_goroutine(&f, 1, 2, UW_GO_NORMAL);
	add_goroutine(&f, 3, 2, UW_GO_NORMAL);
	add_goroutine(&f, 8, 0, UW_GO_NORMAL);
	add_goroutine(&f, 6, 0, UW_GO_NORMAL);
	add_goroutine(&f, 4, 13, UW_GO_SYSTEMSTACK); /* its function is the runtime's */
	add_goroutine(&f, 77, 0, UW_GO_NORMAL);
	poke(&f, ARRAY + f.n * 8, 0x1000, 8); /* leads nowhere */
	set_list(&f, f.n + 1);
	r = read_figures(&f);
	assert_figure(&r, PROWL_FIGURE_GOROUTINES, 7);
	assert_figure(&r, PROWL_FIGURE_RUNNING, 1);
	assert_figure(&r, PROWL_FIGURE_WAITING, 3);
	assert_figure(&r, PROWL_FIGURE_RUNNABLE, 1);
	assert_figure(&r, PROWL_FIGURE_SYSCALL, 1);
	assert_figure(&r, PROWL_FIGURE_OTHER, 1);
	assert_figure(&r, PROWL_FIGURE_SYSTEM, 1);
	assert_figure(&r, PROWL_FIGURE_DEAD, 1);
	assert_figure(&r, PROWL_FIGURE_UNREAD, 2);
	assert_string_equal(r.waiting[2].reason, "IO wait");
	assert_int_equal(r.waiting[2].n, 2);
	fini(&f);
}

TEST(a_list_that_is_none)
{
	struct prowl_figures r;
	struct fixture f;

	init(&f, 24);
	set_list(&f, UINT64_MAX);
	r = read_figures(&f);
	assert_false(r.known[PROWL_FIGURE_GOROUTINES]);
	set_list(&f, 1 << 20); /* longer than the memory behind it */
	r = read_figures(&f);
	assert_false(r.known[PROWL_FIGURE_GOROUTINES]);
	set_list(&f, 0);
	r = read_figures(&f);
	assert_figure(&r, PROWL_FIGURE_GOROUTINES, 0);
	fini(&f);
}

TEST(counts_threads)
{
	struct prowl_figures r;
	struct fixture f;

	init(&f, 24);
	poke(&f, variable(&f, UW_GLOBAL_ALLM, VARS), BASE + MS, 8);
	poke(&f, MS + f.l->m.alllink, BASE + MS + 0x800, 8);
	poke(&f, MS + 0x800 + f.l->m.incgo, 1, 1);
	r = read_figures(&f);
	assert_figure(&r, PROWL_FIGURE_THREADS, 2);
	assert_figure(&r, PROWL_FIGURE_THREADS_IN_C, 1);
	poke(&f, MS + 0x800 + f.l->m.alllink, BASE + MS, 8); /* a circle */
	r = read_figures(&f);
	assert_false(r.known[PROWL_FIGURE_THREADS]);
	poke(&f, MS + 0x800 + f.l->m.alllink, 0x1000, 8);
	r = read_figures(&f);
	assert_false(r.known[PROWL_FIGURE_THREADS]);
	fini(&f);
}

TEST(adds_up_queues)
{
	struct prowl_figures r;
	struct fixture f;
	uint64_t allp;

	init(&f, 24);
	allp = variable(&f, UW_GLOBAL_ALLP, VARS);
	poke(&f, allp, BASE + ARRAY, 8);
	poke(&f, allp + 8, 2, 8);
	poke(&f, ARRAY, BASE + PS, 8);
	poke(&f, ARRAY + 8, BASE + PS, 8);
	poke(&f, PS + f.l->p.runqhead, UINT32_MAX, 4); /* the counters wrap around */
	poke(&f, PS + f.l->p.runqtail, 3, 4);
	poke(&f, PS + f.l->p.runnext, 1, 8);
	r = read_figures(&f);
	assert_figure(&r, PROWL_FIGURE_QUEUE_PROCS, 10);
	poke(&f, PS + f.l->p.runqtail, 1000, 4); /* more than there can be */
	r = read_figures(&f);
	assert_false(r.known[PROWL_FIGURE_QUEUE_PROCS]);
	fini(&f);
}

TEST(pauses_newest_first)
{
	struct prowl_figures r;
	struct fixture f;
	double fraction = 0.25;
	uint64_t bits;

	init(&f, 24);
	variable(&f, UW_GLOBAL_MEMSTATS, MEMSTATS);
	poke(&f, MEMSTATS + f.l->memstats.numgc, 258, 4); /* the ring has turned */
	poke(&f, MEMSTATS + f.l->memstats.pause_ns + 1 * 8, 1001, 8);
	poke(&f, MEMSTATS + f.l->memstats.pause_ns + 0 * 8, 1000, 8);
	poke(&f, MEMSTATS + f.l->memstats.pause_ns + 255 * 8, 999, 8);
	memcpy(&bits, &fraction, sizeof bits);
	poke(&f, MEMSTATS + f.l->memstats.gc_cpu_fraction, bits, 8);
	r = read_figures(&f);
	assert_figure(&r, PROWL_FIGURE_GC_COUNT, 258);
	assert_int_equal(r.npauses, PROWL_PAUSES);
	assert_int_equal(r.pauses[0], 1001);
	assert_int_equal(r.pauses[1], 1000);
	assert_int_equal(r.pauses[2], 999);
	assert_true(r.gc_cpu_fraction == 0.25);
	poke(&f, MEMSTATS + f.l->memstats.gc_cpu_fraction, UINT64_MAX, 8); /* no number */
	r = read_figures(&f);
	assert_true(r.gc_cpu_fraction < 0);
	fini(&f);
}

TEST(collector_of_each_version)
{
	struct prowl_figures r;
	struct fixture f;

	init(&f, 24);
	variable(&f, UW_GLOBAL_GC_CONTROLLER, CONTROLLER);
	poke(&f, CONTROLLER + f.l->gc.heap_live, 12345, 8);
	poke(&f, CONTROLLER + f.l->gc.gc_percent, UINT32_MAX, 4); /* GOGC=off */
	r = read_figures(&f);
	assert_figure(&r, PROWL_FIGURE_HEAP_LIVE, 12345);
	assert_figure(&r, PROWL_FIGURE_GC_PERCENT, -1);
	fini(&f);

	init(&f, 16);
	variable(&f, UW_GLOBAL_MEMSTATS, MEMSTATS);
	poke(&f, MEMSTATS + f.l->memstats.heap_live, 54321, 8);
	r = read_figures(&f);
	assert_figure(&r, PROWL_FIGURE_HEAP_LIVE, 54321);
	assert_false(r.known[PROWL_FIGURE_GC_PERCENT]);
	assert_false(r.known[PROWL_FIGURE_TOTAL_ALLOC]);
	fini(&f);
}

TEST(nothing_found_nothing_known)
{
	struct prowl_figures r;
	struct fixture f;

	init(&f, 24);
	r = read_figures(&f);
	for (size_t i = 0; i < PROWL_FIGURE_COUNT; i++)
		assert_false(r.known[i]);
	assert_true(r.gc_cpu_fraction < 0);
	assert_int_equal(r.heap_profile, PROWL_HEAP_UNKNOWN);
	assert_int_equal(r.nvariables, UW_GLOBAL_COUNT);
	assert_string_equal(r.variables[0].how, "missing");
	fini(&f);
}

TEST(heap_profiling_left_out)
{
	struct prowl_figures r;
	struct fixture f;

	init(&f, 24);
	variable(&f, UW_GLOBAL_MEM_PROFILE_RATE, VARS);
	r = read_figures(&f);
	assert_int_equal(r.heap_profile, PROWL_HEAP_LINKED_OUT);
	poke(&f, VARS, 524288, 8);
	r = read_figures(&f);
	assert_int_equal(r.heap_profile, PROWL_HEAP_ON);
	fini(&f);
}

TEST(each_has_a_name)
{
	for (size_t i = 0; i < PROWL_FIGURE_COUNT; i++) {
		assert_non_null(prowl_figure_name(i));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(prowl_figure_name(i), prowl_figure_name(j));
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Goroutines in memory that is made here: at rest, in system calls, running, changing, damaged. */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gogoroutines.h"
#include "sample_go.h"
#include "unit_test.h"

enum {
	BASE = 0x20000000,
	SIZE = 0x200000,
	ALLGS = 0x100,
	ARRAY = 0x1000,
	GS = 0x4000,      /* a goroutine each 0x200 bytes */
	STACKS = 0x44000, /* and 0xc00 of stack: those at rest are neighbours to the reader */
	STACK = 0xc00,
	MAX = 512,
};

struct fixture {
	struct built_go built;
	struct uw_binary bin;
	struct uw_binaries reg;
	struct uw_space space;
	struct uw_goglobals globals;
	const struct uw_golayout *l;
	struct uw_goroutines *reader;
	uint8_t *bytes;
	uint64_t n;
	/* What happens while it is read. */
	unsigned int reads, fail_at; /* the read that fails, counted from 1; 0: none */
	uint64_t move;               /* of this one, each read finds another sp */
	uint64_t run;                /* this one has run and come back to the same place */
	/* What was found. */
	struct uw_goroutine found[MAX];
	uint64_t words[MAX][16];
	size_t nfound;
};

static int read_fixture(void *ctx, uint64_t addr, void *buf, size_t len)
{
	struct fixture *f = ctx;

	if (++f->reads == f->fail_at)
		return -EFAULT;
	if (addr < BASE || addr - BASE > SIZE || len > SIZE - (addr - BASE))
		return -EFAULT;
	if (f->move) {
		uint64_t sp = BASE + STACKS + STACK + 0x400 + f->reads % 64 * 8;

		memcpy(f->bytes + f->move + f->l->g.sched + f->l->gobuf.sp, &sp, 8);
	}
	if (f->run && f->l->g.tracking_seq != UW_GO_NONE)
		f->bytes[f->run + f->l->g.tracking_seq]++;
	memcpy(buf, f->bytes + (addr - BASE), len);
	return 0;
}

static int read_fixture_parts(void *ctx, const struct uw_mem_part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = read_fixture(ctx, parts[i].addr, parts[i].buf, parts[i].len);

		if (r < 0)
			return r;
	}
	return 0;
}

static void poke(struct fixture *f, uint64_t off, uint64_t v, size_t size)
{
	assert_true(off + size <= SIZE);
	memcpy(f->bytes + off, &v, size);
}

/* main.main has another name, if one is given. */
static void init_named(struct fixture *f, int minor, const char *name)
{
	char version[32];
	struct sample_go s;

	memset(f, 0, sizeof *f);
	f->l = uw_golayout_for(minor, 99);
	snprintf(version, sizeof version, "go1.%d.9", minor);
	sample_go_init(&s, f->l, version);
	if (name)
		s.funcs[SAMPLE_MAIN].name = name;
	f->built = build_go(&s.go);
	f->bin = (struct uw_binary){.parsed = true, .elf = built_go_elf(&f->built), .fd = -1};
	uw_space_init(&f->space, &f->reg, 0);
	assert_int_equal(uw_go_open(f->bin.elf, NULL, 0, &f->bin.go, NULL), 0);
	assert_true(uw_space_set_go(&f->space, f->bin.go, &f->bin, 0));
	f->space.live = (struct uw_mem){
		.read = read_fixture, .read_parts = read_fixture_parts, .ctx = f};
	f->bytes = calloc(1, SIZE);
	assert_non_null(f->bytes);
	f->globals.var[UW_GLOBAL_ALLGS].addr = BASE + ALLGS;
	assert_int_equal(uw_goroutines_new(&f->space, &f->reader), 0);
}

static void init(struct fixture *f, int minor)
{
	init_named(f, minor, NULL);
}

static void fini(struct fixture *f)
{
	uw_goroutines_free(f->reader);
	uw_space_fini(&f->space);
	uw_go_free(f->bin.go);
	uw_elf_free(f->bin.elf);
	built_go_fini(&f->built);
	free(f->bytes);
}

static uint64_t stack_of(uint64_t i)
{
	return STACKS + i * STACK;
}

/* One that waits, parked in main.main before it has a frame, called by goexit. Its offset. */
static uint64_t add(struct fixture *f, uint32_t status, uint8_t reason)
{
	const struct uw_golayout *l = f->l;
	uint64_t i = f->n++, g = GS + i * 0x200, sp = stack_of(i) + 0x800;

	poke(f, ARRAY + i * 8, BASE + g, 8);
	poke(f, ALLGS, BASE + ARRAY, 8);
	poke(f, ALLGS + 8, f->n, 8);
	poke(f, ALLGS + 16, f->n, 8);
	poke(f, g + l->g.stack, BASE + stack_of(i), 8);
	poke(f, g + l->g.stack + 8, BASE + stack_of(i) + STACK, 8);
	poke(f, g + l->g.sched + l->gobuf.g, BASE + g, 8);
	poke(f, g + l->g.sched + l->gobuf.sp, BASE + sp, 8);
	poke(f, g + l->g.sched + l->gobuf.pc, f->built.entries[SAMPLE_MAIN] + 4, 8);
	poke(f, g + l->g.atomicstatus, status, 4);
	poke(f, g + l->g.waitreason, reason, 1);
	poke(f, g + l->g.goid, 100 + i, 8);
	poke(f, g + l->g.gopc, f->built.entries[SAMPLE_MAIN] + 4, 8);
	poke(f, g + l->g.startpc, f->built.entries[SAMPLE_MAIN], 8);
	poke(f, sp, f->built.entries[SAMPLE_GOEXIT] + 1, 8);
	return g;
}

static int on_goroutine(void *ctx, const struct uw_goroutine *g)
{
	struct fixture *f = ctx;

	assert_true(f->nfound < MAX);
	f->found[f->nfound] = *g;
	for (size_t i = 0; i < g->nwords && i < 16; i++)
		f->words[f->nfound][i] = g->words[i];
	f->nfound++;
	return 0;
}

static int read_all(struct fixture *f)
{
	uint64_t *gs;
	size_t n;
	int r = uw_goroutines_list(&f->space.live, &f->globals, &gs, &n);

	f->nfound = 0;
	if (r < 0)
		return r;
	r = uw_goroutines_read(f->reader, gs, n, true, on_goroutine, f);
	free(gs);
	return r;
}

static const int versions[] = {16, 17, 19, 20, 22, 23, 25, 26, 27};

TEST(at_rest)
{
	for (size_t v = 0; v < sizeof versions / sizeof versions[0]; v++) {
		struct fixture f;

		init(&f, versions[v]);
		for (int i = 0; i < 40; i++)
			add(&f, i % 2 ? 4 : 0x1004, 2);
		assert_int_equal(read_all(&f), 0);
		assert_int_equal(f.nfound, 40);
		for (size_t i = 0; i < f.nfound; i++) {
			const struct uw_goroutine *g = &f.found[i];

			assert_int_equal(g->goid, 100 + i);
			assert_int_equal(g->status, UW_G_WAITING);
			assert_int_equal(g->reason, 2);
			assert_int_equal(g->scan, i % 2 == 0);
			assert_int_equal(g->stack, UW_GOROUTINE_WHOLE);
			assert_int_equal(g->nwords, 2);
			assert_int_equal(f.words[i][0], f.built.entries[SAMPLE_MAIN] + 4);
			assert_int_equal(f.words[i][1], f.built.entries[SAMPLE_GOEXIT] + 1);
			assert_false(g->system);
		}
		fini(&f);
	}
}

TEST(by_status)
{
	struct fixture f;
	uint64_t g;

	init(&f, 24);
	add(&f, 6, 0);     /* dead */
	add(&f, 0, 0);     /* idle */
	add(&f, 2, 0);     /* running */
	g = add(&f, 3, 0); /* in a system call: from where it entered it */
	poke(&f, g + f.l->g.syscallpc, f.built.entries[SAMPLE_MAIN] + 2, 8);
	poke(&f, g + f.l->g.syscallsp, BASE + stack_of(3) + 0x900, 8);
	poke(&f, stack_of(3) + 0x900, f.built.entries[SAMPLE_GOEXIT] + 1, 8);
	poke(&f, g + f.l->g.sched + f.l->gobuf.sp, 0, 8);
	g = add(&f, 4, 13);
	poke(&f, g + f.l->g.startpc, f.built.entries[SAMPLE_SYSTEMSTACK], 8);
	assert_int_equal(read_all(&f), 0);
	assert_int_equal(f.nfound, 3);
	assert_int_equal(uw_goroutines_stats(f.reader)->dead, 2);
	for (size_t i = 0; i < f.nfound; i++) {
		switch (f.found[i].goid) {
		case 102:
			assert_int_equal(f.found[i].stack, UW_GOROUTINE_RUNNING);
			assert_int_equal(f.found[i].nwords, 0);
			break;
		case 103:
			assert_int_equal(f.words[i][0], f.built.entries[SAMPLE_MAIN] + 2);
			break;
		case 104:
			assert_true(f.found[i].system);
			break;
		default:
			fail();
		}
	}
	fini(&f);
}

/* The number of a reason to wait in this version. */
static uint8_t reason_of(const struct fixture *f, const char *name)
{
	for (size_t i = 0; i < f->l->wait_reasons_count; i++) {
		if (!strcmp(f->l->wait_reasons[i], name))
			return (uint8_t)i;
	}
	fail_msg("no reason %s", name);
	return 0;
}

/* The one that calls the program's finalizers is the runtime's while it calls none. */
TEST(of_the_runtime)
{
	static const struct {
		int minor;
		const char *name, *wait;
	} cases[] = {
		{16, "runtime.runfinq", "finalizer wait"},
		{24, "runtime.runfinq", "finalizer wait"},
		{25, "runtime.runFinalizers", "finalizer wait"},
		{27, "runtime.runFinalizers", "finalizer wait"},
		{27, "runtime.forcegchelper", NULL},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		bool always = cases[i].wait == NULL;
		struct fixture f;
		uint64_t g;

		init_named(&f, cases[i].minor, cases[i].name);
		g = add(&f, UW_G_RUNNABLE, 0); /* has never run */
		poke(&f, g + f.l->g.sched + f.l->gobuf.pc, f.built.entries[SAMPLE_MAIN], 8);
		add(&f, UW_G_RUNNABLE, 0); /* was interrupted, or woken */
		add(&f, UW_G_RUNNING, 0);
		add(&f, UW_G_WAITING, reason_of(&f, "select"));
		add(&f, UW_G_WAITING, reason_of(&f, always ? "select" : cases[i].wait));
		add(&f, UW_G_WAITING, 255);
		assert_int_equal(read_all(&f), 0);
		assert_int_equal(f.nfound, 6);
		for (size_t k = 0; k < f.nfound; k++) {
			uint64_t n = f.found[k].goid - 100;

			assert_int_equal(f.found[k].system, always || n == 0 || n == 4);
		}
		fini(&f);
	}
}

/* Those that call its cleanups say themselves whether they do. */
TEST(of_cleanups)
{
	struct fixture f;

	init_named(&f, 26, "runtime.runCleanups");
	for (int i = 0; i < 4; i++) {
		uint64_t g = add(&f, i < 2 ? UW_G_WAITING : UW_G_RUNNING, reason_of(&f, "select"));

		poke(&f, g + f.l->g.running_cleanups, i % 2, 1);
	}
	assert_int_equal(read_all(&f), 0);
	assert_int_equal(f.nfound, 4);
	for (size_t k = 0; k < f.nfound; k++)
		assert_int_equal(f.found[k].system, f.found[k].goid % 2 == 0);
	fini(&f);
}

/* What never stands still has no stack, and is not the others' trouble. */
TEST(unstable)
{
	struct fixture f;

	init(&f, 24);
	add(&f, 4, 2);
	f.move = add(&f, 4, 2);
	add(&f, 4, 2);
	assert_int_equal(read_all(&f), 0);
	assert_int_equal(f.nfound, 3);
	for (size_t i = 0; i < 3; i++) {
		bool moves = f.found[i].goid == 101;

		assert_int_equal(f.found[i].stack,
				 moves ? UW_GOROUTINE_UNSTABLE : UW_GOROUTINE_WHOLE);
		assert_int_equal(f.found[i].nwords, moves ? 0 : 2);
	}
	assert_int_equal(uw_goroutines_stats(f.reader)->unstable, 1);
	assert_true(uw_goroutines_stats(f.reader)->retries > 1);
	fini(&f);
}

/* One that runs and waits again at the same depth may have been read while it ran. */
TEST(returns)
{
	for (size_t v = 0; v < sizeof versions / sizeof versions[0]; v++) {
		bool told = versions[v] >= 17;
		struct fixture f;

		init(&f, versions[v]);
		add(&f, 4, 2);
		f.run = add(&f, 4, 2);
		assert_int_equal(read_all(&f), 0);
		assert_int_equal(f.nfound, 2);
		for (size_t i = 0; i < 2; i++) {
			bool ran = told && f.found[i].goid == 101;

			assert_int_equal(f.found[i].stack,
					 ran ? UW_GOROUTINE_UNSTABLE : UW_GOROUTINE_WHOLE);
			assert_int_equal(f.found[i].nwords, ran ? 0 : 2);
		}
		fini(&f);
	}
}

TEST(damaged)
{
	struct fixture f;
	uint64_t g;

	init(&f, 24);
	g = add(&f, 4, 2); /* not a g */
	poke(&f, g + f.l->g.sched + f.l->gobuf.g, BASE, 8);
	g = add(&f, 4, 2); /* its stack lies elsewhere */
	poke(&f, g + f.l->g.sched + f.l->gobuf.sp, BASE + 8, 8);
	g = add(&f, 4, 2); /* no code */
	poke(&f, g + f.l->g.sched + f.l->gobuf.pc, 0x1234, 8);
	g = add(&f, 4, 2); /* a return address that is none */
	poke(&f, stack_of(3) + 0x800, 0x1234, 8);
	g = add(&f, 4, 2); /* a stack that is not mapped */
	poke(&f, g + f.l->g.stack, 0x1000, 8);
	poke(&f, g + f.l->g.stack + 8, 0x2000, 8);
	poke(&f, g + f.l->g.sched + f.l->gobuf.sp, 0x1800, 8);
	add(&f, 4, 2);                    /* and a sound one */
	poke(&f, ARRAY + 6 * 8, 0x10, 8); /* and one that is nowhere */
	poke(&f, ALLGS + 8, 7, 8);
	assert_int_equal(read_all(&f), 0);
	assert_int_equal(f.nfound, 7);
	for (size_t i = 0; i < f.nfound; i++) {
		bool sound = f.found[i].goid == 105;

		assert_int_equal(f.found[i].stack == UW_GOROUTINE_WHOLE, sound);
		assert_int_equal(f.found[i].nwords, sound ? 2 : 0);
	}
	poke(&f, ALLGS + 8, UINT64_MAX, 8);
	assert_int_equal(read_all(&f), -EBADMSG);
	f.globals.var[UW_GLOBAL_ALLGS].addr = 0;
	assert_int_equal(read_all(&f), -ENOENT);
	fini(&f);
}

/* Whatever read fails: an error, or goroutines without a stack; the others are right. */
TEST(reads_fail)
{
	unsigned int total;
	struct fixture f;

	init(&f, 23);
	for (int i = 0; i < 5; i++)
		add(&f, 4, 2);
	assert_int_equal(read_all(&f), 0);
	total = f.reads;
	assert_true(total > 5);
	for (unsigned int at = 1; at <= total + 3; at++) {
		f.reads = 0;
		f.fail_at = at;
		if (read_all(&f) < 0)
			continue;
		assert_int_equal(f.nfound, 5);
		for (size_t i = 0; i < 5; i++) {
			if (f.found[i].stack == UW_GOROUTINE_WHOLE)
				assert_int_equal(f.words[i][1], f.built.entries[SAMPLE_GOEXIT] + 1);
			else
				assert_int_equal(f.found[i].nwords, 0);
		}
	}
	fini(&f);
}

/* A stack that is longer than what is read at first. */
TEST(deep)
{
	struct fixture f;
	uint64_t g;

	init(&f, 24);
	g = add(&f, 4, 2);
	poke(&f, g + f.l->g.sched + f.l->gobuf.sp, BASE + stack_of(0) + 0x100, 8);
	for (uint64_t at = 0x100; at < 0x100 + 8 * 300; at += 8)
		poke(&f, stack_of(0) + at, f.built.entries[SAMPLE_MAIN] + 4, 8);
	poke(&f, stack_of(0) + 0x100 + 8 * 300, f.built.entries[SAMPLE_GOEXIT] + 1, 8);
	assert_int_equal(read_all(&f), 0);
	assert_int_equal(f.found[0].stack, UW_GOROUTINE_WHOLE);
	assert_int_equal(f.found[0].nwords, 302);
	fini(&f);
}

/* More than are read together, each with a neighbour. */
static void check_many(bool live)
{
	struct fixture f;

	init(&f, 26);
	if (!live)
		f.space.live.read_parts = NULL;
	for (uint64_t i = 0; i < 400; i++) {
		add(&f, 4, 2);
		poke(&f, stack_of(i) + 0x800, f.built.entries[SAMPLE_GOEXIT] + 1 + i % 3, 8);
	}
	assert_int_equal(read_all(&f), 0);
	assert_int_equal(f.nfound, 400);
	for (size_t i = 0; i < f.nfound; i++) {
		assert_int_equal(f.found[i].goid, 100 + i);
		assert_int_equal(f.found[i].stack, UW_GOROUTINE_WHOLE);
		assert_int_equal(f.found[i].nwords, 2);
		assert_int_equal(f.words[i][1], f.built.entries[SAMPLE_GOEXIT] + 1 + i % 3);
	}
	assert_int_equal(uw_goroutines_stats(f.reader)->retries, 0);
	/* of a live process also what is between two of them; of a core not */
	assert_true(live ? f.reads > 400 * 4 : f.reads <= 400 * 3 + 3);
	fini(&f);
}

TEST(many)
{
	check_many(true);
	check_many(false);
}

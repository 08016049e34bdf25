/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk, case by case. A small machine runs calls, prologues and epilogues on a stack of its
 * own, and the kernel's part (registers, stack copy, chain of frame pointers) is taken from it at
 * the instant of interest, as perf does. What the walk must give is known from the calls made.
 */
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_go.h"
#include "log.h"
#include "walk.h"
#include "unit_test.h"

enum {
	PAGE = 4096,
	BASE = 0x400000,
	CALL_END = 25, /* each function has a call that ends there */
	BODY = 40,     /* a place with the frame set up, not after a call */
	LOCALS = 16,
	KEPT = 12, /* words of newstack's frame */
	WORDS = 512,
	NATIVE_BIAS = 0x700000000000 - BASE,
	ANON = 0x30000000,
};
#define STACK 0xc000100000ull

enum fn {
	GOEXIT,
	MAIN, /* runtime.main */
	OUTER,
	WORK,
	LEAF, /* no frame */
	DUFF,
	NANOTIME, /* SPWRITE */
	MSTART,
	MSTART0,
	RT0,
	MCALL,
	GOGO,
	PARK,
	SCHEDULE,
	MORESTACK,
	NEWSTACK,
	ASYNC_PREEMPT,
	PREEMPT_PARK,
	SIGPANIC,
	PANIC,
	TOP, /* TOPFRAME, of no special name */
	NO_TABLE,
	DEBUG_CALL,
	SWITCHES, /* SPWRITE, of no special name */
	NOCTXT,   /* runtime.morestack_noctxt */
	NFUNCS,
};

/* PUSH BP; MOV SP,BP; SUB $16,SP; ... ADD $16,SP; POP BP; RET */
static const struct build_step new_sp[] = {{1, 0}, {7, 8}, {44, 24}, {1, 8}, {11, 0}, {0, 0}};
enum { AFTER_PUSH = 1, AT_POP = 52, AFTER_POP = 53, AFTER_RET = 63 };
/* SUB $24,SP; MOV BP,16(SP); LEA 16(SP),BP; ... MOV 16(SP),BP; ADD $24,SP; RET */
static const struct build_step old_sp[] = {{4, 0}, {52, 24}, {8, 0}, {0, 0}};
enum { AT_SAVE = 4, AFTER_SAVE = 9, AT_ADD = 52, AFTER_ADD = 56 };
/* newstack's frame: words enough for what it keeps. */
static const struct build_step large_sp[] = {{1, 0}, {7, 8},  {44, 8 + KEPT * 8},
					     {1, 8}, {11, 0}, {0, 0}};
static const struct build_step no_frame[] = {{64, 0}, {0, 0}};

struct fixture {
	struct uw_binaries reg;
	struct uw_space space;
	struct uw_walker *walker;
	struct built_go built;
	int fd, native_fd;
	uint64_t bias;
};

/* The machine. */
struct machine {
	const struct fixture *f;
	uint64_t words[WORDS];
	uint64_t ip, sp, bp;
	uint64_t want[64];
	size_t nwant;
};

static uint64_t *at(struct machine *m, uint64_t addr)
{
	uint64_t i = (addr - STACK) / 8;

	assert_true(addr >= STACK && i < WORDS && addr % 8 == 0);
	return &m->words[i];
}

static uint64_t entry(const struct fixture *f, enum fn fn)
{
	return f->built.entries[fn] + f->bias;
}

static void push_word(struct machine *m, uint64_t v)
{
	m->sp -= 8;
	*at(m, m->sp) = v;
}

/* PUSH BP; MOV SP,BP; SUB $16,SP */
static void prologue(struct machine *m)
{
	push_word(m, m->bp);
	m->bp = m->sp;
	m->sp -= LOCALS;
}

static void go_to(struct machine *m, enum fn fn, uint64_t off)
{
	m->ip = entry(m->f, fn) + off;
}

/* Enters fn, called from the call that the present function has. No prologue yet. */
static void call(struct machine *m, enum fn caller, enum fn fn)
{
	push_word(m, entry(m->f, caller) + CALL_END);
	go_to(m, fn, 0);
}

static void enter(struct machine *m, enum fn caller, enum fn fn)
{
	call(m, caller, fn);
	prologue(m);
	go_to(m, fn, BODY);
}

/* A new goroutine or thread whose stack ends at the top. */
static void boot(struct machine *m, const struct fixture *f, uint64_t root_ret)
{
	*m = (struct machine){.f = f, .sp = STACK + (WORDS - 16) * 8};
	for (size_t i = 0; i < WORDS; i++)
		m->words[i] = 0x5a5a5a5a5a5a5a5b;
	push_word(m, root_ret);
}

/* goexit ← runtime.main ← main.outer */
static void boot_main(struct machine *m, const struct fixture *f)
{
	boot(m, f, entry(f, GOEXIT) + 1);
	prologue(m);
	enter(m, MAIN, OUTER);
}

/* What the walk must give, leaf first. */
static void want(struct machine *m, enum fn fn, uint64_t off)
{
	m->want[m->nwant++] = entry(m->f, fn) + off;
}

static void want_caller(struct machine *m, enum fn fn)
{
	want(m, fn, CALL_END - 1);
}

static void want_main(struct machine *m)
{
	want_caller(m, OUTER);
	want_caller(m, MAIN);
}

/* As the kernel does: ip, then return addresses by frame pointers, while they can be read. */
static size_t kernel_chain(struct machine *m, uint64_t *chain, size_t max)
{
	uint64_t bp = m->bp;
	size_t n = 0;

	chain[n++] = m->ip;
	while (n < max && bp >= STACK && bp + 16 <= STACK + WORDS * 8 && bp % 8 == 0) {
		chain[n++] = *at(m, bp + 8);
		bp = *at(m, bp);
	}
	return n;
}

struct taken { /* a sample and what the walk made of it */
	struct uw_regs regs;
	uint64_t chain[64];
	struct uw_sample s;
	uint64_t pcs[64];
	size_t n;
	enum uw_end end;
};

static void take(struct machine *m, struct taken *t)
{
	*t = (struct taken){.regs = {.bp = m->bp, .sp = m->sp, .ip = m->ip}};
	t->s.regs = &t->regs;
	t->s.chain = t->chain;
	t->s.nchain = kernel_chain(m, t->chain, 64);
	t->s.stack = at(m, m->sp);
	t->s.stack_len = STACK + WORDS * 8 - m->sp;
}

static void walk(struct fixture *f, struct taken *t)
{
	t->n = uw_walk(f->walker, &f->space, &t->s, t->pcs, 64, &t->end);
}

static void check(const struct machine *m, const struct taken *t, enum uw_end end)
{
	size_t n = t->n < m->nwant ? t->n : m->nwant;

	for (size_t i = 0; i < n; i++) {
		if (t->pcs[i] != m->want[i])
			print_error("frame %zu: %#llx, not %#llx\n", i,
				    (unsigned long long)t->pcs[i], (unsigned long long)m->want[i]);
		assert_true(t->pcs[i] == m->want[i]);
	}
	assert_int_equal(t->n, m->nwant);
	assert_int_equal(t->end, end);
}

/* Samples here and compares. Returns how many callers were inserted. */
static uint64_t check_now(struct fixture *f, struct machine *m, enum uw_end end)
{
	uint64_t before = uw_walker_stats(f->walker)->repaired;
	struct taken t;

	take(m, &t);
	walk(f, &t);
	check(m, &t, end);
	return uw_walker_stats(f->walker)->repaired - before;
}

static uint64_t off_stack(const struct fixture *f)
{
	return uw_walker_stats(f->walker)->off_stack;
}

/* --- the binaries --- */

static void poke(uint8_t *bytes, uint64_t text, uint64_t addr, const void *code, size_t len)
{
	memcpy(bytes + PAGE + (addr - text), code, len);
}

/* A call or jump at fn + off to the entry of another function. */
static void poke_rel(struct fixture *f, enum fn fn, uint64_t off, uint8_t op, enum fn to)
{
	uint64_t at = f->built.entries[fn] + off;
	uint32_t rel = (uint32_t)(f->built.entries[to] - (at + 5));
	uint8_t code[5] = {op};

	memcpy(code + 1, &rel, 4);
	poke(f->built.bytes, f->built.text, at, code, 5);
}

static void map_file(struct fixture *f, int fd, size_t size, uint64_t bias)
{
	struct uw_map_event e = {.start = BASE + bias,
				 .end = BASE + bias + (size + PAGE - 1) / PAGE * PAGE};
	struct stat st;
	char path[64];

	assert_int_equal(fstat(fd, &st), 0);
	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
	e.dev = st.st_dev;
	e.ino = st.st_ino;
	e.path = path;
	assert_int_equal(uw_space_add(&f->space, &e), 0);
}

static void open_fixture_with(struct fixture *f, int minor, uint64_t bias,
			      void (*more)(struct fixture *f))
{
	const struct build_step *sp = minor > 20 ? new_sp : old_sp;
	const struct build_func funcs[NFUNCS] = {
		[GOEXIT] = {"runtime.goexit", 64, .flag = 5, .sp = no_frame},
		[MAIN] = {"runtime.main", 64, .sp = sp},
		[OUTER] = {"main.outer", 64, .sp = sp},
		[WORK] = {"main.work", 64, .sp = sp},
		[LEAF] = {"main.leaf", 64, .flag = 4, .sp = no_frame},
		[DUFF] = {"runtime.duffzero", 64, .flag = 4, .sp = no_frame},
		[NANOTIME] = {"runtime.nanotime1", 64, .flag = 6, .sp = sp},
		[MSTART] = {"runtime.mstart", 64, .flag = 5, .sp = no_frame},
		[MSTART0] = {"runtime.mstart0", 64, .sp = sp},
		[RT0] = {"runtime.rt0_go", 64, .flag = 5, .sp = no_frame},
		[MCALL] = {"runtime.mcall", 64, .flag = 6, .sp = sp},
		[GOGO] = {"gogo", 64, .flag = 6, .sp = no_frame},
		[PARK] = {"runtime.park_m", 64, .sp = sp},
		[SCHEDULE] = {"runtime.schedule", 64, .sp = sp},
		[MORESTACK] = {"runtime.morestack", 64, .flag = 6, .sp = no_frame},
		[NEWSTACK] = {"runtime.newstack", 64, .sp = large_sp},
		[ASYNC_PREEMPT] = {"runtime.asyncPreempt", 64, .flag = 4, .sp = sp},
		[PREEMPT_PARK] = {"runtime.asyncPreempt2", 64, .sp = sp},
		[SIGPANIC] = {"runtime.sigpanic", 64, .id = 19, .sp = sp}, /* go1.22's number */
		[PANIC] = {"runtime.panicmem", 64, .sp = sp},
		[TOP] = {"runtime.cgocallbackend", 64, .flag = 1, .sp = sp},
		[NO_TABLE] = {"main.noTable", 64, .flag = 4},
		[DEBUG_CALL] = {"runtime.debugCallV2", 64, .flag = 4, .sp = sp},
		[SWITCHES] = {"main.switches", 64, .flag = 6, .sp = sp},
		[NOCTXT] = {"runtime.morestack_noctxt", 64, .sp = no_frame},
	};
	const struct uw_golayout *l = uw_golayout_for(minor, 5);
	char version[32];
	struct build_go go = {.layout = l,
			      .version = version,
			      .funcs = funcs,
			      .nfuncs = NFUNCS,
			      .files = (const char *const[]){"/src/a.go"},
			      .nfiles = 1};
	static const uint8_t call_code[5] = {0xe8, 1, 2, 3, 4};

	snprintf(version, sizeof version, "go1.%d.5", minor);
	*f = (struct fixture){.bias = bias, .built = build_go(&go)};
	for (int i = 0; i < NFUNCS; i++)
		poke(f->built.bytes, f->built.text, f->built.entries[i] + CALL_END - 5, call_code,
		     5);
	/* MOV $0, DX; JMP runtime.morestack */
	poke(f->built.bytes, f->built.text, f->built.entries[NOCTXT], (const uint8_t[5]){0xba}, 5);
	poke_rel(f, NOCTXT, 5, 0xe9, MORESTACK);
	poke(f->built.bytes, f->built.text, f->built.entries[WORK] + AT_SAVE,
	     (const uint8_t[]){0x48, 0x89, 0x6c, 0x24, 0x10}, 5);
	if (more)
		more(f);
	f->fd = built_go_fd(&f->built);
	uw_space_init(&f->space, &f->reg, getpid());
	f->space.arch = &uw_arch_amd64;
	map_file(f, f->fd, f->built.size, bias);
	/* The same without its tables is a file of C. */
	memset(f->built.bytes + f->built.header_at, 0xcc, 8);
	memset(f->built.bytes + f->built.moduledata_at, 0, l->module.size);
	f->native_fd = built_go_fd(&f->built);
	map_file(f, f->native_fd, f->built.size, NATIVE_BIAS);
	assert_int_equal(
		uw_space_add(&f->space,
			     &(struct uw_map_event){.start = ANON, .end = ANON + PAGE, .path = ""}),
		0);
	assert_non_null(uw_space_go(&f->space));
	assert_int_equal(uw_walker_new(&f->walker), 0);
}

static void open_fixture(struct fixture *f, int minor, uint64_t bias)
{
	open_fixture_with(f, minor, bias, NULL);
}

static void close_fixture(struct fixture *f)
{
	uw_walker_free(f->walker);
	uw_space_fini(&f->space);
	uw_binaries_fini(&f->reg);
	built_go_fini(&f->built);
	close(f->fd);
	close(f->native_fd);
}

/* Each case is run where the file was linked to lie, and elsewhere. */
static uint64_t bias_of(void **state)
{
	return *state ? 0x10000000 : 0;
}

/* --- leaves of go1.21 and later --- */

/* Also where the program is loaded elsewhere than it was linked for. */
#define TEST_TWICE(function)                                                                     \
	static void function(void **state);                                                      \
	UNIT_TEST(function, function, #function, NULL, NULL, NULL)                               \
	UNIT_TEST(function, function##_elsewhere, #function " elsewhere", NULL, NULL, (void *)1) \
	static void function(void **state)

TEST_TWICE(test_frame_is_set_up)
{
	struct fixture f;
	struct machine m;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	enter(&m, OUTER, WORK);
	want(&m, WORK, BODY);
	want_main(&m);
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 0);
	close_fixture(&f);
}

TEST_TWICE(test_prologue)
{
	struct fixture f;
	struct machine m;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	call(&m, OUTER, WORK);
	want(&m, WORK, 0);
	want_main(&m);
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 1);
	push_word(&m, m.bp);
	go_to(&m, WORK, AFTER_PUSH);
	m.want[0] = m.ip;
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 1);
	m.bp = m.sp; /* MOV SP,BP; before SUB */
	go_to(&m, WORK, AFTER_PUSH + 3);
	m.want[0] = m.ip;
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 0);
	close_fixture(&f);
}

TEST_TWICE(test_epilogue)
{
	struct fixture f;
	struct machine m;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	enter(&m, OUTER, WORK);
	m.sp += LOCALS;
	go_to(&m, WORK, AT_POP);
	want(&m, WORK, AT_POP);
	want_main(&m);
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 0);
	m.bp = *at(&m, m.sp);
	m.sp += 8;
	go_to(&m, WORK, AFTER_POP);
	m.want[0] = m.ip;
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 1);
	close_fixture(&f);
}

TEST_TWICE(test_no_frame)
{
	struct fixture f;
	struct machine m;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	enter(&m, OUTER, WORK);
	call(&m, WORK, LEAF);
	go_to(&m, LEAF, BODY);
	want(&m, LEAF, BODY);
	want_caller(&m, WORK);
	want_main(&m);
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 1);
	close_fixture(&f);
}

/* Assembly that computes in BP: the chain is rubbish, the caller's BP lies in the frame. */
TEST_TWICE(test_bp_is_overwritten)
{
	static const uint64_t rubbish[] = {0,          1,    0x123456789abcdef0,
					   UINT64_MAX, ANON, STACK + 8 * WORDS - 32};
	struct fixture f;
	struct machine m;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	enter(&m, OUTER, WORK);
	want(&m, WORK, BODY);
	want_main(&m);
	for (size_t i = 0; i < sizeof rubbish / sizeof *rubbish; i++) {
		m.bp = rubbish[i];
		assert_int_equal(check_now(&f, &m, UW_END_ROOT), 1);
	}
	close_fixture(&f);
}

/* No BP was saved where it should be: what lies there is no address of this stack. */
TEST_TWICE(test_saved_bp_is_none)
{
	uint64_t words[] = {STACK + 8, STACK + WORDS * 8 - 4, UINT64_MAX, (STACK + (1ull << 40))};
	struct fixture f;
	struct machine m;

	open_fixture(&f, 22, bias_of(state));
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		uint64_t callers_bp;

		boot_main(&m, &f);
		callers_bp = m.bp;
		enter(&m, OUTER, WORK);
		want(&m, WORK, BODY);
		want_main(&m);
		*at(&m, m.bp) = words[i];
		m.bp = callers_bp;
		assert_int_equal(check_now(&f, &m, UW_END_ROOT), 1);
	}
	close_fixture(&f);
}

/*
 * MOVQ BP,-16(SP); LEAQ -16(SP),BP; CALL duffzero; MOVQ (BP),BP: the chain begins with a frame that
 * is none.
 */
TEST_TWICE(test_duff)
{
	struct fixture f;
	struct machine m;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	enter(&m, OUTER, WORK);
	*at(&m, m.sp - 16) = m.bp;
	m.bp = m.sp - 16;
	go_to(&m, WORK, CALL_END - 5); /* at the CALL */
	want(&m, WORK, CALL_END - 5);
	want_main(&m);
	check_now(&f, &m, UW_END_ROOT);
	call(&m, WORK, DUFF);
	go_to(&m, DUFF, BODY);
	m.nwant = 0;
	want(&m, DUFF, BODY);
	want_caller(&m, WORK);
	want_main(&m);
	check_now(&f, &m, UW_END_ROOT);
	m.sp += 8; /* RET */
	go_to(&m, WORK, CALL_END);
	m.nwant = 0;
	want(&m, WORK, CALL_END);
	want_main(&m);
	check_now(&f, &m, UW_END_ROOT);
	m.bp = *at(&m, m.bp);
	go_to(&m, WORK, CALL_END + 4);
	m.want[0] = m.ip;
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 0);
	close_fixture(&f);
}

/* A function that may run on another stack: SP says nothing, the chain is right. */
TEST_TWICE(test_spwrite)
{
	static const enum fn fns[] = {NANOTIME, SWITCHES};
	struct fixture f;
	struct machine m;

	open_fixture(&f, 22, bias_of(state));
	for (size_t i = 0; i < 2; i++) {
		boot_main(&m, &f);
		enter(&m, OUTER, fns[i]);
		want(&m, fns[i], BODY);
		want_main(&m);
		m.sp = STACK + 64; /* as if on g0 */
		*at(&m, m.sp + 24) = entry(&f, WORK) + CALL_END;
		assert_int_equal(check_now(&f, &m, UW_END_ROOT), 0);
	}
	close_fixture(&f);
}

TEST_TWICE(test_no_table)
{
	struct fixture f;
	struct machine m;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	enter(&m, OUTER, NO_TABLE);
	want(&m, NO_TABLE, BODY);
	want_main(&m);
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 0);
	close_fixture(&f);
}

/* --- leaves of go1.20 and earlier --- */

TEST_TWICE(test_old_prologue)
{
	struct fixture f;
	struct machine m;

	open_fixture(&f, 19, bias_of(state));
	boot_main(&m, &f);
	call(&m, OUTER, WORK);
	want(&m, WORK, 0);
	want_main(&m);
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 1);
	close_fixture(&f);
}

/*
 * Between making room and filling it, the word where BP will be saved is an earlier call's: here
 * one that looks like a frame pointer of this stack.
 */
TEST_TWICE(test_old_save)
{
	struct fixture f;
	struct machine m;
	uint64_t stale;

	open_fixture(&f, 19, bias_of(state));
	boot(&m, &f, entry(&f, GOEXIT) + 1);
	push_word(&m, 0);
	m.bp = m.sp;
	m.sp -= 128; /* a large frame, in which the stale one lies */
	stale = m.sp + 64;
	*at(&m, stale) = 0;
	*at(&m, stale + 8) = entry(&f, PARK) + CALL_END;
	call(&m, MAIN, WORK);
	m.sp -= 24;
	*at(&m, m.sp + 16) = stale;
	go_to(&m, WORK, AT_SAVE);
	want(&m, WORK, AT_SAVE);
	want_caller(&m, MAIN);
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 1);
	/* Saved, but BP is the caller's still. */
	*at(&m, m.sp + 16) = m.bp;
	go_to(&m, WORK, AFTER_SAVE);
	m.want[0] = m.ip;
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 1);
	m.bp = m.sp + 16;
	go_to(&m, WORK, AFTER_SAVE + 5);
	m.want[0] = m.ip;
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 0);
	/* Restored, the frame still there; then gone. */
	m.bp = *at(&m, m.bp);
	go_to(&m, WORK, AT_ADD);
	m.want[0] = m.ip;
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 1);
	m.sp += 24;
	go_to(&m, WORK, AFTER_ADD);
	m.want[0] = m.ip;
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 1);
	close_fixture(&f);
}

/* --- roots and switches --- */

static void check_alone(struct fixture *f, enum fn fn, enum uw_end end)
{
	struct machine m;

	boot_main(&m, f);
	enter(&m, OUTER, fn);
	want(&m, fn, BODY);
	check_now(f, &m, end);
}

TEST_TWICE(test_leaf_is_a_root)
{
	struct fixture f;

	open_fixture(&f, 22, bias_of(state));
	check_alone(&f, GOEXIT, UW_END_ROOT);
	check_alone(&f, MSTART, UW_END_ROOT);
	check_alone(&f, RT0, UW_END_ROOT);
	check_alone(&f, MCALL, UW_END_SWITCH);
	check_alone(&f, GOGO, UW_END_SWITCH);
	close_fixture(&f);
}

/* The chain runs on into what was there before: cut at the root, which shows but for goexit. */
static void check_root(struct fixture *f, enum fn root, enum uw_end end)
{
	struct machine m;

	boot_main(&m, f);
	enter(&m, OUTER, root);
	enter(&m, root, SCHEDULE);
	want(&m, SCHEDULE, BODY);
	want_caller(&m, root);
	check_now(f, &m, end);
	/* Also when the root is the caller that was missing. */
	boot_main(&m, f);
	enter(&m, OUTER, root);
	call(&m, root, LEAF);
	want(&m, LEAF, 0);
	want_caller(&m, root);
	assert_int_equal(check_now(f, &m, end), 1);
}

TEST_TWICE(test_roots)
{
	struct fixture f;

	open_fixture(&f, 22, bias_of(state));
	check_root(&f, MSTART, UW_END_ROOT);
	check_root(&f, RT0, UW_END_ROOT);
	check_root(&f, TOP, UW_END_ROOT);
	check_root(&f, MCALL, UW_END_SWITCH);
	check_root(&f, GOGO, UW_END_SWITCH);
	close_fixture(&f);
}

TEST_TWICE(test_goexit_does_not_show)
{
	struct fixture f;
	struct machine m;

	open_fixture(&f, 22, bias_of(state));
	boot(&m, &f, entry(&f, GOEXIT) + 1);
	go_to(&m, LEAF, 0);
	want(&m, LEAF, 0);
	assert_int_equal(check_now(&f, &m, UW_END_ROOT), 1);
	close_fixture(&f);
}

/* --- a goroutine that grows: main.leaf, called by main.outer --- */

enum { GROWN = 0x200000, G0 = 0x10000, M = 0x10800, G = 0x11000 };

struct range {
	uint64_t addr;
	const void *bytes;
	size_t len;
};

/* What live memory has, and what the pieces of a sample have. */
struct memory {
	struct range live[6];
	size_t n;
	struct uw_piece pieces[6];
	uint64_t g0[64], m[64], g[64];
	const struct uw_golayout *l;
};

static int read_ranges(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct memory *x = ctx;

	for (size_t i = 0; i < x->n; i++) {
		const struct range *r = &x->live[i];

		if (addr < r->addr || addr - r->addr > r->len || r->len - (addr - r->addr) < len)
			continue;
		memcpy(buf, (const char *)r->bytes + (addr - r->addr), len);
		return 0;
	}
	return -1;
}

static void hold(struct memory *x, uint64_t addr, const void *bytes, size_t len)
{
	x->live[x->n] = (struct range){addr, bytes, len};
	x->pieces[x->n++] = (struct uw_piece){addr, bytes, (uint32_t)len};
}

struct growing {
	struct fixture f;
	struct machine m; /* the goroutine's stack; later frames of the sample */
	struct machine g; /* the sample, on the thread's own stack */
	struct memory x;
	struct taken t;
	uint64_t sp; /* of main.leaf when it called morestack: where its return address lies */
};

/* The calls are what they are in the table: each names its callee. */
static void name_calls(struct fixture *f)
{
	poke_rel(f, MAIN, CALL_END - 5, 0xe8, OUTER);
	poke_rel(f, OUTER, CALL_END - 5, 0xe8, LEAF);
	poke_rel(f, LEAF, CALL_END - 5, 0xe8, NOCTXT);
}

/*
 * The goroutine's stack lies GROWN further than the machine's: the one stack is the sample's, the
 * other in memory, and there are no pointers between them that matter.
 */
static void open_growing(struct growing *w, int minor, uint64_t bias)
{
	struct fixture *f = &w->f;
	uint64_t hi = STACK + WORDS * 8 + GROWN;

	open_fixture_with(f, minor, bias, name_calls);
	boot_main(&w->m, f);
	call(&w->m, OUTER, LEAF);
	w->sp = w->m.sp + GROWN;
	boot(&w->g, f, 0x1111);
	w->g.bp = 0;
	call(&w->g, MORESTACK, NEWSTACK);
	push_word(&w->g, w->g.bp);
	w->g.bp = w->g.sp;
	w->g.sp -= KEPT * 8;
	go_to(&w->g, NEWSTACK, BODY);
	for (int i = 0; i < KEPT; i++)
		*at(&w->g, w->g.sp + (uint64_t)i * 8) = 0;
	w->x = (struct memory){.l = uw_golayout_for(minor, 5)};
	w->x.g0[0] = STACK;
	w->x.g0[1] = STACK + WORDS * 8;
	w->x.g0[w->x.l->g.m / 8] = M;
	w->x.m[w->x.l->m.g0 / 8] = G0;
	w->x.m[w->x.l->m.curg / 8] = G;
	w->x.g[0] = hi - WORDS * 8;
	w->x.g[1] = hi;
	w->x.g[w->x.l->g.m / 8] = M;
	hold(&w->x, G0, w->x.g0, sizeof w->x.g0);
	hold(&w->x, M, w->x.m, sizeof w->x.m);
	hold(&w->x, G, w->x.g, sizeof w->x.g);
	f->space.live = (struct uw_mem){.read = read_ranges, .ctx = &w->x};
}

static void want_growing(struct growing *w)
{
	want(&w->g, NEWSTACK, BODY);
	want_caller(&w->g, LEAF);
	want_main(&w->g);
}

/* newstack's copy of m.morebuf, and the goroutine that grows. */
static void keep_morebuf(struct growing *w)
{
	*at(&w->g, w->g.sp + 16) = w->sp + 8;
	*at(&w->g, w->g.sp + 24) = entry(&w->f, OUTER) + CALL_END;
	*at(&w->g, w->g.sp + 32) = G;
	*at(&w->g, w->g.sp + 64) = G;
}

static void walk_growing(struct growing *w, bool pieces, enum uw_end end)
{
	take(&w->g, &w->t);
	w->t.regs.r14 = G0;
	if (pieces) {
		w->t.s.pieces = w->x.pieces;
		w->t.s.npieces = w->x.n;
	}
	walk(&w->f, &w->t);
	check(&w->g, &w->t, end);
}

/* Nothing shows where the goroutine was: never complete, and no frame of morestack. */
TEST_TWICE(test_morestack)
{
	struct growing w;

	open_growing(&w, 22, bias_of(state));
	want(&w.g, NEWSTACK, BODY);
	walk_growing(&w, false, UW_END_NO_MEM);
	assert_int_equal(uw_walker_stats(w.f.walker)->given_up, 1);
	assert_int_equal(uw_walker_stats(w.f.walker)->copy_short, 0); /* a larger one is no help */
	close_fixture(&w.f);
}

/* The words were copied at the very time of the sample. */
TEST_TWICE(test_morestack_by_pieces)
{
	struct growing w;

	open_growing(&w, 22, bias_of(state));
	w.x.g[w.x.l->g.sched / 8 + w.x.l->gobuf.sp / 8] = w.sp;
	w.x.g[w.x.l->g.sched / 8 + w.x.l->gobuf.pc / 8] = entry(&w.f, LEAF) + CALL_END;
	hold(&w.x, w.sp, at(&w.m, w.m.sp), STACK + WORDS * 8 - w.m.sp);
	w.f.space.live.ctx = &(struct memory){.n = 0};
	want_growing(&w);
	walk_growing(&w, true, UW_END_ROOT);
	assert_int_equal(uw_walker_stats(w.f.walker)->exact, 1);
	assert_int_equal(uw_walker_stats(w.f.walker)->live_attempts, 0);
	close_fixture(&w.f);
}

/* By the stack copy, and the goroutine's callers where its stack was. */
TEST_TWICE(test_morestack_on_the_old_stack)
{
	struct growing w;

	open_growing(&w, 22, bias_of(state));
	hold(&w.x, w.sp, at(&w.m, w.m.sp), STACK + WORDS * 8 - w.m.sp);
	keep_morebuf(&w);
	want_growing(&w);
	walk_growing(&w, false, UW_END_ROOT);
	assert_int_equal(uw_walker_stats(w.f.walker)->live, 1);
	/* The callers have changed meanwhile. */
	*at(&w.m, w.m.sp + 8 + LOCALS + 8) = entry(&w.f, OUTER) + CALL_END;
	w.g.nwant = 2;
	walk_growing(&w, false, UW_END_NO_MEM);
	assert_int_equal(uw_walker_stats(w.f.walker)->given_up, 1);
	/* Words of an earlier call: no function that grows, and a stack that is the thread's own.
	 */
	w.g.nwant = 1;
	*at(&w.g, w.g.sp + 24) = entry(&w.f, MAIN) + CALL_END;
	walk_growing(&w, false, UW_END_NO_MEM);
	keep_morebuf(&w);
	*at(&w.g, w.g.sp + 16) = w.g.bp;
	walk_growing(&w, false, UW_END_NO_MEM);
	close_fixture(&w.f);
}

/* The old stack is gone, and the new one lies elsewhere: copystack has where, and how much. */
TEST_TWICE(test_morestack_on_the_new_stack)
{
	uint64_t old_hi = STACK + WORDS * 8 + GROWN, new_hi = old_hi + GROWN;
	struct growing w;

	for (int given = 0; given < 2; given++) {
		open_growing(&w, 22, bias_of(state));
		hold(&w.x, w.sp + GROWN, at(&w.m, w.m.sp), STACK + WORDS * 8 - w.m.sp);
		keep_morebuf(&w);
		*at(&w.g, w.g.sp + 72) = old_hi;
		*at(&w.g, w.g.sp + 80) = old_hi - w.sp;
		if (given)
			*at(&w.g, w.g.sp + 88) = new_hi;
		w.x.g[1] = given ? 0 : new_hi; /* the goroutine's, while it has one */
		want_growing(&w);
		walk_growing(&w, false, UW_END_ROOT);
		close_fixture(&w.f);
	}
}

/* go1.20 and older: the chain goes on at the goroutine, and lacks two. */
TEST_TWICE(test_morestack_of_old_go)
{
	struct growing w;

	open_growing(&w, 19, bias_of(state));
	keep_morebuf(&w);
	want_growing(&w);
	for (int kept = 1; kept >= 0; kept--) {
		take(&w.g, &w.t);
		w.t.regs.r14 = G0;
		w.t.s.nchain = 4;
		w.t.chain[2] = entry(&w.f, MAIN) + CALL_END;
		w.t.chain[3] = entry(&w.f, GOEXIT) + 1;
		walk(&w.f, &w.t);
		check(&w.g, &w.t, UW_END_ROOT);
		*at(&w.g, w.g.sp + 64) = 0; /* of another call */
		w.g.nwant = 0;
		want(&w.g, NEWSTACK, BODY);
		w.g.want[w.g.nwant++] = 0; /* what grew is not known */
		want_caller(&w.g, MAIN);
	}
	close_fixture(&w.f);
}

/* Still on the goroutine's stack. */
TEST_TWICE(test_morestack_is_the_leaf)
{
	struct growing w;

	open_growing(&w, 22, bias_of(state));
	for (enum fn fn = MORESTACK; fn; fn = fn == MORESTACK ? NOCTXT : 0) {
		struct machine m = w.m;

		call(&m, LEAF, fn);
		want(&m, fn, 0);
		want_caller(&m, LEAF);
		want_main(&m);
		check_now(&w.f, &m, UW_END_ROOT);
	}
	close_fixture(&w.f);
}

/* --- interrupted, not calling --- */

static void check_interrupted(struct fixture *f, enum fn by, enum fn then, uint64_t off)
{
	struct machine m;

	boot_main(&m, f);
	if (off == 0 || off == AFTER_RET)
		call(&m, OUTER, WORK); /* there is no frame */
	else
		enter(&m, OUTER, WORK);
	push_word(&m, entry(f, WORK) + off); /* as the signal handler injects it */
	prologue(&m);
	go_to(&m, by, BODY);
	want(&m, by, BODY);
	want(&m, WORK, off);
	want_main(&m);
	check_now(f, &m, UW_END_ROOT);
	enter(&m, by, then);
	m.nwant = 0;
	want(&m, then, BODY);
	want_caller(&m, by);
	want(&m, WORK, off);
	want_main(&m);
	check_now(f, &m, UW_END_ROOT);
}

TEST_TWICE(test_interrupted)
{
	static const uint64_t offs[] = {BODY, 0, CALL_END, AFTER_RET};
	struct fixture f;

	open_fixture(&f, 22, bias_of(state));
	for (size_t i = 0; i < sizeof offs / sizeof *offs; i++) {
		check_interrupted(&f, ASYNC_PREEMPT, PREEMPT_PARK, offs[i]);
		check_interrupted(&f, SIGPANIC, PANIC, offs[i]);
		check_interrupted(&f, DEBUG_CALL, PANIC, offs[i]);
	}
	close_fixture(&f);
}

/* Only the frame right below was interrupted: its caller has a return address again. */
TEST_TWICE(test_interrupted_once)
{
	struct fixture f;
	struct machine m;
	uint64_t before;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	push_word(&m, entry(&f, OUTER) + BODY); /* after no call */
	prologue(&m);
	go_to(&m, WORK, BODY);
	push_word(&m, entry(&f, WORK) + BODY);
	prologue(&m);
	go_to(&m, ASYNC_PREEMPT, BODY);
	want(&m, ASYNC_PREEMPT, BODY);
	want(&m, WORK, BODY);
	before = off_stack(&f);
	check_now(&f, &m, UW_END_UNKNOWN);
	assert_int_equal(off_stack(&f) - before, 1);
	close_fixture(&f);
}

/* --- chains that leave the stack or end --- */

static void check_leaves_stack(struct fixture *f, uint64_t ret)
{
	struct machine m;
	uint64_t before = off_stack(f);

	boot_main(&m, f);
	push_word(&m, ret);
	prologue(&m);
	go_to(&m, WORK, BODY);
	want(&m, WORK, BODY);
	check_now(f, &m, UW_END_UNKNOWN);
	assert_int_equal(off_stack(f) - before, 1);
	/* The same by way of the stack copy. */
	call(&m, WORK, LEAF);
	m.nwant = 0;
	want(&m, LEAF, 0);
	want_caller(&m, WORK);
	check_now(f, &m, UW_END_UNKNOWN);
	assert_int_equal(off_stack(f) - before, 2);
}

/* With its domain on, a walk that has no root says why, and one that has says nothing. */
TEST(test_log)
{
	int fd = memfd_create("stderr", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	struct fixture f;
	struct machine m;
	char got[2048] = "";

	open_fixture(&f, 22, 0);
	boot_main(&m, &f);
	dup2(fd, STDERR_FILENO);
	uw_log_set(UW_LOG_WALK);
	want(&m, OUTER, BODY);
	want_caller(&m, MAIN);
	check_now(&f, &m, UW_END_ROOT);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	check_leaves_stack(&f, 0x10);
	uw_log_set(0);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_true(pread(fd, got, sizeof got - 1, 0) > 0);
	assert_non_null(strstr(got, "prowl walk: pid "));
	assert_non_null(strstr(got, ": unknown after 1 frames: the caller is in no file 0x"));
	close(fd);
	close_fixture(&f);
}

TEST_TWICE(test_leaves_stack)
{
	struct fixture f;

	open_fixture(&f, 22, bias_of(state));
	check_leaves_stack(&f, 0);
	check_leaves_stack(&f, 1);
	check_leaves_stack(&f, UINT64_MAX);
	check_leaves_stack(&f, 0x10);
	check_leaves_stack(&f, STACK + 64);
	check_leaves_stack(&f, ANON + 64);
	check_leaves_stack(&f, entry(&f, OUTER) + BODY);         /* after no call */
	check_leaves_stack(&f, entry(&f, OUTER) + CALL_END - 1); /* inside of one */
	check_leaves_stack(&f, entry(&f, GOEXIT));               /* the function before it */
	check_leaves_stack(&f, f.built.entries[OUTER] + NATIVE_BIAS + BODY);
	close_fixture(&f);
}

/* Calls in all their forms stand before return addresses. */
TEST_TWICE(test_calls)
{
	static const struct {
		uint8_t code[8];
		size_t len;
		bool is;
	} calls[] = {
		{{0xe8, 0, 0, 0, 0}, 5, true},
		{{0xff, 0xd0}, 2, true},                                /* call *%rax */
		{{0x41, 0xff, 0xd4}, 3, true},                          /* call *%r12 */
		{{0xff, 0x12}, 2, true},                                /* call *(%rdx) */
		{{0xff, 0x50, 0x18}, 3, true},                          /* call *24(%rax) */
		{{0xff, 0x54, 0x24, 0x08}, 4, true},                    /* call *8(%rsp) */
		{{0xff, 0x15, 1, 2, 3, 4}, 6, true},                    /* call *x(%rip) */
		{{0xff, 0x94, 0x24, 1, 2, 0, 0}, 7, true},              /* call *x(%rsp) */
		{{0xe9, 0, 0, 0, 0}, 5, false},                         /* jmp */
		{{0xff, 0xe0}, 2, false},                               /* jmp *%rax */
		{{0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90}, 7, false}, /* nop */
	};

	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		struct fixture f;
		struct machine m;
		uint8_t pad[16];
		off_t off;

		open_fixture(&f, 22, bias_of(state));
		memset(pad, 0x90, sizeof pad);
		off = (off_t)(PAGE + f.built.entries[OUTER] + CALL_END - f.built.text);
		assert_int_equal(pwrite(f.fd, pad, 10, off - 10), 10);
		assert_int_equal(
			pwrite(f.fd, calls[i].code, calls[i].len, off - (off_t)calls[i].len),
			calls[i].len);
		boot_main(&m, &f);
		enter(&m, OUTER, WORK);
		want(&m, WORK, BODY);
		if (calls[i].is)
			want_main(&m);
		check_now(&f, &m, calls[i].is ? UW_END_ROOT : UW_END_UNKNOWN);
		close_fixture(&f);
	}
}

/* Frames of C in the chain are taken as they come. */
TEST_TWICE(test_through_c)
{
	struct fixture f;
	struct machine m;
	uint64_t c;

	open_fixture(&f, 22, bias_of(state));
	c = f.built.entries[OUTER] + NATIVE_BIAS + CALL_END;
	boot_main(&m, &f);
	enter(&m, OUTER, WORK);
	push_word(&m, entry(&f, WORK) + CALL_END);
	prologue(&m);
	push_word(&m, c);
	prologue(&m);
	go_to(&m, PANIC, BODY);
	want(&m, PANIC, BODY);
	m.want[m.nwant++] = c - 1;
	want_caller(&m, WORK);
	want_main(&m);
	check_now(&f, &m, UW_END_ROOT);
	close_fixture(&f);
}

TEST_TWICE(test_chain_ends)
{
	struct fixture f;
	struct machine m;
	struct taken t;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	for (int i = 0; i < 5; i++)
		enter(&m, i ? WORK : OUTER, WORK);
	want(&m, WORK, BODY);
	want_caller(&m, WORK);
	want_caller(&m, WORK);
	take(&m, &t);
	t.s.nchain = 3;
	walk(&f, &t);
	check(&m, &t, UW_END_UNKNOWN);
	/* The kernel stopped at its limit: the copy goes on where it has the frames, as they were.
	 */
	t.s.chain_full = true;
	for (size_t n = 0; n < 4; n++)
		want_caller(&m, n < 2 ? WORK : n == 2 ? OUTER : MAIN);
	walk(&f, &t);
	check(&m, &t, UW_END_ROOT);
	m.nwant = 3;
	t.s.stack_len = 40;
	walk(&f, &t);
	check(&m, &t, UW_END_NO_MEM);
	t.s.stack_len = STACK + WORDS * 8 - m.sp;
	t.chain[2]++; /* another stack than the copy */
	walk(&f, &t);
	assert_int_equal(t.end, UW_END_UNKNOWN);
	/* Full, but the root is in it. */
	take(&m, &t);
	t.s.chain_full = true;
	walk(&f, &t);
	assert_int_equal(t.end, UW_END_ROOT);
	assert_int_equal(t.n, 7);
	close_fixture(&f);
}

/* Never more than the caller takes, wherever the limit falls. */
TEST_TWICE(test_max)
{
	struct fixture f;
	struct machine m;
	struct taken t;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	for (int i = 0; i < 12; i++)
		enter(&m, i ? WORK : OUTER, WORK);
	for (int leaf = 0; leaf < 3; leaf++) {
		if (leaf == 1)
			call(&m, WORK, LEAF);
		if (leaf == 2) {
			prologue(&m);
			go_to(&m, WORK, BODY);
			m.bp = 1; /* by the stack copy */
		}
		take(&m, &t);
		for (size_t max = 8; max < 20; max++) {
			size_t all = leaf ? 15 : 14;

			memset(t.pcs, 0, sizeof t.pcs);
			t.n = uw_walk(f.walker, &f.space, &t.s, t.pcs, max, &t.end);
			assert_int_equal(t.n, max < all ? max : all);
			assert_int_equal(t.end, max < all ? UW_END_TRUNCATED : UW_END_ROOT);
			assert_int_equal(t.pcs[t.n], 0);
			assert_int_equal(t.pcs[0], m.ip);
		}
	}
	close_fixture(&f);
}

TEST_TWICE(test_short_copy)
{
	struct fixture f;
	struct machine m;
	struct taken t;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	enter(&m, OUTER, WORK);
	call(&m, WORK, LEAF);
	want(&m, LEAF, 0);
	take(&m, &t);
	for (size_t len = 0; len < 8; len++) {
		t.s.stack_len = len;
		t.s.stack = len ? at(&m, m.sp) : NULL;
		walk(&f, &t);
		check(&m, &t, UW_END_NO_MEM);
		assert_int_equal(uw_walker_stats(f.walker)->copy_short, len + 1);
	}
	want_caller(&m, WORK);
	want_main(&m);
	t.s.stack = at(&m, m.sp);
	t.s.stack_len = 8; /* all that the leaf needs */
	walk(&f, &t);
	check(&m, &t, UW_END_ROOT);
	assert_int_equal(uw_walker_stats(f.walker)->copy_short, 8);
	close_fixture(&f);
}

/* BP is lost, and the copy ends within the frames. */
TEST_TWICE(test_short_copy_without_bp)
{
	struct fixture f;
	struct machine m;
	struct taken t;
	uint64_t outer_bp, main_bp;
	size_t all;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	outer_bp = m.bp;
	main_bp = *at(&m, outer_bp);
	enter(&m, OUTER, WORK);
	m.bp = 3;
	take(&m, &t);
	all = t.s.stack_len;
	want(&m, WORK, BODY);
	for (size_t len = 0; len <= all; len += 4) {
		uint64_t end = m.sp + len;

		m.nwant = 1;
		if (end >= m.sp + LOCALS + 16)
			want_caller(&m, OUTER);
		if (end >= outer_bp + 16)
			want_caller(&m, MAIN);
		t.s.stack_len = len;
		walk(&f, &t);
		check(&m, &t, end >= main_bp + 16 ? UW_END_ROOT : UW_END_NO_MEM);
		if (end >= main_bp + 16)
			break;
	}
	assert_int_equal(t.end, UW_END_ROOT);
	close_fixture(&f);
}

/* A circle of frame pointers comes to an end. */
TEST_TWICE(test_circle)
{
	struct fixture f;
	struct machine m;
	uint64_t bp;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	bp = m.bp;
	*at(&m, bp) = bp; /* main.outer's frame is its own caller's */
	enter(&m, OUTER, WORK);
	m.bp = 3;
	want(&m, WORK, BODY);
	want_main(&m);
	check_now(&f, &m, UW_END_UNKNOWN);
	close_fixture(&f);
}

TEST_TWICE(test_no_regs)
{
	struct fixture f;
	struct taken t = {.n = 9};

	open_fixture(&f, 22, bias_of(state));
	t.n = uw_walk(f.walker, &f.space, &t.s, t.pcs, 64, &t.end);
	assert_int_equal(t.n, 0);
	assert_int_equal(t.end, UW_END_NO_REGS);
	close_fixture(&f);
}

/* Compiled at run time: believed as far as frame pointers lead to a root. */
TEST_TWICE(test_leaf_without_a_file)
{
	struct fixture f;
	struct machine m;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	enter(&m, OUTER, WORK);
	m.ip = ANON + 5;
	m.want[m.nwant++] = m.ip;
	want_main(&m);
	check_now(&f, &m, UW_END_ROOT);
	m.bp = STACK;
	m.nwant = 1;
	check_now(&f, &m, UW_END_UNKNOWN);
	m.ip = 0x123;
	m.want[0] = 0x123;
	check_now(&f, &m, UW_END_UNKNOWN);
	close_fixture(&f);
}

/* An address that was met as a caller, where less is asked of it, and then as a leaf. */
TEST_TWICE(test_caller_then_leaf)
{
	struct fixture f;
	struct machine m;

	open_fixture(&f, 22, bias_of(state));
	boot_main(&m, &f);
	push_word(&m, entry(&f, WORK) + 1);
	go_to(&m, LEAF, 0);
	want(&m, LEAF, 0);
	check_now(&f, &m, UW_END_UNKNOWN); /* after no call */
	boot_main(&m, &f);
	call(&m, OUTER, WORK);
	want(&m, WORK, 0);
	want_main(&m);
	check_now(&f, &m, UW_END_ROOT);
	close_fixture(&f);
}

/* What is remembered of an address belongs to its space, and to its mappings of the time. */
TEST_TWICE(test_cache)
{
	struct fixture f, other;
	struct machine m, on_other;
	struct taken t;

	open_fixture(&f, 22, bias_of(state));
	open_fixture(&other, 19, bias_of(state));
	boot_main(&m, &f);
	enter(&m, OUTER, WORK);
	want(&m, WORK, BODY);
	want_main(&m);
	check_now(&f, &m, UW_END_ROOT);
	/* The other program has the same addresses and walks by the same walker. */
	other.space.reg = &f.reg;
	other.space.version = ++f.reg.versions;
	boot_main(&on_other, &other);
	call(&on_other, OUTER, LEAF);
	go_to(&on_other, WORK, 2); /* delta 8 there, 0 here */
	want(&on_other, WORK, 2);
	want_main(&on_other);
	take(&on_other, &t);
	t.n = uw_walk(f.walker, &other.space, &t.s, t.pcs, 64, &t.end);
	check(&on_other, &t, UW_END_ROOT);
	check_now(&f, &m, UW_END_ROOT);
	/* Anonymous memory over the text. */
	assert_int_equal(
		uw_space_add(&f.space, &(struct uw_map_event){.start = BASE + f.bias,
							      .end = BASE + f.bias + 64 * PAGE,
							      .path = ""}),
		0);
	m.nwant = 1;
	check_now(&f, &m, UW_END_UNKNOWN);
	close_fixture(&f);
	close_fixture(&other);
}

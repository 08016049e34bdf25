/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime's variables by code that is written here, and by values that lie in memory made here.
 * That real programs look like this is what the tests against symbols prove.
 */
#include <stddef.h>
#include <stdint.h>

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build_go.h"
#include "goglobals_parts.h"
#include "unit_test.h"

enum {
	SEGMENT = 0x400, /* bytes of each kind of variables */
	ROOM = 0x200,    /* of a function's code */

	/* Where the test puts the variables, from the start of their segment. */
	NOPTRDATA_RATE = 0x40,
	BSS_ALLGS = 0x80,
	BSS_ALLGPTR = 0x20,
	BSS_HEADS = 0x100,
	BSS_ALLM = 0x140,
	BSS_SCHED = 0x200,
	BSS_ALLP = 0x180,
	BSS_MASK = 0x1a0,
	NOPTRBSS_ALLGLEN = 0x10,
	NOPTRBSS_LOCK = 0x18,
	NOPTRBSS_CYCLE = 0x24,
	NOPTRBSS_BLOCK = 0x28,
	NOPTRBSS_MUTEX = 0x30,
	NOPTRBSS_PROCS = 0x3c,
};

enum func {
	ALLGADD,
	STKBUCKET,
	FLUSH,
	ALLOCMCACHE,
	SEMACQUIRE,
	BLOCKEVENT,
	BLOCKSAMPLED,
	MPROF_FREE,
	MCOMMONINIT,
	SCHEDINIT,
	PROCRESIZE,
	SCHEDTRACE,
	VARS, /* the bytes of this one are where the variables are */
	NFUNCS,
};

static const struct build_func funcs[NFUNCS] = {
	[ALLGADD] = {"runtime.allgadd", ROOM},
	[STKBUCKET] = {"runtime.stkbucket", ROOM},
	[FLUSH] = {"runtime.mProf_FlushLocked", ROOM},
	[ALLOCMCACHE] = {"runtime.allocmcache", ROOM},
	[SEMACQUIRE] = {"runtime.semacquire1", ROOM},
	[BLOCKEVENT] = {"runtime.blockevent", ROOM},
	[BLOCKSAMPLED] = {"runtime.blocksampled", ROOM},
	[MPROF_FREE] = {"runtime.mProf_Free", ROOM},
	[MCOMMONINIT] = {"runtime.mcommoninit", ROOM},
	[SCHEDINIT] = {"runtime.schedinit", ROOM},
	[PROCRESIZE] = {"runtime.procresize", ROOM},
	[SCHEDTRACE] = {"runtime.schedtrace", ROOM},
	[VARS] = {"main.vars", 4 * SEGMENT},
};

struct program {
	struct built_go built;
	const struct uw_golayout *l;
	uint16_t machine;
	size_t len[NFUNCS]; /* of the code written so far */
	uint64_t base;      /* address of the file's first byte */
	struct uw_elf *elf;
	struct uw_go *go;
	struct uw_goglobals found;
};

static uint64_t var(const struct program *p, enum uw_go_segment segment, uint64_t off)
{
	return p->built.entries[VARS] + (uint64_t)segment * SEGMENT + off;
}

static uint64_t bss(const struct program *p, uint64_t off)
{
	return var(p, UW_GO_BSS, off);
}

static uint64_t noptrbss(const struct program *p, uint64_t off)
{
	return var(p, UW_GO_NOPTRBSS, off);
}

static void set64(struct program *p, uint64_t addr, uint64_t v)
{
	memcpy(p->built.bytes + (addr - p->base), &v, sizeof v);
}

static void init(struct program *p, const struct uw_golayout *l, uint16_t machine)
{
	static const char *const files[] = {"/src/main.go"};
	char version[32];
	const struct build_go what = {
		.layout = l,
		.machine = machine,
		.version = version,
		.sections = true,
		.funcs = funcs,
		.nfuncs = NFUNCS,
		.files = files,
		.nfiles = 1,
	};
	const uint16_t at[UW_GO_SEGMENTS] = {l->module.noptrdata, l->module.data, l->module.bss,
					     l->module.noptrbss};

	snprintf(version, sizeof version, "go1.%d.%d", l->minor, l->patch);
	*p = (struct program){.built = build_go(&what), .l = l, .machine = machine};
	p->base = p->built.moduledata - p->built.moduledata_at;
	for (size_t i = 0; i < UW_GO_SEGMENTS; i++) {
		set64(p, p->built.moduledata + at[i], var(p, i, 0));
		set64(p, p->built.moduledata + at[i] + 8, var(p, i, SEGMENT));
	}
	memset(p->built.bytes + (p->built.entries[0] - p->base), 0x90, (size_t)VARS * ROOM);
}

static void open_program(struct program *p)
{
	p->elf = built_go_elf(&p->built);
	assert_int_equal(uw_go_open(p->elf, NULL, 0, &p->go, NULL), 0);
}

static void find(struct program *p)
{
	open_program(p);
	uw_goglobals_by_code(p->elf, p->go, &p->found);
}

static void fini(struct program *p)
{
	uw_go_free(p->go);
	uw_elf_free(p->elf);
	built_go_fini(&p->built);
}

static void assert_at(const struct program *p, enum uw_goglobal which, uint64_t addr)
{
	assert_int_equal(uw_goglobal(&p->found, which), addr);
	assert_int_equal(p->found.var[which].source, UW_GLOBAL_BY_CODE);
}

static void assert_missing(const struct program *p, enum uw_goglobal which)
{
	assert_int_equal(uw_goglobal(&p->found, which), 0);
	assert_int_equal(p->found.var[which].source, UW_GLOBAL_MISSING);
}

/* --- amd64: an instruction with a displacement to target, and a number behind it --- */

static void put(struct program *p, enum func f, const void *bytes, size_t n)
{
	assert_true(p->len[f] + n <= ROOM);
	memcpy(p->built.bytes + (p->built.entries[f] + p->len[f] - p->base), bytes, n);
	p->len[f] += n;
}

static void ins(struct program *p, enum func f, const char *opcode, size_t n, uint64_t target,
		const char *imm, size_t nimm)
{
	uint64_t next = p->built.entries[f] + p->len[f] + n + 4 + nimm;
	int32_t disp = (int32_t)(target - next);

	put(p, f, opcode, n);
	put(p, f, &disp, sizeof disp);
	put(p, f, imm, nimm);
}

static void load(struct program *p, enum func f, uint64_t target)
{
	ins(p, f, "\x48\x8b\x05", 3, target, "", 0);
}

static void load32(struct program *p, enum func f, uint64_t target)
{
	ins(p, f, "\x8b\x15", 2, target, "", 0);
}

static void store(struct program *p, enum func f, uint64_t target)
{
	ins(p, f, "\x48\x89\x05", 3, target, "", 0);
}

static void lea(struct program *p, enum func f, uint64_t target)
{
	ins(p, f, "\x48\x8d\x15", 3, target, "", 0);
}

static void write_goroutines(struct program *p)
{
	lea(p, ALLGADD, noptrbss(p, NOPTRBSS_LOCK));
	load(p, ALLGADD, bss(p, BSS_ALLGS + 8));
	load(p, ALLGADD, bss(p, BSS_ALLGS));
	load(p, ALLGADD, bss(p, BSS_ALLGS + 16));
	lea(p, ALLGADD, bss(p, BSS_ALLGPTR));
	lea(p, ALLGADD, noptrbss(p, NOPTRBSS_ALLGLEN));
	put(p, ALLGADD, "\x48\x87\x02", 3);
}

static void write_rates(struct program *p)
{
	load(p, ALLOCMCACHE, var(p, UW_GO_NOPTRDATA, NOPTRDATA_RATE));
	ins(p, SEMACQUIRE, "\x48\x83\x3d", 3, noptrbss(p, NOPTRBSS_BLOCK), "\x00", 1);
	ins(p, SEMACQUIRE, "\x48\x83\x3d", 3, noptrbss(p, NOPTRBSS_MUTEX), "\x00", 1);
	load(p, BLOCKEVENT, noptrbss(p, NOPTRBSS_BLOCK));
	load32(p, MPROF_FREE, noptrbss(p, NOPTRBSS_CYCLE));
}

static void write_scheduler(struct program *p)
{
	load(p, MCOMMONINIT, bss(p, BSS_ALLM));
	ins(p, SCHEDINIT, "\xc7\x05", 2, bss(p, BSS_SCHED) + p->l->sched.maxmcount,
	    "\x10\x27\x00\x00", 4);
	load32(p, PROCRESIZE, noptrbss(p, NOPTRBSS_PROCS));
	for (uint64_t i = 0; i < 3; i++) {
		load(p, PROCRESIZE, bss(p, BSS_ALLP + i * 8));
		load(p, PROCRESIZE, bss(p, BSS_MASK + i * 8));
	}
	load(p, SCHEDTRACE, bss(p, BSS_ALLP));
	load(p, SCHEDTRACE, bss(p, BSS_ALLP + 8));
	load(p, SCHEDTRACE, bss(p, BSS_ALLM));
	load32(p, SCHEDTRACE, noptrbss(p, NOPTRBSS_PROCS));
	load32(p, SCHEDTRACE, bss(p, BSS_SCHED + 40));
}

static void write_heads(struct program *p)
{
	lea(p, STKBUCKET, bss(p, BSS_HEADS));
	lea(p, STKBUCKET, bss(p, BSS_HEADS + 16));
	lea(p, STKBUCKET, bss(p, BSS_HEADS + 8));
}

static void write_all(struct program *p)
{
	write_goroutines(p);
	write_rates(p);
	write_scheduler(p);
	write_heads(p);
	load(p, FLUSH, bss(p, BSS_HEADS));
}

TEST(found_by_code)
{
	struct program p;

	init(&p, uw_golayout_for(24, 4), EM_X86_64);
	write_all(&p);
	find(&p);
	assert_at(&p, UW_GLOBAL_ALLGS, bss(&p, BSS_ALLGS));
	assert_at(&p, UW_GLOBAL_ALLGPTR, bss(&p, BSS_ALLGPTR));
	assert_at(&p, UW_GLOBAL_ALLGLEN, noptrbss(&p, NOPTRBSS_ALLGLEN));
	assert_at(&p, UW_GLOBAL_MBUCKETS, bss(&p, BSS_HEADS));
	assert_at(&p, UW_GLOBAL_XBUCKETS, bss(&p, BSS_HEADS + 16));
	assert_at(&p, UW_GLOBAL_BBUCKETS, bss(&p, BSS_HEADS + 8));
	assert_at(&p, UW_GLOBAL_MEM_PROFILE_RATE, var(&p, UW_GO_NOPTRDATA, NOPTRDATA_RATE));
	assert_at(&p, UW_GLOBAL_BLOCK_PROFILE_RATE, noptrbss(&p, NOPTRBSS_BLOCK));
	assert_at(&p, UW_GLOBAL_MUTEX_PROFILE_RATE, noptrbss(&p, NOPTRBSS_MUTEX));
	assert_at(&p, UW_GLOBAL_MPROF_CYCLE, noptrbss(&p, NOPTRBSS_CYCLE));
	assert_at(&p, UW_GLOBAL_ALLM, bss(&p, BSS_ALLM));
	assert_at(&p, UW_GLOBAL_SCHED, bss(&p, BSS_SCHED));
	assert_at(&p, UW_GLOBAL_ALLP, bss(&p, BSS_ALLP));
	assert_at(&p, UW_GLOBAL_GOMAXPROCS, noptrbss(&p, NOPTRBSS_PROCS));
	/* Of these the program has no code. */
	assert_missing(&p, UW_GLOBAL_TICKS);
	assert_missing(&p, UW_GLOBAL_GC_CONTROLLER);
	fini(&p);
}

/* Up to go1.18 the heads are loaded and stored one after the other. */
TEST(heads_of_old_versions)
{
	const uint64_t heads[] = {BSS_HEADS + 8, BSS_HEADS, BSS_HEADS + 16};
	struct program p;

	init(&p, uw_golayout_for(18, 9), EM_X86_64);
	write_goroutines(&p);
	load(&p, STKBUCKET, bss(&p, 0));
	for (size_t i = 0; i < 3; i++) {
		load(&p, STKBUCKET, bss(&p, heads[i]));
		put(&p, STKBUCKET, "\x48\x89\x48\x08", 4); /* b.allnext = it */
		store(&p, STKBUCKET, bss(&p, heads[i]));
	}
	load(&p, FLUSH, bss(&p, heads[0]));
	find(&p);
	assert_at(&p, UW_GLOBAL_MBUCKETS, bss(&p, heads[0]));
	assert_at(&p, UW_GLOBAL_XBUCKETS, bss(&p, heads[1]));
	assert_at(&p, UW_GLOBAL_BBUCKETS, bss(&p, heads[2]));
	fini(&p);
}

/* In go1.16 blockevent has no use of the rate: blocksampled reads it. The bytes are a program's. */
TEST(block_rate_of_old_versions)
{
	const uint64_t reads[] = {NOPTRBSS_BLOCK, NOPTRBSS_MUTEX};

	for (size_t i = 0; i < 2; i++) {
		struct program p;

		init(&p, uw_golayout_for(16, 6), EM_X86_64);
		ins(&p, SEMACQUIRE, "\x48\x83\x3d", 3, noptrbss(&p, NOPTRBSS_BLOCK), "\x00", 1);
		ins(&p, SEMACQUIRE, "\x48\x83\x3d", 3, noptrbss(&p, NOPTRBSS_MUTEX), "\x00", 1);
		/* MOVQ blockprofilerate(SB), CX; TESTQ CX, CX */
		ins(&p, BLOCKSAMPLED, "\x48\x8b\x0d", 3, noptrbss(&p, reads[i]), "", 0);
		put(&p, BLOCKSAMPLED, "\x48\x85\xc9", 3);
		find(&p);
		if (i == 0)
			assert_at(&p, UW_GLOBAL_BLOCK_PROFILE_RATE, noptrbss(&p, NOPTRBSS_BLOCK));
		else /* neither function reads what was taken for it */
			assert_missing(&p, UW_GLOBAL_BLOCK_PROFILE_RATE);
		fini(&p);
	}
}

/* Where the code isn't what the compiler usually makes, the order of the heads means nothing. */
TEST(heads_in_unusual_code)
{
	struct program p;

	init(&p, uw_golayout_for(24, 4), EM_X86_64);
	write_heads(&p);
	load(&p, FLUSH, bss(&p, BSS_HEADS));
	find(&p);
	assert_at(&p, UW_GLOBAL_MBUCKETS, bss(&p, BSS_HEADS));
	assert_missing(&p, UW_GLOBAL_XBUCKETS);
	assert_missing(&p, UW_GLOBAL_BBUCKETS);
	fini(&p);
}

/* A second function that uses another variable: neither is known to be right. */
TEST(not_found_where_two_disagree)
{
	struct program p;

	init(&p, uw_golayout_for(24, 4), EM_X86_64);
	write_heads(&p);
	load(&p, FLUSH, bss(&p, BSS_HEADS + 8));
	load(&p, MCOMMONINIT, bss(&p, BSS_ALLM));
	load(&p, SCHEDTRACE, bss(&p, BSS_ALLM + 8));
	find(&p);
	assert_missing(&p, UW_GLOBAL_MBUCKETS);
	assert_missing(&p, UW_GLOBAL_XBUCKETS);
	assert_missing(&p, UW_GLOBAL_BBUCKETS);
	assert_missing(&p, UW_GLOBAL_ALLM);
	fini(&p);
}

TEST(not_found_where_two_fit)
{
	struct program p;

	init(&p, uw_golayout_for(24, 4), EM_X86_64);
	write_goroutines(&p);
	for (uint64_t i = 0; i < 3; i++)
		load(&p, ALLGADD, bss(&p, BSS_MASK + i * 8));
	load(&p, ALLOCMCACHE, var(&p, UW_GO_NOPTRDATA, NOPTRDATA_RATE));
	load(&p, ALLOCMCACHE, noptrbss(&p, NOPTRBSS_BLOCK));
	write_heads(&p);
	write_heads(&p);
	find(&p);
	assert_missing(&p, UW_GLOBAL_ALLGS);
	assert_missing(&p, UW_GLOBAL_ALLGLEN);
	assert_missing(&p, UW_GLOBAL_MEM_PROFILE_RATE);
	assert_missing(&p, UW_GLOBAL_MBUCKETS);
	fini(&p);
}

TEST(not_found_where_it_cannot_be)
{
	struct program p;

	init(&p, uw_golayout_for(24, 4), EM_X86_64);
	load(&p, ALLOCMCACHE, var(&p, UW_GO_NOPTRDATA, NOPTRDATA_RATE + 4)); /* not aligned */
	load32(&p, MPROF_FREE, noptrbss(&p, SEGMENT));                       /* behind the end */
	/* The variable would begin before its segment. */
	ins(&p, SCHEDINIT, "\xc7\x05", 2, bss(&p, 8), "\x10\x27\x00\x00", 4);
	find(&p);
	assert_missing(&p, UW_GLOBAL_MEM_PROFILE_RATE);
	assert_missing(&p, UW_GLOBAL_MPROF_CYCLE);
	assert_missing(&p, UW_GLOBAL_SCHED);
	fini(&p);
}

/* --- arm64 --- */

static void word(struct program *p, enum func f, uint32_t w)
{
	put(p, f, &w, sizeof w);
}

static void address(struct program *p, enum func f, unsigned int rd, uint64_t target)
{
	uint64_t pc = p->built.entries[f] + p->len[f];
	int64_t pages = (int64_t)((target & ~0xfffull) - (pc & ~0xfffull)) >> 12;

	word(p, f,
	     0x90000000u | (uint32_t)(pages & 3) << 29 | (uint32_t)(pages >> 2 & 0x7ffff) << 5 |
		     rd);
	word(p, f, 0x91000000u | (uint32_t)(target & 0xfff) << 10 | rd << 5 | rd);
}

static void load_arm64(struct program *p, enum func f, uint64_t target, bool wide)
{
	address(p, f, 27, target);
	word(p, f, (wide ? 0xf9400000u : 0xb9400000u) | 27 << 5 | 1);
}

TEST(found_by_code_arm64)
{
	const uint64_t heads[] = {BSS_HEADS, BSS_HEADS + 16, BSS_HEADS + 8};
	struct program p;

	init(&p, uw_golayout_for(24, 4), EM_AARCH64);
	for (uint64_t i = 0; i < 3; i++)
		load_arm64(&p, ALLGADD, bss(&p, BSS_ALLGS + i * 8), true);
	load_arm64(&p, ALLGADD, bss(&p, BSS_ALLGPTR), true);
	address(&p, ALLGADD, 3, noptrbss(&p, NOPTRBSS_ALLGLEN));
	word(&p, ALLGADD, 0xc89ffc00u | 3 << 5 | 2); /* STLR */
	for (size_t i = 0; i < 3; i++)
		address(&p, STKBUCKET, 1, bss(&p, heads[i]));
	load_arm64(&p, FLUSH, bss(&p, heads[0]), true);
	load_arm64(&p, ALLOCMCACHE, var(&p, UW_GO_NOPTRDATA, NOPTRDATA_RATE), true);
	load_arm64(&p, SEMACQUIRE, noptrbss(&p, NOPTRBSS_BLOCK), true);
	load_arm64(&p, SEMACQUIRE, noptrbss(&p, NOPTRBSS_MUTEX), true);
	load_arm64(&p, BLOCKEVENT, noptrbss(&p, NOPTRBSS_BLOCK), true);
	load_arm64(&p, MPROF_FREE, noptrbss(&p, NOPTRBSS_CYCLE), false);
	word(&p, SCHEDINIT, 0x52800000u | 10000 << 5 | 2); /* MOVZ */
	address(&p, SCHEDINIT, 27, bss(&p, BSS_SCHED) + p.l->sched.maxmcount);
	word(&p, SCHEDINIT, 0xb9000000u | 27 << 5 | 2);
	load_arm64(&p, SCHEDTRACE, bss(&p, BSS_SCHED) + 40, false);
	find(&p);
	assert_at(&p, UW_GLOBAL_ALLGS, bss(&p, BSS_ALLGS));
	assert_at(&p, UW_GLOBAL_ALLGPTR, bss(&p, BSS_ALLGPTR));
	assert_at(&p, UW_GLOBAL_ALLGLEN, noptrbss(&p, NOPTRBSS_ALLGLEN));
	assert_at(&p, UW_GLOBAL_MBUCKETS, bss(&p, heads[0]));
	assert_at(&p, UW_GLOBAL_XBUCKETS, bss(&p, heads[1]));
	assert_at(&p, UW_GLOBAL_BBUCKETS, bss(&p, heads[2]));
	assert_at(&p, UW_GLOBAL_MEM_PROFILE_RATE, var(&p, UW_GO_NOPTRDATA, NOPTRDATA_RATE));
	assert_at(&p, UW_GLOBAL_BLOCK_PROFILE_RATE, noptrbss(&p, NOPTRBSS_BLOCK));
	assert_at(&p, UW_GLOBAL_MUTEX_PROFILE_RATE, noptrbss(&p, NOPTRBSS_MUTEX));
	assert_at(&p, UW_GLOBAL_MPROF_CYCLE, noptrbss(&p, NOPTRBSS_CYCLE));
	assert_at(&p, UW_GLOBAL_SCHED, bss(&p, BSS_SCHED));
	fini(&p);
}

/* --- what lies in memory --- */

enum { HEAP = 0x10000000, BUCKET_AT = 0x100, GOROUTINE_AT = 0x1000, ARRAY_AT = 0x3000 };

struct memory {
	struct uw_mem_bytes file, heap;
	uint8_t bytes[0x4000];
	struct uw_mem mem, below;
};

static void init_memory(struct memory *m, struct program *p)
{
	m->heap = (struct uw_mem_bytes){HEAP, m->bytes, sizeof m->bytes, NULL};
	m->below = uw_mem_bytes(&m->heap);
	m->file = (struct uw_mem_bytes){p->base, p->built.bytes, p->built.size, &m->below};
	m->mem = uw_mem_bytes(&m->file);
	memset(m->bytes, 0, sizeof m->bytes);
	/* The variables are all zero at first. */
	memset(p->built.bytes + (p->built.entries[VARS] - p->base), 0, (size_t)4 * SEGMENT);
}

static void poke(struct memory *m, uint64_t off, uint64_t v)
{
	memcpy(m->bytes + off, &v, sizeof v);
}

static void bucket(struct memory *m, const struct program *p, uint64_t off, uint64_t type,
		   uint64_t next)
{
	poke(m, off + 8, next);
	poke(m, off + 16, type);
	poke(m, off + 40, 2);
	poke(m, off + 48, p->built.entries[0] + 4);
	poke(m, off + 56, p->built.entries[1] + 8);
}

static void goroutine(struct memory *m, const struct program *p, uint64_t off, uint64_t goid)
{
	poke(m, off + p->l->g.sched + p->l->gobuf.g, HEAP + off);
	poke(m, off + p->l->g.goid, goid);
}

static void slice(struct program *p, uint64_t addr, uint64_t ptr, uint64_t len, uint64_t cap)
{
	set64(p, addr, ptr);
	set64(p, addr + 8, len);
	set64(p, addr + 16, cap);
}

static void fill(struct program *p, struct memory *m)
{
	init(p, uw_golayout_for(24, 4), EM_X86_64);
	init_memory(m, p);
	bucket(m, p, BUCKET_AT, 1, HEAP + BUCKET_AT + 0x100);
	bucket(m, p, BUCKET_AT + 0x100, 1, 0);
	bucket(m, p, BUCKET_AT + 0x200, 3, 0);
	set64(p, bss(p, BSS_HEADS), HEAP + BUCKET_AT);
	set64(p, bss(p, BSS_HEADS + 16), HEAP + BUCKET_AT + 0x200);
	goroutine(m, p, GOROUTINE_AT, 1);
	poke(m, ARRAY_AT, HEAP + GOROUTINE_AT);
	slice(p, bss(p, BSS_ALLGS), HEAP + ARRAY_AT, 1, 4);
	set64(p, bss(p, BSS_ALLGPTR), HEAP + ARRAY_AT);
	/* What a thread has as its first goroutine is in no list of goroutines. */
	goroutine(m, p, GOROUTINE_AT + 0x800, 0);
	poke(m, ARRAY_AT + 0x100, HEAP + GOROUTINE_AT + 0x800);
	slice(p, bss(p, BSS_SCHED), HEAP + ARRAY_AT + 0x100, 1, 4);
	set64(p, bss(p, BSS_ALLM), HEAP + ARRAY_AT + 0x100);
}

TEST(lists_found_by_value)
{
	struct program p;
	struct memory m;

	fill(&p, &m);
	open_program(&p);
	uw_goglobals_by_value(p.go, &m.mem, 0, &p.found);
	assert_int_equal(uw_goglobal(&p.found, UW_GLOBAL_ALLGS), bss(&p, BSS_ALLGS));
	assert_int_equal(uw_goglobal(&p.found, UW_GLOBAL_MBUCKETS), bss(&p, BSS_HEADS));
	assert_int_equal(uw_goglobal(&p.found, UW_GLOBAL_XBUCKETS), bss(&p, BSS_HEADS + 16));
	assert_int_equal(p.found.var[UW_GLOBAL_ALLGS].source, UW_GLOBAL_BY_VALUE);
	/* An empty list could be anywhere. */
	assert_missing(&p, UW_GLOBAL_BBUCKETS);
	fini(&p);
}

TEST(lists_seen_twice_are_not_found)
{
	struct program p;
	struct memory m;

	fill(&p, &m);
	set64(&p, bss(&p, 0x300), HEAP + BUCKET_AT);
	slice(&p, bss(&p, 0x310), HEAP + ARRAY_AT, 1, 1);
	/* And what is none: a stack outside of the code. */
	poke(&m, BUCKET_AT + 0x200 + 56, 0x1234);
	open_program(&p);
	uw_goglobals_by_value(p.go, &m.mem, 0, &p.found);
	assert_missing(&p, UW_GLOBAL_ALLGS);
	assert_missing(&p, UW_GLOBAL_MBUCKETS);
	assert_missing(&p, UW_GLOBAL_XBUCKETS);
	fini(&p);
}

TEST(a_circle_ends)
{
	struct program p;
	struct memory m;

	fill(&p, &m);
	bucket(&m, &p, BUCKET_AT, 1, HEAP + BUCKET_AT);
	open_program(&p);
	uw_goglobals_by_value(p.go, &m.mem, 0, &p.found);
	assert_int_equal(uw_goglobal(&p.found, UW_GLOBAL_MBUCKETS), bss(&p, BSS_HEADS));
	fini(&p);
}

TEST(thrown_out_where_it_holds_something_else)
{
	struct program p;
	struct memory m;

	fill(&p, &m);
	write_all(&p);
	find(&p);
	uw_goglobals_verify(p.go, &m.mem, 0, &p.found);
	assert_at(&p, UW_GLOBAL_ALLGS, bss(&p, BSS_ALLGS));
	assert_at(&p, UW_GLOBAL_MBUCKETS, bss(&p, BSS_HEADS));
	assert_at(&p, UW_GLOBAL_BBUCKETS, bss(&p, BSS_HEADS + 8));
	/* No thread: its first word is no goroutine of its own. */
	assert_missing(&p, UW_GLOBAL_ALLM);

	/* A caller in another module is no reason. */
	poke(&m, BUCKET_AT + 0x200 + 56, 0x1234);
	uw_goglobals_verify(p.go, &m.mem, 0, &p.found);
	assert_at(&p, UW_GLOBAL_XBUCKETS, bss(&p, BSS_HEADS + 16));

	/* A list of the wrong kind; a slice of no goroutines; a rate that is none. */
	bucket(&m, &p, BUCKET_AT, 2, 0);
	poke(&m, ARRAY_AT, HEAP + GOROUTINE_AT + 8);
	set64(&p, var(&p, UW_GO_NOPTRDATA, NOPTRDATA_RATE), UINT64_MAX);
	uw_goglobals_verify(p.go, &m.mem, 0, &p.found);
	assert_missing(&p, UW_GLOBAL_ALLGS);
	assert_missing(&p, UW_GLOBAL_MBUCKETS);
	assert_missing(&p, UW_GLOBAL_MEM_PROFILE_RATE);
	assert_at(&p, UW_GLOBAL_XBUCKETS, bss(&p, BSS_HEADS + 16));
	fini(&p);
}

/* One found by symbol is believed: it has a name. */
TEST(symbols_are_believed)
{
	struct program p;
	struct memory m;

	fill(&p, &m);
	open_program(&p);
	assert_true(uw_goglobals_put(p.go, UW_GLOBAL_MBUCKETS, bss(&p, BSS_HEADS + 16),
				     UW_GLOBAL_BY_SYMBOL, &p.found));
	assert_false(uw_goglobals_put(p.go, UW_GLOBAL_ALLGS, bss(&p, SEGMENT - 8),
				      UW_GLOBAL_BY_SYMBOL, &p.found) &&
		     uw_goglobal(&p.found, UW_GLOBAL_ALLGS) == noptrbss(&p, 0));
	uw_goglobals_verify(p.go, &m.mem, 0, &p.found);
	assert_int_equal(p.found.var[UW_GLOBAL_MBUCKETS].source, UW_GLOBAL_BY_SYMBOL);
	fini(&p);
}

TEST(names)
{
	assert_string_equal(uw_goglobal_name(UW_GLOBAL_ALLGS), "runtime.allgs");
	assert_string_equal(uw_goglobal_name(UW_GLOBAL_TICKS), "runtime.ticks");
	assert_string_equal(uw_goglobal_source_name(UW_GLOBAL_BY_VALUE), "value");
	assert_string_equal(uw_goglobal_source_name(UW_GLOBAL_MISSING), "missing");
}

TEST(no_go_no_variables)
{
	struct uw_binaries reg = {0};
	struct uw_goglobals g;
	struct uw_space space;

	uw_space_init(&space, &reg, 1);
	assert_int_equal(uw_goglobals_find(&space, true, &g), -ENOENT);
	uw_space_fini(&space);
}

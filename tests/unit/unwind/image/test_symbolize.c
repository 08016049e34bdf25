/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sample_go.h"
#include "symbolize.h"
#include "unit_test.h"

enum { PAGE = 4096, BASE = 0x400000, BIAS = 0x20000000, ANON = 0x70000000 };

struct mapped {
	struct uw_binaries reg;
	struct uw_space space;
	int fd;
};

static struct uw_binary *map_fd(struct uw_space *s, int fd, size_t size, uint64_t bias)
{
	struct uw_map_event e = {.start = BASE + bias,
				 .end = BASE + bias + (size + PAGE - 1) / PAGE * PAGE};
	char path[64];
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
	e.dev = st.st_dev;
	e.ino = st.st_ino;
	e.path = path;
	assert_int_equal(uw_space_add(s, &e), 0);
	return uw_space_at(s, e.start)->bin;
}

static void open_mapped(struct mapped *m, const struct built_go *built)
{
	*m = (struct mapped){0};
	uw_space_init(&m->space, &m->reg, getpid());
	m->fd = built_go_fd(built);
	m->space.exe = map_fd(&m->space, m->fd, built->size, BIAS);
}

static void close_mapped(struct mapped *m)
{
	uw_space_fini(&m->space);
	uw_binaries_fini(&m->reg);
	close(m->fd);
}

/* --- names --- */

TEST(test_go_names)
{
	struct sample_go sample;
	struct built_go built;
	struct mapped m;
	struct uw_symbol syms[UW_MAX_INLINE];
	const struct uw_mapping *map;
	enum uw_kind kind;
	uint64_t main_at;

	sample_go_init(&sample, uw_golayout_for(22, 5), "go1.22.5");
	built = build_go(&sample.go);
	open_mapped(&m, &built);
	main_at = built.entries[SAMPLE_MAIN] + BIAS;
	assert_int_equal(uw_symbolize(&m.space, main_at + 40, syms, UW_MAX_INLINE, &kind, &map), 1);
	assert_int_equal(kind, UW_KIND_GO);
	assert_ptr_equal(map, &m.space.maps[0]);
	assert_string_equal(syms[0].frame.name, "main.main");
	assert_int_equal(syms[0].frame.func, built.entries[SAMPLE_MAIN]);
	/* Two calls were inlined here, the innermost comes first, the function itself is last. */
	assert_int_equal(uw_symbolize(&m.space, main_at + 24, syms, UW_MAX_INLINE, &kind, &map), 3);
	assert_string_equal(syms[0].frame.name, "lib.inner");
	assert_string_equal(syms[1].frame.name, "lib.outer");
	assert_string_equal(syms[2].frame.name, "main.main");
	assert_int_equal(uw_symbolize(&m.space, main_at + 24, syms, 2, &kind, &map), 2);
	assert_string_equal(syms[1].frame.name, "main.main");
	assert_int_equal(uw_symbolize(&m.space, built.entries[SAMPLE_SYSTEMSTACK_WRAPPER] + BIAS,
				      syms, 4, &kind, &map),
			 1);
	assert_true(syms[0].wrapper);
	/* The first address that is no more of Go's: the file's, without a name. */
	assert_int_equal(
		uw_symbolize(&m.space, built.entries[SAMPLE_NFUNCS] + BIAS, syms, 4, &kind, &map),
		0);
	assert_int_equal(kind, UW_KIND_NATIVE);
	assert_ptr_equal(map, &m.space.maps[0]);
	close_mapped(&m);
	built_go_fini(&built);
}

TEST(test_no_names)
{
	struct sample_go sample;
	struct built_go built;
	struct mapped m;
	struct uw_symbol syms[4];
	const struct uw_mapping *map;
	enum uw_kind kind;
	struct uw_map_event anon = {.start = ANON, .end = ANON + PAGE, .path = ""};

	sample_go_init(&sample, uw_golayout_for(22, 5), "go1.22.5");
	built = build_go(&sample.go);
	open_mapped(&m, &built);
	assert_int_equal(uw_space_add(&m.space, &anon), 0);
	assert_int_equal(uw_symbolize(&m.space, 5, syms, 4, &kind, &map), 0);
	assert_int_equal(kind, UW_KIND_UNKNOWN);
	assert_null(map);
	assert_int_equal(uw_symbolize(&m.space, ANON, syms, 4, &kind, &map), 0);
	assert_int_equal(kind, UW_KIND_UNKNOWN);
	assert_int_equal(map->start, ANON);
	/* Link-time addresses mean nothing where the file lies elsewhere. */
	assert_int_equal(uw_symbolize(&m.space, built.entries[SAMPLE_MAIN], syms, 4, &kind, &map),
			 0);
	assert_null(map);
	close_mapped(&m);
	built_go_fini(&built);
}

/* --- what is missing in the middle --- */

enum { /* functions of 128 bytes */
       MAIN,
       MALLOC,   /* calls systemstack once */
       MALLOC_1, /* the closure that it passes */
       GROW,     /* calls systemstack twice, with another closure each */
       GROW_1,
       GROW_2,
       SYSTEMSTACK,
       CFUNC,
       CGOCALL,
       ASMCGOCALL,
       TAIL, /* jumps */
       CALLEE,
       WRAPPER, /* made by the compiler, calls CALLEE */
       INDIRECT,
       NFUNCS,
};
enum { SIZE = 128, FUNCVAL = 120, SITE = 32, SECOND = 80 };

struct program {
	struct built_go built;
	struct mapped m;
	struct uw_repairer *repairer;
};

static uint8_t *code_at(struct program *p, int fn, size_t off)
{
	return p->built.bytes + PAGE + (p->built.entries[fn] - p->built.text) + off;
}

/* A direct jump of 5 bytes at off. */
static void jump(struct program *p, int fn, size_t off, uint8_t opcode, int to)
{
	uint8_t *code = code_at(p, fn, off);
	int32_t rel = (int32_t)(p->built.entries[to] - (p->built.entries[fn] + off + 5));

	code[0] = opcode;
	memcpy(code + 1, &rel, 4);
}

/* CALL to, such that the return address is at `end`. */
static void call(struct program *p, int fn, size_t end, int to)
{
	jump(p, fn, end - 5, 0xe8, to);
}

/* LEA rel(IP), REG at off. */
static void lea(struct program *p, int fn, size_t off, uint8_t rex, uint8_t modrm, uint64_t addr)
{
	uint8_t *code = code_at(p, fn, off);
	int32_t rel = (int32_t)(addr - (p->built.entries[fn] + off + 7));

	code[0] = rex;
	code[1] = 0x8d;
	code[2] = modrm;
	memcpy(code + 3, &rel, 4);
}

/* The closure's word that points to its code; kept at the end of its own function here. */
static uint64_t funcval(struct program *p, int fn)
{
	memcpy(code_at(p, fn, FUNCVAL), &p->built.entries[fn], 8);
	return p->built.entries[fn] + FUNCVAL;
}

static void open_program(struct program *p, int minor)
{
	static const struct build_step no_frame[] = {{SIZE, 0}, {0, 0}};
	const struct uw_golayout *l = uw_golayout_for(minor, 5);
	struct build_func funcs[NFUNCS] = {
		[MAIN] = {"main.main", SIZE},
		[MALLOC] = {"runtime.malloc", SIZE},
		[MALLOC_1] = {"runtime.malloc.func1", SIZE},
		[GROW] = {"runtime.(*mheap).grow", SIZE},
		[GROW_1] = {"runtime.(*mheap).grow.func1", SIZE},
		[GROW_2] = {"runtime.(*mheap).grow.func2", SIZE},
		[SYSTEMSTACK] = {"runtime.systemstack", SIZE, .flag = 6},
		[CFUNC] = {"main._Cfunc_work", SIZE},
		[CGOCALL] = {"runtime.cgocall", SIZE},
		[ASMCGOCALL] = {"runtime.asmcgocall", SIZE, .flag = 6},
		[TAIL] = {"main.tail", SIZE},
		[CALLEE] = {"main.callee", SIZE},
		[WRAPPER] = {"main.(*T).callee", SIZE, .id = l->id_wrapper},
		[INDIRECT] = {"main.indirect", SIZE},
	};
	char version[32];
	struct build_go go = {.layout = l,
			      .version = version,
			      .funcs = funcs,
			      .nfuncs = NFUNCS,
			      .files = (const char *const[]){"/src/a.go"},
			      .nfiles = 1};

	for (int i = 0; i < NFUNCS; i++)
		funcs[i].sp = no_frame;
	snprintf(version, sizeof version, "go1.%d.5", minor);
	p->built = build_go(&go);
	call(p, MALLOC, SITE, SYSTEMSTACK);
	call(p, GROW, SITE, SYSTEMSTACK);
	lea(p, GROW, SITE - 20, 0x48, 0x05, funcval(p, GROW_1));
	call(p, GROW, SECOND, SYSTEMSTACK);
	lea(p, GROW, SECOND - 20, 0x4c, 0x0d, funcval(p, GROW_2));
	call(p, CFUNC, SITE, CGOCALL);
	call(p, CGOCALL, SITE, ASMCGOCALL);
	jump(p, TAIL, SITE, 0xe9, CALLEE);
	call(p, WRAPPER, SITE, CALLEE);
	call(p, MALLOC, SECOND, CALLEE);
	call(p, CALLEE, SITE, CALLEE);
	/* main.main calls each of them, at a place of its own. */
	call(p, MAIN, 10 + 5, MALLOC);
	call(p, MAIN, 20 + 5, GROW);
	call(p, MAIN, 30 + 5, CFUNC);
	call(p, MAIN, 40 + 5, TAIL);
	call(p, MAIN, 50 + 5, CALLEE);
	call(p, MAIN, 60 + 5, WRAPPER);
	call(p, MAIN, 70 + 5, SYSTEMSTACK);
	open_mapped(&p->m, &p->built);
	assert_int_equal(uw_repairer_new(&p->repairer), 0);
}

static void close_program(struct program *p)
{
	uw_repairer_free(p->repairer);
	close_mapped(&p->m);
	built_go_fini(&p->built);
}

/* Addresses as (function, return offset), leaf first; a return offset of 0 is the leaf itself. */
struct frame {
	int fn;
	size_t ret;
};

static uint64_t pc_of(const struct program *p, struct frame f)
{
	return p->built.entries[f.fn] + BIAS + (f.ret ? f.ret - 1 : 50);
}

static void check_repair_max(struct program *p, const struct frame *in, size_t n,
			     const struct frame *want, size_t nwant, size_t max)
{
	uint64_t pcs[16], out[17];
	size_t got;

	for (size_t i = 0; i < n; i++)
		pcs[i] = pc_of(p, in[i]);
	memset(out, 0xee, sizeof out);
	got = uw_repair(p->repairer, &p->m.space, pcs, n, out, max);
	assert_int_equal(got, nwant);
	for (size_t i = 0; i < got; i++)
		assert_int_equal(out[i], pc_of(p, want[i]));
	assert_int_equal(out[got], 0xeeeeeeeeeeeeeeee);
}

#define N(a) (sizeof(a) / sizeof *(a))
#define CHECK(p, in, want)                                         \
	do {                                                       \
		/* Twice: the second time from the cache. */       \
		check_repair_max(p, in, N(in), want, N(want), 16); \
		check_repair_max(p, in, N(in), want, N(want), 16); \
	} while (0)

TEST(test_systemstack)
{
	static const struct frame in[] = {
		{CALLEE, 0}, {MALLOC_1, 60}, {SYSTEMSTACK, 70}, {MAIN, 15}};
	static const struct frame want[] = {
		{CALLEE, 0}, {MALLOC_1, 60}, {SYSTEMSTACK, 70}, {MALLOC, SITE}, {MAIN, 15}};
	struct program p;

	open_program(&p, 19);
	CHECK(&p, in, want);
	close_program(&p);
}

/* Of two calls in the same function, the one that passes the closure that ran. */
TEST(test_call_site_by_closure)
{
	static const struct frame in1[] = {{GROW_1, 0}, {SYSTEMSTACK, 70}, {MAIN, 25}};
	static const struct frame want1[] = {
		{GROW_1, 0}, {SYSTEMSTACK, 70}, {GROW, SITE}, {MAIN, 25}};
	static const struct frame in2[] = {{GROW_2, 0}, {SYSTEMSTACK, 70}, {MAIN, 25}};
	static const struct frame want2[] = {
		{GROW_2, 0}, {SYSTEMSTACK, 70}, {GROW, SECOND}, {MAIN, 25}};
	/* No closure of them: the function is right, the first call represents it. */
	static const struct frame in3[] = {{CALLEE, 0}, {SYSTEMSTACK, 70}, {MAIN, 25}};
	static const struct frame want3[] = {
		{CALLEE, 0}, {SYSTEMSTACK, 70}, {GROW, SITE}, {MAIN, 25}};
	struct program p;

	open_program(&p, 19);
	CHECK(&p, in1, want1);
	CHECK(&p, in2, want2);
	CHECK(&p, in3, want3);
	close_program(&p);
}

TEST(test_cgocall)
{
	static const struct frame in[] = {{ASMCGOCALL, 0}, {CFUNC, SITE}, {MAIN, 35}};
	static const struct frame want[] = {
		{ASMCGOCALL, 0}, {CGOCALL, SITE}, {CFUNC, SITE}, {MAIN, 35}};
	struct program p;

	open_program(&p, 19);
	CHECK(&p, in, want);
	close_program(&p);
}

/* systemstack at the root: its closure's name identifies its maker. */
TEST(test_root)
{
	static const struct frame in[] = {{GROW_2, 60}, {SYSTEMSTACK, 70}};
	static const struct frame want[] = {{GROW_2, 60}, {SYSTEMSTACK, 70}, {GROW, SECOND}};
	static const struct frame other[] = {{CALLEE, 60}, {SYSTEMSTACK, 70}};
	static const struct frame alone[] = {{SYSTEMSTACK, 70}};
	static const struct frame no_systemstack[] = {{GROW_2, 60}, {ASMCGOCALL, 70}};
	struct program p;

	open_program(&p, 19);
	CHECK(&p, in, want);
	CHECK(&p, other, other);
	CHECK(&p, alone, alone);
	CHECK(&p, no_systemstack, no_systemstack);
	close_program(&p);
}

TEST(test_nothing_is_missing)
{
	static const struct frame whole[] = {
		{MALLOC_1, 60}, {SYSTEMSTACK, 70}, {MALLOC, SITE}, {MAIN, 15}};
	static const struct frame direct[] = {{CALLEE, 0}, {SYSTEMSTACK, 70}, {MAIN, 75}};
	static const struct frame plain[] = {{CALLEE, 0}, {MAIN, 55}};
	/* main.tail was called and jumped: it has no frame to miss. */
	static const struct frame tail[] = {{CALLEE, 0}, {MAIN, 45}};
	/* Wrappers don't show. */
	static const struct frame wrapper[] = {{CALLEE, 0}, {MAIN, 65}};
	/* After an indirect call nothing is known. */
	static const struct frame indirect[] = {{CALLEE, 0}, {INDIRECT, 60}, {MAIN, 55}};
	/* A closure's name decides for systemstack only. */
	static const struct frame closure[] = {{MALLOC_1, 0}, {CALLEE, 60}, {INDIRECT, 60}};
	static const struct frame recursive[] = {{CALLEE, 0}, {CALLEE, SITE}, {MAIN, 55}};
	struct program p;

	open_program(&p, 19);
	CHECK(&p, closure, closure);
	CHECK(&p, recursive, recursive);
	CHECK(&p, whole, whole);
	CHECK(&p, direct, direct);
	CHECK(&p, plain, plain);
	CHECK(&p, tail, tail);
	CHECK(&p, wrapper, wrapper);
	CHECK(&p, indirect, indirect);
	assert_int_equal(uw_repair(p.repairer, &p.m.space, NULL, 0, NULL, 0), 0);
	close_program(&p);
}

/* From go1.21 on these functions have frames: what the chain gives is whole. */
TEST(test_newer)
{
	static const struct frame in[] = {{MALLOC_1, 60}, {SYSTEMSTACK, 70}, {MAIN, 15}};
	static const struct frame want[] = {
		{MALLOC_1, 60}, {SYSTEMSTACK, 70}, {MALLOC, SITE}, {MAIN, 15}};
	struct program p;

	open_program(&p, 21);
	CHECK(&p, in, in);
	close_program(&p);
	open_program(&p, 20);
	CHECK(&p, in, want);
	close_program(&p);
}

TEST(test_room)
{
	static const struct frame in[] = {
		{CALLEE, 0}, {MALLOC_1, 60}, {SYSTEMSTACK, 70}, {MAIN, 15}};
	static const struct frame want[] = {
		{CALLEE, 0}, {MALLOC_1, 60}, {SYSTEMSTACK, 70}, {MALLOC, SITE}, {MAIN, 15}};

	for (int minor = 19; minor <= 22; minor += 3) {
		for (size_t max = 0; max <= 6; max++) {
			size_t all = minor == 19 ? 5 : 4;
			struct program p;

			open_program(&p, minor);
			check_repair_max(&p, in, 4, minor == 19 ? want : in, max < all ? max : all,
					 max);
			close_program(&p);
		}
	}
}

/* Foreign addresses among them stay as they are. */
TEST(test_foreign)
{
	struct program p;
	uint64_t pcs[] = {0x10, 0, ANON, 0, 0, UINT64_MAX}, out[8];

	open_program(&p, 19);
	pcs[1] = pc_of(&p, (struct frame){SYSTEMSTACK, 70});
	pcs[3] = pc_of(&p, (struct frame){MAIN, 15});
	assert_int_equal(uw_repair(p.repairer, &p.m.space, pcs, 6, out, 8), 6);
	assert_memory_equal(out, pcs, sizeof pcs);
	close_program(&p);
}

/*
 * The code that is read is that of the file with the tables: also where /proc doesn't say which
 * file is the executable, and where Go is a library of another program.
 */
TEST(test_executable)
{
	static const struct frame in[] = {{MALLOC_1, 60}, {SYSTEMSTACK, 70}, {MAIN, 15}};
	static const struct frame want[] = {
		{MALLOC_1, 60}, {SYSTEMSTACK, 70}, {MALLOC, SITE}, {MAIN, 15}};
	struct program p;
	int fd = memfd_create("c", MFD_CLOEXEC);

	open_program(&p, 19);
	p.m.space.exe = NULL;
	CHECK(&p, in, want);
	/* A file of the same shape, without tables or code. */
	memset(p.built.bytes + PAGE, 0, p.built.size - PAGE);
	assert_int_equal(write(fd, p.built.bytes, p.built.size), (ssize_t)p.built.size);
	p.m.space.exe = map_fd(&p.m.space, fd, p.built.size, 0x50000000);
	CHECK(&p, in, want);
	close(fd);
	close_program(&p);
}

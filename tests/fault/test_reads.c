/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live process of which the N-th read fails, and each from the N-th on, as when it exits or
 * unmaps. Go's tables, a walk and its names come out as without the fault, or shorter.
 */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "build_go.h"
#include "symbolize.h"
#include "walk.h"
#include "unit_test.h"

enum { PAGE = 4096, BASE = 0x400000, CALL_END = 25, BODY = 40, STACK_LEN = 2 * PAGE, MAX = 64 };
#define BIAS  0x300000000000ull
#define STACK 0x310000000000ull

enum { GOEXIT, MAIN, CFUNC, CGOCALL, SWITCH, CALLBACK, EXPORTED, WORK, NFUNCS };

struct fault {
	struct uw_mem mem; /* the process */
	bool all_after;
	unsigned long n, fail_at, failed;
};

static int read_or_fail(void *ctx, uint64_t addr, void *buf, size_t len)
{
	struct fault *f = ctx;

	f->n++;
	if (f->n == f->fail_at || (f->all_after && f->n > f->fail_at)) {
		f->failed++;
		memset(buf, 0xa5, len); /* unspecified: nobody may use it */
		return f->all_after ? -ESRCH : -EFAULT;
	}
	return uw_read(&f->mem, addr, buf, len);
}

struct target {
	pid_t pid;
	int fd;
	size_t size;
	struct built_go built;
	uint64_t sp, bp;
	uint64_t chain[16];
	size_t nchain;
};

static const struct build_step framed[] = {{1, 0}, {7, 8}, {44, 24}, {1, 8}, {11, 0}, {0, 0}};
static const struct build_step no_frame[] = {{64, 0}, {0, 0}};

static struct built_go program(enum build_pointers pointers)
{
	const struct build_func funcs[NFUNCS] = {
		[GOEXIT] = {"runtime.goexit", 64, .flag = 5, .sp = no_frame},
		[MAIN] = {"main.main", 64, .sp = framed},
		[CFUNC] = {"main._Cfunc_work", 64, .sp = framed},
		[CGOCALL] = {"runtime.cgocall", 64, .sp = framed},
		[SWITCH] = {"runtime.systemstack_switch", 64, .flag = 4, .sp = no_frame},
		[CALLBACK] = {"runtime.cgocallback", 64, .flag = 4, .sp = framed},
		[EXPORTED] = {"main.exported", 64, .sp = framed},
		[WORK] = {"main.work", 64, .sp = framed},
	};
	struct build_go go = {.layout = uw_golayout_for(22, 5),
			      .version = "go1.22.5",
			      .pointers = pointers,
			      .bias = BIAS,
			      .funcs = funcs,
			      .nfuncs = NFUNCS,
			      .files = (const char *const[]){"/src/a.go"},
			      .nfiles = 1};
	static const int callee[NFUNCS] = {
		[MAIN] = CFUNC, [CFUNC] = CGOCALL, [CALLBACK] = EXPORTED, [EXPORTED] = WORK};
	struct built_go b = build_go(&go);

	/* Where a frame has been called from, the code has a call of it. */
	for (int i = 0; i < NFUNCS; i++) {
		uint8_t *call = &b.bytes[PAGE + (b.entries[i] - b.text) + CALL_END - 5];
		int32_t rel = (int32_t)(b.entries[callee[i]] - (b.entries[i] + CALL_END));

		call[0] = 0xe8;
		memcpy(call + 1, &rel, sizeof rel);
	}
	return b;
}

static void *map_at(uint64_t addr, size_t len)
{
	void *p = mmap((void *)(uintptr_t)addr, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	assert_ptr_equal(p, (void *)(uintptr_t)addr);
	return p;
}

static void call(struct target *t, int caller, uint64_t off)
{
	uint64_t *sp;

	t->sp -= 8;
	sp = (uint64_t *)(uintptr_t)t->sp;
	*sp = t->built.entries[caller] + BIAS + off;
	t->sp -= 8;
	*--sp = t->bp;
	t->bp = t->sp;
	t->sp -= 16;
}

/*
 * main.main → C → main.exported → main.work, as the goroutine's stack has it: the frame of
 * systemstack_switch stands for the C frames. Its memory, the program's and the stack, is a
 * child's.
 */
static void start(struct target *t)
{
	struct built_go loaded = program(BUILD_LOADED);
	uint64_t *g, bp;
	uint8_t *image;

	*t = (struct target){.built = program(BUILD_ZERO), .sp = STACK + STACK_LEN};
	assert_int_equal(loaded.size, t->built.size);
	t->size = (loaded.size + PAGE - 1) / PAGE * PAGE;
	t->fd = built_go_fd(&t->built);
	image = map_at(BASE + BIAS, t->size);
	memcpy(image, loaded.bytes, loaded.size);
	g = map_at(STACK, STACK_LEN);
	call(t, GOEXIT, 1);       /* main.main */
	call(t, MAIN, CALL_END);  /* _Cfunc_work */
	call(t, CFUNC, CALL_END); /* cgocall */
	t->sp -= 8;               /* asmcgocall was left by systemstack_switch */
	*(uint64_t *)(uintptr_t)t->sp = t->built.entries[CGOCALL] + BIAS + CALL_END;
	t->sp -= 8;
	*(uint64_t *)(uintptr_t)t->sp = t->built.entries[SWITCH] + BIAS + 1;
	t->sp -= 8;
	*(uint64_t *)(uintptr_t)t->sp = t->bp;
	t->bp = t->sp;
	t->sp -= 16;                 /* cgocallback */
	call(t, CALLBACK, CALL_END); /* exported */
	call(t, EXPORTED, CALL_END); /* work */
	t->chain[t->nchain++] = t->built.entries[WORK] + BIAS + BODY;
	for (bp = t->bp; bp && t->nchain < 16; bp = *(uint64_t *)(uintptr_t)bp)
		t->chain[t->nchain++] = *(uint64_t *)(uintptr_t)(bp + 8);
	/* g, whose m is g + 128, whose g0 is g + 256. */
	g[6] = STACK + 128;
	g[16] = STACK + 256;
	g[32 + 7] = STACK + 512;
	t->pid = fork();
	if (t->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also where a test fails */
		pause();
		_exit(0);
	}
	assert_true(t->pid > 0);
	/* Here it is gone: what is read is read of the child. */
	munmap(image, t->size);
	built_go_fini(&loaded);
}

static void stop(struct target *t)
{
	assert_int_equal(kill(t->pid, SIGKILL), 0);
	assert_int_equal(waitpid(t->pid, NULL, 0), t->pid);
	munmap((void *)(uintptr_t)STACK, STACK_LEN);
	built_go_fini(&t->built);
	close(t->fd);
}

struct result {
	bool go, vdso;
	uint64_t pcs[MAX];
	size_t n;
	enum uw_end end;
	char names[MAX][64];
};

static struct result run(const struct target *t, struct fault *f, size_t stack_len)
{
	struct uw_binaries reg = {0};
	struct uw_space s;
	struct uw_walker *w;
	struct uw_repairer *rep;
	struct uw_regs regs = {.ip = t->chain[0], .sp = t->sp, .bp = t->bp, .r14 = STACK};
	struct uw_sample sample = {.regs = &regs,
				   .chain = t->chain,
				   .nchain = t->nchain,
				   .stack = (void *)(uintptr_t)t->sp,
				   .stack_len = stack_len};
	struct uw_map_event vdso = {.start = getauxval(AT_SYSINFO_EHDR), .path = "[vdso]"};
	struct uw_map_event text = {.start = BASE + BIAS, .end = BASE + BIAS + t->size};
	uint64_t pcs[MAX], bias;
	const struct uw_elf *elf;
	struct result r = {0};
	char path[64];
	struct stat st;
	size_t n;

	uw_space_init(&s, &reg, t->pid);
	f->mem = s.live;
	s.live = (struct uw_mem){.read = read_or_fail, .ctx = f};
	f->n = f->failed = 0;
	assert_int_equal(fstat(t->fd, &st), 0);
	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), t->fd);
	text.dev = st.st_dev;
	text.ino = st.st_ino;
	text.path = path;
	vdso.end = vdso.start + 2 * PAGE;
	assert_int_equal(uw_space_add(&s, &vdso), 0);
	assert_int_equal(uw_space_add(&s, &text), 0);
	r.vdso = uw_space_elf(&s, uw_space_at(&s, vdso.start), &elf, &bias);
	r.go = uw_space_go(&s);
	assert_int_equal(uw_walker_new(&w), 0);
	assert_int_equal(uw_repairer_new(&rep), 0);
	n = uw_walk(w, &s, &sample, pcs, MAX, &r.end);
	assert_true(n >= 1 && n <= MAX);
	r.n = uw_repair(rep, &s, pcs, n, r.pcs, MAX);
	for (size_t i = 0; i < r.n; i++) {
		struct uw_symbol syms[UW_MAX_INLINE];
		const struct uw_mapping *map;
		enum uw_kind kind;
		size_t k = uw_symbolize(&s, r.pcs[i], syms, UW_MAX_INLINE, &kind, &map);

		if (k)
			snprintf(r.names[i], sizeof r.names[i], "%s", syms[k - 1].frame.name);
	}
	uw_repairer_free(rep);
	uw_walker_free(w);
	uw_space_fini(&s);
	uw_binaries_fini(&reg);
	return r;
}

static void check_whole(const struct result *r)
{
	static const char *const names[] = {"main.work", "main.exported",   "runtime.cgocallback",
					    "",          "runtime.cgocall", "main._Cfunc_work",
					    "main.main"};

	assert_true(r->go);
	assert_true(r->vdso);
	assert_int_equal(r->end, UW_END_ROOT);
	assert_int_equal(r->n, sizeof names / sizeof *names);
	for (size_t i = 0; i < r->n; i++)
		assert_string_equal(r->names[i], names[i]);
}

/* Code without tables is followed by frame pointers alone: each caller has a gap before it. */
static void check_guessed(const struct result *r, const struct result *whole)
{
	size_t at = 0;

	for (size_t i = 0; i < r->n; i++) {
		assert_string_equal(r->names[i], "");
		if (r->pcs[i] == 0)
			continue;
		while (at < whole->n && whole->pcs[at] != r->pcs[i])
			at++;
		assert_true(at < whole->n && (i == 0 || r->pcs[i - 1] == 0));
	}
	assert_int_not_equal(r->end, UW_END_ROOT);
}

/* The frames up to some point are those of the whole stack, under their names. */
static void check_part(const struct result *r, const struct result *whole)
{
	if (!r->go) {
		check_guessed(r, whole);
		return;
	}
	assert_true(r->n <= whole->n);
	for (size_t i = 0; i < r->n; i++) {
		assert_true(r->pcs[i] == whole->pcs[i]);
		assert_string_equal(r->names[i], whole->names[i]);
	}
	if (r->n < whole->n)
		assert_int_not_equal(r->end, UW_END_ROOT);
}

TEST(test_reads)
{
	static const size_t stack_lens[] = {0, 8, 64, 256};
	struct target t;

	start(&t);
	for (size_t i = 0; i < sizeof stack_lens / sizeof *stack_lens; i++) {
		struct fault f = {0};
		struct result whole = run(&t, &f, stack_lens[i]);

		check_whole(&whole);
		for (int all_after = 0; all_after < 2; all_after++) {
			unsigned long shorter = 0, no_go = 0, no_vdso = 0;

			f.all_after = all_after;
			for (f.fail_at = 1;; f.fail_at++) {
				struct result r = run(&t, &f, stack_lens[i]);

				if (f.failed == 0)
					break;
				check_part(&r, &whole);
				shorter += r.n < whole.n;
				no_go += !r.go;
				no_vdso += !r.vdso;
				assert_true(f.fail_at < 10000);
			}
			assert_true(shorter > 0 && no_go > 0 && no_vdso == 1);
		}
	}
	stop(&t);
}

/* The process is gone before the first read. */
TEST(test_gone)
{
	struct fault f = {0};
	struct target t;
	struct result r;

	start(&t);
	assert_int_equal(kill(t.pid, SIGKILL), 0);
	assert_int_equal(waitpid(t.pid, NULL, 0), t.pid);
	r = run(&t, &f, 256);
	assert_false(r.go);
	assert_false(r.vdso);
	assert_true(r.pcs[0] == t.chain[0]);
	munmap((void *)(uintptr_t)STACK, STACK_LEN);
	built_go_fini(&t.built);
	close(t.fd);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each allocation fails once, and each from the N-th on. What was begun ends with an error, or goes
 * on with less; what is there can still be used, and is freed in the end (the leak sanitizer
 * looks).
 */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "build_core.h"
#include "core_space.h"
#include "idmap.h"
#include "kallsyms.h"
#include "perf_ring.h"
#include "procs.h"
#include "sample_go.h"
#include "symbolize.h"
#include "walk.h"
#include "unit_test.h"

enum { PAGE = 4096 };
#define FREE_AT 0x10000000000ull

static struct {
	bool on, all_after;
	unsigned long n, fail_at, failed;
} fault;

static bool fails(void)
{
	if (!fault.on)
		return false;
	fault.n++;
	if (fault.n == fault.fail_at || (fault.all_after && fault.n > fault.fail_at)) {
		fault.failed++;
		return true;
	}
	return false;
}

void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__real_realloc(void *p, size_t len);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_realloc(void *p, size_t len);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t len)
{
	return fails() ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t n, size_t len)
{
	return fails() ? NULL : __real_calloc(n, len);
}

void *__wrap_realloc(void *p, size_t len)
{
	return fails() ? NULL : __real_realloc(p, len);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

/*
 * Runs `run` with the 1st, 2nd, ... allocation failing until it needs no more of them. It gives 0
 * or -ENOMEM; where `strict`, it must not succeed without all of its memory.
 */
static void sweep(int (*run)(void *ctx), void *ctx, bool strict)
{
	for (int all_after = 0; all_after < 2; all_after++) {
		unsigned long most = 0;

		for (unsigned long at = 1;; at++) {
			int r;

			fault.all_after = all_after;
			fault.fail_at = at;
			fault.n = fault.failed = 0;
			fault.on = true;
			r = run(ctx);
			fault.on = false;
			if (fault.failed == 0) {
				assert_int_equal(r, 0);
				break;
			}
			if (r != 0 || strict)
				assert_int_equal(r, -ENOMEM);
			most = at;
			assert_true(at < 10000);
		}
		assert_true(most > 0); /* or nothing was tested */
	}
}

/* Code that is no part of the test's subject, with all the memory it wants. */
#define WITH_MEMORY(code)               \
	do {                            \
		bool was_on = fault.on; \
                                        \
		fault.on = false;       \
		code;                   \
		fault.on = was_on;      \
	} while (0)

/* --- one by one --- */

static int run_small(void *ctx)
{
	struct uw_walker *w = NULL;
	struct uw_repairer *rep = NULL;
	struct prowl_ring ring = {0};
	uint8_t data[64];
	int r = uw_walker_new(&w);

	if (r == 0)
		r = uw_repairer_new(&rep);
	if (r == 0) {
		r = prowl_ring_init(&ring, data, sizeof data, 0, 0);
		prowl_ring_fini(&ring);
	}
	uw_repairer_free(rep);
	uw_walker_free(w);
	return r;
}

TEST(test_small)
{
	sweep(run_small, NULL, true);
}

static int run_idmap(void *ctx)
{
	struct prowl_idmap m = {0};
	uint32_t v;
	int r = 0;
	uint64_t i;

	for (i = 1; i <= 300 && r == 0; i++)
		r = prowl_idmap_put(&m, i, (uint32_t)i);
	/* A failed put leaves the map as it was, and the next one may succeed. */
	if (r < 0) {
		i--;
		assert_int_equal(m.n, i - 1);
		assert_false(prowl_idmap_get(&m, i, &v));
		WITH_MEMORY(assert_int_equal(prowl_idmap_put(&m, i, (uint32_t)i), 0));
		i++;
	}
	for (uint64_t j = 1; j < i; j++) {
		assert_true(prowl_idmap_get(&m, j, &v));
		assert_int_equal(v, j);
	}
	prowl_idmap_fini(&m);
	return r;
}

TEST(test_idmap)
{
	sweep(run_idmap, NULL, true);
}

static int run_kallsyms(void *ctx)
{
	int fd = *(int *)ctx, r;
	struct uw_kallsyms *k = NULL;

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	r = uw_kallsyms_read(fd, &k);
	if (r == 0) {
		assert_string_equal(uw_kallsyms_name(k, 0xffffffff81000010, NULL, NULL), "f1");
		uw_kallsyms_free(k);
	}
	return r;
}

static int run_kallsyms_resolve(void *ctx)
{
	const uint64_t pcs[] = {0xffffffff81000010, 0xffffffff81003008};
	int fd = *(int *)ctx, r;
	struct uw_kallsyms *k = NULL;

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	r = uw_kallsyms_resolve(fd, pcs, 2, &k);
	if (r == 0) {
		assert_non_null(uw_kallsyms_name(k, pcs[1], NULL, NULL));
		uw_kallsyms_free(k);
	}
	return r;
}

TEST(test_kallsyms)
{
	int fd = memfd_create("kallsyms", MFD_CLOEXEC);

	for (unsigned i = 0; i < 3000; i++)
		dprintf(fd, "%llx T f%u%s\n", 0xffffffff81000000ull + 16 * i, i,
			i % 5 == 4 ? "\t[module]" : "");
	sweep(run_kallsyms, &fd, false);
	sweep(run_kallsyms_resolve, &fd, false);
	close(fd);
}

/* --- a Go binary --- */

static int run_go(void *ctx)
{
	struct built_go *built = ctx;
	struct uw_elf *elf = NULL;
	struct uw_go *go = NULL;
	int fd, r;

	WITH_MEMORY(fd = built_go_fd(built));
	r = uw_elf_open(fd, &elf, NULL);
	if (r < 0)
		return r;
	r = uw_go_open(elf, NULL, 0, &go, NULL);
	if (r == 0) {
		struct uw_go_func f;

		assert_true(uw_go_func_at(go, built->entries[SAMPLE_MAIN], &f));
		uw_go_free(go);
	}
	uw_elf_free(elf);
	/* Tables that there is no memory for count as tables that can't be used. */
	return r == -EBADMSG ? -ENOMEM : r;
}

TEST(test_go)
{
	for (int minor = 17; minor <= 24; minor += 7) {
		struct sample_go sample;
		struct built_go built;
		char version[32];

		snprintf(version, sizeof version, "go1.%d.1", minor);
		sample_go_init(&sample, uw_golayout_for(minor, 1), version);
		built = build_go(&sample.go);
		sweep(run_go, &built, false);
		built_go_fini(&built);
	}
}

/* --- spaces --- */

static void check_space(struct uw_space *s)
{
	for (size_t i = 0; i < s->n; i++) {
		assert_true(s->maps[i].start < s->maps[i].end);
		assert_true(i == 0 || s->maps[i - 1].end <= s->maps[i].start);
		assert_ptr_equal(uw_space_at(s, s->maps[i].start), &s->maps[i]);
		if (s->maps[i].bin)
			assert_non_null(s->maps[i].bin->path);
	}
	assert_null(uw_space_at(s, 1));
}

static int run_space(void *ctx)
{
	struct uw_binaries reg = {0};
	struct uw_space s, copy;
	int r = 0, r2;

	uw_space_init(&s, &reg, getpid());
	for (uint64_t i = 0; i < 80 && r == 0; i++) {
		struct uw_map_event e = {.start = FREE_AT + i * 4 * PAGE,
					 .end = FREE_AT + (i * 4 + 3) * PAGE,
					 .dev = 7,
					 .ino = 1 + i % 3,
					 .path = "/nowhere/at/all"};

		r = uw_space_add(&s, &e);
	}
	check_space(&s);
	r2 = uw_space_clone(&s, &copy);
	if (r2 < 0)
		assert_int_equal(copy.n, 0);
	check_space(&copy);
	uw_space_fini(&copy);
	uw_space_fini(&s);
	uw_binaries_fini(&reg);
	return r < 0 ? r : r2;
}

TEST(test_space)
{
	sweep(run_space, NULL, true);
}

/* This process' own mappings, with names for its own functions. */
static int run_load(void *ctx)
{
	struct uw_binaries reg = {0};
	struct uw_space s;
	struct uw_symbol syms[8];
	const struct uw_mapping *map;
	enum uw_kind kind;
	uint64_t here = (uint64_t)(uintptr_t)run_load;
	size_t n;
	int r;

	uw_space_init(&s, &reg, getpid());
	r = uw_space_load(&s);
	check_space(&s);
	n = uw_symbolize(&s, here, syms, 8, &kind, &map);
	assert_true(n <= 8);
	if (n && syms[0].frame.name)
		assert_true(syms[n - 1].frame.name[0] != '\0');
	uw_space_fini(&s);
	uw_binaries_fini(&reg);
	return r;
}

TEST(test_load)
{
	sweep(run_load, NULL, false);
}

/* A core file of a Go program that is mapped from its first byte to its last. */
struct core_run {
	struct built_core core;
	char exe[64];
};

static int run_core(void *ctx)
{
	struct core_run *c = ctx;
	struct uw_binaries reg = {0};
	struct uw_core *core = NULL;
	struct uw_core_load load;
	struct uw_space s;
	int fd, r;

	WITH_MEMORY(fd = built_core_fd(&c->core, c->core.size));
	r = uw_core_open(fd, &core, NULL);
	if (r < 0)
		return r;
	uw_space_init(&s, &reg, 0);
	r = uw_space_load_core(&s, core, c->exe, &load);
	check_space(&s);
	if (r == 0)
		assert_int_equal(s.n, 1);
	uw_space_fini(&s);
	uw_core_free(core);
	uw_binaries_fini(&reg);
	/* A file that there is no memory for counts as one that can't be used. */
	return r == -ENOEXEC ? -ENOMEM : r;
}

TEST(test_core)
{
	struct sample_go sample;
	struct built_go built;
	struct core_run c;
	int fd;

	sample_go_init(&sample, uw_golayout_for(27, 0), "go1.27.0");
	built = build_go(&sample.go);
	fd = built_go_fd(&built);
	snprintf(c.exe, sizeof c.exe, "/proc/self/fd/%d", fd);
	c.core = build_core(&(struct build_core){
		.comm = "sample",
		.pid = 1,
		.entry = 0x401000,
		.threads = {{.tid = 1}, {.tid = 2}, {.tid = 3}},
		.files = {{0x400000, 0x402000, 0, "/bin/sample"}},
		.segments = {{0x400000, 2 * PAGE, 5, built.bytes, PAGE}},
	});
	sweep(run_core, &c, false);
	built_core_fini(&c.core);
	close(fd);
	built_go_fini(&built);
}

/* --- processes --- */

static void check_procs(struct prowl_procs *t)
{
	for (size_t i = 0; i < t->n; i++) {
		assert_non_null(t->procs[i]->image);
		assert_ptr_equal(prowl_procs_find(t, t->procs[i]->pid), t->procs[i]);
		assert_ptr_equal(t->procs[i]->image->proc, t->procs[i]);
		check_space(&t->procs[i]->image->space);
	}
	for (size_t i = 0; i < t->nimages; i++) {
		if (!t->images[i])
			continue;
		assert_int_equal(t->images[i]->id, i);
		check_space(&t->images[i]->space);
	}
}

static void happens(struct prowl_procs *t, const struct prowl_event *ev)
{
	struct prowl_proc *forked;

	prowl_procs_event(t, ev, &forked);
	check_procs(t);
}

static int run_procs(void *ctx)
{
	pid_t child = *(pid_t *)ctx;
	struct prowl_procs t = {.children = true};
	struct prowl_proc *p = NULL;
	struct prowl_event fork_ev = {.type = PROWL_EVENT_FORK,
				      .pid = child,
				      .tid = child,
				      .fork = {.ppid = getpid(), .ptid = getpid()}};
	struct prowl_event exec_ev = {.type = PROWL_EVENT_COMM,
				      .pid = child,
				      .tid = child,
				      .comm = {.exec = true, .comm = "next"}};
	struct prowl_event map_ev = {.type = PROWL_EVENT_MMAP,
				     .pid = child,
				     .tid = child,
				     .mmap = {.start = FREE_AT,
					      .len = 4 * PAGE,
					      .ino = 5,
					      .major = 7,
					      .prot = PROT_READ | PROT_EXEC,
					      .path = "/nowhere/at/all"}};
	int r = prowl_procs_add(&t, getpid(), true, &p);

	assert_int_equal(t.n, r == 0);
	check_procs(&t);
	happens(&t, &fork_ev);
	happens(&t, &map_ev);
	map_ev.mmap.ino = 6; /* another file in its place */
	happens(&t, &map_ev);
	happens(&t, &exec_ev);
	happens(&t, &map_ev);
	prowl_procs_clock(&t, false);
	prowl_procs_fini(&t);
	return r;
}

TEST(test_procs)
{
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also where a test fails */
		pause();
		_exit(0);
	}
	assert_true(child > 0);
	sweep(run_procs, &child, false);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

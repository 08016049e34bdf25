/* SPDX-License-Identifier: Apache-2.0 */
#include "build_runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	LINKED = 0x400000, /* of the sample program */
	VARIABLES = 0x100,
	ARRAY = 0x1000,
	GS = 0x4000, /* a goroutine each 0x200 bytes */
	G_SIZE = 0x200,
	STACKS = 0x44000, /* and its stack */
	STACK = 0xc00,
	BUCKETS = 0xb0000,
	BUCKET = 0x200,
	MS = 0xd0000,
	M_SIZE = 0x800,
	MAX_GOROUTINES = 128,
	MAX_BUCKETS = 256,
	MAX_THREADS = 64,
};

/* The one that is open: what the wrapped functions ask. */
static struct made_runtime *made;

int __wrap_uw_goglobals_find(struct uw_space *space, bool by_value, struct uw_goglobals *ret);
enum prowl_code __real_prowl_runtime_open(const struct prowl_who *who, struct prowl_runtime **ret,
					  struct prowl_err *err);
enum prowl_code __wrap_prowl_runtime_open(const struct prowl_who *who, struct prowl_runtime **ret,
					  struct prowl_err *err);
bool __wrap_prowl_runtime_same(const struct prowl_runtime *rt);

int __wrap_uw_goglobals_find(struct uw_space *space, bool by_value, struct uw_goglobals *ret)
{
	*ret = made->globals;
	return 0;
}

bool __wrap_prowl_runtime_same(const struct prowl_runtime *rt)
{
	return !made->gone;
}

/* A live one is named by its pid. */
enum prowl_code __wrap_prowl_runtime_open(const struct prowl_who *who, struct prowl_runtime **ret,
					  struct prowl_err *err)
{
	struct prowl_who core = {.core = made ? made->core : NULL};
	enum prowl_code code;

	if (!made || !made->live || who->pid != MADE_PID)
		return __real_prowl_runtime_open(who, ret, err);
	made_who(made);
	code = __real_prowl_runtime_open(&core, ret, err);
	if (code != PROWL_OK)
		return code;
	(*ret)->target.core = false;
	made->below = (*ret)->space.live;
	made->range = (struct uw_mem_bytes){MADE_BASE, made->bytes, MADE_SIZE, &made->below};
	(*ret)->space.live = uw_mem_bytes(&made->range);
	return PROWL_OK;
}

static uint64_t page_up(uint64_t v)
{
	return (v + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

static void add_segments(struct made_runtime *m)
{
	Elf64_Phdr ph[3];

	memcpy(ph, m->go.bytes + sizeof(Elf64_Ehdr), sizeof ph);
	for (size_t i = 0; i < 3; i++) {
		uint64_t at = ph[i].p_offset & ~(uint64_t)(PAGE - 1);
		uint64_t size = page_up(ph[i].p_offset + ph[i].p_filesz) - at;

		m->what.files[i] = (struct build_core_file){LINKED + at, LINKED + at + size, at,
							    m->program};
		m->what.segments[i] = (struct build_core_segment){LINKED + at, size, ph[i].p_flags,
								  NULL, 0};
		if (i == 0) { /* as the kernel does: the first page of a program */
			m->what.segments[i].bytes = m->go.bytes + at;
			m->what.segments[i].held = PAGE;
		}
		if (i < 2)
			continue;
		m->data = calloc(1, size);
		assert_non_null(m->data);
		memcpy(m->data, m->go.bytes + at, ph[i].p_filesz);
		m->what.segments[i].bytes = m->data;
		m->what.segments[i].held = size;
	}
	m->what.segments[3] = (struct build_core_segment){MADE_BASE, MADE_SIZE, PF_R | PF_W,
							  m->bytes, MADE_SIZE};
}

void made_start(struct made_runtime *m, int minor, bool live)
{
	char version[32];

	memset(m, 0, sizeof *m);
	m->live = live;
	m->core_fd = -1;
	m->l = uw_golayout_for(minor, 99);
	snprintf(version, sizeof version, "go1.%d.9", minor);
	sample_go_init(&m->sample, m->l, version);
	m->sample.go.pointers = BUILD_LINKED;
	m->go = build_go(&m->sample.go);
	m->program_fd = built_go_fd(&m->go);
	snprintf(m->program, sizeof m->program, "/proc/self/fd/%d", m->program_fd);
	m->bytes = calloc(1, MADE_SIZE);
	assert_non_null(m->bytes);
	m->what = (struct build_core){.comm = "sample",
				      .pid = MADE_PID,
				      .entry = LINKED + 0x1000,
				      .threads = {{.tid = MADE_TID}}};
	add_segments(m);
	made = m;
}

void made_end(struct made_runtime *m)
{
	made = NULL;
	if (m->core_fd >= 0)
		close(m->core_fd);
	close(m->program_fd);
	free(m->bytes);
	free(m->data);
	built_go_fini(&m->go);
}

struct prowl_who made_who(struct made_runtime *m)
{
	struct built_core b = build_core(&m->what);

	if (m->core_fd >= 0)
		close(m->core_fd);
	m->core_fd = built_core_fd(&b, b.size);
	built_core_fini(&b);
	snprintf(m->core, sizeof m->core, "/proc/self/fd/%d", m->core_fd);
	if (m->live)
		return (struct prowl_who){.pid = MADE_PID};
	return (struct prowl_who){.core = m->core};
}

void made_poke(struct made_runtime *m, uint64_t off, uint64_t v, size_t size)
{
	assert_true(off + size <= MADE_SIZE);
	memcpy(m->bytes + off, &v, size);
}

uint64_t made_variable(struct made_runtime *m, enum uw_goglobal which, uint64_t v)
{
	uint64_t off = VARIABLES + which * 0x20;

	m->globals.var[which].addr = MADE_BASE + off;
	m->globals.var[which].source = UW_GLOBAL_BY_CODE;
	made_poke(m, off, v, 8);
	return off;
}

uint64_t made_entry(const struct made_runtime *m, size_t function)
{
	return m->go.entries[function];
}

/* --- goroutines --- */

uint64_t made_stack(uint64_t i)
{
	return STACKS + i * STACK;
}

uint64_t made_sp(uint64_t i)
{
	return made_stack(i) + 0x800;
}

uint64_t made_goroutine(struct made_runtime *m, uint32_t status, uint8_t reason)
{
	const struct uw_golayout *l = m->l;
	uint64_t i = m->ngoroutines++, g = GS + i * G_SIZE, sp = made_sp(i);
	uint64_t list = made_variable(m, UW_GLOBAL_ALLGS, MADE_BASE + ARRAY);
	uint64_t entry = made_entry(m, SAMPLE_MAIN);

	assert_true(i < MAX_GOROUTINES);
	made_poke(m, list + 8, m->ngoroutines, 8);
	made_poke(m, list + 16, m->ngoroutines, 8);
	made_poke(m, ARRAY + i * 8, MADE_BASE + g, 8);
	made_poke(m, g + l->g.stack, MADE_BASE + made_stack(i), 8);
	made_poke(m, g + l->g.stack + 8, MADE_BASE + made_stack(i) + STACK, 8);
	made_poke(m, g + l->g.sched + l->gobuf.g, MADE_BASE + g, 8);
	made_poke(m, g + l->g.sched + l->gobuf.sp, MADE_BASE + sp, 8);
	made_poke(m, g + l->g.sched + l->gobuf.pc, entry + 4, 8);
	made_poke(m, g + l->g.atomicstatus, status, 4);
	made_poke(m, g + l->g.waitreason, reason, 1);
	made_poke(m, g + l->g.goid, 100 + i, 8);
	made_poke(m, g + l->g.gopc, entry + 4, 8);
	made_poke(m, g + l->g.startpc, entry, 8);
	made_poke(m, sp, made_entry(m, SAMPLE_GOEXIT) + 1, 8);
	return g;
}

/* --- what the runtime records --- */

uint64_t made_bucket(struct made_runtime *m, uint64_t kind, uint64_t size, uint64_t at)
{
	static const enum uw_goglobal heads[] = {0, UW_GLOBAL_MBUCKETS, UW_GLOBAL_BBUCKETS,
						 UW_GLOBAL_XBUCKETS};
	uint64_t b = BUCKETS + m->nbuckets++ * BUCKET;
	uint64_t next = 0;

	assert_true(m->nbuckets <= MAX_BUCKETS);
	if (m->globals.var[heads[kind]].addr)
		memcpy(&next, m->bytes + (m->globals.var[heads[kind]].addr - MADE_BASE), 8);
	made_poke(m, b + 8, next, 8);
	made_poke(m, b + 16, kind, 8);
	made_poke(m, b + 32, size, 8);
	made_poke(m, b + 40, 2, 8);
	made_poke(m, b + 48, made_entry(m, SAMPLE_MAIN) + at + 1, 8);
	made_poke(m, b + 56, made_entry(m, SAMPLE_GOEXIT) + 1, 8);
	made_variable(m, heads[kind], MADE_BASE + b);
	return b + 64;
}

uint64_t made_thread(struct made_runtime *m)
{
	const struct uw_golayout *l = m->l;
	uint64_t at = MS + m->nthreads++ * M_SIZE, next = 0;

	assert_true(m->nthreads <= MAX_THREADS);
	if (m->globals.var[UW_GLOBAL_ALLM].addr)
		memcpy(&next, m->bytes + (m->globals.var[UW_GLOBAL_ALLM].addr - MADE_BASE), 8);
	made_poke(m, at + l->m.alllink, next, 8);
	made_poke(m, at + l->m.createstack, made_entry(m, SAMPLE_MAIN) + 5, 8);
	made_poke(m, at + l->m.createstack + 8, made_entry(m, SAMPLE_GOEXIT) + 1, 8);
	made_variable(m, UW_GLOBAL_ALLM, MADE_BASE + at);
	return at;
}

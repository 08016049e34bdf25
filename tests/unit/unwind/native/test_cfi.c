/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks of stacks whose truth is known: this program's own, and those of tests/targets/c_deep,
 * taken by perf_event_open with a copy of the top of the stack.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "arch.h"
#include "cfi.h"
#include "elfsym.h"
#include "maps.h"
#include "mem.h"
#include "unit_test.h"

enum {
	MAX_MAPS = 64,
	MAX_PCS = 128,
	STACK = 16 * 1024,
	RING_PAGES = 512,
	SAMPLES = 1500,
};

static const char *target, *plugin;

/* --- an address space ------------------------------------------------------------ */

struct map {
	uint64_t start, end, bias;
	struct uw_elf *elf;
	struct uw_eh_frame *tables;
	struct uw_elfsym *sym;
};

struct space {
	pid_t pid;
	struct map maps[MAX_MAPS];
	size_t n;
	const char *stop_at; /* ops.stop says true in this function */
};

/* The vDSO is no file: its image is in the target's memory. */
static int vdso_fd(pid_t pid, const struct uw_map *m)
{
	struct uw_mem mem = uw_mem_process(pid);
	size_t len = m->end - m->start;
	int fd = memfd_create("vdso", MFD_CLOEXEC);
	char *buf = malloc(len);

	assert_non_null(buf);
	assert_true(fd >= 0);
	assert_int_equal(uw_read(&mem, m->start, buf, len), 0);
	assert_int_equal(write(fd, buf, len), (ssize_t)len);
	free(buf);
	return fd;
}

static int add_map(void *ctx, const struct uw_map *m)
{
	struct space *s = ctx;
	struct map *out = &s->maps[s->n];
	int fd;

	if (!(m->prot & PROT_EXEC) || s->n == MAX_MAPS)
		return 0;
	if (m->inode)
		fd = open(m->path, O_RDONLY | O_CLOEXEC);
	else if (strcmp(m->path, "[vdso]") == 0)
		fd = vdso_fd(s->pid, m);
	else
		return 0;
	if (fd < 0 || uw_elf_open(fd, &out->elf, NULL) < 0)
		return 0;
	assert_true(uw_elf_bias(out->elf, m->start, m->offset, &out->bias));
	assert_int_equal(uw_eh_frame_new(out->elf, &out->tables), 0);
	assert_int_equal(uw_elfsym_new(out->elf, m->path, &out->sym), 0);
	out->start = m->start;
	out->end = m->end;
	s->n++;
	return 0;
}

static void open_space(struct space *s, pid_t pid)
{
	char path[64];
	int fd;

	*s = (struct space){.pid = pid};
	snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(uw_maps_read(fd, add_map, s), 0);
	close(fd);
}

static void close_space(struct space *s)
{
	for (size_t i = 0; i < s->n; i++) {
		uw_elfsym_free(s->maps[i].sym);
		uw_eh_frame_free(s->maps[i].tables);
		uw_elf_free(s->maps[i].elf);
	}
}

static const struct map *map_at(const struct space *s, uint64_t pc)
{
	for (size_t i = 0; i < s->n; i++) {
		if (pc >= s->maps[i].start && pc < s->maps[i].end)
			return &s->maps[i];
	}
	return NULL;
}

static bool find(void *ctx, uint64_t pc, struct uw_eh_frame **tables, uint64_t *bias)
{
	const struct map *m = map_at(ctx, pc);

	if (!m)
		return false;
	*tables = m->tables;
	*bias = m->bias;
	return true;
}

static const char *name_of(const struct space *s, uint64_t pc)
{
	const struct map *m = map_at(s, pc);
	struct uw_frame f[UW_MAX_INLINE];
	size_t n = m ? uw_elfsym_frames(m->sym, pc - m->bias, f, UW_MAX_INLINE) : 0;

	return n ? f[n - 1].name : "?";
}

static bool stop(void *ctx, uint64_t pc)
{
	const struct space *s = ctx;

	return s->stop_at && strcmp(name_of(s, pc), s->stop_at) == 0;
}

static struct uw_cfi *new_cfi(struct space *s)
{
	struct uw_cfi_ops ops = {.find = find, .stop = stop, .ctx = s};
	struct uw_cfi *c;

	assert_int_equal(uw_cfi_new(&ops, &c), 0);
	return c;
}

/* --- this program ---------------------------------------------------------------- */

#if defined(__x86_64__)
static struct uw_regs own_regs(const ucontext_t *u)
{
	const greg_t *g = u->uc_mcontext.gregs;

	return (struct uw_regs){
		.bx = (uint64_t)g[REG_RBX],
		.bp = (uint64_t)g[REG_RBP],
		.sp = (uint64_t)g[REG_RSP],
		.ip = (uint64_t)g[REG_RIP],
		.r12 = (uint64_t)g[REG_R12],
		.r13 = (uint64_t)g[REG_R13],
		.r14 = (uint64_t)g[REG_R14],
		.r15 = (uint64_t)g[REG_R15],
	};
}
#endif

struct walk {
	struct space *space;
	struct uw_cfi *cfi;
	struct uw_mem mem;
	struct uw_regs regs;
	uint64_t pcs[MAX_PCS];
	size_t n, max;
	enum uw_cfi_end end;
};

static struct walk *own;

__attribute__((noinline)) static void own_leaf(void)
{
	ucontext_t u;

	getcontext(&u);
	own->regs = own_regs(&u);
	own->end = uw_cfi_walk(own->cfi, &own->regs, &own->mem, own->pcs, own->max, &own->n);
}

__attribute__((noinline)) static void own_middle(volatile int *x)
{
	own_leaf();
	*x += 1;
}

__attribute__((noinline)) static void own_outer(void)
{
	volatile int x = 0;

	own_middle(&x);
	x++;
}

static void start_own(struct walk *w, struct space *s)
{
	open_space(s, getpid());
	*w = (struct walk){.space = s, .max = MAX_PCS};
	w->mem = uw_mem_process(getpid());
	w->cfi = new_cfi(s);
	own = w;
}

static void stop_own(struct walk *w)
{
	uw_cfi_free(w->cfi);
	close_space(w->space);
}

TEST(own_stack_to_its_root)
{
	struct space s;
	struct walk w;
	const char *last;

	start_own(&w, &s);
	for (int again = 0; again < 2; again++) {
		own_outer();
		assert_int_equal(w.end, UW_CFI_ROOT);
		assert_true(w.n > 5);
		assert_string_equal(name_of(&s, w.pcs[0]), "own_leaf");
		assert_string_equal(name_of(&s, w.pcs[1] - 1), "own_middle");
		assert_string_equal(name_of(&s, w.pcs[2] - 1), "own_outer");
		last = name_of(&s, w.pcs[w.n - 1] - 1);
		assert_string_equal(last, "_start");
		assert_string_equal(name_of(&s, w.pcs[w.n - 4] - 1), "main");
		uw_cfi_enter(w.cfi, uw_arch_host(), 1);
	}
	stop_own(&w);
}

TEST(the_owner_can_stop_it)
{
	struct space s;
	struct walk w;

	start_own(&w, &s);
	s.stop_at = "own_outer";
	own_outer();
	assert_int_equal(w.end, UW_CFI_STOPPED);
	assert_int_equal(w.n, 2);
	assert_string_equal(name_of(&s, w.regs.ip - 1), "own_outer");
	stop_own(&w);
}

TEST(limits_and_missing_parts)
{
	struct uw_mem_bytes none = {0};
	struct uw_regs nowhere = {.ip = 0, .sp = 4096};
	struct space s;
	struct walk w;

	start_own(&w, &s);
	w.max = 2;
	own_outer();
	assert_int_equal(w.end, UW_CFI_LIMIT);
	assert_int_equal(w.n, 2);
	w.max = MAX_PCS;
	w.mem = uw_mem_bytes(&none);
	own_outer();
	assert_int_equal(w.end, UW_CFI_NO_MEM);
	assert_int_equal(w.n, 1);
	assert_int_equal(uw_cfi_walk(w.cfi, &nowhere, &w.mem, w.pcs, MAX_PCS, &w.n),
			 UW_CFI_NO_TABLE);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.pcs[0], 0);
	assert_int_equal(nowhere.sp, 4096);
	stop_own(&w);
}

/* A copy of a file, with bytes changed in a section; until good_file() the walk sees this one. */
struct damage {
	struct map *m;
	struct uw_elf *good, *bad;
	struct uw_eh_frame *good_tables;
	char *image;
};

static void start_damage(struct damage *d, struct space *s)
{
	d->m = (struct map *)map_at(s, (uintptr_t)own_leaf);
	d->good = d->m->elf;
	d->good_tables = d->m->tables;
	d->image = malloc(d->good->size);
	assert_non_null(d->image);
	memcpy(d->image, d->good->bytes, d->good->size);
}

static void bad_file(struct damage *d)
{
	int fd = memfd_create("damaged", MFD_CLOEXEC);

	assert_int_equal(write(fd, d->image, d->good->size), (ssize_t)d->good->size);
	assert_int_equal(uw_elf_open(fd, &d->bad, NULL), 0);
	d->m->elf = d->bad;
	assert_int_equal(uw_eh_frame_new(d->bad, &d->m->tables), 0);
}

static void good_file(struct damage *d)
{
	uw_eh_frame_free(d->m->tables);
	uw_elf_free(d->bad);
	d->m->elf = d->good;
	d->m->tables = d->good_tables;
}

/* Whatever the tables say, the walk ends. */
TEST(damaged_tables)
{
	struct uw_section sec;
	struct damage d;
	struct space s;
	struct walk w;
	unsigned seed = 1;

	start_own(&w, &s);
	start_damage(&d, &s);
	for (int round = 0; round < 300; round++) {
		memcpy(d.image, d.good->bytes, d.good->size);
		assert_true(
			uw_elf_section(d.good, round % 4 ? ".eh_frame" : ".eh_frame_hdr", &sec));
		for (int i = 0; i < (round % 2 ? 2000 : 20); i++)
			d.image[sec.offset + (size_t)rand_r(&seed) % sec.size] = (char)rand_r(
				&seed);
		if (round % 3 == 0 && uw_elf_section(d.good, ".eh_frame_hdr", &sec))
			d.image[sec.offset] = 99; /* so that the table must be made */
		bad_file(&d);
		uw_cfi_enter(w.cfi, uw_arch_host(), 2u + (unsigned)round);
		own_outer();
		assert_true(w.n >= 1);
		good_file(&d);
	}
	uw_cfi_enter(w.cfi, uw_arch_host(), 1);
	own_outer();
	assert_int_equal(w.end, UW_CFI_ROOT);
	free(d.image);
	stop_own(&w);
}

/* A file without a search table gives the same walk: one is made. */
TEST(without_a_search_table)
{
	struct uw_section sec;
	uint64_t with[MAX_PCS];
	struct damage d;
	struct space s;
	struct walk w;
	size_t n;

	start_own(&w, &s);
	own_outer();
	n = w.n;
	memcpy(with, w.pcs, sizeof with);
	start_damage(&d, &s);
	assert_true(uw_elf_section(d.good, ".eh_frame_hdr", &sec));
	d.image[sec.offset] = 99; /* its version */
	bad_file(&d);
	uw_cfi_enter(w.cfi, uw_arch_host(), 1);
	own_outer();
	assert_int_equal(w.end, UW_CFI_ROOT);
	assert_int_equal(w.n, n);
	/* The call in this function is another one. */
	assert_memory_equal(w.pcs, with, 3 * sizeof *with);
	assert_memory_equal(w.pcs + 4, with + 4, (n - 4) * sizeof *with);
	good_file(&d);
	free(d.image);
	stop_own(&w);
}

/* A stub of the linkage table that no unwind table describes, as lld writes them. */
TEST(a_stub_without_a_table)
{
	const struct uw_section *plt = NULL;
	uint64_t word = 0x1234, pc;
	struct uw_mem_bytes bytes = {0x10000, &word, sizeof word, NULL};
	struct uw_mem mem = uw_mem_bytes(&bytes);
	struct uw_regs regs = {.sp = 0x10000};
	struct uw_section hdr, frame;
	struct damage d;
	struct space s;
	struct walk w;

	start_own(&w, &s);
	start_damage(&d, &s);
	for (size_t i = 0; i < d.good->nsections; i++) {
		if (strncmp(d.good->sections[i].name, ".plt", 4) == 0)
			plt = &d.good->sections[i];
	}
	if (!plt || !uw_elf_section(d.good, ".eh_frame_hdr", &hdr) ||
	    !uw_elf_section(d.good, ".eh_frame", &frame)) {
		stop_own(&w);
		free(d.image);
		skip();
		return;
	}
	d.image[hdr.offset] = 99; /* its version */
	memset(d.image + frame.offset, 0, frame.size);
	bad_file(&d);
	uw_cfi_enter(w.cfi, uw_arch_host(), 1);
	pc = plt->vaddr + plt->size - (plt->size > 16 ? 16 : 8) + d.m->bias;
	regs.ip = pc;
	assert_int_equal(uw_cfi_walk(w.cfi, &regs, &mem, w.pcs, MAX_PCS, &w.n), UW_CFI_NO_TABLE);
	assert_int_equal(w.n, 2);
	assert_int_equal(w.pcs[0], pc);
	assert_int_equal(w.pcs[1], 0x1234);
	assert_int_equal(regs.ip, 0x1234);
	assert_int_equal(regs.sp, 0x10008);
	/* Anywhere else nothing is guessed. */
	regs = (struct uw_regs){.ip = (uintptr_t)own_leaf, .sp = 0x10000};
	assert_int_equal(uw_cfi_walk(w.cfi, &regs, &mem, w.pcs, MAX_PCS, &w.n), UW_CFI_NO_TABLE);
	assert_int_equal(w.n, 1);
	good_file(&d);
	free(d.image);
	stop_own(&w);
}

/*
 * A small address space without tables: code at 0x400000, a stack at 0x10000. Function F at +0x100
 * is called by G at +0x200: from +0x205 directly, from +0x222 by a pointer. No code is there; what
 * it would be, call() says.
 */
enum {
	CODE = 0x400000,
	F = CODE + 0x100,
	G = CODE + 0x200,
	BY_NAME = CODE + 0x205,
	BY_POINTER = CODE + 0x222
};

static bool find_bare(void *ctx, uint64_t pc, struct uw_eh_frame **tables, uint64_t *bias)
{
	*tables = ctx;
	*bias = 0;
	return pc >= CODE && pc < CODE + 0x1000;
}

static bool never(void *ctx, uint64_t pc)
{
	return false;
}

static uint64_t bare_start(void *ctx, uint64_t pc)
{
	return pc >= F && pc < G ? F : pc >= G ? G : 0;
}

static enum uw_cfi_call bare_call(void *ctx, uint64_t ret, uint64_t *callee)
{
	*callee = F;
	return ret == BY_NAME      ? UW_CFI_CALL_TO
	       : ret == BY_POINTER ? UW_CFI_CALL_SOMEWHERE
				   : UW_CFI_NO_CALL;
}

struct bare {
	uint8_t code[0x1000];
	struct uw_segment seg;
	struct uw_elf elf;
	struct uw_eh_frame *tables;
	struct uw_cfi *cfi;
	uint64_t stack[256];
	struct uw_mem_bytes bytes;
	struct uw_mem mem;
};

static void start_bare(struct bare *b)
{
	struct uw_cfi_ops ops = {
		.find = find_bare, .stop = never, .call = bare_call, .start = bare_start};

	memset(b, 0, sizeof *b);
	b->seg = (struct uw_segment){CODE, sizeof b->code, 0, sizeof b->code, 5};
	b->elf = (struct uw_elf){.bytes = b->code,
				 .size = sizeof b->code,
				 .machine = 62,
				 .nsegs = 1,
				 .segs = &b->seg};
	assert_int_equal(uw_eh_frame_new(&b->elf, &b->tables), 0);
	ops.ctx = b->tables;
	assert_int_equal(uw_cfi_new(&ops, &b->cfi), 0);
	b->bytes = (struct uw_mem_bytes){0x10000, b->stack, sizeof b->stack, NULL};
	b->mem = uw_mem_bytes(&b->bytes);
}

static void stop_bare(struct bare *b)
{
	uw_cfi_free(b->cfi);
	uw_eh_frame_free(b->tables);
}

TEST(frame_pointers_where_no_table_is)
{
	struct uw_regs in_f = {.ip = F + 9, .sp = 0x10000, .bp = 0x10040}, r = in_f;
	uint64_t pcs[MAX_PCS];
	struct bare b;
	size_t n;

	start_bare(&b);
	/* The frame pointer leads to the call of F: nothing is missing. */
	b.stack[0] = 1;
	b.stack[8] = 0x10080;
	b.stack[9] = BY_NAME;
	assert_int_equal(uw_cfi_walk(b.cfi, &r, &b.mem, pcs, MAX_PCS, &n), UW_CFI_NO_TABLE);
	assert_int_equal(n, 2);
	assert_int_equal(pcs[1], BY_NAME);
	assert_int_equal(r.sp, 0x10050);
	assert_int_equal(r.bp, 0x10080);
	/* An indirect call: the frames of F and of others may be missing. */
	b.stack[9] = BY_POINTER;
	r = in_f;
	assert_int_equal(uw_cfi_walk(b.cfi, &r, &b.mem, pcs, MAX_PCS, &n), UW_CFI_NO_TABLE);
	assert_int_equal(n, 3);
	assert_int_equal(pcs[1], 0);
	assert_int_equal(pcs[2], BY_POINTER);
	/* The next frame is at a call of F again, but it is G that runs there. */
	b.stack[9] = BY_NAME;
	b.stack[16] = 0x100c0;
	b.stack[17] = BY_NAME;
	r = in_f;
	assert_int_equal(uw_cfi_walk(b.cfi, &r, &b.mem, pcs, MAX_PCS, &n), UW_CFI_NO_TABLE);
	assert_int_equal(n, 4);
	assert_int_equal(pcs[1], BY_NAME);
	assert_int_equal(pcs[2], 0);
	assert_int_equal(pcs[3], BY_NAME);
	/* The return address on top of the stack, before F has a frame. */
	b.stack[0] = BY_NAME;
	r = (struct uw_regs){.ip = F, .sp = 0x10000, .bp = 0x10040};
	assert_int_equal(uw_cfi_walk(b.cfi, &r, &b.mem, pcs, 2, &n), UW_CFI_LIMIT);
	assert_int_equal(pcs[1], BY_NAME);
	assert_int_equal(r.bp, 0x10080);
	/* No call before it, an odd or a distant frame pointer, one below the stack pointer. */
	b.stack[0] = 1;
	b.stack[9] = F + 7;
	r = in_f;
	assert_int_equal(uw_cfi_walk(b.cfi, &r, &b.mem, pcs, MAX_PCS, &n), UW_CFI_NO_TABLE);
	assert_int_equal(n, 1);
	for (size_t i = 0; i < 3; i++) {
		static const uint64_t wrong[] = {0x10041, 0x10000000, 0xfff8};

		r = in_f;
		r.bp = wrong[i];
		assert_int_equal(uw_cfi_walk(b.cfi, &r, &b.mem, pcs, MAX_PCS, &n), UW_CFI_NO_TABLE);
		assert_int_equal(n, 1);
	}
	stop_bare(&b);
}

/* Where a handler of musl returns to: the kernel's record of what was interrupted is on the stack.
 */
TEST(a_handler_of_another_libc)
{
	static const uint8_t restorer[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05};
	struct uw_regs r = {.ip = F, .sp = 0x10000};
	uint64_t pcs[MAX_PCS];
	struct bare b;
	size_t n;

	start_bare(&b);
	memcpy(b.code + 0x100, restorer, sizeof restorer);
	b.stack[5 + 4] = 12;            /* R12 */
	b.stack[5 + 10] = 0x10200;      /* BP */
	b.stack[5 + 15] = 0x10180;      /* SP */
	b.stack[5 + 16] = CODE + 0x300; /* IP */
	assert_int_equal(uw_cfi_walk(b.cfi, &r, &b.mem, pcs, MAX_PCS, &n), UW_CFI_NO_TABLE);
	assert_int_equal(n, 2);
	assert_int_equal(pcs[1], CODE + 0x300 + 1);
	assert_int_equal(r.sp, 0x10180);
	assert_int_equal(r.bp, 0x10200);
	assert_int_equal(r.r12, 12);
	stop_bare(&b);
}

/* --- c_deep ---------------------------------------------------------------------- */

struct sample { /* PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER */
	struct uw_regs regs;
	const uint8_t *stack;
	size_t stack_len;
};

struct ring {
	int fd;
	struct perf_event_mmap_page *page;
	uint8_t *data;
	size_t size;
};

static bool open_ring(struct ring *r, pid_t pid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof attr,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 997000,
		.sample_type = PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.exclude_kernel = 1,
		.sample_regs_user = uw_arch_perf_regs(),
		.sample_stack_user = STACK,
	};

	r->fd = (int)syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (r->fd < 0)
		return false;
	r->size = RING_PAGES * 4096;
	r->page = mmap(NULL, r->size + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (r->page == MAP_FAILED) {
		close(r->fd);
		return false;
	}
	r->data = (uint8_t *)r->page + 4096;
	return true;
}

static void close_ring(struct ring *r)
{
	munmap(r->page, r->size + 4096);
	close(r->fd);
}

/* The next sample, copied to buf; false when the ring is empty. */
static bool next_sample(struct ring *r, uint8_t *buf, struct sample *s)
{
	for (;;) {
		uint64_t head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);
		uint64_t tail = r->page->data_tail, abi, words[UW_REGS_COUNT], size, used;
		struct perf_event_header h;
		const uint8_t *p = buf + sizeof h;

		if (head == tail)
			return false;
		for (size_t i = 0; i < sizeof h; i++)
			buf[i] = r->data[(tail + i) % r->size];
		memcpy(&h, buf, sizeof h);
		for (size_t i = sizeof h; i < h.size; i++)
			buf[i] = r->data[(tail + i) % r->size];
		__atomic_store_n(&r->page->data_tail, tail + h.size, __ATOMIC_RELEASE);
		if (h.type != PERF_RECORD_SAMPLE)
			continue;
		memcpy(&abi, p, 8);
		if (abi == 0)
			continue;
		memcpy(words, p + 8, sizeof words);
		p += 8 + sizeof words;
		memcpy(&size, p, 8);
		memcpy(&used, p + 8 + size, 8);
		s->regs = (struct uw_regs){words[0], words[1], words[2], words[3],
					   words[4], words[5], words[6], words[7]};
		s->stack = p + 8;
		s->stack_len = used < size ? used : size;
		return true;
	}
}

static pid_t start_target(const char *mode)
{
	int fds[2];
	char line[8];
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], STDOUT_FILENO);
		execl(target, target, plugin, mode, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], line, sizeof line), 6);
	close(fds[0]);
	return pid;
}

static void stop_target(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* What may stand at a place of the chain, outermost first. */
static const char *const chain[] = {
	"_start",  "*",      "main",   "plug_enter", "plug_0", "plug_1",    "plug_2",
	"plug_3",  "plug_4", "plug_5", "plug_6",     "plug_7", "sort_some", "*",
	"compare", "leaf_0", "leaf_1", "leaf_2",     "leaf_3", "leaf_4",    "leaf_5",
	"leaf_6",  "leaf_7", "spin",   "*",
};
#define CHAIN (sizeof chain / sizeof *chain)

static bool known_name(const char *name)
{
	for (size_t i = 0; i < CHAIN; i++) {
		if (strcmp(chain[i], name) == 0)
			return true;
	}
	return strncmp(name, "handler_", 8) == 0 || strcmp(name, "on_signal") == 0;
}

/* names[0] is the leaf. "*" matches any frames of libc or the vDSO, also for none. */
static bool chain_is_right(const char *const *names, size_t n)
{
	static const char *const handler[] = {"on_signal", "handler_0", "handler_1", "spin", "*"};
	const char *const *want = chain;
	size_t at = 0, len = CHAIN;

	for (size_t i = n; i-- > 0;) {
		if (at < len && strcmp(want[at], names[i]) == 0) {
			at++;
			continue;
		}
		if (at < len && at > 0 && strcmp(want[at], "*") == 0) {
			if (!known_name(names[i]))
				continue;
			at++;
			i++;
			continue;
		}
		/* From anywhere in it, through the trampoline, into the handler. */
		if (want == chain && i > 0 && strcmp(names[i - 1], "on_signal") == 0 &&
		    !known_name(names[i])) {
			want = handler;
			len = sizeof handler / sizeof *handler;
			at = 0;
			continue;
		}
		if (want == chain && strcmp(names[i], "on_signal") == 0) {
			want = handler;
			len = sizeof handler / sizeof *handler;
			at = 1;
			continue;
		}
		/* PLT stubs have no symbol. */
		if (i == 0 && strcmp(names[i], "?") == 0)
			continue;
		return false;
	}
	return true;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void follow(const char *mode)
{
	static double times[SAMPLES];
	static uint8_t buf[1 << 16];
	size_t got = 0, right = 0, frames = 0, in_handler = 0;
	double deadline = now_us() + 30e6;
	struct uw_cfi *c;
	struct space s;
	struct ring r = {0};
	pid_t pid = start_target(mode);

	if (!open_ring(&r, pid)) {
		stop_target(pid);
		skip();
		return;
	}
	open_space(&s, pid);
	c = new_cfi(&s);
	while (got < SAMPLES && now_us() < deadline) {
		const char *names[MAX_PCS];
		uint64_t pcs[MAX_PCS];
		enum uw_cfi_end end;
		struct sample sample;
		size_t n;
		bool ok;

		if (!next_sample(&r, buf, &sample)) {
			usleep(20000);
			continue;
		}
		struct uw_mem_bytes bytes = {sample.regs.sp, sample.stack, sample.stack_len, NULL};
		struct uw_mem mem = uw_mem_bytes(&bytes);

		times[got] = now_us();
		end = uw_cfi_walk(c, &sample.regs, &mem, pcs, MAX_PCS, &n);
		times[got] = now_us() - times[got];
		for (size_t i = 0; i < n; i++) {
			names[i] = name_of(&s, i == 0 ? pcs[i] : pcs[i] - 1);
			in_handler += strcmp(names[i], "on_signal") == 0;
		}
		ok = end == UW_CFI_ROOT && chain_is_right(names, n);
		if (!ok && got - right < 5) {
			print_message("# end %d after %zu frames:", (int)end, n);
			for (size_t i = 0; i < n; i++)
				print_message(" %s", names[i]);
			print_message("\n");
		}
		right += ok;
		frames += n;
		got++;
	}
	stop_target(pid);
	qsort(times, got, sizeof *times, by_value);
	assert_true(got > 100);
	print_message("# %zu of %zu stacks right, %.1f frames, %zu through a signal; "
		      "p50 %.1f us, p99 %.1f us\n",
		      right, got, (double)frames / (double)got, in_handler, times[got / 2],
		      times[got * 99 / 100]);
	assert_true(right * 1000 >= got * 995);
	/* How many is a matter of timers; some there must be for the test to mean anything. */
	assert_true(!mode || in_handler >= 10);
	uw_cfi_free(c);
	close_space(&s);
	close_ring(&r);
}

TEST(a_deep_c_program)
{
	follow(NULL);
}

TEST(through_a_signal_handler)
{
	follow("signal");
}

static const char *needs(void)
{
	if (!unit_test_args[0] || !unit_test_args[1])
		return "no program of C was given";
	target = unit_test_args[0];
	plugin = unit_test_args[1];
	return NULL;
}

TEST_NEEDS(needs);

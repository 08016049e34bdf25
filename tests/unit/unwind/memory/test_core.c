/* SPDX-License-Identifier: Apache-2.0 */
/* Core files made here: as the kernel's, as gcore's, damaged, cut short, and of another program. */
#include <stddef.h>
#include <stdint.h>

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "build_core.h"
#include "core.h"
#include "core_space.h"
#include "sample_go.h"
#include "unit_test.h"

enum {
	PAGE = 4096,
	LINKED = 0x400000, /* of the sample program */
	DATA = 0x10000000,
	HEAP = 0x20000000,
	STACK = 0x30000000,
	TID = 4711,
};

static uint8_t data[2 * PAGE];

static void fill_data(void)
{
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
}

static int open_built(const struct build_core *what, size_t cut, struct uw_core **ret)
{
	struct built_core b = build_core(what);
	struct uw_diag diag = {0};
	int r = uw_core_open(built_core_fd(&b, b.size - cut), ret, &diag);

	if (r < 0)
		assert_non_null(diag.what);
	built_core_fini(&b);
	return r;
}

/* Two threads; memory that is there, that is left out, and that is there in part. */
static struct build_core plain(void)
{
	fill_data();
	return (struct build_core){
		.comm = "sample",
		.pid = TID,
		.entry = 0x401000,
		.vdso = 0x7fff0000,
		.threads =
			{{.tid = TID, .regs = {1, 2, 3, 4, 5, 6, 7, 8}, .fs_base = 9, .signal = 6},
			 {.tid = TID + 1, .regs = {11, 12, 13, 14, 15, 16, 17, 18}}},
		.files = {{0x400000, 0x401000, 0, "/bin/sample"},
			  {0x401000, 0x403000, PAGE, "/bin/sample (deleted)"}},
		.segments = {{DATA, 2 * PAGE, PF_R | PF_W, data, 2 * PAGE},
			     {DATA + 2 * PAGE, PAGE, PF_R, data, PAGE},
			     {HEAP, 4 * PAGE, PF_R | PF_W, data, PAGE},
			     {STACK, PAGE, 0, NULL, 0}},
	};
}

/* --- what a core says --- */

static void check_facts(bool gcore)
{
	struct build_core what = plain();
	const struct uw_core_file *f;
	struct uw_core *c;

	what.gcore = gcore;
	assert_int_equal(open_built(&what, 0, &c), 0);
	assert_int_equal(c->machine, EM_X86_64);
	assert_int_equal(c->pid, TID);
	assert_string_equal(c->comm, "sample");
	assert_int_equal(c->signal, 6);
	assert_int_equal(c->entry, 0x401000);
	assert_int_equal(c->vdso, 0x7fff0000);
	assert_int_equal(c->memory, 4 * PAGE);
	assert_int_equal(c->missing, 0);
	assert_int_equal(c->bad_notes, 0);
	assert_int_equal(c->nthreads, 2);
	assert_int_equal(c->threads[0].tid, TID);
	assert_true(c->threads[0].has_regs);
	assert_memory_equal(&c->threads[0].regs, &what.threads[0].regs, sizeof(struct uw_regs));
	assert_int_equal(c->threads[0].fs_base, 9);
	assert_int_equal(c->threads[1].tid, TID + 1);
	assert_memory_equal(&c->threads[1].regs, &what.threads[1].regs, sizeof(struct uw_regs));
	assert_ptr_equal(uw_core_thread(c, TID + 1), &c->threads[1]);
	assert_null(uw_core_thread(c, TID + 2));
	assert_int_equal(c->nfiles, 2);
	f = uw_core_file_at(c, 0x402fff);
	assert_non_null(f);
	assert_string_equal(f->path, "/bin/sample");
	assert_true(f->deleted);
	assert_int_equal(f->offset, PAGE);
	assert_false(c->files[0].deleted);
	assert_null(uw_core_file_at(c, 0x403000));
	uw_core_free(c);
}

TEST(test_facts)
{
	check_facts(false);
	check_facts(true);
}

TEST(test_files_are_sorted)
{
	struct build_core what = plain();
	struct uw_core *c;

	what.files[2] = (struct build_core_file){0x300000, 0x301000, 0, "/lib/first"};
	assert_int_equal(open_built(&what, 0, &c), 0);
	assert_int_equal(c->nfiles, 3);
	assert_string_equal(c->files[0].path, "/lib/first");
	uw_core_free(c);
}

/* Without the note of the process its first thread gives the pid; a name may be too long. */
TEST(test_process)
{
	struct build_core what = plain();
	struct uw_core *c;

	what.comm = NULL;
	assert_int_equal(open_built(&what, 0, &c), 0);
	assert_int_equal(c->pid, TID);
	assert_string_equal(c->comm, "");
	uw_core_free(c);
	what.comm = "sixteen-letters."; /* as gcore has it */
	assert_int_equal(open_built(&what, 0, &c), 0);
	assert_string_equal(c->comm, "sixteen-letters");
	uw_core_free(c);
}

TEST(test_arm64)
{
	struct build_core what = plain();
	struct uw_core *c;

	what.machine = EM_AARCH64;
	assert_int_equal(open_built(&what, 0, &c), 0);
	assert_int_equal(c->nthreads, 2);
	assert_false(c->threads[0].has_regs);
	uw_core_free(c);
}

/* --- memory --- */

TEST(test_memory)
{
	struct build_core what = plain();
	uint8_t buf[4 * PAGE];
	struct uw_core *c;
	struct uw_mem m;

	assert_int_equal(open_built(&what, 0, &c), 0);
	m = uw_core_mem(c);
	assert_int_equal(uw_read(&m, DATA + 5, buf, 100), 0);
	assert_memory_equal(buf, data + 5, 100);
	assert_int_equal(uw_read(&m, DATA, buf, 0), 0);
	/* across two neighbours */
	assert_int_equal(uw_read(&m, DATA + 2 * PAGE - 8, buf, 16), 0);
	assert_memory_equal(buf, data + 2 * PAGE - 8, 8);
	assert_memory_equal(buf + 8, data, 8);
	assert_int_equal(uw_read(&m, DATA, buf, 3 * PAGE), 0);
	/* to its end and not one byte further */
	assert_int_equal(uw_read(&m, DATA + 3 * PAGE - 1, buf, 1), 0);
	assert_int_equal(uw_read(&m, DATA + 3 * PAGE - 1, buf, 2), -EFAULT);
	assert_int_equal(uw_read(&m, DATA - 1, buf, 2), -EFAULT);
	uw_core_free(c);
}

/* What is left out is unknown: it must never read as zeros. */
TEST(test_left_out)
{
	struct build_core what = plain();
	uint8_t buf[PAGE];
	struct uw_core *c;
	struct uw_mem m;

	assert_int_equal(open_built(&what, 0, &c), 0);
	m = uw_core_mem(c);
	assert_int_equal(uw_read(&m, HEAP, buf, PAGE), 0);
	assert_int_equal(uw_read(&m, HEAP + PAGE, buf, 1), -EFAULT);
	assert_int_equal(uw_read(&m, HEAP + PAGE - 1, buf, 2), -EFAULT);
	assert_int_equal(uw_read(&m, STACK, buf, 8), -EFAULT);
	assert_int_equal(uw_read(&m, UINT64_MAX - 3, buf, 8), -EFAULT);
	assert_int_equal(uw_core_room(c, HEAP + 8, 2 * PAGE), PAGE - 8);
	assert_int_equal(uw_core_room(c, HEAP + PAGE, PAGE), 0);
	assert_int_equal(uw_core_flags(c, HEAP + PAGE), PF_R | PF_W);
	assert_int_equal(uw_core_flags(c, STACK), 0);
	assert_int_equal(uw_core_flags(c, STACK + PAGE), 0);
	uw_core_free(c);
}

/* --- damage --- */

TEST(test_cut_short)
{
	struct build_core what = plain();
	struct uw_core *c;
	uint8_t buf[8];
	struct uw_mem m;

	/* In the last segment that has bytes. */
	assert_int_equal(open_built(&what, 100, &c), 0);
	m = uw_core_mem(c);
	assert_int_equal(c->missing, 100);
	assert_int_equal(c->memory, 4 * PAGE - 100);
	assert_int_equal(uw_read(&m, HEAP + PAGE - 108, buf, 8), 0);
	assert_int_equal(uw_read(&m, HEAP + PAGE - 107, buf, 8), -EFAULT);
	uw_core_free(c);
}

/* Every length: it opens or it doesn't, and what is read is what was written. */
TEST(test_every_length)
{
	struct build_core what = plain();
	struct built_core b = build_core(&what);
	size_t opened = 0;

	for (size_t len = 0; len <= b.size; len += len < b.memory_at ? 1 : 509) {
		struct uw_core *c;
		uint8_t buf[PAGE];
		struct uw_mem m;

		if (uw_core_open(built_core_fd(&b, len), &c, NULL) < 0)
			continue;
		opened++;
		assert_true(c->missing + c->memory >= 4 * PAGE);
		m = uw_core_mem(c);
		if (uw_read(&m, DATA + 100, buf, 64) == 0)
			assert_memory_equal(buf, data + 100, 64);
		uw_core_free(c);
	}
	assert_true(opened > 100);
	built_core_fini(&b);
}

static void check_refused(uint16_t machine, uint16_t type, int error)
{
	struct build_core what = plain();
	struct uw_core *c;

	what.machine = machine;
	what.type = type;
	assert_int_equal(open_built(&what, 0, &c), error);
}

TEST(test_refused)
{
	struct build_core what = plain();
	struct built_core b;
	struct uw_core *c;

	check_refused(EM_X86_64, ET_EXEC, -EINVAL);
	check_refused(EM_X86_64, ET_DYN, -EINVAL);
	check_refused(EM_386, ET_CORE, -ENOTSUP);
	what.segments[1].start -= 1; /* two truths of one byte */
	assert_int_equal(open_built(&what, 0, &c), -EBADMSG);
	what = plain();
	b = build_core(&what);
	b.bytes[EI_CLASS] = ELFCLASS32;
	assert_true(uw_core_open(built_core_fd(&b, b.size), &c, NULL) < 0);
	memcpy(b.bytes, "#!/bin/sh\n", 10);
	assert_int_equal(uw_core_open(built_core_fd(&b, b.size), &c, NULL), -ENOEXEC);
	assert_int_equal(uw_core_open(built_core_fd(&b, 0), &c, NULL), -ENOEXEC);
	built_core_fini(&b);
}

/* Each word of the headers and notes in turn becomes something else. */
TEST(test_changed_words)
{
	static const uint32_t values[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff};
	struct build_core what = plain();
	struct built_core b = build_core(&what);

	for (size_t at = 0; at < b.memory_at; at += 4) {
		uint32_t old;

		memcpy(&old, b.bytes + at, sizeof old);
		for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
			struct uw_core *c;
			uint8_t buf[32];
			struct uw_mem m;

			memcpy(b.bytes + at, &values[i], sizeof old);
			if (uw_core_open(built_core_fd(&b, b.size), &c, NULL) < 0)
				continue;
			m = uw_core_mem(c);
			uw_read(&m, DATA, buf, sizeof buf);
			uw_read(&m, HEAP + PAGE - 16, buf, sizeof buf);
			uw_core_free(c);
		}
		memcpy(b.bytes + at, &old, sizeof old);
	}
	built_core_fini(&b);
}

/* A thread's note that is too short for its registers: left out, counted, the others stay. */
TEST(test_short_note)
{
	struct build_core what = plain();
	struct built_core b = build_core(&what);
	uint32_t shorter = 64;
	struct uw_core *c;

	/* The second thread's note is the last one. */
	memcpy(b.bytes + b.notes_at + b.notes_size - 336 - 16, &shorter, sizeof shorter);
	assert_int_equal(uw_core_open(built_core_fd(&b, b.size), &c, NULL), 0);
	assert_int_equal(c->nthreads, 1);
	assert_true(c->bad_notes >= 1);
	uw_core_free(c);
	built_core_fini(&b);
}

TEST(test_wrong_count_of_files)
{
	struct build_core what = plain();
	struct built_core b = build_core(&what);
	const uint64_t counts[] = {3, 1000, UINT64_MAX / 24, UINT64_MAX};
	uint8_t *note = memmem(b.bytes, b.size, &(uint32_t){NT_FILE}, 4);

	assert_non_null(note);
	for (size_t i = 0; i < 4; i++) {
		struct uw_core *c;

		memcpy(note + 12, &counts[i], 8);
		assert_int_equal(uw_core_open(built_core_fd(&b, b.size), &c, NULL), 0);
		assert_int_equal(c->nfiles, 0);
		assert_int_equal(c->bad_notes, 1);
		assert_int_equal(c->nthreads, 2);
		uw_core_free(c);
	}
	built_core_fini(&b);
}

/* Headers that all lead to the same notes cost no more than a file could have. */
TEST(test_notes_over_and_over)
{
	enum { HEADERS = 1000, EACH = 100 << 20 };
	int fd = memfd_create("core", MFD_CLOEXEC);
	Elf64_Ehdr eh = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				     EV_CURRENT},
			 .e_type = ET_CORE,
			 .e_machine = EM_X86_64,
			 .e_version = EV_CURRENT,
			 .e_ehsize = sizeof eh,
			 .e_phoff = sizeof eh,
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = HEADERS};
	Elf64_Phdr ph = {.p_type = PT_NOTE, .p_offset = 1 << 20, .p_filesz = EACH, .p_align = 4};
	Elf64_Nhdr note = {.n_descsz = EACH - sizeof note};
	struct uw_core *c;

	assert_int_equal(write(fd, &eh, sizeof eh), sizeof eh);
	for (int i = 0; i < HEADERS; i++)
		assert_int_equal(write(fd, &ph, sizeof ph), sizeof ph);
	assert_int_equal(pwrite(fd, &note, sizeof note, 1 << 20), sizeof note);
	assert_int_equal(ftruncate(fd, (1 << 20) + EACH), 0);
	assert_int_equal(uw_core_open(fd, &c, NULL), 0);
	assert_int_equal(c->bad_notes, HEADERS - 2);
	uw_core_free(c);
}

/* --- the space of a Go program --- */

enum how { HELD, FIRST_PAGE, LEFT_OUT };

struct program {
	struct sample_go sample;
	struct built_go go;
	char path[64]; /* a name of the open file */
	int fd;
	uint64_t bias;
	uint8_t *memory; /* writable data, as it was in the process */
	struct build_core what;
	/* opened */
	struct uw_core *core;
	struct uw_binaries files;
	struct uw_space space;
	struct uw_core_load load;
};

static const struct uw_golayout *newest(void)
{
	return &uw_golayouts[uw_golayouts_count - 1];
}

static uint64_t page_up(uint64_t v)
{
	return (v + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

/* The program is mapped as its three segments say; of the first two the core has what `how` says.
 */
static void make_program(struct program *p, uint64_t bias, enum how how)
{
	uint64_t at[4], size[3], start = LINKED + bias;
	Elf64_Phdr ph[3];

	memset(p, 0, sizeof *p);
	sample_go_init(&p->sample, newest(), "go1.27.0");
	p->sample.go.pointers = bias ? BUILD_ZERO : BUILD_LINKED;
	p->go = build_go(&p->sample.go);
	p->fd = built_go_fd(&p->go);
	snprintf(p->path, sizeof p->path, "/proc/self/fd/%d", p->fd);
	p->bias = bias;
	memcpy(ph, p->go.bytes + sizeof(Elf64_Ehdr), sizeof ph);
	for (size_t i = 0; i < 3; i++) {
		at[i] = ph[i].p_offset & ~(uint64_t)(PAGE - 1);
		size[i] = page_up(ph[i].p_offset + ph[i].p_filesz) - at[i];
	}
	p->memory = calloc(1, size[2] + PAGE);
	if (bias) {
		struct build_go loaded = p->sample.go;
		struct built_go b;

		loaded.pointers = BUILD_LOADED;
		loaded.bias = bias;
		b = build_go(&loaded);
		memcpy(p->memory, b.bytes + at[2], ph[2].p_filesz);
		built_go_fini(&b);
	} else {
		memcpy(p->memory, p->go.bytes + at[2], ph[2].p_filesz);
	}
	p->what = (struct build_core){
		.comm = "sample", .pid = TID, .entry = start + 0x1000, .threads = {{.tid = TID}}};
	for (size_t i = 0; i < 3; i++) {
		p->what.files[i] = (struct build_core_file){start + at[i], start + at[i] + size[i],
							    at[i], p->path};
		p->what.segments[i] = (struct build_core_segment){start + at[i], size[i],
								  ph[i].p_flags, NULL, 0};
		if (how == HELD || i == 2 || (how == FIRST_PAGE && i == 0)) {
			p->what.segments[i].bytes = i == 2 ? p->memory : p->go.bytes + at[i];
			p->what.segments[i].held = how == HELD || i == 2 ? size[i] : PAGE;
		}
	}
}

static int load_program(struct program *p, const char *exe)
{
	int r;

	assert_int_equal(open_built(&p->what, 0, &p->core), 0);
	uw_space_init(&p->space, &p->files, 0);
	r = uw_space_load_core(&p->space, p->core, exe, &p->load);
	uw_space_go(&p->space);
	return r;
}

static void unload_program(struct program *p)
{
	uw_space_fini(&p->space);
	uw_core_free(p->core);
	uw_binaries_fini(&p->files);
	p->files = (struct uw_binaries){0};
}

static void free_program(struct program *p)
{
	close(p->fd);
	free(p->memory);
	built_go_fini(&p->go);
}

static void check_program(uint64_t bias, enum how how)
{
	struct program p;
	uint64_t word;

	make_program(&p, bias, how);
	assert_int_equal(load_program(&p, NULL), 0);
	assert_true(p.load.proved == (how != LEFT_OUT));
	assert_string_equal(p.load.exe, p.path);
	assert_int_equal(p.load.missing + p.load.changed, 0);
	assert_non_null(p.space.exe);
	assert_int_equal(uw_space_check_go(&p.space, &p.space.live), 0);
	assert_int_equal(p.space.go_bias, bias);
	assert_int_equal(p.space.n, 1); /* executable ones */
	/* The pclntab lies in pages that a kernel's core leaves out. */
	assert_int_equal(uw_read_u64(&p.space.live, p.go.header + bias, &word), 0);
	assert_memory_equal(&word, p.go.bytes + p.go.header_at, 8);
	/* moduledata comes from the core. */
	assert_int_equal(uw_read_u64(&p.space.live, p.go.moduledata + bias, &word), 0);
	assert_int_equal(word, p.go.header + bias);
	unload_program(&p);
	free_program(&p);
}

TEST(test_program)
{
	check_program(0, HELD);
	check_program(0, FIRST_PAGE);
	check_program(0, LEFT_OUT);
	check_program(0x7f0000000000, FIRST_PAGE);
	check_program(0x7f0000000000, LEFT_OUT);
}

/* gcore has no segment at all for what it leaves out. */
TEST(test_no_segment)
{
	struct program p;
	uint64_t word;

	make_program(&p, 0, LEFT_OUT);
	p.what.gcore = true;
	p.what.segments[0] = p.what.segments[2];
	p.what.segments[1] = (struct build_core_segment){0};
	assert_int_equal(load_program(&p, NULL), 0);
	assert_int_equal(uw_space_check_go(&p.space, &p.space.live), 0);
	assert_int_equal(p.space.n, 1);
	assert_int_equal(uw_read_u64(&p.space.live, p.go.header, &word), 0);
	unload_program(&p);
	free_program(&p);
}

/* What could be written to is not taken from the file when the core left it out. */
TEST(test_writable_is_unknown)
{
	struct program p;
	uint64_t word;

	make_program(&p, 0, FIRST_PAGE);
	p.what.segments[2].bytes = NULL;
	assert_int_equal(load_program(&p, NULL), 0);
	assert_int_equal(uw_read_u64(&p.space.live, p.go.moduledata, &word), -EFAULT);
	assert_int_equal(uw_space_check_go(&p.space, &p.space.live), -ENODATA);
	unload_program(&p);
	/* Not even when it was made read-only later: the loader may have filled it in. */
	p.what.segments[2].flags = PF_R;
	assert_int_equal(load_program(&p, NULL), 0);
	assert_int_equal(uw_read_u64(&p.space.live, p.go.moduledata, &word), -EFAULT);
	unload_program(&p);
	free_program(&p);
}

TEST(test_exe)
{
	struct program p;
	char real[64];

	make_program(&p, 0, FIRST_PAGE);
	strcpy(real, p.path);
	strcpy(p.path, "/nowhere/at/all");
	assert_int_equal(load_program(&p, NULL), -ENOENT);
	assert_string_equal(p.load.exe, "/nowhere/at/all");
	unload_program(&p);
	assert_int_equal(load_program(&p, real), 0);
	assert_string_equal(p.load.exe, real);
	assert_string_equal(p.space.exe->path, "/nowhere/at/all");
	assert_int_equal(uw_space_check_go(&p.space, &p.space.live), 0);
	unload_program(&p);
	free_program(&p);
}

/* Another program: by a byte of the first page, by its tables, by its kind. */
TEST(test_other_program)
{
	struct program p;

	make_program(&p, 0, FIRST_PAGE);
	assert_int_equal(pwrite(p.fd, "x", 1, PAGE - 1), 1);
	assert_int_equal(load_program(&p, NULL), -ESTALE);
	unload_program(&p);
	assert_int_equal(load_program(&p, "/etc/passwd"), -ENOEXEC);
	unload_program(&p);
	assert_int_equal(load_program(&p, "/dev/null"), -EINVAL);
	unload_program(&p);
	free_program(&p);

	make_program(&p, 0, LEFT_OUT); /* nothing to compare but moduledata */
	p.memory[p.go.moduledata_at % PAGE + newest()->module.maxpc] ^= 1;
	assert_int_equal(load_program(&p, NULL), 0);
	assert_int_equal(uw_space_check_go(&p.space, &p.space.live), -ESTALE);
	unload_program(&p);
	free_program(&p);

	make_program(&p, 0, LEFT_OUT);
	p.what.machine = EM_AARCH64;
	assert_int_equal(load_program(&p, NULL), -ESTALE);
	unload_program(&p);
	free_program(&p);
}

TEST(test_no_names)
{
	struct program p;

	make_program(&p, 0, FIRST_PAGE);
	p.what.files[0].path = NULL;
	assert_int_equal(load_program(&p, NULL), -ENODATA);
	unload_program(&p);
	p.what.files[0].path = p.path;
	p.what.entry = 0;
	assert_int_equal(load_program(&p, NULL), -ENODATA);
	unload_program(&p);
	free_program(&p);
}

/* Libraries: one that is away, one that is no longer the same, data files, code made at run time.
 */
TEST(test_other_files)
{
	struct program p, lib;
	struct uw_mapping *m;
	uint64_t at = 0x7f1000000000;

	make_program(&p, 0, FIRST_PAGE);
	make_program(&lib, 0, FIRST_PAGE);
	data[0] = 0; /* not an ELF header */
	p.what.files[3] = (struct build_core_file){at, at + PAGE, 0, "/lib/away.so"};
	p.what.segments[3] = (struct build_core_segment){at, PAGE, PF_R | PF_X, NULL, 0};
	at += 0x100000;
	p.what.files[4] = (struct build_core_file){at, at + PAGE, 0, lib.path};
	p.what.segments[4] = (struct build_core_segment){at, PAGE, PF_R | PF_X, data, PAGE};
	at += 0x100000;
	p.what.files[5] = (struct build_core_file){at, at + PAGE, 0, "/var/data.db"};
	p.what.segments[5] = (struct build_core_segment){at, PAGE, PF_R, NULL, 0};
	at += 0x100000;
	p.what.segments[6] = (struct build_core_segment){at, PAGE, PF_R | PF_X, data, PAGE};
	assert_int_equal(load_program(&p, NULL), 0);
	assert_int_equal(p.load.missing, 1);
	assert_string_equal(p.load.first_missing, "/lib/away.so");
	assert_int_equal(p.load.changed, 1);
	assert_string_equal(p.load.first_changed, lib.path);
	assert_int_equal(p.space.n, 4);
	m = uw_space_at(&p.space, 0x7f1000000000);
	assert_non_null(m);
	assert_string_equal(m->bin->path, "/lib/away.so");
	assert_null(uw_binary_elf(m->bin));
	m = uw_space_at(&p.space, at);
	assert_non_null(m);
	assert_null(m->bin);
	unload_program(&p);
	free_program(&p);
	free_program(&lib);
}

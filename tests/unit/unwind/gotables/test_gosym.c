/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gobuild.h"
#include "gosym.h"
#include "sample_go.h"
#include "unit_test.h"

static const struct uw_golayout *layout(int minor)
{
	return uw_golayout_for(minor, 99);
}

static const char *version_of(const struct uw_golayout *l)
{
	static char text[32];

	snprintf(text, sizeof text, "go1.%d.%d", l->minor, l->patch);
	return text;
}

/* A built binary, opened. */
struct opened {
	struct built_go built;
	struct uw_elf *elf;
	struct uw_go *go;
	struct uw_diag diag;
	int r;
};

static struct opened open_built(struct built_go built, const struct uw_mem *live, uint64_t bias)
{
	struct opened o = {.built = built, .elf = built_go_elf(&built)};

	assert_non_null(o.elf);
	o.r = uw_go_open(o.elf, live, bias, &o.go, &o.diag);
	return o;
}

static struct opened open_sample(const struct sample_go *s)
{
	return open_built(build_go(&s->go), NULL, 0);
}

static void close_built(struct opened *o)
{
	uw_go_free(o->go);
	uw_elf_free(o->elf);
	built_go_fini(&o->built);
}

static void check_frame(const struct uw_go_frame *f, const char *name, const char *file, int line,
			int start_line)
{
	assert_string_equal(f->frame.name, name);
	assert_ptr_equal(f->frame.readable, f->frame.name);
	if (file)
		assert_string_equal(f->frame.file, file);
	else
		assert_null(f->frame.file);
	assert_int_equal(f->frame.line, line);
	assert_int_equal(f->frame.start_line, start_line);
}

static struct uw_go_func func_at(const struct uw_go *go, uint64_t pc)
{
	struct uw_go_func f;

	assert_true(uw_go_func_at(go, pc, &f));
	return f;
}

static void check_functions(const struct opened *o)
{
	const struct uw_golayout *l = uw_go_layout(o->go);
	const uint64_t *e = o->built.entries;
	uint64_t lo, hi;
	struct uw_go_func f;

	uw_go_text(o->go, &lo, &hi);
	assert_int_equal(lo, e[0]);
	assert_int_equal(hi, e[SAMPLE_NFUNCS]);
	assert_int_equal(uw_go_nfuncs(o->go), SAMPLE_NFUNCS);
	assert_int_equal(uw_go_moduledata(o->go), o->built.moduledata);
	assert_false(uw_go_func_at(o->go, lo - 1, &f));
	assert_false(uw_go_func_at(o->go, hi, &f));
	for (size_t i = 0; i < SAMPLE_NFUNCS; i++) {
		f = func_at(o->go, e[i]);
		assert_int_equal(f.index, i);
		assert_int_equal(f.entry, e[i]);
		assert_int_equal(f.end, e[i] + 64);
		assert_int_equal(func_at(o->go, e[i] + 63).index, i);
	}
	f = func_at(o->go, e[SAMPLE_MAIN]);
	assert_string_equal(uw_go_func_name(o->go, &f), "main.main");
	assert_int_equal(f.special, UW_GO_NORMAL);
	f = func_at(o->go, e[SAMPLE_GOEXIT]);
	assert_int_equal(f.special, UW_GO_GOEXIT);
	assert_int_equal(f.flags, l->func.flag == UW_GO_NONE ? UW_GO_TOPFRAME : 5);
	f = func_at(o->go, e[SAMPLE_SYSTEMSTACK_WRAPPER]);
	assert_true(f.wrapper);
	assert_int_equal(f.special, UW_GO_NORMAL);
	assert_true(uw_go_func_named(o->go, "runtime.systemstack", &f));
	assert_int_equal(f.index, SAMPLE_SYSTEMSTACK);
	assert_int_equal(f.special, UW_GO_SYSTEMSTACK);
	assert_false(uw_go_func_named(o->go, "runtime.system", &f));
}

static void check_stack_depth(const struct opened *o)
{
	uint64_t at = o->built.entries[SAMPLE_MAIN];
	struct uw_go_func f = func_at(o->go, at);

	assert_int_equal(uw_go_sp_delta(o->go, &f, at), 0);
	assert_int_equal(uw_go_sp_delta(o->go, &f, at + 7), 0);
	assert_int_equal(uw_go_sp_delta(o->go, &f, at + 8), 24);
	assert_int_equal(uw_go_sp_delta(o->go, &f, at + 55), 24);
	assert_int_equal(uw_go_sp_delta(o->go, &f, at + 56), 0);
	assert_int_equal(uw_go_sp_delta(o->go, &f, at + 64), -1);
	assert_int_equal(uw_go_sp_delta(o->go, &f, at - 1), -1);
	at = o->built.entries[SAMPLE_PADDED];
	f = func_at(o->go, at);
	assert_int_equal(uw_go_sp_delta(o->go, &f, at), -1);
}

static void check_frames(const struct opened *o)
{
	const struct uw_golayout *l = uw_go_layout(o->go);
	bool starts = l->inl.start_line != UW_GO_NONE;
	uint64_t at = o->built.entries[SAMPLE_MAIN];
	struct uw_go_func f = func_at(o->go, at);
	struct uw_go_frame frames[4];

	assert_int_equal(uw_go_frames(o->go, &f, at + 8, frames, 4), 1);
	check_frame(&frames[0], "main.main", "/src/main.go", 12, 10);
	assert_int_equal(frames[0].frame.func, at);
	assert_int_equal(uw_go_frames(o->go, &f, at + 18, frames, 4), 2);
	check_frame(&frames[0], "lib.outer", "/src/lib.go", 70, starts ? 69 : 0);
	check_frame(&frames[1], "main.main", "/src/main.go", 12, 10);
	assert_int_equal(uw_go_frames(o->go, &f, at + 24, frames, 4), 3);
	check_frame(&frames[0], "lib.inner", "/src/lib.go", 71, starts ? 7 : 0);
	check_frame(&frames[1], "lib.outer", "/src/lib.go", 70, starts ? 69 : 0);
	check_frame(&frames[2], "main.main", "/src/main.go", 12, 10);
	assert_true(frames[0].wrapper);
	assert_false(frames[1].wrapper);
	assert_int_equal(frames[0].frame.func, at);
	/* no room: the physical function is the one that is kept */
	assert_int_equal(uw_go_frames(o->go, &f, at + 24, frames, 1), 1);
	assert_string_equal(frames[0].frame.name, "main.main");
	assert_int_equal(uw_go_frames(o->go, &f, at + 24, frames, 0), 0);
	/* behind the last instruction nothing is known but the function */
	at = o->built.entries[SAMPLE_PADDED];
	f = func_at(o->go, at);
	assert_int_equal(uw_go_frames(o->go, &f, at + 40, frames, 4), 1);
	check_frame(&frames[0], "lib.padded", NULL, 0, 9);
}

static void check_build(const struct opened *o)
{
	size_t len;
	const char *mod = uw_go_modinfo(o->go, &len);

	assert_string_equal(uw_go_version(o->go), version_of(uw_go_layout(o->go)));
	assert_int_equal(uw_go_minor(o->go), uw_go_layout(o->go)->minor);
	assert_false(uw_go_guessed(o->go));
	assert_int_equal(len, strlen("path\tmain\nmod\tmain\t(devel)\t\n"));
	assert_memory_equal(mod, "path\tmain\n", 10);
}

static int cmp_frames(const struct uw_go_frame *a, const struct uw_go_frame *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].pc != b[i].pc || a[i].wrapper != b[i].wrapper ||
		    a[i].frame.name != b[i].frame.name || a[i].frame.file != b[i].frame.file ||
		    a[i].frame.line != b[i].frame.line || a[i].frame.func != b[i].frame.func ||
		    a[i].frame.start_line != b[i].frame.start_line)
			return 1;
	return 0;
}

/* A cursor changes nothing, in whatever order addresses come. */
static void check_cursor(const struct opened *o)
{
	static struct uw_go_frame frames[UW_MAX_INLINE], near[UW_MAX_INLINE];
	uint64_t first = o->built.entries[0], last = o->built.entries[SAMPLE_NFUNCS];
	uint64_t span = (last > first ? last - first : 0) + 64;
	struct uw_go_cursor c = {0};

	for (uint64_t i = 0; i < 4 * span; i++) {
		uint64_t step = i % span;
		uint64_t at = i < span ? step : i < 2 * span ? span - step : step * 7919 % span;
		uint64_t pc = first - 32 + at;
		struct uw_go_func f;
		size_t n = uw_go_func_at(o->go, pc, &f)
				   ? uw_go_frames(o->go, &f, pc, frames, UW_MAX_INLINE)
				   : 0;

		assert_int_equal(uw_go_frames_at(o->go, pc, &c, near, UW_MAX_INLINE), n);
		assert_int_equal(cmp_frames(frames, near, n), 0);
	}
}

static void check_all(const struct opened *o)
{
	assert_int_equal(o->r, 0);
	check_build(o);
	check_functions(o);
	check_stack_depth(o);
	check_frames(o);
	check_cursor(o);
}

/* Each row, with and without section headers, on both machines. */
TEST(reads_every_version)
{
	static const uint16_t machines[] = {EM_X86_64, EM_AARCH64};

	for (size_t i = 0; i < uw_golayouts_count * 4; i++) {
		const struct uw_golayout *l = &uw_golayouts[i / 4];
		struct sample_go s;
		struct opened o;

		sample_go_init(&s, l, version_of(l));
		s.go.machine = machines[i & 1];
		s.go.sections = i & 2;
		o = open_sample(&s);
		check_all(&o);
		close_built(&o);
	}
}

/* Pointers left to the loader: nothing in the file, all in memory. */
TEST(reads_loaded_pointers)
{
	for (size_t i = 0; i < uw_golayouts_count * 2; i++) {
		const struct uw_golayout *l = &uw_golayouts[i / 2];
		struct loaded_go loaded = {.bias = 0x7f0000000000};
		struct uw_mem mem = loaded_go_mem(&loaded);
		struct built_go memory;
		struct sample_go s;
		struct opened o;

		sample_go_init(&s, l, version_of(l));
		s.go.sections = i & 1;
		s.go.bias = loaded.bias;
		s.go.pointers = BUILD_LOADED;
		memory = build_go(&s.go);
		loaded.file = &memory;
		s.go.pointers = BUILD_ZERO;
		s.go.pclntab_section = ".data.rel.ro";
		o = open_built(build_go(&s.go), NULL, 0);
		assert_int_equal(o.r, -EBADMSG);
		close_built(&o);
		o = open_built(build_go(&s.go), &mem, loaded.bias);
		check_all(&o);
		close_built(&o);
		built_go_fini(&memory);
	}
}

/* A position-independent file whose linker left link-time addresses in place needs no memory. */
TEST(prefers_the_file)
{
	struct loaded_go loaded = {.bias = 0x7f0000000000};
	struct uw_mem mem = loaded_go_mem(&loaded);
	struct sample_go s;
	struct opened o;

	sample_go_init(&s, layout(24), "go1.24.0");
	o = open_built(build_go(&s.go), &mem, loaded.bias);
	check_all(&o);
	assert_int_equal(loaded.reads, 0);
	close_built(&o);
}

TEST(knows_text_sections)
{
	for (size_t i = 0; i < uw_golayouts_count; i++) {
		const struct uw_golayout *l = &uw_golayouts[i];
		struct uw_go_func f;
		struct sample_go s;
		struct opened o;
		uint64_t gap;

		sample_go_init(&s, l, version_of(l));
		s.go.second_sect = SAMPLE_SYSTEMSTACK;
		o = open_sample(&s);
		assert_int_equal(o.r, 0);
		for (size_t k = 0; k < SAMPLE_NFUNCS; k++) {
			f = func_at(o.go, o.built.entries[k]);
			assert_int_equal(f.index, k);
			assert_int_equal(f.entry, o.built.entries[k]);
		}
		if (l->pc_size == 4) {
			gap = o.built.entries[SAMPLE_SYSTEMSTACK] - 16;
			assert_false(uw_go_func_at(o.go, gap, &f));
		}
		f = func_at(o.go, o.built.entries[SAMPLE_SYSTEMSTACK] + 5);
		assert_int_equal(uw_go_sp_delta(o.go, &f, f.entry + 5), 8);
		close_built(&o);
	}
}

TEST(uses_the_newest_row_for_newer)
{
	const struct uw_golayout *l = &uw_golayouts[uw_golayouts_count - 1];
	struct sample_go s;
	struct opened o;

	sample_go_init(&s, l, "go1.98.1 X:something");
	/* a function id was added: all behind it moved by one */
	s.funcs[SAMPLE_SYSTEMSTACK].id++;
	s.funcs[SAMPLE_SYSTEMSTACK_WRAPPER].id++;
	o = open_sample(&s);
	assert_int_equal(o.r, 0);
	assert_true(uw_go_guessed(o.go));
	assert_int_equal(uw_go_minor(o.go), 98);
	assert_ptr_equal(uw_go_layout(o.go), l);
	assert_true(func_at(o.go, o.built.entries[SAMPLE_SYSTEMSTACK_WRAPPER]).wrapper);
	close_built(&o);

	/* and one whose moduledata is another one is refused */
	sample_go_init(&s, layout(22), "go1.98.1");
	o = open_sample(&s);
	assert_int_equal(o.r, -EBADMSG);
	assert_string_equal(o.diag.what, "moduledata");
	close_built(&o);
}

/* Without build information the row is chosen by the tables. Rows that differ in nothing here are
 * one. */
TEST(finds_the_row_without_version)
{
	for (size_t i = 0; i < uw_golayouts_count; i++) {
		const struct uw_golayout *l = &uw_golayouts[i], *got;
		struct sample_go s;
		struct opened o;

		sample_go_init(&s, l, NULL);
		s.go.sections = i & 1;
		o = open_sample(&s);
		assert_int_equal(o.r, 0);
		assert_string_equal(uw_go_version(o.go), "");
		got = uw_go_layout(o.go);
		assert_int_equal(got->magic, l->magic);
		assert_int_equal(got->id_wrapper, l->id_wrapper);
		assert_int_equal(got->module.textsectmap, l->module.textsectmap);
		check_functions(&o);
		check_frames(&o);
		close_built(&o);
	}
}

TEST(refuses_old_versions)
{
	static const uint8_t old[] = {0xfb, 0xff, 0xff, 0xff};
	struct built_go built;
	struct sample_go s;
	struct opened o;

	sample_go_init(&s, layout(16), "go1.15.15");
	o = open_sample(&s);
	assert_int_equal(o.r, -ENOTSUP);
	assert_string_equal(o.diag.what, "go1.15 or older");
	close_built(&o);

	sample_go_init(&s, layout(16), NULL);
	built = build_go(&s.go);
	memcpy(built.bytes + built.header_at, old, sizeof old);
	o = open_built(built, NULL, 0);
	assert_int_equal(o.r, -ENOTSUP);
	close_built(&o);
}

TEST(refuses_what_is_not_go)
{
	struct built_go built;
	struct sample_go s;
	struct opened o;

	sample_go_init(&s, layout(24), NULL);
	s.go.sections = false;
	built = build_go(&s.go);
	memset(built.bytes + built.header_at, 0, 8);
	o = open_built(built, NULL, 0);
	assert_int_equal(o.r, -ENOENT);
	close_built(&o);

	/* build information but no tables: Go, and damaged */
	sample_go_init(&s, layout(24), "go1.24.1");
	built = build_go(&s.go);
	memset(built.bytes + built.header_at, 0, 8);
	o = open_built(built, NULL, 0);
	assert_int_equal(o.r, -EBADMSG);
	close_built(&o);
}

TEST(reads_versions)
{
	int minor, patch;

	assert_true(uw_gobuild_version("go1.24.4", &minor, &patch));
	assert_int_equal(minor, 24);
	assert_int_equal(patch, 4);
	assert_true(uw_gobuild_version("go1.22.1 X:nocoverageredesign", &minor, &patch));
	assert_int_equal(minor, 22);
	assert_true(uw_gobuild_version("devel go1.25-abcdef Mon", &minor, &patch));
	assert_int_equal(minor, 25);
	assert_int_equal(patch, 0);
	assert_true(uw_gobuild_version("go1.21rc2", &minor, &patch));
	assert_int_equal(minor, 21);
	assert_true(uw_gobuild_version("go1.99999999999999999999", &minor, &patch));
	assert_false(uw_gobuild_version("devel +0123abc", &minor, &patch));
	assert_false(uw_gobuild_version("go1.", &minor, &patch));
	assert_false(uw_gobuild_version("", &minor, &patch));
}

/* Asks all there is to ask; the answers may be wrong, but not the reads. */
static void ask_everything(const struct opened *o)
{
	static struct uw_go_frame frames[UW_MAX_INLINE];
	uint64_t first = o->built.entries[0], last = o->built.entries[SAMPLE_NFUNCS];
	struct uw_go_func f;
	size_t n, len;

	if (o->r < 0)
		return;
	uw_go_modinfo(o->go, &len);
	uw_go_func_named(o->go, "runtime.goexit", &f);
	for (uint64_t pc = first; pc < last; pc += 3) {
		if (!uw_go_func_at(o->go, pc, &f))
			continue;
		assert_true(f.entry <= pc && pc < f.end);
		uw_go_sp_delta(o->go, &f, pc);
		n = uw_go_frames(o->go, &f, pc, frames, UW_MAX_INLINE);
		assert_true(n >= 1 && n <= UW_MAX_INLINE);
		for (size_t i = 0; i < n; i++) {
			assert_non_null(frames[i].frame.name);
			len = strlen(frames[i].frame.name);
			len += frames[i].frame.file ? strlen(frames[i].frame.file) : 0;
		}
	}
}

static void open_damaged(const struct sample_go *s, size_t at, uint8_t with, size_t size)
{
	struct built_go built = build_go(&s->go);
	struct opened o;

	if (at < built.size)
		built.bytes[at] ^= with;
	if (size < built.size)
		built.size = size;
	o = (struct opened){.built = built, .elf = built_go_elf(&built)};
	if (o.elf) {
		o.r = uw_go_open(o.elf, NULL, 0, &o.go, &o.diag);
		ask_everything(&o);
	}
	close_built(&o);
}

TEST(survives_damage)
{
	static const int minors[] = {16, 19, 24, 27};

	for (size_t i = 0; i < sizeof minors / sizeof minors[0]; i++) {
		struct built_go built;
		struct sample_go s;

		sample_go_init(&s, layout(minors[i]), version_of(layout(minors[i])));
		built = build_go(&s.go);
		for (size_t at = built.header_at - 256; at < built.tables_end; at++)
			open_damaged(&s, at, (uint8_t)(1u << at % 8), SIZE_MAX);
		for (size_t at = built.blob_at; at < built.moduledata_at + 600; at++)
			open_damaged(&s, at, at % 2 ? 0xff : 1, SIZE_MAX);
		for (size_t size = 64; size < built.size; size += 61)
			open_damaged(&s, SIZE_MAX, 0, size);
		built_go_fini(&built);
	}
}

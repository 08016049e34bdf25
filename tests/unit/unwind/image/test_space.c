/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sample_go.h"
#include "space.h"
#include "unit_test.h"

enum { PAGE = 4096, BASE = 0x400000 };

struct fixture {
	struct uw_binaries reg;
	struct uw_space space;
};

static void open_space(struct fixture *f)
{
	f->reg = (struct uw_binaries){0};
	uw_space_init(&f->space, &f->reg, getpid());
}

static void close_space(struct fixture *f)
{
	uw_space_fini(&f->space);
	uw_binaries_fini(&f->reg);
}

/* Mappings of files that can't be opened: known by device and inode. ino 0 is anonymous memory. */
static struct uw_map_event event(uint64_t page, uint64_t pages, uint64_t ino, uint64_t offset)
{
	return (struct uw_map_event){.start = BASE + page * PAGE,
				     .end = BASE + (page + pages) * PAGE,
				     .offset = offset * PAGE,
				     .dev = ino ? 77 : 0,
				     .ino = ino,
				     .path = ino ? "/nowhere/at/all" : ""};
}

static void add(struct uw_space *s, uint64_t page, uint64_t pages, uint64_t ino, uint64_t offset)
{
	struct uw_map_event e = event(page, pages, ino, offset);

	assert_int_equal(uw_space_add(s, &e), 0);
}

static bool conflicts(const struct uw_space *s, uint64_t page, uint64_t pages, uint64_t ino,
		      uint64_t offset)
{
	struct uw_map_event e = event(page, pages, ino, offset);

	return uw_space_conflicts(s, &e);
}

static void check_map(const struct uw_space *s, size_t i, uint64_t page, uint64_t pages,
		      uint64_t ino, uint64_t offset)
{
	const struct uw_mapping *m = &s->maps[i];

	assert_true(i < s->n);
	assert_int_equal(m->start, BASE + page * PAGE);
	assert_int_equal(m->end, BASE + (page + pages) * PAGE);
	if (!ino) {
		assert_null(m->bin);
		return;
	}
	assert_non_null(m->bin);
	assert_int_equal(m->bin->ino, ino);
	assert_int_equal(m->offset, offset * PAGE);
}

/* --- adding and cutting --- */

TEST(test_empty)
{
	struct fixture f;

	open_space(&f);
	assert_null(uw_space_at(&f.space, 0));
	assert_null(uw_space_at(&f.space, BASE));
	assert_null(uw_space_at(&f.space, UINT64_MAX));
	assert_null(uw_space_go(&f.space));
	assert_false(conflicts(&f.space, 0, 100, 1, 0));
	close_space(&f);
}

TEST(test_at)
{
	struct fixture f;

	open_space(&f);
	add(&f.space, 10, 2, 1, 0);
	add(&f.space, 4, 2, 2, 0);
	add(&f.space, 12, 1, 3, 0);
	assert_int_equal(f.space.n, 3);
	check_map(&f.space, 0, 4, 2, 2, 0);
	check_map(&f.space, 1, 10, 2, 1, 0);
	check_map(&f.space, 2, 12, 1, 3, 0);
	assert_null(uw_space_at(&f.space, BASE + 4 * PAGE - 1));
	assert_ptr_equal(uw_space_at(&f.space, BASE + 4 * PAGE), &f.space.maps[0]);
	assert_ptr_equal(uw_space_at(&f.space, BASE + 6 * PAGE - 1), &f.space.maps[0]);
	assert_null(uw_space_at(&f.space, BASE + 6 * PAGE));
	assert_ptr_equal(uw_space_at(&f.space, BASE + 12 * PAGE - 1), &f.space.maps[1]);
	assert_ptr_equal(uw_space_at(&f.space, BASE + 12 * PAGE), &f.space.maps[2]);
	assert_null(uw_space_at(&f.space, BASE + 13 * PAGE));
	close_space(&f);
}

TEST(test_bad_ranges)
{
	struct fixture f;
	struct uw_map_event e = event(4, 0, 1, 0);

	open_space(&f);
	assert_int_equal(uw_space_add(&f.space, &e), -EINVAL);
	e.end = e.start - PAGE;
	assert_int_equal(uw_space_add(&f.space, &e), -EINVAL);
	assert_int_equal(f.space.n, 0);
	e.start = UINT64_MAX - PAGE + 1;
	e.end = UINT64_MAX;
	assert_int_equal(uw_space_add(&f.space, &e), 0);
	assert_non_null(uw_space_at(&f.space, UINT64_MAX - 1));
	close_space(&f);
}

TEST(test_cut_in_two)
{
	struct fixture f;

	open_space(&f);
	add(&f.space, 10, 10, 1, 5);
	add(&f.space, 13, 2, 2, 0);
	assert_int_equal(f.space.n, 3);
	check_map(&f.space, 0, 10, 3, 1, 5);
	check_map(&f.space, 1, 13, 2, 2, 0);
	check_map(&f.space, 2, 15, 5, 1, 10);
	close_space(&f);
}

TEST(test_cut_ends)
{
	struct fixture f;

	open_space(&f);
	add(&f.space, 10, 10, 1, 5);
	add(&f.space, 8, 4, 2, 0);  /* its first two pages */
	add(&f.space, 18, 4, 3, 0); /* its last two */
	assert_int_equal(f.space.n, 3);
	check_map(&f.space, 0, 8, 4, 2, 0);
	check_map(&f.space, 1, 12, 6, 1, 7);
	check_map(&f.space, 2, 18, 4, 3, 0);
	add(&f.space, 6, 20, 4, 0); /* all of it */
	assert_int_equal(f.space.n, 1);
	check_map(&f.space, 0, 6, 20, 4, 0);
	close_space(&f);
}

/* What is known already changes nothing, so that caches stay good. */
TEST(test_again)
{
	struct fixture f;
	uint64_t version;

	open_space(&f);
	add(&f.space, 10, 10, 1, 5);
	add(&f.space, 30, 4, 0, 0);
	version = f.space.version;
	add(&f.space, 10, 10, 1, 5);
	add(&f.space, 12, 3, 1, 7); /* a part, consistent */
	add(&f.space, 31, 1, 0, 0);
	assert_true(f.space.version == version);
	assert_int_equal(f.space.n, 2);
	add(&f.space, 12, 3, 1, 8); /* a part, moved */
	assert_true(f.space.version != version);
	check_map(&f.space, 1, 12, 3, 1, 8);
	close_space(&f);
}

TEST(test_conflicts)
{
	struct fixture f;

	open_space(&f);
	add(&f.space, 10, 10, 1, 5);
	add(&f.space, 30, 4, 0, 0);
	assert_false(conflicts(&f.space, 0, 10, 2, 0));
	assert_false(conflicts(&f.space, 20, 10, 2, 0));
	assert_true(conflicts(&f.space, 9, 2, 2, 0));
	assert_true(conflicts(&f.space, 19, 2, 2, 0));
	assert_true(conflicts(&f.space, 12, 1, 2, 7));
	assert_true(conflicts(&f.space, 0, 100, 1, 0));
	/* The same file at the same offsets is no other meaning, also where the range is larger. */
	assert_false(conflicts(&f.space, 10, 10, 1, 5));
	assert_false(conflicts(&f.space, 15, 1, 1, 10));
	assert_false(conflicts(&f.space, 8, 20, 1, 3));
	assert_true(conflicts(&f.space, 15, 1, 1, 11));
	/* Anonymous over a file, a file over anonymous, anonymous over anonymous. */
	assert_true(conflicts(&f.space, 10, 1, 0, 0));
	assert_true(conflicts(&f.space, 33, 1, 1, 0));
	assert_false(conflicts(&f.space, 29, 10, 0, 0));
	close_space(&f);
}

/* An inode's number means nothing on another device. */
TEST(test_devices)
{
	struct fixture f;
	struct uw_map_event e = event(10, 10, 1, 5);

	open_space(&f);
	add(&f.space, 10, 10, 1, 5);
	e.dev++;
	assert_true(uw_space_conflicts(&f.space, &e));
	assert_int_equal(uw_space_add(&f.space, &e), 0);
	assert_int_equal(f.space.n, 1);
	assert_int_equal(f.space.maps[0].bin->dev, e.dev);
	assert_ptr_not_equal(f.space.maps[0].bin, uw_binary_find(&f.reg, e.dev - 1, 1));
	close_space(&f);
}

TEST(test_clone)
{
	struct fixture f;
	struct uw_space copy, none, copy_of_none;

	open_space(&f);
	add(&f.space, 10, 10, 1, 5);
	assert_int_equal(uw_space_clone(&f.space, &copy), 0);
	assert_true(copy.version != f.space.version);
	add(&copy, 12, 2, 2, 0);
	assert_int_equal(f.space.n, 1);
	check_map(&f.space, 0, 10, 10, 1, 5);
	assert_int_equal(copy.n, 3);
	add(&f.space, 40, 1, 3, 0);
	assert_null(uw_space_at(&copy, BASE + 40 * PAGE));
	assert_true(copy.version != f.space.version);
	uw_space_fini(&copy);
	/* Of nothing, and then filled. */
	uw_space_init(&none, &f.reg, getpid());
	assert_int_equal(uw_space_clone(&none, &copy_of_none), 0);
	for (uint64_t i = 0; i < 100; i++)
		add(&copy_of_none, 2 * i, 1, 1, 0);
	assert_int_equal(copy_of_none.n, 100);
	uw_space_fini(&copy_of_none);
	uw_space_fini(&none);
	close_space(&f);
}

/* --- against a model --- */

enum { MODEL_PAGES = 48, FILES = 3 };

struct model { /* of each page: what is there */
	struct {
		bool mapped;
		uint64_t ino, offset;
	} pages[MODEL_PAGES];
};

static uint64_t rng;

static uint64_t random_below(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static bool model_conflicts(const struct model *m, uint64_t page, uint64_t pages, uint64_t ino,
			    uint64_t offset)
{
	for (uint64_t i = 0; i < pages; i++) {
		if (!m->pages[page + i].mapped)
			continue;
		if (m->pages[page + i].ino != ino ||
		    (ino && m->pages[page + i].offset != offset + i))
			return true;
	}
	return false;
}

static bool model_add(struct model *m, uint64_t page, uint64_t pages, uint64_t ino, uint64_t offset)
{
	struct model before = *m;

	for (uint64_t i = 0; i < pages; i++) {
		m->pages[page + i].mapped = true;
		m->pages[page + i].ino = ino;
		m->pages[page + i].offset = ino ? offset + i : 0;
	}
	return memcmp(&before, m, sizeof before) != 0;
}

static void check_model(struct uw_space *s, const struct model *m)
{
	for (size_t i = 0; i < s->n; i++) {
		assert_true(s->maps[i].start < s->maps[i].end);
		assert_true(i == 0 || s->maps[i - 1].end <= s->maps[i].start);
	}
	assert_true(s->n <= s->cap);
	for (uint64_t i = 0; i < MODEL_PAGES; i++) {
		for (uint64_t pc = BASE + i * PAGE; pc < BASE + (i + 1) * PAGE; pc += PAGE - 1) {
			const struct uw_mapping *at = uw_space_at(s, pc);

			assert_int_equal(at != NULL, m->pages[i].mapped);
			if (!at)
				continue;
			assert_true(at->start <= pc && pc < at->end);
			assert_int_equal(at->bin ? at->bin->ino : 0, m->pages[i].ino);
			if (at->bin)
				assert_int_equal(at->offset + (pc - at->start),
						 m->pages[i].offset * PAGE +
							 (pc - BASE - i * PAGE));
		}
	}
}

TEST(test_model)
{
	for (uint64_t seed = 1; seed <= 150; seed++) {
		struct fixture f;
		struct uw_space other;
		struct model m = {0}, of_other = {0};
		bool has_other = false;

		rng = seed * 0x9e3779b97f4a7c15ull;
		open_space(&f);
		for (int op = 0; op < 60; op++) {
			uint64_t page = random_below(MODEL_PAGES);
			uint64_t pages = 1 + random_below(MODEL_PAGES - page);
			uint64_t ino = random_below(FILES + 1);
			/* Often at the place that the file has elsewhere. */
			uint64_t offset = random_below(3) ? page : random_below(4);
			uint64_t version = f.space.version;
			bool changed;

			if (random_below(2) && pages > 6)
				pages = 1 + random_below(6);
			assert_int_equal(conflicts(&f.space, page, pages, ino, offset),
					 model_conflicts(&m, page, pages, ino, offset));
			add(&f.space, page, pages, ino, offset);
			changed = model_add(&m, page, pages, ino, offset);
			assert_true(!changed || f.space.version != version);
			check_model(&f.space, &m);
			if (op == 30) {
				has_other = true;
				of_other = m;
				assert_int_equal(uw_space_clone(&f.space, &other), 0);
			}
		}
		if (has_other) {
			check_model(&other, &of_other);
			uw_space_fini(&other);
		}
		close_space(&f);
	}
}

/* --- files --- */

/* A Go binary behind a descriptor, mapped by way of its name under /proc. */
struct file {
	struct built_go built;
	int fd;
	struct stat st;
	char path[64];
};

static void open_fd(struct file *f, int fd)
{
	f->fd = fd;
	assert_int_equal(fstat(f->fd, &f->st), 0);
	snprintf(f->path, sizeof f->path, "/proc/%d/fd/%d", (int)getpid(), f->fd);
}

static void open_go(struct file *f, int minor)
{
	struct sample_go sample;
	char version[32];

	snprintf(version, sizeof version, "go1.%d.5", minor);
	sample_go_init(&sample, uw_golayout_for(minor, 5), version);
	f->built = build_go(&sample.go);
	open_fd(f, built_go_fd(&f->built));
}

static void close_file(struct file *f)
{
	built_go_fini(&f->built);
	close(f->fd);
}

static struct uw_map_event text_of(const struct file *f, uint64_t bias)
{
	return (struct uw_map_event){.start = BASE + bias,
				     .end = BASE + bias + 2 * PAGE,
				     .dev = f->st.st_dev,
				     .ino = f->st.st_ino,
				     .path = f->path};
}

TEST(test_go)
{
	struct fixture f;
	struct file go;
	struct uw_map_event e;
	const struct uw_elf *elf;
	uint64_t bias;

	open_go(&go, 22);
	open_space(&f);
	e = text_of(&go, 0x30000);
	assert_int_equal(uw_space_add(&f.space, &e), 0);
	assert_non_null(uw_space_go(&f.space));
	assert_int_equal(f.space.go_bias, 0x30000);
	assert_int_equal(f.space.go_lo, go.built.text + 0x30000);
	assert_int_equal(f.space.go_hi, go.built.entries[SAMPLE_NFUNCS] + 0x30000);
	assert_true(uw_space_elf(&f.space, &f.space.maps[0], &elf, &bias));
	assert_int_equal(bias, 0x30000);
	/* The file is kept: it still resolves when the name is gone. */
	close(go.fd);
	assert_non_null(uw_elf_at(elf, go.built.text, 1));
	go.fd = dup(0);
	close_space(&f);
	close_file(&go);
}

/* The bias of a part that was cut off is that of the whole. */
TEST(test_bias_of_parts)
{
	struct fixture f;
	struct file go;
	struct uw_map_event e;
	struct uw_map_event hole = {.start = BASE + PAGE, .end = BASE + 2 * PAGE, .path = ""};
	const struct uw_elf *elf;
	uint64_t bias;

	for (int asked = 0; asked < 2; asked++) {
		open_go(&go, 22);
		open_space(&f);
		e = text_of(&go, 0);
		e.end += PAGE;
		assert_int_equal(uw_space_add(&f.space, &e), 0);
		if (asked)
			assert_true(uw_space_elf(&f.space, &f.space.maps[0], &elf, &bias));
		assert_int_equal(uw_space_add(&f.space, &hole), 0);
		assert_int_equal(f.space.n, 3);
		assert_false(uw_space_elf(&f.space, &f.space.maps[1], &elf, &bias));
		assert_true(uw_space_elf(&f.space, &f.space.maps[0], &elf, &bias));
		assert_int_equal(bias, 0);
		close_space(&f);
		close_file(&go);
	}
}

/* --- several Go modules --- */

struct two {
	struct fixture f;
	struct file first, second;
};

enum { FIRST_BIAS = 0x30000, SECOND_BIAS = 0x900000 };

static void open_two(struct two *t)
{
	struct uw_map_event e;

	open_go(&t->first, 22);
	open_go(&t->second, 19);
	open_space(&t->f);
	e = text_of(&t->second, SECOND_BIAS);
	assert_int_equal(uw_space_add(&t->f.space, &e), 0);
	e = text_of(&t->first, FIRST_BIAS);
	assert_int_equal(uw_space_add(&t->f.space, &e), 0);
}

static void close_two(struct two *t)
{
	close_space(&t->f);
	close_file(&t->first);
	close_file(&t->second);
}

TEST(test_two_modules)
{
	const struct uw_go_module *m;
	struct uw_space *s;
	struct two t;

	open_two(&t);
	s = &t.f.space;
	assert_non_null(uw_space_go(s));
	assert_int_equal(s->nmods, 2);
	assert_int_equal(s->go_bias, FIRST_BIAS);
	assert_int_equal(uw_space_runtimes(s), 2);
	for (int chosen = 0; chosen < 2; chosen++) {
		uw_space_choose_go(s, uw_space_runtime(s, (size_t)chosen));
		assert_int_equal(s->go_bias, chosen ? SECOND_BIAS : FIRST_BIAS);
		m = uw_space_go_at(s, t.first.built.text + FIRST_BIAS);
		assert_non_null(m);
		assert_int_equal(m->bias, FIRST_BIAS);
		m = uw_space_go_at(s, t.second.built.text + SECOND_BIAS);
		assert_non_null(m);
		assert_int_equal(m->bias, SECOND_BIAS);
		assert_null(uw_space_go_at(s, t.first.built.text + FIRST_BIAS - 1));
		assert_null(uw_space_go_at(s, t.first.built.entries[SAMPLE_NFUNCS] + FIRST_BIAS));
		assert_null(uw_space_go_at(s, t.second.built.entries[SAMPLE_NFUNCS] + SECOND_BIAS));
		assert_null(uw_space_go_at(s, UINT64_MAX));
	}
	close_two(&t);
}

/* moduledata.next of the first one says that the second one is its plugin; a ring says nothing. */
TEST(test_plugin)
{
	for (int ring = 0; ring < 2; ring++) {
		uint64_t next[2];
		struct uw_mem_bytes of_second, of_first;
		struct uw_mem below;
		struct uw_space *s;
		struct two t;

		open_two(&t);
		s = &t.f.space;
		next[0] = t.second.built.moduledata + SECOND_BIAS;
		next[1] = ring ? t.first.built.moduledata + FIRST_BIAS : 0;
		of_second = (struct uw_mem_bytes){.base = next[0] +
							  uw_golayout_for(19, 5)->module.next,
						  .bytes = &next[1],
						  .len = 8};
		below = uw_mem_bytes(&of_second);
		of_first = (struct uw_mem_bytes){.base = t.first.built.moduledata + FIRST_BIAS +
							 uw_golayout_for(22, 5)->module.next,
						 .bytes = &next[0],
						 .len = 8,
						 .below = &below};
		s->live = uw_mem_bytes(&of_first);
		assert_non_null(uw_space_go(s));
		assert_int_equal(s->nmods, 2);
		assert_true(s->mods[0].runtime < 2 && s->mods[1].runtime < 2);
		if (!ring) {
			assert_int_equal(s->mods[0].runtime, 0);
			assert_int_equal(s->mods[1].runtime, 0);
			assert_int_equal(uw_space_runtimes(s), 1);
		}
		close_two(&t);
	}
}

/* Text at the same place of another file can't be both's. */
TEST(test_overlapping_modules)
{
	struct uw_map_event e;
	struct two t;

	open_two(&t);
	e = text_of(&t.second, FIRST_BIAS + 2 * PAGE);
	assert_int_equal(uw_space_add(&t.f.space, &e), 0);
	uw_space_go(&t.f.space);
	for (size_t i = 1; i < t.f.space.nmods; i++)
		assert_true(t.f.space.mods[i - 1].hi <= t.f.space.mods[i].lo);
	close_two(&t);
}

/* --- text in anonymous memory --- */

/* The text is moved: the file knows it as long as all that is compared is the same. */
TEST(test_moved_text)
{
	for (int changed = 0; changed < 3; changed++) {
		struct uw_mem_bytes bytes;
		struct uw_map_event e;
		const struct uw_elf *elf;
		struct fixture f;
		struct file go;
		uint64_t bias = 0;
		bool known;

		open_go(&go, 22);
		open_space(&f);
		e = text_of(&go, 0x30000);
		assert_int_equal(uw_space_add(&f.space, &e), 0);
		bytes = (struct uw_mem_bytes){
			.base = e.start, .bytes = go.built.bytes, .len = go.built.size};
		f.space.live = uw_mem_bytes(&bytes);
		if (changed == 1)
			go.built.bytes[1] ^= 1;
		if (changed == 2) /* none of it can be read */
			bytes.base = 0;
		e.dev = e.ino = 0;
		e.path = "";
		assert_int_equal(uw_space_add(&f.space, &e), 0);
		known = uw_space_elf(&f.space, &f.space.maps[0], &elf, &bias);
		assert_int_equal(known, changed == 0);
		assert_int_equal(uw_space_go(&f.space) != NULL, changed == 0);
		/* The same mapping once more is no other one. */
		assert_false(uw_space_conflicts(&f.space, &e));
		assert_int_equal(f.space.n, 1);
		if (changed == 0)
			assert_int_equal(bias, 0x30000);
		close_space(&f);
		close_file(&go);
	}
}

/* What a program may have its text in, and what not. */
TEST(test_is_anonymous)
{
	assert_true(uw_space_is_anonymous(0, ""));
	assert_true(uw_space_is_anonymous(0, "[anon:text]"));
	assert_true(uw_space_is_anonymous(7, "/memfd:text"));
	assert_true(uw_space_is_anonymous(7, "/anon_hugepage"));
	assert_false(uw_space_is_anonymous(0, "[heap]"));
	assert_false(uw_space_is_anonymous(0, "[vdso]"));
	assert_false(uw_space_is_anonymous(7, "/usr/bin/memfd:"));
}

/* The executable's tables win over those of a library, whatever lies first. */
TEST(test_go_of_the_executable)
{
	for (int exe = 0; exe < 2; exe++) {
		struct fixture f;
		struct file low, high;
		struct uw_map_event a, b;

		open_go(&low, 22);
		open_go(&high, 24);
		open_space(&f);
		a = text_of(&low, 0);
		b = text_of(&high, 0x30000);
		assert_int_equal(uw_space_add(&f.space, &a), 0);
		assert_int_equal(uw_space_add(&f.space, &b), 0);
		f.space.exe = f.space.maps[exe].bin;
		assert_int_equal(uw_go_minor(uw_space_go(&f.space)), exe ? 24 : 22);
		close_space(&f);
		close_file(&low);
		close_file(&high);
	}
}

/* A Go library that is loaded into a running C program. */
TEST(test_go_later)
{
	struct fixture f;
	struct file go;
	struct uw_map_event e;

	open_go(&go, 22);
	open_space(&f);
	add(&f.space, 100, 2, 5, 0);
	assert_null(uw_space_go(&f.space));
	e = text_of(&go, 0);
	assert_int_equal(uw_space_add(&f.space, &e), 0);
	assert_non_null(uw_space_go(&f.space));
	close_space(&f);
	close_file(&go);
}

/* Where another file took the place of Go's text, no address is Go's any more. */
TEST(test_go_is_replaced)
{
	struct fixture f;
	struct file go, next;
	struct uw_map_event e, over;
	struct uw_space image;

	open_go(&go, 22);
	open_go(&next, 24);
	open_space(&f);
	e = text_of(&go, 0);
	assert_int_equal(uw_space_add(&f.space, &e), 0);
	assert_int_equal(uw_go_minor(uw_space_go(&f.space)), 22);
	over = text_of(&next, 0);
	assert_true(uw_space_conflicts(&f.space, &over));
	assert_int_equal(uw_space_clone(&f.space, &image), 0);
	assert_int_equal(uw_space_add(&image, &over), 0);
	assert_int_equal(uw_go_minor(uw_space_go(&image)), 24);
	assert_int_equal(uw_go_minor(uw_space_go(&f.space)), 22);
	over = event(0, 4, 9, 0);
	assert_int_equal(uw_space_add(&image, &over), 0);
	assert_null(uw_space_go(&image));
	uw_space_fini(&image);
	close_space(&f);
	close_file(&go);
	close_file(&next);
}

TEST(test_no_elf)
{
	struct fixture f;
	struct file text = {0};
	struct uw_map_event e;
	const struct uw_elf *elf;
	uint64_t bias;
	int fd = memfd_create("text", MFD_CLOEXEC);

	assert_int_equal(write(fd, "just text", 9), 9);
	open_fd(&text, fd);
	open_space(&f);
	e = text_of(&text, 0);
	assert_int_equal(uw_space_add(&f.space, &e), 0);
	add(&f.space, 50, 1, 0, 0);
	add(&f.space, 60, 1, 8, 0);
	for (size_t i = 0; i < 3; i++)
		assert_false(uw_space_elf(&f.space, &f.space.maps[i], &elf, &bias));
	assert_null(uw_space_go(&f.space));
	close_space(&f);
	close_file(&text);
}

/* A name that another file has taken meanwhile is not the file that was mapped. */
TEST(test_other_file_of_that_name)
{
	struct fixture f;
	struct file go;
	struct uw_map_event e;
	const struct uw_elf *elf;
	uint64_t bias;

	open_go(&go, 22);
	open_space(&f);
	e = text_of(&go, 0);
	e.ino++;
	assert_int_equal(uw_space_add(&f.space, &e), 0);
	assert_non_null(f.space.maps[0].bin); /* known by name */
	assert_string_equal(f.space.maps[0].bin->path, go.path);
	assert_false(uw_space_elf(&f.space, &f.space.maps[0], &elf, &bias));
	close_space(&f);
	close_file(&go);
}

/* One file, mapped by two processes, is opened once. */
TEST(test_shared)
{
	struct fixture f;
	struct uw_space other;
	struct file go;
	struct uw_map_event e;

	open_go(&go, 22);
	open_space(&f);
	uw_space_init(&other, &f.reg, getpid());
	e = text_of(&go, 0);
	assert_int_equal(uw_space_add(&f.space, &e), 0);
	e = text_of(&go, 0x30000);
	assert_int_equal(uw_space_add(&other, &e), 0);
	assert_ptr_equal(other.maps[0].bin, f.space.maps[0].bin);
	assert_ptr_equal(uw_space_go(&other), uw_space_go(&f.space));
	assert_int_equal(other.go_bias, 0x30000);
	assert_int_equal(f.space.go_bias, 0);
	uw_space_fini(&other);
	close_space(&f);
	close_file(&go);
}

/* --- a live process: this one --- */

static void skip_without_vdso(void)
{
	print_message("# skipped: this process has no vDSO (an emulator)\n");
	skip();
}

TEST(test_vdso)
{
	uint64_t at = getauxval(AT_SYSINFO_EHDR);
	struct uw_map_event e = {.start = at, .end = at + 2 * PAGE, .path = "[vdso]"};
	struct fixture f;
	const struct uw_elf *elf;
	uint64_t bias, version;

	if (!at)
		skip_without_vdso();
	open_space(&f);
	assert_int_equal(uw_space_add(&f.space, &e), 0);
	assert_true(f.space.maps[0].vdso);
	assert_true(uw_space_elf(&f.space, &f.space.maps[0], &elf, &bias));
	assert_memory_equal(elf->bytes, (const void *)(uintptr_t)at, 64);
	/* Reported again, it is the same one. */
	version = f.space.version;
	assert_false(uw_space_conflicts(&f.space, &e));
	assert_int_equal(uw_space_add(&f.space, &e), 0);
	assert_true(f.space.version == version);
	e.path = "";
	assert_true(uw_space_conflicts(&f.space, &e));
	close_space(&f);
}

/* Each process has one, they are all the same: one descriptor for all. */
TEST(test_vdso_is_shared)
{
	uint64_t at = getauxval(AT_SYSINFO_EHDR);
	struct uw_map_event e = {.start = at, .end = at + 2 * PAGE, .path = "[vdso]"};
	struct uw_space other, gone;
	struct fixture f;

	if (!at)
		skip_without_vdso();
	open_space(&f);
	uw_space_init(&other, &f.reg, getpid());
	uw_space_init(&gone, &f.reg, 0x7ffffff0);
	assert_int_equal(uw_space_add(&f.space, &e), 0);
	assert_int_equal(uw_space_add(&other, &e), 0);
	assert_ptr_equal(other.maps[0].bin, f.space.maps[0].bin);
	/* One that can't be read any more, elsewhere in its process. */
	e.start += 16 * PAGE;
	e.end += 16 * PAGE;
	assert_int_equal(uw_space_add(&gone, &e), 0);
	assert_ptr_equal(gone.maps[0].bin, f.space.maps[0].bin);
	uw_space_fini(&other);
	uw_space_fini(&gone);
	close_space(&f);
}

TEST(test_vdso_over_anonymous)
{
	uint64_t at = getauxval(AT_SYSINFO_EHDR);
	struct uw_map_event e = {.start = at, .end = at + 2 * PAGE, .path = ""};
	struct fixture f;

	if (!at)
		skip_without_vdso();
	open_space(&f);
	assert_int_equal(uw_space_add(&f.space, &e), 0);
	e.path = "[vdso]";
	assert_true(uw_space_conflicts(&f.space, &e));
	assert_int_equal(uw_space_add(&f.space, &e), 0);
	assert_int_equal(f.space.n, 1);
	assert_true(f.space.maps[0].vdso);
	close_space(&f);
}

TEST(test_load)
{
	struct fixture f;
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4400], perms[8];
	unsigned long long start, end, offset;
	size_t n = 0;

	assert_non_null(maps);
	open_space(&f);
	assert_int_equal(uw_space_load(&f.space), 0);
	while (fgets(line, sizeof line, maps)) {
		const struct uw_mapping *m;

		assert_int_equal(sscanf(line, "%llx-%llx %7s %llx", &start, &end, perms, &offset),
				 4);
		if (perms[2] != 'x' || strstr(line, "[vsyscall]"))
			continue;
		m = uw_space_at(&f.space, start);
		assert_non_null(m);
		assert_int_equal(m->start, start);
		assert_int_equal(m->end, end);
		assert_int_equal(m->offset, offset);
		assert_int_equal(m->vdso, strstr(line, "[vdso]") != NULL);
		n++;
	}
	fclose(maps);
	assert_true(n >= 3);
	assert_int_equal(f.space.n, n);
	close_space(&f);
}

TEST(test_load_of_nobody)
{
	struct uw_binaries reg = {0};
	struct uw_space s;

	uw_space_init(&s, &reg, 0x7ffffff0); /* above every possible pid */
	assert_int_equal(uw_space_load(&s), -ESRCH);
	assert_int_equal(s.n, 0);
	uw_space_fini(&s);
	uw_binaries_fini(&reg);
}

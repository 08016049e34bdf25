/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include "comments.h"
#include "sample_go.h"
#include "unit_test.h"

struct fixture {
	struct built_go built;
	struct uw_elf *elf;
	struct uw_go *go;
	struct pprof_profile *p;
};

static void open_sample(struct fixture *f, const char *version, const char *mod)
{
	struct sample_go s;

	sample_go_init(&s, uw_golayout_for(24, 4), version);
	s.go.mod = mod;
	f->built = build_go(&s.go);
	f->elf = built_go_elf(&f->built);
	assert_int_equal(uw_go_open(f->elf, NULL, 0, &f->go, NULL), 0);
	assert_int_equal(pprof_profile_new(&f->p), 0);
}

static void close_sample(struct fixture *f)
{
	pprof_profile_free(f->p);
	uw_go_free(f->go);
	uw_elf_free(f->elf);
	built_go_fini(&f->built);
}

static void assert_comment(const struct fixture *f, size_t i, const char *text)
{
	assert_true(i < f->p->ncomments);
	assert_string_equal(f->p->strings[f->p->comments[i]], text);
}

TEST(says_which_build)
{
	struct fixture f;

	open_sample(&f, "go1.24.4",
		    "path\texample.com/app/cmd\nmod\texample.com/app\tv1.2.3\th1:x\n"
		    "build\t-tags=x\nbuild\tvcs=git\nbuild\tvcs.revision=0123abc\n"
		    "build\tvcs.time=2026-01-02T03:04:05Z\nbuild\tvcs.modified=false\n");
	assert_int_equal(prowl_comments_build(f.p, f.go, f.elf), 0);
	assert_comment(&f, 0, "build: go=go1.24.4");
	assert_comment(&f, 1, "build: package=example.com/app/cmd");
	assert_comment(&f, 2, "build: module=example.com/app");
	assert_comment(&f, 3, "build: version=v1.2.3");
	assert_comment(&f, 4, "build: vcs=git");
	assert_comment(&f, 5, "build: vcs.revision=0123abc");
	assert_comment(&f, 6, "build: vcs.time=2026-01-02T03:04:05Z");
	assert_comment(&f, 7, "build: vcs.modified=false");
	assert_int_equal(f.p->ncomments, 8);
	/* Several processes of one program. */
	assert_int_equal(prowl_comments_build(f.p, f.go, f.elf), 0);
	assert_int_equal(f.p->ncomments, 8);
	close_sample(&f);
}

TEST(leaves_out_what_is_not_known)
{
	struct fixture f;

	open_sample(&f, "go1.24.4", "path\tcmd\x01/\xff\n");
	assert_int_equal(prowl_comments_build(f.p, NULL, NULL), 0);
	assert_int_equal(f.p->ncomments, 0);
	assert_int_equal(prowl_comments_build(f.p, f.go, NULL), 0);
	assert_comment(&f, 0, "build: go=go1.24.4");
	assert_comment(&f, 1, "build: package=cmd?/?");
	assert_int_equal(f.p->ncomments, 2);
	close_sample(&f);
}

TEST(is_one_line)
{
	struct fixture f;

	open_sample(&f, "go1.24.4", "");
	assert_int_equal(prowl_comment(f.p, "target: %s, pid %d", "a\nb\033[31m\x7f é", 7), 0);
	assert_comment(&f, 0, "target: a?b?[31m? é, pid 7");
	close_sample(&f);
}

TEST(the_machine)
{
	struct pprof_profile *p;
	const char *text;
	long n = 0;

	assert_int_equal(pprof_profile_new(&p), 0);
	assert_int_equal(prowl_comments_machine(p), 0);
	assert_int_equal(p->ncomments, 1);
	text = p->strings[p->comments[0]];
	assert_ptr_equal(strstr(text, "machine: "), text);
	assert_non_null(strstr(text, " CPUs, "));
	assert_int_equal(sscanf(strstr(text, " CPUs, ") - 2, "%ld", &n), 1);
	assert_true(n >= 0);
	pprof_profile_free(p);
}

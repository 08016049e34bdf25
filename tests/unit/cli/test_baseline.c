/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of baselines: sets by build and machine, an index that can be lost, old ones that go. */
#include "cli_testing.h"

#include "baseline.h"
#include "unit_test.h"

/* The profile of a build at a time. */
static struct pprof_profile *profile_of(const char *revision, const char *machine, int64_t time)
{
	static const char *const names[] = {"main.a"};
	struct pprof_profile *p = t_calls(names, (const int64_t[]){3}, 1);
	char text[128];

	assert_int_equal(pprof_comment(p, "build: package=example.org/app"), 0);
	assert_int_equal(pprof_comment(p, "build: go=go1.25"), 0);
	snprintf(text, sizeof text, "build: vcs.revision=%s", revision);
	assert_int_equal(pprof_comment(p, text), 0);
	snprintf(text, sizeof text, "machine: %s", machine);
	assert_int_equal(pprof_comment(p, text), 0);
	p->time_nanos = time;
	return p;
}

static void save(const char *revision, const char *machine, int64_t time)
{
	struct pprof_profile *p = profile_of(revision, machine, time);
	struct baseline b;

	assert_true(baseline_open(&b, t_path("base"), true));
	assert_true(baseline_save(&b, p));
	baseline_close(&b);
	pprof_profile_free(p);
}

static struct baseline opened(void)
{
	struct baseline b;

	assert_true(baseline_open(&b, t_path("base"), false));
	return b;
}

TEST_WITH(keys_come_from_comments, t_make_dir, t_remove_dir)
{
	struct pprof_profile *p = profile_of("abc\t1", "m", 1);
	struct baseline_key k;

	assert_true(baseline_key_of(p, &k));
	assert_string_equal(k.package, "example.org/app");
	assert_string_equal(k.revision, "abc?1");
	assert_string_equal(k.go, "go1.25");
	assert_string_equal(k.machine, "m");
	assert_string_equal(k.kind, "cpu");
	baseline_key_fini(&k);
	pprof_profile_free(p);
	/* without: the program's name */
	p = t_rich();
	assert_true(baseline_key_of(p, &k));
	assert_string_equal(k.package, "target");
	assert_string_equal(k.revision, "");
	baseline_key_fini(&k);
	pprof_profile_free(p);
	p = t_new();
	assert_false(baseline_key_of(p, &k));
	assert_said("the profile has no values");
	pprof_profile_free(p);
}

TEST_WITH(runs_of_one_build_are_a_set, t_make_dir, t_remove_dir)
{
	struct baseline b;

	save("r1", "m", 10);
	save("r1", "m", 20);
	save("r2", "m", 5);
	b = opened();
	assert_int_equal(b.n, 2);
	assert_string_equal(b.sets[0].key.revision, "r2"); /* the oldest first */
	assert_int_equal(b.sets[1].nfiles, 2);
	assert_int_equal(b.sets[1].time, 20);
	baseline_close(&b);
}

TEST_WITH(a_lost_index_is_made_anew, t_make_dir, t_remove_dir)
{
	struct baseline b;

	save("r1", "m", 10);
	save("r2", "other", 20);
	assert_int_equal(unlink(t_path("base/index.tsv")), 0);
	b = opened();
	assert_int_equal(b.n, 2);
	assert_string_equal(b.sets[1].key.machine, "other");
	assert_string_equal(b.sets[1].key.package, "example.org/app");
	assert_int_equal(b.sets[1].time, 20);
	baseline_close(&b);
}

TEST_WITH(an_index_leads_nowhere_else, t_make_dir, t_remove_dir)
{
	struct baseline b;

	save("r1", "m", 10);
	t_write(t_path("base/index.tsv"), "../x/y\tcpu\tp\tr\tg\tm\t1\n"
					  "/etc/x\tcpu\tp\tr\tg\tm\t1\n"
					  "a/../../x\tcpu\tp\tr\tg\tm\t1\n"
					  "no/such\tcpu\tp\tr\tg\tm\t1\n"
					  "short\tline\n");
	b = opened();
	assert_int_equal(b.n, 0);
	baseline_close(&b);
}

TEST_WITH(the_newest_other_revision_is_found, t_make_dir, t_remove_dir)
{
	struct pprof_profile *p;
	const struct baseline_set *s;
	struct baseline_key like;
	struct baseline b;

	save("r1", "m", 10);
	save("r2", "m", 20);
	save("r3", "other", 30);
	save("head", "m", 40);
	p = profile_of("head", "m", 50);
	assert_true(baseline_key_of(p, &like));
	b = opened();
	s = baseline_find(&b, &like, NULL); /* of the same machine, though another is newer */
	assert_string_equal(s->key.revision, "r2");
	s = baseline_find(&b, &like, "r3");
	assert_string_equal(s->key.machine, "other");
	assert_null(baseline_find(&b, &like, "r9"));
	free(like.kind);
	like.kind = strdup("alloc_space");
	assert_null(baseline_find(&b, &like, NULL));
	baseline_key_fini(&like);
	baseline_close(&b);
	pprof_profile_free(p);
}

TEST_WITH(old_sets_go_and_others_files_stay, t_make_dir, t_remove_dir)
{
	struct baseline b;
	char file[300];

	save("r1", "m", 10);
	save("r2", "m", 20);
	save("r3", "m", 30);
	save("r1", "other", 5);
	assert_true(baseline_open(&b, t_path("base"), true));
	snprintf(file, sizeof file, "base/%s/note", b.sets[1].dir); /* r1 on m */
	t_write(t_path(file), "mine");
	assert_int_equal(baseline_keep(&b, 1), 2);
	assert_int_equal(b.n, 2);
	t_holds(t_path(file), "mine");
	baseline_close(&b);
	b = opened();
	assert_int_equal(b.n, 2);
	assert_string_equal(b.sets[0].key.machine, "other");
	assert_string_equal(b.sets[1].key.revision, "r3");
	baseline_close(&b);
}

TEST_WITH(what_is_no_folder_is_said, t_make_dir, t_remove_dir)
{
	struct baseline b;

	assert_false(baseline_open(&b, t_path("none"), false));
	assert_said("none: No such file");
	baseline_close(&b);
	t_write(t_path("file"), "");
	assert_false(baseline_open(&b, t_path("file"), false));
	assert_said("Not a directory");
	baseline_close(&b);
}

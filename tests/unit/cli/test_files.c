/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are written, whole or not at all, and profiles that are read and written. */
#include "cli_testing.h"

#include <errno.h>
#include <sys/file.h>

#include "input.h"
#include "new_file.h"
#include "output.h"
#include "pprof_report.h"
#include "unit_test.h"

/* --- new files -------------------------------------------------------------------------- */

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 0777;
}

static void put(struct new_file *f, const char *text)
{
	assert_int_equal(write(f->fd, text, strlen(text)), strlen(text));
}

TEST_WITH(a_file_appears_when_it_is_whole, t_make_dir, t_remove_dir)
{
	struct new_file f;

	assert_int_equal(new_file_open(&f, t_path("a"), 0640), 0);
	put(&f, "new");
	assert_int_equal(access(t_path("a"), F_OK), -1);
	assert_int_equal(new_file_close(&f, 0), 0);
	t_holds(t_path("a"), "new");
	assert_int_equal(mode_of(t_path("a")), 0640);
	assert_int_equal(t_count_files(t_dir), 1);
}

TEST_WITH(the_old_one_stays_until_then, t_make_dir, t_remove_dir)
{
	struct new_file f;

	t_write(t_path("a"), "old");
	assert_int_equal(chmod(t_path("a"), 0604), 0);
	assert_int_equal(new_file_open(&f, t_path("a"), 0600), 0);
	put(&f, "new");
	t_holds(t_path("a"), "old");
	/* one that failed leaves it, and nothing beside it */
	assert_int_equal(new_file_close(&f, -ENOSPC), -ENOSPC);
	t_holds(t_path("a"), "old");
	assert_int_equal(t_count_files(t_dir), 1);
	assert_int_equal(new_file_open(&f, t_path("a"), 0600), 0);
	put(&f, "new");
	assert_int_equal(new_file_close(&f, 0), 0);
	t_holds(t_path("a"), "new");
	assert_int_equal(mode_of(t_path("a")), 0604);
}

TEST_WITH(a_link_is_followed, t_make_dir, t_remove_dir)
{
	struct new_file f;
	char to[32];

	t_write(t_path("a"), "old");
	assert_int_equal(symlink("a", t_path("link")), 0);
	assert_int_equal(new_file_open(&f, t_path("link"), 0600), 0);
	put(&f, "new");
	t_holds(t_path("a"), "old");
	assert_int_equal(new_file_close(&f, 0), 0);
	t_holds(t_path("a"), "new");
	assert_int_equal(readlink(t_path("link"), to, sizeof to), 1);
	/* also to what is not there yet */
	assert_int_equal(symlink("b", t_path("link2")), 0);
	assert_int_equal(new_file_open(&f, t_path("link2"), 0600), 0);
	assert_int_equal(new_file_close(&f, 0), 0);
	t_holds(t_path("b"), "");
}

TEST_WITH(a_name_of_ours_takes_no_place, t_make_dir, t_remove_dir)
{
	struct new_file f;
	const char *expected[] = {"p.pb.gz", "p-2.pb.gz", "p-3.pb.gz"};

	for (int i = 0; i < 3; i++) {
		assert_int_equal(new_file_open_unused(&f, t_path("p.pb.gz"), ".pb.gz", 0600), 0);
		put(&f, expected[i]);
		assert_int_equal(new_file_close(&f, 0), 0);
		assert_string_equal(f.path, t_path(expected[i]));
		t_holds(t_path(expected[i]), expected[i]);
	}
	assert_int_equal(t_count_files(t_dir), 3);
}

static void put_text(FILE *to, void *ctx)
{
	fputs(ctx, to);
}

TEST_WITH(words_are_written_and_added_to, t_make_dir, t_remove_dir)
{
	char text[] = "one\n", more[] = "two\n";

	assert_int_equal(new_file_words(t_path("a"), put_text, text), 0);
	assert_int_equal(new_file_more_words(t_path("a"), put_text, more), 0);
	t_holds(t_path("a"), "one\ntwo\n");
	assert_int_equal(new_file_words("/nowhere/a", put_text, text), -ENOENT);
	if (access("/dev/full", W_OK) == 0)
		assert_int_equal(new_file_words("/dev/full", put_text, text), -ENOSPC);
	assert_true(new_file_is_stdout("-"));
	assert_true(new_file_is_stdout("/dev/stdout"));
	assert_false(new_file_is_stdout("a"));
}

/* --- formats ------------------------------------------------------------------------------ */

TEST_WITH(a_format_is_named_or_follows_from_the_file, t_make_dir, t_remove_dir)
{
	static const struct {
		const char *format, *path, *name;
	} chosen[] = {
		{NULL, NULL, "pprof"},         {NULL, "x", "pprof"},
		{NULL, "x.pb.gz", "pprof"},    {NULL, "x.txt", "text"},
		{NULL, "x.tree", "tree"},      {NULL, "x.traces", "traces"},
		{NULL, "x.folded", "folded"},  {NULL, "x.speedscope.json", "speedscope"},
		{NULL, "x.json", "json"},      {NULL, "x.html", "html"},
		{NULL, "x.svg", "svg"},        {NULL, "x.pgo", "pgo"},
		{"folded", "x.svg", "folded"}, {"pprof", "x.txt", "pprof"},
	};

	for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++) {
		const struct pprof_exporter *f = output_choose(chosen[i].format, chosen[i].path);

		assert_non_null(f);
		assert_string_equal(f->name, chosen[i].name);
	}
	assert_null(output_choose("gif", NULL));
	assert_said("unknown format 'gif'; there are pprof, text, tree, peek, traces, folded, "
		    "speedscope, json, html, svg, pgo and flame");
}

TEST_WITH(what_can_not_be_written_is_said, t_make_dir, t_remove_dir)
{
	const struct pprof_exporter *f = output_choose("text", NULL);
	char long_name[300];

	memset(long_name, 'n', sizeof long_name);
	long_name[256] = '\0';
	assert_true(output_may_write(f, t_path("new")));
	assert_true(output_may_write(f, "-"));
	assert_true(output_may_write(f, "/dev/null"));
	assert_silent();
	assert_false(output_may_write(f, t_dir));
	assert_said("it names a folder");
	assert_false(output_may_write(f, ""));
	assert_said("it is empty");
	assert_false(output_may_write(f, t_path(long_name)));
	assert_said("too long");
	assert_false(output_may_write(f, t_path("none/x")));
	assert_said("can't write to the folder");
}

TEST_WITH(default_names_say_what_it_is, t_make_dir, t_remove_dir)
{
	char name[200];
	int n = 0;

	output_default_name("et cd/\x1b", 42, "cpu", output_choose("folded", NULL), name,
			    sizeof name);
	assert_int_equal(sscanf(name, "prowl.et_cd__.42.cpu.%*8uT%*6uZ.folde%n", &n), 0);
	assert_int_equal(n + 1, strlen(name));
	output_default_name("", -3, "cpu", output_choose(NULL, NULL), name, sizeof name);
	assert_ptr_equal(strstr(name, "prowl.process.3-processes.cpu."), name);
	t_has(name, "Z.pb.gz");
}

/* --- profiles ----------------------------------------------------------------------------- */

static const char *const names[] = {"main.a", "main.b"};

TEST_WITH(a_profile_is_written_and_read, t_make_dir, t_remove_dir)
{
	struct pprof_profile *p = t_calls(names, (const int64_t[]){3, 5}, 2), *q;
	const struct pprof_exporter *f = output_choose(NULL, NULL);
	uint64_t size = 0;
	char *paths[] = {t_path("x.pb.gz"), t_path("x.pb.gz")}, *text;
	struct stat st;

	assert_int_equal(output_write(p, f, paths[0], &size), PROWL_OK);
	assert_int_equal(stat(paths[0], &st), 0);
	assert_int_equal(st.st_size, size);
	q = input_load(paths, 1);
	assert_non_null(q);
	assert_int_equal(pprof_total(q, 0), 8);
	pprof_profile_free(q);
	/* several are merged */
	q = input_load(paths, 2);
	assert_int_equal(pprof_total(q, 0), 16);
	pprof_profile_free(q);
	assert_int_equal(output_write(p, output_choose("folded", NULL), t_path("x"), &size),
			 PROWL_OK);
	text = t_read(t_path("x"));
	t_has(text, "main.main;main.b 50000000\n");
	free(text);
	assert_int_equal(output_write(p, f, "/nowhere/x", &size), PROWL_FAILED);
	assert_said("can't write /nowhere/x: No such file");
	pprof_profile_free(p);
}

TEST_WITH(labels_are_for_the_owner, t_make_dir, t_remove_dir)
{
	struct pprof_profile *plain = t_calls(names, (const int64_t[]){3, 5}, 2), *rich = t_rich();
	const struct pprof_exporter *f = output_choose(NULL, NULL);
	mode_t mask = umask(022);
	struct output_file used;
	uint64_t size;

	assert_int_equal(output_write(plain, f, t_path("plain"), &size), PROWL_OK);
	assert_int_equal(mode_of(t_path("plain")), 0644);
	assert_int_equal(output_write(rich, f, t_path("rich"), &size), PROWL_OK);
	assert_int_equal(mode_of(t_path("rich")), 0600);
	assert_int_equal(output_write_named(rich, f, t_path("named"), "c", 1, "cpu", &used),
			 PROWL_OK);
	assert_string_equal(used.path, t_path("named"));
	assert_int_equal(mode_of(used.path), 0600);
	umask(mask);
	pprof_profile_free(plain);
	pprof_profile_free(rich);
}

TEST_WITH(what_is_no_profile_is_said, t_make_dir, t_remove_dir)
{
	char *paths[] = {t_path("bad"), t_path("none")};

	t_write(paths[0], "this is not a profile");
	assert_null(input_load(paths, 1));
	assert_said("is not a valid profile");
	assert_null(input_load(paths + 1, 1));
	assert_said("No such file");
	assert_null(input_load(paths, 2));
}

TEST_WITH(profiles_of_other_values_are_not_mixed, t_make_dir, t_remove_dir)
{
	struct pprof_profile *p = t_calls(names, (const int64_t[]){3, 5}, 2), *q = t_new();
	char *paths[] = {t_path("p"), t_path("q")};

	assert_int_equal(pprof_sample_type(q, "other", "count"), 0);
	t_save(p, paths[0]);
	t_save(q, paths[1]);
	assert_null(input_load(paths, 2));
	assert_said("can't be merged with");
	assert_null(input_load_base(paths[1], p, "cpu"));
	assert_said("has no values called 'cpu' to compare with");
	pprof_profile_free(q);
	q = input_load_base(paths[0], p, "cpu");
	assert_non_null(q);
	pprof_profile_free(q);
	pprof_profile_free(p);
}

TEST_WITH(comments_are_found_by_their_beginning, t_make_dir, t_remove_dir)
{
	struct pprof_profile *p = t_new();

	assert_int_equal(pprof_comment(p, "build: go=go1.25"), 0);
	assert_int_equal(pprof_comment(p, "machine: m"), 0);
	assert_string_equal(input_comment(p, "build: go="), "go1.25");
	assert_string_equal(input_comment(p, "machine: "), "m");
	assert_string_equal(input_comment(p, "build: package="), "");
	assert_string_equal(input_comment(NULL, "x"), "");
	pprof_profile_free(p);
}

static int begin(void **state)
{
	umask(022);
	return 0;
}

TEST_GROUP(begin, NULL);

/* SPDX-License-Identifier: Apache-2.0 */
/* Options that commands share: the target, the output, and views of profiles. */
#include "cli_testing.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include "common_opts.h"
#include "output.h"
#include "pprof_report.h"
#include "view.h"
#include "unit_test.h"

static const struct opt row = {.name = "option"};

TEST(a_target_is_named_in_one_way)
{
	struct common_opts c = {0};

	assert_int_equal(common_check_target(&c, BY_NAME), PROWL_USAGE);
	assert_said("no target: give --pid PID or --name NAME\n");
	assert_int_equal(common_check_target(&c, BY_NAME | BY_CORE), PROWL_USAGE);
	assert_said("no target: give --pid PID, --name NAME or --core FILE\n");
	assert_int_equal(common_check_target(&c, BY_NAME | BY_COMMAND), PROWL_USAGE);
	assert_said("no target: give --pid PID, --name NAME or a command after --\n");
	c.who.core = "core";
	assert_int_equal(common_check_target(&c, BY_CORE), PROWL_OK);
	c.who.exe = "exe";
	assert_int_equal(common_check_target(&c, BY_CORE), PROWL_OK);
	assert_true(common_take_pid(&row, &c.pids, "1"));
	assert_int_equal(common_check_target(&c, BY_CORE), PROWL_USAGE);
	assert_said("not both");
	c.who.core = NULL;
	assert_int_equal(common_check_target(&c, BY_CORE), PROWL_USAGE);
	assert_said("--exe goes with --core");
	c.who.exe = NULL;
	assert_int_equal(common_check_target(&c, 0), PROWL_OK);
	assert_silent();
}

TEST(pids_are_kept_once_and_names_are_given_once)
{
	struct common_opts c = {0};

	assert_true(common_take_pid(&row, &c.pids, "5"));
	assert_true(common_take_pid(&row, &c.pids, "6"));
	assert_true(common_take_pid(&row, &c.pids, "5"));
	assert_int_equal(c.pids.n, 2);
	assert_false(common_take_pid(&row, &c.pids, "x"));
	assert_said("'x' is not a process id");
	assert_int_equal(common_find_named(&c, false), PROWL_OK);
	assert_int_equal(common_find_named(&c, true), PROWL_USAGE);
	assert_said("there are 2 such processes");
	for (int pid = 100; c.pids.n < TARGET_MAX_PIDS; pid++)
		assert_true(target_add_pid(&c.pids, pid));
	assert_false(target_add_pid(&c.pids, 9999));
	assert_said("more than 256 processes");
	assert_true(common_take_name(&row, &c.name, "a"));
	assert_false(common_take_name(&row, &c.name, "b"));
	assert_said("--name can be given only once");
	assert_string_equal(c.name, "a");
}

/* A child whose name no other process has. */
static pid_t named_child(char name[16], int *end)
{
	int hold[2], ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	snprintf(name, 16, "unit%d", (int)getpid());
	pid = fork();
	if (pid == 0) {
		close(hold[1]);
		prctl(PR_SET_NAME, name);
		if (write(ready[1], "", 1) == 1 && read(hold[0], &c, 1) == 0)
			_exit(0);
		_exit(1);
	}
	assert_true(pid > 0);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	close(hold[0]);
	*end = hold[1];
	return pid;
}

TEST(processes_are_found_by_name)
{
	struct common_opts c = {0};
	char name[16];
	int end, status;
	pid_t pid = named_child(name, &end);

	c.name = name;
	assert_int_equal(common_find_named(&c, true), PROWL_OK);
	assert_int_equal(c.pids.n, 1);
	assert_int_equal(c.pids.pid[0], pid);
	assert_int_equal(c.who.pid, pid);
	close(end);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	c.pids.n = 0;
	assert_int_equal(common_find_named(&c, true), PROWL_NOTHING);
	assert_said("no process is named 'unit");
}

TEST(several_names_become_one)
{
	char names[12] = "";

	target_names(names, sizeof names, "");
	assert_string_equal(names, "");
	target_names(names, sizeof names, "etcd");
	target_names(names, sizeof names, "etcd");
	assert_string_equal(names, "etcd");
	target_names(names, sizeof names, "cd");
	assert_string_equal(names, "etcd-cd");
	target_names(names, sizeof names, "too-long");
	assert_string_equal(names, "etcd-cd");
	target_names(names, sizeof names, "abc");
	assert_string_equal(names, "etcd-cd-abc");
}

TEST(the_output_is_checked_before_the_run)
{
	struct common_opts c = {.output = "/nowhere/at/all.pb.gz"};

	assert_int_equal(common_check_output(&c), PROWL_USAGE);
	assert_said("can't write to the folder /nowhere/at");
	c = (struct common_opts){.output = "-", .format = "peek"};
	assert_int_equal(common_check_output(&c), PROWL_USAGE);
	assert_said("--peek REGEX");
	c.format = "gif";
	assert_int_equal(common_check_output(&c), PROWL_USAGE);
	assert_said("unknown format 'gif'");
	c.format = "folded";
	assert_int_equal(common_check_output(&c), PROWL_OK);
	assert_string_equal(c.out->name, "folded");
}

TEST(colours_are_words)
{
	struct opt o = OPT_COLOR;

	assert_true(common_take_color(&o, NULL, "always"));
	assert_true(say_use_color(-1));
	assert_true(common_take_color(&o, NULL, "never"));
	assert_false(say_use_color(STDERR_FILENO));
	assert_false(common_take_color(&o, NULL, "blue"));
	assert_said("--color wants auto, always or never, not 'blue'");
}

/* --- views ---------------------------------------------------------------------------- */

TEST(views_take_words_numbers_and_expressions)
{
	static const struct opt granularity = {.name = "granularity",
					       .words = view_granularity_words};
	unsigned int g = 99;
	const char *peek = NULL;
	struct view v = {0};
	double d = 0;

	assert_true(view_take_word(&granularity, &g, "function"));
	assert_int_equal(g, PPROF_FUNCTION);
	assert_true(view_take_word(&granularity, &g, "lines"));
	assert_int_equal(g, PPROF_LINE);
	assert_true(view_take_word(&granularity, &g, "addresses"));
	assert_int_equal(g, PPROF_ADDRESS);
	assert_false(view_take_word(&granularity, &g, "addres"));
	assert_said("or package, not 'addres'");
	assert_true(view_take_fraction(&row, &d, "0.25"));
	assert_true(d == 0.25);
	assert_false(view_take_fraction(&row, &d, "1.1"));
	assert_said("wants a number from 0 to 1");
	assert_true(view_take_peek(&row, &peek, "a|b"));
	assert_string_equal(peek, "a|b");
	assert_false(view_take_peek(&row, &peek, "a("));
	assert_said("--peek: bad regular expression at character 3");
	assert_true(view_take_unit(&row, &v, "ms"));
	assert_string_equal(v.report.unit, "ms");
	assert_true(view_take_unit(&row, &v, "minimum"));
	assert_null(v.report.unit);
	assert_string_equal(v.filter.unit, "minimum");
}

TEST(a_view_filters_and_keeps_the_total)
{
	static const char *const names[] = {"main.a", "main.b"};
	struct pprof_profile *p = t_calls(names, (const int64_t[]){3, 5}, 2);
	struct pprof_profile *before = p;
	struct view v = {0};
	enum prowl_code code;

	/* nothing to do: the same profile */
	assert_true(view_apply(&v, &p, VIEW_AS_DATA, &code));
	assert_ptr_equal(p, before);
	v.filter.focus = "main\\.a";
	assert_true(view_apply(&v, &p, VIEW_AS_REPORT, &code));
	assert_int_equal(p->nsamples, 1);
	assert_int_equal(v.report.total, 80000000);
	v.filter.focus = "nothing";
	v.relative = true;
	assert_true(view_apply(&v, &p, VIEW_AS_REPORT, &code));
	assert_said("matched nothing in this profile: focus");
	assert_int_equal(p->nsamples, 0);
	v.filter.focus = NULL;
	v.filter.show_from = "a(";
	assert_false(view_apply(&v, &p, VIEW_AS_REPORT, &code));
	assert_int_equal(code, PROWL_USAGE);
	assert_said("--show-from: bad regular expression at character 3");
	pprof_profile_free(p);
}

static int begin(void **state)
{
	t_listen();
	return 0;
}

TEST_GROUP(begin, NULL);

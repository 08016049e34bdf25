/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a runtime: of a core file that is made here, and what is no such file. */
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build_runtime.h"
#include "figures.h"
#include "runtime.h"
#include "unit_test.h"

static void assert_refused(const struct prowl_who *who, enum prowl_code code, const char *part)
{
	struct prowl_runtime *rt = NULL;
	struct prowl_err err = {0};

	assert_int_equal(prowl_runtime_open(who, &rt, &err), code);
	assert_null(rt);
	if (!strstr(err.text, part))
		fail_msg("'%s' says nothing of '%s'", err.text, part);
}

TEST(what_is_known_of_a_core_file)
{
	static const int minors[] = {16, 19, 23, 27};

	for (size_t v = 0; v < sizeof minors / sizeof minors[0]; v++) {
		struct prowl_runtime *rt;
		struct prowl_err err;
		struct made_runtime m;
		struct prowl_who who;
		char version[32];

		made_start(&m, minors[v], false);
		made_variable(&m, UW_GLOBAL_GOMAXPROCS, 4);
		who = made_who(&m);
		assert_int_equal(prowl_runtime_open(&who, &rt, &err), PROWL_OK);
		snprintf(version, sizeof version, "go1.%d.9", minors[v]);
		assert_int_equal(rt->target.pid, MADE_PID);
		assert_string_equal(rt->target.comm, "sample");
		assert_string_equal(rt->target.go_version, version);
		assert_true(rt->target.core);
		assert_false(rt->target.core_cut);
		assert_false(rt->target.go_guessed);
		assert_int_equal(rt->target.nruntimes, 1);
		assert_int_equal(rt->target.which, 0);
		assert_string_equal(prowl_runtime_file(rt), m.program);
		assert_true(prowl_runtime_heap_linked_out(rt));
		prowl_runtime_free(rt);
		made_end(&m);
	}
}

TEST(a_program_that_is_named)
{
	struct made_runtime m, other;
	struct prowl_runtime *rt;
	struct prowl_err err;
	struct prowl_who who;

	made_start(&other, 24, false);
	other.sample.go.mod = "path\tother\n";
	made_start(&m, 27, false);
	who = made_who(&m);
	who.exe = m.program;
	assert_int_equal(prowl_runtime_open(&who, &rt, &err), PROWL_OK);
	prowl_runtime_free(rt);
	who.exe = other.program;
	assert_refused(&who, PROWL_USAGE, "is not the program that ran");
	who.exe = "/nowhere/at/all";
	assert_refused(&who, PROWL_FAILED, "/nowhere/at/all: No such file");
	made_end(&m);
	made_end(&other);
}

TEST(what_is_no_core_file)
{
	char path[] = "/tmp/test_runtime.XXXXXX";
	struct prowl_who who = {.core = "/nowhere/at/all"};
	struct made_runtime m;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_refused(&who, PROWL_FAILED, "No such file");
	who.core = "/dev/null";
	assert_refused(&who, PROWL_FAILED, "is no regular file");
	who.core = path;
	assert_int_equal(write(fd, "no core", 7), 7);
	assert_refused(&who, PROWL_FAILED, "is not a core file");
	made_start(&m, 27, false);
	who.core = m.program;
	assert_refused(&who, PROWL_FAILED, "but not a core file: a program?");
	made_end(&m);
	close(fd);
	unlink(path);
}

TEST(nobody)
{
	struct prowl_who who = {.pid = 0x7ffffff0};

	assert_refused(&who, PROWL_NOTHING, "there is no process 2147483632");
	who.pid = getpid();
	assert_refused(&who, PROWL_UNSUPPORTED, "is not a Go program");
}

TEST(figures_of_a_core_file)
{
	struct prowl_figures f;
	struct prowl_err err;
	struct made_runtime m;
	struct prowl_who who;

	made_start(&m, 27, false);
	made_variable(&m, UW_GLOBAL_GOMAXPROCS, 4);
	made_goroutine(&m, 4, 2);
	made_goroutine(&m, 4, 2);
	made_thread(&m);
	who = made_who(&m);
	assert_int_equal(prowl_figures_of(&who, &f, &err), PROWL_OK);
	assert_int_equal(f.value[PROWL_FIGURE_GOMAXPROCS], 4);
	assert_int_equal(f.value[PROWL_FIGURE_GOROUTINES], 2);
	assert_int_equal(f.value[PROWL_FIGURE_THREADS], 1);
	assert_false(f.known[PROWL_FIGURE_GC_COUNT]);
	made_end(&m);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Goroutines and figures in words and JSON, made in the test; foreign text on a terminal. */
#include "cli_testing.h"

#include "show_figures.h"
#include "show_goroutines.h"
#include "utf8.h"
#include "unit_test.h"

/* --- a program that is none ----------------------------------------------------------------- */

/* In place of the reader's: two runtimes, states by number, one set of labels. */
static size_t nruntimes = 1;

const struct prowl_target *prowl_goroutines_target(const struct prowl_goroutines *h)
{
	static struct prowl_target t = {.pid = 42, .comm = "app", .go_version = "go1.25"};

	t.nruntimes = nruntimes;
	return &t;
}

const char *prowl_goroutines_file(const struct prowl_goroutines *h)
{
	return "/bin/app";
}

const char *prowl_goroutine_state(const struct prowl_goroutines *h, const struct prowl_goroutine *g)
{
	return g->status == 2 ? "running" : g->reason ? "chan receive" : "select";
}

size_t prowl_goroutines_labels(const struct prowl_goroutines *h, uint32_t set,
			       struct prowl_label *ret, size_t max)
{
	ret[0] = (struct prowl_label){"user", "x\x1b"};
	return set ? 1 : 0;
}

uint64_t prowl_goroutines_offset(const struct prowl_goroutines *h, uint64_t address,
				 const char *function)
{
	return strcmp(function, "main.wait") ? 0 : 0x12;
}

static struct prowl_goroutine_stack stacks[2];
static uint32_t locations[5];

/* Stack 0: main.wait under runtime.gopark, called by main.main; 1: a crash in main.main. */
static struct prowl_dump dump_of(struct prowl_goroutine *g, size_t n)
{
	struct prowl_dump d = {
		.g = g, .n = n, .stacks = stacks, .nstacks = 2, .locations = locations};
	struct pprof_profile *p = t_new();
	uint32_t m = t_mapping(p, 0x400000, "/bin/app");

	locations[0] = t_loc(p, m, 0x401000, "runtime.gopark", 3);
	locations[1] = t_loc(p, m, 0x402000, "main.wait", 20);
	locations[2] = t_loc(p, m, 0x403000, "main.main", 10);
	locations[3] = t_loc(p, m, 0x404000, "runtime.gopanic", 5);
	locations[4] = locations[2];
	stacks[0] = (struct prowl_goroutine_stack){0, 3, 77};
	stacks[1] = (struct prowl_goroutine_stack){3, 2, 78};
	d.profile = p;
	d.counts.goroutines = n;
	return d;
}

#define WAITS .status = 4, .created = PROWL_NO_STACK

TEST(one_by_one_as_a_panic_prints_them)
{
	struct prowl_goroutine g[] = {
		{.goid = 1, .stack = 1, .status = 2, .created = PROWL_NO_STACK},
		{.goid = 7,
		 .stack = 0,
		 .status = 4,
		 .reason = 1,
		 .wait_ns = 180000000000u,
		 .labels = 1,
		 .locked = true,
		 .created = 2,
		 .parent = 1},
		{.goid = 8, .stack = PROWL_NO_STACK, WAITS, .cut = true},
	};
	struct prowl_dump d = dump_of(g, 3);
	char *text;

	T_SHOW(text, f, show_goroutines_text(f, NULL, &d, false));
	assert_string_equal(text,
			    "goroutine 1 [running]:\n"
			    "panic(...)\n\tmain.go:5\n"
			    "main.main(...)\n\tmain.go:10\n"
			    "\n"
			    "goroutine 7 [chan receive, 3 minutes, locked to thread] {user: x?}:\n"
			    "main.wait(...)\n\tmain.go:20 +0x12\n"
			    "main.main(...)\n\tmain.go:10\n"
			    "created by main.main in goroutine 1\n\tmain.go:10\n"
			    "\n"
			    "goroutine 8 [select]:\n"
			    "\tstack unknown: it could not be read as a whole\n"
			    "...outer frames left out...\n");
	free(text);
	T_SHOW(text, f, show_goroutines_text(f, NULL, &d, true));
	t_has(text, "runtime.gopark(...)\n\tmain.go:3\nmain.wait");
	free(text);
	pprof_profile_free(d.profile);
}

TEST(by_stack_the_most_frequent_first)
{
	struct prowl_goroutine g[] = {
		{.goid = 1, .stack = 1, WAITS},
		{.goid = 2, .stack = 0, WAITS},
		{.goid = 3, .stack = 0, WAITS, .reason = 1, .wait_ns = 60000000000u},
		{.goid = 4, .stack = 0, WAITS, .labels = 1},
	};
	struct prowl_dump d = dump_of(g, 4);
	char *text;

	T_SHOW(text, f, show_goroutines_groups(f, NULL, &d, false));
	t_has(text, "2 goroutines [select 1, chan receive 1, up to 1 minutes]: 2 3\n");
	t_has(text, "1 goroutine [select] {user: x?}: 4\n");
	assert_ptr_equal(strstr(text, "2 goroutines"), text);
	free(text);
	pprof_profile_free(d.profile);
}

TEST(json_has_every_goroutine)
{
	struct prowl_goroutine g[] = {
		{.goid = 2, .stack = 0, .status = 4, .wait_ns = 5, .labels = 1, .created = 2},
		{.goid = 3, .stack = PROWL_NO_STACK, .status = 10, .created = PROWL_NO_STACK},
	};
	struct prowl_dump d = dump_of(g, 2);
	char *text;

	d.counts.bad = 9;
	nruntimes = 2;
	T_SHOW(text, f, show_goroutines_json(f, NULL, &d));
	nruntimes = 1;
	t_has(text, "\"pid\": 42");
	t_has(text, "\"runtimes\": 2");
	t_has(text, "\"unreadable\": 9");
	t_has(text, "\"wait_ns\": 5");
	t_has(text, "\"function\": \"main.wait\"");
	t_has(text, "\"leaked\": true");
	t_has(text, "\"created_by\": {");
	free(text);
	pprof_profile_free(d.profile);
}

TEST(leaks_were_made_and_stayed_blocked)
{
	struct prowl_goroutine first[] = {{.goid = 1, .stack = 0, WAITS}};
	struct prowl_goroutine then[] = {
		{.goid = 1, .stack = 0, WAITS},              /* was there before */
		{.goid = 2, .stack = 0, WAITS},              /* leaks */
		{.goid = 3, .stack = 0, WAITS},              /* ran since */
		{.goid = 4, .stack = 0, WAITS},              /* moved */
		{.goid = 5, .stack = PROWL_NO_STACK, WAITS}, /* not known */
		{.goid = 6, .stack = 0, .status = 1, .created = PROWL_NO_STACK},
	};
	struct prowl_goroutine last[] = {
		{.goid = 1, .stack = 0, WAITS},
		{.goid = 2, .stack = 0, .status = 10, .created = PROWL_NO_STACK},
		{.goid = 3, .stack = 0, WAITS, .runs = 1},
		{.goid = 4, .stack = 1, WAITS},
		{.goid = 5, .stack = 0, WAITS},
		{.goid = 6, .stack = 0, .status = 1, .created = PROWL_NO_STACK},
		{.goid = 7, .stack = 0, WAITS}, /* new */
	};
	struct prowl_dump dumps[] = {dump_of(first, 1), dump_of(then, 6), dump_of(last, 7)};
	char *text;
	size_t n;

	T_SHOW(text, f, n = show_goroutines_leaks(f, NULL, dumps, false, false));
	assert_int_equal(n, 1);
	assert_ptr_equal(strstr(text, "1 goroutine [select]: 2\n"), text);
	free(text);
	T_SHOW(text, f, n = show_goroutines_leaks(f, NULL, dumps, true, false));
	assert_int_equal(n, 1);
	t_has(text, "\"goroutines_at_end\": 7");
	t_has(text, "\"id\": 2");
	t_lacks(text, "\"id\": 3");
	free(text);
	for (int i = 0; i < 3; i++)
		pprof_profile_free(dumps[i].profile);
}

/* --- figures -------------------------------------------------------------------------------- */

static void set(struct prowl_figures *f, enum prowl_figure which, int64_t value)
{
	f->known[which] = true;
	f->value[which] = value;
}

static struct prowl_figures figures(void)
{
	struct prowl_figures f = {.gc_cpu_fraction = 0.015,
				  .npauses = 2,
				  .pauses = {1500000, 20000},
				  .heap_profile = PROWL_HEAP_LINKED_OUT,
				  .nvariables = 2};

	set(&f, PROWL_FIGURE_GOROUTINES, 5);
	set(&f, PROWL_FIGURE_WAITING, 4);
	set(&f, PROWL_FIGURE_HEAP_LIVE, 12300000);
	set(&f, PROWL_FIGURE_HEAP_FREE, 1000000);
	set(&f, PROWL_FIGURE_GC_PERCENT, -1);
	set(&f, PROWL_FIGURE_MEMORY_LIMIT, INT64_MAX);
	set(&f, PROWL_FIGURE_MEM_RATE, 0);
	set(&f, PROWL_FIGURE_BLOCK_RATE, 100);
	f.waiting[3].reason = "chan receive";
	f.waiting[3].n = 3;
	f.waiting[5].reason = "select";
	f.waiting[5].n = 1;
	f.variables[0].name = "runtime.allgs";
	f.variables[0].how = "symbol";
	f.variables[0].addr = 0x1234;
	f.variables[1].name = "runtime.sched";
	f.variables[1].how = "missing";
	return f;
}

TEST(figures_in_lines)
{
	struct prowl_figures f = figures();
	char *text;

	T_PRINTED(text, show_figures(&f, false));
	t_has(text, "goroutines     5: ? running, ? runnable, 4 waiting, ");
	t_has(text, "  waiting for  chan receive (3), select (1)\n");
	t_has(text, "heap           12.3 MB live\n");
	t_has(text, "  memory       , 1.0 MB free\n");
	t_has(text,
	      "GC             GOGC off, no memory limit; ? collections, ? of them forced; 1.50 % of "
	      "the CPU time\n");
	t_has(text, "  pauses       1.500, 0.020 ms, newest first\n");
	t_has(text,
	      "heap off (nothing in the program reads it, so the linker left it out), block every "
	      "100 CPU ticks, mutex unknown\n");
	t_has(text, "variables      1 found by symbol; not found: runtime.sched\n");
	t_lacks(text, "0x1234");
	free(text);
	T_PRINTED(text, show_figures(&f, true));
	t_has(text, "runtime.allgs 0x1234 symbol\n");
	free(text);
	f.known[PROWL_FIGURE_GOROUTINES] = false;
	f.known[PROWL_FIGURE_HEAP_LIVE] = f.known[PROWL_FIGURE_HEAP_FREE] = false;
	T_PRINTED(text, show_figures(&f, false));
	t_has(text, "goroutines     unknown");
	t_lacks(text, "heap           ");
	free(text);
}

/* --- foreign text --------------------------------------------------------------------------- */

TEST(utf8_is_as_it_must_be)
{
	static const struct {
		const char *text;
		size_t n;
		uint32_t c;
	} good[] = {{"a", 1, 'a'},
		    {"\xc2\x80", 2, 0x80},
		    {"\xc3\xa4", 2, 0xe4},
		    {"\xe2\x82\xac", 3, 0x20ac},
		    {"\xf0\x9f\x98\x80", 4, 0x1f600},
		    {"\xf4\x8f\xbf\xbf", 4, 0x10ffff}};
	static const char *const bad[] = {
		"\x80",
		"\xc0\xaf",
		"\xc1\x81",
		"\xe0\x80\xaf",
		"\xed\xa0\x80",
		"\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80",
		"\xc3",
		"\xe2\x82",
		"\xff",
	};
	uint32_t c;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(utf8_decode(good[i].text, &c), good[i].n);
		assert_int_equal(c, good[i].c);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(utf8_decode(bad[i], &c), 0);
}

TEST(foreign_text_obeys_no_terminal)
{
	char *text;

	T_SHOW(text, f,
	       text_put(f, "a\x1b[31m\n\x7f\xc2\x9b"
			   "b\xff\xc3\xa4"));
	assert_string_equal(text, "a?[31m???b?\xc3\xa4");
	free(text);
	T_SHOW(text, f, text_put_lines(f, "a\nb\r"));
	assert_string_equal(text, "a\nb?");
	free(text);
	assert_int_equal(text_control("\xc2\x85"), 2);
	assert_int_equal(text_control("\xc2\xa0"), 0);
	assert_int_equal(text_control(""), 0);
}

TEST(a_failure_is_said_and_is_the_exit_code)
{
	struct prowl_err err = {.code = PROWL_PERMISSION, .text = "no"};

	t_listen();
	assert_int_equal(say_failure(&err), PROWL_PERMISSION);
	assert_said("no\n");
	say_level(SAY_QUIET);
	say_info("not heard");
	say_detail("not heard");
	say_warning("heard");
	assert_string_equal(t_said, "heard\n");
	say_level(SAY_VERBOSE);
	assert_true(say_verbose());
	say_detail("detail");
	assert_said("detail");
	say_level(SAY_NORMAL);
}

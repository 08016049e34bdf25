/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of one profile, over kinds that the test makes: what is refused, done, said, written. */
#include "cli_testing.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

#include "input.h"
#include "take.h"
#include "unit_test.h"

/* --- in place of the profiler ----------------------------------------------------- */

static const struct prowl_kind kinds[] = {
	{.name = "heap",
	 .family = PROWL_FAMILY_RTPROFILE,
	 .flags = PROWL_KIND_CORE | PROWL_KIND_DELTA,
	 .rate = PROWL_RATE_HEAP},
	{.name = "goroutine",
	 .family = PROWL_FAMILY_GOROUTINES,
	 .flags = PROWL_KIND_CORE,
	 .rate = PROWL_RATES},
	{.name = "wall",
	 .family = PROWL_FAMILY_WALL,
	 .flags = PROWL_KIND_WINDOW,
	 .window_ns = 30000000000u,
	 .rate = PROWL_RATES},
};

static struct { /* how the next take goes, and how it was asked for */
	enum prowl_code code;
	bool guessed, interrupted;
	struct prowl_who who;
	uint64_t ns;
} fake;

const struct prowl_kind *__wrap_prowl_kind_named(const char *name);
const struct prowl_kind *__wrap_prowl_kind_named(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	}
	return NULL;
}

/* A signal ends the window, and not prowl. */
static void interrupt(int wake_fd)
{
	struct pollfd p = {.fd = wake_fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(poll(&p, 1, 0), 1);
}

enum prowl_code __wrap_prowl_kind_take(const struct prowl_kind *k, const struct prowl_who *who,
				       const struct prowl_take *o, struct pprof_profile **ret,
				       struct prowl_taken *taken, struct prowl_err *err);
enum prowl_code __wrap_prowl_kind_take(const struct prowl_kind *k, const struct prowl_who *who,
				       const struct prowl_take *o, struct pprof_profile **ret,
				       struct prowl_taken *taken, struct prowl_err *err)
{
	static const char *const names[] = {"main.a"};
	static struct prowl_rates_report rates;

	fake.who = *who;
	fake.ns = o->ns;
	*taken = (struct prowl_taken){.target = {.pid = 42, .comm = "app", .go_version = "go1.99"}};
	taken->target.core = who->core != NULL;
	taken->target.go_guessed = fake.guessed;
	o->on(o->ctx, PROWL_TAKE_OPENED, taken);
	if (fake.code != PROWL_OK)
		return prowl_fail(err, fake.code, "it failed");
	if (o->rates.set[PROWL_RATE_HEAP]) {
		rates.change[PROWL_RATE_HEAP] = (struct prowl_rate_change){
			.state = PROWL_RATE_SET, .set = o->rates.value[PROWL_RATE_HEAP]};
		taken->rates = &rates;
		o->on(o->ctx, PROWL_TAKE_RATES, taken);
		o->on(o->ctx, PROWL_TAKE_GUARDIAN, taken);
		rates.change[PROWL_RATE_HEAP].state = PROWL_RATE_STUCK;
	}
	if (fake.interrupted)
		interrupt(o->wake_fd);
	o->on(o->ctx, PROWL_TAKE_CLOSED, taken);
	*ret = t_calls(names, (const int64_t[]){3}, 1);
	return PROWL_OK;
}

/* --- tests -------------------------------------------------------------------------- */

static struct take c;

/* A command over the kind, of one process, into a file; checked. */
static enum prowl_code checked(const char *kind)
{
	c.kind = kind;
	if (!c.common.who.core)
		assert_true(target_add_pid(&c.common.pids, 42));
	c.common.output = t_path("out.pb.gz");
	t_said[0] = '\0';
	return take_check(&c, NULL, 0);
}

static int setup(void **state)
{
	memset(&c, 0, sizeof c);
	memset(&fake, 0, sizeof fake);
	return t_make_dir(state);
}

TEST_WITH(options_must_fit_the_kind, setup, t_remove_dir)
{
	c.common.who.core = "core";
	c.common.duration_ns = 1000000000;
	assert_int_equal(checked("heap"), PROWL_USAGE);
	assert_said("nothing changes in a core file");
	c.common.duration_ns = 0;
	assert_int_equal(checked("heap"), PROWL_OK);
	assert_int_equal(c.o.ns, 0);
	c.common.who.core = NULL;
	c.o.rates.set[PROWL_RATE_HEAP] = true;
	assert_int_equal(checked("heap"), PROWL_USAGE);
	assert_said("--allow-write is for a window");
	assert_int_equal(checked("wall"), PROWL_USAGE);
	assert_said("--allow-write: heap-rate has no part in the wall profile");
	c.o.rates.set[PROWL_RATE_HEAP] = false;
	assert_int_equal(checked("wall"), PROWL_OK);
	assert_int_equal(c.o.ns, 30000000000u);
	c.common.duration_ns = 5000000000u;
	assert_int_equal(checked("wall"), PROWL_OK);
	assert_int_equal(c.o.ns, 5000000000u);
	c.common.format = "gif";
	assert_int_equal(checked("wall"), PROWL_USAGE);
	assert_said("unknown format");
	memset(&c, 0, sizeof c);
	c.kind = "heap";
	assert_int_equal(take_check(&c, NULL, 0), PROWL_USAGE);
	assert_said("no target: give --pid PID, --name NAME or --core FILE");
}

TEST_WITH(a_profile_is_taken_and_written, setup, t_remove_dir)
{
	char *path[] = {t_path("out.pb.gz")};
	struct pprof_profile *p;

	c.common.duration_ns = 2000000000;
	assert_int_equal(checked("heap"), PROWL_OK);
	assert_int_equal(take_run(&c, NULL, 0), PROWL_OK);
	t_has(t_said,
	      "reading the heap profile of app (pid 42, go1.99) for 2 s; Ctrl-C stops early");
	t_has(t_said, "its heap profile rate is 0 now");
	t_lacks(t_said, "newer than every");
	assert_said("wrote ");
	assert_int_equal(fake.who.pid, 42);
	assert_int_equal(fake.ns, 2000000000);
	p = input_load(path, 1);
	assert_non_null(p);
	assert_int_equal(pprof_total(p, 0), 3);
	pprof_profile_free(p);
}

TEST_WITH(a_newer_go_is_a_warning_in_every_command, setup, t_remove_dir)
{
	static const struct {
		const char *kind, *first;
	} all[] = {
		{"heap", "reading the heap profile of app (pid 42, go1.99)\n"},
		{"goroutine", "reading the goroutines of app (pid 42, go1.99)\n"},
		{"wall", "looking at the goroutines of app (pid 42, go1.99) for 30 s, 10 times"}};

	fake.guessed = true;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		assert_int_equal(checked(all[i].kind), PROWL_OK);
		assert_int_equal(take_run(&c, NULL, 0), PROWL_OK);
		t_has(t_said, all[i].first);
		assert_said("go1.99 is newer than every Go version that prowl knows");
	}
}

TEST_WITH(rates_and_their_guardian_are_reported, setup, t_remove_dir)
{
	c.common.duration_ns = 2000000000;
	c.o.rates.set[PROWL_RATE_HEAP] = true;
	c.o.rates.value[PROWL_RATE_HEAP] = 4096;
	assert_int_equal(checked("heap"), PROWL_OK);
	assert_int_equal(take_run(&c, NULL, 0), PROWL_OK);
	t_has(t_said, "set to 4096 (it was 0) until the end of the window");
	t_has(t_said,
	      "the process that would put the rates back was killed; another one stands by");
	assert_said("could not be put back to 0");
}

TEST_WITH(a_core_file_is_no_process, setup, t_remove_dir)
{
	c.common.who.core = "/tmp/core";
	assert_int_equal(checked("goroutine"), PROWL_OK);
	assert_int_equal(take_run(&c, NULL, 0), PROWL_OK);
	assert_string_equal(fake.who.core, "/tmp/core");
	assert_int_equal(fake.who.pid, 0);
	assert_said("(core of pid 42, go1.99)");
}

TEST_WITH(a_failure_writes_nothing, setup, t_remove_dir)
{
	fake.code = PROWL_UNSUPPORTED;
	assert_int_equal(checked("heap"), PROWL_OK);
	assert_int_equal(take_run(&c, NULL, 0), PROWL_UNSUPPORTED);
	assert_said("it failed");
	assert_int_equal(t_count_files(t_dir), 0);
}

/* The last one: the signal is remembered. */
TEST_WITH(a_signal_ends_the_window_and_the_file_is_written, setup, t_remove_dir)
{
	c.common.duration_ns = 2000000000;
	fake.interrupted = true;
	assert_int_equal(checked("heap"), PROWL_OK);
	assert_int_equal(take_run(&c, NULL, 0), PROWL_OK);
	assert_said("wrote ");
	assert_int_equal(t_count_files(t_dir), 1);
}

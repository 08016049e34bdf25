/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wall-clock profiles of goroutines that are made here, by a clock that moves when it is read, and
 * with CPU samples that are made up: all sums are exact.
 */
#include <stddef.h>
#include <stdint.h>

#include <string.h>
#include <unistd.h>

#include "build_runtime.h"
#include "gogoroutines.h"
#include "pprof.h"
#include "prowl.h"
#include "wall.h"
#include "unit_test.h"

#define SECOND 1000000000u

enum { WALL, RUNNING, RUNNABLE, SYSCALL, IO, CHAN, SELECT, LOCK, SLEEP, GC, OTHER, CLASSES };

/* --- the clock, and what a look costs by it --- */

static uint64_t now, step, cpu, cpu_step;

static uint64_t fake_clock(clockid_t id)
{
	if (id == CLOCK_MONOTONIC)
		return now += step;
	return cpu += cpu_step;
}

/* --- the session that takes CPU samples --- */

static struct {
	bool allowed;
	struct prowl_result result;
	int64_t main_ns, other_ns; /* of main.main, and of the scheduler, which is no goroutine */
} session;

/* Any object: nothing looks into it. */
#define SESSION ((struct prowl_session *)&session)

enum prowl_code __wrap_prowl_session_open(const struct prowl_options *o, struct prowl_session **ret,
					  struct prowl_err *err);
enum prowl_code __wrap_prowl_session_run(struct prowl_session *s, uint64_t duration_ns,
					 void (*progress)(void *ctx, const struct prowl_result *r),
					 void *ctx, struct prowl_err *err);
enum prowl_code __wrap_prowl_session_build(struct prowl_session *s, struct pprof_profile **ret,
					   struct prowl_err *err);
const struct prowl_result *__wrap_prowl_session_result(const struct prowl_session *s);
void __wrap_prowl_session_free(struct prowl_session *s);
int __wrap_prowl_session_wake_fd(const struct prowl_session *s);

enum prowl_code __wrap_prowl_session_open(const struct prowl_options *o, struct prowl_session **ret,
					  struct prowl_err *err)
{
	assert_int_equal(o->npids, 1);
	assert_int_equal(o->pids[0], MADE_PID);
	if (!session.allowed)
		return prowl_fail(err, PROWL_PERMISSION, "not allowed");
	*ret = SESSION;
	return PROWL_OK;
}

enum prowl_code __wrap_prowl_session_run(struct prowl_session *s, uint64_t duration_ns,
					 void (*progress)(void *ctx, const struct prowl_result *r),
					 void *ctx, struct prowl_err *err)
{
	uint64_t end = now + duration_ns;

	assert_ptr_equal(s, SESSION);
	while (fake_clock(CLOCK_MONOTONIC) < end)
		progress(ctx, &session.result);
	return PROWL_OK;
}

static void add_sample(struct pprof_profile *p, const char *name, int64_t ns)
{
	struct pprof_line line = {0};
	struct pprof_function f = {0};
	uint32_t loc;

	assert_int_equal(pprof_string(p, name, &f.name), 0);
	f.system_name = f.name;
	assert_int_equal(pprof_function(p, &f, &line.function), 0);
	assert_int_equal(pprof_location(p, PPROF_NONE, 0, &line, 1, &loc), 0);
	assert_int_equal(pprof_sample_add(p, &loc, 1, (int64_t[]){1, ns}, NULL, 0), 0);
}

enum prowl_code __wrap_prowl_session_build(struct prowl_session *s, struct pprof_profile **ret,
					   struct prowl_err *err)
{
	assert_int_equal(pprof_profile_new(ret), 0);
	assert_int_equal(pprof_sample_type(*ret, "samples", "count"), 0);
	assert_int_equal(pprof_sample_type(*ret, "cpu", "nanoseconds"), 0);
	add_sample(*ret, "main.main", session.main_ns);
	add_sample(*ret, "runtime.mcall", session.other_ns);
	return PROWL_OK;
}

const struct prowl_result *__wrap_prowl_session_result(const struct prowl_session *s)
{
	return &session.result;
}

void __wrap_prowl_session_free(struct prowl_session *s)
{
}

int __wrap_prowl_session_wake_fd(const struct prowl_session *s)
{
	return -1;
}

/* --- a profile --- */

struct walled {
	struct prowl_wall *w;
	struct pprof_profile *p;
	struct prowl_err err;
};

static enum prowl_code run(struct made_runtime *m, uint64_t ns, struct walled *x)
{
	struct prowl_wall_options o = {.clock = fake_clock};
	enum prowl_code code;

	memset(x, 0, sizeof *x);
	made_who(m);
	assert_int_equal(prowl_wall_open(MADE_PID, &o, &x->w, &x->err), PROWL_OK);
	code = prowl_wall_run(x->w, ns, &x->err);
	return code == PROWL_OK ? prowl_wall_build(x->w, &x->p, &x->err) : code;
}

static void start(struct made_runtime *m, bool may_sample)
{
	memset(&session, 0, sizeof session);
	session.allowed = may_sample;
	now = SECOND;
	step = SECOND / 20;
	cpu = cpu_step = 0;
	made_start(m, 27, true);
}

static void end(struct made_runtime *m, struct walled *x)
{
	pprof_profile_free(x->p);
	prowl_wall_free(x->w);
	made_end(m);
}

static int64_t sum(const struct walled *x, int class)
{
	int64_t v = 0;

	for (size_t i = 0; i < x->p->nsamples; i++)
		v += pprof_sample_values(x->p, i)[class];
	return v;
}

static const char *leaf_of(const struct pprof_profile *p, size_t sample)
{
	const struct pprof_location *l = &p->locations[pprof_sample_stack(p, sample)[0]];

	return p->strings[p->functions[p->lines[l->first_line].function].name];
}

static uint8_t reason(const struct made_runtime *m, const char *name)
{
	for (size_t i = 0; i < m->l->wait_reasons_count; i++) {
		if (m->l->wait_reasons[i] && !strcmp(m->l->wait_reasons[i], name))
			return (uint8_t)i;
	}
	fail_msg("there is no reason %s", name);
	return 0;
}

/* What each goroutine was counted for: the clock is read once more before the end. */
static int64_t time_of_each(const struct walled *x)
{
	return (int64_t)(prowl_wall_result(x->w)->duration_ns - step);
}

TEST(each_goroutine_counts_for_the_time)
{
	struct made_runtime m;
	struct walled x;
	int64_t each;
	uint64_t g;

	start(&m, false);
	for (int i = 0; i < 3; i++)
		made_goroutine(&m, UW_G_WAITING, reason(&m, "IO wait"));
	made_goroutine(&m, UW_G_WAITING, reason(&m, "sleep"));
	made_goroutine(&m, UW_G_WAITING, reason(&m, "chan receive"));
	made_goroutine(&m, UW_G_WAITING, reason(&m, "sync.Mutex.Lock"));
	made_goroutine(&m, UW_G_WAITING, reason(&m, "select"));
	made_goroutine(&m, UW_G_WAITING, 250); /* one that there isn't */
	made_goroutine(&m, UW_G_RUNNABLE, 0);
	made_goroutine(&m, UW_G_RUNNING, 0);
	made_goroutine(&m, UW_G_DEAD, 0);
	g = made_goroutine(&m, UW_G_WAITING, reason(&m, "sleep"));
	made_poke(&m, g + m.l->g.startpc, made_entry(&m, SAMPLE_SYSTEMSTACK), 8);
	assert_int_equal(run(&m, SECOND, &x), PROWL_OK);
	each = time_of_each(&x);
	assert_true(each >= (int64_t)SECOND);
	assert_int_equal(sum(&x, IO), 3 * each);
	assert_int_equal(sum(&x, SLEEP), each); /* the runtime's own counts for nothing */
	assert_int_equal(sum(&x, CHAN), each);
	assert_int_equal(sum(&x, LOCK), each);
	assert_int_equal(sum(&x, SELECT), each);
	assert_int_equal(sum(&x, OTHER), each);
	assert_int_equal(sum(&x, RUNNABLE), each);
	assert_int_equal(sum(&x, RUNNING), each);
	assert_int_equal(sum(&x, GC) + sum(&x, SYSCALL), 0);
	assert_int_equal(sum(&x, WALL), 10 * each);
	assert_int_equal(prowl_wall_result(x.w)->wall_ns, 10 * each);
	assert_int_equal(prowl_wall_result(x.w)->goroutines, 10);
	assert_true(prowl_wall_result(x.w)->cpu_failed);
	/* All that wait do so on one stack; without CPU samples, that of the running one is
	 * unknown. */
	assert_int_equal(x.p->nsamples, 2);
	assert_string_equal(leaf_of(x.p, 0), "main.main");
	assert_string_equal(leaf_of(x.p, 1), "[running, stack unknown]");
	end(&m, &x);
}

TEST(cpu_samples_are_where_running_ones_were)
{
	struct made_runtime m;
	struct walled x;

	start(&m, true);
	made_goroutine(&m, UW_G_WAITING, reason(&m, "sleep"));
	made_goroutine(&m, UW_G_RUNNING, 0);
	session.result.samples = 12;
	session.main_ns = 30;
	session.other_ns = 70;
	assert_int_equal(run(&m, SECOND, &x), PROWL_OK);
	assert_int_equal(x.p->nsamples, 2);
	assert_string_equal(leaf_of(x.p, 1), "main.main");
	assert_int_equal(pprof_sample_values(x.p, 1)[RUNNING], time_of_each(&x));
	assert_int_equal(sum(&x, RUNNING), time_of_each(&x));
	assert_int_equal(prowl_wall_result(x.w)->cpu_samples, 12);
	assert_false(prowl_wall_result(x.w)->cpu_failed);
	end(&m, &x);
}

TEST(one_that_can_not_be_read_has_no_stack)
{
	struct made_runtime m;
	struct walled x;
	uint64_t g;

	start(&m, false);
	made_goroutine(&m, UW_G_WAITING, reason(&m, "sleep"));
	g = made_goroutine(&m, UW_G_WAITING, reason(&m, "IO wait"));
	made_poke(&m, g + m.l->g.sched + m.l->gobuf.sp, 0x10, 8);
	assert_int_equal(run(&m, SECOND, &x), PROWL_OK);
	assert_int_equal(x.p->nsamples, 2);
	assert_string_equal(leaf_of(x.p, 1), "[stack unknown]");
	assert_int_equal(pprof_sample_values(x.p, 1)[IO], time_of_each(&x));
	assert_int_equal(prowl_wall_result(x.w)->unread, prowl_wall_result(x.w)->looks);
	end(&m, &x);
}

/* What a look costs is charged: some are left out, the time is counted all the same. */
TEST(the_budget_leaves_out_looks_not_time)
{
	struct made_runtime m;
	struct walled x;

	start(&m, false);
	for (int i = 0; i < 100; i++)
		made_goroutine(&m, UW_G_WAITING, reason(&m, "sleep"));
	cpu_step = 2000000; /* 2 ms for each reading of it: 1 % of a CPU is 10 ms a second */
	assert_int_equal(run(&m, 3 * (uint64_t)SECOND, &x), PROWL_OK);
	assert_true(prowl_wall_result(x.w)->skipped > 0);
	assert_true(prowl_wall_result(x.w)->part < 1);
	assert_true(prowl_wall_result(x.w)->looks > 0);
	assert_in_range(prowl_wall_result(x.w)->goroutines, 100, 100);
	/* Of each look less than a ns is lost in rounding. */
	assert_in_range(sum(&x, SLEEP), 100 * time_of_each(&x) - 100, 100 * time_of_each(&x));
	assert_int_equal(sum(&x, WALL), sum(&x, SLEEP));
	end(&m, &x);
}

TEST(a_target_that_is_gone)
{
	struct made_runtime m;
	struct walled x;

	start(&m, false);
	made_goroutine(&m, UW_G_WAITING, reason(&m, "sleep"));
	m.gone = true;
	assert_int_equal(run(&m, SECOND, &x), PROWL_NOTHING);
	assert_string_equal(x.err.text, "nothing captured: the process is gone");
	end(&m, &x);
}

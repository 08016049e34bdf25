/* SPDX-License-Identifier: Apache-2.0 */
/* Dumps of goroutines that are made here: what is in them, what is left out, and what is said. */
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include "build_runtime.h"
#include "gogoroutines.h"
#include "goroutines.h"
#include "pprof.h"
#include "unit_test.h"

struct dumped {
	struct prowl_goroutines *h;
	struct prowl_dump d;
	struct prowl_err err;
};

static enum prowl_code try_dump(struct made_runtime *m, const struct prowl_goroutines_options *o,
				struct dumped *ret)
{
	struct prowl_who who = made_who(m);

	memset(ret, 0, sizeof *ret);
	assert_int_equal(prowl_goroutines_open(&who, &ret->h, &ret->err), PROWL_OK);
	return prowl_goroutines_take(ret->h, o, &ret->d, &ret->err);
}

static void dump(struct made_runtime *m, const struct prowl_goroutines_options *o,
		 struct dumped *ret)
{
	assert_int_equal(try_dump(m, o, ret), PROWL_OK);
}

static void dumped_fini(struct dumped *x)
{
	prowl_dump_fini(&x->d);
	prowl_goroutines_free(x->h);
}

static const char *leaf_of(const struct pprof_profile *p, size_t sample)
{
	const struct pprof_location *l = &p->locations[pprof_sample_stack(p, sample)[0]];

	assert_true(l->nlines > 0);
	return p->strings[p->functions[p->lines[l->first_line].function].name];
}

static bool has_comment(const struct pprof_profile *p, const char *text)
{
	for (size_t i = 0; i < p->ncomments; i++) {
		if (strstr(p->strings[p->comments[i]], text))
			return true;
	}
	return false;
}

TEST(equal_stacks_are_one_sample)
{
	static const int minors[] = {16, 19, 23, 27};

	for (size_t v = 0; v < sizeof minors / sizeof minors[0]; v++) {
		struct made_runtime m;
		struct dumped x;

		made_start(&m, minors[v], false);
		for (int i = 0; i < 40; i++)
			made_goroutine(&m, UW_G_WAITING, 2);
		dump(&m, &(struct prowl_goroutines_options){0}, &x);
		assert_int_equal(x.d.counts.goroutines, 40);
		assert_int_equal(x.d.n, 0);
		assert_int_equal(x.d.nstacks, 1);
		assert_int_equal(x.d.profile->nsamples, 1);
		assert_int_equal(pprof_sample_values(x.d.profile, 0)[0], 40);
		assert_string_equal(leaf_of(x.d.profile, 0), "main.main");
		assert_true(has_comment(x.d.profile, "target: sample, pid 4242"));
		assert_true(has_comment(x.d.profile, "runtime.allgs found by code"));
		assert_true(prowl_goroutines_target(x.h)->core);
		dumped_fini(&x);
		made_end(&m);
	}
}

TEST(a_list_is_sorted_and_complete)
{
	struct prowl_goroutines_options o = {.list = true};
	struct made_runtime m;
	struct dumped x;
	uint64_t g;

	made_start(&m, 27, false);
	g = made_goroutine(&m, UW_G_WAITING, 2);
	made_poke(&m, g + m.l->g.goid, 900, 8); /* an old g, used again */
	made_goroutine(&m, UW_G_RUNNABLE, 0);
	made_goroutine(&m, UW_G_DEAD, 0);
	g = made_goroutine(&m, UW_G_WAITING, 2);
	made_poke(&m, g + m.l->g.sched + m.l->gobuf.pc, made_entry(&m, SAMPLE_MAIN) + 60, 8);
	dump(&m, &o, &x);
	assert_int_equal(x.d.n, 3);
	assert_int_equal(x.d.counts.dead, 1);
	assert_int_equal(x.d.nstacks, 2);
	assert_int_equal(x.d.g[0].goid, 101);
	assert_int_equal(x.d.g[1].goid, 103);
	assert_int_equal(x.d.g[2].goid, 900);
	assert_int_equal(x.d.g[0].stack, x.d.g[2].stack);
	assert_int_not_equal(x.d.g[0].stack, x.d.g[1].stack);
	assert_int_not_equal(x.d.g[0].created, PROWL_NO_STACK);
	assert_string_equal(prowl_goroutine_state(x.h, &x.d.g[0]), "runnable");
	assert_string_equal(prowl_goroutine_state(x.h, &x.d.g[2]), m.l->wait_reasons[2]);
	dumped_fini(&x);
	made_end(&m);
}

static uint64_t count_with(struct made_runtime *m, const char *state_words, const char *match)
{
	struct prowl_goroutines_options o = {.state = state_words, .match = match};
	struct dumped x;
	uint64_t n;

	dump(m, &o, &x);
	n = x.d.counts.goroutines;
	assert_int_equal(n + x.d.counts.filtered, 3);
	dumped_fini(&x);
	return n;
}

TEST(filters)
{
	struct made_runtime m;
	struct dumped x;

	made_start(&m, 27, false);
	made_goroutine(&m, UW_G_WAITING, 2);
	made_goroutine(&m, UW_G_WAITING, 2);
	made_goroutine(&m, UW_G_RUNNABLE, 0);
	assert_string_equal(m.l->wait_reasons[2], "IO wait");
	assert_int_equal(count_with(&m, "IO wait", NULL), 2);
	assert_int_equal(count_with(&m, "io", NULL), 2);
	assert_int_equal(count_with(&m, "waiting", NULL), 2);
	assert_int_equal(count_with(&m, "i", NULL), 0); /* no whole word */
	assert_int_equal(count_with(&m, "select,runnable", NULL), 1);
	assert_int_equal(count_with(&m, NULL, "^main\\.ma"), 3);
	assert_int_equal(count_with(&m, NULL, "nowhere"), 0);
	assert_int_equal(count_with(&m, "runnable", "main"), 1);
	assert_int_equal(try_dump(&m, &(struct prowl_goroutines_options){.match = "("}, &x),
			 PROWL_USAGE);
	assert_string_equal(x.err.text, "'(' is no regular expression");
	dumped_fini(&x);
	made_end(&m);
}

TEST(goroutines_of_the_runtime_are_left_out)
{
	struct prowl_goroutines_options o = {.list = true};
	struct made_runtime m;
	struct dumped x;
	uint64_t g;

	made_start(&m, 27, false);
	made_goroutine(&m, UW_G_WAITING, 2);
	g = made_goroutine(&m, UW_G_WAITING, 13);
	made_poke(&m, g + m.l->g.startpc, made_entry(&m, SAMPLE_SYSTEMSTACK), 8);
	dump(&m, &o, &x);
	assert_int_equal(x.d.counts.goroutines, 1);
	assert_int_equal(x.d.counts.system, 1);
	dumped_fini(&x);
	o.system = true;
	dump(&m, &o, &x);
	assert_int_equal(x.d.counts.goroutines, 2);
	assert_int_equal(x.d.counts.system, 0);
	assert_true(x.d.g[1].system);
	dumped_fini(&x);
	made_end(&m);
}

/* Its stack is in the registers that the core file has of its thread. */
TEST(one_that_ran_in_a_core_file)
{
	struct prowl_goroutines_options o = {.list = true};
	struct made_runtime m;
	struct dumped x;
	uint64_t g, thread;

	made_start(&m, 27, false);
	g = made_goroutine(&m, UW_G_RUNNING, 0);
	thread = made_thread(&m);
	made_poke(&m, g + m.l->g.m, MADE_BASE + thread, 8);
	made_poke(&m, thread + m.l->m.procid, MADE_TID, 8);
	m.what.threads[0].regs.ip = made_entry(&m, SAMPLE_MAIN) + 4;
	m.what.threads[0].regs.sp = MADE_BASE + made_sp(0);
	dump(&m, &o, &x);
	assert_int_equal(x.d.counts.running, 1);
	assert_int_equal(x.d.counts.running_sampled, 1);
	assert_int_not_equal(x.d.g[0].stack, PROWL_NO_STACK);
	assert_false(x.d.g[0].sampled);
	assert_string_equal(leaf_of(x.d.profile, 0), "main.main");
	dumped_fini(&x);
	m.what.threads[0].regs.sp = MADE_BASE + 8; /* on no stack of its own */
	dump(&m, &o, &x);
	assert_int_equal(x.d.counts.running_sampled, 0);
	assert_int_equal(x.d.g[0].stack, PROWL_NO_STACK);
	assert_string_equal(leaf_of(x.d.profile, 0), "[running, stack unknown]");
	dumped_fini(&x);
	made_end(&m);
}

TEST(one_whose_stack_makes_no_sense)
{
	struct made_runtime m;
	struct dumped x;
	uint64_t g;

	made_start(&m, 27, false);
	g = made_goroutine(&m, UW_G_WAITING, 2);
	made_poke(&m, g + m.l->g.sched + m.l->gobuf.sp, 0x10, 8);
	dump(&m, &(struct prowl_goroutines_options){0}, &x);
	assert_int_equal(x.d.counts.bad, 1);
	assert_int_equal(x.d.profile->nsamples, 1);
	assert_string_equal(leaf_of(x.d.profile, 0), "[stack unknown]");
	dumped_fini(&x);
	made_end(&m);
}

TEST(how_long_a_live_one_waits)
{
	struct prowl_goroutines_options o = {.list = true};
	struct made_runtime m;
	struct dumped x;
	uint64_t g;

	made_start(&m, 27, true);
	g = made_goroutine(&m, UW_G_WAITING, 2);
	made_poke(&m, g + m.l->g.waitsince, 1, 8); /* since boot */
	g = made_goroutine(&m, UW_G_WAITING, 2);
	made_poke(&m, g + m.l->g.waitsince, INT64_MAX, 8); /* in the future */
	made_goroutine(&m, UW_G_RUNNABLE, 0);
	dump(&m, &o, &x);
	assert_true(x.d.g[0].wait_ns > 0);
	assert_int_equal(x.d.g[1].wait_ns, 0);
	assert_int_equal(x.d.g[2].wait_ns, 0);
	assert_true(x.d.when > 0);
	assert_false(prowl_goroutines_target(x.h)->core);
	dumped_fini(&x);
	made_end(&m);
}

/* What was read of another image is no dump. */
TEST(the_target_executes_another_program)
{
	struct made_runtime m;
	struct dumped x;

	made_start(&m, 27, true);
	made_goroutine(&m, UW_G_WAITING, 2);
	m.gone = true;
	assert_int_equal(try_dump(&m, &(struct prowl_goroutines_options){0}, &x), PROWL_NOTHING);
	assert_string_equal(x.err.text,
			    "process 4242 (sample) has ended or executes another program");
	assert_null(x.d.profile);
	dumped_fini(&x);
	made_end(&m);
}

TEST(the_list_is_not_found)
{
	struct made_runtime m;
	struct dumped x;

	made_start(&m, 27, false);
	assert_int_equal(try_dump(&m, &(struct prowl_goroutines_options){0}, &x),
			 PROWL_UNSUPPORTED);
	assert_string_equal(x.err.text, "process 4242 (sample, go1.27.9): where its runtime keeps "
					"its goroutines was not found");
	dumped_fini(&x);
	made_end(&m);
}

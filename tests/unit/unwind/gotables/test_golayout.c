/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "golayout.h"
#include "unit_test.h"

TEST(rows_ascend)
{
	for (size_t i = 1; i < uw_golayouts_count; i++) {
		const struct uw_golayout *a = &uw_golayouts[i - 1], *b = &uw_golayouts[i];

		assert_true(a->minor < b->minor || (a->minor == b->minor && a->patch < b->patch));
	}
	assert_int_equal(uw_golayouts[0].minor, 16);
	assert_true(uw_golayouts[uw_golayouts_count - 1].minor >= 27);
}

TEST(row_of_a_version)
{
	assert_null(uw_golayout_for(15, 15));
	assert_int_equal(uw_golayout_for(24, 4)->minor, 24);
	assert_int_equal(uw_golayout_for(16, 3)->patch, 0);
	assert_int_equal(uw_golayout_for(16, 4)->patch, 4);
	assert_int_equal(uw_golayout_for(16, 15)->patch, 4);
	assert_ptr_equal(uw_golayout_for(99, 0), &uw_golayouts[uw_golayouts_count - 1]);
}

TEST(newer_is_guessed)
{
	int newest = uw_golayouts[uw_golayouts_count - 1].minor;

	assert_false(uw_golayout_guessed(16));
	assert_false(uw_golayout_guessed(newest));
	assert_true(uw_golayout_guessed(newest + 1));
}

TEST(row_of_a_magic)
{
	assert_int_equal(uw_golayout_magic(0xfffffffa)->minor, 17);
	assert_int_equal(uw_golayout_magic(0xfffffff0)->minor, 19);
	assert_null(uw_golayout_magic(UW_GO_MAGIC_12));
}

/* Fields that no reader could do without, and the order that every version keeps. */
TEST(rows_make_sense)
{
	for (size_t i = 0; i < uw_golayouts_count; i++) {
		const struct uw_golayout *l = &uw_golayouts[i];

		assert_true(l->pc_size == 4 || l->pc_size == 8);
		assert_int_equal(l->pc_size == 8, l->module.gofunc == UW_GO_NONE);
		assert_true(l->func.nfuncdata + 1 <= 44);
		assert_true(l->func.id < l->func.nfuncdata);
		assert_int_equal(l->inl.parent == UW_GO_NONE, l->inl.start_line != UW_GO_NONE);
		assert_int_equal(l->inl.start_line,
				 l->func.start_line == UW_GO_NONE ? UW_GO_NONE : l->inl.start_line);
		assert_true(l->id_wrapper > l->id_systemstack);
		assert_true(l->module.next < l->module.size);
		assert_true(l->module.textsectmap < l->module.modulename);
		assert_int_equal(l->g.sched, 56);
		assert_true(l->g.sched + l->gobuf.bp + 8 <= l->g.syscallsp);
		assert_true(l->g.labels < l->g.size);
		assert_int_equal(l->m.gsignal, l->m.procid + 8);
		assert_int_equal(l->m.vdso_pc, l->m.vdso_sp + 8);
		assert_true(l->m.vdso_pc < l->m.size);
		assert_int_equal(l->labels_slice, l->minor >= 24);
		assert_int_equal(l->fp_saved_late, l->minor <= 20);
		assert_int_equal(l->fp_skips_frameless, l->minor <= 20);
	}
}

static bool known(const struct uw_golayout *l, const char *reason)
{
	for (size_t i = 0; i < l->wait_reasons_count; i++) {
		if (strcmp(l->wait_reasons[i], reason) == 0)
			return true;
	}
	return false;
}

/* What the profiles and figures need, and where each version changed it. */
TEST(runtime_rows_make_sense)
{
	for (size_t i = 0; i < uw_golayouts_count; i++) {
		const struct uw_golayout *l = &uw_golayouts[i];

		assert_true(l->minor == 16 || l->p.runnext == l->p.runq + 256 * 8);
		assert_true(l->p.m != UW_GO_NONE && l->sched.runqsize > l->sched.nmspinning);
		assert_int_equal(l->sched.maxmcount % 4, 0);
		assert_int_equal(l->memstats.pause_end, l->memstats.pause_ns + 256 * 8);
		assert_int_equal(l->memstats.heap_live != UW_GO_NONE, l->minor == 16);
		assert_int_equal(l->gc.heap_live == UW_GO_NONE, l->minor == 16);
		assert_int_equal(l->gc.total_alloc != UW_GO_NONE, l->minor >= 19);
		assert_int_equal(l->ticks.start_time != UW_GO_NONE, l->minor >= 22);
		assert_int_equal(l->mem_has_bytes, l->minor <= 26);
		assert_int_equal(l->block_count_float, l->minor >= 17);
		assert_int_equal(l->mutex_scaled_on_read, l->minor <= 19);
		assert_int_equal(l->prof_cycle_struct, l->minor <= 18);
		assert_int_equal(l->stack_depth, l->minor >= 23 ? 128 : 32);
		assert_null(l->wait_reasons[l->wait_reasons_count]);
		assert_string_equal(l->wait_reasons[0], "");
		assert_string_equal(l->wait_reasons[2], "IO wait");
		assert_true(known(l, "chan receive") && known(l, "semacquire"));
		assert_int_equal(known(l, "sync.Mutex.Lock"), l->minor >= 20);
		assert_int_equal(known(l, "cleanup wait"), l->minor >= 25);
	}
}

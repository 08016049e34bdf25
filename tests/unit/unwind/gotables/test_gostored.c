/* SPDX-License-Identifier: Apache-2.0 */
/* Stored stacks, logical, physical and cut, of a program with inlined calls, for each Go version.
 */
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>

#include "golayout.h"
#include "gostored.h"
#include "sample_go.h"
#include "unit_test.h"

#define BIAS 0x10000ull

struct opened {
	struct built_go built;
	struct uw_elf *elf;
	struct uw_go *go;
};

static struct opened open_row(const struct uw_golayout *l)
{
	struct opened o = {0};
	struct sample_go s;
	char version[32];

	snprintf(version, sizeof version, "go1.%d.%d", l->minor, l->patch);
	sample_go_init(&s, l, version);
	o.built = build_go(&s.go);
	o.elf = built_go_elf(&o.built);
	assert_non_null(o.elf);
	assert_int_equal(uw_go_open(o.elf, NULL, 0, &o.go, NULL), 0);
	return o;
}

static void close_row(struct opened *o)
{
	uw_go_free(o->go);
	uw_elf_free(o->elf);
	built_go_fini(&o->built);
}

/* lib.inner, a wrapper, in lib.outer in main.main: as stored, main+25, main+21, main+13. */
static void check_place(const struct opened *o)
{
	uint64_t at = o->built.entries[SAMPLE_MAIN] + BIAS;
	uint64_t logical[] = {at + 21, at + 13, at + 9};
	struct uw_gostored p;

	assert_true(uw_gostored_place(o->go, BIAS, at + 25, false, &p));
	assert_int_equal(p.pc, at + 24);
	assert_false(p.root);
	assert_int_equal(p.nframes, 2); /* no callee of the wrapper shows it */
	assert_string_equal(p.frames[0].frame.name, "lib.outer");
	assert_string_equal(p.frames[1].frame.name, "main.main");
	assert_int_equal(p.frames[1].frame.line, 12);
	assert_int_equal(p.nfollow, 2);
	assert_int_equal(p.follow[0], at + 21);
	assert_int_equal(p.follow[1], at + 13);
	assert_int_equal(uw_gostored_passed(p.follow, p.nfollow, logical, 3), 2);
	assert_int_equal(uw_gostored_passed(p.follow, p.nfollow, logical, 1), 1);     /* cut */
	assert_int_equal(uw_gostored_passed(p.follow, p.nfollow, logical + 2, 1), 0); /* physical */
	assert_int_equal(uw_gostored_passed(p.follow, p.nfollow, logical, 0), 0);

	assert_true(uw_gostored_place(o->go, BIAS, at + 25, true, &p));
	assert_int_equal(p.nframes, 3);
	assert_string_equal(p.frames[0].frame.name, "lib.inner");
}

static void check_others(const struct opened *o)
{
	struct uw_gostored p;

	assert_true(uw_gostored_place(o->go, BIAS, o->built.entries[SAMPLE_GOEXIT] + 2 + BIAS,
				      false, &p));
	assert_true(p.root);
	assert_int_equal(p.nframes, 0);
	assert_false(uw_gostored_place(o->go, BIAS, 4096, false, &p));
	assert_false(uw_gostored_place(o->go, BIAS, UINT64_MAX, false, &p));
	assert_true(uw_gostored_in_runtime(o->go, BIAS,
					   o->built.entries[SAMPLE_SYSTEMSTACK] + 2 + BIAS));
	assert_false(
		uw_gostored_in_runtime(o->go, BIAS, o->built.entries[SAMPLE_MAIN] + 25 + BIAS));
	assert_false(uw_gostored_in_runtime(o->go, BIAS, 4096));
}

TEST(expands_every_version)
{
	for (size_t i = 0; i < uw_golayouts_count; i++) {
		struct opened o = open_row(&uw_golayouts[i]);

		check_place(&o);
		check_others(&o);
		close_row(&o);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The table of kinds, and what is refused before a target is opened. */
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include "kinds.h"
#include "unit_test.h"

enum { NOBODY = 0x7ffffff0 };

static enum prowl_code take(const char *name, const struct prowl_who *who,
			    const struct prowl_take *o, struct prowl_err *err)
{
	struct pprof_profile *p = NULL;
	struct prowl_taken taken;
	enum prowl_code code = prowl_kind_take(prowl_kind_named(name), who, o, &p, &taken, err);

	assert_null(p);
	return code;
}

TEST(every_kind_is_found_by_its_name)
{
	static const char *const names[] = {"cpu",   "heap",  "allocs",       "goroutine",
					    "block", "mutex", "threadcreate", "wall"};
	size_t n = 0;

	for (; prowl_kinds[n].name; n++) {
		assert_string_equal(prowl_kinds[n].name, names[n]);
		assert_ptr_equal(prowl_kind_named(names[n]), &prowl_kinds[n]);
		assert_non_null(prowl_kinds[n].take);
		if (prowl_kinds[n].family == PROWL_FAMILY_RTPROFILE)
			assert_string_equal(prowl_rtprofile_name(prowl_kinds[n].record), names[n]);
		/* What needs a window has a default for it, and no other kind has. */
		assert_int_equal(prowl_kinds[n].window_ns != 0,
				 (prowl_kinds[n].flags & PROWL_KIND_WINDOW) != 0);
	}
	assert_int_equal(n, sizeof names / sizeof names[0]);
	assert_null(prowl_kind_named("profile"));
}

TEST(refuses_what_a_kind_has_not)
{
	struct prowl_who process = {.pid = NOBODY}, core = {.core = "/nowhere"};
	struct prowl_take none = {0}, window = {.ns = 1000}, rates = {.ns = 1000};
	struct prowl_err e;

	assert_int_equal(take("cpu", &core, &none, &e), PROWL_USAGE);
	assert_string_equal(e.text, "a core file has no cpu profile");
	assert_int_equal(take("wall", &core, &none, &e), PROWL_USAGE);
	assert_int_equal(take("heap", &core, &window, &e), PROWL_USAGE);
	assert_int_equal(take("goroutine", &process, &window, &e), PROWL_USAGE);
	rates.rates.set[PROWL_RATE_BLOCK] = true;
	assert_int_equal(take("heap", &process, &rates, &e), PROWL_USAGE);
	assert_string_equal(e.text, "block-rate has no part in the heap profile");
	rates.ns = 0;
	assert_int_equal(take("block", &process, &rates, &e), PROWL_USAGE);
	assert_string_equal(e.text, "block-rate is set for a window only");
}

TEST(nobody_has_a_profile)
{
	struct prowl_who process = {.pid = NOBODY}, core = {.core = "/nowhere"};
	struct prowl_take none = {0};
	struct prowl_err e;

	for (const struct prowl_kind *k = prowl_kinds; k->name; k++) {
		assert_int_equal(take(k->name, &process, &none, &e), PROWL_NOTHING);
		assert_string_equal(e.text, "there is no process 2147483632");
		if (k->flags & PROWL_KIND_CORE)
			assert_int_equal(take(k->name, &core, &none, &e), PROWL_FAILED);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The sentences for a target that can't be read. */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>

#include "who.h"
#include "unit_test.h"

static const struct prowl_target target = {.pid = 42, .comm = "web", .go_version = "go1.24.4"};

static void assert_sentence(const struct prowl_target *t, int error, enum prowl_code code,
			    const char *text)
{
	struct prowl_err e = {0};

	assert_int_equal(prowl_fail_target(&e, t, "heap profile", error), code);
	assert_int_equal(e.code, code);
	assert_string_equal(e.text, text);
}

TEST(says_what_and_why)
{
	assert_sentence(&target, -ENOMEM, PROWL_FAILED, "out of memory");
	assert_sentence(&target, -ENOENT, PROWL_UNSUPPORTED,
			"process 42 (web, go1.24.4): where its runtime keeps its heap profile was "
			"not found");
	assert_sentence(&target, -ESRCH, PROWL_NOTHING, "process 42 is gone");
	assert_sentence(&target, -ESTALE, PROWL_NOTHING,
			"process 42 (web) has ended or executes another program");
	assert_sentence(&target, -EBADMSG, PROWL_UNSUPPORTED,
			"process 42 (web, go1.24.4): its heap profile is not of the form that is "
			"known of this version");
	assert_sentence(&target, -EIO, PROWL_FAILED,
			"process 42 (web): reading its heap profile: Input/output error");
	assert_sentence(&target, -EFAULT, PROWL_FAILED,
			"process 42 (web): reading its heap profile: Bad address");
}

TEST(a_permission_comes_with_what_grants_it)
{
	struct prowl_err e = {0};

	assert_int_equal(prowl_fail_target(&e, &target, "memory", -EPERM), PROWL_PERMISSION);
	assert_memory_equal(e.text, "not allowed to read the memory of process 42 (", 46);
	assert_non_null(strstr(e.hint, "prowl doctor --pid 42"));
	assert_int_equal(prowl_fail_target(NULL, &target, "memory", -EACCES), PROWL_PERMISSION);
}

TEST(a_core_file_has_not_all)
{
	struct prowl_target t = target;

	t.core = true;
	assert_sentence(&t, -EFAULT, PROWL_FAILED,
			"the core file of process 42 (web) does not have its whole heap profile");
	t.core_cut = true;
	assert_sentence(
		&t, -EFAULT, PROWL_FAILED,
		"the core file of process 42 (web) does not have its whole heap profile: it "
		"was cut short");
}

TEST(leaves_out_what_is_not_known)
{
	struct prowl_target t = {.pid = 42};

	assert_sentence(&t, -ENOENT, PROWL_UNSUPPORTED,
			"process 42: where its runtime keeps its heap profile was not found");
	memcpy(t.comm, "web", 4);
	assert_sentence(&t, -ENOENT, PROWL_UNSUPPORTED,
			"process 42 (web): where its runtime keeps its heap profile was not found");
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unit tests that register themselves: a test is a function, and nothing else is to be added.
 *
 *	TEST(a_ring_wraps)
 *	{
 *		assert_int_equal(...);
 *	}
 *
 * main() is in unit_test.c, which runs the tests of a file in their order. TEST_WITH has functions
 * of cmocka's type that run before and after the test, TEST_GROUP some that run before and after
 * all of them; either may be NULL.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct unit_test {
	struct CMUnitTest test;
	int line; /* the linker may sort them as it likes */
};

#define TEST(function) TEST_WITH(function, NULL, NULL)

#define TEST_WITH(function, before, after)                            \
	static void function(void **state);                           \
	UNIT_TEST(function, function, #function, before, after, NULL) \
	static void function(void **state)

/* One entry: `id` is part of an identifier, `name` what is printed, `data` what *state is at first.
 */
#define UNIT_TEST(function, id, name, before, after, data)                                     \
	static const struct unit_test unit_test_##id = {{name, function, before, after, data}, \
							__LINE__};                             \
	/* a pointer, as the distance of two objects in a section is the compiler's choice */  \
	static const struct unit_test *const unit_test_at_##id                                 \
		__attribute__((section("unit_tests"), used)) = &unit_test_##id;

#define TEST_GROUP(before, after) \
	CMFixtureFunction unit_test_before = before, unit_test_after = after

/* The function says why none of the tests can run here, or NULL. */
#define TEST_NEEDS(function) const char *(*unit_test_needs)(void) = function

/* Weak in unit_test.c, set by the two above. */
extern CMFixtureFunction unit_test_before, unit_test_after;
extern const char *(*unit_test_needs)(void);

/* The arguments of the program, without its name; for tests that are given a file. */
extern char **unit_test_args;

/* SPDX-License-Identifier: Apache-2.0 */
#include "unit_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

extern const struct unit_test *const __start_unit_tests[], *const __stop_unit_tests[];

CMFixtureFunction unit_test_before __attribute__((weak));
CMFixtureFunction unit_test_after __attribute__((weak));
const char *(*unit_test_needs)(void)__attribute__((weak)) = NULL;
char **unit_test_args;

static int by_line(const void *a, const void *b)
{
	const struct unit_test *x = *(const struct unit_test *const *)a,
			       *y = *(const struct unit_test *const *)b;

	return (x->line > y->line) - (x->line < y->line);
}

int main(int argc, char **argv)
{
	size_t n = (size_t)(__stop_unit_tests - __start_unit_tests);
	const struct unit_test **sorted;
	struct CMUnitTest *tests;
	const char *(*needs)(void) = unit_test_needs;
	const char *why_not;
	int failed;

	unit_test_args = argv + (argc > 0);
	why_not = needs ? needs() : NULL;
	if (why_not) {
		printf("1..0 # SKIP %s\n", why_not);
		return 0;
	}
	sorted = calloc(n, sizeof *sorted);
	tests = calloc(n, sizeof *tests);
	assert_true(sorted && tests);
	for (size_t i = 0; i < n; i++)
		sorted[i] = __start_unit_tests[i];
	qsort(sorted, n, sizeof *sorted, by_line);
	for (size_t i = 0; i < n; i++)
		tests[i] = sorted[i]->test;
	failed = _cmocka_run_group_tests(program_invocation_short_name, tests, n, unit_test_before,
					 unit_test_after);
	free(sorted);
	free(tests);
	return failed;
}

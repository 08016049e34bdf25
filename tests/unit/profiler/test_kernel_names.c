/* SPDX-License-Identifier: Apache-2.0 */
/* Names of kernel addresses that come bit by bit. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_names.h"
#include "unit_test.h"

enum { SOME = 200 };

static struct {
	uint64_t at;
	char name[128];
} symbols[SOME];
static size_t nsymbols;

static int ascending(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Functions of the kernel, each the only symbol at its address. */
static int read_symbols(void **state)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[512], type, name[128];
	uint64_t at, last = 0;
	int every = 0;

	while (f && nsymbols < SOME && fgets(line, sizeof line, f)) {
		if (strchr(line, '[') ||
		    sscanf(line, "%" SCNx64 " %c %127s", &at, &type, name) != 3)
			continue;
		if (at == last && nsymbols && symbols[nsymbols - 1].at == at)
			nsymbols--;
		else if (at != last && at != 0 && (type == 'T' || type == 't') &&
			 every++ % 50 == 0) {
			symbols[nsymbols].at = at;
			strcpy(symbols[nsymbols++].name, name);
		}
		last = at;
	}
	if (f)
		fclose(f);
	qsort(symbols, nsymbols, sizeof *symbols, ascending);
	return 0;
}

TEST(learns_each_once)
{
	struct prowl_kernel_names k = {0};
	uint64_t pcs[SOME];
	unsigned int times;
	size_t right = 0;

	if (nsymbols < 10) {
		print_message("# the kernel hides its symbols\n");
		skip();
	}
	for (size_t i = 0; i < nsymbols; i++)
		pcs[i] = symbols[i].at;
	for (size_t n = 5; n < nsymbols; n += nsymbols / 5) { /* more and more of them */
		assert_int_equal(prowl_kernel_names_learn(&k, pcs, n), 0);
		assert_int_equal(k.n, n);
	}
	assert_int_equal(prowl_kernel_names_learn(&k, pcs, nsymbols), 0);
	times = k.times;
	assert_int_equal(prowl_kernel_names_learn(&k, pcs, nsymbols), 0);
	assert_int_equal(k.times, times);
	for (size_t i = 0; i < nsymbols; i++) {
		const struct prowl_kernel_name *n = prowl_kernel_names_of(&k, pcs[i]);

		right += n && !strcmp(n->name, symbols[i].name);
	}
	assert_true(right >= nsymbols - nsymbols / 20);
	prowl_kernel_names_fini(&k);
}

TEST(learns_without_a_cache)
{
	setenv("PROWL_NO_CACHE", "1", 1);
	learns_each_once(state);
	unsetenv("PROWL_NO_CACHE");
}

TEST(what_is_no_code)
{
	const uint64_t pcs[] = {1, 2};
	struct prowl_kernel_names k = {0};

	(void)prowl_kernel_names_learn(&k, pcs, 2);
	assert_null(prowl_kernel_names_of(&k, 1));
	assert_null(prowl_kernel_names_of(&k, 7));
	prowl_kernel_names_fini(&k);
	assert_int_equal(prowl_kernel_names_learn(&k, pcs, 0), 0);
	prowl_kernel_names_fini(&k);
}

TEST_GROUP(read_symbols, NULL);

TEST(many_addresses_over_many_windows_are_not_kept_for_ever)
{
	enum { WINDOW = PROWL_KERNEL_NAMES_MAX / 4 };
	struct prowl_kernel_names k = {0};
	static uint64_t pcs[WINDOW];

	for (uint64_t w = 0; w < 12; w++) {
		for (uint64_t i = 0; i < WINDOW; i++)
			pcs[i] = 0xffffffff80000000 + (w * WINDOW + i) * 16;
		if (prowl_kernel_names_learn(&k, pcs, WINDOW) < 0)
			break; /* hidden from us */
		assert_true(k.n <= PROWL_KERNEL_NAMES_MAX);
		assert_int_equal(k.n, (w % 4 + 1) * WINDOW);
	}
	prowl_kernel_names_fini(&k);
}

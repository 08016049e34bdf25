/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demangle_parts.h"
#include "unit_test.h"

static void check(const char *mangled, const char *want)
{
	char *got = uw_demangle(mangled);

	if (want) {
		assert_non_null(got);
		assert_string_equal(got, want);
	} else {
		assert_null(got);
	}
	free(got);
}

TEST(cplusplus)
{
	check("_ZN3foo3barEv", "foo::bar()");
	check("_Z3addii", "add(int, int)");
	check("_ZNKSt6vectorIiSaIiEE4sizeEv",
	      "std::vector<int, std::allocator<int> >::size() const");
	check("_ZN3foo3barEv.part.0", "foo::bar() [clone .part.0]");
}

TEST(rust)
{
	check("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write");
	check("_RNvC7mycrate3foo", "mycrate::foo");
	check("_RNvMC7mycrateNtB2_3Foo3bar", "<mycrate::Foo>::bar");
}

TEST(plain_names)
{
	check("main", NULL);
	check("", NULL);
	check("_", NULL);
	check("_start", NULL);
	check("_Z", NULL);
	check("_R", NULL);
	check("_Zebra crossing", NULL);
	check("runtime.mallocgc", NULL);
}

/* Each level names the one before twice: the text doubles with every level. */
TEST(exploding_names)
{
	char name[2048];
	size_t len;

	strcpy(name, "_Z1f1SIiiE");
	len = strlen(name);
	for (int i = 0; i < 60; i++) {
		static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
		char id[3] = {digits[i / 36], digits[i % 36], 0};
		const char *sub = i < 36 ? id + 1 : id;

		len += (size_t)sprintf(name + len, "1SIS%s_S%s_E", sub, sub);
	}
	free(uw_demangle(name));
	assert_true(len < sizeof name);
}

TEST(long_names)
{
	size_t n = 100000;
	char *name = malloc(n + 1);

	assert_non_null(name);
	memset(name, 'P', n);
	memcpy(name, "_Z1f", 4);
	name[n] = '\0';
	for (size_t len = 10; len <= n; len = len * 3 / 2) {
		char c = name[len];

		name[len] = '\0';
		free(uw_demangle(name));
		name[len] = c;
	}
	memset(name + 4, '1', n - 4);
	free(uw_demangle(name));
	free(name);
}

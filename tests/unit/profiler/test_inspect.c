/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inspect.h"
#include "unit_test.h"

static struct prowl_buildinfo parse(const char *text)
{
	struct prowl_buildinfo b;

	assert_int_equal(prowl_buildinfo_parse(text, strlen(text), &b), 0);
	return b;
}

TEST(test_everything)
{
	struct prowl_buildinfo b = parse("path\texample.org/shop/cmd/server\n"
					 "mod\texample.org/shop\tv1.2.3\th1:abc=\n"
					 "dep\texample.org/a\tv0.1.0\th1:a=\n"
					 "dep\texample.org/b\tv0.2.0\n"
					 "=>\t../b\t(devel)\n"
					 "dep\texample.org/c\tv3.0.0\th1:c=\n"
					 "build\t-compiler=gc\n"
					 "build\tvcs.revision=0123456789abcdef\n"
					 "build\tvcs.modified=true\n");

	assert_string_equal(b.path, "example.org/shop/cmd/server");
	assert_string_equal(b.main.path, "example.org/shop");
	assert_string_equal(b.main.version, "v1.2.3");
	assert_string_equal(b.main.sum, "h1:abc=");
	assert_string_equal(b.main.new_path, "");
	assert_int_equal(b.ndeps, 3);
	assert_string_equal(b.deps[0].path, "example.org/a");
	assert_string_equal(b.deps[0].new_path, "");
	assert_string_equal(b.deps[1].sum, "");
	assert_string_equal(b.deps[1].new_path, "../b");
	assert_string_equal(b.deps[1].new_version, "(devel)");
	assert_string_equal(b.deps[2].sum, "h1:c=");
	assert_int_equal(b.nsettings, 3);
	assert_string_equal(prowl_buildinfo_setting(&b, "-compiler"), "gc");
	assert_string_equal(prowl_buildinfo_setting(&b, "vcs.modified"), "true");
	assert_null(prowl_buildinfo_setting(&b, "vcs"));
	prowl_buildinfo_fini(&b);
}

TEST(test_main_module_replaced)
{
	struct prowl_buildinfo b = parse("mod\tm\tv1\n=>\tn\tv2\th1:x=\n");

	assert_string_equal(b.main.path, "m");
	assert_string_equal(b.main.new_path, "n");
	assert_string_equal(b.main.new_version, "v2");
	prowl_buildinfo_fini(&b);
}

TEST(test_quoted)
{
	struct prowl_buildinfo b = parse("build\t-ldflags=\"-s -w -X \\\"main.v=1 2\\\"\"\n"
					 "build\t-tags=`a \"b`\n"
					 "build\t\"odd key\"=plain\n"
					 "build\t`raw=key`=\"tab\\tnl\\n\\x41\\u00e9\\U0001f600\"\n"
					 "build\tempty=\n"
					 "build\tequals=a=b\n");

	assert_int_equal(b.nsettings, 6);
	assert_string_equal(prowl_buildinfo_setting(&b, "-ldflags"), "-s -w -X \"main.v=1 2\"");
	assert_string_equal(prowl_buildinfo_setting(&b, "-tags"), "a \"b");
	assert_string_equal(prowl_buildinfo_setting(&b, "odd key"), "plain");
	assert_string_equal(prowl_buildinfo_setting(&b, "raw=key"),
			    "tab\tnl\nA\xc3\xa9\xf0\x9f\x98\x80");
	assert_string_equal(prowl_buildinfo_setting(&b, "empty"), "");
	assert_string_equal(prowl_buildinfo_setting(&b, "equals"), "a=b");
	prowl_buildinfo_fini(&b);
}

TEST(test_damaged)
{
	static const char *const lines[] = {
		"",
		"\n\n",
		"path",
		"build\t",
		"build\tno-equals",
		"build\t\"no end=x",
		"build\t\"key\"x=y",
		"build\tk=\"no end",
		"build\tk=\"bad \\q\"",
		"build\tk=\"cut \\x4",
		"build\tk=\"cut \\",
		"build\tk=\"\\Uffffffff\"",
		"build\tk=\"\\x00\"",
		"=>\tnobody\tv1\n",
		"unknown\tline\n",
	};

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		/* Exactly as large as the text, so that a read past its end is seen. */
		size_t len = strlen(lines[i]);
		char *text = malloc(len ? len : 1);
		struct prowl_buildinfo b;

		assert_non_null(text);
		memcpy(text, lines[i], len);
		assert_int_equal(prowl_buildinfo_parse(text, len, &b), 0);
		assert_int_equal(b.nsettings, 0);
		assert_int_equal(b.ndeps, 0);
		assert_string_equal(b.path, "");
		assert_string_equal(b.main.new_path, "");
		prowl_buildinfo_fini(&b);
		free(text);
	}
}

TEST(test_many_deps)
{
	enum { N = 300 };
	char *text = malloc(N * 32), want[32];
	struct prowl_buildinfo b;
	size_t len = 0;

	assert_non_null(text);
	for (int i = 0; i < N; i++)
		len += (size_t)sprintf(text + len, "dep\tm%d\tv%d\n", i, i);
	assert_int_equal(prowl_buildinfo_parse(text, len, &b), 0);
	assert_int_equal(b.ndeps, N);
	for (int i = 0; i < N; i++) {
		snprintf(want, sizeof want, "m%d", i);
		assert_string_equal(b.deps[i].path, want);
	}
	prowl_buildinfo_fini(&b);
	free(text);
}

TEST(test_inspect_refuses)
{
	struct prowl_info *info;
	struct prowl_err err;

	assert_int_equal(prowl_inspect_pid(0x7ffffff0, &info, &err), PROWL_NOTHING);
	assert_int_equal(prowl_inspect_pid(getpid(), &info, &err), PROWL_UNSUPPORTED);
	assert_non_null(strstr(err.text, "is not a Go program"));
	assert_int_equal(prowl_inspect_file("/dev/null", &info, &err), PROWL_UNSUPPORTED);
	assert_int_equal(prowl_inspect_file("/proc/self/exe", &info, &err), PROWL_UNSUPPORTED);
	assert_int_equal(prowl_inspect_file("/nowhere/at/all", &info, &err), PROWL_FAILED);
}

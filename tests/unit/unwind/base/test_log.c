/* SPDX-License-Identifier: Apache-2.0 */
/* Which domains a text names, and what a line looks like. */
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "unit_test.h"

TEST(test_parse)
{
	unsigned int d = 99;

	assert_true(uw_log_parse(NULL, &d));
	assert_int_equal(d, 0);
	assert_true(uw_log_parse("", &d));
	assert_int_equal(d, 0);
	assert_true(uw_log_parse("walk", &d));
	assert_int_equal(d, UW_LOG_WALK);
	assert_true(uw_log_parse("perf,globals", &d));
	assert_int_equal(d, UW_LOG_PERF | UW_LOG_GLOBALS);
	assert_true(uw_log_parse("all", &d));
	assert_int_equal(d, UW_LOG_WALK | UW_LOG_PERF | UW_LOG_GLOBALS);
	assert_false(uw_log_parse("walk,wal,walks", &d));
	assert_int_equal(d, UW_LOG_WALK);
	assert_false(uw_log_parse("walk,,globals", &d));
	assert_int_equal(d, UW_LOG_WALK | UW_LOG_GLOBALS);
}

TEST(test_lines)
{
	int fd = memfd_create("stderr", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	char long_text[2000], got[4096] = "";
	ssize_t n;

	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	dup2(fd, STDERR_FILENO);
	uw_log(UW_LOG_WALK, "unheard");
	uw_log_set(UW_LOG_GLOBALS);
	uw_log(UW_LOG_WALK, "unheard");
	uw_log(UW_LOG_GLOBALS, "%d of %s", 7, "nine");
	uw_log(UW_LOG_GLOBALS, "%s", long_text);
	uw_log_set(0);
	uw_log(UW_LOG_GLOBALS, "unheard");
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = pread(fd, got, sizeof got - 1, 0);
	assert_true(n > 0 && n < 1000);
	assert_memory_equal(got, "prowl globals: 7 of nine\nprowl globals: xxx", 43);
	assert_null(strstr(got, "unheard"));
	assert_int_equal(got[n - 1], '\n');
	close(fd);
}

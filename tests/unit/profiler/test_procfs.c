/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of /proc, on text of the forms that the kernel writes; and the table of grants. */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "grants.h"
#include "privilege.h"
#include "procfs.h"
#include "unit_test.h"

static void write_file(char *path, const char *text)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

TEST(reads_what_fits)
{
	char path[] = "/tmp/test_procfs.XXXXXX", buf[8], large[64];

	write_file(path, "0123456789");
	assert_int_equal(prowl_read_text(path, buf, sizeof buf), 7);
	assert_string_equal(buf, "0123456");
	assert_int_equal(prowl_read_text(path, large, sizeof large), 10);
	assert_string_equal(large, "0123456789");
	assert_int_equal(prowl_read_number(path, -1), 123456789);
	unlink(path);
	assert_int_equal(prowl_read_text(path, buf, sizeof buf), -ENOENT);
	assert_string_equal(buf, "");
	assert_int_equal(prowl_read_number(path, -1), -1);
	assert_int_equal(prowl_read_text("/", buf, sizeof buf), -EISDIR);
}

TEST(names_of_processes_and_threads)
{
	char name[64];

	prctl(PR_SET_NAME, "a (b) c");
	prowl_comm(getpid(), name, sizeof name);
	assert_string_equal(name, "a (b) c");
	prowl_comm(0, name, sizeof name);
	assert_string_equal(name, "a (b) c");
	prowl_thread_comm(getpid(), getpid(), name, sizeof name);
	assert_string_equal(name, "a (b) c");
	prowl_comm(0x7ffffff0, name, sizeof name);
	assert_string_equal(name, "");
}

TEST(fields_of_status)
{
	static const char status[] = "Name:\tx\nUid:\t1000\t0\t0\t0\nVmRSS:\t    1024 kB\n"
				     "CapEff:\t000001ffffffffff\nEmpty:\nThreads:\t3\n";
	uint64_t v = 0;

	assert_true(prowl_status_field(status, "Uid", 10, &v));
	assert_int_equal(v, 1000);
	assert_true(prowl_status_field(status, "VmRSS", 10, &v));
	assert_int_equal(v, 1024);
	assert_true(prowl_status_field(status, "CapEff", 16, &v));
	assert_int_equal(v, 0x1ffffffffff);
	assert_true(prowl_status_field(status, "Threads", 10, &v));
	assert_int_equal(v, 3);
	assert_false(prowl_status_field(status, "Thread", 10, &v));
	assert_false(prowl_status_field(status, "id", 10, &v));
	assert_false(prowl_status_field(status, "Name", 10, &v));
	assert_false(prowl_status_field("", "Name", 10, &v));
}

TEST(fields_of_stat)
{
	static const char stat[] = "42 (a) b (c) S 1 42 43 0\n";
	char buf[8];

	assert_true(prowl_stat_field(stat, 3, buf, sizeof buf));
	assert_string_equal(buf, "S");
	assert_true(prowl_stat_field(stat, 4, buf, sizeof buf));
	assert_string_equal(buf, "1");
	assert_true(prowl_stat_field(stat, 7, buf, sizeof buf));
	assert_string_equal(buf, "0");
	assert_false(prowl_stat_field(stat, 8, buf, sizeof buf));
	assert_string_equal(buf, "");
	assert_false(prowl_stat_field(stat, 2, buf, sizeof buf));
	assert_false(prowl_stat_field("42 no name", 3, buf, sizeof buf));
	assert_true(prowl_stat_field("1 (x) S 12345678901", 4, buf, sizeof buf));
	assert_string_equal(buf, "1234567");
}

TEST(namespaces)
{
	assert_true(prowl_namespace(0, "pid") != 0);
	assert_int_equal(prowl_namespace(0, "pid"), prowl_namespace(getpid(), "pid"));
	assert_int_equal(prowl_namespace(0x7ffffff0, "pid"), 0);
	assert_int_equal(prowl_namespace(0, "none"), 0);
}

/* The sentence names what the table has, in its order. */
TEST(the_advice_is_the_table)
{
	char caps[256] = "";

	for (size_t i = 0; i < prowl_ngrants; i++) {
		const struct prowl_grant *g = &prowl_grants[i];

		assert_true(g->may != 0);
		assert_non_null(g->use);
		if (g->advised)
			snprintf(caps + strlen(caps), sizeof caps - strlen(caps), "%s%s",
				 caps[0] ? "," : "", g->id);
	}
	assert_string_equal(caps, PROWL_CAPS);
}

TEST(our_own_standing)
{
	struct prowl_standing s = prowl_standing();
	uint64_t v;
	char buf[8192];

	assert_true(prowl_read_of(0, "status", buf, sizeof buf) > 0);
	assert_true(prowl_status_field(buf, "CapEff", 16, &v));
	assert_int_equal(s.effective, v);
	assert_int_equal(s.effective & ~s.permitted, 0);
	for (unsigned int cap = 0; cap < 64; cap++) {
		int bound = prctl(PR_CAPBSET_READ, cap);

		assert_int_equal(prowl_has_cap(s.bound, cap), bound > 0);
	}
}

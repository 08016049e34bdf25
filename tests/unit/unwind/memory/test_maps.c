/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "maps.h"
#include "unit_test.h"

struct seen {
	struct uw_map map[32];
	char path[32][256];
	size_t n, stop_after;
};

static int collect(void *ctx, const struct uw_map *m)
{
	struct seen *s = ctx;

	if (s->n < 32) {
		s->map[s->n] = *m;
		snprintf(s->path[s->n], sizeof s->path[0], "%s", m->path);
	}
	assert_int_equal(strlen(m->path), m->path_len);
	s->n++;
	return s->stop_after && s->n == s->stop_after ? 7 : 0;
}

static int parse(const char *text, struct seen *s)
{
	*s = (struct seen){0};
	return uw_maps_parse(text, strlen(text), collect, s);
}

TEST(the_kernels_lines)
{
	struct seen s;

	assert_int_equal(
		parse("00400000-00452000 r-xp 00001000 08:02 173521      /usr/bin/a b\n"
		      "7f0000000000-7f0000001000 rw-s 00000000 103:1a 5  /dev/shm/x (deleted)\n"
		      "7f0000001000-7f0000002000 ---p 00000000 00:00 0 \n"
		      "7f0000002000-7f0000003000 rw-p 00000000 00:00 0                  [stack]\n"
		      "7f0000003000-7f0000004000 r-xp 00000000 00:00 0                  [vdso]\n"
		      "7f0000004000-7f0000005000 r--p 00000000 00:00 0    [anon:a (deleted)]\n"
		      "7f0000005000-7f0000006000 r--p 00000000 fd:00 9    /a\\012b\\013\\\n"
		      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          [vsyscall]",
		      &s),
		0);
	assert_int_equal(s.n, 8);
	assert_int_equal(s.map[0].start, 0x400000);
	assert_int_equal(s.map[0].end, 0x452000);
	assert_int_equal(s.map[0].offset, 0x1000);
	assert_int_equal(s.map[0].prot, PROT_READ | PROT_EXEC);
	assert_false(s.map[0].shared);
	assert_int_equal(s.map[0].major, 8);
	assert_int_equal(s.map[0].minor, 2);
	assert_int_equal(s.map[0].inode, 173521);
	assert_string_equal(s.path[0], "/usr/bin/a b");
	assert_true(s.map[1].deleted);
	assert_true(s.map[1].shared);
	assert_int_equal(s.map[1].major, 0x103);
	assert_int_equal(s.map[1].minor, 0x1a);
	assert_string_equal(s.path[1], "/dev/shm/x");
	assert_string_equal(s.path[2], "");
	assert_int_equal(s.map[2].prot, 0);
	assert_string_equal(s.path[3], "[stack]");
	assert_string_equal(s.path[4], "[vdso]");
	assert_string_equal(s.path[5], "[anon:a (deleted)]");
	assert_false(s.map[5].deleted);
	assert_string_equal(s.path[6], "/a\nb\\013\\");
	assert_int_equal(s.map[7].prot, PROT_EXEC);
	assert_int_equal(s.map[7].end, 0xffffffffff601000);
}

TEST(damaged_lines)
{
	static const char *const bad[] = {
		"\n",
		"x\n",
		"400000\n",
		"400000-\n",
		"400000-500000\n",
		"400000-500000 r-x\n",
		"400000-500000 r-xp 0 08:02\n",
		"400000-500000 r-xp 0 08:02 x\n",
		"400000-400000 r-xp 0 08:02 1\n",
		"500000-400000 r-xp 0 08:02 1\n",
		"1ffffffffffffffff-2ffffffffffffffff r-xp 0 08:02 1\n",
		"400000-500000 r-xp 0 1ffffffff:02 1\n",
	};
	struct seen s;
	char *huge = malloc(10001);

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char text[256];

		snprintf(text, sizeof text, "1000-2000 r--p 0 0:0 0\n%s", bad[i]);
		assert_int_equal(parse(text, &s), -EBADMSG);
		assert_int_equal(s.n, 1);
	}
	memset(huge, 'a', 10000);
	huge[10000] = '\0';
	memcpy(huge, "1000-2000 r--p 0 0:0 0 ", 23);
	assert_int_equal(parse(huge, &s), -EBADMSG);
	free(huge);
	assert_int_equal(parse("", &s), 0);
	assert_int_equal(s.n, 0);
}

TEST(the_callback_can_stop)
{
	struct seen s = {.stop_after = 1};
	const char *text = "1000-2000 r--p 0 0:0 0\n2000-3000 r--p 0 0:0 0\n";

	assert_int_equal(uw_maps_parse(text, strlen(text), collect, &s), 7);
	assert_int_equal(s.n, 1);
}

static int find_main(void *ctx, const struct uw_map *m)
{
	uintptr_t pc = (uintptr_t)find_main;

	if (pc < m->start || pc >= m->end)
		return 0;
	assert_int_equal(m->prot, PROT_READ | PROT_EXEC);
	assert_non_null(strstr(m->path, "test_maps"));
	assert_true(m->inode != 0);
	return 1;
}

TEST(this_process)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(uw_maps_read(fd, find_main, NULL), 1);
	close(fd);
	assert_int_equal(uw_maps_read(-1, find_main, NULL), -EBADF);
}

static int count(void *ctx, const struct uw_map *m)
{
	uint64_t *n = ctx;

	assert_int_equal(m->start, 0x7f0000000000 + *n * 0x2000);
	++*n;
	return 0;
}

TEST(many_lines)
{
	enum { LINES = 10000 };
	char *text = malloc(LINES * 128), *p = text;
	int fd = memfd_create("maps", MFD_CLOEXEC);
	struct timespec a, b;
	uint64_t n = 0;

	for (uint64_t i = 0; i < LINES; i++)
		p += sprintf(p,
			     "%" PRIx64 "-%" PRIx64 " r-xp 00001000 08:02 1234567          "
			     "/usr/lib/x86_64-linux-gnu/libsomething-%" PRIu64 ".so.1\n",
			     0x7f0000000000 + i * 0x2000, 0x7f0000001000 + i * 0x2000, i);
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(uw_maps_parse(text, (size_t)(p - text), count, &n), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_int_equal(n, LINES);
	print_message("# %d lines in %.2f ms\n", LINES,
		      (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, (size_t)(p - text)), p - text);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	n = 0;
	assert_int_equal(uw_maps_read(fd, count, &n), 0);
	assert_int_equal(n, LINES);
	close(fd);
	free(text);
}

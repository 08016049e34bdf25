/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of files: found by device and inode, freed with the last space that maps them. */
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "binary.h"
#include "space.h"
#include "unit_test.h"

enum { MANY = 5000, PAGE = 4096 };
#define TEXT UINT64_C(0x10000000)

static int some_fd(void)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

TEST(test_find)
{
	struct uw_binaries reg = {0};
	struct uw_binary *all[MANY];

	assert_null(uw_binary_find(&reg, 1, 1));
	for (size_t i = 0; i < MANY; i++) {
		all[i] = uw_binary_get(&reg, i % 3, i / 3 + 1, "file", NULL, -1);
		assert_non_null(all[i]);
	}
	assert_int_equal(reg.n, MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_ptr_equal(uw_binary_find(&reg, i % 3, i / 3 + 1), all[i]);
	assert_null(uw_binary_find(&reg, 3, 1));
	assert_null(uw_binary_find(&reg, 0, MANY));
	/* Every second one goes, the others stay. */
	for (size_t i = 0; i < MANY; i += 2)
		uw_binary_unref(all[i]);
	for (size_t i = 0; i < MANY; i++)
		assert_ptr_equal(uw_binary_find(&reg, i % 3, i / 3 + 1), i % 2 ? all[i] : NULL);
	assert_int_equal(reg.n, MANY / 2);
	uw_binaries_fini(&reg);
	assert_null(uw_binary_find(&reg, 1, 1));
}

TEST(test_references)
{
	struct uw_binaries reg = {0};
	int fd = some_fd(), other = some_fd();
	struct uw_binary *a = uw_binary_get(&reg, 1, 2, "a", NULL, fd);
	struct uw_binary *none = uw_binary_get(&reg, 0, 0, "[vdso]", NULL, -1);

	assert_ptr_equal(uw_binary_get(&reg, 1, 2, "a", NULL, other), a);
	assert_false(is_open(other)); /* one is enough */
	assert_ptr_equal(uw_binary_ref(a), a);
	uw_binary_unref(a);
	uw_binary_unref(a);
	assert_true(is_open(fd));
	assert_ptr_equal(uw_binary_find(&reg, 1, 2), a);
	uw_binary_unref(a);
	assert_false(is_open(fd));
	assert_null(uw_binary_find(&reg, 1, 2));
	uw_binary_unref(NULL);
	uw_binary_unref(none); /* what has no inode is in no slot */
	assert_int_equal(reg.n, 0);
	assert_null(reg.first);
	uw_binaries_fini(&reg);
}

/* Maps a file of ours at `at`, as a record of the kernel would say it. */
static void map(struct uw_space *s, const char *path, uint64_t at)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(uw_space_add(s, &(struct uw_map_event){.start = at,
								.end = at + PAGE,
								.dev = st.st_dev,
								.ino = st.st_ino,
								.path = path}),
			 0);
}

static void make_file(char *path)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "bytes", 5), 5);
	close(fd);
}

/* A space has one reference to a file, however often it maps it. */
TEST(test_spaces)
{
	char one[] = "/tmp/prowl-test.XXXXXX", two[] = "/tmp/prowl-test.XXXXXX";
	struct uw_binaries reg = {0};
	struct uw_space s, other, clone;

	make_file(one);
	make_file(two);
	uw_space_init(&s, &reg, getpid());
	uw_space_init(&other, &reg, getpid());
	for (uint64_t i = 0; i < 100; i++)
		map(&s, one, TEXT + 2 * i * PAGE);
	map(&other, one, TEXT);
	assert_int_equal(reg.n, 1);
	assert_int_equal(reg.first->refs, 2);
	assert_int_equal(s.nheld, 1);
	/* Another file in its place everywhere: the space still lends what it had, its clone not.
	 */
	for (uint64_t i = 0; i < 100; i++)
		map(&s, two, TEXT + 2 * i * PAGE);
	uw_space_fini(&other);
	assert_int_equal(reg.n, 2);
	assert_int_equal(uw_space_clone(&s, &clone), 0);
	assert_int_equal(clone.nheld, 1);
	uw_space_fini(&s);
	assert_int_equal(reg.n, 1);
	assert_string_equal(reg.first->path, two);
	assert_int_equal(clone.maps[0].bin->refs, 1);
	uw_space_fini(&clone);
	assert_int_equal(reg.n, 0);
	uw_binaries_fini(&reg);
	unlink(one);
	unlink(two);
}

static size_t open_files(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += is_open(fd);
	return n;
}

/* Images that come and go leave no file behind, and none of the real ones is lost. */
TEST(test_storm)
{
	struct uw_binaries reg = {0};
	size_t before = open_files();

	for (int i = 0; i < 200; i++) {
		struct uw_space s;

		uw_space_init(&s, &reg, getpid());
		assert_int_equal(uw_space_load(&s), 0);
		assert_true(s.nheld > 0 && s.nheld <= s.n);
		assert_int_equal(reg.n, s.nheld);
		uw_space_fini(&s);
		assert_int_equal(reg.n, 0);
	}
	assert_int_equal(open_files(), before);
	uw_binaries_fini(&reg);
}

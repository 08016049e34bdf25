/* SPDX-License-Identifier: Apache-2.0 */
/* A mapped file is truncated while it is read; other faults go where they went before. */
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "elf.h"
#include "truncated.h"
#include "unit_test.h"

enum { PAGES = 4 };

TEST(test_missing_pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = PAGES * page;
	int fd = memfd_create("file", MFD_CLOEXEC);
	volatile uint8_t *p;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(pwrite(fd, "x", 1, (off_t)i), 1);
	p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(p != MAP_FAILED);
	assert_int_equal(uw_survive_truncated_files(), 0);
	assert_int_equal(p[0], 'x');
	assert_int_equal(p[size - 1], 'x');
	assert_int_equal(ftruncate(fd, (off_t)page), 0);
	assert_int_equal(p[page - 1], 'x'); /* what is left is as it was */
	assert_int_equal(p[page], 0);
	assert_int_equal(p[size - 1], 0);
	munmap((void *)p, size);
	close(fd);
}

/* The same of a program of a target: its tables are then damaged ones. */
TEST(test_elf)
{
	const uint8_t *bytes;
	char copy[1 << 16];
	struct uw_elf *elf;
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int fd = memfd_create("program", MFD_CLOEXEC), keep;
	size_t size = 0;
	ssize_t n;

	while ((n = read(self, copy, sizeof copy)) > 0) {
		assert_int_equal(write(fd, copy, (size_t)n), n);
		size += (size_t)n;
	}
	close(self);
	keep = dup(fd);
	assert_int_equal(uw_survive_truncated_files(), 0);
	assert_int_equal(uw_elf_open(fd, &elf, NULL), 0);
	assert_int_equal(elf->size, size);
	assert_int_equal(ftruncate(keep, 0), 0);
	bytes = elf->bytes;
	for (size_t i = 0; i < size; i++) {
		if (bytes[i])
			fail_msg("byte %zu is still there", i);
	}
	uw_elf_free(elf);
	close(keep);
}

TEST(test_twice)
{
	struct sigaction first, second;

	assert_int_equal(uw_survive_truncated_files(), 0);
	sigaction(SIGBUS, NULL, &first);
	assert_int_equal(uw_survive_truncated_files(), 0);
	sigaction(SIGBUS, NULL, &second);
	assert_true(first.sa_sigaction == second.sa_sigaction);
}

static void leave(int sig, siginfo_t *info, void *ctx)
{
	_exit(info->si_code == BUS_ADRERR ? 2 : 42);
}

static void leave_plain(int sig)
{
	_exit(43);
}

/* In a child: what a SIGBUS that is no fault comes to, when this action was there before. */
static int status_with(const struct sigaction *action)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (sigaction(SIGBUS, action, NULL) < 0 || uw_survive_truncated_files() < 0 ||
		    uw_survive_truncated_files() < 0)
			_exit(1);
		raise(SIGBUS);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

TEST(test_others)
{
	struct sigaction with_info = {.sa_sigaction = leave, .sa_flags = SA_SIGINFO};
	struct sigaction plain = {.sa_handler = leave_plain};
	struct sigaction ignored = {.sa_handler = SIG_IGN}, none = {.sa_handler = SIG_DFL};
	int status;

	status = status_with(&with_info);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	status = status_with(&plain);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 43);
	status = status_with(&ignored);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	status = status_with(&none);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

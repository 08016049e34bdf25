/* SPDX-License-Identifier: Apache-2.0 */
/* Many reads at once of a live process, this one: scattered, touching each other, empty, beyond the
 * end. */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem.h"
#include "unit_test.h"

enum {
	SIZE = 1 << 16,
	PARTS = 3000, /* more than one system call takes */
};

static uint32_t random_below(uint64_t *state, uint32_t n)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33) % n;
}

/*
 * SIZE bytes, each of which shows where it is, and a hole behind them. No page without a right to
 * be read is behind them: /proc/PID/mem gives that one away, process_vm_readv(2) doesn't.
 */
static uint8_t *memory(void)
{
	uint8_t *p = mmap(NULL, SIZE + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	assert_true(p != MAP_FAILED);
	assert_int_equal(munmap(p + SIZE, 4096), 0);
	for (size_t i = 0; i < SIZE; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8));
	return p;
}

/* Not in every emulator, nor in every container. */
static void need_system_call(const struct uw_mem *m)
{
	uint8_t byte;
	int r = uw_read(m, (uint64_t)(uintptr_t)&byte, &byte, 1);

	if (r == -ENOSYS || r == -EPERM)
		skip();
}

static void check_parts(const struct uw_mem *m, const uint8_t *bytes, unsigned int seed)
{
	static struct uw_mem_part parts[PARTS];
	static uint8_t got[PARTS][64];
	uint64_t state = seed, at = 0;

	for (size_t i = 0; i < PARTS; i++) {
		size_t len = random_below(&state, 8) ? random_below(&state, 64) : 0;

		/* Every second one follows the one before it, as far as that goes. */
		if (random_below(&state, 2) || at + len > SIZE)
			at = random_below(&state, SIZE - 64);
		parts[i] = (struct uw_mem_part){(uint64_t)(uintptr_t)bytes + at, got[i], len};
		at += len;
	}
	memset(got, 0, sizeof got);
	assert_int_equal(uw_read_parts(m, parts, PARTS), 0);
	for (size_t i = 0; i < PARTS; i++) {
		assert_memory_equal(got[i], (void *)(uintptr_t)parts[i].addr, parts[i].len);
		for (size_t k = parts[i].len; k < sizeof got[i]; k++)
			assert_int_equal(got[i][k], 0);
	}
}

TEST(test_parts)
{
	struct uw_mem live = uw_mem_process(getpid()), one_by_one = live;
	uint8_t *p;

	need_system_call(&live);
	p = memory();
	one_by_one.read_parts = NULL;
	for (unsigned int seed = 1; seed <= 20; seed++) {
		check_parts(&live, p, seed);
		check_parts(&one_by_one, p, seed);
	}
	munmap(p, SIZE);
}

/* Whichever of them can't be read: all of them fail, however they are joined. */
TEST(test_parts_fail)
{
	struct uw_mem live = uw_mem_process(getpid());
	uint8_t *p = memory(), got[4][16];
	uint64_t end = (uint64_t)(uintptr_t)p + SIZE;
	struct uw_mem_part touching[] = {
		{end - 32, got[0], 16}, {end - 16, got[1], 16}, {end, got[2], 16}};
	struct uw_mem_part straddling[] = {{end - 8, got[0], 16}, {end - 100, got[1], 16}};
	struct uw_mem_part nowhere[] = {
		{end - 32, got[0], 16}, {UINT64_MAX - 8, got[1], 16}, {7, got[2], 0}};
	struct uw_mem_part last[] = {
		{end - 32, got[0], 16}, {end - 16, got[1], 16}, {end, got[2], 0}};

	need_system_call(&live);
	assert_int_equal(uw_read_parts(&live, touching, 3), -EFAULT);
	assert_int_equal(uw_read_parts(&live, straddling, 2), -EFAULT);
	assert_int_equal(uw_read_parts(&live, nowhere, 3), -EFAULT);
	assert_int_equal(uw_read_parts(&live, last, 3), 0);
	assert_memory_equal(got[1], p + SIZE - 16, 16);
	assert_int_equal(uw_read_parts(&live, last, 0), 0);
	munmap(p, SIZE);
}

/* As a sandbox does that doesn't know the system call, or forbids it. */
static bool refuse(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof code / sizeof *code, code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

/* In a child, which reads its parent. */
static int read_refused(int error, uint8_t *p)
{
	struct uw_mem live = uw_mem_process(getppid());
	uint64_t at = (uint64_t)(uintptr_t)p;
	uint8_t got[2][16];
	struct uw_mem_part parts[] = {
		{at + 5, got[0], 16}, {at + 900, got[1], 16}, {at, got[0], 0}};
	struct uw_mem_part bad[] = {{at, got[0], 16}, {UINT64_MAX - 100, got[1], 16}};

	if (!refuse(error))
		return 77;
	if (uw_read(&live, at + 7, got[0], 16) != 0 || memcmp(got[0], p + 7, 16) != 0)
		return 1;
	if (uw_read(&live, 1, got[0], 1) != -EFAULT)
		return 2;
	if (uw_read_parts(&live, parts, 3) != 0 || memcmp(got[0], p + 5, 16) != 0 ||
	    memcmp(got[1], p + 900, 16) != 0)
		return 3;
	if (uw_read_parts(&live, bad, 2) != -EFAULT)
		return 4;
	live = uw_mem_process(INT_MAX - 1); /* there is none */
	return uw_read(&live, at, got[0], 1) == -ESRCH ? 0 : 5;
}

TEST(test_refused)
{
	static const int errors[] = {ENOSYS, EPERM, EACCES};
	struct uw_mem live = uw_mem_process(getpid());
	uint8_t *p;

	need_system_call(&live);
	p = memory();
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(read_refused(errors[i], p));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 77) {
			print_message("# skipped: no seccomp filters in this kernel or emulator\n");
			skip();
		}
		if (WEXITSTATUS(status) == 1 && access("/proc/sys/kernel/yama", F_OK) == 0) {
			print_message("# skipped: Yama lets no child read its parent\n");
			skip();
		}
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	munmap(p, SIZE);
}

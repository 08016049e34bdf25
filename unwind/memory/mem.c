/* SPDX-License-Identifier: Apache-2.0 */
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "task.h"

enum { MAX_PARTS = 512 }; /* of one system call */

/* A live process: its number, and the number of the thread by which its memory is read. */
static void *context(pid_t pid, pid_t living)
{
	return (void *)(intptr_t)((uint64_t)(uint32_t)pid << 32 | (uint32_t)living);
}

static pid_t living_of(void *ctx)
{
	return (pid_t)(uint32_t)(uint64_t)(intptr_t)ctx;
}

static pid_t pid_of(void *ctx)
{
	return (pid_t)((uint64_t)(intptr_t)ctx >> 32);
}

static ssize_t readv_of(pid_t tid, const struct iovec *local, size_t nlocal,
			const struct iovec *remote, size_t nremote)
{
	ssize_t n = process_vm_readv(tid, local, nlocal, remote, nremote, 0);

	return n < 0 ? -errno : n;
}

/* The thread may have ended before the others (task.h): then by a living one. */
static ssize_t readv_process(void *ctx, const struct iovec *local, size_t nlocal,
			     const struct iovec *remote, size_t nremote)
{
	pid_t living = living_of(ctx), pid = pid_of(ctx), other;
	ssize_t n = readv_of(living, local, nlocal, remote, nremote);

	if (n != -ESRCH)
		return n;
	other = uw_task_living(pid);
	return other == living ? n : readv_of(other, local, nlocal, remote, nremote);
}

/*
 * Sandboxes refuse process_vm_readv(2) in one of these ways, and so does the kernel where the
 * caller may not read the process; the file asks the kernel the same question, but not the sandbox.
 */
static bool is_refused(ssize_t r)
{
	return r == -ENOSYS || r == -EPERM || r == -EACCES;
}

static int read_procmem_parts(void *ctx, const struct uw_mem_part *parts, size_t n)
{
	int fd = (int)(intptr_t)ctx, r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		ssize_t got = parts[i].len
				      ? pread(fd, parts[i].buf, parts[i].len, (off_t)parts[i].addr)
				      : 0;

		if (got == 0 && parts[i].len)
			r = -ESRCH; /* its memory is gone */
		else if (got != (ssize_t)parts[i].len)
			r = -EFAULT;
	}
	return r;
}

static int read_procmem(void *ctx, uint64_t addr, void *buf, size_t len)
{
	return read_procmem_parts(ctx, &(struct uw_mem_part){addr, buf, len}, 1);
}

struct uw_mem uw_mem_procmem(int fd)
{
	return (struct uw_mem){.read = read_procmem,
			       .read_parts = read_procmem_parts,
			       .ctx = (void *)(intptr_t)fd};
}

/* By /proc/PID/mem, opened each time, as only the pid is known: some microseconds. */
static int read_file_parts(void *ctx, const struct uw_mem_part *parts, size_t n, int refused)
{
	char path[64];
	int fd, r;

	uw_task_path(pid_of(ctx), "mem", path, sizeof path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : refused;
	r = read_procmem_parts((void *)(intptr_t)fd, parts, n);
	close(fd);
	return r;
}

static int read_process(void *ctx, uint64_t addr, void *buf, size_t len)
{
	struct iovec local = {.iov_base = buf, .iov_len = len};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)addr, .iov_len = len};
	ssize_t n;

	if (len == 0)
		return 0;
	n = readv_process(ctx, &local, 1, &remote, 1);
	if (is_refused(n))
		return read_file_parts(ctx, &(struct uw_mem_part){addr, buf, len}, 1, (int)n);
	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -EFAULT;
}

static int read_process_parts(void *ctx, const struct uw_mem_part *parts, size_t n)
{
	struct iovec local[MAX_PARTS], remote[MAX_PARTS];

	while (n > 0) {
		size_t k = n < MAX_PARTS ? n : MAX_PARTS, nremote = 0, want = 0;
		uint64_t end = 0;
		ssize_t got;

		for (size_t i = 0; i < k; i++) {
			local[i] = (struct iovec){.iov_base = parts[i].buf,
						  .iov_len = parts[i].len};
			if (nremote && parts[i].addr == end)
				remote[nremote - 1].iov_len += parts[i].len;
			else
				remote[nremote++] = (struct iovec){
					.iov_base = (void *)(uintptr_t)parts[i].addr,
					.iov_len = parts[i].len};
			end = parts[i].addr + parts[i].len;
			want += parts[i].len;
		}
		got = want ? readv_process(ctx, local, k, remote, nremote) : 0;
		if (is_refused(got))
			return read_file_parts(ctx, parts, n, (int)got);
		if (got < 0)
			return (int)got;
		if ((size_t)got != want)
			return -EFAULT;
		parts += k;
		n -= k;
	}
	return 0;
}

int uw_read_parts(const struct uw_mem *m, const struct uw_mem_part *parts, size_t n)
{
	if (m->read_parts)
		return m->read_parts(m->ctx, parts, n);
	for (size_t i = 0; i < n; i++) {
		int r = uw_read(m, parts[i].addr, parts[i].buf, parts[i].len);

		if (r < 0)
			return r;
	}
	return 0;
}

struct uw_mem uw_mem_task(pid_t pid, pid_t living)
{
	return (struct uw_mem){.read = read_process,
			       .read_parts = read_process_parts,
			       .ctx = context(pid, living)};
}

struct uw_mem uw_mem_process(pid_t pid)
{
	return uw_mem_task(pid, pid);
}

static int read_bytes(void *ctx, uint64_t addr, void *buf, size_t len)
{
	const struct uw_mem_bytes *b = ctx;

	if (addr >= b->base && addr - b->base <= b->len && len <= b->len - (addr - b->base)) {
		memcpy(buf, (const char *)b->bytes + (addr - b->base), len);
		return 0;
	}
	return b->below ? uw_read(b->below, addr, buf, len) : -EFAULT;
}

struct uw_mem uw_mem_bytes(struct uw_mem_bytes *b)
{
	return (struct uw_mem){.read = read_bytes, .ctx = b};
}

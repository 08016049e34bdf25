/* SPDX-License-Identifier: Apache-2.0 */
#include "mem.h"

#include <errno.h>
#include <sys/uio.h>

static int read_process(void *ctx, uint64_t addr, void *buf, size_t len)
{
	pid_t pid = (pid_t)(intptr_t)ctx;
	struct iovec local = {.iov_base = buf, .iov_len = len};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)addr, .iov_len = len};
	ssize_t n;

	if (len == 0)
		return 0;
	n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EFAULT;
}

struct uw_mem uw_mem_process(pid_t pid)
{
	return (struct uw_mem){.read = read_process, .ctx = (void *)(intptr_t)pid};
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "mem.h"

#include <errno.h>
#include <sys/uio.h>

enum { MAX_PARTS = 512 }; /* of one system call */

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

static int read_process_parts(void *ctx, const struct uw_mem_part *parts, size_t n)
{
	pid_t pid = (pid_t)(intptr_t)ctx;
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
		got = want ? process_vm_readv(pid, local, k, remote, nremote, 0) : 0;
		if (got < 0)
			return -errno;
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

struct uw_mem uw_mem_process(pid_t pid)
{
	return (struct uw_mem){.read = read_process,
			       .read_parts = read_process_parts,
			       .ctx = (void *)(intptr_t)pid};
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

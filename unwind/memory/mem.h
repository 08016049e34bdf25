/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign memory: the one way in which bytes of a target are reached.
 *
 * A reader answers for one address space. Every read is bounded and may fail; a failed read is a
 * value that the caller handles (a stack that ends, a string that is unknown), never fatal. Readers
 * know nothing of what the bytes mean and do not check addresses for sense.
 *
 * A struct uw_mem is plain data and may be copied. It is as thread safe as its context: the live
 * process reader is, a reader over a sample belongs to the thread that holds the sample.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

struct uw_mem_part { /* one of several reads that are made together */
	uint64_t addr;
	void *buf;
	size_t len;
};

struct uw_mem {
	/*
	 * Copies the bytes [addr, addr+len) to buf. Returns 0, or negative errno when any of them
	 * can't be read (-EFAULT not mapped, -ESRCH process gone, -EPERM not allowed); buf is then
	 * unspecified.
	 */
	int (*read)(void *ctx, uint64_t addr, void *buf, size_t len);
	/*
	 * All of them, in this order; may be NULL. Fails when any one does. Costs a process one
	 * system call for hundreds, and next to nothing for a part that begins where the one before
	 * it ends.
	 */
	int (*read_parts)(void *ctx, const struct uw_mem_part *parts, size_t n);
	void *ctx;
};

static inline int uw_read(const struct uw_mem *m, uint64_t addr, void *buf, size_t len)
{
	return m->read(m->ctx, addr, buf, len);
}

static inline int uw_read_u64(const struct uw_mem *m, uint64_t addr, uint64_t *ret)
{
	uint64_t v;
	int r = m->read(m->ctx, addr, &v, sizeof v);

	if (r == 0)
		*ret = v;
	return r;
}

/* Several reads in this order: by one call where the reader can, else one by one. */
int uw_read_parts(const struct uw_mem *m, const struct uw_mem_part *parts, size_t n);

/*
 * A live process, by process_vm_readv(2), or where that is refused by /proc/PID/mem; the number is
 * all the state. Never writes, never stops it. By the file, pages can be read that the process
 * itself may not read (PROT_NONE).
 */
struct uw_mem uw_mem_process(pid_t pid);
/* The same where it is known by which of its threads its memory is reached (task.h). */
struct uw_mem uw_mem_task(pid_t pid, pid_t living);

/*
 * What is behind a descriptor of /proc/PID/mem, which keeps to one program image: -ESRCH when that
 * is gone. The reader borrows the descriptor.
 */
struct uw_mem uw_mem_procmem(int fd);

/* One range of bytes that the caller holds; reads outside of it ask `below` (may be NULL). */
struct uw_mem_bytes {
	uint64_t base;
	const void *bytes;
	size_t len;
	const struct uw_mem *below;
};

/* The reader borrows b, its bytes and b->below. A read that straddles the edge goes to `below`. */
struct uw_mem uw_mem_bytes(struct uw_mem_bytes *b);

/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "build_record.h"
#include "perf_record.h"
#include "unit_test.h"

static struct build_record rec;

static const uint64_t regs[8] = {0xb0, 0xb9, 0x7ff0, 0x401000, 0x12, 0x13, 0x14, 0x15};

/*
 * Decodes a copy whose last byte is the last one of a block, so that a sanitizer sees each byte
 * read beyond it. *ev borrows from the copy, which *ret_copy gives.
 */
static int decode_copy(const struct perf_event_header *h, struct prowl_event *ev, void **ret_copy)
{
	size_t len = h->size > sizeof *h ? h->size : sizeof *h;
	void *copy = malloc(len);

	assert_non_null(copy);
	memcpy(copy, h, len);
	*ret_copy = copy;
	memset(ev, 0xee, sizeof *ev);
	return prowl_perf_decode(copy, ev);
}

static struct prowl_event decoded(const struct perf_event_header *h)
{
	struct prowl_event ev;

	memset(&ev, 0xee, sizeof ev);
	assert_int_equal(prowl_perf_decode(h, &ev), 0);
	return ev;
}

static void check_whose(const struct prowl_event *ev, enum prowl_event_type type)
{
	assert_int_equal(ev->type, type);
	assert_int_equal(ev->id, 77);
	assert_int_equal(ev->cpu, 3);
}

static void check_chain(const uint64_t *chain, uint32_t n, const uint64_t *want, uint32_t nwant)
{
	assert_int_equal(n, nwant);
	for (uint32_t i = 0; i < n; i++)
		assert_true(chain[i] == want[i]);
}

/* --- samples --- */

TEST(test_sample)
{
	const uint64_t chain[] = {PERF_CONTEXT_KERNEL,
				  0xffffffff81000010,
				  0xffffffff81000020,
				  PERF_CONTEXT_USER,
				  0x401000,
				  0x402000,
				  0x403000};
	uint8_t stack[64];
	struct build_sample s = {.misc = PERF_RECORD_MISC_KERNEL,
				 .ip = 0xffffffff81000010,
				 .time = 5000000001,
				 .chain = chain,
				 .nchain = 7,
				 .abi = PERF_SAMPLE_REGS_ABI_64,
				 .regs = regs,
				 .stack = stack,
				 .stack_size = 64,
				 .stack_dyn = 40};
	struct prowl_event ev;

	memset(stack, 0x5a, sizeof stack);
	ev = decoded(rec_sample(&rec, &s));
	check_whose(&ev, PROWL_EVENT_SAMPLE);
	assert_int_equal(ev.pid, 4001);
	assert_int_equal(ev.tid, 4002);
	assert_true(ev.time == 5000000001);
	assert_true(ev.sample.ip == s.ip);
	assert_int_equal(ev.sample.period, REC_PERIOD);
	assert_true(ev.sample.in_kernel);
	check_chain(ev.sample.kernel, ev.sample.nkernel, chain + 1, 2);
	check_chain(ev.sample.user, ev.sample.nuser, chain + 4, 3);
	assert_int_equal(ev.sample.nchain, 7);
	assert_true(ev.sample.has_regs);
	assert_int_equal(ev.sample.regs.bx, 0xb0);
	assert_int_equal(ev.sample.regs.bp, 0xb9);
	assert_int_equal(ev.sample.regs.sp, 0x7ff0);
	assert_int_equal(ev.sample.regs.ip, 0x401000);
	assert_int_equal(ev.sample.regs.r12, 0x12);
	assert_int_equal(ev.sample.regs.r13, 0x13);
	assert_int_equal(ev.sample.regs.r14, 0x14);
	assert_int_equal(ev.sample.regs.r15, 0x15);
	assert_int_equal(ev.sample.stack_len, 40);
	assert_memory_equal(ev.sample.stack, stack, 40);
	assert_true(prowl_perf_time((const void *)rec.bytes) == 5000000001);
	assert_int_equal(prowl_perf_pid((const void *)rec.bytes), 4001);
	assert_true(prowl_perf_ip((const void *)rec.bytes) == s.ip);
}

/* A kernel thread: no user registers, no stack, no user chain. */
TEST(test_no_user)
{
	const uint64_t chain[] = {PERF_CONTEXT_KERNEL, 0xffffffff81000010};
	struct build_sample s = {.misc = PERF_RECORD_MISC_KERNEL, .chain = chain, .nchain = 2};
	struct prowl_event ev = decoded(rec_sample(&rec, &s));

	assert_false(ev.sample.has_regs);
	assert_null(ev.sample.stack);
	assert_int_equal(ev.sample.stack_len, 0);
	assert_int_equal(ev.sample.nuser, 0);
	check_chain(ev.sample.kernel, ev.sample.nkernel, chain + 1, 1);
}

/* The 32-bit ABI has other registers; they are skipped, what follows is not. */
TEST(test_32_bit_registers)
{
	struct build_sample s = {.abi = PERF_SAMPLE_REGS_ABI_32,
				 .regs = regs,
				 .stack = "12345678",
				 .stack_size = 8,
				 .stack_dyn = 8};
	struct prowl_event ev = decoded(rec_sample(&rec, &s));

	assert_false(ev.sample.has_regs);
	assert_int_equal(ev.sample.stack_len, 8);
	assert_memory_equal(ev.sample.stack, "12345678", 8);
}

TEST(test_stack_sizes)
{
	uint8_t stack[16] = {1};
	struct build_sample s = {.stack = stack, .stack_size = 16};
	struct prowl_event ev;

	/* Room was kept, nothing was copied. */
	ev = decoded(rec_sample(&rec, &s));
	assert_int_equal(ev.sample.stack_len, 0);
	s.stack_dyn = 16;
	ev = decoded(rec_sample(&rec, &s));
	assert_int_equal(ev.sample.stack_len, 16);
	s.stack_dyn = 17;
	assert_int_equal(prowl_perf_decode(rec_sample(&rec, &s), &ev), -EBADMSG);
	s.stack_dyn = UINT64_MAX;
	assert_int_equal(prowl_perf_decode(rec_sample(&rec, &s), &ev), -EBADMSG);
}

TEST(test_huge_counts)
{
	static const uint64_t counts[] = {
		4, 5, 1000, UINT32_MAX, UINT64_MAX, UINT64_MAX / 8 + 1, UINT64_MAX / 8 + 4};
	const uint64_t chain[] = {1};
	struct prowl_event ev;
	void *copy;

	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		struct build_sample s = {.chain = chain, .nchain = 1, .claim_chain = counts[i]};

		assert_int_equal(decode_copy(rec_sample(&rec, &s), &ev, &copy), -EBADMSG);
		free(copy);
	}
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		struct build_sample s = {.chain = chain, .nchain = 1};
		const struct perf_event_header *h = rec_sample(&rec, &s);
		uint64_t size = counts[i] & ~7ull;

		memcpy(rec.bytes + rec.len - 8, &size, 8); /* the size of the stack copy */
		assert_int_equal(decode_copy(h, &ev, &copy), size ? -EBADMSG : 0);
		free(copy);
	}
}

struct split {
	const char *name;
	uint64_t chain[8];
	uint64_t n;
	bool in_kernel;
	uint64_t kernel[4], user[4];
	uint32_t nkernel, nuser;
};

static const struct split splits[] = {
	{"user only", {PERF_CONTEXT_USER, 1, 2}, 3, false, {0}, {1, 2}, 0, 2},
	{"kernel only", {PERF_CONTEXT_KERNEL, 1, 2}, 3, true, {1, 2}, {0}, 2, 0},
	{"both", {PERF_CONTEXT_KERNEL, 1, PERF_CONTEXT_USER, 2}, 4, true, {1}, {2}, 1, 1},
	{"no marker, in user code", {1, 2}, 2, false, {0}, {1, 2}, 0, 2},
	{"no marker, in the kernel", {1, 2}, 2, true, {1, 2}, {0}, 2, 0},
	{"nothing", {0}, 0, true, {0}, {0}, 0, 0},
	{"markers alone", {PERF_CONTEXT_KERNEL, PERF_CONTEXT_USER}, 2, true, {0}, {0}, 0, 0},
	{"address 0", {PERF_CONTEXT_USER, 0, 5}, 3, false, {0}, {0, 5}, 0, 2},
	{"a guest's part", {PERF_CONTEXT_GUEST, 7, 8}, 3, false, {0}, {0}, 0, 0},
	{"a guest's kernel", {PERF_CONTEXT_GUEST_KERNEL, 7}, 2, false, {0}, {0}, 0, 0},
	{"a guest after the host",
	 {PERF_CONTEXT_USER, 1, PERF_CONTEXT_GUEST_USER, 7},
	 4,
	 false,
	 {0},
	 {1},
	 0,
	 1},
	{"hypervisor", {PERF_CONTEXT_HV, 7}, 2, true, {0}, {0}, 0, 0},
	{"a marker of the future", {PERF_CONTEXT_USER, 1, -640ull, 7}, 4, false, {0}, {1}, 0, 1},
	{"the lowest marker", {PERF_CONTEXT_USER, 1, -4095ull, 7}, 4, false, {0}, {1}, 0, 1},
	{"the highest address", {PERF_CONTEXT_KERNEL, -4096ull}, 2, true, {-4096ull}, {0}, 1, 0},
	/* Never made by a kernel: a part is one piece, whatever the record says. */
	{"a part twice",
	 {PERF_CONTEXT_USER, 1, PERF_CONTEXT_KERNEL, 2, PERF_CONTEXT_USER, 3},
	 6,
	 false,
	 {2},
	 {1},
	 1,
	 1},
	{"a marker twice", {PERF_CONTEXT_USER, PERF_CONTEXT_USER, 3}, 3, false, {0}, {3}, 0, 1},
};

TEST(test_markers)
{
	for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
		const struct split *x = &splits[i];
		struct build_sample s = {.misc = x->in_kernel ? PERF_RECORD_MISC_KERNEL
							      : PERF_RECORD_MISC_USER,
					 .chain = x->chain,
					 .nchain = x->n};
		struct prowl_event ev;
		void *copy;

		assert_int_equal(decode_copy(rec_sample(&rec, &s), &ev, &copy), 0);
		if (ev.sample.nkernel != x->nkernel || ev.sample.nuser != x->nuser)
			print_error("%s: %u kernel, %u user\n", x->name, ev.sample.nkernel,
				    ev.sample.nuser);
		check_chain(ev.sample.kernel, ev.sample.nkernel, x->kernel, x->nkernel);
		check_chain(ev.sample.user, ev.sample.nuser, x->user, x->nuser);
		free(copy);
	}
}

/* --- what happens to processes --- */

static const struct perf_event_header *mmap2(const char *path, uint16_t misc)
{
	rec_begin(&rec, PERF_RECORD_MMAP2, misc);
	rec_u32(&rec, 51);
	rec_u32(&rec, 52);
	rec_u64(&rec, 0x7f0000001000);
	rec_u64(&rec, 0x2000);
	rec_u64(&rec, 0x3000);
	rec_u32(&rec, 8);
	rec_u32(&rec, 1);
	rec_u64(&rec, 999);
	rec_u64(&rec, 0);
	rec_u32(&rec, PROT_READ | PROT_EXEC);
	rec_u32(&rec, MAP_PRIVATE);
	rec_string(&rec, path);
	return rec_end_side(&rec);
}

TEST(test_mmap)
{
	struct prowl_event ev = decoded(mmap2("/lib/libc.so", PERF_RECORD_MISC_USER));

	check_whose(&ev, PROWL_EVENT_MMAP);
	assert_int_equal(ev.pid, 51); /* not that of the trailer */
	assert_int_equal(ev.tid, 52);
	assert_int_equal(ev.time, REC_TIME_SIDE);
	assert_int_equal(ev.mmap.start, 0x7f0000001000);
	assert_int_equal(ev.mmap.len, 0x2000);
	assert_int_equal(ev.mmap.offset, 0x3000);
	assert_int_equal(ev.mmap.ino, 999);
	assert_int_equal(ev.mmap.major, 8);
	assert_int_equal(ev.mmap.minor, 1);
	assert_int_equal(ev.mmap.prot, PROT_READ | PROT_EXEC);
	assert_string_equal(ev.mmap.path, "/lib/libc.so");
	ev = decoded(mmap2("", 0));
	assert_string_equal(ev.mmap.path, "");
	assert_int_equal(prowl_perf_time((const void *)rec.bytes), REC_TIME_SIDE);
	assert_int_equal(prowl_perf_pid((const void *)rec.bytes), 0);
	assert_int_equal(prowl_perf_ip((const void *)rec.bytes), 0);
}

/* A name whose NUL is missing would go on into the trailer. */
TEST(test_mmap_without_nul)
{
	struct prowl_event ev;
	const struct perf_event_header *h = mmap2("0123456", 0);

	memset(rec.bytes + 8 + 64, 'x', 8);
	assert_int_equal(prowl_perf_decode(h, &ev), -EBADMSG);
}

static const struct perf_event_header *comm(const char *name, uint16_t misc)
{
	rec_begin(&rec, PERF_RECORD_COMM, misc);
	rec_u32(&rec, 51);
	rec_u32(&rec, 52);
	rec_string(&rec, name);
	return rec_end_side(&rec);
}

TEST(test_comm)
{
	struct prowl_event ev = decoded(comm("worker", 0));

	check_whose(&ev, PROWL_EVENT_COMM);
	assert_int_equal(ev.pid, 51);
	assert_int_equal(ev.tid, 52);
	assert_false(ev.comm.exec);
	assert_string_equal(ev.comm.comm, "worker");
	ev = decoded(comm("sh", PERF_RECORD_MISC_COMM_EXEC));
	assert_true(ev.comm.exec);
	assert_string_equal(ev.comm.comm, "sh");
}

static const struct perf_event_header *task(uint32_t type)
{
	rec_begin(&rec, type, 0);
	rec_u32(&rec, 61); /* pid, ppid, tid, ptid */
	rec_u32(&rec, 62);
	rec_u32(&rec, 63);
	rec_u32(&rec, 64);
	rec_u64(&rec, 987654321);
	return rec_end_side(&rec);
}

TEST(test_fork_and_exit)
{
	struct prowl_event ev = decoded(task(PERF_RECORD_FORK));

	check_whose(&ev, PROWL_EVENT_FORK);
	assert_int_equal(ev.pid, 61);
	assert_int_equal(ev.tid, 63);
	assert_int_equal(ev.fork.ppid, 62);
	assert_int_equal(ev.fork.ptid, 64);
	assert_int_equal(ev.time, REC_TIME_SIDE);
	ev = decoded(task(PERF_RECORD_EXIT));
	check_whose(&ev, PROWL_EVENT_EXIT);
	assert_int_equal(ev.pid, 61);
	assert_int_equal(ev.tid, 63);
}

static const struct perf_event_header *lost(void)
{
	rec_begin(&rec, PERF_RECORD_LOST, 0);
	rec_u64(&rec, 77);
	rec_u64(&rec, 1ull << 40);
	return rec_end_side(&rec);
}

static const struct perf_event_header *throttle(uint32_t type)
{
	rec_begin(&rec, type, 0);
	rec_u64(&rec, 11);
	rec_u64(&rec, 77);
	rec_u64(&rec, 78);
	return rec_end_side(&rec);
}

TEST(test_lost_and_throttle)
{
	struct prowl_event ev = decoded(lost());

	check_whose(&ev, PROWL_EVENT_LOST);
	assert_true(ev.lost == 1ull << 40);
	ev = decoded(throttle(PERF_RECORD_THROTTLE));
	check_whose(&ev, PROWL_EVENT_THROTTLE);
	assert_int_equal(ev.pid, 4001);
	ev = decoded(throttle(PERF_RECORD_UNTHROTTLE));
	check_whose(&ev, PROWL_EVENT_OTHER);
	ev = decoded(throttle(12345));
	check_whose(&ev, PROWL_EVENT_OTHER);
}

/* --- damage --- */

/* Everything that a valid event borrows lies inside of the record. */
static void check_inside(const struct prowl_event *ev, const void *copy, size_t len)
{
	uintptr_t lo = (uintptr_t)copy, hi = lo + len;
	uint64_t sum = 0;

	switch (ev->type) {
	case PROWL_EVENT_SAMPLE:
		for (uint32_t i = 0; i < ev->sample.nkernel; i++)
			sum += ev->sample.kernel[i];
		for (uint32_t i = 0; i < ev->sample.nuser; i++)
			sum += ev->sample.user[i];
		for (uint64_t i = 0; i < ev->sample.stack_len; i++)
			sum += ((const uint8_t *)ev->sample.stack)[i];
		assert_true(ev->sample.nkernel + ev->sample.nuser <= ev->sample.nchain);
		assert_true(ev->sample.nchain * 8ull <= len);
		break;
	case PROWL_EVENT_MMAP:
		assert_true((uintptr_t)ev->mmap.path >= lo);
		assert_true((uintptr_t)ev->mmap.path + strlen(ev->mmap.path) < hi);
		break;
	case PROWL_EVENT_COMM:
		assert_true((uintptr_t)ev->comm.comm >= lo);
		assert_true((uintptr_t)ev->comm.comm + strlen(ev->comm.comm) < hi);
		break;
	default:
		break;
	}
	assert_true(sum != 1); /* so that the sum, and what it reads, is made */
}

/*
 * Cut to each length: an error or an event, and no byte read beyond the cut. A sample has no
 * optional end: each cut of it is an error.
 */
static void check_cuts(const struct perf_event_header *whole)
{
	uint8_t bytes[1024];
	size_t size = whole->size, good = 0;

	assert_in_range(size, 8, sizeof bytes);
	memcpy(bytes, whole, size);
	for (size_t len = 0; len <= size; len++) {
		struct perf_event_header *h = (void *)bytes;
		struct prowl_event ev;
		void *copy;
		int r;

		h->size = (uint16_t)len;
		r = decode_copy(h, &ev, &copy);
		assert_true(r == 0 || r == -EBADMSG);
		if (len < sizeof *h || (len < size && h->type == PERF_RECORD_SAMPLE))
			assert_int_equal(r, -EBADMSG);
		if (r == 0) {
			check_inside(&ev, copy, len);
			good++;
		}
		prowl_perf_time(copy);
		prowl_perf_pid(copy);
		prowl_perf_ip(copy);
		free(copy);
	}
	assert_true(good > 0);
}

TEST(test_cuts)
{
	const uint64_t chain[] = {PERF_CONTEXT_KERNEL, 1, PERF_CONTEXT_USER, 2, 3};
	struct build_sample s = {.chain = chain,
				 .nchain = 5,
				 .abi = PERF_SAMPLE_REGS_ABI_64,
				 .regs = regs,
				 .stack = "0123456789abcdef",
				 .stack_size = 16,
				 .stack_dyn = 16};

	check_cuts(rec_sample(&rec, &s));
	s.abi = 0;
	s.stack_size = 0;
	check_cuts(rec_sample(&rec, &s));
	check_cuts(mmap2("/usr/bin/a-name-of-some-length", 0));
	check_cuts(comm("name", PERF_RECORD_MISC_COMM_EXEC));
	check_cuts(task(PERF_RECORD_FORK));
	check_cuts(task(PERF_RECORD_EXIT));
	check_cuts(lost());
	check_cuts(throttle(PERF_RECORD_THROTTLE));
	check_cuts(throttle(PERF_RECORD_UNTHROTTLE));
}

TEST(test_time_of_short_records)
{
	struct build_sample s = {.time = 42};
	struct perf_event_header *h = (void *)(uintptr_t)rec_sample(&rec, &s);

	assert_int_equal(prowl_perf_time(h), 42);
	h->size = 40;
	assert_int_equal(prowl_perf_time(h), 42);
	h->size = 39;
	assert_int_equal(prowl_perf_time(h), 0);
	h->size = 0;
	assert_int_equal(prowl_perf_time(h), 0);
	h = (void *)(uintptr_t)lost();
	h->size = 8 + 31;
	assert_int_equal(prowl_perf_time(h), 0);
}

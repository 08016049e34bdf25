/* SPDX-License-Identifier: Apache-2.0 */
/* Records of moments, made here, and what is believed of them. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "moment.h"
#include "unit_test.h"

struct record {
	uint8_t bytes[4096];
	size_t len;
};

static void begin(struct record *r, bool user, uint64_t ip, uint64_t sp)
{
	struct prowl_moment_head h = {.user = user, .ip = ip, .sp = sp};

	memset(r, 0, sizeof *r);
	memcpy(r->bytes, &h, sizeof h);
	r->len = sizeof h;
}

static void set_len(struct record *r, uint32_t len)
{
	memcpy(r->bytes, &len, sizeof len);
}

static void append(struct record *r, uint32_t kind, uint64_t addr, const void *bytes, uint32_t len)
{
	struct prowl_moment_piece p = {.addr = addr, .len = len, .kind = kind};

	memcpy(r->bytes + r->len, &p, sizeof p);
	if (len)
		memcpy(r->bytes + r->len + sizeof p, bytes, len);
	r->len += sizeof p + ((len + 7) & ~7u);
	set_len(r, (uint32_t)r->len);
}

/* --- decoding -------------------------------------------------------------------- */

TEST(takes_pieces)
{
	static const uint64_t words[3] = {1, 2, 3};
	struct prowl_moment mo;
	struct record r;

	begin(&r, true, 0x1000, 0x2000);
	append(&r, PROWL_MOMENT_M, 0x5000, words, 24);
	append(&r, PROWL_MOMENT_CURG, 0x6000, NULL, 0); /* a hole */
	append(&r, PROWL_MOMENT_LABELS, 0x7001, "label", 5);
	assert_int_equal(prowl_moment_decode(r.bytes, r.len, &mo), 0);
	assert_int_equal(mo.n, 2);
	assert_int_equal(mo.holes, 1);
	assert_int_equal(mo.ip, 0x1000);
	assert_true(mo.user);
	assert_ptr_equal(mo.m, &mo.pieces[0]);
	assert_null(mo.curg);
	assert_int_equal(mo.pieces[1].addr, 0x7001);
	assert_int_equal(mo.pieces[1].len, 5);
	assert_memory_equal(mo.pieces[1].bytes, "label", 5);
	/* what the kernel pads a record with is no part of it */
	assert_int_equal(prowl_moment_decode(r.bytes, r.len + 4, &mo), 0);
}

TEST(refuses_what_does_not_fit)
{
	static const uint64_t words[3] = {1, 2, 3};
	struct prowl_moment mo;
	struct record r;
	size_t head = sizeof(struct prowl_moment_head);

	begin(&r, true, 0, 0);
	append(&r, PROWL_MOMENT_M, 0x5000, words, 24);
	for (size_t len = 0; len < r.len; len++)
		assert_int_equal(prowl_moment_decode(r.bytes, len, &mo), -EBADMSG);
	for (uint32_t len = 0; len < r.len; len++) {
		set_len(&r, len);
		assert_int_equal(prowl_moment_decode(r.bytes, r.len, &mo),
				 len == head ? 0 : -EBADMSG);
	}
	set_len(&r, UINT32_MAX);
	assert_int_equal(prowl_moment_decode(r.bytes, r.len, &mo), -EBADMSG);
	set_len(&r, (uint32_t)r.len);
	for (uint32_t len = 25; len != 0; len = len < 1u << 31 ? len * 2 : 0) { /* of the piece */
		memcpy(r.bytes + head + 8, &len, sizeof len);
		assert_int_equal(prowl_moment_decode(r.bytes, r.len, &mo), -EBADMSG);
	}
}

TEST(more_pieces_than_room)
{
	struct prowl_moment mo;
	struct record r;

	begin(&r, false, 0, 0);
	for (uint64_t i = 0; i < 2 * PROWL_MOMENT_PIECES; i++)
		append(&r, PROWL_MOMENT_LABELS, 0x1000 + i, "x", 1);
	assert_int_equal(prowl_moment_decode(r.bytes, r.len, &mo), 0);
	assert_int_equal(mo.n, PROWL_MOMENT_PIECES);
}

TEST(reads_only_what_it_holds)
{
	static const uint64_t words[2] = {0x11, 0x22};
	struct prowl_moment mo;
	struct prowl_moment_reader reader = {&mo};
	struct uw_mem mem = prowl_moment_mem(&reader);
	struct record r;
	uint64_t v;

	begin(&r, true, 0, 0);
	append(&r, PROWL_MOMENT_M, 0x5000, words, 16);
	append(&r, PROWL_MOMENT_G0, UINT64_MAX - 8, "12345678", 8);
	assert_int_equal(prowl_moment_decode(r.bytes, r.len, &mo), 0);
	assert_int_equal(uw_read_u64(&mem, 0x5008, &v), 0);
	assert_int_equal(v, 0x22);
	assert_int_equal(uw_read_u64(&mem, 0x5009, &v), -EFAULT);
	assert_int_equal(uw_read_u64(&mem, 0x4fff, &v), -EFAULT);
	assert_int_equal(uw_read_u64(&mem, UINT64_MAX - 8, &v), 0);
	assert_int_equal(uw_read_u64(&mem, UINT64_MAX - 3, &v), -EFAULT);
	assert_int_equal(mem.read(mem.ctx, 0x5000, &v, SIZE_MAX), -EFAULT);
}

/* --- whose it is ----------------------------------------------------------------- */

TEST(fits_one_sample_only)
{
	struct uw_regs regs = {.ip = 0x1000, .sp = 0x2000}, other = {.ip = 0x1000, .sp = 0x2008};
	struct prowl_moment user = {.user = true, .ip = 0x1000, .sp = 0x2000}, kernel = {0};

	assert_true(prowl_moment_fits(&user, false, &regs));
	assert_false(prowl_moment_fits(&user, false, &other));
	assert_false(prowl_moment_fits(&user, false, NULL));
	assert_false(prowl_moment_fits(&user, true, &regs));
	assert_true(prowl_moment_fits(&kernel, true, &regs));
	assert_false(prowl_moment_fits(&kernel, false, &regs));
}

/* A thread with a goroutine on [0x10000, 0x12000), and g0 on [0x20000, 0x22000). */
static void thread(struct record *r, const struct uw_golayout *l, uint64_t procid)
{
	uint8_t m[512] = {0}, g[512] = {0}, g0[512] = {0};
	const uint64_t stack[2] = {0x10000, 0x12000}, stack0[2] = {0x20000, 0x22000};

	memcpy(m + l->m.procid, &procid, 8);
	memcpy(g + l->g.stack, stack, 16);
	memcpy(g0 + l->g.stack, stack0, 16);
	begin(r, false, 0, 0);
	append(r, PROWL_MOMENT_M, 0x5000, m, sizeof m);
	append(r, PROWL_MOMENT_CURG, 0x6000, g, sizeof g);
	append(r, PROWL_MOMENT_G0, 0x7000, g0, sizeof g0);
}

TEST(m_is_of_the_thread_whose_stack_it_is)
{
	const struct uw_golayout *l = uw_golayout_for(27, 0);
	struct prowl_moment mo;
	struct record r;
	uint64_t g;

	thread(&r, l, 77);
	assert_int_equal(prowl_moment_decode(r.bytes, r.len, &mo), 0);
	assert_int_equal(prowl_moment_m(&mo, l, 0x11000, 1, &g), 0x5000);
	assert_int_equal(g, 0x6000);
	assert_int_equal(prowl_moment_m(&mo, l, 0x21000, 1, &g), 0x5000);
	assert_int_equal(g, 0x7000);
	/* C's stack can be larger than the runtime thinks: then by the thread's number */
	assert_int_equal(prowl_moment_m(&mo, l, 0x31000, 77, &g), 0x5000);
	assert_int_equal(g, 0x7000);
	/* another thread's, remembered from before */
	assert_int_equal(prowl_moment_m(&mo, l, 0x31000, 78, &g), 0);
	assert_int_equal(g, 0);
	/* the bounds of a stack */
	assert_int_equal(prowl_moment_m(&mo, l, 0x10000, 1, &g), 0);
	assert_int_equal(prowl_moment_m(&mo, l, 0x12000, 1, &g), 0x5000);
	assert_int_equal(prowl_moment_m(&mo, l, 0x12001, 1, &g), 0);
}

TEST(nothing_of_m_is_nobodys)
{
	struct prowl_moment mo = {0};
	uint64_t g = 1;

	assert_int_equal(prowl_moment_m(&mo, uw_golayout_for(27, 0), 0x11000, 1, &g), 0);
	assert_int_equal(g, 0);
}

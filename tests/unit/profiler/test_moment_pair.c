/* SPDX-License-Identifier: Apache-2.0 */
/* Moments and samples in a ring made here: in order, lost on either side, of others. */
#include <stdint.h>
#include <string.h>

#include "moment_pair.h"
#include "unit_test.h"

enum { ID = 77, OTHER_ID = 78, TID = 4002, TIME = 1000000000, IP = 0x401000, SP = 0xc000100200 };

struct record {
	_Alignas(8) uint8_t bytes[256];
};

/* As the kernel writes it: head, size of the raw part, raw part. */
static const struct perf_event_header *moment(struct record *r, uint32_t tid, uint64_t time,
					      uint64_t ip)
{
	struct perf_event_header h = {.type = PERF_RECORD_SAMPLE, .misc = PERF_RECORD_MISC_USER};
	struct {
		uint64_t id, ip;
		uint32_t pid, tid;
		uint64_t time;
		uint32_t cpu, res;
		uint64_t period;
	} head = {.id = ID, .pid = 4001, .tid = tid, .time = time};
	struct prowl_moment_head raw = {
		.len = sizeof raw, .user = ip != 0, .ip = ip, .sp = ip ? SP : 0};
	uint32_t size = sizeof raw + 4;

	h.size = sizeof h + sizeof head + 4 + sizeof raw + 4;
	memset(r, 0, sizeof *r);
	memcpy(r->bytes, &h, sizeof h);
	memcpy(r->bytes + sizeof h, &head, sizeof head);
	memcpy(r->bytes + sizeof h + sizeof head, &size, 4);
	memcpy(r->bytes + sizeof h + sizeof head + 4, &raw, sizeof raw);
	return (const struct perf_event_header *)r->bytes;
}

static struct prowl_event sample(pid_t tid, uint64_t time, bool in_kernel)
{
	struct prowl_event ev = {.type = PROWL_EVENT_SAMPLE, .time = time, .tid = tid};

	ev.sample.in_kernel = in_kernel;
	ev.sample.has_regs = true;
	ev.sample.regs.ip = IP;
	ev.sample.regs.sp = SP;
	return ev;
}

static bool pairs(struct prowl_moment_pair *p, struct prowl_event ev)
{
	static struct prowl_moment room;
	const struct prowl_moment *mo = prowl_moment_pair_of(p, &ev, &room);

	prowl_moment_pair_next(p);
	return mo == &room;
}

TEST(a_moment_is_the_next_samples)
{
	struct prowl_moment_pair p = {.id = ID};
	struct record a, b;

	assert_true(prowl_moment_pair_take(&p, moment(&a, TID, TIME, IP)));
	assert_true(pairs(&p, sample(TID, TIME + 900, false)));
	assert_false(pairs(&p, sample(TID, TIME + 901, false))); /* only once */
	assert_true(prowl_moment_pair_take(&p, moment(&b, TID, TIME + 2000, 0)));
	assert_true(pairs(&p, sample(TID, TIME + 1000, true))); /* its time may be the earlier */
	assert_int_equal(p.strays, 0);
}

TEST(the_sample_was_lost)
{
	struct prowl_moment_pair p = {.id = ID};
	struct record a, b;

	assert_true(prowl_moment_pair_take(&p, moment(&a, TID, TIME, 0)));
	prowl_moment_pair_next(&p); /* the record that tells of lost ones */
	assert_false(pairs(&p, sample(TID, TIME + 900, true)));
	assert_int_equal(p.strays, 1);
	/* or another moment follows */
	assert_true(prowl_moment_pair_take(&p, moment(&a, TID, TIME, IP)));
	assert_true(prowl_moment_pair_take(&p, moment(&b, TID, TIME + 5000, IP)));
	assert_int_equal(p.strays, 2);
	assert_true(pairs(&p, sample(TID, TIME + 5900, false)));
}

TEST(the_moment_was_lost)
{
	struct prowl_moment_pair p = {.id = ID};

	assert_false(pairs(&p, sample(TID, TIME, false)));
	assert_int_equal(p.strays, 0);
}

TEST(of_another_thread_place_or_time)
{
	struct prowl_moment_pair p = {.id = ID};
	struct record a;

	prowl_moment_pair_take(&p, moment(&a, TID + 1, TIME, IP));
	assert_false(pairs(&p, sample(TID, TIME, false)));
	prowl_moment_pair_take(&p, moment(&a, TID, TIME, IP + 1));
	assert_false(pairs(&p, sample(TID, TIME, false)));
	prowl_moment_pair_take(&p, moment(&a, TID, TIME, 0));
	assert_false(pairs(&p, sample(TID, TIME, false)));
	prowl_moment_pair_take(&p, moment(&a, TID, TIME, IP));
	assert_false(pairs(&p, sample(TID, TIME, true)));
	prowl_moment_pair_take(&p, moment(&a, TID, TIME, IP));
	assert_false(pairs(&p, sample(TID, TIME + PROWL_MOMENT_NS + 1, false)));
	assert_int_equal(p.strays, 5);
}

TEST(records_of_other_events_are_none)
{
	struct prowl_moment_pair p = {.id = OTHER_ID}, off = {0};
	struct record a;

	assert_false(prowl_moment_pair_take(&p, moment(&a, TID, TIME, IP)));
	memset(a.bytes + 8, 0, 8); /* id 0 */
	assert_false(prowl_moment_pair_take(&off, (const struct perf_event_header *)a.bytes));
}

TEST(damaged_ones_are_strays)
{
	struct prowl_moment_pair p = {.id = ID};
	struct record a;
	uint32_t size = UINT32_MAX;

	moment(&a, TID, TIME, IP);
	memcpy(a.bytes + 8 + 48, &size, 4);
	assert_true(prowl_moment_pair_take(&p, (const struct perf_event_header *)a.bytes));
	assert_false(pairs(&p, sample(TID, TIME, false)));
	assert_int_equal(p.strays, 1);
}

TEST(waits_from_one_drain_to_the_next)
{
	struct prowl_moment_pair p = {.id = ID};
	struct record a;

	for (int i = 0; i < 3; i++) {
		prowl_moment_pair_take(&p, moment(&a, TID, TIME, IP));
		prowl_moment_pair_keep(&p);
		memset(&a, 0xff, sizeof a); /* the kernel writes on */
		prowl_moment_pair_keep(&p);
		assert_true(pairs(&p, sample(TID, TIME, false)));
	}
	prowl_moment_pair_fini(&p);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by tests of profiles: short builders, and comparison by canonical bytes. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pprof.h"

static inline struct pprof_profile *t_new(void)
{
	struct pprof_profile *p;

	assert_int_equal(pprof_profile_new(&p), 0);
	return p;
}

static inline uint32_t t_str(struct pprof_profile *p, const char *s)
{
	uint32_t i;

	assert_int_equal(pprof_string(p, s, &i), 0);
	return i;
}

static inline uint32_t t_func(struct pprof_profile *p, const char *name)
{
	struct pprof_function f = {t_str(p, name), t_str(p, name), t_str(p, "main.go"), 10};
	uint32_t i;

	assert_int_equal(pprof_function(p, &f, &i), 0);
	return i;
}

static inline uint32_t t_mapping(struct pprof_profile *p, uint64_t start, const char *file)
{
	struct pprof_mapping m = {.start = start,
				  .limit = start + 0x100000,
				  .filename = t_str(p, file),
				  .build_id = t_str(p, strstr(file, "libc") ? "" : "c0ffee")};
	uint32_t i;

	assert_int_equal(pprof_mapping(p, &m, &i), 0);
	return i;
}

/* A location of one function. */
static inline uint32_t t_loc(struct pprof_profile *p, uint32_t mapping, uint64_t address,
			     const char *name, int64_t line)
{
	struct pprof_line l = {t_func(p, name), line, 0};
	uint32_t i;

	assert_int_equal(pprof_location(p, mapping, address, &l, 1, &i), 0);
	return i;
}

static inline void t_types(struct pprof_profile *p)
{
	assert_int_equal(pprof_sample_type(p, "samples", "count"), 0);
	assert_int_equal(pprof_sample_type(p, "cpu", "nanoseconds"), 0);
	assert_int_equal(pprof_period(p, "cpu", "nanoseconds", 10000000), 0);
}

static inline void t_add(struct pprof_profile *p, const uint32_t *stack, size_t n, int64_t count,
			 const struct pprof_label *labels, size_t nlabels)
{
	int64_t values[] = {count, count * 10000000};

	assert_int_equal(pprof_sample_add(p, stack, n, values, labels, nlabels), 0);
}

/* A bit of everything: two mappings, inlining, labels of both kinds, an unsymbolized address. */
static inline struct pprof_profile *t_rich(void)
{
	struct pprof_profile *p = t_new();
	uint32_t m, so, a, b, c, raw, far;
	struct pprof_line inlined[2];

	t_types(p);
	m = t_mapping(p, 0x400000, "/usr/bin/target");
	so = t_mapping(p, 0x7f0000000000, "/lib/libc.so.6");
	p->mappings[m].has_functions = true;
	a = t_loc(p, m, 0x401000, "main.main", 12);
	b = t_loc(p, m, 0x402000, "main.work", 34);
	inlined[0] = (struct pprof_line){t_func(p, "main.leaf"), 5, 7};
	inlined[1] = (struct pprof_line){t_func(p, "main.step"), 6, 0};
	assert_int_equal(pprof_location(p, m, 0x403000, inlined, 2, &c), 0);
	assert_int_equal(pprof_location(p, so, 0x7f0000001234, NULL, 0, &raw), 0);
	assert_int_equal(pprof_location(p, PPROF_NONE, 0xdead, NULL, 0, &far), 0);
	p->locations[b].is_folded = true;
	{
		struct pprof_label text = {.key = t_str(p, "endpoint"), .str = t_str(p, "/api")};
		struct pprof_label num = {
			.key = t_str(p, "bytes"), .unit = t_str(p, "bytes"), .num = -48};
		struct pprof_label both[] = {text, num};

		t_add(p, (uint32_t[]){c, b, a}, 3, 4, NULL, 0);
		t_add(p, (uint32_t[]){c, b, a}, 3, 5, &text, 1);
		t_add(p, (uint32_t[]){b, a}, 2, 6, both, 2);
		t_add(p, (uint32_t[]){raw, a}, 2, 7, &num, 1);
		t_add(p, (uint32_t[]){far, a}, 2, 1, NULL, 0);
		t_add(p, NULL, 0, 2, NULL, 0);
	}
	assert_int_equal(pprof_comment(p, "second thoughts"), 0);
	assert_int_equal(pprof_comment(p, "a remark"), 0);
	p->time_nanos = 1700000000123456789;
	p->duration_nanos = 30000000000;
	p->default_sample_type = t_str(p, "cpu");
	p->drop_frames = t_str(p, "malloc|free");
	p->keep_frames = t_str(p, "free_all");
	p->doc_url = t_str(p, "https://example.org/profile");
	return p;
}

struct t_bytes {
	uint8_t *bytes;
	size_t len;
};

static inline struct t_bytes t_encode(const struct pprof_profile *p, int level)
{
	struct t_bytes b;

	assert_int_equal(pprof_encode(p, level, &b.bytes, &b.len), 0);
	return b;
}

static inline struct pprof_profile *t_decode(struct t_bytes b)
{
	struct pprof_diag d = {"no failure noted"};
	struct pprof_profile *p = NULL;
	int r = pprof_decode(b.bytes, b.len, 0, &p, &d);

	if (r < 0)
		fail_msg("%s at %zu", d.what, (size_t)d.at);
	return p;
}

static inline void t_same(const struct pprof_profile *a, const struct pprof_profile *b)
{
	struct t_bytes ba = t_encode(a, PPROF_LEVEL_RAW), bb = t_encode(b, PPROF_LEVEL_RAW);

	assert_int_equal(ba.len, bb.len);
	assert_memory_equal(ba.bytes, bb.bytes, ba.len);
	free(ba.bytes);
	free(bb.bytes);
}

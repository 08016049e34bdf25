/* SPDX-License-Identifier: Apache-2.0 */
/* What a sampler hands out, whichever it is: samples, and what happens to processes meanwhile. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "regs.h"

struct prowl_moment;

/* What is sampled, and what the weights of its samples are. */
struct prowl_event_kind {
	const char *name;        /* "cpu-clock" */
	const char *type, *unit; /* of the profile's second value: "cpu", "nanoseconds" */
	const char *period_type, *period_unit;
	bool scale_to_charge; /* weights are CPU time, of which the kernel keeps the exact total */
};

enum prowl_event_type {
	PROWL_EVENT_OTHER, /* a record that nobody here needs */
	PROWL_EVENT_SAMPLE,
	PROWL_EVENT_MMAP,
	PROWL_EVENT_COMM,
	PROWL_EVENT_FORK,
	PROWL_EVENT_EXIT,
	PROWL_EVENT_LOST,
	PROWL_EVENT_THROTTLE,
};

struct prowl_event {
	enum prowl_event_type type;
	uint64_t time; /* ns, CLOCK_MONOTONIC */
	uint64_t id;   /* of the perf event (of the parent, where inherited) */
	pid_t pid, tid;
	uint32_t cpu;
	union {
		struct {
			uint64_t ip;
			uint64_t period; /* the event's when it was opened or inherited */
			uint64_t weight; /* what it represents, in the unit of the event's kind */
			bool in_kernel;
			const uint64_t *kernel; /* leaf first */
			uint32_t nkernel;
			const uint64_t *user;
			uint32_t nuser;
			uint32_t nchain; /* entries of the raw chain, for the depth limit */
			bool has_regs;
			struct uw_regs regs;
			const void *stack;
			uint64_t stack_len;
			const struct prowl_moment *moment; /* memory as it was then; NULL: none */
		} sample;
		struct {
			uint64_t start, len, offset, ino;
			uint32_t major, minor, prot;
			const char *path;
		} mmap;
		struct {
			bool exec;
			const char *comm;
		} comm;
		struct {
			pid_t ppid, ptid;
		} fork;
		uint64_t lost; /* records */
	};
};

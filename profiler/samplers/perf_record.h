/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of one perf record → an event. The layout is the one that source_perf asks for:
 * PROWL_SAMPLE_TYPE with sample_id_all. Nothing in a record is trusted: every length is checked
 * against the record's own size.
 */
#pragma once

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "regs.h"

#define PROWL_SAMPLE_TYPE                                                                       \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |         \
	 PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER | \
	 PERF_SAMPLE_STACK_USER)

/* Of an event that a BPF program's output goes to: the same head, then the bytes. */
#define PROWL_OUTPUT_TYPE                                                               \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | \
	 PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_RAW)

struct prowl_moment;

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
			uint64_t period; /* ns: the event's when it was opened or inherited */
			uint64_t weight; /* ns of CPU time that it stands for: of source_perf */
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

/* Returns 0, or -EBADMSG for a record whose parts don't fit into it. ev borrows from rec. */
int prowl_perf_decode(const struct perf_event_header *rec, struct prowl_event *ev);
/* Time of any record of this layout, without decoding the rest; 0 when it has none. */
uint64_t prowl_perf_time(const struct perf_event_header *rec);
/* Process of a sample of this layout, without decoding the rest; 0 for what is no whole sample. */
pid_t prowl_perf_pid(const struct perf_event_header *rec);
/* Thread, and event, of a sample of this layout or PROWL_OUTPUT_TYPE; 0 likewise. */
pid_t prowl_perf_tid(const struct perf_event_header *rec);
uint64_t prowl_perf_id(const struct perf_event_header *rec);
/* The bytes of a record of PROWL_OUTPUT_TYPE, NULL where they don't fit into it. */
const void *prowl_perf_raw(const struct perf_event_header *rec, size_t *len);
/* The address where a sample was taken, kernel or user; 0 for what is none. */
uint64_t prowl_perf_ip(const struct perf_event_header *rec);

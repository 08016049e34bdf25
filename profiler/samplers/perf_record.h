/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of one perf record → an event. The layout is the one that perf_attach.c asks for:
 * PROWL_SAMPLE_TYPE with sample_id_all. Nothing in a record is trusted: every length is checked
 * against the record's own size.
 */
#pragma once

#include <linux/perf_event.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "event.h"

#define PROWL_SAMPLE_TYPE                                                                       \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |         \
	 PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER | \
	 PERF_SAMPLE_STACK_USER)

/* Of an event that a BPF program's output goes to: the same head, then the bytes. */
#define PROWL_OUTPUT_TYPE                                                               \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | \
	 PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_RAW)

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

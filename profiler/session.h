/* SPDX-License-Identifier: Apache-2.0 */
/* A session's insides, shared by session.c (collects) and build.c (names). */
#pragma once

#include "labels.h"
#include "procs.h"
#include "prowl.h"
#include "source_perf.h"
#include "stackhash.h"
#include "stackkey.h"

struct prowl_session {
	struct prowl_options o;
	struct prowl_procs procs;
	struct prowl_perf *perf;
	struct uw_walker *walker;
	struct prowl_labels *labels; /* NULL: not asked for */
	struct prowl_stackhash hash;
	void *hash_mem;
	size_t hash_len;
	struct prowl_result result;
	uint64_t opened;    /* CLOCK_MONOTONIC */
	uint64_t from, to;  /* the window: samples outside of it don't count */
	int64_t wall_start; /* Unix time, ns */
	int wake_fd;
	bool stopped;
};

/*
 * When to give the pages of mapped binaries back, by the number of look-ups in their tables so far:
 * so early that a short profile stays small, so rarely that a long one doesn't pay for it.
 */
static inline uint64_t prowl_trim_next(uint64_t lookups)
{
	return lookups + (lookups < 2560 ? 96 + lookups / 4 : 736);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A session's insides, shared by session.c (collects) and build.c (names). */
#pragma once

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

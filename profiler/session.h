/* SPDX-License-Identifier: Apache-2.0 */
/* A session's insides, shared by session.c (collects) and build.c (names). */
#pragma once

#include "procs.h"
#include "prowl.h"
#include "source_perf.h"
#include "stackhash.h"

/*
 * A key of the stack hash: three words, then the addresses.
 *	[0] image << 32 | end << 24 | flags
 *	[1] thread id where threads are told apart, else 0
 *	[2] kernel addresses << 32 | user addresses
 */
enum {
	PROWL_KEY_HEAD = 3,
	PROWL_MAX_KERNEL = 256,
	PROWL_MAX_USER = 640,
};

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

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks of running goroutines: their registers are in no memory, so the process is sampled for a
 * moment. Private to this folder. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime.h"

enum { PROWL_RUNNING_WORDS = 640 };

struct prowl_running { /* one to be found */
	uint64_t g, m, goid;
	pid_t tid;  /* filled */
	int runs;   /* filled: how often it had stopped running, modulo 256; -1: not known */
	bool found; /* filled: words are its stack, as in gostored.h */
	size_t n;
	uint64_t words[PROWL_RUNNING_WORDS];
};

/*
 * Samples until all are found or `ns` is over; `retry` is called now and then for those not found
 * yet, and returns true for one that is no longer needed (it stopped running). Returns 0, or why
 * the process can not be sampled: negative errno.
 */
int prowl_running_sample(struct prowl_runtime *rt, struct prowl_running *wanted, size_t n,
			 uint64_t ns, bool (*retry)(void *ctx, size_t i), void *ctx);
/* The same from the registers in a core file. */
void prowl_running_core(struct prowl_runtime *rt, struct prowl_running *wanted, size_t n);

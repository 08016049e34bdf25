/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks of goroutines that run: what they do is in registers only, so the process is sampled for a
 * moment. Private to this folder. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime.h"

enum { PROWL_RUNNING_WORDS = 640 };

struct prowl_running { /* one that is wanted */
	uint64_t g, m, goid;
	pid_t tid;  /* filled */
	int runs;   /* filled: how often it had stopped running, modulo 256; -1: not known */
	bool found; /* filled: words are its stack, as in gostored.h */
	size_t n;
	uint64_t words[PROWL_RUNNING_WORDS];
};

/*
 * Samples until all are found or `ns` is over; `retry` is called now and then with those that are
 * not, and says true for one that is settled otherwise (it came to rest). 0, or why it can't be
 * sampled: negative errno.
 */
int prowl_running_sample(struct prowl_runtime *rt, struct prowl_running *wanted, size_t n,
			 uint64_t ns, bool (*retry)(void *ctx, size_t i), void *ctx);
/* The same from the registers in a core file. */
void prowl_running_core(struct prowl_runtime *rt, struct prowl_running *wanted, size_t n);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Go runtime has recorded of allocations, blocking and contended locks: the buckets behind
 * /debug/pprof/heap, block and mutex (src/runtime/mprof.go of each release).
 *
 * Buckets are never freed or moved and lists grow at their head only, so they can be read while the
 * program runs. A read must agree with the cycle of the heap profile, which is read before
 * and after, and the list once more where it changed. The numbers are exactly those that the
 * runtime's own MemProfile, BlockProfile and MutexProfile would have given at that instant.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "goglobals.h"
#include "golayout.h"
#include "mem.h"

enum uw_bucket_kind { /* runtime.bucketType */
		      UW_BUCKET_MEM = 1,
		      UW_BUCKET_BLOCK,
		      UW_BUCKET_MUTEX,
};

enum {
	UW_BUCKET_MAX_STACK = 1030, /* words: GODEBUG profstackdepth is at most 1024 */
	UW_BUCKETS_MAX = 1 << 22,
	UW_BUCKETS_MAX_WORDS = 1 << 26, /* of all stacks: 512 MiB */
};

struct uw_bucket {
	uint64_t at;  /* its address in the target: identifies it from one read to the next */
	size_t first; /* its stack in pcs: words as stored (gostored.h), leaf first */
	uint32_t nstack;
	uint64_t size; /* of one object in bytes; 0 for block and mutex */
	/* mem: sampled objects that were allocated and freed, not scaled. block, mutex: events (as
	 * stored: see golayout.h, mutex_scaled_on_read) in `count`, and ticks waited. */
	union {
		int64_t allocs;
		int64_t count;
	};
	union {
		int64_t frees;
		int64_t ticks;
	};
};

struct uw_gobuckets { /* zero-initialised is empty */
	struct uw_bucket *buckets;
	size_t n, cap;
	uint64_t *pcs;
	size_t npcs, cap_pcs;

	/* mem: garbage collections that the profile has seen; without any, objects allocated since
	 * the start count at once, as in Go. */
	uint32_t cycle;
	bool no_gc;
	/* How the read went: repeated because a cycle ended in it; given up on that (the buckets
	 * are then of up to three cycles); records read again because they were just being written;
	 * still not whole after that. */
	uint32_t retries;
	bool unsettled;
	uint32_t reread, torn;
};

/*
 * Reads one list; what *ret held before is replaced. 0, or negative errno: -ENOENT: the list or the
 * cycle was not found; -EBADMSG: not a list of such buckets, or longer than UW_BUCKETS_MAX
 * or UW_BUCKETS_MAX_WORDS;
 * -ENOMEM; what the reader says. *ret is to be freed by uw_gobuckets_fini either way.
 */
int uw_gobuckets_read(const struct uw_golayout *layout, const struct uw_goglobals *globals,
		      const struct uw_mem *mem, enum uw_bucket_kind kind, struct uw_gobuckets *ret);
void uw_gobuckets_fini(struct uw_gobuckets *b);

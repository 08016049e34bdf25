/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack of a goroutine at rest → its addresses, by Go's own tables (pcsp), as Go's traceback
 * finds them: nothing is guessed, each step is what the code has pushed.
 *
 * Addresses are given as words in the sense of gostored.h: return addresses; where a frame was
 * interrupted instead of calling, its pc + 1. One thread; a cache.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "space.h"

enum uw_gostack_end {
	UW_GOSTACK_ROOT,   /* at the function that the goroutine began with, or below it */
	UW_GOSTACK_SWITCH, /* where code switches stacks: Go's own traceback ends there, too */
	UW_GOSTACK_MORE,   /* the bytes end before the stack does */
	UW_GOSTACK_LIMIT,  /* more frames than there is room for */
	UW_GOSTACK_BAD,    /* what lies there is no stack */
};

struct uw_gostack_start {
	uint64_t pc, sp;
	uint64_t lr;  /* arm64: of the gobuf; 0 in system calls */
	bool syscall; /* saved by entersyscall, not by the scheduler */
	bool exact;   /* registers of a running thread: pc was not calling */
};

struct uw_gostack_bytes { /* of the stack, as many as there are from base on */
	uint64_t base;
	const void *bytes;
	size_t len;
	uint64_t hi; /* where the stack ends */
};

struct uw_gostack;

/* -ENOENT: the image has no Go; -ENOMEM. The space is borrowed and must not change. */
int uw_gostack_new(struct uw_space *space, struct uw_gostack **ret);
void uw_gostack_free(struct uw_gostack *s);
/* Writes at most max words; their number is *ret_n, also where the walk ended early. */
enum uw_gostack_end uw_gostack_walk(struct uw_gostack *s, const struct uw_gostack_start *start,
				    const struct uw_gostack_bytes *stack, uint64_t *words,
				    size_t max, size_t *ret_n);

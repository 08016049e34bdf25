/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks as a Go runtime stores them in its own profiles → places, each of which is one activation
 * of a physical function with all that is inlined there.
 *
 * A stored word is a return address. Most profiles store logical stacks: after the word of a place
 * come made-up ones, one for each function into which the inlined code was put, as if it were
 * called; block and mutex profiles of go1.23 and later store physical stacks, without them. Both
 * are read by one rule: a place is expanded wholly from its first word, and the made-up words that
 * follow from it are passed over where they were stored. That also completes a place whose end was
 * cut off by the limit of depth.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gosym.h"

struct uw_gostored { /* one place */
	size_t nframes;
	struct uw_go_frame frames[UW_MAX_INLINE]; /* that show, innermost first; may be none */
	uint64_t pc; /* runtime address to look up and to show: inside the call */
	bool root;   /* runtime.goexit, which profiles leave out: no frames */
	size_t nfollow;
	uint64_t follow[UW_MAX_INLINE]; /* the made-up words, in order */
};

/*
 * The place at a stored word. `bias` is runtime minus link-time address. `keep_wrapper`: the
 * innermost function there shows also when it is a wrapper: the runtime stored the word for it, or
 * the frame before was runtime.gopanic, sigpanic or panicwrap, the only ones that show that a
 * wrapper called them. False when the word is not in Go text.
 */
bool uw_gostored_place(const struct uw_go *go, uint64_t bias, uint64_t word, bool keep_wrapper,
		       struct uw_gostored *ret);
/* How many of the words behind a place's own belong to it. */
size_t uw_gostored_passed(const uint64_t *follow, size_t nfollow, const uint64_t *words, size_t n);
/* Is the function of that name one that shows a wrapper. */
bool uw_go_keeps_wrapper(const char *callee);
/*
 * Is the word in the runtime itself, by the rule (and the same look-up) with which Go's heap
 * profile hides the allocator.
 */
bool uw_gostored_in_runtime(const struct uw_go *go, uint64_t bias, uint64_t word);

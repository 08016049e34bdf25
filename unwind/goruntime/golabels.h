/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The labels of a goroutine (runtime/pprof.Do, SetGoroutineLabels), read from live memory for the
 * thread that a sample was taken on: as Go's own CPU profile gives them to such a sample.
 *
 * The goroutine is found by the register that holds g in Go code (go1.17 and newer), believed only
 * when the stack pointer lies on a stack of that g or of its thread. Nothing is stopped, so that
 * what is read is what holds a moment after the sample: the caller reads soon or not at all. Every
 * read is bounded, no pointer is trusted, and one that leads nowhere costs the labels of one
 * sample.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "golayout.h"
#include "mem.h"
#include "regs.h"

enum {
	UW_LABELS_MAX = 64,   /* of one goroutine: those whose keys sort first */
	UW_LABEL_BYTES = 256, /* of one key or value; a longer one is cut, and ends in "…" */
	UW_GUESSES = 128,     /* private, like the two that follow */
	UW_GUESS_PARTS = 16,
	UW_GUESS_BYTES = 8192,
};

/* Where one label set was found: read again at once when its pointer is met again. */
struct uw_golabels_guess {
	uint64_t labels;
	size_t n;
	struct {
		uint64_t addr;
		uint32_t len;
	} part[UW_GUESS_PARTS];
};

struct uw_golabels { /* zero-initialised; one that is kept makes later calls cheaper */
	size_t n;
	struct {
		/*
		 * End with a NUL and hold no other: bytes 0 became bytes 0xff, which are no text
		 * either and are shown as such. Borrowed from text.
		 */
		const char *key, *value;
		uint16_t key_len, value_len;
	} label[UW_LABELS_MAX]; /* sorted by key, as bytes */
	size_t left_out;        /* labels beyond UW_LABELS_MAX */
	bool cut;               /* some key or value is not as the program has set it */
	char text[UW_LABELS_MAX * 2 * (UW_LABEL_BYTES + 1)];
	struct uw_golabels_guess guesses[UW_GUESSES];
};

/*
 * The labels of the user goroutine at registers r. *m: the runtime's m of the same thread as an
 * earlier call found it, 0 for none; with it a thread in C code, where no register holds g, is
 * identified too. It is only a hint and is checked.
 *
 * Returns the number of labels; 0 also when the thread runs no goroutine. -ENOENT: the goroutine
 * can't be identified (C code, an assembly routine that uses the register, go1.16); -EBADMSG: its
 * labels make no sense; -EAGAIN: they changed while they were read; other negative errno: memory
 * that can't be read.
 */
int uw_golabels_read(const struct uw_golayout *layout, const struct uw_mem *live,
		     const struct uw_regs *r, uint64_t *m, struct uw_golabels *ret);

/*
 * The same of a goroutine that is known: g is its address, labels what its g.labels was. -EAGAIN
 * when it has others by now.
 */
int uw_golabels_of(const struct uw_golayout *layout, const struct uw_mem *live, uint64_t g,
		   uint64_t labels, struct uw_golabels *ret);

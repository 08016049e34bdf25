/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames of stacks as viewers know them: name, file and line of a function, inlined or not. All
 * code of one file without symbols is one frame, as in the reports.
 *
 * Frames are in the order of their names, so an order by frame number doesn't depend on how the
 * profile was built. Only frames of samples with a value are included.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pprof.h"

struct frame {
	uint32_t name, file; /* strings */
	int64_t line;        /* where the function begins; 0 unknown */
	bool object;         /* not a function: name is the path of a mapping */
};

struct frames {
	const struct pprof_profile *p;
	size_t n, cap;
	struct frame *frame;
	uint32_t *of_line;     /* of each of p's lines */
	uint32_t *of_location; /* of locations without lines */
};

/* Of samples with a value of any type, or of `type` alone unless it is FRAMES_ALL. -ENOMEM. */
#define FRAMES_ALL SIZE_MAX
int pp_frames_init(struct frames *f, const struct pprof_profile *p, size_t type);
void pp_frames_fini(struct frames *f);

/* One stack from the root to the leaf. */
struct frame_walk {
	const struct frames *f;
	const uint32_t *stack;
	size_t locations; /* that are left */
	uint32_t lines;   /* that are left of the current one */
};

struct frame_walk pp_frames_walk(const struct frames *f, size_t sample);
bool pp_frames_next(struct frame_walk *w, uint32_t *ret_frame);

/* Orders two samples by their frames, root first. */
int pp_frames_compare(const struct frames *f, size_t a, size_t b);

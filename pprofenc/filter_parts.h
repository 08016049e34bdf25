/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of pprof_filter: dropped frames and tags. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pprof.h"
#include "copy.h"
#include "pattern.h"

/*
 * A copy without the frames that the profile itself drops (drop_frames, keep_frames). -EINVAL: one
 * of these is not an expression, or one that takes too long.
 */
int pp_prune(const struct pprof_profile *p, struct pprof_profile **ret_profile);

/* --- tags ------------------------------------------------------------------------ */

struct tag_filter;

/* An expression of pprof's -tagfocus. -EINVAL with diag, -ENOMEM. */
int pp_tag_filter_new(struct tag_filter **ret_filter, const char *expression,
		      struct pprof_diag *diag);
void pp_tag_filter_free(struct tag_filter *f);
/* 1, 0, or a negative errno. */
int pp_tag_filter_match(const struct tag_filter *f, const struct pprof_profile *p, size_t sample,
			const char *const *units);

/*
 * A copy of p with frames at the root and at the leaf, made of the labels with these keys ("a,b",
 * may be NULL). Locations keep their indices; those from *ret_first on are the new ones. *ret_seen:
 * bit 0 is set if a label of `root` was found, bit 1 for `leaf`.
 */
int pp_tag_frames(const struct pprof_profile *p, const char *root, const char *leaf,
		  const char *unit, struct pprof_profile **ret_profile, uint32_t *ret_first,
		  unsigned *ret_seen);

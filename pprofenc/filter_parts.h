/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of pprof_filter: tags, names of frames, and what holds them together. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pprof.h"
#include "copy.h"
#include "pattern.h"

/*
 * A copy without the frames that p itself wants to be dropped (drop_frames, keep_frames). -EINVAL:
 * one of these is no expression, or one that takes too long.
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
 * A copy of p with frames for the labels of these keys ("a,b", may be NULL) at the root and at the
 * leaf. Locations keep their indices; those from *ret_first on were made here. *ret_seen says
 * which lists met a label: bit 0 the root's, bit 1 the leaf's.
 */
int pp_tag_frames(const struct pprof_profile *p, const char *root, const char *leaf,
		  const char *unit, struct pprof_profile **ret_profile, uint32_t *ret_first,
		  unsigned *ret_seen);

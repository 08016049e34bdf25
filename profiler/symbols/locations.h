/* SPDX-License-Identifier: Apache-2.0 */
/* Frames and mappings, as the symbolizers give them, put into a profile. Private. */
#pragma once

#include <stdint.h>

#include "frame.h"
#include "idmap.h"
#include "pprof.h"
#include "space.h"

/* The function of a frame; its line is the caller's. Negative errno. */
int prowl_name_function(struct pprof_profile *p, const struct uw_frame *f, uint32_t *ret);
/* The mapping, marked as having all names until one is missing; `seen` (start → mapping) is of one
 * image. */
int prowl_name_mapping(struct pprof_profile *p, struct prowl_idmap *seen,
		       const struct uw_mapping *m, uint32_t *ret);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "pprof.h"

/*
 * The unit of numeric labels without one, by their key (a string); NULL for other strings. As in
 * pprof: the first unit that the profile has for the key, else one derived from the key. To be
 * freed.
 */
const char **pp_label_units(const struct pprof_profile *p);
/* The unit of a numeric label: its own (pprof takes the first of the key for all). */
const char *pp_label_unit(const struct pprof_profile *p, const struct pprof_label *l,
			  const char *const *units);

/* SPDX-License-Identifier: Apache-2.0 */
/* The policy for labels, applied to the samples of a profile before anything keeps them. */
#pragma once

#include "rules.h"

struct pprof_profile;

/* Whether the policy changes anything. */
bool relabel_wanted(const struct prowl_label_policy *p);

/*
 * A copy whose samples have only the labels that the policy keeps, under their new names; samples
 * that become equal are summed. The caller frees it. Negative errno.
 */
int relabel(const struct pprof_profile *from, const struct prowl_label_policy *p,
	    struct pprof_profile **ret);

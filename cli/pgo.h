/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles for go build -pgo. */
#pragma once

#include "err.h"

struct pprof_profile;

/* What the compiler makes use of. An exit code, after saying what is wrong; says what was left out.
 */
enum prowl_code pgo_make(const struct pprof_profile *p, struct pprof_profile **ret_profile);

/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles for go build -pgo. */
#pragma once

struct pprof_profile;

/* What the compiler makes use of. An exit code, after saying what is wrong; says what was left out.
 */
int pgo_make(const struct pprof_profile *p, struct pprof_profile **ret_profile);

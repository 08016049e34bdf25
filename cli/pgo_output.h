/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles for go build -pgo. */
#pragma once

#include "err.h"

struct pprof_profile;

/*
 * The part of a profile that the compiler uses. An exit code, after an error message; reports what
 * was left out.
 */
enum prowl_code pgo_make(const struct pprof_profile *p, struct pprof_profile **ret_profile);

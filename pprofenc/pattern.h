/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions over names, bounded: no pattern can take forever or all memory. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "pprof.h"

struct regex;

/*
 * Perl's syntax, which has all of Go's; a class is ASCII, $ is the end of the text alone, as in Go.
 * -EINVAL with diag: where the pattern is wrong, and how; -ENOMEM.
 */
int pp_regex_new(struct regex **ret_regex, const char *pattern, struct pprof_diag *diag);
void pp_regex_free(struct regex *re);

/* 1 found anywhere in s, 0 not; -EINVAL: too much work; -ENOMEM. */
int pp_regex_match(const struct regex *re, const char *s, size_t len);

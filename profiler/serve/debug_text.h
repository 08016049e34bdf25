/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles as text, as Go's debug=1 has it, which go tool pprof reads as well. */
#pragma once

#include <stdio.h>

struct pprof_profile;

/*
 * kind: heap, allocs, block, mutex; others are counted stacks. Frames have no offset in their
 * function, as profiles don't know it, and sampled values are scaled up already. Failures are those
 * of the stream, and -ENOMEM.
 */
int debug_text(const struct pprof_profile *p, const char *kind, FILE *to);

/* SPDX-License-Identifier: Apache-2.0 */
/* The table of prowl top for scripts. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "top_model.h"

struct top_target {
	char comm[64];
	char go_version[64]; /* "" when it is not Go */
	int pid;
};

/* Plain lines; the first n functions. */
void top_print_text(struct top_model *m, size_t n, FILE *to);
/* The same figures as an object; `line`: on one line, as one of many. */
void top_print_json(struct top_model *m, size_t n, const struct top_target *targets,
		    size_t ntargets, bool line, FILE *to);

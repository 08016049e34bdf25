/* SPDX-License-Identifier: Apache-2.0 */
/* A comparison as text, for people, pull requests and machines. */
#pragma once

#include <stdio.h>

#include "pprof.h"
#include "pprof_compare.h"

struct diff_words {
	const char *base, *head; /* names of the sides */
	size_t lines;            /* rows without a change; all changes are shown */
	const char *workspace;   /* the folder of the checkout, for annotations; may be NULL */
	const char *const *warnings;
	size_t nwarnings;
};

void show_diff_text(FILE *f, const struct pprof_comparison *c, const struct diff_words *w);
/* For pull requests: at most 60,000 bytes, as GitHub takes no comment above 65,536. */
void show_diff_markdown(FILE *f, const struct pprof_comparison *c, const struct diff_words *w);
void show_diff_json(FILE *f, const struct pprof_comparison *c, const struct diff_words *w);
/* One test case for the total and one for each function judged. */
void show_diff_junit(FILE *f, const struct pprof_comparison *c, const struct diff_words *w);
/* Workflow commands of GitHub Actions: ::error and ::notice, the largest first. */
void show_diff_github(FILE *f, const struct pprof_comparison *c, const struct diff_words *w);

/* The total (index 0) or a change (from 1 on) in one line, for a comment of a profile. To be freed;
 * NULL: out of memory. */
char *show_diff_line(const struct pprof_comparison *c, size_t index);

/* "regression: 2 functions", one line. */
void show_diff_verdict(FILE *f, const struct pprof_comparison *c);

/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the text reports: the lines above them, and values as text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "graph.h"
#include "pprof_report.h"
#include "report_options.h"
#include "units.h"

struct report {
	const struct pprof_profile *p;
	struct report_options options;
	const struct pprof_report_options *o; /* in options */
	FILE *to;
	struct graph g;
	const char *value_unit; /* of the values */
	struct scale scale;
	bool each;       /* not `scale`, but the best unit of each value */
	uint32_t *order; /* the nodes shown, sorted */
	size_t shown, candidates, dropped;
	double node_fraction, edge_fraction;
	size_t nodes;
	char text[UNITS_TEXT];
	char share[UNITS_TEXT];
};

/* Without nodes chosen; r must not move from here on. -ENOENT, -ENOMEM, -EINVAL, -E2BIG. */
int pp_report_init(struct report *r, const struct pprof_profile *p,
		   const struct pprof_report_options *o, FILE *to);
/* -EIO when something could not be written. */
int pp_report_fini(struct report *r);

/* In r->text, printable. */
const char *pp_report_value(struct report *r, int64_t v);

/* Binary, comments, type, time and duration. */
void pp_report_about(struct report *r);
/* The active filters. */
void pp_report_filters(struct report *r);
/* Control characters become '?'. */
void pp_report_text(FILE *to, const char *s);

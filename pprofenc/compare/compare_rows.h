/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several profiles as one table: for each function (or file, package, line) and each profile, how
 * many events were seen and their value.
 *
 * Events are what the statistics of a comparison count. Scaled values are converted back to events:
 * CPU time is divided by the average value of one sample over all profiles, so that the scaling of
 * each run is kept; sampled allocations of size s at the rate R are divided by the number of
 * objects that one sampled object represents, 1 / (1 - exp(-s / R)) (runtime/mprof.go).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pprof.h"
#include "pprof_compare.h"
#include "table.h"

struct row_cell { /* of one row in one profile */
	double events, cum_events;
	double value, cum_value;
};

struct row {
	const char *name, *file; /* borrowed from the profiles, or from `texts` */
	int64_t line;            /* the declaration's or, by line, the line; 0 unknown */
	bool judged;             /* false: the kernel, unknown, lost */
	bool own;                /* code of the program's own modules */
	size_t seen;             /* while counting: the last sample's number */
};

struct rows {
	size_t nprofiles;
	size_t n, cap, cap_cells;
	struct row *rows;
	struct row_cell *cells; /* nprofiles for each row */
	double *totals;         /* events of each profile */
	double *values;         /* values of each profile */
	char **texts;           /* owned */
	size_t ntexts, cap_texts;
	struct table table;
	size_t sample; /* number of the current sample, over all profiles */
};

/*
 * The profiles must have the sample type `type` (by name; NULL: the first one's default) and
 * outlive the rows; values are in the unit of the first. -ENOENT: one doesn't have it (*ret_which);
 * -EINVAL: its unit is of another kind; -EDOM: a value is negative; -ENOMEM.
 */
int pp_rows_init(struct rows *t, const struct pprof_profile *const *profiles, size_t n,
		 const char *type, enum pprof_by by, size_t *ret_which);
void pp_rows_fini(struct rows *t);

/* A selection of rows: which of them is innermost in a sample, and which are its callers. */
struct rows_alone {
	size_t n;        /* number of rows in the selection */
	uint32_t *index; /* of each row its place in the selection, or PPROF_NONE */
	/* n × nprofiles: samples where no other row of the selection is nearer to the leaf */
	double *events;
	/* n × n × 2 (base, head): samples of the first where the second is nearest to the leaf */
	double *through;
};

/* Counts over the same profiles, of which the first nbase are base; index and n are set. */
int pp_rows_alone(struct rows *t, const struct pprof_profile *const *profiles, size_t n,
		  size_t nbase, const char *type, enum pprof_by by, struct rows_alone *a);
void pp_rows_alone_fini(struct rows_alone *a);

static inline struct row_cell *pp_rows_cell(const struct rows *t, size_t row, size_t profile)
{
	return &t->cells[row * t->nprofiles + profile];
}

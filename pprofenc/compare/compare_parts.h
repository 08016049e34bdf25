/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of pprof_compare: the tests of single rows, and the second family, the program's own
 * functions with their callees.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "compare_rows.h"
#include "pprof.h"
#include "pprof_compare.h"

enum {
	FEW_EVENTS = 5, /* as good as none on one side */
};

/* Which of a row's samples count. */
enum counted {
	COUNT_FLAT,
	COUNT_CUM,
	COUNT_ALONE, /* cum without the samples where another row of the selection is nearer to the
			leaf */
	NCOUNTED,
};

struct work {
	struct rows rows;
	const struct pprof_profile **profiles; /* base, then head */
	size_t nbase, nhead;
	double *exposure;
	struct pprof_comparison *c;
	double base_exposure, head_exposure;
	double cv[NCOUNTED]; /* of runs, beyond counting noise */
	struct rows_alone alone;
};

/* Samples of one row, the input of a test. */
struct counts {
	double base, head; /* sums over the runs */
	double phi;
};

struct counts pp_compare_counts(const struct work *w, enum counted what, size_t row);

/* Test of log(head/base) against the tolerance, in g: ratio, interval, p. */
struct tested {
	double ratio, low, high, p;
};
struct tested pp_compare_test(const struct work *w, const struct counts *n, double tolerance);
/* With no or hardly any base samples: the probability of that without an increase. */
double pp_compare_appearance(const struct work *w, const struct counts *n, double tolerance);
/* Whether head's count, at its lower bound, is a sizeable share of the total, with none in base. */
bool pp_compare_is_new(const struct work *w, const struct counts *n);
/* Whether it is large enough to be judged. */
bool pp_compare_is_large(const struct work *w, const struct counts *n);
/* The ratio that is found in four of five cases at an error of `alpha`. */
double pp_compare_detectable(const struct work *w, const struct counts *n, double tolerance,
			     double alpha);
/* (φ - 1) / mean over the rows that show it: chosen[row], NULL means all. Its root is a cv. */
int pp_compare_variation(struct work *w, enum counted what, const bool *chosen,
			 double *ret_squared);
/* Benjamini and Hochberg (1995), step up: q of each p. -ENOMEM. */
int pp_compare_correct(const double *p, double *q, size_t n);
/* Whether an increase of the value, of one exposure, is large compared with the total. */
bool pp_compare_matters(const struct work *w, double increase);
double pp_compare_tolerance(const struct work *w, const char *name);

/*
 * The second family: the program's own functions with their callees. Sets the changes' `cum` and
 * `blame`, and the verdicts that follow from them. The changes are in the order of the rows, and
 * those of the first family have their verdicts.
 */
int pp_compare_cum(struct work *w);

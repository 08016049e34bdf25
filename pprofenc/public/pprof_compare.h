/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libpprofenc: profiles of several runs of two versions, compared with statistics. The rules of
 * pprof.h hold: negative errno values, results through `ret_*`, no global state.
 */
#pragma once

#include "pprof.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- comparison ------------------------------------------------------------------ */

/* The unit of comparison. */
enum pprof_by { PPROF_BY_FUNCTION, PPROF_BY_FILE, PPROF_BY_PACKAGE, PPROF_BY_LINE };

/* What values are relative to. */
enum pprof_exposure {
	PPROF_PER_RUN,       /* each profile is one run of the same work */
	PPROF_PER_TOTAL,     /* shares of each profile's total: the amounts of work differ */
	PPROF_PER_OPERATION, /* the amount of work of each profile is given */
};

enum pprof_verdict {
	PPROF_SAME, /* no significant increase */
	PPROF_REGRESSED,
	PPROF_IMPROVED,
	PPROF_NEW,        /* only in head, and large: counts as a regression */
	PPROF_VANISHED,   /* only in base */
	PPROF_RENAMED,    /* only in head; `other` is only in base, and about as large */
	PPROF_ACCEPTED,   /* a regression whose tolerance is infinite */
	PPROF_EXPLAINED,  /* costs more with its callees, but only by the increase of `other` */
	PPROF_NOT_JUDGED, /* too small, or not the program: the kernel, unknown, lost */
	PPROF_UNDECIDED,  /* only as a whole: the data is not sufficient */
};

/* All zero, but for size and the numbers of operations, is a good choice. */
struct pprof_compare_options {
	size_t size;             /* sizeof (struct pprof_compare_options) */
	const char *sample_type; /* by name; NULL: the first profile's default */
	enum pprof_by by;
	enum pprof_exposure exposure;
	const double *operations; /* of each base profile, then of each head profile; all > 0 */
	double tolerance;         /* increase that is accepted: 0.05, the default, is 5 % */
	double q;         /* false discoveries among functions, of each of the two families: 0.05 */
	double alpha;     /* error of the total's own test: 0.01 */
	double min_share; /* share of the total: functions that are smaller on both sides are not
			     judged: 0.005 */
	double min_events; /* events on both sides together, or not judged: 20 */
	double assumed_cv; /* of runs, when there is only one on each side: 0.05 */
	double max_cv;     /* of the base's totals; undecided beyond: 0.10 */
	/* The tolerance of one function, where it has its own; negative: the common one. */
	double (*tolerance_of)(void *ctx, const char *name);
	void *ctx;
};

struct pprof_change {
	const char *name, *file; /* borrowed from the comparison; file may be "" */
	int64_t line;            /* the declaration's or, by line, the line; 0 unknown */
	double base, head; /* mean values of a run (or an operation; or shares of the total) */
	double base_cum, head_cum;
	double base_events, head_events; /* samples, over all runs */
	double ratio, low, high; /* head / base with its 95 % interval; 0 where base is none */
	double p, q; /* of an increase beyond the tolerance; q: corrected for multiple tests */
	double detectable; /* least ratio that is found in 4 of 5 cases; infinite: none is */
	double tolerance;
	enum pprof_verdict verdict;
	uint32_t
		other; /* PPROF_RENAMED: its old name's change; _EXPLAINED: the explaining change */
	bool own;      /* code of the program's own modules: judged by cum, too */
	bool by_cum;   /* the verdict is about cum; else flat */
	struct pprof_cum { /* of a function with its callees; only for own ones */
		bool judged;
		double base_events, head_events;
		double ratio, low, high, p, q, detectable; /* as above */
	} cum;
	/*
	 * By how much head costs more because of it: flat, or cum without other blamed functions.
	 */
	double blame;
};

struct pprof_comparison {
	const struct pprof_compare_options *options; /* as used: with the defaults */
	const char *type, *unit;                     /* of the values */
	size_t nbase, nhead;
	double *totals;               /* values of each base run, then of each head run */
	struct pprof_change total;    /* PPROF_PER_TOTAL: only its values, not judged */
	struct pprof_change *changes; /* regressions first, then by how much the total changed */
	size_t nchanges, njudged, nregressed;
	size_t njudged_cum;
	double cv;       /* of runs, beyond counting noise, estimated from the functions */
	double total_cv; /* of the totals of runs, around the mean of their side; 0 for shares */
	double base_cv;  /* of the base's totals */
	enum pprof_verdict verdict; /* PPROF_SAME, _REGRESSED, _IMPROVED, _UNDECIDED */
	const char *why;            /* undecided: a static sentence; else NULL */
};

/*
 * Compares `nbase` profiles with `nhead` ones, each the profile of one run. Counts of events vary
 * from run to run by more than counting noise; the excess is estimated for each function from the
 * runs, moderated by the estimate over all functions (quasi-Poisson). A function regressed if an
 * increase beyond its tolerance is significant among all judged functions (Benjamini-Hochberg), and
 * is at least min_share of the total. The total has a test of its own.
 *
 * The additional cost of a function may be spread over so many callees that none of them shows it.
 * So the functions of the program's own modules (not Go's runtime and standard library, the kernel,
 * C) are a second family, judged by cum, with a q of its own. Of those that cost more, the ones are
 * blamed that do so without the samples of others nearer to the leaf; the rest, their callers, are
 * PPROF_EXPLAINED. A function that is accepted, has a tolerance of its own, or is only in head
 * explains its callers, too. With one run on a side, an assumed variation is used, and the result
 * is undecided unless nothing changed.
 *
 * The profiles must outlive the comparison. -EINVAL with diag: no profile on a side, types or units
 * that differ (at: the index among base, then head), negative values, operations that are not
 * positive; -ENOENT: no such sample type; -ENODATA: a side has no samples; -ENOMEM.
 */
PPROF_API int pprof_compare(const struct pprof_profile *const *base, size_t nbase,
			    const struct pprof_profile *const *head, size_t nhead,
			    const struct pprof_compare_options *options,
			    struct pprof_comparison **ret, struct pprof_diag *diag);
PPROF_API void pprof_comparison_free(struct pprof_comparison *c);

#ifdef __cplusplus
}
#endif

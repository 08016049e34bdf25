/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One profile that takes in the samples of others, one after the other, so that only one of them is
 * in memory. As in pprof_merge, code is the same in spite of address space randomization: mappings
 * by build id (or file), offset and size, locations by their distance from the mapping's start. The
 * first profile decides on the sample types. One thread at a time; errors are negative errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct pprof_profile;
struct prowl_join;

/* Labels of samples that have a meaning here; a program's own label of that name gets a "_". */
#define PROWL_JOIN_SERIES "series"
#define PROWL_JOIN_WINDOW "window"
#define PROWL_JOIN_MANY   "(many)"

enum { PROWL_JOIN_TYPES = 8 }; /* sample types, at most */

struct prowl_join_rules {                    /* zero-initialised: all samples as they are */
	double factor;                       /* of all values; 0: 1 */
	const char *add_series, *add_window; /* labels that all samples get, or NULL */
	const char *only_series;             /* takes samples with that label, or NULL */
	/* Takes samples by their window ("" where they have none); NULL: all. */
	bool (*take)(void *ctx, const char *window);
	void *ctx;
	bool drop_series, drop_window;
	const char *main;    /* build id or file of the mapping that comes first, or NULL */
	size_t label_values; /* distinct values of a key, beyond which it is PROWL_JOIN_MANY; 0: any
			      */
};

int prowl_join_new(struct prowl_join **ret);
void prowl_join_free(struct prowl_join *j);
/* -EINVAL: the profile lacks a type of the first, or has too many. */
int prowl_join_add(struct prowl_join *j, const struct pprof_profile *p,
		   const struct prowl_join_rules *rules);
/* The profile, which is the caller's to change; and to keep. */
struct pprof_profile *prowl_join_profile(struct prowl_join *j);
struct pprof_profile *prowl_join_take(struct prowl_join *j);

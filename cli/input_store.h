/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles from the store of prowl daemon. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct pprof_profile;
struct prowl_query;
struct prowl_selector;
struct prowl_store;
struct prowl_store_merged;

/* Whether a path is of a store: "store:DIR?service=etcd&from=-2h". */
bool input_is_store(const char *path);

/*
 * What such a path names, merged. Behind the question mark: from, to (as prowl_when_parse; by
 * default the last hour), kind, agg, match (a selector), tag (window, series), and labels of
 * series. Without a folder it is the daemon's own. NULL after an error message.
 */
struct pprof_profile *input_load_store(const char *path);

/* The store in a folder (NULL or "": the daemon's own), for reading or writing. NULL after an error
 * message. */
struct prowl_store *input_open_store(const char *dir, bool write, enum prowl_code *code);

/* Merges, and warns of what is missing. NULL after an error message. */
struct pprof_profile *input_query_store(struct prowl_store *s, const struct prowl_query *q,
					enum prowl_code *code);

/* Now, in Unix nanoseconds; times of options. False after an error message. */
int64_t input_now(void);
bool input_time(const char *what, const char *text, int64_t *ret);

/* By their names: "mean", "window". False after an error message. */
bool input_agg(const char *text, struct prowl_query *q);
bool input_tag(const char *text, struct prowl_query *q);

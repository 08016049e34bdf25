/* SPDX-License-Identifier: Apache-2.0 */
/* Stores and profiles made in a test. */
#pragma once

#include <stdint.h>

#include "pprof.h"
#include "store.h"

#define SECOND 1000000000ll
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
/* 2026-11-30T08:00:00Z */
#define T0 1796025600000000000ll

/* A folder that is removed with all that is in it by remove_folder. */
char *make_folder(void);
void remove_folder(char *path);

/* service, and build where it is not NULL */
struct prowl_series *make_series(const char *service, const char *build);

/*
 * A CPU profile: `n` stacks main → work → leaf 0..n-1 of that many samples of 10 ms each, at
 * addresses that begin at `base`.
 */
struct pprof_profile *make_cpu(const char *binary, uint64_t base, unsigned int n, int64_t samples);
/* Goroutines: that many at one place. */
struct pprof_profile *make_level(int64_t goroutines);

struct prowl_store *open_store(const char *path);
struct prowl_store *open_with(const struct prowl_store_options *o);
struct prowl_store *read_store(const char *path);

/* A window of a minute, `at` after T0. */
struct prowl_store_part make_part(const struct prowl_series *series, const char *kind,
				  const struct pprof_profile *p, int64_t at);
void put(struct prowl_store *s, const struct prowl_store_part *parts, size_t n);
/* Puts a CPU window of `samples` samples of a service. */
void put_cpu(struct prowl_store *s, const char *service, int64_t at, int64_t samples);
void tick(struct prowl_store *s, int64_t at);

/* The sum of the default type of what a query finds; -1: nothing. */
int64_t merged_total(struct prowl_store *s, const struct prowl_query *q);
/* The same of a service's CPU, in samples, between two times after T0. */
int64_t merged_samples(struct prowl_store *s, const char *service, int64_t from, int64_t to);

size_t count_files(const char *folder, const char *below);

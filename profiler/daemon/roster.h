/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon knows of each process besides its series: container, pod, the rule that took it,
 * the last figures of its runtime. Bounded; those that have ended are kept for an hour, the oldest
 * make room.
 *
 * Any thread. Results are copies.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "series.h"

struct roster_id {
	pid_t pid;
	uint64_t start; /* clock ticks since boot */
};

struct roster_figures { /* negative: not known */
	int64_t wall;   /* Unix ns; 0: none were read */
	int64_t goroutines, threads, heap_live, heap_goal;
	double gc_cpu; /* share of all CPU time since the start */
};

struct roster_entry {
	struct roster_id id;
	char container_id[65], pod[254], image[256], rule[160];
	char cgroup[512]; /* its path */
	char comm[64], exe[256], go[64];
	/* Copied by roster_put; roster_each has it, in results of roster_get it is NULL. */
	const struct prowl_series *series;
	int64_t gone; /* Unix ns; 0: it runs */
	struct roster_figures figures;
};

struct roster;

struct roster *roster_new(size_t most); /* NULL: no memory */
void roster_free(struct roster *r);

/* Adds it, or replaces all but its figures. */
void roster_put(struct roster *r, const struct roster_entry *e);
bool roster_get(struct roster *r, struct roster_id id, struct roster_entry *ret);
void roster_figures(struct roster *r, struct roster_id id, const struct roster_figures *f);
void roster_gone(struct roster *r, struct roster_id id, int64_t wall);

/* Calls cb with each; it must not call back. */
void roster_each(struct roster *r, void (*cb)(void *ctx, const struct roster_entry *e), void *ctx);

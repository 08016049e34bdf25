/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the pages of mapped binaries from becoming our memory: gives them back when they are many.
 *
 * Asked after work, cheaply. Pages given back come again by a fault each, so that is done by what
 * is resident, not by what was looked up. One thread.
 */
#pragma once

#include <stdint.h>

#include "binary.h"

struct prowl_residency {
	uint64_t next;  /* look-ups at which the kernel is asked again */
	uint64_t floor; /* bytes of files and shared memory that were resident at first */
	int fd;         /* /proc/self/statm; -1: none */
};

void prowl_residency_init(struct prowl_residency *t);
void prowl_residency_fini(struct prowl_residency *t);
/* lookups: in the tables of the files, a number that grows. */
void prowl_residency_keep(struct prowl_residency *t, struct uw_binaries *files, uint64_t lookups);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go's pprof labels of samples, each distinct set kept once and known by a number.
 *
 * They are read from what was copied at the time of the sample, where there is that. Else when a
 * sample is drained: memory is right only for a moment after it, so that one that waited longer
 * gets none. Belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "golabels.h"
#include "event.h"
#include "label.h"
#include "space.h"

enum {
	PROWL_LABELS_MAX_AGE_NS = 5000000, /* of a sample when its labels are read */
};

struct prowl_labels_counts { /* samples; each is in exactly one of the first four */
	uint64_t labelled;
	uint64_t none;    /* the goroutine has no labels, or there is none; or it is not Go */
	uint64_t too_old; /* read too late to be believed */
	uint64_t unknown; /* the goroutine could not be identified, unreadable labels, too many sets
			   */
	uint64_t cut;     /* of the labelled: not all labels, or not all of one (golabels.h) */
	uint64_t exact;   /* of the first two: as they were at the sample */
};

struct prowl_labels;

int prowl_labels_new(struct prowl_labels **ret);
void prowl_labels_free(struct prowl_labels *l);

/* The number of the label set of a sample; 0: none. `now`: CLOCK_MONOTONIC, ns. */
uint32_t prowl_labels_of(struct prowl_labels *l, struct uw_space *space,
			 const struct prowl_event *ev, uint64_t now);

/* The labels of a set, sorted by key; lives as long as l. Returns their number. */
size_t prowl_labels_get(const struct prowl_labels *l, uint32_t set, struct prowl_label *ret,
			size_t max);
const struct prowl_labels_counts *prowl_labels_counts(const struct prowl_labels *l);

/* Are the labels of the set not all that the goroutine has, or one not as it has it. */
bool prowl_labels_cut(const struct prowl_labels *l, uint32_t set);

/* Keeps a set; 0 when there is no room or no memory. For prowl_labels_of and for tests. */
uint32_t prowl_labels_intern(struct prowl_labels *l, const struct uw_golabels *labels);

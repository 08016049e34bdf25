/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which moment belongs to which sample, in one ring.
 *
 * Nothing comes between a moment and its sample: both are written in one interrupt, the moment
 * first. Where one of them found no room, the next record that does is preceded by one that says
 * so. So a moment is the sample's that is the very next record, and only if thread, registers and
 * time agree; any other is stray. One thread.
 */
#pragma once

#include "moment.h"
#include "perf_record.h"

/*
 * Between the times of a moment and of its sample, at most: microseconds, but a virtual machine may
 * lose its CPU there.
 */
enum { PROWL_MOMENT_NS = 1000000000 };

struct prowl_moment_pair { /* zero-initialised */
	uint64_t id;       /* of the event that moments are written to; 0: none are */
	const struct perf_event_header *waiting; /* for its sample; borrowed from the ring */
	void *kept;                              /* room for it from one drain to the next */
	uint64_t strays;
};

void prowl_moment_pair_fini(struct prowl_moment_pair *p);

/* Takes the record if it is a moment. It must stay where it is until the next one, or _keep. */
bool prowl_moment_pair_take(struct prowl_moment_pair *p, const struct perf_event_header *rec);
/* The moment of this sample, decoded into room, or NULL. */
const struct prowl_moment *prowl_moment_pair_of(struct prowl_moment_pair *p,
						const struct prowl_event *sample,
						struct prowl_moment *room);
/* A record that is no moment has been dealt with. */
void prowl_moment_pair_next(struct prowl_moment_pair *p);
/* The ring is given back while one may wait. */
void prowl_moment_pair_keep(struct prowl_moment_pair *p);

/* SPDX-License-Identifier: Apache-2.0 */
/* An item of the spool on its way: its profile, made fit for servers, and the parts of it. */
#pragma once

#include "push_wire_parts.h"

struct push_work {
	const struct prowl_push_sink *config;
	uint64_t key[2];
	struct push_meta meta;
	struct pprof_profile *profile; /* as servers take it */
	uint64_t most_bytes;           /* of a part */
	uint64_t first, n;             /* the samples of the part that is under way */
	uint64_t usual;                /* samples of a part */
	bool halved;
	struct push_request request;
};

/*
 * Takes over meta. -EBADMSG: no profile, or one without samples of what was picked; -EFBIG: larger
 * than any that prowl makes; -ENOMEM. meta is freed on failure, too.
 */
int push_work_open(struct push_work *w, const struct prowl_push_sink *config, const uint64_t key[2],
		   struct push_meta *meta, const void *bytes, size_t len);
void push_work_close(struct push_work *w);

bool push_work_is_open(const struct push_work *w);
/* Whether all of it has been taken. */
bool push_work_is_done(const struct push_work *w);

/*
 * Makes the request for the next part: as many samples as fit. -EFBIG: a single sample is too
 * large; -ENOMEM.
 */
int push_work_next(struct push_work *w, const struct push_protocol *protocol);
/* The part was taken. */
void push_work_advance(struct push_work *w);
/* The part was too large for the server: from now on half of it, but only once. */
bool push_work_halve(struct push_work *w);

/* SPDX-License-Identifier: Apache-2.0 */
/* One server, and what is waiting for it. */
#pragma once

#include "push_spool_parts.h"

struct push_sink {
	struct push_config config;
	struct push_spool spool;
	struct prowl_push_status status; /* counters; the rest is filled when it is asked for */
};

int push_sink_open(struct push_sink *s, int root, const struct prowl_push_sink *config);
void push_sink_close(struct push_sink *s);

bool push_sink_wants(const struct push_sink *s, const struct prowl_push_item *item);
/* Puts an item into the spool. */
int push_sink_take(struct push_sink *s, const struct spool_offer *offer);
/* What is known of it at a time (Unix). */
struct prowl_push_status push_sink_status(const struct push_sink *s, uint64_t real);

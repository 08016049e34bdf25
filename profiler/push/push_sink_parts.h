/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One server, and what is waiting for it: which item is next, what an answer means for it, when the
 * next request is due. It sends nothing itself, so a test can be the server and the clock.
 *
 * Functions that take a time take monotonic ns, or Unix ns where it is called `real`. What the
 * thread that offers may see, the spool and the status, is changed under the lock.
 */
#pragma once

#include <pthread.h>

#include "push_spool_parts.h"
#include "push_work_parts.h"

enum { PUSH_ERROR = 256, PUSH_LINE = 512 };

struct push_sink {
	pthread_mutex_t *lock;
	struct push_config config;
	struct push_spool spool;
	struct prowl_push_status status; /* counters; the rest is filled when it is asked for */
	char error[PUSH_ERROR];
	enum prowl_push_state state; /* BACKOFF or PAUSED, until not_before; else SENDING */
	uint64_t not_before;
	/* of the thread that sends */
	const struct push_protocol *protocol;
	struct push_work work;
	bool in_flight, partly;
	unsigned int failures; /* since the last success */
	uint64_t random;
	char line[PUSH_LINE]; /* for the log; "": nothing new */
	char said[PUSH_ERROR];
	uint64_t said_at;
};

int push_sink_open(struct push_sink *s, pthread_mutex_t *lock, int root,
		   const struct prowl_push_sink *config, uint64_t seed);
void push_sink_close(struct push_sink *s);

/* --- for whoever offers ----------------------------------------------------------- */

bool push_sink_wants(const struct push_sink *s, const struct prowl_push_item *item);
/* Puts an item into the spool. With the lock. */
int push_sink_take(struct push_sink *s, const struct spool_offer *offer);
/* What is known of it. With the lock. */
struct prowl_push_status push_sink_status(const struct push_sink *s, uint64_t now, uint64_t real);
/* Ends a wait. With the lock. */
void push_sink_retry(struct push_sink *s);

/* --- for the thread that sends ---------------------------------------------------- */

/* When it wants to send; UINT64_MAX: nothing waits, or a request is in flight. */
uint64_t push_sink_due(struct push_sink *s);
/* Whether the last answer was none, or a refusal of all. */
bool push_sink_fails(const struct push_sink *s);
/* The next request, good until push_sink_end; NULL: there is nothing to send now. */
const struct push_request *push_sink_begin(struct push_sink *s, uint64_t now, uint64_t real);
void push_sink_end(struct push_sink *s, const struct push_answer *a, uint64_t now, uint64_t real);
/* The request was not answered, since the program ends. */
void push_sink_abort(struct push_sink *s);

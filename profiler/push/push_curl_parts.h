/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries requests: one at a time in each slot, all by one thread. libcurl's functions are looked
 * up when it is opened.
 */
#pragma once

#include "push_wire_parts.h"

struct push_curl;

/* -ENOTSUP: libcurl is not there, or prowl was built without it: *ret_why says what to do. */
int push_curl_open(size_t slots, const char *version, struct push_curl **ret, const char **ret_why);
void push_curl_close(struct push_curl *c);

/*
 * Sends a request, which stays where it is until it is done or aborted. What goes wrong before the
 * first byte is an answer, too.
 */
void push_curl_send(struct push_curl *c, size_t slot, const struct prowl_push_sink *config,
		    const struct push_request *request);
void push_curl_abort(struct push_curl *c, size_t slot);

/* Until something happens, or for so long. */
void push_curl_wait(struct push_curl *c, uint64_t ns);
/* Ends a wait, from any thread. */
void push_curl_wake(struct push_curl *c);
/* A slot whose request has been answered, which is free now; the answer is good until the next. */
bool push_curl_answered(struct push_curl *c, size_t *ret_slot, const struct push_answer **ret);

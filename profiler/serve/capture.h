/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles that are taken for somebody who waits. Equal ones that are asked for within a second are
 * one; one that nobody waits for any more ends.
 */
#pragma once

#include "serve_parts.h"

struct capture_order {                  /* its strings are static */
	struct prowl_capture_wish wish; /* wake_fd is the capture's own */
	const char *name;               /* of the file: "heap", "heap-delta" */
	const char *path;               /* below /debug/pprof/ */
	bool sampler;                   /* takes samples: few at a time */
	bool twice;                     /* the difference of two, wish.ns apart */
	bool now;                       /* of windows that are there: wish.ns back */
	bool gc, no_labels;             /* gc: was asked for, which a comment says */
	unsigned int debug;             /* 1: text; 2: of goroutines one by one */
};

/* Answers the request, now or later. */
void capture_ask(struct prowl_serve *s, struct http_request *q, const struct capture_order *o);

/* SPDX-License-Identifier: Apache-2.0 */
/* What a request asks the store for. */
#pragma once

#include "serve_parts.h"
#include "store.h"

struct serve_query {
	struct prowl_query q;
	struct prowl_selector *match; /* freed by serve_query_fini */
	unsigned int keep_s; /* for how long the answer stays as it is: see serve_text_end */
};

/*
 * From `match`, `kind`, `type`, `from`, `to`, `agg`, `limit`; those of a comparison's side begin
 * with "a." or "b.", of which kind, type and agg may be given for both. Without `from` it begins
 * `back` ns ago, 0: with the store. False after an answer.
 */
bool serve_query_of(struct prowl_serve *s, struct http_request *q, const char *side, int64_t back,
		    struct serve_query *ret);
void serve_query_fini(struct serve_query *x);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is the answer of a server that profiles are pushed to: two bytes choose protocol and
 * status, the header Retry-After goes up to a '|', the rest is the body. Or, a third kind, an
 * item's description in the spool.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "push_wire_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, size_t room)
{
	if (strlen(s) >= room)
		abort();
	for (; *s; s++) {
		if (*s < 0x20 || *s > 0x7e)
			abort();
	}
}

static void judge(unsigned int which, unsigned int status, const uint8_t *data, size_t size)
{
	static const struct push_protocol *const protocols[] = {&push_pyroscope, &push_ingest,
								&push_parca, &push_otlp};
	static const char *const types[] = {"application/json", "text/plain",
					    "application/grpc-web+proto", "application/x-protobuf"};
	static const unsigned int statuses[] = {0, 200, 400, 401, 404, 408, 413, 429, 500, 503};
	const uint64_t real = 1796025600ull * PUSH_SECOND;
	const uint8_t *line = memchr(data, '|', size);
	size_t n = line ? (size_t)(line - data) : 0, start = line ? n + 1 : 0;
	struct push_answer a = {.status = statuses[status % 10]};
	struct push_verdict v;

	snprintf(a.retry_after, sizeof a.retry_after, "%.*s", (int)(n < 60 ? n : 60),
		 (const char *)data);
	snprintf(a.grpc_status, sizeof a.grpc_status, "%.3s", a.retry_after);
	snprintf(a.content_type, sizeof a.content_type, "%s", types[which / 4 % 4]);
	a.len = size - start < PUSH_ANSWER ? size - start : PUSH_ANSWER;
	a.body = malloc(a.len + 1);
	if (!a.body)
		return;
	memcpy(a.body, data + start, a.len);
	a.body[a.len] = '\0';
	protocols[which % 4]->judge(&a, real, &v);
	check_text(v.text, sizeof v.text);
	if (v.wait_ns > (UINT64_MAX / 2))
		abort();
	free(a.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct push_meta meta;
	char *again;

	if (size < 2)
		return 0;
	if (data[0] != 'm') {
		judge(data[0] - '0', data[1] - '0', data + 2, size - 2);
		return 0;
	}
	if (push_meta_read((const char *)data + 1, size - 1, &meta) < 0)
		return 0;
	/* what could be read can be written */
	if (push_meta_again(&meta, 7, &again) < 0)
		abort();
	free(again);
	push_meta_fini(&meta);
	return 0;
}

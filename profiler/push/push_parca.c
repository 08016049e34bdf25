/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parca's WriteRaw by grpc-web, which is HTTP/1.1 with the trailers in the body: the server takes
 * it at the same path as gRPC.
 */
#include "push_wire_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pprof.h"
#include "push_parca.pb-c.h"

enum { FRAME = 5 }; /* flags, and the length of the message */

static bool pack(const PushParca__WriteRawRequest *m, struct push_request *r)
{
	size_t n = push_parca__write_raw_request__get_packed_size(m);

	r->len = FRAME + n;
	r->body = malloc(r->len);
	if (!r->body)
		return false;
	r->body[0] = 0;
	for (unsigned int i = 0; i < 4; i++)
		r->body[1 + i] = (uint8_t)(n >> (24 - 8 * i));
	push_parca__write_raw_request__pack(m, r->body + FRAME);
	return true;
}

static int build(const struct push_labels *l, uint8_t *profile, size_t len, struct push_request *r)
{
	PushParca__WriteRawRequest m = PUSH_PARCA__WRITE_RAW_REQUEST__INIT;
	PushParca__RawSeries series = PUSH_PARCA__RAW_SERIES__INIT, *all = &series;
	PushParca__RawSample sample = PUSH_PARCA__RAW_SAMPLE__INIT, *samples = &sample;
	PushParca__LabelSet set = PUSH_PARCA__LABEL_SET__INIT;
	PushParca__Label *labels = calloc(l->n + 1, sizeof *labels);
	PushParca__Label **refs = calloc(l->n + 1, sizeof *refs);
	bool packed = false;

	for (size_t i = 0; labels && refs && i < l->n; i++) {
		push_parca__label__init(&labels[i]);
		labels[i].name = l->labels[i].name;
		labels[i].value = l->labels[i].value;
		refs[i] = &labels[i];
	}
	set.n_labels = l->n;
	set.labels = refs;
	sample.raw_profile.data = profile;
	sample.raw_profile.len = len;
	series.labels = &set;
	series.n_samples = 1;
	series.samples = &samples;
	m.n_series = 1;
	m.series = &all; /* addresses are those of the process: not normalized */
	if (labels && refs)
		packed = pack(&m, r);
	free(labels);
	free(refs);
	return packed ? 0 : -ENOMEM;
}

static int request(const struct push_part *part, struct push_request *ret)
{
	struct push_labels labels;
	uint8_t *profile = NULL;
	size_t len = 0;
	int r = push_part_pprof(part, &profile, &len, &ret->profile_bytes);

	if (r < 0)
		return r;
	r = push_labels_make(part, &labels);
	if (r == 0) {
		r = build(&labels, profile, len, ret);
		ret->labels_omitted = labels.omitted;
		push_labels_fini(&labels);
	}
	free(profile);
	if (r == 0)
		r = push_request_url(ret, part->config,
				     "/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw");
	snprintf(ret->content_type, sizeof ret->content_type, "application/grpc-web+proto");
	ret->headers[ret->nheaders++] = "Accept: application/grpc-web+proto";
	ret->headers[ret->nheaders++] = "X-Grpc-Web: 1";
	ret->http1 = true;
	return r;
}

/* --- the answer ------------------------------------------------------------------- */

static const char *name_of(int status)
{
	static const char *const names[] = {"ok",
					    "canceled",
					    "unknown",
					    "invalid_argument",
					    "deadline_exceeded",
					    "not_found",
					    "already_exists",
					    "permission_denied",
					    "resource_exhausted",
					    "failed_precondition",
					    "aborted",
					    "out_of_range",
					    "unimplemented",
					    "internal",
					    "unavailable",
					    "data_loss",
					    "unauthenticated"};

	return status >= 0 && (size_t)status < sizeof names / sizeof *names ? names[status]
									    : "an unknown status";
}

static enum push_outcome outcome_of(int status)
{
	switch (status) {
	case 0:
		return PUSH_TAKEN;
	case 1:
	case 2:
	case 4:
	case 8:
	case 10:
	case 13:
	case 14:
		return PUSH_AGAIN;
	case 7:
	case 16:
		return PUSH_PAUSE;
	case 12:
		return PUSH_OTHER_WAY;
	default:
		return PUSH_FINAL;
	}
}

/* The status in the trailers; it stands among the headers where there is no message. */
static int status_of(const struct push_answer *a, char message[200])
{
	int status = push_grpc_web_status(a->body, a->len, message);

	if (status >= 0 || !*a->grpc_status)
		return status;
	status = atoi(a->grpc_status);
	memcpy(message, a->grpc_message, 199);
	message[199] = '\0';
	return status;
}

static void judge(const struct push_answer *a, uint64_t real, struct push_verdict *v)
{
	char message[200];
	int status;

	push_judge_http(a, real, v);
	if (v->outcome != PUSH_TAKEN)
		return;
	status = status_of(a, message);
	if (!push_content_is(a, "application/grpc-web") &&
	    !push_content_is(a, "application/grpc")) {
		v->outcome = PUSH_PAUSE;
		push_verdict_say(v, "HTTP %u with %s: this is not Parca's answer", a->status,
				 *a->content_type ? a->content_type : "no content type");
	} else if (status < 0) {
		v->outcome = PUSH_AGAIN;
		push_verdict_say(v, "HTTP %u, and the answer ends before its status", a->status);
	} else if (status > 0) {
		v->outcome = outcome_of(status);
		/* it says this of a message beyond its limit as well, for which no wait helps */
		if (status == 8 && strstr(message, "larger than max"))
			v->outcome = PUSH_HALVE;
		v->of_item = status == 2 || status == 13;
		if (v->outcome == PUSH_AGAIN)
			v->wait_ns = push_retry_after(a->retry_after, real);
		push_verdict_say(v, "gRPC %d, %s: %s", status, name_of(status), message);
	}
}

const struct push_protocol push_parca = {request, judge};

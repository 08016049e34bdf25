/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pyroscope's push.v1: one series in a request. The server takes the series of a request one by one
 * and reports one error for all, so that sending several again would duplicate those it took.
 */
#include "push_wire_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pprof.h"
#include "push_pyroscope.pb-c.h"

static const char *pack(const PushPyroscope__PushRequest *m, struct push_request *r)
{
	r->len = push_pyroscope__push_request__get_packed_size(m);
	r->body = malloc(r->len + 1);
	if (r->body)
		push_pyroscope__push_request__pack(m, r->body);
	return (const char *)r->body;
}

static int build(const struct push_part *part, const struct push_labels *l, uint8_t *profile,
		 size_t len, struct push_request *r)
{
	PushPyroscope__PushRequest m = PUSH_PYROSCOPE__PUSH_REQUEST__INIT;
	PushPyroscope__RawSeries series = PUSH_PYROSCOPE__RAW_SERIES__INIT, *all = &series;
	PushPyroscope__RawSample sample = PUSH_PYROSCOPE__RAW_SAMPLE__INIT, *samples = &sample;
	PushPyroscope__LabelPair *pairs = calloc(l->n + 1, sizeof *pairs);
	PushPyroscope__LabelPair **refs = calloc(l->n + 1, sizeof *refs);
	bool packed = false;

	for (size_t i = 0; pairs && refs && i < l->n; i++) {
		push_pyroscope__label_pair__init(&pairs[i]);
		pairs[i].name = l->labels[i].name;
		pairs[i].value = l->labels[i].value;
		refs[i] = &pairs[i];
	}
	sample.raw_profile.data = profile;
	sample.raw_profile.len = len;
	sample.id = (char *)part->id_text;
	series.n_labels = l->n;
	series.labels = refs;
	series.n_samples = 1;
	series.samples = &samples;
	m.n_series = 1;
	m.series = &all;
	if (pairs && refs)
		packed = pack(&m, r);
	free(pairs);
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
		r = build(part, &labels, profile, len, ret);
		ret->labels_omitted = labels.omitted;
		push_labels_fini(&labels);
	}
	free(profile);
	if (r == 0)
		r = push_request_url(ret, part->config, "/push.v1.PusherService/Push");
	snprintf(ret->content_type, sizeof ret->content_type, "application/proto");
	ret->headers[ret->nheaders++] = "Connect-Protocol-Version: 1";
	return r;
}

/* --- the answer ------------------------------------------------------------------- */

enum code_class { CODE_UNKNOWN, CODE_AGAIN, CODE_PAUSE, CODE_OTHER_WAY, CODE_FINAL };

static enum code_class class_of(const char *code)
{
	static const struct {
		const char *code;
		enum code_class class;
	} classes[] = {
		{"unknown", CODE_AGAIN},           {"internal", CODE_AGAIN},
		{"unavailable", CODE_AGAIN},       {"deadline_exceeded", CODE_AGAIN},
		{"aborted", CODE_AGAIN},           {"data_loss", CODE_AGAIN},
		{"canceled", CODE_AGAIN},          {"resource_exhausted", CODE_AGAIN},
		{"unauthenticated", CODE_PAUSE},   {"permission_denied", CODE_PAUSE},
		{"unimplemented", CODE_OTHER_WAY}, {"not_found", CODE_OTHER_WAY},
		{"invalid_argument", CODE_FINAL},  {"failed_precondition", CODE_FINAL},
		{"out_of_range", CODE_FINAL},      {"already_exists", CODE_FINAL},
	};

	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
		if (strcmp(classes[i].code, code) == 0)
			return classes[i].class;
	}
	return CODE_UNKNOWN;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void judge_code(const struct push_answer *a, enum code_class class, const char *code,
		       const char *message, uint64_t real, struct push_verdict *v)
{
	static const enum push_outcome outcomes[] = {
		[CODE_AGAIN] = PUSH_AGAIN,
		[CODE_PAUSE] = PUSH_PAUSE,
		[CODE_OTHER_WAY] = PUSH_OTHER_WAY,
		[CODE_FINAL] = PUSH_FINAL,
	};

	*v = (struct push_verdict){.outcome = outcomes[class]};
	/* what is too large may come with any code */
	if (a->status == 413)
		v->outcome = PUSH_HALVE;
	v->of_item = strcmp(code, "internal") == 0 || strcmp(code, "unknown") == 0 ||
		     strcmp(code, "data_loss") == 0;
	if (v->outcome == PUSH_AGAIN)
		v->wait_ns = later(push_retry_after(a->retry_after, real),
				   push_next_reset(message, real));
	push_verdict_say(v, "HTTP %u, %s: %s", a->status, code, message);
}

static void judge(const struct push_answer *a, uint64_t real, struct push_verdict *v)
{
	char code[32], message[200];
	enum code_class class = CODE_UNKNOWN;

	if (a->status >= 400 && push_connect_error(a->body, a->len, code, message))
		class = class_of(code);
	if (class != CODE_UNKNOWN) {
		judge_code(a, class, code, message, real, v);
		return;
	}
	push_judge_http(a, real, v);
	/* the page of a proxy that wants a login is a success, too */
	if (v->outcome == PUSH_TAKEN && !push_content_is(a, "application/proto")) {
		v->outcome = PUSH_PAUSE;
		push_verdict_say(v, "HTTP %u with %s: this is not Pyroscope's answer", a->status,
				 *a->content_type ? a->content_type : "no content type");
	}
}

const struct push_protocol push_pyroscope = {request, judge};

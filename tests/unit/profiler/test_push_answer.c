/* SPDX-License-Identifier: Apache-2.0 */
/* What answers of servers mean: each class of each protocol. */
#include <stdio.h>
#include <string.h>

#include "push_wire_parts.h"
#include "unit_test.h"

/* 2026-11-30 08:00:00 UTC */
static const uint64_t real = 1796025600ull * PUSH_SECOND;

static struct push_answer answer(unsigned int status, const char *type, const char *body)
{
	struct push_answer a = {.status = status, .body = (uint8_t *)body, .len = strlen(body)};

	snprintf(a.content_type, sizeof a.content_type, "%s", type);
	return a;
}

static struct push_verdict judge(const struct push_protocol *p, unsigned int status,
				 const char *type, const char *body)
{
	const struct push_answer a = answer(status, type, body);
	struct push_verdict v;

	p->judge(&a, real, &v);
	return v;
}

TEST(test_retry_after_is_seconds_or_a_date)
{
	const struct {
		const char *text;
		uint64_t seconds;
	} times[] = {
		{"0", 0},
		{"120", 120},
		{" 7 ", 7},
		{"99999999999999999999", 1000000},
		{"Mon, 30 Nov 2026 08:00:30 GMT", 30},
		{"Tue, 01 Dec 2026 00:00:00 GMT", 16 * 3600},
		{"Mon, 30 Nov 2026 07:59:00 GMT", 0}, /* past */
		{"Mon, 30 Nov 2026 08:00:30 CET", 0},
		{"Mon, 30 Abc 2026 08:00:30 GMT", 0},
		{"Mon, 30 anF 2027 08:00:30 GMT", 0},
		{"Mon, 3", 0},
		{"12 monkeys", 0},
		{"soon", 0},
		{"-5", 0},
		{"", 0},
	};

	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		assert_int_equal(push_retry_after(times[i].text, real),
				 times[i].seconds * PUSH_SECOND);
}

TEST(test_the_time_of_a_limit_in_a_message)
{
	assert_int_equal(push_next_reset("limit of 1 GB/month reached, next reset at "
					 "2026-12-01T00:00:00Z, contact support",
					 real),
			 16ull * 3600 * PUSH_SECOND);
	assert_int_equal(push_next_reset("next reset at 2026-11-30T10:00:00.5+01:00", real),
			 3600ull * PUSH_SECOND);
	assert_int_equal(push_next_reset("next reset at 2026-11-30T03:30:00-05:00", real),
			 1800ull * PUSH_SECOND);
	assert_int_equal(push_next_reset("next reset at 2026-11-30T07:00:00Z", real), 0);
	assert_int_equal(push_next_reset("next reset at 2026-11-30T10:00:00", real), 0);
	assert_int_equal(push_next_reset("next reset at tomorrow", real), 0);
	assert_int_equal(push_next_reset("ingestion rate limit (4 MB) exceeded", real), 0);
}

static const struct {
	unsigned int status;
	const char *code;
	enum push_outcome outcome;
	bool of_item;
} connect[] = {
	{500, "unknown", PUSH_AGAIN, true},
	{500, "internal", PUSH_AGAIN, true},
	{500, "data_loss", PUSH_AGAIN, true},
	{503, "unavailable", PUSH_AGAIN, false},
	{504, "deadline_exceeded", PUSH_AGAIN, false},
	{408, "deadline_exceeded", PUSH_AGAIN, false},
	{409, "aborted", PUSH_AGAIN, false},
	{499, "canceled", PUSH_AGAIN, false},
	{429, "resource_exhausted", PUSH_AGAIN, false},
	{401, "unauthenticated", PUSH_PAUSE, false},
	{403, "permission_denied", PUSH_PAUSE, false},
	{404, "unimplemented", PUSH_OTHER_WAY, false},
	{501, "unimplemented", PUSH_OTHER_WAY, false},
	{404, "not_found", PUSH_OTHER_WAY, false},
	{400, "invalid_argument", PUSH_FINAL, false},
	{412, "failed_precondition", PUSH_FINAL, false},
	{400, "out_of_range", PUSH_FINAL, false},
	{409, "already_exists", PUSH_FINAL, false},
};

TEST(test_connect_errors_by_their_codes)
{
	char body[100];

	for (size_t i = 0; i < sizeof connect / sizeof *connect; i++) {
		struct push_verdict v;

		snprintf(body, sizeof body, "{\"code\":\"%s\",\"message\":\"because\"}",
			 connect[i].code);
		v = judge(&push_pyroscope, connect[i].status, "application/json", body);
		assert_int_equal(v.outcome, connect[i].outcome);
		assert_int_equal(v.of_item, connect[i].of_item);
		assert_non_null(strstr(v.text, connect[i].code));
		assert_non_null(strstr(v.text, "because"));
	}
}

TEST(test_a_limit_waits_until_it_is_reset)
{
	struct push_answer a = answer(429, "application/json",
				      "{\"code\":\"resource_exhausted\",\"message\":"
				      "\"next reset at 2026-11-30T08:01:00Z\"}");
	struct push_verdict v;

	push_pyroscope.judge(&a, real, &v);
	assert_int_equal(v.wait_ns, 60ull * PUSH_SECOND);
	snprintf(a.retry_after, sizeof a.retry_after, "90");
	push_pyroscope.judge(&a, real, &v);
	assert_int_equal(v.wait_ns, 90ull * PUSH_SECOND);
}

/* What proxies and servers say by the status alone. */
static const struct {
	unsigned int status;
	enum push_outcome pyroscope, parca, otlp;
} plain[] = {
	{0, PUSH_AGAIN, PUSH_AGAIN, PUSH_AGAIN},
	{302, PUSH_PAUSE, PUSH_PAUSE, PUSH_PAUSE},
	{400, PUSH_FINAL, PUSH_FINAL, PUSH_FINAL},
	{401, PUSH_PAUSE, PUSH_PAUSE, PUSH_PAUSE},
	{403, PUSH_PAUSE, PUSH_PAUSE, PUSH_PAUSE},
	{404, PUSH_OTHER_WAY, PUSH_OTHER_WAY, PUSH_OTHER_WAY},
	{407, PUSH_PAUSE, PUSH_PAUSE, PUSH_PAUSE},
	{408, PUSH_AGAIN, PUSH_AGAIN, PUSH_FINAL},
	{409, PUSH_FINAL, PUSH_FINAL, PUSH_FINAL},
	{412, PUSH_FINAL, PUSH_FINAL, PUSH_FINAL},
	{413, PUSH_HALVE, PUSH_HALVE, PUSH_HALVE},
	{422, PUSH_FINAL, PUSH_FINAL, PUSH_FINAL},
	{429, PUSH_AGAIN, PUSH_AGAIN, PUSH_AGAIN},
	{500, PUSH_AGAIN, PUSH_AGAIN, PUSH_FINAL},
	{501, PUSH_OTHER_WAY, PUSH_OTHER_WAY, PUSH_OTHER_WAY},
	{502, PUSH_AGAIN, PUSH_AGAIN, PUSH_AGAIN},
	{503, PUSH_AGAIN, PUSH_AGAIN, PUSH_AGAIN},
	{504, PUSH_AGAIN, PUSH_AGAIN, PUSH_AGAIN},
};

TEST(test_answers_by_the_status_of_http)
{
	const char *page = "<html>no</html>";

	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
		unsigned int s = plain[i].status;

		assert_int_equal(judge(&push_pyroscope, s, "text/html", page).outcome,
				 plain[i].pyroscope);
		assert_int_equal(judge(&push_ingest, s, "text/html", page).outcome,
				 plain[i].pyroscope);
		assert_int_equal(judge(&push_parca, s, "text/html", page).outcome, plain[i].parca);
		assert_int_equal(judge(&push_otlp, s, "text/html", page).outcome, plain[i].otlp);
	}
}

TEST(test_a_page_is_no_success)
{
	const struct push_protocol *all[] = {&push_pyroscope, &push_ingest, &push_parca,
					     &push_otlp};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		assert_int_equal(judge(all[i], 200, "text/html; charset=utf-8", "log in").outcome,
				 PUSH_PAUSE);
	assert_int_equal(judge(&push_pyroscope, 200, "application/proto", "").outcome, PUSH_TAKEN);
	assert_int_equal(judge(&push_ingest, 200, "", "").outcome, PUSH_TAKEN);
	assert_int_equal(judge(&push_otlp, 200, "application/x-protobuf", "").outcome, PUSH_TAKEN);
}

/* --- grpc-web --------------------------------------------------------------------- */

/* A frame for an empty message, then trailers. */
static struct push_verdict judge_trailers(const char *trailers)
{
	static uint8_t body[300];
	struct push_answer a = answer(200, "application/grpc-web+proto", "");
	size_t n = strlen(trailers);
	struct push_verdict v;

	memset(body, 0, sizeof body);
	body[5] = 0x80;
	body[8] = (uint8_t)(n >> 8);
	body[9] = (uint8_t)n;
	memcpy(body + 10, trailers, n);
	a.body = body;
	a.len = 10 + n;
	push_parca.judge(&a, real, &v);
	return v;
}

TEST(test_grpc_statuses)
{
	static const enum push_outcome outcomes[] = {
		PUSH_TAKEN,     PUSH_AGAIN, PUSH_AGAIN, PUSH_FINAL, PUSH_AGAIN, PUSH_FINAL,
		PUSH_FINAL,     PUSH_PAUSE, PUSH_AGAIN, PUSH_FINAL, PUSH_AGAIN, PUSH_FINAL,
		PUSH_OTHER_WAY, PUSH_AGAIN, PUSH_AGAIN, PUSH_FINAL, PUSH_PAUSE, PUSH_FINAL};
	char trailers[100];

	for (unsigned int i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
		struct push_verdict v;

		/* data_loss, 15, is retried by Pyroscope's protocol only */
		snprintf(trailers, sizeof trailers,
			 "Grpc-Status: %u\r\nGrpc-Message: no%%20room, %%41!\r\n", i);
		v = judge_trailers(trailers);
		assert_int_equal(v.outcome, outcomes[i]);
		if (i)
			assert_non_null(strstr(v.text, "no room, A!"));
	}
	assert_int_equal(
		judge_trailers("grpc-message: trying to receive message larger than max\r\n"
			       "grpc-status: 8\r\n")
			.outcome,
		PUSH_HALVE);
}

TEST(test_a_grpc_answer_without_its_status_is_none)
{
	struct push_answer a = answer(200, "application/grpc-web+proto", "");
	struct push_verdict v;

	assert_int_equal(judge_trailers("").outcome, PUSH_AGAIN);
	assert_int_equal(judge_trailers("grpc-status: \r\n").outcome, PUSH_AGAIN);
	a.body = (uint8_t *)"\0\0\0\0\0\x80\0\0\0\x20grpc-status: 0\r\n"; /* cut short */
	a.len = 26;
	push_parca.judge(&a, real, &v);
	assert_int_equal(v.outcome, PUSH_AGAIN);
	a.len = 0;
	push_parca.judge(&a, real, &v);
	assert_int_equal(v.outcome, PUSH_AGAIN);
	/* without a message it stands among the headers */
	snprintf(a.grpc_status, sizeof a.grpc_status, "16");
	push_parca.judge(&a, real, &v);
	assert_int_equal(v.outcome, PUSH_PAUSE);
}

/* --- OTLP ------------------------------------------------------------------------- */

TEST(test_partial_success_is_final)
{
	/* partial_success {rejected_profiles: 3, error_message: "old"} */
	const char *some = "\x0a\x07\x08\x03\x12\x03old", *none = "\x0a\x05\x12\x03old";
	struct push_verdict v = judge(&push_otlp, 200, "application/x-protobuf", some);

	assert_int_equal(v.outcome, PUSH_TAKEN_PARTLY);
	assert_non_null(strstr(v.text, "3 profiles: old"));
	v = judge(&push_otlp, 200, "application/x-protobuf", none);
	assert_int_equal(v.outcome, PUSH_TAKEN); /* a warning */
	assert_non_null(strstr(v.text, "old"));
}

TEST(test_a_refusal_names_the_version_that_was_spoken)
{
	/* google.rpc.Status {code: 3, message: "wire"} */
	struct push_verdict v = judge(&push_otlp, 400, "application/x-protobuf",
				      "\x08\x03\x12\x04wire");

	assert_int_equal(v.outcome, PUSH_FINAL);
	assert_non_null(strstr(v.text, "HTTP 400: wire"));
	assert_non_null(strstr(v.text, "opentelemetry-proto 1.11"));
}

TEST(test_foreign_text_is_one_plain_line)
{
	struct push_verdict v = judge(
		&push_pyroscope, 400, "application/json",
		"{\"code\":\"invalid_argument\",\"message\":\"a\\nb\\u001b[2J\\u00e9\"}");

	assert_non_null(strstr(v.text, "a b?[2J"));
	for (const char *s = v.text; *s; s++)
		assert_in_range(*s, 0x20, 0x7e);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Answers and errors, as all routes give them; parameters. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "clock.h"
#include "selector.h"
#include "serve_parts.h"
#include "series.h"
#include "when.h"

/* --- errors ------------------------------------------------------------------------ */

/* What net/http/pprof's clients expect, and show to people. */
static void pprof_error(struct http_request *q, unsigned int status, const char *message,
			const char *hint)
{
	char text[1400];
	int n = snprintf(text, sizeof text, "%s%s%s\n", message, hint && *hint ? "\n" : "",
			 hint ? hint : "");

	http_add(q, "X-Go-Pprof", "1");
	http_answer(q, status, "text/plain; charset=utf-8", text,
		    n > 0 && (size_t)n < sizeof text ? (size_t)n : strlen(text), HTTP_COPY);
}

void serve_error(struct http_request *q, unsigned int status, const char *code, const char *message,
		 const char *hint)
{
	struct serve_text t = {0};
	struct jsonout j;

	if (!q->bad_url && q->url.nsegments && strcmp(q->url.segments[0], "targets") == 0) {
		pprof_error(q, status, message, hint);
		return;
	}
	t.to = open_memstream(&t.bytes, &t.len);
	if (!t.to)
		return;
	j = (struct jsonout){t.to, JSONOUT_LINE, 0, false};
	pp_json_open(&j, NULL, '{');
	pp_json_open(&j, "error", '{');
	pp_json_text(&j, "code", code);
	pp_json_text(&j, "message", message);
	if (hint && *hint)
		pp_json_text(&j, "hint", hint);
	pp_json_close(&j, '}');
	pp_json_close(&j, '}');
	putc('\n', t.to);
	if (fclose(t.to) == 0)
		http_answer(q, status, "application/json", t.bytes, t.len, HTTP_OWNED);
	else
		free(t.bytes);
}

void serve_failed(struct http_request *q, enum prowl_code code, const struct prowl_err *err)
{
	static const struct {
		unsigned int status;
		const char *code;
	} of[] = {
		[PROWL_OK] = {500, "failed"},
		[PROWL_FAILED] = {500, "failed"},
		[PROWL_USAGE] = {400, "bad_parameter"},
		[PROWL_REGRESSION] = {500, "failed"},
		[PROWL_PERMISSION] = {403, "not_permitted"},
		[PROWL_NOTHING] = {422, "no_data"},
		[PROWL_UNSUPPORTED] = {422, "unsupported"},
		[PROWL_INCONCLUSIVE] = {422, "inconclusive"},
	};

	serve_error(q, of[code].status, of[code].code, err->text, err->hint);
}

void serve_no_memory(struct http_request *q)
{
	serve_error(q, 503, "no_memory", "there is no memory for this answer", NULL);
}

/* --- answers ----------------------------------------------------------------------- */

bool serve_text_begin(struct serve_text *t, struct http_request *q)
{
	*t = (struct serve_text){0};
	t->to = open_memstream(&t->bytes, &t->len);
	if (!t->to)
		serve_no_memory(q);
	return t->to != NULL;
}

void serve_text_end(struct serve_text *t, struct http_request *q, const char *mime,
		    unsigned int seconds)
{
	bool failed = ferror(t->to) != 0;

	if (fclose(t->to) == 0 && !failed) {
		serve_bytes(q, mime, t->bytes, t->len, seconds);
		return;
	}
	free(t->bytes);
	serve_no_memory(q);
}

void serve_bytes(struct http_request *q, const char *mime, void *bytes, size_t len,
		 unsigned int seconds)
{
	char tag[24], cache[48], known[HTTP_HEADER];

	snprintf(tag, sizeof tag, "\"%016" PRIx64 "\"", (uint64_t)XXH3_64bits(bytes, len));
	http_add(q, "ETag", tag);
	if (seconds)
		snprintf(cache, sizeof cache, "private, max-age=%u", seconds);
	else
		snprintf(cache, sizeof cache, "private, no-cache");
	http_add(q, "Cache-Control", cache);
	if (strcmp(http_header(q, "If-None-Match", known), tag) != 0) {
		http_answer(q, 200, mime, bytes, len, HTTP_OWNED);
		return;
	}
	free(bytes);
	http_answer(q, 304, NULL, "", 0, HTTP_STATIC);
}

bool serve_json_begin(struct serve_text *t, struct jsonout *j, struct http_request *q)
{
	if (!serve_text_begin(t, q))
		return false;
	pp_json_begin(j, t->to, JSONOUT_LINE);
	return true;
}

void serve_json_end(struct serve_text *t, struct jsonout *j, struct http_request *q,
		    unsigned int seconds)
{
	pp_json_end(j);
	serve_text_end(t, q, "application/json", seconds);
}

void serve_put_time(struct jsonout *j, const char *key, int64_t ns)
{
	if (ns)
		pp_json_number(j, key, ns / 1000000);
	else
		pp_json_null(j, key);
}

void serve_put_labels(struct jsonout *j, const char *key, const struct prowl_series *series)
{
	pp_json_open(j, key, '{');
	for (size_t i = 0; series && i < series->n; i++)
		pp_json_text(j, series->labels[i].name, series->labels[i].value);
	pp_json_close(j, '}');
}

/* --- parameters -------------------------------------------------------------------- */

bool serve_number(struct http_request *q, const char *name, uint64_t none, uint64_t min,
		  uint64_t max, uint64_t *ret)
{
	const char *text = weburl_param(&q->url, name);
	char message[160], *end;

	*ret = none;
	if (!text || !*text)
		return true;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && !*end && errno == 0 && *ret >= min && *ret <= max)
		return true;
	snprintf(message, sizeof message, "%s is a number from %" PRIu64 " to %" PRIu64, name, min,
		 max);
	serve_error(q, 400, "bad_parameter", message, NULL);
	return false;
}

bool serve_match(struct http_request *q, const char *name, struct prowl_selector **ret)
{
	const char *text = weburl_param(&q->url, name);
	struct prowl_err err = {0};
	enum prowl_code code;

	*ret = NULL;
	if (!text || !*text)
		return true;
	code = prowl_selector_new(text, ret, &err);
	if (code != PROWL_OK)
		serve_failed(q, code, &err);
	return code == PROWL_OK;
}

bool serve_time(struct http_request *q, const char *name, int64_t none, int64_t *ret)
{
	const char *text = weburl_param(&q->url, name);
	int64_t now = (int64_t)prowl_clock_ns(CLOCK_REALTIME);
	char message[160];

	*ret = none;
	if (!text || !*text || prowl_when_parse(text, now, ret))
		return true;
	snprintf(message, sizeof message,
		 "%s is a time: RFC 3339, a Unix time in s, ms or ns, now, -2h, now-1d", name);
	serve_error(q, 400, "bad_parameter", message, NULL);
	return false;
}

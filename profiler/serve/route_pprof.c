/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /targets/KEY/debug/pprof/: what a program with net/http/pprof serves, for every process, with the
 * same parameters and the same answers to what is wrong.
 *
 * What differs: gc=1 is ignored, as nothing is run in the target; trace is not there, as only the
 * target itself can write one; profile knows now=0 (from what was sampled already), rate=HZ and
 * labels=0.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"

enum { SEGMENT_KEY = 1, SEGMENT_NAME = 4, CMDLINE = 65536, DEFAULT_S = 30, LEAST_RATE = 1 };

#define SECOND 1000000000u

static const char plain[] = "text/plain; charset=utf-8";

struct kind {
	const char *name;  /* in the address */
	const char *kind;  /* of prowl_kinds */
	const char *delta; /* the file of a difference; NULL: there is none */
	const char *about;
	bool window; /* lasts; others are of the present */
	bool sampler;
	bool twice; /* a difference is that of two captures */
};

static const struct kind kinds[] = {
	{"allocs", "allocs", "allocs-delta", "All memory that was ever allocated", .twice = false},
	{"block", "block", "block-delta", "Waiting for locks and channels"},
	{"goroutine", "goroutine", "goroutine-delta",
	 "Stacks of all goroutines. debug=2 lists them one by one", .twice = true},
	{"heap", "heap", "heap-delta",
	 "Memory in use. gc is ignored: nothing is run in the target"},
	{"mutex", "mutex", "mutex-delta", "Holders of contended mutexes"},
	{"profile", "cpu", NULL,
	 "CPU time, for seconds=30. now=0: of the past seconds, at once. rate=99 Hz",
	 .window = true, .sampler = true},
	{"threadcreate", "threadcreate", "threadcreate-delta", "What led to new threads",
	 .twice = true},
	{"wall", "wall", NULL, "Where goroutines spend time, waiting or not, for seconds=30",
	 .window = true, .sampler = true},
};

/* --- which process ----------------------------------------------------------------- */

static void say_several(struct http_request *q, const struct serve_targets *t)
{
	struct serve_text text;
	char key[SERVE_KEY];

	if (!serve_text_begin(&text, q))
		return;
	fprintf(text.to, "%zu processes are meant; add pick=oldest or pick=newest, or use one of\n",
		t->n);
	for (size_t i = 0; i < t->n && i < 50; i++)
		fprintf(text.to, "/targets/%s/debug/pprof/\t%s\n", serve_key(&t->rows[i].id, key),
			t->rows[i].comm);
	http_add(q, "X-Go-Pprof", "1");
	if (fclose(text.to) == 0)
		http_answer(q, 300, plain, text.bytes, text.len, HTTP_OWNED);
	else
		free(text.bytes);
}

/* False after an answer. */
static bool find_one(struct prowl_serve *s, struct http_request *q, struct prowl_process_id *ret)
{
	const char *key = q->url.segments[SEGMENT_KEY], *pick = weburl_param(&q->url, "pick");
	struct serve_targets found;
	bool newest = pick && strcmp(pick, "newest") == 0, one;

	serve_targets_find(s, key, &found);
	one = found.n == 1 || (found.n > 1 && (newest || (pick && strcmp(pick, "oldest") == 0)));
	if (one)
		*ret = found.rows[newest ? found.n - 1 : 0].id;
	else if (found.n > 1)
		say_several(q, &found);
	else
		serve_error(q, 404, "no_such_target", "there is no such process",
			    "a KEY is a service, PID, PID@START, container:ID or "
			    "pod:NAME[:CONTAINER]; /api/v1/targets lists the processes");
	serve_targets_free(&found);
	return one;
}

/* --- profiles ---------------------------------------------------------------------- */

/* As Go: a number that is none is the default. */
static int64_t lenient(const struct http_request *q, const char *name)
{
	const char *text = weburl_param(&q->url, name);
	char *end;
	int64_t n;

	if (!text || !*text)
		return 0;
	errno = 0;
	n = strtoll(text, &end, 10);
	return *end || errno ? 0 : n;
}

static bool check_seconds(struct prowl_serve *s, struct http_request *q, int64_t seconds)
{
	char message[128];

	if (seconds <= (int64_t)s->o.max_seconds)
		return true;
	snprintf(message, sizeof message, "profile duration exceeds captures.max_seconds, %u",
		 s->o.max_seconds);
	serve_error(q, 400, "bad_parameter", message, NULL);
	return false;
}

static bool fill_window(struct prowl_serve *s, struct http_request *q, struct capture_order *o)
{
	const char *now = weburl_param(&q->url, "now");
	int64_t seconds = lenient(q, "seconds");
	uint64_t rate;

	if (seconds <= 0)
		seconds = DEFAULT_S;
	if (!check_seconds(s, q, seconds) ||
	    !serve_number(q, "rate", 0, LEAST_RATE, s->o.max_rate, &rate))
		return false;
	o->wish.ns = (uint64_t)seconds * SECOND;
	o->wish.rate = (unsigned int)rate;
	o->now = now && strcmp(now, "0") == 0;
	if (!o->now || (s->b->window_now && strcmp(o->wish.kind, "cpu") == 0))
		return true;
	serve_error(q, 400, "bad_parameter", "there are no windows of that", NULL);
	return false;
}

/* What changed within some seconds. */
static bool fill_delta(struct prowl_serve *s, struct http_request *q, const struct kind *k,
		       struct capture_order *o)
{
	int64_t seconds = lenient(q, "seconds");

	if (seconds <= 0) {
		serve_error(q, 400, "bad_parameter",
			    "invalid value for \"seconds\" - must be a positive integer", NULL);
		return false;
	}
	if (o->debug) {
		serve_error(q, 400, "bad_parameter", "seconds and debug params are incompatible",
			    NULL);
		return false;
	}
	o->wish.ns = (uint64_t)seconds * SECOND;
	o->name = k->delta;
	o->twice = k->twice;
	return check_seconds(s, q, seconds);
}

static bool fill_present(struct prowl_serve *s, struct http_request *q, const struct kind *k,
			 struct capture_order *o)
{
	const char *seconds = weburl_param(&q->url, "seconds");
	int64_t debug = lenient(q, "debug");

	o->debug = debug <= 0 ? 0 : debug == 1 ? 1 : 2;
	o->gc = lenient(q, "gc") > 0;
	if (seconds && *seconds)
		return fill_delta(s, q, k, o);
	if (o->debug < 2 || strcmp(k->kind, "goroutine") != 0 || s->b->goroutine_text)
		return true;
	serve_error(q, 404, "no_such_path", "goroutines can't be listed one by one here", NULL);
	return false;
}

static void answer_head(struct http_request *q, const struct capture_order *o)
{
	http_answer(q, 200, o->debug ? plain : "application/octet-stream", "", 0, HTTP_STATIC);
}

static void take(struct prowl_serve *s, struct http_request *q, const struct kind *k)
{
	const char *labels = weburl_param(&q->url, "labels");
	struct capture_order o = {
		.wish = {.kind = k->kind}, .name = k->name, .sampler = k->sampler};

	o.no_labels = labels && strcmp(labels, "0") == 0;
	if (!(k->window ? fill_window(s, q, &o) : fill_present(s, q, k, &o)) ||
	    !find_one(s, q, &o.wish.id))
		return;
	/* Nobody would read it. */
	if (q->head)
		answer_head(q, &o);
	else
		capture_ask(s, q, &o);
}

static void profile(struct prowl_serve *s, struct http_request *q)
{
	const char *name = q->url.segments[SEGMENT_NAME];

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].name, name) == 0) {
			take(s, q, &kinds[i]);
			return;
		}
	serve_error(q, 404, "no_such_path", "Unknown profile", NULL);
}

static void trace(struct prowl_serve *s, struct http_request *q)
{
	serve_error(q, 404, "no_such_path",
		    "there are no traces: only the program itself can write one", NULL);
}

/* --- the rest ---------------------------------------------------------------------- */

static void put_markup(FILE *to, const char *s)
{
	for (; *s; s++) {
		const char *as = *s == '<'   ? "&lt;"
				 : *s == '&' ? "&amp;"
				 : *s == '"' ? "&quot;"
					     : NULL;

		if (as)
			fputs(as, to);
		else
			putc(*s, to);
	}
}

static void index_page(struct prowl_serve *s, struct http_request *q)
{
	const char *key = q->url.segments[SEGMENT_KEY];
	struct prowl_process_id id;
	struct serve_text t;

	if (!find_one(s, q, &id) || !serve_text_begin(&t, q))
		return;
	fputs("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>/debug/pprof/ of ",
	      t.to);
	put_markup(t.to, key);
	fprintf(t.to, "</title></head><body>\n<p>Process %d, by prowl</p>\n<table>\n", (int)id.pid);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		fprintf(t.to, "<tr><td><a href=\"%s%s\">%s</a></td><td>%s</td></tr>\n",
			kinds[i].name, kinds[i].window ? "" : "?debug=1", kinds[i].name,
			kinds[i].about);
	fputs("</table>\n</body></html>\n", t.to);
	serve_text_end(&t, q, "text/html; charset=utf-8", 0);
}

static void to_index(struct prowl_serve *s, struct http_request *q)
{
	http_add(q, "Location", "pprof/");
	http_answer(q, 301, NULL, "", 0, HTTP_STATIC);
}

static void cmdline(struct prowl_serve *s, struct http_request *q)
{
	struct prowl_process_id id;
	char *text;
	ssize_t n;

	if (!find_one(s, q, &id))
		return;
	text = malloc(CMDLINE);
	n = !text           ? -ENOMEM
	    : s->b->cmdline ? s->b->cmdline(s->b->ctx, &id, text, CMDLINE)
			    : -ENOSYS;
	if (n == -ENOSYS)
		serve_error(q, 403, "not_permitted",
			    "command lines are not shown, as they may hold secrets",
			    "discovery.cmdline: true shows them");
	else if (n < 0)
		serve_error(q, 404, "no_such_target", strerror((int)-n), NULL);
	if (n < 0) {
		free(text);
		return;
	}
	/* As Go: no NUL behind the last. */
	n -= n > 0 && text[n - 1] == '\0';
	http_answer(q, 200, plain, text, (size_t)n, HTTP_OWNED);
}

/* Addresses with plus signs between them; of a query they have become blanks. */
static void put_symbols(struct prowl_serve *s, const struct prowl_process_id *id,
			const char *addresses, FILE *to)
{
	char name[1024], *end;

	for (size_t i = 0; *addresses && i < 4096; i++) {
		uint64_t address = strtoull(addresses, &end, 16);

		if (end == addresses)
			return;
		if (s->b->symbol(s->b->ctx, id, address, name, sizeof name))
			fprintf(to, "0x%" PRIx64 " %s\n", address, name);
		addresses = end + strspn(end, "+ \n");
	}
}

static void symbol(struct prowl_serve *s, struct http_request *q)
{
	struct prowl_process_id id;
	struct serve_text t;
	const char *query = q->url.nparams ? q->url.params[0].name : "";

	if (!find_one(s, q, &id) || !serve_text_begin(&t, q))
		return;
	/* 0: profiles have their names already, and nothing else does. */
	fprintf(t.to, "num_symbols: %d\n", s->b->symbol ? 1 : 0);
	if (s->b->symbol)
		put_symbols(s, &id, q->post ? q->body : query, t.to);
	serve_text_end(&t, q, plain, 0);
}

const struct serve_route serve_pprof_routes[] = {
	{"/targets/*/debug/pprof", AUTH_READ, false, false, to_index},
	{"/targets/*/debug/pprof/", AUTH_READ, false, false, index_page},
	{"/targets/*/debug/pprof/cmdline", AUTH_READ, false, false, cmdline},
	{"/targets/*/debug/pprof/symbol", AUTH_READ, false, true, symbol},
	{"/targets/*/debug/pprof/symbol", AUTH_READ, true, true, symbol},
	{"/targets/*/debug/pprof/trace", AUTH_READ, false, false, trace},
	{"/targets/*/debug/pprof/*", AUTH_CAPTURE, false, false, profile},
	{NULL},
};

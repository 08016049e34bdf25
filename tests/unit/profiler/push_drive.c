/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pushes profiles from files, for the end-to-end tests:
 *
 *	push_drive SPOOL [--sink NAME TYPE URL [KEY=VALUE...]]... [--item KIND flow|level SERVICE
 *AGE SECONDS FILE]... --wait SECONDS
 *
 * An item ended AGE seconds ago and is SECONDS long. Ends when nothing waits any more, or after so
 * many seconds, and prints a line of JSON for each sink. Lines of the log go to standard error.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "clock.h"
#include "push.h"

enum { SINKS = 4, PAIRS = 8, SECOND = 1000000000 };

struct drive {
	char **argv;
	struct prowl_push_sink sinks[SINKS];
	struct prowl_push_pair labels[SINKS][PAIRS], headers[SINKS][PAIRS];
	size_t nsinks;
	struct prowl_push *push;
	const char *only;
	uint64_t tries;
	bool busy;
};

static _Noreturn void die(const char *what, const char *which)
{
	fprintf(stderr, "push_drive: %s: %s\n", what, which);
	exit(2);
}

static void add_pair(const struct prowl_push_pair **pairs, struct prowl_push_pair *own, size_t *n,
		     char *text)
{
	char *value = strchr(text, '=');

	if (!value || *n == PAIRS)
		die("wrong pair", text);
	*value++ = '\0';
	own[(*n)++] = (struct prowl_push_pair){text, value};
	*pairs = own;
}

static void set(struct drive *d, struct prowl_push_sink *s, char *text)
{
	const struct {
		const char *name;
		const char **to;
	} texts[] = {{"tenant", &s->tenant},
		     {"user", &s->user},
		     {"password_file", &s->password_file},
		     {"bearer_token_file", &s->bearer_token_file},
		     {"ca", &s->ca},
		     {"cert", &s->cert},
		     {"key", &s->key},
		     {"proxy", &s->proxy}};
	const struct {
		const char *name;
		uint64_t *to, unit;
	} figures[] = {{"timeout_ms", &s->timeout_ns, 1000000},
		       {"backoff_min_ms", &s->backoff_min_ns, 1000000},
		       {"backoff_max_ms", &s->backoff_max_ns, 1000000},
		       {"spool_bytes", &s->spool_max_bytes, 1},
		       {"bytes", &s->max_profile_bytes, 1}};
	size_t i = (size_t)(s - d->sinks);
	char *value = strchr(text, '=');

	if (!value)
		die("no value", text);
	*value++ = '\0';
	if (strcmp(text, "label") == 0)
		add_pair(&s->external_labels, d->labels[i], &s->nexternal_labels, value);
	if (strcmp(text, "header") == 0)
		add_pair(&s->headers, d->headers[i], &s->nheaders, value);
	if (strcmp(text, "insecure") == 0)
		s->insecure = true;
	for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) {
		if (strcmp(texts[j].name, text) == 0)
			*texts[j].to = value;
	}
	for (size_t j = 0; j < sizeof figures / sizeof *figures; j++) {
		if (strcmp(figures[j].name, text) == 0)
			*figures[j].to = strtoull(value, NULL, 10) * figures[j].unit;
	}
}

static void read_sinks(struct drive *d)
{
	struct prowl_push_sink *s = NULL;

	for (char **a = d->argv; *a; a++) {
		if (strcmp(*a, "--sink") == 0 && d->nsinks < SINKS) {
			s = &d->sinks[d->nsinks++];
			s->name = a[1];
			if (prowl_push_type_named(a[2], &s->type) < 0)
				die("wrong type", a[2]);
			s->url = a[3];
			a += 3;
		} else if (strncmp(*a, "--", 2) == 0) {
			s = NULL;
		} else if (s) {
			set(d, s, *a);
		}
	}
}

static void offer(struct drive *d, char **a)
{
	const struct prowl_series_label labels[] = {
		{PROWL_SERIES_SERVICE, a[2], true},
		{PROWL_SERIES_HOST, "node-1", true},
		{PROWL_SERIES_BUILD, "4f5e6d", true},
	};
	const struct prowl_push_pair facts[] = {{PROWL_PUSH_PID, "4242"},
						{PROWL_PUSH_EXE, "/usr/bin/etcd"},
						{PROWL_PUSH_POD, "etcd-0"}};
	struct prowl_push_item item = {.kind = a[0],
				       .level = strcmp(a[1], "level") == 0,
				       .facts = facts,
				       .nfacts = 3,
				       .file = a[5]};
	struct prowl_series *series;
	int r;

	if (prowl_series_new(labels, 3, &series) < 0)
		die("out of memory", a[2]);
	item.series = series;
	item.end_ns = prowl_clock_ns(CLOCK_REALTIME) - strtoull(a[3], NULL, 10) * SECOND;
	item.start_ns = item.end_ns - strtoull(a[4], NULL, 10) * SECOND;
	r = prowl_push_offer(d->push, &item);
	if (r < 0)
		fprintf(stderr, "push_drive: %s: %s\n", a[5], strerror(-r));
	prowl_series_free(series);
}

static void look(void *ctx, const struct prowl_push_status *s)
{
	struct drive *d = ctx;
	uint64_t tried = 0;

	for (size_t i = 0; i < s->nrequests; i++)
		tried += s->requests[i].n;
	if ((!d->only || strcmp(d->only, s->sink) == 0) && s->waiting &&
	    (!d->tries || tried < d->tries))
		d->busy = true;
}

static void print(void *ctx, const struct prowl_push_status *s)
{
	json_t *dropped = json_object(), *requests = json_object(), *j;
	char code[16];

	for (int i = 0; i < PROWL_PUSH_REASONS; i++)
		json_object_set_new(dropped, prowl_push_reason_name(i),
				    json_integer((json_int_t)s->dropped[i]));
	for (size_t i = 0; i < s->nrequests; i++) {
		snprintf(code, sizeof code, "%u", s->requests[i].status);
		json_object_set_new(requests, code, json_integer((json_int_t)s->requests[i].n));
	}
	j = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:o, s:o}", "sink", s->sink, "state",
		      prowl_push_state_name(s->state), "waiting", (json_int_t)s->waiting,
		      "spool_bytes", (json_int_t)s->spool_bytes, "sent", (json_int_t)s->sent,
		      "sent_bytes", (json_int_t)s->sent_bytes, "last_error", s->last_error,
		      "dropped", dropped, "requests", requests);
	json_dumpf(j, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(j);
}

static void on_log(void *ctx, const char *sink, const char *text)
{
	fprintf(stderr, "%s: %s\n", sink, text);
}

static void wait_for_all(struct drive *d, double seconds)
{
	uint64_t until = prowl_now() + (uint64_t)(seconds * SECOND);

	do {
		poll(NULL, 0, 10);
		d->busy = false;
		prowl_push_status(d->push, look, d);
	} while (d->busy && prowl_now() < until);
}

int main(int argc, char **argv)
{
	struct drive d = {.argv = argv + 1};
	struct prowl_push_options o = {.spool = argv[1], .sinks = d.sinks, .log = on_log};
	struct prowl_err err = {0};
	double seconds = 0;

	if (argc < 2)
		die("SPOOL is missing", "see its source");
	read_sinks(&d);
	o.nsinks = d.nsinks;
	if (prowl_push_open(&o, &d.push, &err) != PROWL_OK)
		die("open", err.text);
	for (char **a = argv + 1; *a; a++) {
		if (strcmp(*a, "--item") == 0 && a + 6 < argv + argc)
			offer(&d, a + 1);
		if (strcmp(*a, "--wait") == 0 && a[1])
			seconds = strtod(a[1], NULL);
		if (strcmp(*a, "--tries") == 0 && a[1])
			d.tries = strtoull(a[1], NULL, 10);
		if (strcmp(*a, "--only") == 0)
			d.only = a[1];
	}
	wait_for_all(&d, seconds);
	prowl_push_status(d.push, print, NULL);
	prowl_push_close(d.push, 0);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* An event: several profiles of one process, taken one after the other, kept together. */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "daemon_parts.h"
#include "pprof.h"

static const uint64_t PATIENCE = 5000000000; /* ns that others may take their captures */

struct taking {
	struct daemon *d;
	const struct daemon_event *e;
	struct prowl_series *series;
	char comm[64];
	size_t n;
	struct prowl_store_capture captures[PROWL_TRIGGER_CAPTURES];
	struct pprof_profile *profiles[PROWL_TRIGGER_CAPTURES];
	char names[PROWL_TRIGGER_CAPTURES][48];
	json_t *failed; /* kind → why */
};

static int find(void *ctx, const struct prowl_host_target *t)
{
	struct taking *k = ctx;

	if (t->id.pid != k->e->id.pid || t->id.start != k->e->id.start)
		return 0;
	snprintf(k->comm, sizeof k->comm, "%s", t->comm ? t->comm : "");
	return t->series && prowl_series_copy(t->series, &k->series) == 0 ? 1 : -1;
}

/* Others may be taking theirs: waits for its turn. */
static enum prowl_code capture(struct taking *k, const struct prowl_trigger_capture *c,
			       struct pprof_profile **ret, struct prowl_err *err)
{
	struct prowl_host_capture wish = {
		.id = {k->e->id.pid, k->e->id.start},
		.kind = c->kind,
		.ns = c->ns,
		.delta = c->ns > 0,
		.wake_fd = k->e->wake_fd,
	};
	struct pollfd end = {.fd = k->e->wake_fd, .events = POLLIN};
	uint64_t until = prowl_now() + PATIENCE;

	for (;;) {
		bool busy = false;
		enum prowl_code code = prowl_host_capture(k->d->host, &wish, ret, &busy, err);

		if (!busy)
			return code;
		if (prowl_now() >= until || poll(&end, 1, 50) > 0)
			return prowl_fail(err, PROWL_FAILED, "others are being taken");
	}
}

static void take(struct taking *k, const struct prowl_trigger_capture *c)
{
	struct pprof_profile *profile = NULL, *made;
	struct prowl_err err = {0};
	const struct pprof_profile *wanted;

	if (capture(k, c, &profile, &err) != PROWL_OK) {
		json_object_set_new(k->failed, c->kind, json_string(err.text));
		return;
	}
	wanted = daemon_as_wanted(k->d, profile, &made);
	if (made) {
		pprof_profile_free(profile);
		profile = made;
	}
	if (!wanted) {
		pprof_profile_free(profile);
		return;
	}
	snprintf(k->names[k->n], sizeof k->names[k->n], "%s.pb.gz", c->kind);
	k->profiles[k->n] = profile;
	k->captures[k->n] = (struct prowl_store_capture){.name = k->names[k->n],
							 .profile = profile};
	k->n++;
}

static enum prowl_code put(struct taking *k, struct prowl_err *err)
{
	json_t *details = json_pack("{s:s, s:s, s:O}", "comm", k->comm, "why", k->e->why, "failed",
				    k->failed);
	char *text = details ? json_dumps(details, JSON_COMPACT) : NULL;
	char summary[320], id[PROWL_STORE_ID];
	struct prowl_store_event event = {
		.time = daemon_wall(),
		.kind = k->e->kind,
		.summary = summary,
		.series = k->series,
		.pid = k->e->id.pid,
		.details = text,
	};
	enum prowl_code code;

	snprintf(summary, sizeof summary, "%.100s (pid %d): %.200s",
		 prowl_series_get(k->series, PROWL_SERIES_SERVICE), (int)k->e->id.pid, k->e->why);
	code = prowl_store_event_put(k->d->store, &event, k->captures, k->n, id, err);
	if (code == PROWL_OK)
		daemon_say(k->d->log, DAEMON_INFO, "event: %s; captures=%zu id=%s", summary, k->n,
			   id);
	free(text);
	json_decref(details);
	return code;
}

enum prowl_code daemon_event_take(struct daemon *d, const struct daemon_event *e,
				  struct prowl_err *err)
{
	struct taking k = {.d = d, .e = e, .failed = json_object()};
	enum prowl_code code = PROWL_OK;

	prowl_host_targets(d->host, find, &k);
	if (!k.series || !k.failed)
		code = prowl_fail(err, PROWL_NOTHING, "process %d is no target any more",
				  (int)e->id.pid);
	for (size_t i = 0; code == PROWL_OK && i < e->ncapture; i++)
		take(&k, &e->capture[i]);
	if (code == PROWL_OK)
		code = put(&k, err);
	for (size_t i = 0; i < k.n; i++)
		pprof_profile_free(k.profiles[i]);
	json_decref(k.failed);
	prowl_series_free(k.series);
	return code;
}

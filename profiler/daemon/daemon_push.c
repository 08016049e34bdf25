/* SPDX-License-Identifier: Apache-2.0 */
/* push: of the configuration → sinks; what was stored is offered to them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_parts.h"
#include "pprof.h"
#include "push.h"
#include "selector.h"

static const uint64_t END = 2000000000; /* ns that requests under way have at the end */

struct daemon_push {
	struct prowl_push *push;
	struct prowl_selector **match; /* for each sink; NULL: all */
	size_t n;
};

/* --- sinks ------------------------------------------------------------------------------------ */

static bool wants(void *ctx, const struct prowl_series *series)
{
	return prowl_selector_matches(ctx, series);
}

/* Both are a name and a value; the arrays live as long as the options. */
static struct prowl_push_pair *pairs_of(const struct prowl_config_pairs *from)
{
	struct prowl_push_pair *to = calloc(from->n + 1, sizeof *to);

	for (size_t i = 0; to && i < from->n; i++)
		to[i] = (struct prowl_push_pair){from->pair[i].name, from->pair[i].value};
	return to;
}

static enum prowl_code make_sink(const struct prowl_config_sink *c, struct prowl_selector **match,
				 struct prowl_push_sink *ret, struct prowl_err *err)
{
	enum prowl_push_type type;
	enum prowl_code code = PROWL_OK;

	if (prowl_push_type_named(c->type, &type) < 0)
		return prowl_fail(err, PROWL_USAGE,
				  "push: the type of %s is pyroscope, parca or otlp, not '%.40s'",
				  c->name, c->type);
	if (*c->match)
		code = prowl_selector_new(c->match, match, err);
	if (code != PROWL_OK)
		return code;
	*ret = (struct prowl_push_sink){
		.name = c->name,
		.type = type,
		.url = c->url,
		.tenant = c->tenant,
		.user = c->user,
		.password_file = c->password_file,
		.bearer_token_file = c->bearer_token_file,
		.headers = pairs_of(&c->headers),
		.nheaders = c->headers.n,
		.ca = c->ca,
		.cert = c->cert,
		.key = c->key,
		.insecure = c->insecure,
		.proxy = c->proxy,
		.kinds = c->kinds.text,
		.nkinds = c->kinds.n,
		.wants = *match ? wants : NULL,
		.wants_ctx = *match,
		.external_labels = pairs_of(&c->external_labels),
		.nexternal_labels = c->external_labels.n,
		.timeout_ns = c->timeout,
		.max_profile_bytes = c->max_profile_bytes,
		.spool_max_bytes = c->spool_max_bytes,
		.spool_max_age_ns = c->spool_max_age,
		.backoff_min_ns = c->backoff_min,
		.backoff_max_ns = c->backoff_max,
	};
	if (!ret->headers || !ret->external_labels)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	return prowl_push_check(ret, err);
}

static void push_log(void *ctx, const char *sink, const char *text)
{
	daemon_say(((struct daemon *)ctx)->log, DAEMON_WARNING, "push: %s: %s", sink, text);
}

static enum prowl_code open_sinks(struct daemon *d, struct daemon_push *p,
				  struct prowl_push_sink *sinks, struct prowl_err *err)
{
	const struct prowl_config *c = d->config;
	enum prowl_code code = PROWL_OK;
	char spool[sizeof d->store_path + 8];
	struct prowl_push_options o = {
		.sinks = sinks,
		.nsinks = c->npush,
		.spool = spool,
		.version = PROWL_VERSION,
		.log = push_log,
		.log_ctx = d,
	};

	for (size_t i = 0; i < c->npush && code == PROWL_OK; i++)
		code = make_sink(&c->push[i], &p->match[i], &sinks[i], err);
	snprintf(spool, sizeof spool, "%s/spool", d->store_path);
	return code == PROWL_OK ? prowl_push_open(&o, &p->push, err) : code;
}

static void free_sink(struct prowl_push_sink *sink)
{
	free((void *)(uintptr_t)sink->headers);
	free((void *)(uintptr_t)sink->external_labels);
}

enum prowl_code daemon_check_push(const struct prowl_config *c, struct prowl_err *err)
{
	enum prowl_code code = PROWL_OK;

	for (size_t i = 0; i < c->npush && code == PROWL_OK; i++) {
		struct prowl_selector *match = NULL;
		struct prowl_push_sink sink = {0};

		code = make_sink(&c->push[i], &match, &sink, err);
		free_sink(&sink);
		prowl_selector_free(match);
	}
	return code;
}

enum prowl_code daemon_push_open(struct daemon *d, struct prowl_err *err)
{
	size_t n = d->config->npush;
	struct prowl_push_sink *sinks;
	enum prowl_code code;

	if (!n)
		return PROWL_OK;
	if (!d->store)
		return prowl_fail(
			err, PROWL_USAGE,
			"push keeps what waits in the folder of the store: it can't be had "
			"with --no-store");
	sinks = calloc(n, sizeof *sinks);
	d->push = calloc(1, sizeof *d->push);
	if (d->push)
		*d->push = (struct daemon_push){.match = calloc(n, sizeof *d->push->match), .n = n};
	if (sinks && d->push && d->push->match)
		code = open_sinks(d, d->push, sinks, err);
	else
		code = prowl_fail(err, PROWL_FAILED, "out of memory");
	for (size_t i = 0; sinks && i < n; i++)
		free_sink(&sinks[i]);
	free(sinks);
	return code;
}

void daemon_push_close(struct daemon *d)
{
	struct daemon_push *p = d->push;

	if (!p)
		return;
	prowl_push_close(p->push, END);
	for (size_t i = 0; p->match && i < p->n; i++)
		prowl_selector_free(p->match[i]);
	free(p->match);
	free(p);
	d->push = NULL;
}

/* --- offering -----------------------------------------------------------------------------------
 */

enum { MOST_FACTS = 8 };

static void fact(struct prowl_push_pair facts[MOST_FACTS], size_t *n, const char *name,
		 const char *value)
{
	if (value && *value)
		facts[(*n)++] = (struct prowl_push_pair){name, value};
}

void daemon_push_offer(struct daemon *d, const struct prowl_store_part *part)
{
	const struct prowl_store_process *p = part->nprocesses ? part->processes : NULL;
	struct prowl_push_pair facts[MOST_FACTS];
	struct prowl_push_item item = {
		.series = part->series,
		.kind = part->kind,
		.level = part->level,
		.start_ns = (uint64_t)part->facts.wall_start,
		.end_ns = (uint64_t)part->facts.wall_end,
		.facts = facts,
	};
	uint8_t *bytes = NULL;
	char pid[24];
	int r;

	if (!d->push || !d->push->push || part->series == d->others)
		return;
	snprintf(pid, sizeof pid, "%lld", p ? (long long)p->pid : 0);
	fact(facts, &item.nfacts, PROWL_PUSH_NODE, d->hostname);
	if (part->nprocesses == 1) {
		fact(facts, &item.nfacts, PROWL_PUSH_PID, pid);
		fact(facts, &item.nfacts, PROWL_PUSH_CONTAINER, p->container);
		fact(facts, &item.nfacts, PROWL_PUSH_POD, p->pod);
	}
	r = pprof_encode(part->profile, PPROF_LEVEL_DEFAULT, &bytes, &item.len);
	item.bytes = bytes;
	if (r == 0)
		r = prowl_push_offer(d->push->push, &item);
	if (r < 0)
		daemon_say(d->log, DAEMON_WARNING, "push: a profile of %s is lost: %s",
			   prowl_series_get(part->series, PROWL_SERIES_SERVICE), strerror(-r));
	free(bytes);
}

/* --- what is known -------------------------------------------------------------------------------
 */

void daemon_push_each(struct daemon *d, void (*each)(void *ctx, const struct prowl_push_status *s),
		      void *ctx)
{
	if (d->push && d->push->push)
		prowl_push_status(d->push->push, each, ctx);
}

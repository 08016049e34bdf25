/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon says of itself and of the processes that it looks at; what it is told to do. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics.h"
#include "serve_parts.h"
#include "selector.h"
#include "series.h"
#include "store.h"

static const char plain[] = "text/plain; charset=utf-8";

/* --- health ------------------------------------------------------------------------ */

static void say(struct http_request *q, unsigned int status, const char *text)
{
	http_answer(q, status, plain, text, strlen(text), HTTP_COPY);
}

static void healthz(struct prowl_serve *s, struct http_request *q)
{
	say(q, 200, "ok\n");
}

static void readyz(struct prowl_serve *s, struct http_request *q)
{
	char why[256] = "", text[300];
	bool ready = s->b->ready(s->b->ctx, why, sizeof why);

	snprintf(text, sizeof text, "%s%s%s\n", ready ? "ok" : "not ready", why[0] ? ": " : "",
		 why);
	say(q, ready ? 200 : 503, text);
}

/* --- figures ----------------------------------------------------------------------- */

static void put_metric(void *arg, const struct prowl_metric *m)
{
	metrics_put(arg, m);
}

static void put_counts(struct prowl_serve *s, struct metrics *m, bool seconds)
{
	for (size_t i = 0; i < s->ncounts; i++) {
		const struct serve_count *c = &s->counts[i];
		char code[16];
		struct prowl_metric one = {
			.family = seconds ? "prowl_http_request_seconds_total"
					  : "prowl_http_requests_total",
			.help = seconds ? "Time from a request's first line to the end of its answer."
					: "Requests; code 0: the client went away.",
			.type = PROWL_COUNTER,
			.labels = {{"path", c->route ? c->route->path : "(other)"}, {"code", code}},
			.value = seconds ? c->seconds : (double)c->n,
		};

		snprintf(code, sizeof code, "%u", c->status);
		metrics_put(m, &one);
	}
}

static void metrics(struct prowl_serve *s, struct http_request *q)
{
	struct serve_text t;
	struct metrics m = {0};

	if (!serve_text_begin(&t, q))
		return;
	m.to = t.to;
	s->b->metrics(s->b->ctx, put_metric, &m);
	pthread_mutex_lock(&s->lock);
	put_counts(s, &m, false);
	put_counts(s, &m, true);
	pthread_mutex_unlock(&s->lock);
	serve_text_end(&t, q, METRICS_MIME, 0);
}

/* --- status ------------------------------------------------------------------------ */

static void put_budgets(struct jsonout *j, const struct prowl_backend_status *b)
{
	pp_json_open(j, "budgets", '[');
	for (size_t i = 0; i < b->nbudgets; i++) {
		pp_json_open(j, NULL, '{');
		pp_json_text(j, "name", b->budgets[i].name);
		pp_json_real(j, "used", b->budgets[i].used);
		pp_json_real(j, "limit", b->budgets[i].limit);
		pp_json_close(j, '}');
	}
	pp_json_close(j, ']');
}

static void put_sinks(struct jsonout *j, const struct prowl_backend_status *b)
{
	pp_json_open(j, "sinks", '[');
	for (size_t i = 0; i < b->nsinks; i++) {
		const struct prowl_sink_status *sink = &b->sinks[i];

		pp_json_open(j, NULL, '{');
		pp_json_text(j, "name", sink->name);
		pp_json_text(j, "type", sink->type);
		pp_json_text(j, "url", sink->url);
		pp_json_unsigned(j, "sent", sink->sent);
		pp_json_unsigned(j, "dropped", sink->dropped);
		pp_json_unsigned(j, "spool_bytes", sink->spool_bytes);
		pp_json_real(j, "lag_seconds", sink->lag_seconds);
		serve_put_time(j, "last_success", sink->last_success);
		serve_put_time(j, "next_try", sink->next_try);
		if (sink->last_error[0])
			pp_json_text(j, "last_error", sink->last_error);
		pp_json_close(j, '}');
	}
	pp_json_close(j, ']');
}

static void put_store(struct jsonout *j, const struct prowl_backend_status *b)
{
	if (!b->store[0])
		return;
	pp_json_open(j, "store", '{');
	pp_json_text(j, "path", b->store);
	pp_json_unsigned(j, "bytes", b->store_bytes);
	pp_json_unsigned(j, "max_bytes", b->store_max_bytes);
	pp_json_unsigned(j, "free_bytes", b->store_free_bytes);
	serve_put_time(j, "oldest", b->store_oldest);
	serve_put_time(j, "newest", b->store_newest);
	pp_json_close(j, '}');
}

static void put_config(struct jsonout *j, const struct prowl_backend_status *b)
{
	pp_json_open(j, "config", '{');
	pp_json_text(j, "path", b->config);
	pp_json_text(j, "hash", b->config_hash);
	serve_put_time(j, "loaded", b->config_loaded);
	pp_json_bool(j, "failed", b->config_failed);
	pp_json_close(j, '}');
}

static void put_status(void *arg, const struct prowl_backend_status *b)
{
	struct jsonout *j = arg;

	pp_json_text(j, "version", b->version);
	pp_json_text(j, "host", b->host);
	serve_put_time(j, "now", b->now);
	serve_put_time(j, "started", b->started);
	pp_json_number(j, "pid", getpid());
	pp_json_bool(j, "sampling", b->sampling);
	pp_json_text(j, "mode", b->mode);
	if (b->mode_why[0])
		pp_json_text(j, "mode_why", b->mode_why);
	pp_json_unsigned(j, "rate", b->rate);
	pp_json_unsigned(j, "shed_level", b->shed_level);
	pp_json_open(j, "degraded", '[');
	for (size_t i = 0; i < b->ndegraded; i++)
		pp_json_text(j, NULL, b->degraded[i]);
	pp_json_close(j, ']');
	pp_json_open(j, "targets", '{');
	pp_json_unsigned(j, "active", b->active);
	pp_json_unsigned(j, "denied", b->denied);
	pp_json_unsigned(j, "deferred", b->deferred);
	pp_json_close(j, '}');
	pp_json_open(j, "self", '{');
	pp_json_real(j, "cpu", b->self_cpu);
	pp_json_unsigned(j, "memory_bytes", b->self_memory);
	pp_json_close(j, '}');
	put_budgets(j, b);
	put_store(j, b);
	put_config(j, b);
	put_sinks(j, b);
}

static void status(struct prowl_serve *s, struct http_request *q)
{
	struct serve_text t;
	struct jsonout j;

	if (!serve_json_begin(&t, &j, q))
		return;
	s->b->status(s->b->ctx, put_status, &j);
	pp_json_open(&j, "listen", '[');
	for (size_t i = 0; i < s->o.nlisteners; i++)
		pp_json_text(&j, NULL, s->listeners[i].address);
	pp_json_close(&j, ']');
	serve_json_end(&t, &j, q, 0);
}

/* --- processes --------------------------------------------------------------------- */

static const char *const states[] = {"active", "denied", "deferred", "gone"};

struct listing {
	struct jsonout *j;
	const struct prowl_selector *match; /* NULL: all */
	const char *host;
	uint64_t n;
};

static bool is_wanted(const struct listing *l, const struct prowl_backend_target *t)
{
	return t->series && prowl_selector_matches(l->match, t->series);
}

static void put_some(struct jsonout *j, const char *key, const char *text)
{
	if (text && text[0])
		pp_json_text(j, key, text);
}

static void put_kinds(struct jsonout *j, const struct prowl_backend_target *t)
{
	pp_json_open(j, "kinds", '[');
	for (size_t i = 0; t->kinds && t->kinds[i]; i++)
		pp_json_text(j, NULL, t->kinds[i]);
	pp_json_close(j, ']');
	if (!t->nlacks)
		return;
	pp_json_open(j, "why_not", '[');
	for (size_t i = 0; i < t->nlacks; i++) {
		pp_json_open(j, NULL, '{');
		pp_json_text(j, "kind", t->lacks[i].kind);
		pp_json_text(j, "reason", t->lacks[i].why);
		pp_json_close(j, '}');
	}
	pp_json_close(j, ']');
}

static void put_target(void *arg, const struct prowl_backend_target *t)
{
	struct listing *l = arg;
	struct jsonout *j = l->j;
	char key[SERVE_KEY];

	if (!is_wanted(l, t))
		return;
	pp_json_open(j, NULL, '{');
	pp_json_text(j, "key", serve_key(&t->id, key));
	pp_json_number(j, "pid", t->id.pid);
	serve_put_time(j, "start", t->started);
	if (t->ended)
		serve_put_time(j, "end", t->ended);
	pp_json_text(j, "state", states[t->state]);
	serve_put_labels(j, "labels", t->series);
	pp_json_text(j, "comm", t->comm);
	put_some(j, "exe", t->exe);
	put_some(j, "go", t->go);
	put_some(j, "pod", t->pod);
	put_some(j, "container", t->container_id);
	put_some(j, "image", t->image);
	put_some(j, "exit", t->exit);
	put_kinds(j, t);
	pp_json_unsigned(j, "cpu_ns", t->cpu_ns);
	pp_json_unsigned(j, "own_cpu_ns", t->own_cpu_ns);
	serve_put_time(j, "last_window", t->last_window);
	pp_json_close(j, '}');
	l->n++;
}

/* active: those that there are; gone; all. False after an answer. */
static bool states_of(struct http_request *q, unsigned int *ret)
{
	const char *text = weburl_param(&q->url, "state");
	const unsigned int gone = 1u << PROWL_TARGET_GONE, all = (gone << 1) - 1;

	*ret = 0;
	if (!text || !*text || strcmp(text, "all") == 0)
		*ret = all;
	else if (strcmp(text, "active") == 0)
		*ret = all & ~gone;
	else
		for (size_t i = 0; i < sizeof states / sizeof *states; i++)
			if (strcmp(text, states[i]) == 0)
				*ret = 1u << i;
	if (!*ret)
		serve_error(q, 400, "bad_parameter",
			    "state is active, denied, deferred, gone or all", NULL);
	return *ret != 0;
}

static void targets(struct prowl_serve *s, struct http_request *q)
{
	struct serve_text t;
	struct jsonout j;
	struct listing l = {&j, NULL, NULL, 0};
	struct prowl_selector *match;
	unsigned int wanted;

	if (!states_of(q, &wanted) || !serve_match(q, "match", &match))
		return;
	l.match = match;
	if (serve_json_begin(&t, &j, q)) {
		pp_json_open(&j, "targets", '[');
		s->b->targets(s->b->ctx, wanted, put_target, &l);
		pp_json_close(&j, ']');
		serve_json_end(&t, &j, q, 0);
	}
	prowl_selector_free(match);
}

/* --- service discovery of scrapers -------------------------------------------------- */

static void put_sd(void *arg, const struct prowl_backend_target *t)
{
	struct listing *l = arg;
	struct jsonout *j = l->j;
	char key[SERVE_KEY], prefix[SERVE_KEY + 16], pid[16];

	if (!is_wanted(l, t))
		return;
	snprintf(prefix, sizeof prefix, "/targets/%s", serve_key(&t->id, key));
	snprintf(pid, sizeof pid, "%d", (int)t->id.pid);
	pp_json_line(j);
	pp_json_open(j, NULL, '{');
	pp_json_open(j, "targets", '[');
	pp_json_text(j, NULL, l->host);
	pp_json_close(j, ']');
	pp_json_open(j, "labels", '{');
	pp_json_text(j, "__profile_path_prefix__", prefix);
	pp_json_text(j, "service_name", prowl_series_get(t->series, PROWL_SERIES_SERVICE));
	pp_json_text(j, "__meta_prowl_pid", pid);
	pp_json_text(j, "__meta_prowl_comm", t->comm);
	if (t->pod[0])
		pp_json_text(j, "__meta_prowl_pod", t->pod);
	for (size_t i = 0; i < t->series->n; i++) {
		char name[PROWL_SERIES_NAME + 32];

		snprintf(name, sizeof name, "__meta_prowl_label_%s", t->series->labels[i].name);
		for (char *c = name; *c; c++)
			if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_",
				    *c))
				*c = '_';
		pp_json_text(j, name, t->series->labels[i].value);
	}
	pp_json_close(j, '}');
	pp_json_close(j, '}');
	l->n++;
}

/* An array on its own, as http_sd_configs expects it. */
static void sd(struct prowl_serve *s, struct http_request *q)
{
	struct prowl_selector *match;
	char host[HTTP_HEADER];
	struct serve_text t;
	struct jsonout j;
	struct listing l = {&j, NULL, http_header(q, "Host", host), 0};

	if (!serve_match(q, "match", &match))
		return;
	l.match = match;
	if (serve_text_begin(&t, q)) {
		j = (struct jsonout){t.to, JSONOUT_LINE, 0, false};
		pp_json_open(&j, NULL, '[');
		s->b->targets(s->b->ctx, 1u << PROWL_TARGET_ACTIVE, put_sd, &l);
		pp_json_close(&j, ']');
		putc('\n', t.to);
		serve_text_end(&t, q, "application/json", 0);
	}
	prowl_selector_free(match);
}

/* --- what it is told --------------------------------------------------------------- */

static void say_done(struct http_request *q)
{
	static const char text[] = "{\"ok\": true}\n";

	http_answer(q, 200, "application/json", text, sizeof text - 1, HTTP_STATIC);
}

static void not_here(struct http_request *q)
{
	serve_error(q, 404, "no_such_path", "this daemon has nothing for that", NULL);
}

static void reload(struct prowl_serve *s, struct http_request *q)
{
	struct prowl_err err = {0};
	enum prowl_code code;

	if (!s->b->reload) {
		not_here(q);
		return;
	}
	code = s->b->reload(s->b->ctx, &err);
	if (code == PROWL_OK)
		say_done(q);
	else
		serve_error(q, 400, "bad_configuration", err.text, err.hint);
}

static void stop(struct prowl_serve *s, struct http_request *q)
{
	if (!s->b->stop) {
		not_here(q);
		return;
	}
	say_done(q);
	s->b->stop(s->b->ctx);
}

/* Where a browser can reach it: the first TCP address. */
static const char *web_address(const struct prowl_serve *s, char *to, size_t len)
{
	for (size_t i = 0; i < s->o.nlisteners; i++) {
		const struct prowl_listener *l = &s->listeners[i];

		if (l->local)
			continue;
		/* Nobody can connect to the address that means all of them. */
		if (strncmp(l->address, "http://0.0.0.0:", 15) == 0 ||
		    strncmp(l->address, "http://[::]:", 12) == 0)
			snprintf(to, len, "http://127.0.0.1:%u", l->port);
		else
			snprintf(to, len, "%s", l->address);
		return to;
	}
	return NULL;
}

static void put_answer(struct http_request *q, const char *key, const char *value)
{
	struct serve_text t;
	struct jsonout j;

	if (!serve_json_begin(&t, &j, q))
		return;
	pp_json_text(&j, key, value);
	pp_json_end(&j);
	if (fclose(t.to) == 0)
		http_answer(q, 200, "application/json", t.bytes, t.len, HTTP_OWNED);
	else
		free(t.bytes);
}

static void no_address(struct http_request *q)
{
	serve_error(
		q, 409, "no_address", "the daemon listens at no TCP address, only at this socket",
		"prowl daemon run --listen http://127.0.0.1:7424, or the same under `listen` in "
		"its configuration");
}

static void invite(struct prowl_serve *s, struct http_request *q)
{
	char address[160], nonce[AUTH_NONCE], url[256];

	if (!web_address(s, address, sizeof address)) {
		no_address(q);
	} else if (!auth_invite(s->auth, nonce)) {
		serve_error(q, 500, "failed", "no random bytes", NULL);
	} else {
		snprintf(url, sizeof url, "%s/login?once=%s", address, nonce);
		put_answer(q, "url", url);
	}
}

static void token(struct prowl_serve *s, struct http_request *q)
{
	char address[160];

	if (web_address(s, address, sizeof address))
		put_answer(q, "token", auth_token(s->auth));
	else
		no_address(q);
}

/* --- captures that become events ---------------------------------------------------- */

enum { MAX_KINDS = 16 };

struct order {
	struct serve_targets found;
	struct prowl_capture_wish wish;
	const char *kinds[MAX_KINDS];
	size_t nkinds;
	const char *reason;
};

static bool read_kinds(json_t *kinds, struct order *o)
{
	o->nkinds = json_array_size(kinds);
	if (o->nkinds == 0 || o->nkinds > MAX_KINDS)
		return false;
	for (size_t i = 0; i < o->nkinds; i++) {
		o->kinds[i] = json_string_value(json_array_get(kinds, i));
		if (!o->kinds[i])
			return false;
	}
	return true;
}

static bool read_seconds(const json_t *value, double max, uint64_t *ns)
{
	double seconds = json_number_value(value);

	*ns = 0;
	if (value && !(json_is_number(value) && seconds >= 0 && seconds <= max))
		return false;
	*ns = (uint64_t)(seconds * 1e9);
	return true;
}

static bool read_order(struct prowl_serve *s, struct http_request *q, json_t *root, struct order *o)
{
	const char *target = json_string_value(json_object_get(root, "target"));
	const json_t *rate = json_object_get(root, "rate");

	o->reason = json_string_value(json_object_get(root, "reason"));
	if (!target || !read_kinds(json_object_get(root, "kinds"), o) ||
	    !read_seconds(json_object_get(root, "seconds"), s->o.max_seconds, &o->wish.ns) ||
	    (rate && (json_integer_value(rate) < 1 ||
		      (uint64_t)json_integer_value(rate) > s->o.max_rate))) {
		serve_error(q, 400, "bad_parameter",
			    "the body is {\"target\": KEY, \"kinds\": [\"cpu\", ...], \"seconds\": "
			    "N, \"rate\": HZ, \"reason\": TEXT}; all but the first two may be left "
			    "out",
			    NULL);
		return false;
	}
	o->wish.rate = (unsigned int)json_integer_value(rate);
	serve_targets_find(s, target, &o->found);
	if (o->found.n != 1) {
		serve_error(q, o->found.n ? 409 : 404, o->found.n ? "several" : "no_such_target",
			    o->found.n ? "several processes are meant; name one by pid"
				       : "there is no such process",
			    "prowl daemon targets lists them");
		return false;
	}
	o->wish.id = o->found.rows[0].id;
	o->wish.wake_fd = -1;
	return true;
}

static void answer_event(struct http_request *q, const char *id)
{
	char location[512];

	snprintf(location, sizeof location, "/api/v1/events/%s", id);
	http_add(q, "Location", location);
	struct serve_text t;
	struct jsonout j;

	if (!serve_json_begin(&t, &j, q))
		return;
	pp_json_text(&j, "id", id);
	pp_json_end(&j);
	if (fclose(t.to) == 0)
		http_answer(q, 202, "application/json", t.bytes, t.len, HTTP_OWNED);
	else
		free(t.bytes);
}

static void captures(struct prowl_serve *s, struct http_request *q)
{
	json_t *root = json_loadb(q->body, q->body_len, JSON_REJECT_DUPLICATES, NULL);
	struct order o = {0};
	struct prowl_err err = {0};
	char id[PROWL_STORE_ID];
	enum prowl_code code;

	if (!s->b->capture_event) {
		not_here(q);
	} else if (read_order(s, q, root, &o)) {
		code = s->b->capture_event(s->b->ctx, &o.wish, o.kinds, o.nkinds,
					   o.reason ? o.reason : "asked for", id, sizeof id, &err);
		if (code == PROWL_OK)
			answer_event(q, id);
		else
			serve_failed(q, code, &err);
	}
	serve_targets_free(&o.found);
	json_decref(root);
}

const struct serve_route serve_status_routes[] = {
	{"/healthz", AUTH_NOTHING, false, false, healthz},
	{"/readyz", AUTH_NOTHING, false, false, readyz},
	{"/-/healthy", AUTH_NOTHING, false, false, healthz},
	{"/-/ready", AUTH_NOTHING, false, false, readyz},
	{"/metrics", AUTH_READ, false, false, metrics},
	{"/api/v1/status", AUTH_READ, false, false, status},
	{"/api/v1/targets", AUTH_READ, false, false, targets},
	{"/api/v1/sd", AUTH_READ, false, false, sd},
	{"/api/v1/captures", AUTH_EFFECT, true, false, captures},
	{"/api/v1/reload", AUTH_EFFECT, true, true, reload},
	{"/api/v1/login", AUTH_OWNER, true, false, invite},
	{"/api/v1/token", AUTH_OWNER, true, false, token},
	{"/api/v1/stop", AUTH_OWNER, true, false, stop},
	{NULL},
};

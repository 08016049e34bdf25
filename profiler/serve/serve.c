/* SPDX-License-Identifier: Apache-2.0 */
#include "serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "clock.h"
#include "serve_parts.h"

enum {
	DEFAULT_SECONDS = 300,
	DEFAULT_RATE = 999,
	WAITING_QUERIES = 16,
	WAITING_SAMPLERS = 8,
	WAITERS = 32,
};

static const char policy[] =
	"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' "
	"data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

static const struct serve_route *const tables[] = {
	serve_status_routes,  serve_pprof_routes, serve_store_routes,
	serve_profile_routes, serve_page_routes,
};

/* --- finding a route --------------------------------------------------------------- */

static bool matches(const char *pattern, const struct weburl *url)
{
	size_t i = 0;
	bool folder = false;

	while (*pattern) {
		size_t n = strcspn(++pattern, "/");

		folder = n == 0;
		if (folder)
			break;
		if (i == url->nsegments ||
		    !(strncmp(pattern, "*", n) == 0 ||
		      (strncmp(pattern, url->segments[i], n) == 0 && !url->segments[i][n])))
			return false;
		pattern += n;
		i++;
	}
	return i == url->nsegments && folder == url->folder;
}

/* *other: there is one for another method. */
static const struct serve_route *find_route(const struct http_request *q,
					    const struct serve_route **other)
{
	*other = NULL;
	for (size_t i = 0; i < sizeof tables / sizeof *tables && !q->bad_url; i++)
		for (const struct serve_route *r = tables[i]; r->path; r++) {
			if (!matches(r->path, &q->url))
				continue;
			if (r->post ? q->post : q->get)
				return r;
			*other = r;
		}
	return NULL;
}

/* --- who asks ---------------------------------------------------------------------- */

struct facts {
	struct auth_facts f;
	char host[HTTP_HEADER], authorization[HTTP_HEADER], cookie[HTTP_HEADER],
		origin[HTTP_HEADER], site[HTTP_HEADER], type[HTTP_HEADER], x_prowl[HTTP_HEADER];
};

static void gather(const struct http_request *q, struct facts *to)
{
	to->f = (struct auth_facts){
		.local = q->local,
		.uid = q->uid,
		.gid = q->gid,
		.pid = q->pid,
		.address = q->address,
		.get = q->get,
		.post = q->post,
		.hosts = http_header_count(q, "Host"),
		.host = http_header(q, "Host", to->host),
		.authorization = http_header(q, "Authorization", to->authorization),
		.cookie = http_header(q, "Cookie", to->cookie),
		.origin = http_header(q, "Origin", to->origin),
		.site = http_header(q, "Sec-Fetch-Site", to->site),
		.content_type = http_header(q, "Content-Type", to->type),
		.x_prowl = http_header(q, "X-Prowl", to->x_prowl),
	};
}

static void say_refused(struct http_request *q, const struct auth_answer *a)
{
	char seconds[16];

	if (a->status == 401)
		http_add(q, "WWW-Authenticate", "Basic realm=\"prowl\", charset=\"UTF-8\"");
	if (a->retry_s) {
		snprintf(seconds, sizeof seconds, "%u", a->retry_s);
		http_add(q, "Retry-After", seconds);
	}
	serve_error(q, a->status, a->code, a->message, a->hint);
}

/* Guessing; lines that are the same are folded. */
static void log_guess(struct prowl_serve *s, const struct http_request *q,
		      const struct auth_answer *a)
{
	char line[128];

	if (!s->o.log || a->status != 429)
		return;
	snprintf(line, sizeof line, "too many wrong tokens address=%s", q->address);
	s->o.log(s->o.log_ctx, true, line);
}

static void log_effect(struct prowl_serve *s, const struct http_request *q,
		       const struct serve_route *r)
{
	char line[256];

	if (!s->o.log || (r->need != AUTH_EFFECT && r->need != AUTH_OWNER))
		return;
	if (q->local)
		snprintf(line, sizeof line, "request path=%s uid=%u pid=%d", r->path, q->uid,
			 (int)q->pid);
	else
		snprintf(line, sizeof line, "request path=%s address=%s", r->path, q->address);
	s->o.log(s->o.log_ctx, false, line);
}

static void login(struct prowl_serve *s, struct http_request *q)
{
	const char *nonce = weburl_param(&q->url, "once"), *to = weburl_param(&q->url, "to");
	char cookie[AUTH_COOKIE], set[HTTP_HEADER];
	struct auth_answer refused;
	struct facts facts;

	gather(q, &facts);
	if (!nonce || q->head) {
		serve_error(q, 400, "bad_parameter", "once is missing", NULL);
		return;
	}
	if (!auth_login(s->auth, &facts.f, nonce, cookie, &refused)) {
		say_refused(q, &refused);
		return;
	}
	snprintf(set, sizeof set, "%s; HttpOnly; SameSite=Strict; Path=/", cookie);
	http_add(q, "Set-Cookie", set);
	/* Only a path of ours: "//host" is another site. */
	if (!to || to[0] != '/' || to[1] == '/' || strchr(to, '\\'))
		to = "/";
	http_add(q, "Location", to);
	http_answer(q, 303, NULL, "", 0, HTTP_STATIC);
}

static bool is_login(const struct http_request *q)
{
	return !q->bad_url && q->get && q->url.nsegments == 1 && !q->url.folder &&
	       strcmp(q->url.segments[0], "login") == 0;
}

static enum auth_need need_of(const struct prowl_serve *s, const struct serve_route *route)
{
	if (!route)
		return AUTH_READ;
	if (s->o.metrics_without_token && strcmp(route->path, "/metrics") == 0)
		return AUTH_NOTHING;
	return route->need;
}

/* The headers are there. */
static void admit(void *ctx, struct http_request *q)
{
	struct prowl_serve *s = ctx;
	const struct serve_route *other, *route = find_route(q, &other);
	struct auth_answer refused;
	struct facts facts;

	q->user = (void *)route;
	if (is_login(q)) {
		login(s, q);
		return;
	}
	gather(q, &facts);
	auth_check(s->auth, &facts.f, need_of(s, route), &refused);
	if (refused.status) {
		log_guess(s, q, &refused);
		say_refused(q, &refused);
	} else if (q->bad_url) {
		serve_error(q, 400, "bad_path", "the address is not one", NULL);
	} else if (!route && other) {
		http_add(q, "Allow", other->post ? "POST" : "GET, HEAD");
		serve_error(q, 405, "method", "this path has another method", NULL);
	} else if (!route) {
		serve_error(q, 404, "no_such_path", "there is nothing at this path", NULL);
	}
}

/* --- answering --------------------------------------------------------------------- */

struct query {
	struct prowl_serve *s;
	struct http_request *q;
};

static void run_query(void *arg)
{
	struct query query = *(struct query *)arg;
	const struct serve_route *route = query.q->user;

	free(arg);
	route->answer(query.s, query.q);
	http_release(query.q);
}

static void answer_later(struct prowl_serve *s, struct http_request *q)
{
	struct query *query = malloc(sizeof *query);

	if (!query) {
		serve_no_memory(q);
		return;
	}
	*query = (struct query){s, q};
	if (!http_hold(q, NULL, NULL)) {
		serve_error(q, 503, "ending", "the daemon ends", NULL);
		free(query);
		return;
	}
	if (jobs_add(s->queries, run_query, query) == 0)
		return;
	free(query);
	http_add(q, "Retry-After", "5");
	serve_error(q, 503, "busy", "too many queries are under way", NULL);
	http_release(q);
}

/* The body is there. */
static void handle(void *ctx, struct http_request *q)
{
	struct prowl_serve *s = ctx;
	const struct serve_route *route = q->user;

	log_effect(s, q, route);
	if (q->too_long)
		serve_error(q, 413, "too_long", "the body is longer than 64 KiB", NULL);
	else if (route->later)
		answer_later(s, q);
	else
		route->answer(s, q);
}

static void done(void *ctx, struct http_request *q, unsigned int status, size_t bytes)
{
	struct prowl_serve *s = ctx;
	double seconds = (double)(prowl_now() - q->began) / 1e9;
	size_t i = 0;

	pthread_mutex_lock(&s->lock);
	while (i < s->ncounts && !(s->counts[i].route == q->user && s->counts[i].status == status))
		i++;
	if (i == s->ncounts && s->ncounts < SERVE_COUNTS)
		s->counts[s->ncounts++] = (struct serve_count){q->user, status, 0, 0};
	if (i < s->ncounts) {
		s->counts[i].n++;
		s->counts[i].seconds += seconds;
	}
	pthread_mutex_unlock(&s->lock);
}

/* --- the server -------------------------------------------------------------------- */

static enum prowl_code check(const struct prowl_serve_options *o, struct prowl_err *err)
{
	for (size_t i = 0; i < o->nlisteners; i++) {
		const struct prowl_listener *l = &o->listeners[i];

		if (!l->beyond || o->insecure)
			continue;
		prowl_fail(err, PROWL_USAGE,
			   "%s is not of this machine only, and the token and all profiles would "
			   "cross the network in clear text",
			   l->address);
		prowl_hint(err, "listen at http://127.0.0.1 behind a proxy with TLS or ssh -L; or, "
				"in a network that is trusted, http.insecure: true");
		return PROWL_USAGE;
	}
	return PROWL_OK;
}

/* The names of the options, and what is listened at. */
static enum prowl_code open_auth(struct prowl_serve *s, const struct prowl_serve_options *o,
				 struct prowl_err *err)
{
	const char *hosts[SERVE_ADDRESSES + 64];
	char names[SERVE_ADDRESSES][WEBURL_HOST];
	struct auth_options options = {.hosts = hosts, .gid = o->gid};
	bool tcp = false;

	for (size_t i = 0; i < o->nhosts && i < 64; i++)
		hosts[options.nhosts++] = o->hosts[i];
	for (size_t i = 0; i < o->nlisteners; i++) {
		const char *address = s->listeners[i].address;

		if (s->listeners[i].local)
			continue;
		tcp = true;
		if (strncmp(address, "http://", 7) == 0 && weburl_host(address + 7, names[i]))
			hosts[options.nhosts++] = names[i];
	}
	options.token_file = tcp ? o->token_file : NULL;
	return auth_open(&options, &s->auth, err);
}

static bool start_threads(struct prowl_serve *s)
{
	return jobs_new(s->o.query_threads, WAITING_QUERIES, &s->queries) == 0 &&
	       jobs_new(s->o.max_captures, WAITING_SAMPLERS, &s->samplers) == 0 &&
	       jobs_new(WAITERS, WAITERS, &s->waiters) == 0 && capture_table_new(&s->captures) == 0;
}

static enum prowl_code start_http(struct prowl_serve *s, struct prowl_err *err)
{
	struct http_listener listeners[SERVE_ADDRESSES];
	struct http_options options = {.listeners = listeners,
				       .n = s->o.nlisteners,
				       .max_accepted = s->o.max_connections,
				       .policy = policy,
				       .admit = admit,
				       .handle = handle,
				       .done = done,
				       .ctx = s};
	const char *why;
	int r;

	for (size_t i = 0; i < s->o.nlisteners; i++) {
		listeners[i] = (struct http_listener){s->listeners[i].fd, s->listeners[i].local};
		s->listeners[i].fd = -1;
	}
	r = http_start(&options, &s->http, &why);
	if (r == -ENOTSUP)
		return prowl_fail(err, PROWL_UNSUPPORTED, "%s", why);
	return r < 0 ? prowl_fail(err, PROWL_FAILED, "%s: %s", why, strerror(-r)) : PROWL_OK;
}

static void close_listeners(struct prowl_listener *listeners, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (listeners[i].fd >= 0)
			close(listeners[i].fd);
		prowl_serve_unlink(&listeners[i]);
	}
}

static struct prowl_serve *new_serve(const struct prowl_serve_options *o)
{
	struct prowl_serve *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->o = *o;
	s->b = o->backend;
	if (!s->o.max_captures)
		s->o.max_captures = 2;
	if (!s->o.max_seconds)
		s->o.max_seconds = DEFAULT_SECONDS;
	if (!s->o.max_rate)
		s->o.max_rate = DEFAULT_RATE;
	if (!s->o.query_threads)
		s->o.query_threads = 2;
	memcpy(s->listeners, o->listeners, o->nlisteners * sizeof *o->listeners);
	return s;
}

enum prowl_code prowl_serve_open(const struct prowl_serve_options *options,
				 struct prowl_serve **ret, struct prowl_err *err)
{
	struct prowl_serve *s = options->nlisteners <= SERVE_ADDRESSES ? new_serve(options) : NULL;
	enum prowl_code code;

	if (!s) {
		for (size_t i = 0; i < options->nlisteners; i++)
			close(options->listeners[i].fd);
		return prowl_fail(err, PROWL_FAILED, "can't listen at %zu addresses",
				  options->nlisteners);
	}
	code = check(options, err);
	if (code == PROWL_OK)
		code = open_auth(s, options, err);
	if (code == PROWL_OK && !start_threads(s))
		code = prowl_fail(err, PROWL_FAILED, "%s", strerror(ENOMEM));
	if (code == PROWL_OK)
		code = start_http(s, err);
	if (code == PROWL_OK)
		*ret = s;
	else
		prowl_serve_close(s);
	return code;
}

void prowl_serve_close(struct prowl_serve *s)
{
	if (!s)
		return;
	if (s->http)
		http_stop_taking(s->http);
	if (s->captures)
		capture_table_end(s->captures);
	jobs_end(s->samplers);
	jobs_end(s->waiters);
	jobs_end(s->queries);
	http_end(s->http);
	jobs_free(s->samplers);
	jobs_free(s->waiters);
	jobs_free(s->queries);
	capture_table_free(s->captures);
	auth_free(s->auth);
	close_listeners(s->listeners, s->o.nlisteners);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

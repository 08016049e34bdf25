/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <errno.h>
#include <unistd.h>

#ifdef PROWL_HTTP

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "clock.h"
#include "http_parts.h"

enum {
	MAX_ACCEPTED = 128,
	MAX_ADDED = 8,
	MEMORY = 24576, /* of a connection: its headers, and buffers of 4 KiB */
	IDLE_S = 30,
	FIRST_MS = 5000,
	SHORT = 65536, /* answers up to here are not counted: connections are */
};

#define ANSWERS (64u << 20) /* bytes that clients have not read yet */
#define BODY_NS 30000000000u
#define IDLE_NS 35000000000u

bool http_built(void)
{
	return true;
}

/* --- requests ---------------------------------------------------------------------- */

static void peer_of(struct http_call *call, int fd)
{
	struct ucred peer = {.uid = (uid_t)-1, .gid = (gid_t)-1};
	struct sockaddr_storage from = {0};
	socklen_t len = call->at->local ? sizeof peer : sizeof from;

	if (call->at->local) {
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
		call->q.pid = peer.pid;
		call->q.uid = peer.uid;
		call->q.gid = peer.gid;
	} else if (getpeername(fd, (struct sockaddr *)&from, &len) == 0) {
		const void *at = from.ss_family == AF_INET6
					 ? (void *)&((struct sockaddr_in6 *)&from)->sin6_addr
					 : (void *)&((struct sockaddr_in *)&from)->sin_addr;

		inet_ntop(from.ss_family, at, call->q.address, sizeof call->q.address);
	}
}

/* The first thing that is known of a request: its address. */
static void *on_address(void *ctx, const char *uri, struct MHD_Connection *c)
{
	struct http_at *at = ctx;
	const union MHD_ConnectionInfo *info;
	struct http_call *call = calloc(1, sizeof *call);

	if (!call)
		return NULL;
	call->at = at;
	call->connection = c;
	call->q.listener = at->index;
	call->q.local = at->local;
	call->q.began = prowl_now();
	call->q.bad_url = !weburl_parse(&call->q.url, uri);
	info = at->server->lib.connection(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	call->kept = info ? info->socket_context : NULL;
	info = at->server->lib.connection(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (info)
		peer_of(call, info->connect_fd);
	return call;
}

static void on_completed(void *ctx, struct MHD_Connection *c, void **state,
			 enum MHD_RequestTerminationCode how)
{
	struct http_call *call = *state;
	struct http_server *s;

	if (!call)
		return;
	s = call->at->server;
	http_keep(call, IDLE_NS);
	if (s->o.done && call->stage != HTTP_NEW)
		s->o.done(s->o.ctx, &call->q, call->stage == HTTP_DONE ? call->status : 0,
			  call->bytes);
	if (call->response)
		s->lib.destroy(call->response);
	atomic_fetch_sub(&s->answers, call->counted);
	free(call->added);
	free(call->body);
	free(call);
	*state = NULL;
}

static void add_body(struct http_call *call, const char *data, size_t n)
{
	size_t want = call->q.body_len + n + 1;

	if (call->q.too_long || want > HTTP_BODY + 1) {
		call->q.too_long = true;
		return;
	}
	if (want > call->body_cap) {
		size_t cap = want < 4096 ? 4096 : want * 2;
		char *bigger = realloc(call->body, cap);

		if (!bigger) {
			call->q.too_long = true;
			return;
		}
		call->body = bigger;
		call->body_cap = cap;
	}
	memcpy(call->body + call->q.body_len, data, n);
	call->q.body_len += n;
	call->body[call->q.body_len] = '\0';
}

static enum MHD_Result send_answer(struct http_call *call)
{
	struct http_server *s = call->at->server;

	call->stage = HTTP_DONE;
	/* Who was asked to answer, and couldn't. */
	if (!call->response)
		return MHD_NO;
	return s->lib.queue(call->connection, call->status, call->response);
}

static void begin(struct http_call *call, const char *method)
{
	struct http_server *s = call->at->server;

	call->stage = HTTP_READING;
	call->q.head = strcmp(method, "HEAD") == 0;
	call->q.get = call->q.head || strcmp(method, "GET") == 0;
	call->q.post = strcmp(method, "POST") == 0;
	call->q.body = "";
	http_keep(call, BODY_NS);
	if (s->o.admit)
		s->o.admit(s->o.ctx, &call->q);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *path,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **state)
{
	struct http_call *call = *state;

	if (!call)
		return MHD_NO;
	if (call->stage == HTTP_HELD)
		return send_answer(call);
	if (call->stage == HTTP_NEW) {
		begin(call, method);
		return http_answered(&call->q) ? send_answer(call) : MHD_YES;
	}
	if (*size) {
		add_body(call, data, *size);
		*size = 0;
		return MHD_YES;
	}
	http_keep(call, 0);
	call->q.body = call->body ? call->body : "";
	call->at->server->o.handle(call->at->server->o.ctx, &call->q);
	return call->stage == HTTP_HELD ? MHD_YES : send_answer(call);
}

const char *http_header(const struct http_request *q, const char *name, char to[HTTP_HEADER])
{
	struct http_call *call = http_call_of(q);
	const char *value = call->at->server->lib.lookup(call->connection, MHD_HEADER_KIND, name);

	snprintf(to, HTTP_HEADER, "%s", value && strlen(value) < HTTP_HEADER ? value : "");
	return to;
}

struct counting {
	const char *name;
	size_t n;
};

static enum MHD_Result count_header(void *arg, enum MHD_ValueKind kind, const char *name,
				    const char *value)
{
	struct counting *c = arg;

	c->n += name && strcasecmp(name, c->name) == 0;
	return MHD_YES;
}

size_t http_header_count(const struct http_request *q, const char *name)
{
	struct http_call *call = http_call_of(q);
	struct counting counting = {name, 0};

	call->at->server->lib.values(call->connection, MHD_HEADER_KIND, count_header, &counting);
	return counting.n;
}

/* --- answers ----------------------------------------------------------------------- */

void http_add(struct http_request *q, const char *name, const char *value)
{
	struct http_call *call = http_call_of(q);

	if (!call->added)
		call->added = calloc(MAX_ADDED, sizeof *call->added);
	if (!call->added || call->nadded == MAX_ADDED)
		return;
	snprintf(call->added[call->nadded].name, sizeof call->added->name, "%s", name);
	snprintf(call->added[call->nadded].value, sizeof call->added->value, "%s", value);
	call->nadded++;
}

static void add_headers(struct http_call *call, const char *mime)
{
	static const char *const always[][2] = {
		{"X-Content-Type-Options", "nosniff"},
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Referrer-Policy", "no-referrer"},
	};
	struct http_server *s = call->at->server;
	bool cache = false;

	if (mime)
		s->lib.header(call->response, "Content-Type", mime);
	for (size_t i = 0; i < sizeof always / sizeof *always; i++)
		s->lib.header(call->response, always[i][0], always[i][1]);
	if (s->o.policy)
		s->lib.header(call->response, "Content-Security-Policy", s->o.policy);
	for (size_t i = 0; i < call->nadded; i++) {
		s->lib.header(call->response, call->added[i].name, call->added[i].value);
		cache |= strcasecmp(call->added[i].name, "Cache-Control") == 0;
	}
	if (!cache)
		s->lib.header(call->response, "Cache-Control", "no-store");
}

/*
 * Who asks for much and reads slowly would hold all memory: one answer may be as long as it is,
 * others wait until there is room.
 */
static bool count_answer(struct http_call *call, size_t len)
{
	struct http_server *s = call->at->server;
	size_t before = atomic_fetch_add(&s->answers, len);

	if (before > 0 && before + len > s->o.max_answers) {
		atomic_fetch_sub(&s->answers, len);
		return false;
	}
	call->counted = len;
	return true;
}

void http_answer(struct http_request *q, unsigned int status, const char *mime, const void *bytes,
		 size_t len, enum http_bytes how)
{
	static const enum MHD_ResponseMemoryMode modes[] = {
		[HTTP_STATIC] = MHD_RESPMEM_PERSISTENT,
		[HTTP_OWNED] = MHD_RESPMEM_MUST_FREE,
		[HTTP_COPY] = MHD_RESPMEM_MUST_COPY,
	};
	static const char full[] = "other answers have not been read yet\n";
	struct http_call *call = http_call_of(q);

	if (call->response) {
		if (how == HTTP_OWNED)
			free((void *)bytes);
		return;
	}
	if (how != HTTP_STATIC && len > SHORT && !count_answer(call, len)) {
		if (how == HTTP_OWNED)
			free((void *)bytes);
		call->nadded = 0;
		http_add(q, "Retry-After", "5");
		http_answer(q, 503, "text/plain; charset=utf-8", full, sizeof full - 1,
			    HTTP_STATIC);
		return;
	}
	/* The library only reads them. */
	call->response = call->at->server->lib.response(len, (void *)bytes, modes[how]);
	call->status = status;
	call->bytes = len;
	if (call->response)
		add_headers(call, mime);
	else if (how == HTTP_OWNED)
		free((void *)bytes);
}

bool http_answered(const struct http_request *q)
{
	return http_call_of(q)->response != NULL;
}

/* --- the server -------------------------------------------------------------------- */

static int start_at(struct http_server *s, struct http_at *at)
{
	errno = 0;
	at->daemon = s->lib.start(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO | MHD_ALLOW_SUSPEND_RESUME, 0, NULL,
		NULL, on_request, at, MHD_OPTION_LISTEN_SOCKET, at->fd, MHD_OPTION_CONNECTION_LIMIT,
		s->o.max_accepted, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
		MHD_OPTION_NOTIFY_CONNECTION, http_on_connection, at, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, at, MHD_OPTION_URI_LOG_CALLBACK, on_address, at,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_S, MHD_OPTION_END);
	if (!at->daemon)
		return errno ? -errno : -EIO;
	at->fd = -1; /* the library closes it */
	return 0;
}

static int start(struct http_server *s, const char **ret_why)
{
	int r = http_lib_load(&s->lib);

	if (r < 0) {
		*ret_why = "libmicrohttpd is not there; Debian: apt-get install libmicrohttpd12";
		return r;
	}
	for (size_t i = 0; i < s->o.n; i++) {
		s->at[i].kept = calloc(s->o.max_accepted, sizeof *s->at[i].kept);
		if (!s->at[i].kept)
			return -ENOMEM;
	}
	r = http_keeper_start(s);
	for (size_t i = 0; i < s->o.n && r == 0; i++)
		r = start_at(s, &s->at[i]);
	return r;
}

static struct http_server *new_server(const struct http_options *options)
{
	struct http_server *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->o = *options;
	s->o.max_accepted = options->max_accepted ? options->max_accepted : MAX_ACCEPTED;
	s->o.max_kept = options->max_kept ? options->max_kept : (s->o.max_accepted + 1) / 2;
	s->o.first_ms = options->first_ms ? options->first_ms : FIRST_MS;
	s->o.max_answers = options->max_answers ? options->max_answers : ANSWERS;
	s->keeper_fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	s->at = calloc(options->n, sizeof *s->at);
	for (size_t i = 0; s->at && i < options->n; i++)
		s->at[i] = (struct http_at){
			s, i, options->listeners[i].local, options->listeners[i].fd, NULL, NULL};
	return s;
}

int http_start(const struct http_options *options, struct http_server **ret, const char **ret_why)
{
	struct http_server *s = new_server(options);
	int r;

	*ret_why = "the HTTP server can't start";
	if (!s || !s->at) {
		for (size_t i = 0; i < options->n; i++)
			close(options->listeners[i].fd);
		free(s);
		return -ENOMEM;
	}
	s->o.listeners = NULL; /* the caller's */
	r = start(s, ret_why);
	if (r < 0)
		http_end(s);
	else
		*ret = s;
	return r;
}

void http_stop_taking(struct http_server *s)
{
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_mutex_unlock(&s->lock);
}

void http_end(struct http_server *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->o.n; i++)
		if (s->at[i].daemon)
			s->lib.stop(s->at[i].daemon);
	http_keeper_end(s);
	for (size_t i = 0; i < s->o.n; i++) {
		if (s->at[i].fd >= 0)
			close(s->at[i].fd);
		free(s->at[i].kept);
	}
	pthread_mutex_destroy(&s->lock);
	free(s->at);
	free(s);
}

#else

bool http_built(void)
{
	return false;
}

int http_start(const struct http_options *options, struct http_server **ret, const char **ret_why)
{
	for (size_t i = 0; i < options->n; i++)
		close(options->listeners[i].fd);
	*ret_why = "this prowl was built without libmicrohttpd (Debian: libmicrohttpd-dev)";
	return -ENOTSUP;
}

void http_stop_taking(struct http_server *s)
{
}

void http_end(struct http_server *s)
{
}

const char *http_header(const struct http_request *q, const char *name, char to[HTTP_HEADER])
{
	to[0] = '\0';
	return to;
}

size_t http_header_count(const struct http_request *q, const char *name)
{
	return 0;
}

void http_add(struct http_request *q, const char *name, const char *value)
{
}

void http_answer(struct http_request *q, unsigned int status, const char *mime, const void *bytes,
		 size_t len, enum http_bytes how)
{
}

bool http_answered(const struct http_request *q)
{
	return false;
}

bool http_hold(struct http_request *q, void (*gone)(void *arg, struct http_request *q), void *arg)
{
	return false;
}

void http_release(struct http_request *q)
{
}

#endif

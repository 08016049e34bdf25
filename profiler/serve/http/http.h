/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP/1.1 server on sockets that listen already: libmicrohttpd, loaded when it is needed.
 *
 * Each listener has a thread, which calls `admit` when the headers of a request are there, and, if
 * that hasn't answered, `handle` when its body is there. What takes long is held by http_hold and
 * answered by another thread, which then calls http_release.
 *
 * What others can make it do is bounded: 16 KiB of headers, 64 KiB of body, 5 s for the headers of
 * a new connection, 30 s for a body and between requests, a number of connections a listener. With
 * too many of them, the one that was silent for longest is closed, so that nobody can lock others
 * out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "weburl.h"

struct http_server;

enum {
	HTTP_BODY = 65536,  /* bytes of a request's body, at most */
	HTTP_HEADER = 1024, /* bytes of a header that a handler reads, with a NUL */
	HTTP_ADDRESS = 64,
};

struct http_request {  /* read by handlers */
	bool head;     /* HEAD: the answer's body is left out */
	bool get;      /* GET or HEAD */
	bool post;     /* neither of these: another method */
	bool bad_url;  /* url is not to be used */
	bool too_long; /* the body is longer than HTTP_BODY, and is not there */
	struct weburl url;
	const char *body; /* ended with a NUL */
	size_t body_len;
	size_t listener; /* its index */
	/* Who asks. */
	bool local;                 /* at a Unix socket */
	pid_t pid;                  /* local only */
	uid_t uid;                  /* local only */
	gid_t gid;                  /* local only */
	char address[HTTP_ADDRESS]; /* else: the IP address */
	uint64_t began;             /* CLOCK_MONOTONIC, ns */
	void *user;                 /* the handler's own; see `done` */
};

struct http_listener {
	int fd;
	bool local;
};

struct http_options {
	const struct http_listener *listeners;
	size_t n;
	unsigned int max_accepted; /* connections of a listener; 0: 128 */
	size_t max_answers;        /* bytes that clients haven't read yet, all in all; 0: 64 MiB */
	unsigned int max_kept;     /* from there on the one silent for longest goes; 0: half */
	unsigned int first_ms;     /* for the headers of a new connection; 0: 5 s */
	const char *policy;        /* Content-Security-Policy of all answers */
	void (*admit)(void *ctx, struct http_request *q);  /* may be NULL */
	void (*handle)(void *ctx, struct http_request *q); /* answers or holds it */
	/* The answer was queued: for counting. May be NULL. status 0: nobody was there to get it.
	 */
	void (*done)(void *ctx, struct http_request *q, unsigned int status, size_t bytes);
	void *ctx;
};

/* Whether prowl was built with it. */
bool http_built(void);

/*
 * -ENOTSUP: not built in, or the library was not found (*ret_why); others of its start. The
 * listeners' descriptors are the server's then, and closed in any case.
 */
int http_start(const struct http_options *options, struct http_server **ret, const char **ret_why);
/*
 * Takes no further request: handlers that want to hold one can't. Whoever holds requests has to
 * release them before http_end.
 */
void http_stop_taking(struct http_server *s);
void http_end(struct http_server *s);

/* A header of the request, "" without it or where it is longer than HTTP_HEADER; returns to. */
const char *http_header(const struct http_request *q, const char *name, char to[HTTP_HEADER]);
/* How often it is there. */
size_t http_header_count(const struct http_request *q, const char *name);

/* --- answers ----------------------------------------------------------------------- */

enum http_bytes {
	HTTP_STATIC, /* stay as long as the server */
	HTTP_OWNED,  /* from malloc, are freed by the server, also on failure */
	HTTP_COPY,
};

/* A header of the answer, before it: at most 8, 1 KiB each. Names and values are the caller's. */
void http_add(struct http_request *q, const char *name, const char *value);
/* Once for each request. */
void http_answer(struct http_request *q, unsigned int status, const char *mime, const void *bytes,
		 size_t len, enum http_bytes how);
bool http_answered(const struct http_request *q);

/*
 * In a handler: the answer comes later, from any thread. `gone` (may be NULL) is called once, by
 * another thread, when the client closes the connection meanwhile; the request is still to be
 * released then. False: no request is held any more, and this one is to be answered now.
 */
bool http_hold(struct http_request *q, void (*gone)(void *arg, struct http_request *q), void *arg);
/* Sends the answer of a request that was held. `gone` isn't called any more when it returns. */
void http_release(struct http_request *q);

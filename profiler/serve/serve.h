/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's HTTP server: /targets/KEY/debug/pprof for every process, the API over the store, the
 * page, and figures for Prometheus.
 *
 *	prowl_serve_listen   a socket, as long as we may
 *	prowl_serve_open     serves from threads of its own
 *	prowl_serve_close    ends what is under way
 *
 * Who may ask: at a Unix socket whoever its mode lets in, and root, the daemon's user and its group
 * only; at a TCP address whoever has the token. See auth.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

struct prowl_backend;
struct prowl_store;
struct prowl_serve;

struct prowl_listener {
	int fd;        /* listens; closed by prowl_serve_close */
	bool local;    /* a Unix socket */
	bool beyond;   /* a TCP address that is not of the loopback */
	uint16_t port; /* TCP */
	int file;      /* O_PATH, of the Unix socket's file; -1: it is another one's, and stays */
	char address[128]; /* "unix:/run/prowl/prowl.sock", "http://127.0.0.1:7424" */
};

/*
 * Listens at "unix:PATH" or "http://ADDRESS[:PORT]" (without a port 7424; 0: any that is free,
 * which ret->address then has), or takes over a socket that listens already: "fd:N". Of ADDRESS an
 * IPv6 one is in brackets; "localhost" is 127.0.0.1.
 *
 * A Unix socket gets the group `gid` and mode 0660; mode 0600 where that can't be, and with
 * (gid_t)-1. One that nobody
 * listens at any more is replaced; PROWL_FAILED when somebody does. PROWL_USAGE: the address is
 * none.
 */
enum prowl_code prowl_serve_listen(const char *address, gid_t gid, struct prowl_listener *ret,
				   struct prowl_err *err);

/* Removes the file of a Unix socket that was made here, unless another one has its place. */
void prowl_serve_unlink(struct prowl_listener *l);

struct prowl_serve_options {
	/* Taken over, also on failure: the server closes them and removes the Unix sockets. */
	const struct prowl_listener *listeners;
	size_t nlisteners;
	/*
	 * Where the token of TCP is (32 random bytes as base64url); made with mode 0640 and the
	 * group `gid`, else 0600, where there is none yet. NULL: a token for this run only.
	 */
	const char *token_file;
	const char *const *hosts; /* names that Host may have beside localhost and the listeners' */
	size_t nhosts;
	bool insecure;                /* TCP beyond the loopback, in clear text */
	bool metrics_without_token;   /* also of the two health paths, which never need one */
	gid_t gid;                    /* who may use the Unix socket; (gid_t)-1: no further group */
	unsigned int max_connections; /* of each listener; 0: 128 */
	unsigned int max_captures;    /* that sample at a time; 0: 2 */
	unsigned int max_seconds;     /* of one capture; 0: 300 */
	unsigned int max_rate;        /* Hz; 0: 999 */
	unsigned int query_threads;   /* 0: 2 */
	const struct prowl_backend *backend; /* outlives the server */
	/* May be open for reading only; outlives the server. NULL: there is none. */
	struct prowl_store *store;
	/* A line for the log, from any thread; NULL: none. Never a token, a label or an argument.
	 */
	void (*log)(void *ctx, bool important, const char *line);
	void *log_ctx;
};

/*
 * PROWL_USAGE: a listener beyond the loopback without `insecure`; PROWL_UNSUPPORTED: libmicrohttpd
 * is not there; PROWL_PERMISSION: others may read the token's file.
 */
enum prowl_code prowl_serve_open(const struct prowl_serve_options *options,
				 struct prowl_serve **ret, struct prowl_err *err);

/* Ends captures that are under way, answers what can be answered, and stops. NULL: nothing. */
void prowl_serve_close(struct prowl_serve *s);

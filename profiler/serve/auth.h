/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may ask for what.
 *
 * At a Unix socket: root, the daemon's user and its group. At TCP, on the loopback too, which is
 * public on a host with several users: whoever has the token, as "Authorization: Bearer TOKEN", as
 * Basic with any user and the token as password, or as a cookie, which /login?once=NONCE sets.
 *
 * Against other sites in a browser: Host must be a name of ours (DNS rebinding), effects need POST
 * with JSON, and with what a browser sends by itself (a cookie, Basic) the page's own origin.
 *
 * Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "weburl.h"

struct auth;

enum { AUTH_TOKEN = 44, AUTH_NONCE = 33 }; /* with their NULs */

struct auth_options {
	const char *token_file; /* NULL: a token for this run */
	const char *const *hosts;
	size_t nhosts;
	gid_t gid;             /* (gid_t)-1: none */
	uint64_t (*now)(void); /* CLOCK_MONOTONIC in ns; NULL: that */
};

/* The file is made where it isn't there. PROWL_PERMISSION: others may read it. */
enum prowl_code auth_open(const struct auth_options *o, struct auth **ret, struct prowl_err *err);
void auth_free(struct auth *a);

/* "": there is no token, as nothing listens at TCP. */
const char *auth_token(const struct auth *a);

enum auth_need {
	AUTH_NOTHING, /* anybody: the health of the daemon */
	AUTH_READ,
	AUTH_CAPTURE, /* reads, at a cost */
	AUTH_EFFECT,  /* changes something */
	AUTH_OWNER,   /* the same, and only root or the daemon's user, at the Unix socket */
};

struct auth_facts { /* "" where it is not there */
	bool local;
	uid_t uid;
	gid_t gid;
	pid_t pid;
	const char *address;
	bool get; /* or HEAD */
	bool post;
	size_t hosts; /* number of Host headers */
	const char *host, *authorization, *cookie, *origin, *site /* Sec-Fetch-Site */;
	const char *content_type, *x_prowl;
};

struct auth_answer {
	unsigned int status;               /* 0: may */
	const char *code, *message, *hint; /* static */
	unsigned int retry_s;              /* of 429 */
};

void auth_check(struct auth *a, const struct auth_facts *f, enum auth_need need,
		struct auth_answer *ret);

/* A nonce for one login within 60 s. False: no random bytes. */
bool auth_invite(struct auth *a, char nonce[AUTH_NONCE]);
/* Uses it up; fills the cookie to be set, "name=value". */
enum { AUTH_COOKIE = 96 };
bool auth_login(struct auth *a, const struct auth_facts *f, const char *nonce,
		char cookie[AUTH_COOKIE], struct auth_answer *ret);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of a request that anybody may have written: address, Host, Authorization, Cookie.
 * Whatever is not as it should be is refused, never repaired. Pure functions; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
	WEBURL_LEN = 8192, /* of an address, with its NUL */
	WEBURL_SEGMENTS = 12,
	WEBURL_PARAMS = 48,
	WEBURL_HOST = 256,
	WEBURL_TOKEN = 128, /* of a password or token, with its NUL */
};

struct weburl_param {
	const char *name, *value; /* decoded; value "" without one */
};

struct weburl {
	char text[WEBURL_LEN]; /* what the rest points into */
	size_t path_len;       /* of the path as it was asked for, which begins text */
	const char *segments[WEBURL_SEGMENTS]; /* decoded: "a/b" of "/a%2Fb" is one */
	size_t nsegments;
	bool folder; /* the path ends with a slash */
	struct weburl_param params[WEBURL_PARAMS];
	size_t nparams;
	char decoded[WEBURL_LEN];
};

/*
 * "/a/b%20c/?x=1&y". False: no path from the root, an empty segment, "." or "..", a control
 * character, an escape that is none, more of anything than there is room for.
 */
bool weburl_parse(struct weburl *u, const char *address);

/* The first parameter of that name; NULL: there is none. */
const char *weburl_param(const struct weburl *u, const char *name);

/* The name in "Name:1234" or "[::1]:1234", in lower case, without brackets. */
bool weburl_host(const char *host, char name[WEBURL_HOST]);

/* The token in "Bearer TOKEN" or the password in "Basic BASE64". */
bool weburl_credentials(const char *authorization, char token[WEBURL_TOKEN]);

/* The value of a cookie. */
bool weburl_cookie(const char *cookies, const char *name, char value[WEBURL_TOKEN]);

/* Bytes as base64url without padding; `text` has room for 4 / 3 of them, and a NUL. */
void weburl_base64(const void *bytes, size_t len, char *text);

/* Whether both are the same; how long it takes tells only their lengths. */
bool weburl_same_secret(const char *given, const char *secret);

/* Escapes what is no letter, digit or one of "-._~" and `more`; false: no room. */
bool weburl_escape(const char *text, const char *more, char *to, size_t len);

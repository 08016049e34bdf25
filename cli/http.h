/* SPDX-License-Identifier: Apache-2.0 */
/* A few pages that are served to this machine alone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_page {
	const char *path; /* "/" */
	const char *mime;
	const char *filename; /* under which it is to be saved; NULL: it is to be shown */
	const void *bytes;
	size_t len;
};

struct http_server;

enum { HTTP_TOKEN = 33 }; /* 128 bits as hex, and a NUL */

/* Whether this prowl can serve at all. */
bool http_built(void);

/*
 * Serves the pages (which ends with a path of NULL, and must stay where it is) at 127.0.0.1 from a
 * thread of its own. *port: 0 lets the kernel choose; afterwards the one that is used. A request
 * that names any other host than this one is refused, so that no page elsewhere can read the
 * answers by giving itself our address; so is one of another user of the machine, who doesn't know
 * the page's token. A token is good for one GET (PATH?t=TOKEN), which gets a cookie that is good
 * for all: what stands in the arguments of a browser is seen by everybody, but not before it is
 * used up. Any number of connections that ask nothing shut nobody out: the oldest ones go.
 * -ENOTSUP: not built in, or the library isn't there, which *ret_why then names; errno of bind(2).
 */
int http_serve(const struct http_page *pages, uint16_t *port, struct http_server **ret_server,
	       const char **ret_why);
/* The token of the i-th page. */
const char *http_token(const struct http_server *s, size_t i);
void http_end(struct http_server *s);

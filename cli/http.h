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

/* Whether this prowl can serve at all. */
bool http_built(void);

/*
 * Serves the pages (which ends with a path of NULL, and must stay where it is) at 127.0.0.1 from a
 * thread of its own. *port: 0 lets the kernel choose; afterwards the one that is used. A request
 * that names any other host than this one is refused, so that no page elsewhere can read the
 * answers by giving itself our address. -ENOTSUP: not built in, or the library isn't there, which
 * *ret_why then names; errno of bind(2).
 */
int http_serve(const struct http_page *pages, uint16_t *port, struct http_server **ret_server,
	       const char **ret_why);
void http_end(struct http_server *s);

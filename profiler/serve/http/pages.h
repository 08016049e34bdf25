/* SPDX-License-Identifier: Apache-2.0 */
/* A server of a few pages, for this user of this machine only. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct page {
	const char *path; /* "/" */
	const char *mime;
	const char *filename; /* the browser saves it under that name; NULL: shows it */
	const void *bytes;
	size_t len;
};

struct pages;

enum { PAGES_TOKEN = 33 }; /* 128 bits as hex, and a NUL */

/*
 * Serves the pages (an array that ends with a path of NULL, and must stay in memory) at 127.0.0.1
 * from threads of its own. *port: 0 lets the kernel choose; afterwards the one in use. A request
 * for any other host name is refused, so that no other web page can read the answers by DNS
 * rebinding. So is a request of another user of the machine, who doesn't know the page's token. A
 * token is good for one GET (PATH?t=TOKEN), whose answer sets a cookie for all pages: everybody can
 * read a browser's arguments, but only when the token is used up. Idle connections can't lock
 * anybody out: the oldest ones are closed. -ENOTSUP: not built in, or the library was not found
 * (*ret_why); errno of bind(2).
 */
int pages_serve(const struct page *pages, uint16_t *port, struct pages **ret, const char **ret_why);
/* The token of the i-th page. */
const char *pages_token(const struct pages *p, size_t i);
void pages_end(struct pages *p);

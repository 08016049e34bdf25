/* SPDX-License-Identifier: Apache-2.0 */
/* The page and its parts. */
#include <stdlib.h>
#include <string.h>

#include "page.h"
#include "serve_parts.h"

static void send_asset(struct http_request *q, const struct page_asset *a)
{
	char known[HTTP_HEADER];

	http_add(q, "ETag", a->etag);
	http_add(q, "Cache-Control", "private, no-cache");
	if (strcmp(http_header(q, "If-None-Match", known), a->etag) == 0)
		http_answer(q, 304, NULL, "", 0, HTTP_STATIC);
	else
		http_answer(q, 200, a->mime, a->bytes, a->len, HTTP_STATIC);
}

static void page(struct prowl_serve *s, struct http_request *q)
{
	for (size_t i = 0; i < page_nassets; i++)
		if (strlen(page_assets[i].path) == q->url.path_len &&
		    memcmp(page_assets[i].path, q->url.text, q->url.path_len) == 0) {
			send_asset(q, &page_assets[i]);
			return;
		}
	serve_error(q, 404, "no_such_path", "there is nothing at this path", NULL);
}

const struct serve_route serve_page_routes[] = {
	{"/", AUTH_READ, false, false, page},
	{"/ui/*", AUTH_READ, false, false, page},
	{NULL},
};

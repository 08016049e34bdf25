/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page of prowl daemon: its files as bytes, to be served as they are, each under its path. They
 * are static; any number of threads may read them.
 *
 * The page needs this policy, and works with nothing else allowed: PAGE_POLICY as
 * Content-Security-Policy. What it asks the server for is in README.md.
 */
#pragma once

#include <stddef.h>

#define PAGE_POLICY                                                                     \
	"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " \
	"img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

struct page_asset {
	const char *path; /* "/" for the page itself, "/ui/..." for its parts */
	const char *mime;
	const char *etag; /* of these bytes, in its quotes: "\"1f0c...\"" */
	const unsigned char *bytes;
	size_t len;
};

/* "/" is the first. */
extern const struct page_asset page_assets[];
extern const size_t page_nassets;

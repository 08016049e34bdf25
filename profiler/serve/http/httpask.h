/* SPDX-License-Identifier: Apache-2.0 */
/* A request to a server on this machine, for commands that talk to the daemon. */
#pragma once

#include <stddef.h>

struct http_reply {
	unsigned int status;
	char type[96];      /* "" without one */
	char location[512]; /* the same */
	char *body;         /* ended with a NUL; freed by http_reply_fini */
	size_t len;
};

/*
 * Asks the server at a Unix socket and reads all of the answer. body: JSON of a POST, or NULL for
 * GET. wake_fd (an eventfd, or -1) ends it: -EINTR. Otherwise errno of connect(2), read(2);
 * -EPROTO: that is no HTTP server of ours; -EFBIG: more than 1 GiB.
 */
int http_ask(const char *socket_path, const char *target, const char *body, int wake_fd,
	     struct http_reply *ret);
void http_reply_fini(struct http_reply *r);

/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the daemon that runs, over its Unix socket. */
#pragma once

#include <stdbool.h>
#include <jansson.h>

#include "err.h"
#include "httpask.h"

/* Types and fields take no parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
/* clang-format off */
#define DAEMON_SOCKET(type, field) \
	OPT_TEXT(0, "socket", "PATH", "the daemon's socket (default: PROWL_SOCKET, or where it is)", \
		 type, field)
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

/*
 * Asks the daemon at that socket; NULL: that of PROWL_SOCKET, this user's, or the system's. body:
 * JSON of a POST, or NULL. wake_fd as in http_ask. Anything but PROWL_OK after an error message;
 * the reply is then empty.
 */
enum prowl_code daemon_ask(const char *socket, const char *target, const char *body, int wake_fd,
			   struct http_reply *ret);
/* The same for an answer in JSON, which the caller releases; the reply as well, for --json. */
enum prowl_code daemon_ask_json(const char *socket, const char *target, const char *body,
				struct http_reply *ret, json_t **ret_root);

/* "" where it is not there. */
const char *daemon_text(const json_t *o, const char *key);
double daemon_number(const json_t *o, const char *key);

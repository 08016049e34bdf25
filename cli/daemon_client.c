/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "term.h"

enum { PATH = 4096 };

/* Where the daemon is: the user's own, else the system's. */
static const char *find_socket(const char *given, char path[PATH])
{
	static const char system_wide[] = "/run/prowl/prowl.sock";

	if (!given || !*given)
		given = getenv("PROWL_SOCKET");
	if (given && *given)
		return strncmp(given, "unix:", 5) == 0 ? given + 5 : given;
	if (prowl_config_socket(path, PATH) &&
	    (access(path, F_OK) == 0 || access(system_wide, F_OK) < 0))
		return path;
	snprintf(path, PATH, "%s", system_wide);
	return path;
}

static enum prowl_code say_unreachable(const char *path, int error)
{
	struct prowl_err err;

	if (error == EINTR)
		return PROWL_NOTHING;
	if (error == ENOENT || error == ECONNREFUSED) {
		prowl_fail(&err, PROWL_FAILED, "no daemon listens at %s", path);
		prowl_hint(&err, "prowl daemon run starts one; --socket PATH or PROWL_SOCKET names "
				 "another place");
	} else if (error == EACCES || error == EPERM) {
		prowl_fail(&err, PROWL_PERMISSION, "%s may not be used: %s", path, strerror(error));
		prowl_hint(&err,
			   "only root and the daemon's group may ask it: usermod -aG prowl USER");
	} else if (error == EPROTO) {
		prowl_fail(&err, PROWL_FAILED, "%s answered in a way that is not understood", path);
	} else {
		prowl_fail(&err, PROWL_FAILED, "%s: %s", path, strerror(error));
	}
	return say_failure(&err);
}

const char *daemon_text(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

double daemon_number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static enum prowl_code code_of(unsigned int status)
{
	switch (status) {
	case 400:
	case 405:
	case 409:
		return PROWL_USAGE;
	case 401:
	case 403:
		return PROWL_PERMISSION;
	case 404:
	case 422:
		return PROWL_NOTHING;
	default:
		return PROWL_FAILED;
	}
}

/* {"error": {...}}, or plain lines, the first of which is the message. */
static enum prowl_code say_refused(const struct http_reply *r)
{
	json_t *root = json_loadb(r->body, r->len, 0, NULL);
	const json_t *error = json_object_get(root, "error");
	size_t n = strcspn(r->body, "\n");
	struct prowl_err err;

	if (error) {
		prowl_fail(&err, code_of(r->status), "%s", daemon_text(error, "message"));
		prowl_hint(&err, "%s", daemon_text(error, "hint"));
	} else if (n) {
		prowl_fail(&err, code_of(r->status), "%.*s", (int)n, r->body);
		n += r->body[n] == '\n';
		prowl_hint(&err, "%.*s", (int)strcspn(r->body + n, "\r"), r->body + n);
		for (n = strlen(err.hint); n && err.hint[n - 1] == '\n'; n--)
			err.hint[n - 1] = '\0';
	} else {
		prowl_fail(&err, PROWL_FAILED, "the daemon answered %u", r->status);
	}
	json_decref(root);
	return say_failure(&err);
}

enum prowl_code daemon_ask(const char *socket, const char *target, const char *body, int wake_fd,
			   struct http_reply *ret)
{
	char found[PATH] = "";
	const char *path = find_socket(socket, found);
	int r = http_ask(path, target, body, wake_fd, ret);
	enum prowl_code code;

	if (r < 0)
		return say_unreachable(path, -r);
	if (ret->status >= 200 && ret->status < 300)
		return PROWL_OK;
	code = say_refused(ret);
	http_reply_fini(ret);
	return code;
}

enum prowl_code daemon_ask_json(const char *socket, const char *target, const char *body,
				struct http_reply *ret, json_t **ret_root)
{
	enum prowl_code code = daemon_ask(socket, target, body, -1, ret);

	if (code != PROWL_OK)
		return code;
	*ret_root = json_loadb(ret->body, ret->len, 0, NULL);
	if (*ret_root)
		return PROWL_OK;
	say_error("the daemon's answer is not understood");
	http_reply_fini(ret);
	return PROWL_FAILED;
}

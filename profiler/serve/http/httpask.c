/* SPDX-License-Identifier: Apache-2.0 */
#include "httpask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST = 1 << 30, HEADERS = 32768 };

static int reach(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof at.sun_path)
		return -ENAMETOOLONG;
	memcpy(at.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static int send_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return -errno;
		if (sent > 0) {
			bytes += sent;
			n -= (size_t)sent;
		}
	}
	return 0;
}

static int send_request(int fd, const char *target, const char *body)
{
	char *head;
	int n, r;

	if (body)
		n = asprintf(&head,
			     "POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
			     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
			     target, strlen(body));
	else
		n = asprintf(&head,
			     "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
			     target);
	if (n < 0)
		return -ENOMEM;
	r = send_all(fd, head, (size_t)n);
	if (r == 0 && body)
		r = send_all(fd, body, strlen(body));
	free(head);
	return r;
}

/* --- the answer -------------------------------------------------------------------- */

struct reading {
	char *bytes;
	size_t len, cap;
};

static int read_all(int fd, int wake_fd, struct reading *in)
{
	struct pollfd fds[] = {{fd, POLLIN, 0}, {wake_fd, POLLIN, 0}};

	for (;;) {
		ssize_t n;

		if (in->len + 1 >= in->cap) {
			size_t cap = in->cap ? in->cap * 2 : 65536;
			char *bigger = cap <= MOST ? realloc(in->bytes, cap) : NULL;

			if (!bigger)
				return cap <= MOST ? -ENOMEM : -EFBIG;
			in->bytes = bigger;
			in->cap = cap;
		}
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			return -EINTR;
		if (!fds[0].revents)
			continue;
		n = read(fd, in->bytes + in->len, in->cap - in->len - 1);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		in->len += n > 0 ? (size_t)n : 0;
	}
}

/* The value of a line "NAME: VALUE" of the headers; false: there is none. */
static bool header(const char *headers, const char *name, char *to, size_t len)
{
	size_t n = strlen(name);

	for (const char *line = headers; line; line = strstr(line, "\r\n")) {
		const char *value;

		line += line == headers ? 0 : 2;
		if (strncasecmp(line, name, n) != 0 || line[n] != ':')
			continue;
		value = line + n + 1 + strspn(line + n + 1, " ");
		snprintf(to, len, "%.*s", (int)strcspn(value, "\r\n"), value);
		return true;
	}
	to[0] = '\0';
	return false;
}

/* What was read becomes the answer. */
static int parse(struct reading *in, struct http_reply *ret)
{
	char *end = memmem(in->bytes, in->len, "\r\n\r\n", 4), length[32];
	size_t skip;

	if (!end || end - in->bytes > HEADERS || strncmp(in->bytes, "HTTP/1.1 ", 9) != 0)
		return -EPROTO;
	*end = '\0';
	skip = (size_t)(end - in->bytes) + 4;
	ret->status = (unsigned int)strtoul(in->bytes + 9, NULL, 10);
	header(in->bytes, "Content-Type", ret->type, sizeof ret->type);
	header(in->bytes, "Location", ret->location, sizeof ret->location);
	ret->len = in->len - skip;
	/* An answer that was cut off is none. */
	if (!header(in->bytes, "Content-Length", length, sizeof length) ||
	    strtoull(length, NULL, 10) != ret->len)
		return -EPROTO;
	memmove(in->bytes, in->bytes + skip, ret->len);
	in->bytes[ret->len] = '\0';
	ret->body = in->bytes;
	in->bytes = NULL;
	return 0;
}

int http_ask(const char *socket_path, const char *target, const char *body, int wake_fd,
	     struct http_reply *ret)
{
	struct reading in = {0};
	int fd = reach(socket_path), r;

	*ret = (struct http_reply){0};
	if (fd < 0)
		return fd;
	r = send_request(fd, target, body);
	/* An answer may come before all was sent: a body that is too long. */
	if (r == 0 || r == -EPIPE)
		r = read_all(fd, wake_fd, &in);
	if (r == 0)
		in.bytes[in.len] = '\0';
	if (r == 0)
		r = parse(&in, ret);
	free(in.bytes);
	close(fd);
	return r;
}

void http_reply_fini(struct http_reply *r)
{
	free(r->body);
	*r = (struct http_reply){0};
}

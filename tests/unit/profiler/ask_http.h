/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP as a test writes it: any bytes to a server, and what it answers. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "unit_test.h"

/* A socket that listens on the loopback. */
static inline int t_listen_tcp(uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 128), 0);
	getsockname(fd, (struct sockaddr *)&at, &len);
	*port = ntohs(at.sin_port);
	return fd;
}

static inline int t_connect(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

static inline int t_connect_local(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

static inline void t_send(int fd, const char *text)
{
	size_t n = strlen(text);

	while (n) {
		ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return; /* refused before its end */
		text += sent;
		n -= (size_t)sent;
	}
}

enum { T_ANSWER = 1 << 20 };

struct t_answer {
	unsigned int status; /* 0: closed without one */
	char *text;          /* all of it */
	const char *body;
	size_t len;
};

/* Until the server closes it; fails after 20 s. */
static inline struct t_answer t_receive(int fd)
{
	struct t_answer a = {.text = malloc(T_ANSWER + 1)};
	size_t used = 0;
	ssize_t n = 1;

	while (n > 0 && used < T_ANSWER) {
		struct pollfd p = {fd, POLLIN, 0};

		if (poll(&p, 1, 20000) != 1)
			fail_msg("no answer: %.*s", (int)used, a.text);
		n = read(fd, a.text + used, T_ANSWER - used);
		used += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	a.text[used] = '\0';
	if (strncmp(a.text, "HTTP/1.1 ", 9) == 0)
		a.status = (unsigned int)atoi(a.text + 9);
	a.body = memmem(a.text, used, "\r\n\r\n", 4);
	a.body = a.body ? a.body + 4 : "";
	a.len = *a.body ? used - (size_t)(a.body - a.text) : 0;
	return a;
}

/* Whether a line of the headers is there. */
static inline int t_has(const struct t_answer *a, const char *line)
{
	const char *at = strstr(a->text, line);

	return at && at < a->body && (at[strlen(line)] == '\r' || line[strlen(line) - 1] == ' ');
}

/* "GET /path", with more headers, each ended by \r\n. */
static inline struct t_answer t_ask(uint16_t port, const char *what, const char *headers)
{
	int fd = t_connect(port);
	char text[8192];

	snprintf(text, sizeof text, "%s HTTP/1.1\r\nConnection: close\r\n%s%s\r\n", what,
		 strstr(headers, "Host:") ? "" : "Host: 127.0.0.1\r\n", headers);
	t_send(fd, text);
	return t_receive(fd);
}

/* The same with a body. */
static inline struct t_answer t_post(uint16_t port, const char *path, const char *headers,
				     const char *body)
{
	char more[4096], what[1024];
	int fd = t_connect(port);

	snprintf(what, sizeof what, "POST %s HTTP/1.1\r\nConnection: close\r\n", path);
	snprintf(more, sizeof more, "%s%sContent-Length: %zu\r\n\r\n",
		 strstr(headers, "Host:") ? "" : "Host: 127.0.0.1\r\n", headers, strlen(body));
	t_send(fd, what);
	t_send(fd, more);
	t_send(fd, body);
	return t_receive(fd);
}

static inline void t_free(struct t_answer *a)
{
	free(a->text);
	*a = (struct t_answer){0};
}

#define assert_status(answer, wanted)                                                              \
	do {                                                                                       \
		struct t_answer answered = (answer);                                               \
		if (answered.status != (wanted))                                                   \
			fail_msg("%u, not %d: %s", answered.status, (int)(wanted), answered.text); \
		t_free(&answered);                                                                 \
	} while (0)

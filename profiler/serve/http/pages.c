/* SPDX-License-Identifier: Apache-2.0 */
#include "pages.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"

enum { MAX_PAGES = 4 };

static const char plain[] = "text/plain; charset=utf-8";

struct pages {
	const struct page *pages;
	char tokens[MAX_PAGES][PAGES_TOKEN]; /* "" once it is used */
	char cookie[PAGES_TOKEN], cookie_name[24];
	struct http_server *server;
};

/* --- who asks ---------------------------------------------------------------------- */

static bool make_token(char token[PAGES_TOKEN])
{
	uint8_t bytes[(PAGES_TOKEN - 1) / 2];

	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		return false;
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(token + 2 * i, 3, "%02x", bytes[i]);
	return true;
}

enum visitor { STRANGER, WITH_TOKEN, WITH_COOKIE };

static enum visitor who_asks(struct pages *p, const struct http_request *q, const struct page *page)
{
	char *token = page ? p->tokens[page - p->pages] : NULL;
	char cookies[HTTP_HEADER], cookie[WEBURL_TOKEN];
	const char *given = q->bad_url ? NULL : weburl_param(&q->url, "t");

	http_header(q, "Cookie", cookies);
	if (weburl_cookie(cookies, p->cookie_name, cookie) && weburl_same_secret(cookie, p->cookie))
		return WITH_COOKIE;
	if (!token || q->head || !given || !weburl_same_secret(given, token))
		return STRANGER;
	token[0] = '\0';
	return WITH_TOKEN;
}

static bool is_this_host(const struct http_request *q)
{
	char host[HTTP_HEADER], name[WEBURL_HOST];

	return weburl_host(http_header(q, "Host", host), name) &&
	       (strcmp(name, "127.0.0.1") == 0 || strcmp(name, "localhost") == 0 ||
		strcmp(name, "::1") == 0);
}

/* --- answers ----------------------------------------------------------------------- */

static const struct page *find_page(const struct pages *p, const struct weburl *url)
{
	for (const struct page *page = p->pages; page->path; page++)
		if (strlen(page->path) == url->path_len &&
		    strncmp(page->path, url->text, url->path_len) == 0)
			return page;
	return NULL;
}

static void say(struct http_request *q, unsigned int status, const char *text)
{
	http_answer(q, status, plain, text, strlen(text), HTTP_STATIC);
}

static void set_cookie(struct pages *p, struct http_request *q)
{
	char set[100];

	snprintf(set, sizeof set, "%s=%s; HttpOnly; SameSite=Lax; Path=/", p->cookie_name,
		 p->cookie);
	http_add(q, "Set-Cookie", set);
}

static void send_page(struct http_request *q, const struct page *page)
{
	char disposition[300];

	if (page->filename) {
		snprintf(disposition, sizeof disposition, "attachment; filename=\"%s\"",
			 page->filename);
		http_add(q, "Content-Disposition", disposition);
	}
	/* The bytes outlive the server. */
	http_answer(q, 200, page->mime, page->bytes, page->len, HTTP_STATIC);
}

static void admit(void *ctx, struct http_request *q)
{
	struct pages *p = ctx;
	const struct page *page = find_page(p, &q->url);
	enum visitor visitor;

	if (!is_this_host(q)) {
		say(q, 403, "only for this machine\n");
		return;
	}
	if (!q->get) {
		http_add(q, "Allow", "GET, HEAD");
		say(q, 405, "only GET\n");
		return;
	}
	visitor = who_asks(p, q, page);
	if (visitor == STRANGER) {
		say(q, 403,
		    "only by the address that prowl open has printed, which is good for one "
		    "browser\n");
		return;
	}
	if (!page) {
		say(q, 404, "there are / and /profile.pb.gz\n");
		return;
	}
	if (visitor == WITH_TOKEN)
		set_cookie(p, q);
	if (visitor == WITH_COOKIE || page->filename) {
		send_page(q, page);
		return;
	}
	/* The address without the token, which is used up, is the one to keep. */
	http_add(q, "Location", page->path);
	say(q, 303, "");
}

/* Everything was answered by its headers. */
static void handle(void *ctx, struct http_request *q)
{
}

/* --- the server -------------------------------------------------------------------- */

static int listen_at(uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0)
		return -errno;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, SOMAXCONN) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	*port = ntohs(at.sin_port);
	return fd;
}

static int start(struct pages *p, uint16_t *port, const char **ret_why)
{
	struct http_listener listener = {-1, false};
	/* In addition to the pages' own policy. */
	const struct http_options options = {.listeners = &listener,
					     .n = 1,
					     .policy = "frame-ancestors 'none'",
					     .admit = admit,
					     .handle = handle,
					     .ctx = p};

	if (!http_built())
		return http_start(&(struct http_options){0}, &p->server, ret_why);
	listener.fd = listen_at(port);
	if (listener.fd < 0)
		return listener.fd;
	/* Cookies are shared by all ports; the address is not known to anybody yet. */
	snprintf(p->cookie_name, sizeof p->cookie_name, "prowl-%u", *port);
	return http_start(&options, &p->server, ret_why);
}

int pages_serve(const struct page *pages, uint16_t *port, struct pages **ret, const char **ret_why)
{
	struct pages *p = calloc(1, sizeof *p);
	int r = p ? 0 : -ENOMEM;

	if (r == 0) {
		p->pages = pages;
		for (size_t i = 0; i < MAX_PAGES && pages[i].path && r == 0; i++)
			r = make_token(p->tokens[i]) ? 0 : -EIO;
		if (r == 0)
			r = make_token(p->cookie) ? start(p, port, ret_why) : -EIO;
	}
	if (r < 0)
		pages_end(p);
	else
		*ret = p;
	return r;
}

const char *pages_token(const struct pages *p, size_t i)
{
	return p->tokens[i];
}

void pages_end(struct pages *p)
{
	if (!p)
		return;
	http_end(p->server);
	free(p);
}

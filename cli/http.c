/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <errno.h>

#ifdef PROWL_HTTP

#include <arpa/inet.h>
#include <dlfcn.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char library[] = "libmicrohttpd.so.12";

struct http_server {
	const struct http_page *pages;
	void *lib;
	struct MHD_Daemon *daemon;
	typeof(MHD_start_daemon) *start;
	typeof(MHD_stop_daemon) *stop;
	typeof(MHD_get_daemon_info) *info;
	typeof(MHD_lookup_connection_value) *lookup;
	typeof(MHD_create_response_from_buffer) *response;
	typeof(MHD_add_response_header) *header;
	typeof(MHD_queue_response) *queue;
	typeof(MHD_destroy_response) *destroy;
};

bool http_built(void)
{
	return true;
}

static int find_functions(struct http_server *s)
{
	const struct {
		const char *name;
		void *to; /* a pointer to a function */
	} wanted[] = {
		{"MHD_start_daemon", &s->start},
		{"MHD_stop_daemon", &s->stop},
		{"MHD_get_daemon_info", &s->info},
		{"MHD_lookup_connection_value", &s->lookup},
		{"MHD_create_response_from_buffer", &s->response},
		{"MHD_add_response_header", &s->header},
		{"MHD_queue_response", &s->queue},
		{"MHD_destroy_response", &s->destroy},
	};

	/* Not unloaded again: what it brings has data of threads, and is not made for that. */
	s->lib = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!s->lib)
		return -ENOTSUP;
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		void *found = dlsym(s->lib, wanted[i].name);

		if (!found)
			return -ENOTSUP;
		memcpy(wanted[i].to, &found, sizeof found);
	}
	return 0;
}

/* ADDRESS or NAME of the loopback, with or without a port. */
static bool is_this_host(const char *host)
{
	static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};

	for (size_t i = 0; host && i < sizeof names / sizeof *names; i++) {
		size_t n = strlen(names[i]);

		if (strncmp(host, names[i], n) == 0 && (host[n] == '\0' || host[n] == ':') &&
		    host[n + strspn(host + n, ":0123456789")] == '\0')
			return true;
	}
	return false;
}

static const struct http_page *find_page(const struct http_server *s, const char *path)
{
	for (const struct http_page *p = s->pages; p->path; p++)
		if (strcmp(p->path, path) == 0)
			return p;
	return NULL;
}

static enum MHD_Result answer(const struct http_server *s, struct MHD_Connection *c,
			      unsigned status, const struct http_page *page)
{
	/* Beside the policy that the page itself has. */
	static const char *const always[][2] = {
		{"X-Content-Type-Options", "nosniff"},
		{"Content-Security-Policy", "frame-ancestors 'none'"},
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Referrer-Policy", "no-referrer"},
		{"Cache-Control", "no-store"},
	};
	/* The bytes outlive the server; the library only reads them. */
	struct MHD_Response *r = s->response(page->len, (void *)page->bytes,
					     MHD_RESPMEM_PERSISTENT);
	char disposition[300];
	enum MHD_Result done;

	if (!r)
		return MHD_NO;
	s->header(r, "Content-Type", page->mime);
	for (size_t i = 0; i < sizeof always / sizeof *always; i++)
		s->header(r, always[i][0], always[i][1]);
	if (page->filename) {
		snprintf(disposition, sizeof disposition, "attachment; filename=\"%s\"",
			 page->filename);
		s->header(r, "Content-Disposition", disposition);
	}
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		s->header(r, "Allow", "GET, HEAD");
	done = s->queue(c, status, r);
	s->destroy(r);
	return done;
}

static enum MHD_Result refuse(const struct http_server *s, struct MHD_Connection *c,
			      unsigned status, const char *text)
{
	struct http_page page = {.mime = "text/plain; charset=utf-8", .bytes = text};

	page.len = strlen(text);
	return answer(s, c, status, &page);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *path,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **state)
{
	const struct http_server *s = ctx;
	const struct http_page *page = find_page(s, path);

	if (!is_this_host(s->lookup(c, MHD_HEADER_KIND, "Host")))
		return refuse(s, c, MHD_HTTP_FORBIDDEN, "only for this machine\n");
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return refuse(s, c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
	if (!page)
		return refuse(s, c, MHD_HTTP_NOT_FOUND, "there are / and /profile.pb.gz\n");
	return answer(s, c, MHD_HTTP_OK, page);
}

static int start(struct http_server *s, uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
	const union MHD_DaemonInfo *info;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	errno = 0;
	s->daemon = s->start(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, *port, NULL, NULL,
			     on_request, s, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at,
			     MHD_OPTION_CONNECTION_LIMIT, 64u, MHD_OPTION_CONNECTION_TIMEOUT, 30u,
			     MHD_OPTION_END);
	if (!s->daemon)
		return errno ? -errno : -EIO;
	info = s->info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
	if (info)
		*port = info->port;
	return 0;
}

int http_serve(const struct http_page *pages, uint16_t *port, struct http_server **ret_server,
	       const char **ret_why)
{
	struct http_server *s = calloc(1, sizeof *s);
	int r = s ? 0 : -ENOMEM;

	if (r == 0) {
		s->pages = pages;
		r = find_functions(s);
		*ret_why = "libmicrohttpd is not there; Debian: apt-get install libmicrohttpd12";
	}
	if (r == 0)
		r = start(s, port);
	if (r < 0)
		http_end(s);
	else
		*ret_server = s;
	return r;
}

void http_end(struct http_server *s)
{
	if (!s)
		return;
	if (s->daemon)
		s->stop(s->daemon);
	if (s->lib)
		dlclose(s->lib);
	free(s);
}

#else

bool http_built(void)
{
	return false;
}

int http_serve(const struct http_page *pages, uint16_t *port, struct http_server **ret_server,
	       const char **ret_why)
{
	*ret_why = "this prowl was built without libmicrohttpd (Debian: libmicrohttpd-dev)";
	return -ENOTSUP;
}

void http_end(struct http_server *s)
{
}

#endif

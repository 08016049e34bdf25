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
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>

static const char library[] = "libmicrohttpd.so.12";

enum {
	MAX_PAGES = 4,
	MAX_KEPT = 64, /* connections: with more, the one that was silent for longest is closed */
	MAX_ACCEPTED = 128, /* with those that are just going */
};

struct kept {
	bool used;
	int fd;
	uint64_t active; /* the time, as a count of events */
};

struct http_server {
	const struct http_page *pages;
	char tokens[MAX_PAGES][HTTP_TOKEN]; /* "" once it is used */
	char cookie[HTTP_TOKEN], cookie_name[24];
	struct kept kept[MAX_ACCEPTED];
	uint64_t happened;
	void *lib;
	struct MHD_Daemon *daemon;
	typeof(MHD_start_daemon) *start;
	typeof(MHD_stop_daemon) *stop;
	typeof(MHD_get_daemon_info) *info;
	typeof(MHD_get_connection_info) *connection;
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
		{"MHD_get_connection_info", &s->connection},
		{"MHD_lookup_connection_value", &s->lookup},
		{"MHD_create_response_from_buffer", &s->response},
		{"MHD_add_response_header", &s->header},
		{"MHD_queue_response", &s->queue},
		{"MHD_destroy_response", &s->destroy},
	};

	/* Never unloaded: its dependencies have thread-local data and don't support it. */
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

		if (strncasecmp(host, names[i], n) == 0 && (host[n] == '\0' || host[n] == ':') &&
		    host[n + strspn(host + n, ":0123456789")] == '\0')
			return true;
	}
	return false;
}

/* --- who asks ---------------------------------------------------------------------- */

static bool make_token(char token[HTTP_TOKEN])
{
	uint8_t bytes[(HTTP_TOKEN - 1) / 2];

	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		return false;
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(token + 2 * i, 3, "%02x", bytes[i]);
	return true;
}

/* In constant time. */
static bool same_token(const char *given, const char *token)
{
	unsigned int differs = 0;

	if (!given || strlen(given) != HTTP_TOKEN - 1 || !token[0])
		return false;
	for (size_t i = 0; i < HTTP_TOKEN - 1; i++)
		differs |= (unsigned int)(given[i] ^ token[i]);
	return differs == 0;
}

enum visitor { STRANGER, WITH_TOKEN, WITH_COOKIE };

static enum visitor who_asks(struct http_server *s, struct MHD_Connection *c,
			     const struct http_page *page, bool get)
{
	char *token = page ? s->tokens[page - s->pages] : NULL;

	if (same_token(s->lookup(c, MHD_COOKIE_KIND, s->cookie_name), s->cookie))
		return WITH_COOKIE;
	if (!token || !get || !same_token(s->lookup(c, MHD_GET_ARGUMENT_KIND, "t"), token))
		return STRANGER;
	token[0] = '\0';
	return WITH_TOKEN;
}

/* --- connections ------------------------------------------------------------------- */

static void drop_oldest(struct http_server *s)
{
	struct kept *oldest = NULL;
	size_t n = 0;

	for (size_t i = 0; i < MAX_ACCEPTED; i++) {
		struct kept *k = &s->kept[i];

		n += k->used && k->fd >= 0;
		if (k->used && k->fd >= 0 && (!oldest || k->active < oldest->active))
			oldest = k;
	}
	if (n <= MAX_KEPT || !oldest)
		return;
	shutdown(oldest->fd, SHUT_RDWR); /* the library sees that and closes it */
	oldest->fd = -1;
}

/* Called by the library's one thread. */
static void on_connection(void *ctx, struct MHD_Connection *c, void **state,
			  enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info;
	struct http_server *s = ctx;
	struct kept *k = *state;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (k)
			k->used = false;
		return;
	}
	info = s->connection(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	for (size_t i = 0; info && i < MAX_ACCEPTED; i++) {
		k = &s->kept[i];
		if (k->used)
			continue;
		*k = (struct kept){true, info->connect_fd, ++s->happened};
		*state = k;
		break;
	}
	drop_oldest(s);
}

static void note_active(struct http_server *s, struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info = s->connection(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct kept *k = info ? info->socket_context : NULL;

	if (k)
		k->active = ++s->happened;
}

/* --- answers ----------------------------------------------------------------------- */

static const struct http_page *find_page(const struct http_server *s, const char *path)
{
	for (const struct http_page *p = s->pages; p->path; p++)
		if (strcmp(p->path, path) == 0)
			return p;
	return NULL;
}

static enum MHD_Result answer(const struct http_server *s, struct MHD_Connection *c,
			      unsigned status, const struct http_page *page, bool cookie)
{
	/* In addition to the page's own policy. */
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
	char disposition[300], set[100];
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
	if (cookie) {
		snprintf(set, sizeof set, "%s=%s; HttpOnly; SameSite=Lax; Path=/", s->cookie_name,
			 s->cookie);
		s->header(r, "Set-Cookie", set);
	}
	/* The address without the token, which is used up, is the one to keep. */
	if (status == MHD_HTTP_SEE_OTHER)
		s->header(r, "Location", page->path);
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
	return answer(s, c, status, &page, false);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *path,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **state)
{
	struct http_server *s = ctx;
	const struct http_page *page = find_page(s, path);
	struct http_page moved = {.mime = "text/plain; charset=utf-8", .bytes = ""};
	enum visitor visitor;

	note_active(s, c);
	if (!is_this_host(s->lookup(c, MHD_HEADER_KIND, "Host")))
		return refuse(s, c, MHD_HTTP_FORBIDDEN, "only for this machine\n");
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return refuse(s, c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
	visitor = who_asks(s, c, page, strcmp(method, "GET") == 0);
	if (visitor == STRANGER)
		return refuse(
			s, c, MHD_HTTP_FORBIDDEN,
			"only by the address that prowl open has printed, which is good for one "
			"browser\n");
	if (!page)
		return refuse(s, c, MHD_HTTP_NOT_FOUND, "there are / and /profile.pb.gz\n");
	if (visitor == WITH_COOKIE || page->filename)
		return answer(s, c, MHD_HTTP_OK, page, visitor == WITH_TOKEN);
	moved.path = page->path;
	return answer(s, c, MHD_HTTP_SEE_OTHER, &moved, true);
}

static int start(struct http_server *s, uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
	const union MHD_DaemonInfo *info;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	errno = 0;
	s->daemon = s->start(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, *port, NULL, NULL,
			     on_request, s, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at,
			     MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_ACCEPTED,
			     MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
			     MHD_OPTION_CONNECTION_TIMEOUT, 30u, MHD_OPTION_END);
	if (!s->daemon)
		return errno ? -errno : -EIO;
	info = s->info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
	if (info)
		*port = info->port;
	/* Cookies are shared by all ports; the address is not known to anybody yet. */
	snprintf(s->cookie_name, sizeof s->cookie_name, "prowl-%u", *port);
	return 0;
}

int http_serve(const struct http_page *pages, uint16_t *port, struct http_server **ret_server,
	       const char **ret_why)
{
	struct http_server *s = calloc(1, sizeof *s);
	int r = s ? 0 : -ENOMEM;

	if (r == 0) {
		s->pages = pages;
		for (size_t i = 0; pages[i].path && i < MAX_PAGES && r == 0; i++)
			r = make_token(s->tokens[i]) ? 0 : -EIO;
		if (r == 0)
			r = make_token(s->cookie) ? find_functions(s) : -EIO;
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

const char *http_token(const struct http_server *s, size_t i)
{
	return s->tokens[i];
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

const char *http_token(const struct http_server *s, size_t i)
{
	return "";
}

void http_end(struct http_server *s)
{
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What the server's files share: the library's functions, connections, requests. */
#pragma once

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "http.h"

struct http_lib {
	typeof(MHD_start_daemon) *start;
	typeof(MHD_stop_daemon) *stop;
	typeof(MHD_get_connection_info) *connection;
	typeof(MHD_lookup_connection_value) *lookup;
	typeof(MHD_get_connection_values) *values;
	typeof(MHD_create_response_from_buffer) *response;
	typeof(MHD_add_response_header) *header;
	typeof(MHD_queue_response) *queue;
	typeof(MHD_destroy_response) *destroy;
	typeof(MHD_suspend_connection) *suspend;
	typeof(MHD_resume_connection) *resume;
};

/* -ENOTSUP: it is not there. It is never unloaded. */
int http_lib_load(struct http_lib *lib);

struct http_at; /* a listener, with its thread */

struct http_kept { /* a connection; all under the server's lock */
	bool used;
	int fd;            /* -1: shut down */
	uint64_t active;   /* when something was heard last, as a count of events */
	uint64_t deadline; /* for what the client has to send; 0: it is our turn */
	struct http_call *held;
};

struct http_at {
	struct http_server *server;
	size_t index;
	bool local;
	int fd;
	struct MHD_Daemon *daemon;
	struct http_kept *kept; /* max_accepted of them */
};

enum http_stage { HTTP_NEW, HTTP_READING, HTTP_HELD, HTTP_DONE };

struct http_call {
	struct http_request q; /* first: handlers have a pointer to it */
	struct http_at *at;
	struct MHD_Connection *connection;
	struct http_kept *kept;
	enum http_stage stage;
	char *body;
	size_t body_cap;
	struct {
		char name[48], value[HTTP_HEADER];
	} * added;
	size_t nadded;
	/* The answer. */
	struct MHD_Response *response;
	unsigned int status;
	size_t bytes, counted; /* counted: of the server's answers */
	/* While it is held. */
	void (*gone)(void *arg, struct http_request *q);
	void *gone_arg;
};

struct http_server {
	struct http_options o;
	struct http_lib lib;
	struct http_at *at;
	pthread_mutex_t lock;
	uint64_t happened;
	atomic_size_t answers; /* bytes of those that are under way */
	bool stopping;
	/* The keeper: closes what is late, and sees clients go. */
	pthread_t keeper;
	int keeper_fd; /* an eventfd; -1: it doesn't run */
	bool keeper_ends, keeper_runs;
};

static inline struct http_call *http_call_of(const struct http_request *q)
{
	return (struct http_call *)(void *)q;
}

/* --- connections ------------------------------------------------------------------- */

int http_keeper_start(struct http_server *s);
void http_keeper_end(struct http_server *s);

/* For the library: a connection comes or goes. */
void http_on_connection(void *ctx, struct MHD_Connection *c, void **state,
			enum MHD_ConnectionNotificationCode what);
/* Something was heard of it; what it has to send next is there within ns (0: nothing). */
void http_keep(struct http_call *call, uint64_t ns);

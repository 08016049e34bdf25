/* SPDX-License-Identifier: Apache-2.0 */
/* What the routes share: the server, answers, errors, who is asked about. */
#pragma once

#include <pthread.h>
#include <stdio.h>

#include "auth.h"
#include "backend.h"
#include "http.h"
#include "jobs.h"
#include "jsonout.h"
#include "serve.h"

struct capture_table;
struct serve_route;

enum { SERVE_ADDRESSES = 16, SERVE_COUNTS = 256 };

struct serve_count {                     /* of requests, for the figures */
	const struct serve_route *route; /* NULL: free, or of no path that there is */
	unsigned int status;
	uint64_t n;
	double seconds;
};

struct prowl_serve {
	struct prowl_serve_options o; /* its arrays are not to be used */
	struct prowl_listener listeners[SERVE_ADDRESSES];
	const struct prowl_backend *b;
	struct auth *auth;
	struct http_server *http;
	/* Reading the store; sampling; waiting and reading a runtime's profiles. */
	struct jobs *queries, *samplers, *waiters;
	struct capture_table *captures;
	pthread_mutex_t lock; /* of what follows */
	struct serve_count counts[SERVE_COUNTS];
	size_t ncounts;
};

/* --- routes ------------------------------------------------------------------------ */

struct serve_route {
	const char *path; /* "/api/v1/labels/" and a "*" for any segment */
	enum auth_need need;
	bool post;  /* POST; else GET and HEAD */
	bool later; /* in a thread for queries */
	void (*answer)(struct prowl_serve *s, struct http_request *q);
};

/* Each ends with one without a path. */
extern const struct serve_route serve_status_routes[], serve_pprof_routes[], serve_store_routes[],
	serve_profile_routes[], serve_page_routes[];

/* --- answers ----------------------------------------------------------------------- */

/* A JSON object, or a text below /targets/. hint may be NULL. */
void serve_error(struct http_request *q, unsigned int status, const char *code, const char *message,
		 const char *hint);
/* The same for an error of a lower layer; what: the code of the JSON object. */
void serve_failed(struct http_request *q, enum prowl_code code, const struct prowl_err *err);
void serve_no_memory(struct http_request *q);

/* Text that is made piece by piece. */
struct serve_text {
	FILE *to; /* NULL: no memory */
	char *bytes;
	size_t len;
};
bool serve_text_begin(struct serve_text *t, struct http_request *q);
/*
 * Answers with it, with its ETag, or with 304 to who has it. seconds: for how long it stays as it
 * is; 0: it must be asked for again.
 */
void serve_text_end(struct serve_text *t, struct http_request *q, const char *mime,
		    unsigned int seconds);
/* The bytes are freed. */
void serve_bytes(struct http_request *q, const char *mime, void *bytes, size_t len,
		 unsigned int seconds);
/* A JSON object, whose members come next. */
bool serve_json_begin(struct serve_text *t, struct jsonout *j, struct http_request *q);
void serve_json_end(struct serve_text *t, struct jsonout *j, struct http_request *q,
		    unsigned int seconds);

/* Milliseconds since 1970; null for 0. */
void serve_put_time(struct jsonout *j, const char *key, int64_t ns);
void serve_put_labels(struct jsonout *j, const char *key, const struct prowl_series *series);

/* --- parameters -------------------------------------------------------------------- */

/* Whole numbers in a range; -1 after an answer. `none` where it isn't there. */
bool serve_number(struct http_request *q, const char *name, uint64_t none, uint64_t min,
		  uint64_t max, uint64_t *ret);

/* The selector of a parameter, NULL without one; freed by the caller. False after an answer. */
struct prowl_selector;
bool serve_match(struct http_request *q, const char *name, struct prowl_selector **ret);
/* A time; `none` where it isn't there. False after an answer. */
bool serve_time(struct http_request *q, const char *name, int64_t none, int64_t *ret);

/* --- processes --------------------------------------------------------------------- */

struct serve_target { /* a copy; see struct prowl_backend_target */
	struct prowl_process_id id;
	enum prowl_target_state state;
	int64_t started;
	char *service, *comm;
};

struct serve_targets {
	struct serve_target *rows; /* by start, the oldest first */
	size_t n;
	bool incomplete; /* no memory */
};

/*
 * The processes that a KEY means: PID, PID@START, container:ID, pod:NAME[:CONTAINER], or a service.
 * Of a service the running ones.
 */
void serve_targets_find(struct prowl_serve *s, const char *key, struct serve_targets *ret);
void serve_targets_free(struct serve_targets *t);
/* A KEY that means this process for good. */
enum { SERVE_KEY = 48 };
const char *serve_key(const struct prowl_process_id *id, char key[SERVE_KEY]);

/* --- captures that are shared ------------------------------------------------------- */

int capture_table_new(struct capture_table **ret);
/* All that are under way end. */
void capture_table_end(struct capture_table *t);
void capture_table_free(struct capture_table *t);

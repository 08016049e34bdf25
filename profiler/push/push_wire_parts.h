/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between a sink and a server: what is sent, what came back, and what it means. A protocol knows
 * the first and the last, push_curl.c carries the bytes.
 */
#pragma once

#include "push_parts.h"

struct pprof_profile;

/* --- a part of an item ----------------------------------------------------------- */

struct push_part {
	const struct push_meta *meta;
	const struct prowl_push_sink *config;
	const struct pprof_profile *profile; /* within the limits of all servers */
	uint8_t id[16];
	char id_text[PUSH_ID];
};

/*
 * The part as a pprof file, gzipped; freed by the caller. Its elements have the ids 1 to n, in this
 * order, as Parca wants them.
 */
int push_part_pprof(const struct push_part *part, uint8_t **ret, size_t *ret_len,
		    uint64_t *ret_raw);

/* --- requests -------------------------------------------------------------------- */

enum { PUSH_HEADERS = 4 };

struct push_request { /* a POST */
	char *url;
	char content_type[96];
	const char *headers[PUSH_HEADERS]; /* "Name: value", beside those of the configuration */
	size_t nheaders;
	bool http1; /* not HTTP/2 */
	uint8_t *body;
	size_t len;
	uint64_t profile_bytes; /* of the profile in it, uncompressed */
	size_t labels_omitted;
};

void push_request_fini(struct push_request *r);
/* The url of the configuration and a path. */
int push_request_url(struct push_request *r, const struct prowl_push_sink *config,
		     const char *path);

/* --- answers --------------------------------------------------------------------- */

enum { PUSH_ANSWER = 64 << 10 };

struct push_answer {
	unsigned int status; /* 0: none */
	char error[256];     /* then why */
	char retry_after[64], content_type[96], grpc_status[16], grpc_message[256];
	uint8_t *body; /* what fits into PUSH_ANSWER bytes */
	size_t len;
};

enum push_outcome {
	PUSH_TAKEN,
	PUSH_TAKEN_PARTLY, /* final */
	PUSH_AGAIN,        /* later */
	PUSH_FINAL,        /* it will never be taken */
	PUSH_HALVE,        /* too large for the server */
	PUSH_PAUSE,        /* the server doesn't take anything of us, as things are */
	PUSH_OTHER_WAY,    /* the server doesn't know the method */
};

struct push_verdict {
	enum push_outcome outcome;
	bool of_item; /* PUSH_AGAIN: it may be the item's fault, so that others are tried first */
	uint64_t wait_ns; /* PUSH_AGAIN: the server's wish; 0: none */
	char text[256];   /* for people; "" when all is well */
};

/*
 * Each protocol: the request for a part, negative errno on failure; and the meaning of an answer at
 * a time (Unix, ns).
 */
struct push_protocol {
	int (*request)(const struct push_part *part, struct push_request *ret);
	void (*judge)(const struct push_answer *a, uint64_t real, struct push_verdict *ret);
};

extern const struct push_protocol push_pyroscope, push_ingest, push_parca, push_otlp;

/* --- push_answer.c: what all of them have in common ------------------------------- */

/* By the status of HTTP alone; the text has what the body says, if it is text. */
void push_judge_http(const struct push_answer *a, uint64_t real, struct push_verdict *ret);
/* Fills the text. */
void push_verdict_say(struct push_verdict *v, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* "120", or a date of HTTP: how long from `real`; 0: neither, or past. */
uint64_t push_retry_after(const char *text, uint64_t real);
/* The time of "... next reset at 2026-12-01T00:00:00Z ...": how long from `real`; 0: none. */
uint64_t push_next_reset(const char *text, uint64_t real);
/* The error of a Connect answer; false: it is none. */
bool push_connect_error(const uint8_t *body, size_t len, char code[32], char message[200]);
/* The status in the trailers of a grpc-web answer; -1: there is none. */
int push_grpc_web_status(const uint8_t *body, size_t len, char message[200]);
/* The content type without its parameters. */
bool push_content_is(const struct push_answer *a, const char *type);

/* --- push_labels.c ---------------------------------------------------------------- */

struct push_label {
	char *name, *value;
};

struct push_labels {
	struct push_label *labels; /* sorted by name, each once */
	size_t n, cap;
	size_t most, most_name, most_value;
	size_t omitted; /* that are beyond `most` */
};

/* The labels of a part for Pyroscope and Parca, `__name__` among them. */
int push_labels_make(const struct push_part *part, struct push_labels *ret);
void push_labels_fini(struct push_labels *l);
/* Letters, digits and '_', no digit first; what else becomes '_'. */
void push_label_name(char *name);
/* "process_cpu", "memory", ...: the name that agents give to a kind. */
const char *push_profile_name(const char *kind);

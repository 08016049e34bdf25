/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finished windows, pushed to other servers: Pyroscope, Parca, and whoever takes OTLP profiles.
 *
 * A sink is one server. What is offered waits in a folder of its own, the spool, until each sink
 * has taken or refused it; so it survives a restart, and a server that is away. A thread sends: one
 * request a sink at a time, oldest window first, so that a sink that fails or is slow delays
 * neither the others nor the caller. A profile is sent at least once; a retry bears the same id.
 *
 * Beyond the bounds of the spool in bytes and age the oldest windows of a sink are dropped and
 * counted. The spool is not synced to the disk: a power cut may lose what waited there, a crash of
 * the program does not.
 *
 * Knows profiles and series; no processes, no store. Any thread may call prowl_push_offer and
 * prowl_push_status. Needs libcurl, which is loaded by prowl_push_open.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "series.h"

struct prowl_push_pair {
	const char *name, *value;
};

/* --- configuration --------------------------------------------------------------- */

enum prowl_push_type {
	PROWL_PUSH_PYROSCOPE, /* push.v1 of Grafana Pyroscope; /ingest where a server lacks it */
	PROWL_PUSH_PARCA,     /* WriteRaw, by grpc-web over HTTP/1.1 */
	PROWL_PUSH_OTLP,      /* OpenTelemetry profiles, v1development: experimental */
	PROWL_PUSH_TYPES,
};

/* "pyroscope", "parca", "otlp". */
const char *prowl_push_type_name(enum prowl_push_type type);
/* -EINVAL: there is none of that name. */
int prowl_push_type_named(const char *name, enum prowl_push_type *ret);

/*
 * One server. Zero-initialised but for name, type and url: all defaults. Texts may be NULL, which
 * is as good as "". Files (password, token, certificates) are read again for each request, so that
 * they may be renewed.
 */
struct prowl_push_sink {
	/* In logs and metrics, and a folder of the spool: letters, digits, '-', '_' and '.', at
	 * most 64, unique. */
	const char *name;
	enum prowl_push_type type;
	const char *url; /* http:// or https://, without the path of the method, without a user */
	const char *tenant;                    /* X-Scope-OrgID */
	const char *user, *password_file;      /* basic authentication */
	const char *bearer_token_file;         /* not beside a user */
	const struct prowl_push_pair *headers; /* added to each request */
	size_t nheaders;
	const char *ca;           /* a file of certificates (PEM); none: those of the system */
	const char *cert, *key;   /* what this client proves itself with, PEM; both or none */
	bool insecure;            /* certificate and host name of the server are not checked */
	const char *proxy;        /* a URL; none: no proxy, whatever the environment says */
	const char *const *kinds; /* those that are sent; nkinds 0: all that are offered */
	size_t nkinds;
	/* Whether a series is for this sink; NULL: each. Called by the thread that offers. */
	bool (*wants)(void *ctx, const struct prowl_series *series);
	void *wants_ctx;
	const struct prowl_push_pair *external_labels; /* of each profile, before the series' own */
	size_t nexternal_labels;
	uint64_t timeout_ns; /* of one request; 10 s */
	/* Of one profile, uncompressed: larger ones are sent in parts. 1 MiB; at most 1,400,000. */
	uint64_t max_profile_bytes;
	uint64_t spool_max_bytes;  /* 128 MiB */
	uint64_t spool_max_age_ns; /* since the end of the window; 1 h, which is what Pyroscope
				      takes */
	uint64_t backoff_min_ns, backoff_max_ns; /* 500 ms, 5 min */
};

/* Checks one: PROWL_OK, or PROWL_USAGE with a sentence that begins with the wrong field. */
enum prowl_code prowl_push_check(const struct prowl_push_sink *sink, struct prowl_err *err);

/* Where the time comes from. Those of the machine: NULL. */
struct prowl_push_clock {
	uint64_t (*monotonic)(void *ctx); /* ns */
	uint64_t (*realtime)(void *ctx);  /* Unix, ns */
	void *ctx;
};

struct prowl_push_options {
	const struct prowl_push_sink *sinks; /* copied, as is all that they refer to */
	size_t nsinks;
	const char *spool;   /* a folder; made (0700) if it is not there, its parent must be */
	const char *version; /* of prowl, in User-Agent; NULL: this one's */
	const struct prowl_push_clock
		*clock; /* asked at least every 20 ms; must outlive the push */
	uint64_t seed;  /* of the jitter; 0: a random one */
	/*
	 * A line for the log: what happened to a sink, at most one a minute and sink while it stays
	 * the same. Called by the thread that sends; NULL: none.
	 */
	void (*log)(void *ctx, const char *sink, const char *text);
	void *log_ctx;
};

struct prowl_push;

/*
 * Reads the spool and starts to send. Folders in it of sinks that are not configured any more are
 * removed with what they hold. PROWL_USAGE: a sink is wrong; PROWL_UNSUPPORTED: libcurl is not
 * there; PROWL_PERMISSION, PROWL_FAILED: the spool.
 */
enum prowl_code prowl_push_open(const struct prowl_push_options *o, struct prowl_push **ret,
				struct prowl_err *err);

/* Whether it was built with libcurl's headers. */
bool prowl_push_built(void);

/* --- offering -------------------------------------------------------------------- */

/* Facts about the process or program that the series doesn't have; others are ignored. */
#define PROWL_PUSH_PID         "pid"
#define PROWL_PUSH_EXE         "exe"          /* its path */
#define PROWL_PUSH_BUILD_ID    "gnu_build_id" /* hex */
#define PROWL_PUSH_GO_BUILD_ID "go_build_id"
#define PROWL_PUSH_CONTAINER   "container_id"
#define PROWL_PUSH_POD         "pod"
#define PROWL_PUSH_NODE        "node"
#define PROWL_PUSH_REVISION    "vcs_revision"
#define PROWL_PUSH_REPOSITORY  "vcs_repository" /* "https://..." */
#define PROWL_PUSH_VERSION     "version"        /* of the main module */

/* A profile of one window and one series. All of it is copied. */
struct prowl_push_item {
	const struct prowl_series *series;
	const char *kind; /* "cpu", "heap", "allocs", "goroutine", "block", "mutex", ... */
	/* The values are a state at the end of the window (heap in use, goroutines), not what
	 * happened within it. */
	bool level;
	uint64_t start_ns, end_ns; /* of the window, Unix */
	/* What distinguishes it from others of this series and kind, the same when it is offered
	 * once more: the window's name in the store. NULL: start_ns does. */
	const char *window;
	const struct prowl_push_pair *facts;
	size_t nfacts;

	/* The profile, as a pprof file: its bytes, ... */
	const void *bytes;
	size_t len;
	/*
	 * ... or, where bytes is NULL, a file, which is hard-linked (copied from another file
	 * system) and must not change any more. Of a file of several windows or series only the
	 * samples that have all the labels of `pick` are sent, without these labels.
	 */
	const char *file;
	const struct prowl_push_pair *pick;
	size_t npick;
};

/*
 * Puts an item into the spool of each sink that wants it. What has been offered already (series,
 * kind, window) and still waits is not put there again. It doesn't wait for any server. -ENOSPC and
 * other errno of writing files: it is lost for the sinks that wanted it, and counted; -EINVAL: no
 * series, kind or profile.
 */
int prowl_push_offer(struct prowl_push *p, const struct prowl_push_item *item);

/* --- what is known --------------------------------------------------------------- */

enum prowl_push_reason {                        /* for which windows were not sent */
			 PROWL_PUSH_SPOOL_FULL, /* the bound in bytes, or the disk */
			 PROWL_PUSH_TOO_OLD,    /* the bound in age */
			 PROWL_PUSH_REFUSED,    /* the server will never take it */
			 PROWL_PUSH_TOO_LARGE,  /* nor its halves */
			 PROWL_PUSH_REJECTED,   /* OTLP: taken in part only */
			 PROWL_PUSH_UNREADABLE, /* damaged in the spool, or no profile from the
						   beginning */
			 PROWL_PUSH_REASONS,
};

/* For metrics: "spool_full", "too_old", "refused", "too_large", "rejected", "unreadable". */
const char *prowl_push_reason_name(enum prowl_push_reason reason);

enum prowl_push_state {
	PROWL_PUSH_IDLE,    /* nothing waits */
	PROWL_PUSH_SENDING, /* or about to */
	PROWL_PUSH_BACKOFF, /* after a failure, until next_try_ns */
	PROWL_PUSH_PAUSED,  /* the server refuses this client (401, 403), or its path is wrong */
};

/* "idle", "sending", "backoff", "paused". */
const char *prowl_push_state_name(enum prowl_push_state state);

enum { PROWL_PUSH_CODES = 24 };

struct prowl_push_status {
	const char *sink, *url;
	enum prowl_push_type type;
	enum prowl_push_state state;
	uint64_t waiting;         /* windows in the spool */
	uint64_t spool_bytes;     /* of their files; a hard link counts as a file */
	uint64_t lag_ns;          /* since the end of the oldest window that waits; 0: none waits */
	uint64_t next_try_ns;     /* Unix; 0: at once, or nothing waits */
	uint64_t last_success_ns; /* Unix; 0: none yet */
	uint64_t sent;            /* windows that were taken */
	uint64_t sent_bytes;      /* of bodies of requests that were taken */
	uint64_t labels_omitted;  /* beyond the server's limits */
	uint64_t dropped[PROWL_PUSH_REASONS]; /* windows */
	/* Answers by status of HTTP; 0: none came. Those beyond the table count as 1. */
	struct {
		unsigned int status;
		uint64_t n;
	} requests[PROWL_PUSH_CODES];
	size_t nrequests;
	const char *last_error; /* "": none since the last success */
	uint64_t last_error_ns; /* Unix */
};

/* Calls `each` for every sink, in the order of the configuration. It must not call back. */
void prowl_push_status(struct prowl_push *p,
		       void (*each)(void *ctx, const struct prowl_push_status *s), void *ctx);

/* Tries every sink at once, also those that are paused: for a reload, or a signal. */
void prowl_push_retry(struct prowl_push *p);

/*
 * Gives the requests in flight, and what waits of sinks that don't fail, at most `ns` to end, then
 * ends. What remains stays in the spool for the next start. NULL: nothing.
 */
void prowl_push_close(struct prowl_push *p, uint64_t ns);

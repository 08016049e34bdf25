/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the daemon share; private to the room. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "backend.h"
#include "config.h"
#include "daemon.h"
#include "daemon_log.h"
#include "host.h"
#include "names.h"
#include "roster.h"
#include "serve.h"
#include "store.h"

struct daemon_push;
struct watch;
struct prowl_push_status;

enum { DAEMON_ROSTER = 4096 };

struct daemon {
	const struct prowl_daemon_options *o;
	unsigned int scale; /* time_scale, at least 1 */
	struct daemon_log *log;
	char hostname[256];
	int64_t started; /* Unix ns */

	/* A reload takes it for writing. Values that need a restart are those of the first one. */
	pthread_rwlock_t lock;
	struct prowl_config *config;
	struct prowl_config *first; /* that of the beginning, which parts refer to */
	struct prowl_names *names;  /* used by decide only */
	int64_t loaded;             /* Unix ns */
	atomic_bool load_failed;
	pthread_mutex_t loading; /* by one thread at a time */

	struct prowl_store *store; /* NULL: --no-store */
	char store_path[4096];
	struct prowl_host *host;
	struct prowl_serve *serve;
	struct daemon_push *push; /* NULL: no sinks */
	struct watch *watch;      /* NULL: no triggers */
	struct roster *roster;
	struct prowl_series *decided; /* what decide gave last; its thread's */
	struct prowl_series *others;  /* of what no rule takes */

	int wake_fd;   /* ends the host */
	int events_fd; /* DAEMON_STOP and the like, for the thread that waits */
	atomic_uint wishes;

	_Atomic uint64_t stored, store_failures; /* windows */
	_Atomic uint64_t fired;                  /* triggers */
	_Atomic uint64_t progress;               /* monotonic ns: a window was handed over */
};

enum { DAEMON_STOP = 1, DAEMON_RELOAD = 2, DAEMON_HOST_ENDED = 4 };

/* From any thread: something for the one that waits to do. */
void daemon_wish(struct daemon *d, unsigned int wish);

/* Reads the configuration again; an error leaves the old one. */
enum prowl_code daemon_reload(struct daemon *d, struct prowl_err *err);

/* What comes out of the host (struct prowl_host_ops), with a daemon as ctx. */
extern const struct prowl_host_ops daemon_ops;

/* What the server asks for, with a daemon as ctx. */
void daemon_backend(struct daemon *d, struct prowl_backend *ret);

/* Sinks of the configuration; none is no error. */
enum prowl_code daemon_push_open(struct daemon *d, struct prowl_err *err);
void daemon_push_close(struct daemon *d);
/* Offers what has been stored. */
void daemon_push_offer(struct daemon *d, const struct prowl_store_part *part);
void daemon_push_each(struct daemon *d, void (*each)(void *ctx, const struct prowl_push_status *s),
		      void *ctx);

/* The profile as the policy for labels wants it; NULL: no memory. *made: it is to be freed. */
const struct pprof_profile *daemon_as_wanted(struct daemon *d, const struct pprof_profile *profile,
					     struct pprof_profile **made);

struct daemon_event {
	struct roster_id id;
	const char *kind, *why; /* "memory"; a line for people */
	const struct prowl_trigger_capture *capture;
	size_t ncapture;
	int wake_fd; /* ends captures early */
};

/*
 * Takes the profiles, and puts them into the store as one event; what can't be had is named in it.
 * Blocks meanwhile; any thread.
 */
enum prowl_code daemon_event_take(struct daemon *d, const struct daemon_event *e,
				  struct prowl_err *err);

/* Whether triggers capture kinds that there are, and sinks are sound. */
enum prowl_code daemon_check_push(const struct prowl_config *c, struct prowl_err *err);
enum prowl_code daemon_check_triggers(const struct prowl_config *c, struct prowl_err *err);
/* Looks at triggers in threads of its own until the end, by the configuration of the beginning. */
enum prowl_code daemon_watch_begin(struct daemon *d, struct prowl_err *err);
void daemon_watch_end(struct daemon *d);

/* "whole machine". */
const char *daemon_mode_name(enum prowl_host_mode mode);

/* Unix ns. */
int64_t daemon_wall(void);

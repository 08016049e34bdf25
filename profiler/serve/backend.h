/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the HTTP server asks of the rest of the daemon: a table of functions. The server knows
 * nothing of how processes are found and sampled, so that it can run in a process of its own, which
 * may do nothing, and so that tests can give it processes that are made up.
 *
 * All functions may be called by several threads at a time. Those that hand out structs call back
 * with pointers that are good for that call only; the callback neither blocks nor calls the
 * backend. Optional functions may be NULL: the paths that need them then answer 404.
 *
 * Times are Unix nanoseconds (int64_t, 0: not known) unless a name says otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "err.h"

struct pprof_profile;
struct prowl_series;

/* --- processes -------------------------------------------------------------------- */

/* A process, for good: pids are used again, and start times are not. */
struct prowl_process_id {
	pid_t pid;
	uint64_t start; /* clock ticks since boot: field 22 of /proc/PID/stat */
};

enum prowl_target_state { /* also bits of a wish: 1 << state */
			  PROWL_TARGET_ACTIVE,
			  PROWL_TARGET_DENIED,   /* it is wanted, and something forbids it */
			  PROWL_TARGET_DEFERRED, /* found, and waits its turn to be looked at */
			  PROWL_TARGET_GONE,     /* has ended; known for some time yet */
};

/* A kind of profile that this target doesn't have, and why: a sentence without a full stop. */
struct prowl_target_lack {
	const char *kind; /* as in prowl_kinds */
	const char *why;
};

struct prowl_backend_target {
	struct prowl_process_id id;
	enum prowl_target_state state;
	const struct prowl_series *series;
	int64_t started, ended; /* ended: 0 while it runs */
	/* "" where it is not known; foreign text, UTF-8 or not. */
	const char *comm, *exe, *go;
	const char *container_id;       /* 64 hex digits, or what the runtime uses */
	const char *pod, *image, *exit; /* exit: "killed by signal 9" */
	const char *const *kinds;       /* can be taken: names of prowl_kinds, up to NULL */
	const struct prowl_target_lack *lacks;
	size_t nlacks;
	uint64_t cpu_ns;     /* that it used, as sampled, since it was found */
	uint64_t own_cpu_ns; /* that looking at it has cost us */
	int64_t last_window; /* end of the last window that it is in */
};

/* --- captures --------------------------------------------------------------------- */

struct prowl_capture_wish {
	struct prowl_process_id id;
	const char *kind; /* of prowl_kinds: "cpu", "heap", ... */
	/* The window; 0: the present state, of kinds that have one. Others: what changed within. */
	uint64_t ns;
	unsigned int rate; /* Hz, of kinds that sample; 0: the default, 99 */
	/*
	 * Becomes readable when nobody waits for it any more: a capture that lasts then ends at
	 * once, with whatever code. Not to be read.
	 */
	int wake_fd;
};

/* --- status ----------------------------------------------------------------------- */

struct prowl_budget_use {
	const char *name;   /* "cpu", "memory", "query" */
	double used, limit; /* CPUs, bytes */
};

struct prowl_sink_status {
	const char *name, *type, *url; /* url: without user and password */
	uint64_t sent, dropped;        /* profiles */
	uint64_t spool_bytes;
	double lag_seconds;             /* age of the oldest that is not sent; 0: none waits */
	int64_t last_success, next_try; /* 0: none */
	const char *last_error;         /* "": none */
};

struct prowl_backend_status {
	const char *version, *host;
	const char *mode, *mode_why; /* "whole machine", and why it is no better; "" */
	bool sampling;               /* false: nothing takes samples at present */
	int64_t now, started;
	const char *config, *config_hash; /* path, "" without one; hash of its bytes as hex */
	int64_t config_loaded;            /* when it was last read without an error */
	bool config_failed;               /* the last reload was refused */
	unsigned int rate;                /* Hz, at present */
	unsigned int shed_level;          /* 0: nothing is shed */
	size_t active, denied, deferred;  /* targets */
	double self_cpu;                  /* CPUs, on average of the last minutes */
	uint64_t self_memory;             /* bytes */
	const char *store;                /* its folder; "": none */
	uint64_t store_bytes, store_max_bytes, store_free_bytes;
	int64_t store_oldest, store_newest;
	const char *const *degraded; /* sentences */
	size_t ndegraded;
	const struct prowl_budget_use *budgets;
	size_t nbudgets;
	const struct prowl_sink_status *sinks;
	size_t nsinks;
};

/* --- figures ----------------------------------------------------------------------- */

enum prowl_metric_type { PROWL_COUNTER, PROWL_GAUGE, PROWL_HISTOGRAM };

enum { PROWL_METRIC_LABELS = 4 };

/*
 * One value of one metric; those of one metric are handed out one after the other. A histogram is
 * its buckets (name "..._bucket" with the label le, cumulative, "+Inf" last), "..._sum" and
 * "..._count", in this order.
 */
struct prowl_metric {
	const char *family; /* "prowl_samples_total", as in TYPE and HELP */
	const char *name;   /* of this value; NULL: that of the family */
	const char *help;
	enum prowl_metric_type type;
	struct {
		const char *name, *value; /* up to the first without a name */
	} labels[PROWL_METRIC_LABELS];
	double value;
};

/* --- the table --------------------------------------------------------------------- */

struct prowl_backend {
	void *ctx; /* the first argument of all */

	/* Calls `each` for every process whose state is one of the bits, in any order. */
	void (*targets)(void *ctx, unsigned int states,
			void (*each)(void *arg, const struct prowl_backend_target *t), void *arg);

	/* Calls `take` once. */
	void (*status)(void *ctx,
		       void (*take)(void *arg, const struct prowl_backend_status *status),
		       void *arg);

	/* Whether windows come as they should: readyz. On false, `why` has a sentence. */
	bool (*ready)(void *ctx, char *why, size_t len);

	/*
	 * Takes a profile, and blocks for as long as that lasts. Of a kind that can't be taken of
	 * it the sentence says why. PROWL_NOTHING: the process is gone, or nothing was captured.
	 * *busy: as many as are allowed at a time are under way, and nothing was done. The caller
	 * frees the profile.
	 */
	enum prowl_code (*capture)(void *ctx, const struct prowl_capture_wish *wish,
				   struct pprof_profile **ret, bool *busy, struct prowl_err *err);

	/* All goroutines, one by one, as in a panic: debug=2. Optional. */
	enum prowl_code (*goroutine_text)(void *ctx, const struct prowl_process_id *id, FILE *to,
					  struct prowl_err *err);

	/*
	 * The arguments of the process, separated by NULs; returns their length, at most len, or
	 * negative errno. Optional: where command lines may not be shown.
	 */
	ssize_t (*cmdline)(void *ctx, const struct prowl_process_id *id, char *buf, size_t len);

	/* The name of the function at an address of the process; false: not known. Optional. */
	bool (*symbol)(void *ctx, const struct prowl_process_id *id, uint64_t address, char *name,
		       size_t len);

	/*
	 * The CPU profile of the last `ns` until now, from windows that are already there: at once.
	 * Optional.
	 */
	enum prowl_code (*window_now)(void *ctx, const struct prowl_process_id *id, uint64_t ns,
				      struct pprof_profile **ret, struct prowl_err *err);

	/*
	 * Begins to take several kinds in turn, which become an event of the store, and returns
	 * its name at once. Optional.
	 */
	enum prowl_code (*capture_event)(void *ctx, const struct prowl_capture_wish *wish,
					 const char *const *kinds, size_t nkinds,
					 const char *reason, char *id, size_t idlen,
					 struct prowl_err *err);

	/* Reads the configuration again. An error leaves the old one in force. Optional. */
	enum prowl_code (*reload)(void *ctx, struct prowl_err *err);

	/* Begins the end of the daemon, and returns. Optional. */
	void (*stop)(void *ctx);

	/* Calls `each` for every value of every metric but those of the server itself. */
	void (*metrics)(void *ctx, void (*each)(void *arg, const struct prowl_metric *m),
			void *arg);
};

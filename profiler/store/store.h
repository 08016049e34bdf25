/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of the daemon: profiles of many series over a long time, in a folder of ordinary pprof
 * files, with hard bounds on what it takes.
 *
 *	live/20261130T0805Z.cpu.pb.gz                  a window, all series; label `series`
 *	data/2026-11-30/T08/etcd.7f3a2c91.cpu.pb.gz    an hour, one series; label `window`
 *	events/2026-11-30/081502Z-etcd-4242-memory/    event.json and captures
 *	bad/                                           files that failed their check, with the
 *reason pins.json, store.json, lock, reserve index.db                                       of what
 *is there; rebuilt when it is missing
 *
 * Every profile carries all that the index knows of it, so a copied folder is a store. Files are
 * complete when they appear and don't change. A window is known by its series, its kind and its
 * key: "2026-11-30T08:05Z", with "+1" where there are several of that time (a clock that was set
 * back, several processes).
 *
 * Times are Unix times in nanoseconds, mono_* are CLOCK_MONOTONIC; both may be any clock in tests.
 *
 * Threads: one writer. prowl_store_put, _tick, _event_put, _pin and the like may be called by any
 * thread, one waits for the other. All that reads takes no lock, opens files and the index for
 * itself, and may run in any number of threads, processes, and without a daemon.
 *
 * Errors: an enum prowl_code with a sentence in err (which may be NULL). Results are written only
 * on PROWL_OK. Everything that a result points to belongs to it and lives until it is freed;
 *freeing NULL is allowed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "err.h"
#include "selector.h"
#include "series.h"

struct pprof_profile;
struct prowl_store;

enum {
	PROWL_STORE_KIND = 32,  /* bytes of a kind's name with its NUL: a-z 0-9 _ */
	PROWL_STORE_TYPES = 8,  /* sample types of a profile, at most */
	PROWL_STORE_KEY = 40,   /* bytes of a window's key with its NUL */
	PROWL_STORE_BOOT = 40,  /* of a boot id with its NUL */
	PROWL_STORE_PATH = 320, /* of a path inside the store with its NUL */
};

/* --- opening --------------------------------------------------------------------- */

/* Zero-initialised, but for path: all defaults. */
struct prowl_store_options {
	const char *path;
	bool read_only;             /* takes no lock and writes nothing, not even an index */
	bool no_fsync;              /* for tests, and where the loss of an hour is nothing */
	uint64_t max_bytes;         /* 0: the least of 2 GiB and 5 % of the file system */
	uint64_t min_free;          /* bytes left to others; 0: the most of 1 GiB and 5 %, but at
				     * most half of what was free at first */
	uint64_t max_age_ns;        /* 0: 30 days */
	double max_delete_fraction; /* of the bytes, in one run for age; 0: 0.2 */
	uint64_t events_max;        /* 0: 500 */
	uint64_t events_max_bytes;  /* 0: 256 MiB */
	uint64_t events_max_age_ns; /* 0: 90 days */
	uint64_t label_values;      /* of a label of samples, a series and hour; 0: 200 */
	uint64_t window_ns;         /* 0: a minute; a divisor of hour_ns */
	uint64_t hour_ns;           /* 0: an hour; for tests that run in less time */
	const char *host;           /* for store.json; NULL: none */
	/* One line for each thing of note: a deletion, a file that is damaged. NULL: none. */
	void (*log)(void *ctx, const char *line);
	void *log_ctx;
};

/*
 * Makes the folder where there is none, takes the lock, removes what an earlier writer left
 * unfinished, and brings index and files in agreement. PROWL_FAILED: another process writes there,
 * or what errno says; PROWL_PERMISSION; PROWL_UNSUPPORTED: a newer prowl's format, which can only
 * be read.
 */
enum prowl_code prowl_store_open(const struct prowl_store_options *options,
				 struct prowl_store **ret, struct prowl_err *err);
/* Writes nothing more; what couldn't be written before is lost. */
void prowl_store_close(struct prowl_store *s);

/* --- writing --------------------------------------------------------------------- */

enum prowl_store_flags {
	PROWL_STORE_SHORT = 1,         /* a part of a window */
	PROWL_STORE_CLOCK_STEPPED = 2, /* ended since the clock was set */
	PROWL_STORE_SUSPENDED = 4,
	PROWL_STORE_SHED = 8,       /* less was looked at, to stay within the budget */
	PROWL_STORE_RESTARTED = 16, /* the first one of a daemon */
};

/* "short", or NULL. */
const char *prowl_store_flag_name(unsigned int flag);

struct prowl_store_facts { /* of a window of one series; 0 or "" where not known */
	int64_t wall_start, wall_end;
	int64_t mono_start, mono_end;
	char boot_id[PROWL_STORE_BOOT];
	uint64_t samples, cpu_ns, lost, truncated, unknown;
	uint64_t rate, own_cpu_ns;
	unsigned int flags;
};

struct prowl_store_process {
	int64_t pid;
	int64_t start, end;                         /* end 0: runs still */
	const char *pod, *container, *image, *exit; /* NULL or "": not known */
};

struct prowl_store_part { /* a window of one series and kind */
	const struct prowl_series *series;
	const char *kind; /* "cpu" */
	/* Values are what was there at one time (heap in use, goroutines): a range has their mean,
	 * not their sum. */
	bool level;
	const struct pprof_profile *profile; /* may be without samples */
	struct prowl_store_facts facts;
	/* Those that were in it. Of a level it is one, so that those of several processes add up,
	 * and those of several times don't. */
	const struct prowl_store_process *processes;
	size_t nprocesses;
};

/*
 * Writes parts, of one window usually: one file for each kind and window. On PROWL_OK all of them
 * are durable, unless no_fsync is set. PROWL_FAILED: the disk refused. They are then kept, up to
 * 15 files, and written by the next put or tick: *ret_kept (may be NULL). Call it again only for
 * other parts. PROWL_USAGE: a part is wrong (no series, a kind that is no name, too many types);
 * nothing was written.
 */
enum prowl_code prowl_store_put(struct prowl_store *s, const struct prowl_store_part *parts,
				size_t n, bool *ret_kept, struct prowl_err *err);

/*
 * What is to be done in time, once in a window: writes what was kept, makes hour files of hours
 * that are over for a window and a second, deletes what is beyond the bounds.
 */
enum prowl_code prowl_store_tick(struct prowl_store *s, int64_t now, struct prowl_err *err);

/* Makes hour files of all there is, the present hour too: before an export, and in tests. */
enum prowl_code prowl_store_close_hours(struct prowl_store *s, struct prowl_err *err);

/* What became of it since it was opened: for metrics and status. Any thread. */
struct prowl_store_state {
	bool degraded;    /* what is put is not durable now */
	char reason[128]; /* why; "" */
	uint64_t puts, windows, put_ns, fsync_ns;
	uint64_t hours_closed, deleted_files, deleted_bytes, bad_files;
	uint64_t kept;    /* files that wait in memory */
	uint64_t dropped; /* windows that were lost, as more couldn't wait */
	int64_t newest;   /* wall_end of the newest window; 0: none */
};
void prowl_store_state(struct prowl_store *s, struct prowl_store_state *ret);

/* --- reading: what is there ------------------------------------------------------ */

enum prowl_store_agg { /* of levels, over the times at which they were taken */
		       PROWL_STORE_MEAN,
		       PROWL_STORE_MAX,
		       PROWL_STORE_MIN,
		       PROWL_STORE_LAST,
};

enum {                             /* labels that a merged profile keeps */
       PROWL_STORE_TAG_WINDOW = 1, /* window="2026-11-30T08:05Z" */
       PROWL_STORE_TAG_SERIES = 2, /* series="etcd build=…": service, and what else differs */
};

struct prowl_query {
	const struct prowl_selector *match; /* NULL: all */
	const char *kind;                   /* NULL: "cpu" in merge and timeline, else all */
	int64_t from, to;                   /* windows that begin in [from, to); to 0: no end */
	enum prowl_store_agg agg;
	unsigned int tags; /* merge */
	/* timeline */
	const char *type; /* a sample type by name; NULL: the profile's default */
	const char *by;   /* a line for each value of that label; NULL: one for each series */
	size_t top;       /* at most so many lines, the rest as one; 0: 20 */
	int64_t step_ns; /* 0: so that there are at most 500 points; always a multiple of windows */
	size_t limit;    /* of lists; 0: 1000 */
	/* merge and timeline, PROWL_USAGE beyond; 0: no bound */
	uint64_t max_bytes; /* of memory, about */
	uint64_t deadline;  /* CLOCK_MONOTONIC, ns */
};

struct prowl_store_list {
	struct prowl_store_listed {
		struct prowl_series *series;
		int64_t first, last; /* begin of the first window, end of the last */
		uint64_t samples, windows;
		char kinds[128]; /* "cpu heap" */
	} * rows;                /* by service, then by the other labels */
	size_t n;
	bool truncated;
};
enum prowl_code prowl_store_series(struct prowl_store *s, const struct prowl_query *q,
				   struct prowl_store_list **ret, struct prowl_err *err);
void prowl_store_list_free(struct prowl_store_list *l);

struct prowl_store_names {
	char **names; /* sorted */
	size_t n;
	bool truncated;
};
/* The names of labels, or (name not NULL) the values of one that begin with prefix (or NULL). */
enum prowl_code prowl_store_labels(struct prowl_store *s, const struct prowl_query *q,
				   const char *name, const char *prefix,
				   struct prowl_store_names **ret, struct prowl_err *err);
void prowl_store_names_free(struct prowl_store_names *n);

struct prowl_store_lanes {
	struct prowl_store_lane {
		uint64_t series; /* its hash */
		char boot_id[PROWL_STORE_BOOT];
		struct prowl_store_process process;
	} * rows; /* by start */
	size_t n;
	bool truncated;
};
/* The processes that ran in the range. */
enum prowl_code prowl_store_processes(struct prowl_store *s, const struct prowl_query *q,
				      struct prowl_store_lanes **ret, struct prowl_err *err);
void prowl_store_lanes_free(struct prowl_store_lanes *l);

enum prowl_store_tier { PROWL_STORE_LIVE, PROWL_STORE_HOUR };

struct prowl_store_files {
	struct prowl_store_file {
		char path[PROWL_STORE_PATH]; /* inside the store */
		char kind[PROWL_STORE_KIND];
		enum prowl_store_tier tier;
		int64_t start, end; /* of the windows */
		uint64_t bytes, series, windows, samples;
	} * rows; /* by start */
	size_t n;
	bool truncated;
};
enum prowl_code prowl_store_files(struct prowl_store *s, const struct prowl_query *q,
				  struct prowl_store_files **ret, struct prowl_err *err);
void prowl_store_files_free(struct prowl_store_files *f);

struct prowl_store_usage {
	uint64_t bytes, live_bytes, hour_bytes, event_bytes, bad_bytes; /* bytes: all of them */
	uint64_t files, events, series, windows;
	uint64_t max_bytes, free_bytes;
	int64_t oldest, newest; /* 0: none */
};
enum prowl_code prowl_store_usage(struct prowl_store *s, struct prowl_store_usage *ret,
				  struct prowl_err *err);

/* --- reading: profiles ----------------------------------------------------------- */

struct prowl_store_merged {
	struct pprof_profile *profile; /* without `series` and `window` labels but for q->tags */
	size_t used;                   /* windows in it */
	size_t missing; /* windows of the range, as far as the store reaches, without any */
	size_t skipped; /* windows whose file could not be read: see notes */
	size_t nseries, nfiles;
	bool level;
	struct prowl_store_facts facts; /* sums; start of the first, end of the last window */
	char **notes;                   /* a sentence for each file that was skipped */
	size_t nnotes;
};
/*
 * One profile of all windows of the range. Flows are summed; of levels, those of several processes
 * are summed, and those of several times become one by q->agg. One file is in memory at a time.
 * PROWL_NOTHING: there is no such window; the hint says what there is.
 */
enum prowl_code prowl_store_merge(struct prowl_store *s, const struct prowl_query *q,
				  struct prowl_store_merged **ret, struct prowl_err *err);
void prowl_store_merged_free(struct prowl_store_merged *m);
/* Takes the profile out of the result. */
struct pprof_profile *prowl_store_merged_take(struct prowl_store_merged *m);

/* From the index only. */
struct prowl_store_timeline {
	int64_t from, to, step_ns; /* from: a multiple of step; to: no 0 */
	size_t npoints;            /* of each line */
	bool level;
	char type[64], unit[64];
	struct prowl_store_line {
		char *name;                  /* the label's value, or the series' service */
		struct prowl_series *series; /* NULL: several */
		bool other;                  /* the rest of them */
		double total;                /* of the range: sum, of levels mean */
		struct prowl_store_point {
			double value;       /* sum of the windows; of levels by q->agg */
			int64_t covered_ns; /* of the step, by windows: 0 is no data */
			unsigned int flags;
			uint32_t windows;
			uint64_t samples, lost;
		} * points;
	} * lines; /* the largest first */
	size_t nlines;
	struct prowl_store_gap {
		int64_t from, to;
	} * gaps; /* where there is no window of any series of the store */
	size_t ngaps;
};
enum prowl_code prowl_store_timeline(struct prowl_store *s, const struct prowl_query *q,
				     struct prowl_store_timeline **ret, struct prowl_err *err);
void prowl_store_timeline_free(struct prowl_store_timeline *t);

/* --- events ---------------------------------------------------------------------- */

struct prowl_store_capture { /* a file of an event: the profile, or else bytes */
	const char *name;    /* "heap.pb.gz", "goroutines.txt": no slash */
	const struct pprof_profile *profile;
	const void *bytes;
	size_t len;
};

struct prowl_store_event {
	int64_t time;
	const char *kind;                  /* "memory", "capture" */
	const char *summary;               /* a line for people */
	const struct prowl_series *series; /* or NULL */
	int64_t pid;                       /* 0: none */
	const char *details;               /* a JSON object, or NULL */
	bool keep;                         /* is not deleted by retention */
};

/* All files appear together. ret_id: where to find it; may be NULL. */
enum { PROWL_STORE_ID = 160 };
enum prowl_code prowl_store_event_put(struct prowl_store *s, const struct prowl_store_event *event,
				      const struct prowl_store_capture *captures, size_t n,
				      char ret_id[PROWL_STORE_ID], struct prowl_err *err);
enum prowl_code prowl_store_event_keep(struct prowl_store *s, const char *id, bool keep,
				       struct prowl_err *err);

struct prowl_store_events {
	struct prowl_store_happened {
		char id[PROWL_STORE_ID]; /* "2026-11-30/081502Z-etcd-4242-memory" */
		struct prowl_store_event event;
		uint64_t bytes;
		char **files; /* without event.json */
		size_t nfiles;
	} * rows; /* the newest first */
	size_t n;
	bool truncated;
};
/* q: match, kind (NULL: all), from, to, limit. */
enum prowl_code prowl_store_events(struct prowl_store *s, const struct prowl_query *q,
				   struct prowl_store_events **ret, struct prowl_err *err);
void prowl_store_events_free(struct prowl_store_events *e);
/* A descriptor of a file of an event, to be read and closed; event.json too. Negative errno. */
int prowl_store_event_open(struct prowl_store *s, const char *id, const char *file);

/* --- keeping it in order --------------------------------------------------------- */

/* What retention leaves alone. A pin is known by its range. */
struct prowl_store_pins {
	struct prowl_store_pin {
		int64_t from, to;
		char *reason;
	} * rows;
	size_t n;
};
enum prowl_code prowl_store_pin(struct prowl_store *s, int64_t from, int64_t to, const char *reason,
				struct prowl_err *err);
/* Removes all pins that lie in the range; PROWL_NOTHING: there is none. */
enum prowl_code prowl_store_unpin(struct prowl_store *s, int64_t from, int64_t to,
				  struct prowl_err *err);
enum prowl_code prowl_store_pins(struct prowl_store *s, struct prowl_store_pins **ret,
				 struct prowl_err *err);
void prowl_store_pins_free(struct prowl_store_pins *p);

/* Deletes whole hours of all series that lie in the range, pinned or not. */
enum prowl_code prowl_store_delete(struct prowl_store *s, int64_t from, int64_t to,
				   uint64_t *ret_bytes, struct prowl_err *err);

struct prowl_store_check {
	uint64_t files, windows, events, bytes;
	uint64_t bad;       /* files that are damaged */
	uint64_t unindexed; /* files that the index doesn't know, or knows otherwise */
	uint64_t gone;      /* files of the index that are not there */
	uint64_t twice;     /* windows that two hour files have */
	uint64_t left;      /* unfinished files of a writer that ended */
	bool index_bad;
};
/*
 * Reads every file and compares it with the index. A store that is open for writing is repaired as
 * well: damaged files go to bad/, the index becomes what the files say. `say` gets a line for each
 * finding; may be NULL.
 */
enum prowl_code prowl_store_fsck(struct prowl_store *s, void (*say)(void *ctx, const char *line),
				 void *ctx, struct prowl_store_check *ret, struct prowl_err *err);

/*
 * The files with windows in the range, of series that match, as a tar archive; and such an archive
 * into a store that is open for writing: files that it has are left alone. Counts of files.
 */
enum prowl_code prowl_store_export(struct prowl_store *s, const struct prowl_query *q, int fd,
				   uint64_t *ret_files, struct prowl_err *err);
enum prowl_code prowl_store_import(struct prowl_store *s, int fd, uint64_t *ret_files,
				   uint64_t *ret_known, struct prowl_err *err);

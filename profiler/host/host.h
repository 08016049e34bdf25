/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole host, sampled by one session for as long as it runs: finds processes as they start, cuts
 * a window every minute, and takes runtime profiles and figures on a schedule. What becomes of all
 * that is the caller's, who gives functions (struct prowl_host_ops).
 *
 *	prowl_host_open     makes a host; reads nothing, starts nothing
 *	prowl_host_run      samples until wake_fd is readable; in a thread of the caller's
 *	prowl_host_capture  a profile of one process, on demand; in any thread
 *	prowl_host_targets, prowl_host_status, prowl_host_reconsider, prowl_host_retune   in any
 *thread prowl_host_free     after run has returned
 *
 * Threads: prowl_host_run samples in the caller's thread and has two of its own: one that hands
 * finished windows over, one that takes runtime profiles and figures. Nothing is written to a
 * target, none is stopped.
 *
 * Time is in nanoseconds: "wall" is Unix time, "mono" CLOCK_MONOTONIC. CPU time is nanoseconds,
 * too. Strings and arrays in arguments of the caller's functions are valid during the call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "figures.h"
#include "prowl.h"
#include "series.h"

struct pprof_profile;
struct prowl_host;

/* --- processes --- */

/* One process, for ever: pids are used again. */
struct prowl_host_id {
	pid_t pid;
	uint64_t
		start; /* clock ticks since boot, /proc/PID/stat; 0: it was gone before we looked */
};

/* What decide is asked about. Missing strings are "". */
struct prowl_host_program {
	struct prowl_host_id id;
	bool gone;     /* it has ended already: uid and cgroup are those of its parent, if known */
	pid_t parent;  /* 0: not known */
	uint64_t wall; /* when it began to run this program, or was found */
	uid_t uid;
	const char *comm;
	const char *exe;         /* the path as the process sees it, without " (deleted)" */
	const char *cgroup;      /* the text of /proc/PID/cgroup: lines "0::/system.slice/..." */
	const char *cmdline;     /* words separated by spaces; "" unless it was asked for */
	const char *environment; /* as /proc/PID/environ: "A=1\0B=2\0\0"; "" unless asked for */
	bool elf, go;            /* elf: the file could be read, and what follows is known */
	const char *go_version;  /* "go1.27.1" */
	const char *package;     /* import path of the main package */
	const char *module, *module_version; /* the main module */
	const char *revision;                /* vcs.revision */
	const char *go_build_id, *build_id;  /* Go's, and GNU's in hex */
};

/* Periods in nanoseconds; 0: never. */
enum prowl_host_look {
	PROWL_LOOK_FIGURES,
	PROWL_LOOK_HEAP, /* gives "heap" (levels: in use), "allocs" (flow) and "threadcreate" */
	PROWL_LOOK_GOROUTINE,
	PROWL_LOOK_BLOCK, /* where the program records it */
	PROWL_LOOK_MUTEX,
	PROWL_LOOKS,
};

struct prowl_host_decision { /* zero: no target */
	bool profile;
	const struct prowl_series *series; /* copied; must be there where profile is true */
	unsigned int rate;                 /* Hz; 0, or above the host's: the host's */
	uint64_t period[PROWL_LOOKS];      /* of a Go program's looks */
};

/* --- what comes out --- */

struct prowl_host_member { /* a process with samples in a window */
	struct prowl_host_id id;
	const char *comm;
	const struct prowl_series *series;
	uint64_t samples, cpu_ns; /* cpu_ns: what the kernel charged, as samples represent it */
};

struct prowl_host_part { /* all processes of a series */
	const struct prowl_series *series;
	/* CPU profile with the time of the window, without comments. A callee that wants to keep it
	 * sets this to NULL, and frees it with pprof_profile_free. */
	struct pprof_profile *profile;
	uint64_t samples, cpu_ns;          /* sums over the profile */
	uint64_t truncated, unknown, lost; /* samples: their stack ends early; frames without a
					      name; found no room */
};

struct prowl_host_other { /* processes that are no targets, by name */
	const char *comm;
	uint64_t samples, cpu_ns; /* cpu_ns: samples times their period */
};

enum prowl_host_flags {
	PROWL_HOST_SHORT = 1,         /* not a whole period */
	PROWL_HOST_CLOCK_STEPPED = 2, /* the wall clock was set: this window ended with that */
	PROWL_HOST_SUSPENDED = 4,     /* the machine slept */
	PROWL_HOST_SHED = 8,          /* some of the work was left out to keep to the budget */
	PROWL_HOST_RESTARTED = 16,    /* the first window of this host */
	PROWL_HOST_LAST = 32,         /* prowl_host_run ends with it */
};

/*
 * A window. There is no gap and no overlap: mono_start is the mono_end of the one before. By the
 * wall clock it belongs to the period that `slot` begins, a multiple of the window's length: after
 * the clock was set back, several windows may have the same, and `again` tells them apart.
 */
struct prowl_host_window {
	uint64_t number; /* 0, 1, ... of this host */
	const char *boot_id;
	int64_t slot;
	unsigned int again; /* 0, or how often the clock had gone back behind what was there */
	int64_t wall_start, wall_end;
	uint64_t mono_start, mono_end;
	unsigned int flags;
	unsigned int rate;        /* samples per second and CPU, before a decision's own */
	bool whole_cpus;          /* else only targets are sampled, and there are no others */
	uint64_t samples, cpu_ns; /* of the targets */
	/* Samples, and records that found no room in a ring: of any process on whole CPUs. */
	uint64_t lost;
	uint64_t truncated, unknown;
	uint64_t own_cpu_ns; /* what the threads of this host used */
	uint64_t pause_ns;   /* how long nobody drained the rings, while addresses were named */
	struct prowl_host_part *parts;
	size_t nparts;
	const struct prowl_host_member *members;
	size_t nmembers;
	const struct prowl_host_other *others; /* most CPU time first; the last may be "(rest)" */
	size_t nothers;
	uint64_t others_samples, others_cpu_ns; /* the sum of all of them */
};

struct prowl_host_snapshot { /* a runtime profile of one process */
	struct prowl_host_id id;
	const char *comm;
	const struct prowl_series *series;
	const char *kind; /* "heap", "allocs", "goroutine", "block", "mutex", "threadcreate" */
	/*
	 * A flow has what was added from wall_start to wall_end: flows add up, and a program that
	 * begins anew is no drop. A level is of wall_end; wall_start is the same.
	 */
	bool flow;
	int64_t wall_start, wall_end;
	uint64_t mono;                 /* of wall_end */
	uint64_t cost_ns;              /* CPU time that it took us */
	struct pprof_profile *profile; /* as in struct prowl_host_part */
};

struct prowl_host_figures {
	struct prowl_host_id id;
	const char *comm;
	const struct prowl_series *series;
	int64_t wall;
	const struct prowl_figures *figures;
};

enum prowl_host_change {
	PROWL_HOST_APPEARED,
	PROWL_HOST_CHANGED, /* another program, series or decision */
	PROWL_HOST_GONE,
	PROWL_HOST_DENIED, /* decide wants it, but it can't be sampled: why */
};

struct prowl_host_target {
	enum prowl_host_change change; /* in prowl_host_targets: DENIED or APPEARED */
	struct prowl_host_id id;
	pid_t parent;
	uid_t uid;
	const char *comm, *exe, *cgroup, *go_version;
	const struct prowl_series *series;
	int64_t wall;      /* of the change; in prowl_host_targets: when it appeared */
	const char *why;   /* it can't be sampled; "": it can */
	const char *looks; /* why runtime profiles can't be read; "": they can, or nobody asked */
	bool shed;         /* left out for the present, to keep to the budget or the limits */
	uint64_t samples, cpu_ns;     /* so far */
	uint64_t looked, look_cpu_ns; /* times, and what they cost us */
	int64_t last_window; /* wall_start of the last window with samples of it; 0: none */
};

enum prowl_host_event_kind {
	PROWL_HOST_MODE,    /* how the host is sampled, and why not better */
	PROWL_HOST_LOST,    /* rings overflowed; /proc is read again */
	PROWL_HOST_CLOCK,   /* a clock step or a suspend */
	PROWL_HOST_BUDGET,  /* a step of shedding, or back */
	PROWL_HOST_LIMIT,   /* a limit was reached */
	PROWL_HOST_TROUBLE, /* something failed and goes on */
};

struct prowl_host_event {
	enum prowl_host_event_kind kind;
	int64_t wall;
	const char *text; /* a sentence */
};

/*
 * Functions of the caller's; all but decide may be NULL.
 *
 * rules_out is a quick answer before decide: true where no process of this program can be a target,
 * whoever's and wherever it is. Only what is known of the program, comm and exe are filled in then.
 * It saves reading the rest, which costs most for machines that execute many short programs.
 * They may call prowl_host_targets,
 * prowl_host_status, prowl_host_reconsider and prowl_host_retune.
 *
 * decide, and most calls of target and event, run in the sampling thread and hold it up:
 * microseconds. window has a thread of its own, which may wait; snapshot and figures have another
 * one. They run at the same time: what they share is theirs to lock.
 */
struct prowl_host_ops {
	void (*decide)(void *ctx, const struct prowl_host_program *p,
		       struct prowl_host_decision *ret);
	bool (*rules_out)(void *ctx, const struct prowl_host_program *p);
	void (*window)(void *ctx, struct prowl_host_window *w);
	void (*snapshot)(void *ctx, struct prowl_host_snapshot *s);
	void (*figures)(void *ctx, const struct prowl_host_figures *f);
	void (*target)(void *ctx, const struct prowl_host_target *t);
	void (*event)(void *ctx, const struct prowl_host_event *e);
};

/* --- options --- */

struct prowl_host_clocks { /* NULL: the kernel's */
	uint64_t (*mono)(void), (*wall)(void), (*boot)(void);
};

struct prowl_host_options {            /* zero: the default that is named */
	unsigned int rate;             /* 19 Hz; 1 to 1,000 */
	uint64_t window_ns;            /* 60 s; a divisor of an hour */
	uint64_t rescan_ns;            /* 30 s: /proc is read as often */
	uint64_t drain_ns;             /* 250 ms: rings are read as often */
	unsigned int opens_per_second; /* 50: programs that are not known yet */
	uint32_t stack_bytes;          /* 4,096: of each sample's stack copy */
	bool user_only, no_labels, no_bpf;
	bool per_thread;           /* don't sample whole CPUs even where it is allowed */
	bool cmdline, environment; /* decide wants them */
	bool one_other;            /* others are not told apart by name: all are "(other)" */
	bool self;                 /* decide is asked about this process, too */
	struct {
		size_t targets;  /* 500 */
		size_t events;   /* 2,000: descriptors, where whole CPUs are not allowed */
		size_t others;   /* 200 names in a window */
		size_t captures; /* 2 at a time */
	} limits;
	struct {
		double sampling;  /* 0.005 of one CPU */
		double looking;   /* 0.003 */
		uint64_t over_ns; /* 10 s: measured over that */
	} budget;
	struct prowl_host_clocks clocks;
	/* For tests; NULL: perf, and the kernel's times of processes. */
	const struct prowl_sampler_ops *sampler;
	bool (*times)(pid_t pid, struct prowl_times *ret);
};

/* The ops are copied, ctx must outlive the host. PROWL_USAGE: an option out of range. */
enum prowl_code prowl_host_open(const struct prowl_host_options *o,
				const struct prowl_host_ops *ops, void *ctx,
				struct prowl_host **ret, struct prowl_err *err);
void prowl_host_free(struct prowl_host *h);

/*
 * Runs until wake_fd (not consumed) is readable; the last window is handed over before it returns.
 * Where nothing can be sampled at all, runtime profiles and figures go on, and an event says why.
 * PROWL_FAILED: it could not begin.
 */
enum prowl_code prowl_host_run(struct prowl_host *h, int wake_fd, struct prowl_err *err);

/* Decides anew about all processes, within a moment: the rules have changed. */
void prowl_host_reconsider(struct prowl_host *h);

/* --- on demand --- */

struct prowl_host_capture {
	struct prowl_host_id id; /* start 0: whichever has this pid */
	const char *kind;        /* of prowl_kinds: "cpu", "heap", ... */
	uint64_t ns;             /* of a window; 0: the kind's default */
	unsigned int rate;       /* of "cpu"; 0: 99 Hz */
	bool delta;              /* of those that may have a window: what changed within it */
	int wake_fd;             /* an eventfd that ends it early; 0: none */
};

/*
 * Takes it, in the calling thread; the caller frees the profile. *busy: as many as are allowed at a
 * time are being taken, and nothing was done. PROWL_NOTHING: no such process (any more), or it has
 * nothing of that kind, with the reason; PROWL_USAGE: no such kind.
 */
enum prowl_code prowl_host_capture(struct prowl_host *h, const struct prowl_host_capture *c,
				   struct pprof_profile **ret, bool *busy, struct prowl_err *err);

/* --- looking at it --- */

/* Calls cb for each target, sampled or denied, until it returns something else than 0. */
void prowl_host_targets(struct prowl_host *h,
			int (*cb)(void *ctx, const struct prowl_host_target *t), void *ctx);

enum prowl_host_mode {
	PROWL_HOST_STARTING,
	PROWL_HOST_WHOLE_CPUS,
	PROWL_HOST_PER_THREAD,
	PROWL_HOST_NOT_SAMPLING, /* runtime profiles and figures only */
};

struct prowl_host_status {
	enum prowl_host_mode mode;
	char why[512]; /* why it is no better one; "" */
	unsigned int rate;
	uint64_t windows, samples, cpu_ns, lost, others_samples;
	size_t targets, denied, shed, processes, waiting; /* waiting: not looked at yet */
	size_t programs, series;                          /* known by now */
	uint64_t execs, forks, exits, scans;              /* seen */
	uint64_t opened,
		unseen; /* programs that were read; processes gone before that was possible */
	uint64_t looks, looks_failed, captures;
	uint64_t undelivered; /* windows that were dropped since the caller's `window` was too slow
			       */
	uint64_t pause_most_ns;   /* the longest time that rings were not drained */
	double sampling, looking; /* shares of one CPU, as last measured */
	unsigned int step;        /* of shedding: 0 none ... 4 */
};

void prowl_host_status(struct prowl_host *h, struct prowl_host_status *ret);

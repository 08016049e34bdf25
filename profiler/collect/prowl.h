/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU profiles of running processes, one window after the other without a gap.
 *
 *	prowl_session_open     attaches and starts sampling
 *	prowl_session_collect  waits, drains, walks and counts for a while
 *	prowl_session_cut      ends a window and begins the next: a profile of the one that ended
 *	prowl_session_note     adds comments on what is known of the session so far
 *
 * For a single window, over these:
 *
 *	prowl_session_run    collects until the time is over, then ends sampling
 *	prowl_session_build  ends sampling, cuts the last window and adds the comments
 *
 * They may be called in any order. Once sampling has ended, collect and run return at once, and a
 * cut gives what was counted since the last one, perhaps nothing.
 *
 * Nothing is written to a target, none is stopped. A session belongs to one thread;
 * prowl_session_wake_fd may be written by a signal handler to end a run early.
 *
 * Units: time in nanoseconds, sizes in bytes, CPU weight in nanoseconds. Zero in an option means
 * its default.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "who.h"
#include "window_group.h"

struct pprof_profile;
struct prowl_sampler_ops;
struct prowl_session;
struct prowl_times;

enum {
	PROWL_DEFAULT_RATE = 99, /* Hz; not a divisor of common timers */
	PROWL_MAX_RATE = 20000,
};

/* What happens to any process of the machine, target or not: see prowl_options.seen. */
struct prowl_seen {
	enum prowl_seen_kind {
		PROWL_SEEN_FORK,    /* of parent */
		PROWL_SEEN_EXEC,    /* comm is its new name; its mappings follow */
		PROWL_SEEN_NAME,    /* comm is its new name */
		PROWL_SEEN_MAPPING, /* executable: path, dev, ino; after an exec, first the program
				     */
		PROWL_SEEN_EXIT,    /* of its main thread: others may go on */
		PROWL_SEEN_SAMPLE,  /* of a process that is no target */
		PROWL_SEEN_LOST,    /* records were lost: things may have happened unseen */
	} kind;
	pid_t pid, parent;
	uint64_t time; /* CLOCK_MONOTONIC; of a sample 0 */
	const char *comm, *path;
	uint64_t dev, ino;
};

struct prowl_options {
	const pid_t *pids; /* borrowed during open */
	size_t npids;
	unsigned int rate;    /* samples per second of CPU time */
	uint32_t stack_bytes; /* of each sample's stack copy; 0: by what the target needs */
	bool user_only;       /* no kernel frames, kernel time at the user frame */
	bool per_thread;      /* don't sample whole CPUs even where it is allowed */
	bool children;        /* follow forks */
	bool threads;         /* label samples with the thread's id and its name at that time */
	bool no_bpf;          /* don't load the BPF program even where it is allowed */
	bool labels;          /* label samples with Go's pprof labels */
	bool timeline;        /* each sample with its time; implies threads */
	unsigned int tick_ms; /* call progress at least that often; 0: as it comes */
	bool stay;            /* collect also while there is no target that runs: others may come */
	unsigned int drain_ms; /* between two readings of the rings; 0: 100 */
	unsigned int ring_ms;  /* what comes in that time has room in the rings; 0: 500 */
	/*
	 * Called while rings are drained, in the order of time; it may call prowl_session_adopt,
	 * prowl_session_drop and prowl_session_set. On single threads only targets are seen.
	 */
	void (*seen)(void *ctx, const struct prowl_seen *seen);
	void *seen_ctx;
	/* For tests and other samplers; NULL: perf, CLOCK_MONOTONIC, the kernel's. */
	const struct prowl_sampler_ops *sampler;
	uint64_t (*now)(void);
	bool (*times)(pid_t pid, struct prowl_times *ret);
	int wake_fd; /* an eventfd of the caller's for prowl_session_wake_fd; 0: none */
};

struct prowl_result {     /* counted, for the last lines and the comments of the profile */
	uint64_t samples; /* of the targets, in the profile */
	uint64_t lost;    /* records that the kernel dropped because a ring was full */
	uint64_t hash_dropped;
	uint64_t damaged;
	uint64_t throttled;
	uint64_t no_user;                           /* samples without user registers */
	uint64_t complete, truncated, unknown_root; /* all of user_stacks, by how the walk ended */
	uint64_t user_stacks;                       /* their number */
	uint64_t unknown_frames;      /* samples with at least one unnamed frame, after build */
	uint64_t cpu_ns;              /* charged by the kernel to the targets during the window */
	uint64_t kernel_unsampled_ns; /* of which in the kernel, where that is not sampled */
	uint64_t sampled_ns;          /* what the samples represent, before they are scaled */
	uint64_t unsampled_ns;        /* of cpu_ns: what no sample represents, after build */
	uint64_t seen;                /* samples of anybody */
	/* With labels, each sample is in one of these: it has some; its goroutine has none; it was
	 * read too late to be believed; its goroutine or labels could not be identified. */
	uint64_t labelled, unlabelled, labels_too_old, labels_unknown;
	uint64_t labels_cut;   /* of the labelled: see golabels.h for the limits */
	uint64_t labels_exact; /* of the first two: copied at the sample */
	/* With a timeline: how many samples have their time, and how many came too late for it. */
	uint64_t timed, untimed;
	uint64_t duration_ns;
	uint64_t first_sample_ns; /* from open to the first sample */
	uint64_t period_ns;
	const char *no_bpf;    /* why BPF copies nothing at the time of a sample; NULL: it does */
	uint64_t copied;       /* samples for which it did: those that need it */
	uint64_t copies_lost;  /* for which there was no room */
	uint64_t copies_stray; /* whose sample was lost */
	bool whole_cpus, kernel, kernel_names;
	bool kernel_sampled; /* some sample has kernel frames */
	bool all_exited;
	int paranoid;
	int ksyms_cache_error; /* the kernel's symbols could not be kept: negative errno */
	bool hurried; /* the wake fd was written while addresses were named: the rest has no names
		       */
	uint32_t left_out; /* files whose symbols or lines are missing: they cost too much */
};

enum prowl_code prowl_session_open(const struct prowl_options *o, struct prowl_session **ret,
				   struct prowl_err *err);
void prowl_session_free(struct prowl_session *s);

/* Readable when something was written to it: ends prowl_session_run. Write 8 bytes (eventfd). */
int prowl_session_wake_fd(const struct prowl_session *s);

/* Runs until `duration_ns` is over (0: no limit), the wake fd is written, or every target exited.
 */
enum prowl_code prowl_session_run(struct prowl_session *s, uint64_t duration_ns,
				  void (*progress)(void *ctx, const struct prowl_result *r),
				  void *ctx, struct prowl_err *err);

/*
 * The profile of the last window, with comments; sampling ends. Writing to the wake fd meanwhile
 * ends the naming of native addresses: the remaining ones stay unknown, and the profile says so.
 * Samples with the same stack and labels may be apart in it (pprof_write_fd joins them, and so does
 * pprof_merge). The caller frees it with pprof_profile_free.
 */
enum prowl_code prowl_session_build(struct prowl_session *s, struct pprof_profile **ret,
				    struct prowl_err *err);

/*
 * Collects for `duration_ns`, or until wake_fd (-1: none) is readable or every target exited; goes
 * on sampling afterwards, also while nobody collects, as long as the rings have room: what finds
 * none is counted as lost. The result is brought up to date, PROWL_OK or not.
 */
void prowl_session_collect(struct prowl_session *s, uint64_t duration_ns, int wake_fd);

/*
 * The profile of what was counted since the last cut, or since open; it may have no samples, and
 * has no comments. The caller frees it. The windows' weights add up to what the kernel charged:
 * time of a process that has no sample in a window counts in the next one that has some.
 */
enum prowl_code prowl_session_cut(struct prowl_session *s, struct pprof_profile **ret,
				  struct prowl_err *err);

/*
 * The same as a profile for each process that has something in it (window.h): all of them in one
 * pass. cb owns each; a value other than 0 ends the calls, negative errno as a failure.
 */
enum prowl_code prowl_session_cut_each(struct prowl_session *s, enum prowl_group group,
				       prowl_window_fn cb, void *ctx, struct prowl_err *err);

/*
 * A target more, from now on; one that there is already, also as a child, stays one. And one less:
 * what was sampled of it until now belongs to the present window, with which it leaves the list.
 * A target that has exited stays in the list until it is removed, a child until the window is cut.
 */
enum prowl_code prowl_session_add(struct prowl_session *s, pid_t pid, struct prowl_err *err);
void prowl_session_remove(struct prowl_session *s, pid_t pid);

/*
 * A target more, known by records only (prowl_options.seen): from its exec or its fork on. It may
 * have ended since. Its mappings are those of its parent, or those that records tell next.
 */
struct prowl_adopted {
	pid_t pid;
	pid_t parent;    /* a target, of which it is a copy; 0: after an exec */
	uint64_t since;  /* CLOCK_MONOTONIC: its samples from then on count */
	bool born;       /* after the session began: all of its CPU time is seen */
	uint64_t forked; /* when, where it was born; 0: with this program */
	uint64_t used;   /* CPU time before, of another program, ns; 0: not known */
	const char *comm;
};
int prowl_session_adopt(struct prowl_session *s, const struct prowl_adopted *a);
/* As prowl_session_remove, but of what has been drained so far. */
void prowl_session_drop(struct prowl_session *s, pid_t pid);
/*
 * The same of a target that executes another program at that time: what it uses from then on is not
 * its any more. Returns what it had used, for `used` above; 0: it is no target.
 */
uint64_t prowl_session_executes(struct prowl_session *s, pid_t pid, uint64_t time);

/*
 * In whose profile a target is, by group (from 1 on), and that one in `every` of its samples
 * counts, for as many.
 */
void prowl_session_set(struct prowl_session *s, pid_t pid, pid_t group, unsigned int every);

/* Whether it has ended, all threads of it, as far as is known by now. */
bool prowl_session_ended(struct prowl_session *s, pid_t pid);

/* When the present window began: CLOCK_MONOTONIC, where the one before has ended. */
uint64_t prowl_session_since(const struct prowl_session *s);

/* What a process has in a window: while prowl_session_cut_each calls back. */
struct prowl_session_member {
	pid_t pid, group;
	uint64_t start; /* clock ticks since boot; 0: it was gone before that could be read */
	const char *comm;
	uint64_t samples, cpu_ns;
};
void prowl_session_members(struct prowl_session *s,
			   void (*cb)(void *ctx, const struct prowl_session_member *m), void *ctx);

/* Adds comments on how it was sampled, of which build, and what was lost: of the whole session. */
void prowl_session_note(struct prowl_session *s, struct pprof_profile *p);

/* Descriptors of perf events that are open: per thread many. */
unsigned int prowl_session_events(const struct prowl_session *s);

size_t prowl_session_targets(const struct prowl_session *s);
void prowl_session_target(struct prowl_session *s, size_t i, struct prowl_target *ret);
const struct prowl_result *prowl_session_result(const struct prowl_session *s);

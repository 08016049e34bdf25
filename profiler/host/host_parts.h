/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's insides. The sampling thread owns the session, the table of processes and the caches;
 * it changes what other threads read (processes, their strings, counts) with the lock held, and
 * reads it without. Functions of the caller's are called without the lock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "host.h"
#include "idmap.h"
#include "program.h"

struct host_look;

/* --- what is known of a process, read below /proc (host_facts.c) --- */

struct host_key { /* of a program's file */
	uint64_t dev, ino, size;
	int64_t changed; /* mtime, ns */
};

struct host_facts {
	uint64_t start;
	pid_t parent;
	uid_t uid;
	char comm[64];
	char exe[4096];
	char cgroup[4096];
	char *cmdline, *environment; /* NULL: not asked for, or not allowed */
	int exe_error;               /* negative errno: no program (a kernel thread), not allowed */
};

/* The time when a process began; 0: there is none. */
uint64_t host_start_of(pid_t pid);
/* False: it is gone. */
bool host_facts_read(pid_t pid, const struct prowl_host_options *o, struct host_facts *ret);
void host_facts_fini(struct host_facts *f);
/* The uid, and the text of cgroup. */
bool host_facts_uid(pid_t pid, uid_t *ret);

/* --- programs (host_programs.c) --- */

enum { HOST_PROGRAMS = 4096 };

struct host_known {
	struct host_key key;
	int error; /* it can't be read: negative errno */
	struct prowl_program program;
	uint64_t used; /* when, in look-ups */
};

struct host_programs { /* zero-initialised is empty */
	struct host_known *known;
	size_t n, cap;
	struct prowl_idmap by_key;
	uint64_t clock;
	uint64_t opened;
};

void host_programs_fini(struct host_programs *c);
/* One that was read before; NULL: none. */
struct host_known *host_programs_find(struct host_programs *c, const struct host_key *key);
/* Reads fd, which is taken over. NULL: without memory. */
struct host_known *host_programs_read(struct host_programs *c, const struct host_key *key, int fd);
/* The key of the program of a process, which is not opened. Negative errno. */
int host_program_of(pid_t pid, struct host_key *ret);
/* Negative errno, or a descriptor of the file, whose key is *ret. */
int host_program_open(pid_t pid, struct host_key *ret);
/* The same by a path that a process, or (where it is gone) its parent, sees; ino is what it was. */
int host_program_open_at(pid_t parent, const char *path, uint64_t ino, struct host_key *ret);

/* --- series (host_table.c) --- */

struct host_series {
	struct prowl_series *s;
	pid_t group; /* from 1 on: the number of its profile in windows */
	size_t refs; /* processes */
};

struct host_groups { /* zero-initialised is empty */
	struct host_series **list;
	size_t n, cap;
	pid_t last;
};

/* One with that identity, made if need be; a reference is the caller's. NULL without memory. */
struct host_series *host_groups_take(struct host_groups *g, const struct prowl_series *s);
struct host_series *host_groups_find(const struct host_groups *g, pid_t group);
/* Those that no process has end. */
void host_groups_sweep(struct host_groups *g);
void host_groups_fini(struct host_groups *g);

/* --- processes (host_table.c) --- */

enum host_state {
	HOST_WAITING, /* to be looked at */
	HOST_SEEN,    /* no target */
	HOST_STARTED, /* an exec was seen, its program comes next */
	HOST_TARGET,  /* in the session */
	HOST_DENIED,  /* it should be, but can't */
	HOST_SHED,    /* it should be, but the limits or the budget are against it */
};

struct host_process {
	struct prowl_host_id id;
	_Atomic(enum host_state) state; /* of most processes it changes without the lock */
	pid_t parent;
	uid_t uid;
	char comm[64];
	/* Of those that decide wants. */
	char *exe, *cgroup, *why;
	char go_version[64];
	struct host_series *series;
	unsigned int rate;
	uint64_t period[PROWL_LOOKS];
	int64_t wall; /* when it appeared */
	uint64_t samples, cpu_ns, looked, look_cpu_ns;
	int64_t last_window;
	char *looks;     /* why runtime profiles can't be read */
	uint64_t recent; /* CPU time, ns, decaying from window to window */
	/* Of the sampling thread. */
	uint64_t exec;   /* mono, of its exec */
	uint64_t forked; /* mono, where it was born */
	uint64_t used;   /* CPU time before that, as a target; 0: none, or not known */
	bool born;       /* after we began: all of its CPU time was seen */
	bool ended;      /* its main thread has */
	bool found;      /* by the present scan */
	bool told;       /* APPEARED */
	/* By the thread for runtime profiles (with the lock held); or they began as a copy. */
	bool looked_at;
	bool busy; /* being looked at: what happens meanwhile is for a second look */
	bool again;
};

struct host_table { /* zero-initialised is empty */
	struct host_process **list;
	size_t n, cap;
	struct prowl_idmap by_pid; /* index in list */
};

struct host_process *host_table_find(const struct host_table *t, pid_t pid);
/* NULL without memory. There must be none of that pid. */
struct host_process *host_table_add(struct host_table *t, pid_t pid);
void host_table_remove(struct host_table *t, struct host_process *p);
void host_table_fini(struct host_table *t);
/* Forgets what a decision has made of it. */
void host_process_clear(struct host_process *p);

/* --- samples of others, by name (host_others.c) --- */

struct host_others { /* zero-initialised is empty */
	struct host_other {
		char comm[64];
		uint64_t samples;
	} * list;
	size_t n, cap;
	struct prowl_idmap by_name;
	uint64_t samples, rest; /* all; of those that found no place */
};

void host_others_add(struct host_others *o, const char *comm);
/* Most first; those beyond `most` are summed in the last one, "(rest)". */
void host_others_sort(struct host_others *o, size_t most);
void host_others_clear(struct host_others *o);
void host_others_fini(struct host_others *o);

/* --- windows by the wall clock (host_clock.c) --- */

enum { HOST_STEP_MS = 500 }; /* a clock that moves by more was set */

struct host_clock {
	struct prowl_host_clocks now;
	uint64_t window_ns;
	/* The present window. */
	int64_t slot;
	unsigned int again, flags;
	int64_t wall_start;
	uint64_t mono_start;
	uint64_t mono_end;     /* when to cut it */
	int64_t offset, slept; /* wall - mono; boot - mono; when it began */
	/* So far. */
	int64_t highest; /* of all slots */
	bool any;
	unsigned int steps;
};

void host_clock_init(struct host_clock *c, const struct prowl_host_clocks *now, uint64_t window_ns);
/* A window begins at that time, where the one before has ended. */
void host_clock_begin(struct host_clock *c, uint64_t mono);
/* Whether it ends now, by the time or because a clock was set; then says so in flags. */
bool host_clock_over(struct host_clock *c);

/* --- budget (host_budget.c) --- */

enum host_step {
	HOST_STEP_NONE,
	HOST_STEP_THIN_LOOKS, /* goroutines at a fifth of the rate */
	HOST_STEP_HEAP_HOURLY,
	HOST_STEP_HALF, /* every second sample, for two */
	HOST_STEP_THIRD,
	HOST_STEP_FEWER, /* a quarter of the targets count among the others */
	HOST_STEPS,
};

struct host_budget {
	double sampling, looking; /* allowed shares of one CPU */
	uint64_t over_ns;
	uint64_t since;           /* mono, of the measurement */
	uint64_t sampler, looker; /* CPU time then, ns */
	unsigned int over, below; /* measurements in a row */
	enum host_step step;
	double was_sampling, was_looking;
};

/* Takes CPU times so far; true: the step has changed. */
bool host_budget_measure(struct host_budget *b, uint64_t mono, uint64_t sampler, uint64_t looker);
const char *host_step_text(enum host_step step);

/* --- handing over (host_deliver.c) --- */

struct host_job; /* a window, with copies of all that it shows */

enum { HOST_JOBS = 15 };

struct host_deliver {
	pthread_t thread;
	bool started, stop;
	pthread_cond_t more;
	struct host_job *first, *last;
	size_t n;
};

int host_deliver_start(struct prowl_host *h);
void host_deliver_stop(struct prowl_host *h); /* after what waits is handed over */
void host_deliver_push(struct prowl_host *h, struct host_job *job);

struct host_job {
	struct host_job *next;
	struct prowl_host_window w;
	struct prowl_host_part *parts;
	struct prowl_host_member *members;
	struct prowl_host_other *others;
	size_t cap_parts, cap_members;
	struct host_others names; /* which `others` point into */
};

/* --- all of it --- */

struct prowl_host {
	struct prowl_host_options o;
	struct prowl_host_ops ops;
	void *ctx;
	pthread_mutex_t lock; /* of what several threads use */
	char boot_id[40];
	struct prowl_session *session; /* NULL: nothing can be sampled */
	struct host_table table;
	struct host_groups groups;
	struct host_programs programs;
	struct host_others others;
	struct host_clock clock;
	struct host_budget budget;
	struct host_deliver deliver;
	struct host_look *look;
	struct prowl_host_status status; /* counted by the thread that sees it happen */
	struct prowl_host_status shown;  /* what the sampling thread counted, as of its last turn */
	uint64_t number;
	uint64_t next_scan, next_tokens; /* mono */
	unsigned int tokens;             /* programs that may be read now */
	size_t sampled;                  /* processes that are targets */
	bool lost;                       /* records were: /proc is to be read again */
	bool limit_said;
	_Atomic bool reconsider;
	struct prowl_result before; /* what the session had counted when the window began */
	uint64_t own_before;
	_Atomic uint64_t version;  /* of the targets, for the looker */
	_Atomic unsigned int step; /* of the budget, likewise */
	size_t capturing;
	pthread_t sampler;
	char why[512]; /* nothing can be sampled */
};

static inline uint64_t host_mono(const struct prowl_host *h)
{
	return h->clock.now.mono();
}

static inline int64_t host_wall(const struct prowl_host *h)
{
	return (int64_t)h->clock.now.wall();
}

/* --- host.c --- */

/* prowl_host_run in steps; the last one hands over the last window. */
enum prowl_code host_begin(struct prowl_host *h, struct prowl_err *err);
void host_turn(struct prowl_host *h, int wake_fd);
void host_end(struct prowl_host *h);

void host_say(struct prowl_host *h, enum prowl_host_event_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void host_tell(struct prowl_host *h, const struct host_process *p, enum prowl_host_change change);
void host_describe(const struct host_process *p, struct prowl_host_target *ret);
uint64_t host_thread_cpu(pthread_t thread);

/* --- host_discover.c --- */

void host_seen(void *host, const struct prowl_seen *seen); /* prowl_options.seen */
/* Reads /proc. full: pids that are known are compared, too. */
void host_scan(struct prowl_host *h, bool full);
/* What waits, as far as tokens go; those that have ended leave. */
void host_tidy(struct prowl_host *h);
void host_reconsider_all(struct prowl_host *h);

/* --- host_admit.c --- */

/*
 * Asks decide about a process, and does what it says. by_record: at its exec, while rings are
 * drained; it may be gone, and then uid and cgroup are its parent's.
 */
void host_ask(struct prowl_host *h, struct host_process *p, const struct host_facts *f,
	      const struct host_known *k, bool by_record, bool gone);
/* Whether the program alone says that it is no target. */
bool host_ruled_out(struct prowl_host *h, const struct host_process *p, const char *exe,
		    const struct host_known *k);
/* No target from here on. Unless it was shed, what was decided is forgotten. */
void host_leave(struct prowl_host *h, struct host_process *p, enum host_state state);
/* The same decision as for its parent. */
void host_inherit(struct prowl_host *h, struct host_process *p, const struct host_process *parent);
/* Rates of all targets, after a step of shedding; some are left out or come back. */
void host_shed(struct prowl_host *h);
void host_admitted(struct prowl_host *h, struct host_process *p); /* says so, once */

/* --- host_window.c --- */

void host_begin_windows(struct prowl_host *h);
void host_cut(struct prowl_host *h, unsigned int flags);

/* --- host_look.c --- */

int host_look_start(struct prowl_host *h);
void host_look_stop(struct prowl_host *h);
uint64_t host_look_cpu(const struct prowl_host *h);

/* --- host_flows.c --- */

/*
 * A profile with the types of p that begin with a prefix ("": all), without samples that are zero
 * in them; negative values count as zero.
 */
int host_flow_columns(const struct pprof_profile *p, const char *prefix,
		      struct pprof_profile **ret);
/* What was added between two snapshots of one process; from NULL: all. */
int host_flow_change(const struct pprof_profile *from, const struct pprof_profile *to,
		     const char *prefix, struct pprof_profile **ret);

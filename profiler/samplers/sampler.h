/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever takes samples, handed out one by one in the order of time, with what happens to processes
 * in between. perf is one; tests have a scripted one.
 *
 * One thread opens, drains and closes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "event.h"

struct prowl_bpf;

struct prowl_sampler_options {
	const pid_t *pids; /* processes (thread group leaders); needed per thread */
	size_t npids;
	uint64_t period_ns;    /* CPU time between two samples */
	uint32_t stack_bytes;  /* of the stack copy; multiple of 8, 0 for none */
	unsigned int ring_ms;  /* what comes in that time has room in the rings; 0: 500 */
	bool wake_each;        /* every sample may end a wait, not only a filling ring */
	bool per_thread;       /* don't try whole CPUs */
	bool user_only;        /* no kernel frames; kernel time counts at the user's frame */
	struct prowl_bpf *bpf; /* copies moments for the samples; borrowed; NULL: none */
	bool bpf_follows;      /* set_bpf will be called: has room for moments */
};

struct prowl_sampler_facts { /* what was possible */
	bool whole_cpus;
	bool kernel; /* kernel time is sampled, with its frames unless user_only */
	unsigned int ncpus;
	unsigned int nevents;   /* that are open */
	unsigned int max_stack; /* entries that the kernel's call chain holds */
	size_t ring_bytes;      /* of one ring */
	int bpf_error;          /* why samples have no moments all the same: negative errno */
	int paranoid;           /* /proc/sys/kernel/perf_event_paranoid; -99 when unreadable */
};

struct prowl_sampler_counts {
	uint64_t bytes;         /* read from the rings */
	uint64_t damaged;       /* records that did not decode */
	uint64_t throttled;     /* the kernel paused an event because of its rate limit */
	uint64_t phase_drops;   /* samples dropped while a first period was being replaced */
	uint64_t duplicates;    /* samples of a thread that two events covered */
	uint64_t surplus;       /* samples of threads that inherited a shorter period, not needed */
	uint64_t samples;       /* also those that nobody wanted */
	uint64_t stray_moments; /* that no sample followed to which they belong */
	uint64_t failed_threads; /* threads that could not be attached to and did not just exit */
};

struct prowl_takers {
	bool (*want)(void *ctx, pid_t pid); /* false: samples of this process need not be read */
	/* May be NULL: where a sample was taken, some time before it is handed out, if it is. */
	void (*soon)(void *ctx, uint64_t ip);
	void (*event)(void *ctx, const struct prowl_event *ev);
};

struct prowl_sampler { /* read by anyone; the rest is the implementation's */
	const struct prowl_sampler_ops *ops;
	struct prowl_sampler_facts facts;
	struct prowl_sampler_counts counts;
};

struct prowl_sampler_ops {
	const char *name; /* "perf" */
	const struct prowl_event_kind *kind;
	enum prowl_code (*open)(const struct prowl_sampler_options *o, struct prowl_sampler **ret,
				struct prowl_err *err);
	void (*close)(struct prowl_sampler *s);
	/*
	 * Samples have moments from now on, of whole CPUs only: the kernel takes its time to check
	 * the program, and samples need not wait for that. NULL: not of this sampler.
	 */
	void (*set_bpf)(struct prowl_sampler *s, struct prowl_bpf *bpf);
	/*
	 * Waits until a ring asks to be drained, or timeout_ms passed, or `wake_fd` (may be -1) is
	 * readable. `prompt`: with wake_each also for each single sample.
	 */
	int (*wait)(struct prowl_sampler *s, int timeout_ms, int wake_fd, bool prompt);
	/* Hands out everything that waits until now, in the order of time; returns how many. */
	size_t (*drain)(struct prowl_sampler *s, const struct prowl_takers *takers, void *ctx);
	/* A process more, or one less, whose samples may come until then. 0 or negative errno. */
	int (*add)(struct prowl_sampler *s, pid_t pid);
	void (*remove)(struct prowl_sampler *s, pid_t pid);
	/* What BPF copies comes here again, after others with the same program were opened. */
	void (*take_output)(struct prowl_sampler *s);
	/* Ends sampling; what waits can still be drained. */
	void (*stop)(struct prowl_sampler *s);
};

/* NULL is fine. */
static inline void prowl_sampler_close(struct prowl_sampler *s)
{
	if (s)
		s->ops->close(s);
}

/* What `profile` would have for a process: opens, and closes again. */
enum prowl_code prowl_sampler_probe(pid_t pid, struct prowl_sampler_facts *ret,
				    struct prowl_err *err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples from the kernel: perf_event_open(2) with the cpu-clock event, one ring per CPU.
 *
 * Two ways of attaching, chosen by what the kernel allows:
 *
 *  whole CPUs    one event per CPU, every process' samples arrive and those of others are dropped
 *                by the session. Unbiased, about 0.05 us per context switch. CAP_PERFMON (or
 *                CAP_SYS_ADMIN before Linux 5.8), or perf_event_paranoid <= 0.
 *  per thread    one event per thread and CPU, inherited by new threads, all of a CPU redirected
 *                into that CPU's ring. For one's own processes at perf_event_paranoid <= 2.
 *
 * Per thread, an event gives its first sample only after a whole period of that thread's time on
 * that CPU: many threads at a low rate would lose half a period each. So the first period of each
 * event is random, uniform in (0, period], and is set to the nominal one when the first sample
 * arrives; what arrives between is dropped. A thread that starts later inherits the period of that
 * time for good, the kernel has no way to change it; its samples tell it and weigh accordingly.
 * Where many threads end before their first sample, those that follow inherit ever other periods,
 * so that all times of their lives are sampled alike, which costs them up to some 4 % of their CPU
 * time. Where that can't help (the first 50 us, the time before it was seen), the time that no
 * sample stands for is known all the same: see charge.h.
 *
 * One thread opens, drains and closes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "perf_record.h"

/* What it samples. */
extern const struct prowl_event_kind prowl_cpu_clock;

struct prowl_bpf;
struct prowl_perf;

struct prowl_perf_options {
	const pid_t *pids; /* processes (thread group leaders); needed per thread */
	size_t npids;
	uint64_t period_ns;    /* CPU time between two samples */
	uint32_t stack_bytes;  /* of the stack copy; multiple of 8, 0 for none */
	bool wake_each;        /* every sample may wake prowl_perf_wait, not only a filling ring */
	bool per_thread;       /* don't try whole CPUs */
	bool user_only;        /* no kernel frames; kernel time counts at the user's frame */
	struct prowl_bpf *bpf; /* copies moments for the samples; borrowed; NULL: none */
};

/* What was possible. */
struct prowl_perf_facts {
	bool whole_cpus;
	bool kernel; /* kernel time is sampled, with its frames unless user_only */
	unsigned int ncpus;
	unsigned int nevents;
	unsigned int max_stack; /* entries that the kernel's call chain holds */
	size_t ring_bytes;      /* of one ring */
	int bpf_error;          /* why samples have no moments all the same: negative errno */
	int paranoid;           /* /proc/sys/kernel/perf_event_paranoid; -99 when unreadable */
};

enum prowl_code prowl_perf_open(const struct prowl_perf_options *o, struct prowl_perf **ret,
				struct prowl_err *err);
const struct prowl_perf_facts *prowl_perf_facts(const struct prowl_perf *p);

/*
 * Waits until a ring asks to be drained, or timeout_ms passed, or `wake_fd` (may be -1) is
 * readable. `prompt`: with wake_each also for each single sample.
 */
int prowl_perf_wait(struct prowl_perf *p, int timeout_ms, int wake_fd, bool prompt);

/*
 * Hands out everything that waits until now, in the order of time, but for samples of processes
 * that `want` says no to: with whole CPUs most samples may be of others, and need not be read at
 * all. `soon` (may be NULL) is told where a sample was taken some time before it is handed out, if
 * it is. Returns the number of events.
 */
struct prowl_perf_takers {
	bool (*want)(void *ctx, pid_t pid);
	void (*soon)(void *ctx, uint64_t ip);
	void (*event)(void *ctx, const struct prowl_event *ev);
};
size_t prowl_perf_drain(struct prowl_perf *p, const struct prowl_perf_takers *takers, void *ctx);

struct prowl_perf_counts {
	uint64_t bytes;         /* read from the rings */
	uint64_t damaged;       /* records that did not decode */
	uint64_t throttled;     /* the kernel paused an event because of its rate limit */
	uint64_t phase_drops;   /* samples dropped while a first period was being replaced */
	uint64_t duplicates;    /* samples of a thread that two events covered */
	uint64_t surplus;       /* samples of threads that inherited a shorter period, not needed */
	uint64_t samples;       /* in the rings: also those that nobody wanted */
	uint64_t stray_moments; /* that no sample followed to which they belong */
	uint64_t failed_threads; /* threads that could not be attached to and did not just exit */
};
const struct prowl_perf_counts *prowl_perf_counts(const struct prowl_perf *p);

/*
 * What the n-th sample (from 1) of a thread stands for whose period is one of many, spread evenly
 * from `from` to `to`: over all of them, the weights add up to each thread's time, but for the
 * first `from` of it.
 */
uint64_t prowl_perf_spread_weight(uint64_t from, uint64_t to, uint64_t period, uint64_t n);

/*
 * A process more; with whole CPUs there is nothing to do. Returns 0 or negative errno. One less: its
 * samples may come until then.
 */
int prowl_perf_add(struct prowl_perf *p, pid_t pid);
void prowl_perf_remove(struct prowl_perf *p, pid_t pid);

/* What BPF copies comes to these events again, after others with the same program were opened. */
void prowl_perf_take_output(struct prowl_perf *p);

/* Stops sampling; rings can still be drained. */
void prowl_perf_stop(struct prowl_perf *p);
void prowl_perf_close(struct prowl_perf *p);

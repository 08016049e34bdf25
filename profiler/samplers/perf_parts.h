/* SPDX-License-Identifier: Apache-2.0 */
/* What perf_*.c share: the sampler of perf_sampler.h. */
#pragma once

#include <poll.h>

#include "clock.h"
#include "idmap.h"
#include "moment_pair.h"
#include "perf_ring.h"
#include "perf_sampler.h"

enum {
	PERF_PHASE_PARTS = 8, /* the shortest first period is period / PERF_PHASE_PARTS */
	PERF_SPREAD_MS = 5,   /* so long a spread period is inherited */
	/* Until then threads that live less than a period are looked for more often. */
	PERF_LOOK_FIRST_MS = 500,
	PERF_LOOK_MS = 20,
};

struct perf_event {
	int fd;
	pid_t pid, tid; /* -1: a whole CPU */
	bool phased;    /* its period is the nominal one */
	uint64_t id;
	uint64_t since; /* when that was set; samples before are dropped */
	uint64_t first; /* the period before, which threads started until then have inherited */
	/* Of threads that inherited it, and of what it has given. */
	uint64_t began, ended;
	uint64_t weight; /* ns that its samples represent */
	struct heirs {
		bool spread;    /* it is there for them only, with spread periods */
		uint64_t place; /* of the period in its range; 2^64 is its end */
		uint64_t began; /* at the last change */
		unsigned int idle;
	} heirs;
};

struct perf_cpu {
	int cpu;
	int fd; /* of the event that owns the ring; -1: no ring yet */
	struct prowl_ring ring;
	const struct perf_event_header *next;
	uint64_t next_time;
	int output; /* event for moments, in the same ring; -1: none */
	struct prowl_moment_pair moments;
};

struct perf_sampler {
	struct prowl_sampler base;
	struct prowl_sampler_options o;
	struct perf_event_attr attr;
	struct perf_cpu *cpus;
	size_t ncpus;
	struct perf_event *events;
	size_t nevents, cap;
	struct prowl_idmap by_id, tids;
	struct prowl_idmap
		heirs;       /* samples so far of a thread with a spread period, see heir_key */
	struct perf_keeper { /* see keep_context */
		int fd;
		pid_t pid;
	} * keepers;
	size_t nkeepers, keepers_cap;
	unsigned int order;
	uint64_t rng;
	size_t unphased;
	size_t nspread; /* events */
	bool stopped;
	bool by_thread;                 /* whole CPUs were not allowed, or not wanted */
	uint64_t opened, looked, moved; /* times */
	struct pollfd *polls;
	struct prowl_moment moment; /* of the sample that is handed out */
};

static inline struct perf_sampler *perf_of(struct prowl_sampler *s)
{
	return (struct perf_sampler *)s; /* its base comes first */
}

/* --- perf_attach.c --- */

uint64_t perf_next_random(uint64_t *state);
int perf_online_cpus(struct perf_sampler *p);
void perf_fill_attr(struct perf_sampler *p);
unsigned int perf_ring_order(const struct prowl_sampler_options *o);
/* Tries from the most to the least privilege. Negative errno. */
int perf_open_best(struct perf_sampler *p);
/* Attaches all threads of a process; returns how many, or negative errno for the first one. */
int perf_open_process(struct perf_sampler *p, pid_t pid);
int perf_open_on_cpus(struct perf_sampler *p, pid_t pid, pid_t tid, bool fresh, bool inherit);
void perf_close_events(struct perf_sampler *p);
void perf_set_bpf(struct prowl_sampler *sampler, struct prowl_bpf *bpf);

/* --- perf_explain.c --- */

/* What is missing, and what grants it. */
enum prowl_code perf_explain(const struct perf_sampler *p, int r, struct prowl_err *err);

/* --- perf_spread.c --- */

/* Also sets what the sample represents. False: it does not count. */
bool perf_wanted(struct perf_sampler *p, struct prowl_event *ev);
/* Keeps track of which threads have events of their own, and which have inherited one. */
void perf_follow(struct perf_sampler *p, const struct prowl_event *ev);
void perf_look_for_short(struct perf_sampler *p, uint64_t now);
void perf_move_periods(struct perf_sampler *p, uint64_t now);
/*
 * What the n-th sample (from 1) of a thread represents whose period is one of many, spread evenly
 * from `from` to `to`: over all of them, the weights add up to each thread's time, but for the
 * first `from` of it.
 */
uint64_t prowl_perf_spread_weight(uint64_t from, uint64_t to, uint64_t period, uint64_t n);

/* --- perf_drain.c --- */

size_t perf_drain(struct prowl_sampler *s, const struct prowl_takers *takers, void *ctx);

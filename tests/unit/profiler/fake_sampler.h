/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sampler that follows a script, with a clock that moves only while it is waited on, and CPU
 * times of processes that the test sets: what a session does, without a kernel or chance.
 */
#pragma once

#include "procs.h"
#include "sampler.h"

enum { FAKE_MS = 1000000, FAKE_PROCESSES = 8, FAKE_OPENED = 8 };

struct fake_sampler {
	uint64_t now;                     /* ns */
	struct prowl_sampler_facts facts; /* of the next open */
	struct prowl_event *script;       /* in the order of time */
	size_t n, cap, next;
	struct {
		pid_t pid;
		struct prowl_times times;
	} process[FAKE_PROCESSES]; /* of others: by `others` */
	size_t nprocesses;
	bool (*others)(pid_t pid, struct prowl_times *ret); /* NULL: they are gone */
	/* What was asked of it. */
	struct prowl_sampler_options opened[FAKE_OPENED];
	size_t nopened, nclosed, nadded, nremoved, waits;
	bool stopped;
};

extern struct fake_sampler fake; /* of the test; fake_reset before each */
extern const struct prowl_sampler_ops fake_sampler;

void fake_reset(void);
void fake_free(void);
uint64_t fake_now(void);
bool fake_times(pid_t pid, struct prowl_times *ret);

/* The process has used that much CPU time. */
void fake_cpu(pid_t pid, uint64_t ns);
/* Its times from now on, to be changed by the test. */
struct prowl_times *fake_times_of(pid_t pid);
void fake_gone(pid_t pid);

/* Appends to the script: not before the event that was appended last. */
void fake_event(const struct prowl_event *ev);
/* A sample in the kernel, at one address of it. */
void fake_sample(uint64_t time, pid_t pid, uint64_t weight);

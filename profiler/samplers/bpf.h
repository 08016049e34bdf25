/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF program of bpf_program.h in the kernel: loading it, its targets, its counts.
 *
 * Wants CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before Linux 5.8) and Linux 5.5. Everything goes
 * away with its descriptors, so also when we are killed. Belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "golayout.h"

struct prowl_bpf;

/* With labels or without. Negative errno where it can't be, and *why in words (a literal). */
int prowl_bpf_new(bool labels, struct prowl_bpf **ret, const char **why);
void prowl_bpf_free(struct prowl_bpf *b);

/* The program; to be set on the events whose samples are to have moments. */
int prowl_bpf_fd(const struct prowl_bpf *b);
/* What is written on this CPU goes to the event fd, of type PERF_COUNT_SW_BPF_OUTPUT. */
int prowl_bpf_output(struct prowl_bpf *b, int cpu, int fd);

/*
 * From now on samples of this Go process have moments; no_callbacks: its C, if it has any, never
 * calls Go, and has none of Go's registers. -ENOSPC: there are too many like it.
 */
struct prowl_bpf_code {            /* of the process: runtime addresses */
	uint64_t text_lo, text_hi; /* Go's text */
	uint64_t switch_pc;        /* runtime.systemstack_switch; 0: not known */
	bool no_callbacks;
};
int prowl_bpf_add(struct prowl_bpf *b, pid_t pid, const struct uw_golayout *l,
		  const struct prowl_bpf_code *code);
void prowl_bpf_remove(struct prowl_bpf *b, pid_t pid);

/* Moments that found room in a ring, and that found none. */
uint64_t prowl_bpf_written(const struct prowl_bpf *b);
uint64_t prowl_bpf_lost(const struct prowl_bpf *b);

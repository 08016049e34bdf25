/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BPF program that copies a moment (moment.h), made instruction by instruction, so that nobody
 * needs a compiler for it; and the table that it shares with us, which is mapped into both.
 *
 * The program runs in the interrupt of each sample. For a process that is not in the table it
 * returns at once. It reads user memory only, through bpf_probe_read_user, writes none, has no
 * loops, and always returns 1: the sample itself stays as it is.
 */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	PROWL_BPF_SETS = 256, /* of targets, by the low bits of the pid */
	PROWL_BPF_WAYS = 4,
	PROWL_BPF_THREADS = 1024, /* whose m is remembered; direct mapped */
	PROWL_BPF_MAX_INSNS = 2048,

	/* Limits of what one target asks for; the program keeps them by itself. */
	PROWL_BPF_MAX_G = 512,
	PROWL_BPF_MAX_M = 512,
	PROWL_BPF_MAX_STACK = 32768, /* of a goroutine */
	PROWL_BPF_MAX_C_STACK = 8192,
	PROWL_BPF_LESS_STACK = 1024, /* where so much can't be read */

	PROWL_BPF_LABELS = 8,        /* of one goroutine */
	PROWL_BPF_LABEL_BYTES = 128, /* of one key or value */
};

struct prowl_bpf_target {      /* offsets as in golayout.h */
	uint32_t pid;          /* 0: free; set last */
	uint16_t g_len, m_len; /* so much of them is copied */
	uint16_t m_curg, m_gsignal, m_ncgo;
	uint16_t g_labels, g_syscallsp;
	uint16_t labels; /* enum prowl_bpf_labels; where the program copies any */
	uint16_t g_goid;
	uint16_t no_callbacks; /* not 0: C never calls Go */
	uint16_t unused[4];
	uint64_t text_lo, text_hi; /* of Go */
	uint64_t switch_pc;        /* of runtime.systemstack_switch; 0: not known */
};

enum prowl_bpf_labels { PROWL_BPF_LABEL_SLICE, PROWL_BPF_LABEL_MAP };

struct prowl_bpf_thread {
	uint32_t tid, unused;
	uint64_t m;
};

struct prowl_bpf_table {
	uint64_t written; /* records */
	uint64_t lost;    /* that found no room in the ring */
	uint64_t unused[6];
	struct prowl_bpf_target targets[PROWL_BPF_SETS][PROWL_BPF_WAYS];
	struct prowl_bpf_thread threads[PROWL_BPF_THREADS];
};

struct prowl_bpf_program {
	int table_fd;   /* array, one value: struct prowl_bpf_table */
	int scratch_fd; /* array, a value of PROWL_MOMENT_MAX bytes for each CPU */
	int output_fd;  /* perf event array, by CPU */
	/* Whether labels are copied. Most of the program is about them, and checking it takes the
	 * kernel 12 of 15 ms. */
	bool labels;
	/* Not 0: our pid namespace, which is not the first; only processes in it are identified. */
	uint64_t ns_dev, ns_ino;
};

/* Writes at most PROWL_BPF_MAX_INSNS; returns their number. */
size_t prowl_bpf_build(const struct prowl_bpf_program *p, struct bpf_insn *insns);

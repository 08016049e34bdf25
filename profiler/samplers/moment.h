/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A moment: memory of the target that a BPF program copied in the interrupt of a sample, from the
 * raw bytes of its record to the pieces that a walk and labels are read from.
 *
 * The record is written to the ring of the sample right before the sample itself. It is a head and
 * then pieces, each a head and its bytes, padded to 8. A piece that could not be read is there
 * without bytes. Nothing in a record is trusted: every length is checked against its own size.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "golayout.h"
#include "regs.h"
#include "walk.h"

enum {
	PROWL_MOMENT_MAX = 46 * 1024, /* bytes of a record */
	PROWL_MOMENT_PIECES = 40,     /* that are looked at */
};

enum prowl_moment_kind { /* what a piece is of */
			 PROWL_MOMENT_M,
			 PROWL_MOMENT_CURG,
			 PROWL_MOMENT_G0,
			 PROWL_MOMENT_GSIGNAL,
			 PROWL_MOMENT_GO_STACK, /* from curg.sched.sp up */
			 PROWL_MOMENT_C_STACK,  /* from g0.sched.sp up */
			 PROWL_MOMENT_LABELS,
};

struct prowl_moment_head {
	uint32_t len;  /* of the record */
	uint32_t user; /* the sample was taken in user code: ip and sp are its */
	uint64_t pid_tgid, ip, sp;
};

struct prowl_moment_piece { /* followed by len bytes */
	uint64_t addr;
	uint32_t len; /* 0: could not be read */
	uint32_t kind;
};

struct prowl_moment {
	bool user;
	uint64_t ip, sp; /* where `user` */
	size_t n;        /* pieces */
	size_t holes;    /* pieces that could not be read */
	struct uw_piece pieces[PROWL_MOMENT_PIECES];
	const struct uw_piece *m, *curg, *g0; /* of these, or NULL */
};

/* 0, or -EBADMSG for bytes that are no record. Borrows the bytes. */
int prowl_moment_decode(const void *bytes, size_t len, struct prowl_moment *ret);

/*
 * Can it be of the sample with these registers (NULL: none)? For what was taken in the kernel there
 * is nothing to compare.
 */
bool prowl_moment_fits(const struct prowl_moment *mo, bool in_kernel, const struct uw_regs *regs);

/*
 * The runtime's m of the thread, and the g that its TLS held, identified by the stack that sp lies
 * on; 0 where the moment doesn't show that they are of this thread.
 */
uint64_t prowl_moment_m(const struct prowl_moment *mo, const struct uw_golayout *l, uint64_t sp,
			pid_t tid, uint64_t *ret_g);

/* The pieces as memory: what they don't hold fails with -EFAULT. */
struct prowl_moment_reader {
	const struct prowl_moment *moment;
};
struct uw_mem prowl_moment_mem(struct prowl_moment_reader *r);

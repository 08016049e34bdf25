/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The capabilities that prowl can use: which ones, what for, which this process has, and the
 * commands that grant them. Every advice is made from this table.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prowl_grant {
	unsigned int cap;
	const char *id;   /* "cap_perfmon" */
	const char *name; /* "CAP_PERFMON" */
	const char *use;  /* what it is for */
	unsigned int may; /* the PROWL_MAY_... (privilege.h) that it belongs to */
	bool advised;     /* in PROWL_CAPS */
};

extern const struct prowl_grant prowl_grants[];
extern const size_t prowl_ngrants;

/*
 * The one grant that is advised: sampling, reading the target, also when its file was deleted, and
 * names of kernel functions, and BPF, without which some stacks are read too late. setcap sets, it
 * doesn't add, so that each command names all of it. It gives nobody files: never advise
 * CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH or CAP_SYS_ADMIN here.
 */
#define PROWL_CAPS   "cap_perfmon,cap_sys_ptrace,cap_syslog,cap_checkpoint_restore,cap_bpf"
#define PROWL_SETCAP "sudo setcap " PROWL_CAPS "=ep \"$(command -v prowl)\""

struct prowl_standing { /* of this process */
	uint64_t effective, permitted, bound;
	int seccomp;
	bool user_namespace; /* one whose uids are not the machine's */
};

struct prowl_standing prowl_standing(void);

static inline bool prowl_has_cap(uint64_t set, unsigned int cap)
{
	return set >> cap & 1;
}

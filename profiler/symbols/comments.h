/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records the target's build in the comments of every profile, so that two profiles can be matched
 * to versions when they are compared.
 */
#pragma once

#include "gosym.h"
#include "pprof.h"

struct uw_elf;

/*
 * Adds a comment "build: KEY=VALUE" for each of these that the program has: go (its version),
 * package, module, version, vcs, vcs.revision, vcs.time, vcs.modified, id (GNU build id, in hex).
 * One that the profile has already is not added again. go and elf may be NULL. Returns 0 or
 * -ENOMEM.
 */
int prowl_comments_build(struct pprof_profile *p, const struct uw_go *go, const struct uw_elf *elf);

/*
 * Adds the comment "machine: MODEL OF THE CPU, N CPUs, ARCHITECTURE" of the machine that this runs
 * on: times of two machines are not to be compared. -ENOMEM.
 */
int prowl_comments_machine(struct pprof_profile *p);

/* Adds a comment. */
int prowl_comment(struct pprof_profile *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

struct prowl_runtime;
/*
 * In a process with several Go runtimes: the label "runtime" = the file that it is in, for each of
 * its samples. 1; 0 where there is only one, and no label; negative errno.
 */
int prowl_label_runtime(struct pprof_profile *p, const struct prowl_runtime *rt,
			struct pprof_label *ret);
/* Identifies the target of a runtime profile: process, build, known or guessed Go version. */
int prowl_comments_runtime(struct pprof_profile *p, struct prowl_runtime *rt);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder of baselines: ordinary pprof files in sets, and index.tsv, which says what they are of.
 *
 * A set is the profiles of runs of one build on one machine:
 * DIR/PACKAGE/REVISION-KIND-HASH/NN.pb.gz. All that the index says is in the profiles' comments
 * too; it may be deleted and is then made anew. Changing the folder is done under a lock
 * (DIR/.lock), so that jobs may share it; readers see the old index or the new one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pprof.h"

struct baseline_key {   /* texts are owned; "" where a profile doesn't say */
	char *package;  /* main package, else the program's name */
	char *revision; /* of the version control, else the build id */
	char *go;
	char *machine;
	char *kind; /* the sample type that is shown first: cpu, alloc_space, ... */
};

struct baseline_set {
	struct baseline_key key;
	char *dir;    /* below the folder */
	int64_t time; /* of the newest profile in it, Unix time, ns */
	size_t nfiles;
};

struct baseline {
	char *dir;
	int lock;                  /* -1: only read */
	struct baseline_set *sets; /* oldest first */
	size_t n;
};

/* Opens (and, to change it, makes) the folder. False after saying what is wrong. */
bool baseline_open(struct baseline *b, const char *dir, bool change);
void baseline_close(struct baseline *b);

bool baseline_key_of(const struct pprof_profile *p, struct baseline_key *ret);
void baseline_key_fini(struct baseline_key *k);

/* Adds a profile as a file of its set. False after saying what is wrong. */
bool baseline_save(struct baseline *b, const struct pprof_profile *p);
/* Removes all but the newest `keep` sets of each package, kind and machine. How many, or -1. */
int baseline_keep(struct baseline *b, size_t keep);
/*
 * The newest set for a key: of its package and kind, and of another revision unless `revision`
 * asks for one (a prefix); of the same machine and Go version, where there is one. NULL: none.
 */
const struct baseline_set *baseline_find(const struct baseline *b, const struct baseline_key *like,
					 const char *revision);

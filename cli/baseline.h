/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder of baselines: ordinary pprof files in sets, and index.tsv, which lists the sets.
 *
 * A set has the profiles of runs of one build on one machine:
 * DIR/PACKAGE/REVISION-KIND-HASH/NN.pb.gz. The index only repeats the profiles' comments; a deleted
 * one is made anew. The folder is changed under a lock (DIR/.lock), so that jobs may share it;
 * readers see the old index or the new one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pprof.h"

struct baseline_key {   /* texts are owned; "" where unknown */
	char *package;  /* main package, else the program's name */
	char *revision; /* from version control, else the build id */
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

/* Opens the folder, or creates it to change it. False after an error message. */
bool baseline_open(struct baseline *b, const char *dir, bool change);
void baseline_close(struct baseline *b);

bool baseline_key_of(const struct pprof_profile *p, struct baseline_key *ret);
void baseline_key_fini(struct baseline_key *k);

/* Adds a profile to its set. False after an error message. */
bool baseline_save(struct baseline *b, const struct pprof_profile *p);
/*
 * Removes all but the newest `keep` sets of each package, kind and machine. Returns how many, or
 * -1.
 */
int baseline_keep(struct baseline *b, size_t keep);
/*
 * The newest set with the key's package and kind and another revision, or with the revision that
 * begins with `revision`; preferably of the same machine and Go version. NULL: none.
 */
const struct baseline_set *baseline_find(const struct baseline *b, const struct baseline_key *like,
					 const char *revision);

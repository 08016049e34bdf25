/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A series: profiles of one service that belong together over time, by their labels. It does not
 * change once it is made; any number of threads may read it.
 *
 * Only labels of its identity count for what the same series is (and for its hash, which is written
 * into files: XXH3 with 64 bits of "name=value\n" for each of them, in the order of the names).
 * Others are what is known of it besides.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prowl_series_label {
	const char *name, *value;
	bool identity;
};

enum { /* bytes, without the NUL; what is longer is cut at a character of UTF-8 */
       PROWL_SERIES_LABELS = 64,
       PROWL_SERIES_NAME = 128,
       PROWL_SERIES_VALUE = 1024,
};

/* Names that prowl gives. Of the identity: all but the last two. */
#define PROWL_SERIES_SERVICE   "service"
#define PROWL_SERIES_NAMESPACE "namespace" /* Kubernetes */
#define PROWL_SERIES_CONTAINER "container" /* its name, never its id */
#define PROWL_SERIES_UNIT      "unit"      /* systemd */
#define PROWL_SERIES_HOST      "host"
#define PROWL_SERIES_BUILD     "build" /* vcs.revision, else Go's build id, else GNU's */
#define PROWL_SERIES_GO        "go"    /* "go1.27.1" */
#define PROWL_SERIES_SOURCE    "service_source"

struct prowl_series {
	size_t n;
	const struct prowl_series_label *labels; /* by name, each once */
	uint64_t hash;
};

/*
 * Copies the labels, in any order. Of two with one name the first counts; those without a name or a
 * value are left out, those beyond the limit as well. The caller frees the result.
 */
int prowl_series_new(const struct prowl_series_label *labels, size_t n, struct prowl_series **ret);
int prowl_series_copy(const struct prowl_series *s, struct prowl_series **ret);
void prowl_series_free(struct prowl_series *s);

/* The value of a label; "": there is none. */
const char *prowl_series_get(const struct prowl_series *s, const char *name);

/* Whether they agree in their identity. */
bool prowl_series_same(const struct prowl_series *a, const struct prowl_series *b);

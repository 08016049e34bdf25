/* SPDX-License-Identifier: Apache-2.0 */
/* A label of a goroutine, as Go's pprof.Do sets it. The strings belong to whoever gave it. */
#pragma once

struct prowl_label {
	const char *key, *value;
};

enum {
	PROWL_LABEL_BYTES = 256,      /* UW_LABEL_BYTES, of golabels.h */
	PROWL_LABELS_MAX = 64,        /* UW_LABELS_MAX */
	PROWL_LABELS_MAX_SETS = 4096, /* distinct sets of one session */
};

/* When a label is cut, for messages; takes PROWL_LABEL_BYTES, PROWL_LABELS_MAX. */
#define PROWL_LABELS_LIMITS "longer than %d bytes, with bytes 0, or more than %d of them"

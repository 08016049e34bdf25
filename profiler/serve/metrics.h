/* SPDX-License-Identifier: Apache-2.0 */
/* Figures for Prometheus: its text format, version 0.0.4. */
#pragma once

#include <stdio.h>

#include "backend.h"

#define METRICS_MIME "text/plain; version=0.0.4; charset=utf-8"

struct metrics {
	FILE *to;
	char family[128]; /* whose TYPE and HELP were written last */
};

/* Writes one value, with TYPE and HELP before the first of a family. Any text may be a label. */
void metrics_put(struct metrics *m, const struct prowl_metric *metric);

/* SPDX-License-Identifier: Apache-2.0 */
/* The insides of the model, shared by top_model.c and top_lines.c. */
#pragma once

#include "top_model.h"

enum { TOP_SHOWN_CALLS = 8 }; /* callers, and callees, of an open row */

struct top_line {
	enum top_line_kind { TOP_ROW, TOP_CALLER, TOP_CALLEE } kind;
	uint32_t row;
	uint32_t other; /* row of the caller or callee */
	int64_t value;  /* of the call */
};

struct top_model {
	enum top_sort sort;
	bool all, frozen, help, typing;
	bool catch_up; /* frozen, but for the tables of this moment, which come next */
	char filter[128], old_filter[128];
	char message[512], over[256];
	struct top_view recent, since_start;
	uint32_t *order; /* rows that pass the filter */
	size_t norder;
	struct top_line *lines;
	size_t nlines, cap_lines;
	char **open; /* names of functions */
	size_t nopen;
	size_t cursor, scroll; /* lines */
	size_t page;           /* lines that were visible last */
	bool moved;            /* the cursor, so that it stays on a function: */
	char *chosen;
	size_t below; /* lines of callers and callees that it is below that one */
};

bool top_is_open(const struct top_model *m, const char *name);

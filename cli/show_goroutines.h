/* SPDX-License-Identifier: Apache-2.0 */
/* Prints goroutines: one by one as in a panic, by stack, as JSON, and suspected leaks. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "goroutines.h"

/* all: also the runtime's functions, which a panic leaves out. */
void show_goroutines_text(FILE *f, const struct prowl_goroutines *h, const struct prowl_dump *d,
			  bool all);
/* One entry for each stack with its labels, the most frequent first. */
void show_goroutines_groups(FILE *f, const struct prowl_goroutines *h, const struct prowl_dump *d,
			    bool all);
void show_goroutines_json(FILE *f, const struct prowl_goroutines *h, const struct prowl_dump *d);

/* Three dumps in the order of time. Returns the number of suspected goroutines. */
size_t show_goroutines_leaks(FILE *f, const struct prowl_goroutines *h,
			     const struct prowl_dump dumps[3], bool json, bool all);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option --allow-write of the commands for runtime profiles: which rates are set in the target
 * for the window, and the messages about them.
 */
#pragma once

#include <stdbool.h>

#include "opts.h"
#include "rates.h"

/* Types and fields take no parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
/* clang-format off */
#define OPT_ALLOW_WRITE(type, field) \
	{.name = "allow-write", .arg = "WHAT", .take = allow_write_take, .min = 1, \
	 .at = OPT_FIELD(type, field, struct prowl_rates_wish), \
	 .help = "set rates in the process for the window: heap-rate, block-rate or " \
		 "mutex-rate, each [=VALUE]"}
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

/*
 * For `take` of a row: "heap-rate", "heap-rate=4096,mutex-rate=10", "block-rate=1ms". Values: heap
 * bytes; block ns or with a unit (ns, us, ms, s); mutex a number. None may be below the row's min.
 */
bool allow_write_take(const struct opt *o, void *field, const char *arg);

/* Whether any rate is to be set. */
bool allow_write_wanted(const struct prowl_rates_wish *wish);

/*
 * Prints a line for each rate that was set, with values as the runtime stores them, and a warning
 * where the program's own profiles suffer.
 */
void allow_write_say_set(const struct prowl_rates_report *report);
/* After the window: a warning for each rate that was not restored. */
void allow_write_say_end(const struct prowl_rates_report *report);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option --allow-write of the commands for runtime profiles: which rates may be set in the
 * target for the window, and what is said of it.
 */
#pragma once

#include <stdbool.h>

#include "rates.h"

/* The entry of a command's table of options. */
#define OPT_ALLOW_WRITE(id)                                                                  \
	{                                                                                    \
		0, "allow-write", "WHAT",                                                    \
			"set rates in the process for the window: heap-rate, block-rate or " \
			"mutex-rate, each [=VALUE]",                                         \
			id                                                                   \
	}

/*
 * "heap-rate", "heap-rate=4096,mutex-rate=10", "block-rate=1ms": adds them to wish. False after
 * saying what is wrong. Values: heap bytes; block ns or with a unit (ns, us, ms, s); mutex a
 * number. None may be below min (0 or 1). option is
 * for the message.
 */
bool allow_write_parse(const char *option, const char *arg, uint64_t min,
		       struct prowl_rates_wish *wish);

/* Something is wished for. */
bool allow_write_wanted(const struct prowl_rates_wish *wish);

/*
 * A line for each rate that was set, with values as the runtime stores them; and a warning where
 * that spoils what the program records itself.
 */
void allow_write_say_set(const struct prowl_rates_report *report);
/* Afterwards: a warning for each that is not as it was. */
void allow_write_say_end(const struct prowl_rates_report *report);

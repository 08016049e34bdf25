/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages for developers, on stderr: PROWL_DEBUG=walk,globals explains why something was not found
 * or a stack was cut off. Not for users: the texts change as the code does.
 *
 * A domain that is off costs one test, and that only where something failed: nothing is logged
 * where all is well. The library reads no environment; the program sets the domains once, before it
 * makes threads.
 */
#pragma once

#include <stdbool.h>

enum uw_log {                     /* bits */
	      UW_LOG_WALK = 1,    /* why a stack has no root */
	      UW_LOG_GLOBALS = 2, /* how the runtime's variables were found, and which were not */
	      UW_LOG_PERF = 4,    /* what the sampler was refused */
};

/* Domains by name, separated by commas; "all" is all of them. False: one is not known; the others
 * count. NULL and "" are none. */
bool uw_log_parse(const char *text, unsigned int *ret);
/* "walk, globals, perf" */
const char *uw_log_domains(void);

void uw_log_set(unsigned int domains);
bool uw_log_on(enum uw_log domain);
/* "prowl DOMAIN: ...", with a line end. Asks uw_log_on itself. */
void uw_log(enum uw_log domain, const char *format, ...) __attribute__((format(printf, 2, 3)));

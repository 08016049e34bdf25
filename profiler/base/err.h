/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one error type: a class that decides the exit code, and a sentence for people. Lower layers
 * return negative errno and plain facts; here they become words.
 */
#pragma once

#include <stdarg.h>

enum prowl_code { /* also the exit codes of the command line */
		  PROWL_OK = 0,
		  PROWL_FAILED = 1,
		  PROWL_USAGE = 2,
		  PROWL_REGRESSION = 3,
		  PROWL_PERMISSION = 4,
		  PROWL_NOTHING = 5, /* nothing captured: idle, or gone before the first sample */
		  PROWL_UNSUPPORTED = 6, /* not Go, unknown Go version, architecture */
		  PROWL_INCONCLUSIVE = 7,
};

struct prowl_err {
	enum prowl_code code;
	char text[512]; /* what and why, no newline at the end */
	char hint[768]; /* what to do about it; "" or one or several lines */
};

/* Fills e (which may be NULL) and returns code. */
enum prowl_code prowl_fail(struct prowl_err *e, enum prowl_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void prowl_hint(struct prowl_err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* SPDX-License-Identifier: Apache-2.0 */
/* Words on the terminal: errors, warnings, progress; colour where it is wanted. All to stderr. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "err.h"

/*
 * Foreign text for a terminal: control characters and bytes that are not UTF-8 become '?'; a
 * newline too, but not in _lines.
 */
void text_put(FILE *f, const char *s);
void text_put_lines(FILE *f, const char *s);
/* Bytes of the control character (C0, DEL, C1 in UTF-8) at s, 0 when it is none. */
size_t text_control(const char *s);
/* The bytes of the character at s, which isn't the end; false when it must become '?'. */
bool text_char(const char *s, size_t *ret_len);

/* What is said may have foreign text in it, too. */
enum say_level { SAY_QUIET = -1, SAY_NORMAL = 0, SAY_VERBOSE = 1 };

void say_level(int level);
bool say_verbose(void);
/* "auto", "always" or "never"; false for another word. NO_COLOR and CLICOLOR_FORCE are honoured. */
bool say_color(const char *when);

/* Whether to write colours to fd, a terminal or not. */
bool say_use_color(int fd);

/*
 * While `to` is set, what would be said, but progress, is not printed: the screen is somebody
 * else's. NULL ends that.
 */
void say_elsewhere(void (*to)(void *ctx, const char *text), void *ctx);

void say_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Only with -v. */
void say_detail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What prowl itself has cost so far: CPU time and memory. */
void say_own_cost(void);
/* One line that is overwritten; only on a terminal, never with -q, CI or TERM=dumb. */
void say_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Removes the progress line. */
void say_progress_end(void);

/* Prints what, why and what to do; returns the exit code. */
enum prowl_code say_failure(const struct prowl_err *err);

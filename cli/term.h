/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on stderr: errors, warnings, progress, in colour where it is wanted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "err.h"

/*
 * Prints foreign text: control characters and bytes that are not UTF-8 become '?', and so do
 * newlines, but not in _lines.
 */
void text_put(FILE *f, const char *s);
void text_put_lines(FILE *f, const char *s);
/* Bytes of the control character (C0, DEL, C1 in UTF-8) at s, 0 when it is none. */
size_t text_control(const char *s);
/* The length of the character at s, which isn't the end; false when it must become '?'. */
bool text_char(const char *s, size_t *ret_len);

/* Messages may contain foreign text. */
enum say_level { SAY_QUIET = -1, SAY_NORMAL = 0, SAY_VERBOSE = 1 };

void say_level(int level);
bool say_verbose(void);
/* "auto", "always" or "never"; false for another word. NO_COLOR and CLICOLOR_FORCE are honoured. */
bool say_color(const char *when);

/* Whether to write colours to fd, a terminal or not. */
bool say_use_color(int fd);

/*
 * Messages go to `to` instead, without progress, while something else owns the screen. NULL ends
 * that.
 */
void say_elsewhere(void (*to)(void *ctx, const char *text), void *ctx);

void say_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Only with -v. */
void say_detail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Prints prowl's own cost so far: CPU time and memory. */
void say_own_cost(void);
/* One line that is overwritten; only on a terminal, never with -q, CI or TERM=dumb. */
void say_progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Removes the progress line. */
void say_progress_end(void);

/* Prints the error and its hint; returns the exit code. */
enum prowl_code say_failure(const struct prowl_err *err);

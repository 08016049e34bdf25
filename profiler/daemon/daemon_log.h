/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's log: one line an event, to standard error or another descriptor. With the levels of
 * the journal where it is one, as text, or as JSON. A line that comes again within a minute is
 * counted and not written; the count follows when the minute is over.
 *
 * Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum daemon_level { DAEMON_ERROR, DAEMON_WARNING, DAEMON_INFO, DAEMON_DEBUG };
enum daemon_format { DAEMON_AUTO, DAEMON_JOURNAL, DAEMON_TEXT, DAEMON_JSON };

struct daemon_log;

/* The descriptor stays the caller's. now: monotonic ns, NULL: the kernel's. NULL: no memory. */
struct daemon_log *daemon_log_new(int fd, enum daemon_level level, enum daemon_format format,
				  uint64_t (*now)(void));
void daemon_log_free(struct daemon_log *l);
void daemon_log_level(struct daemon_log *l, enum daemon_level level);

void daemon_say(struct daemon_log *l, enum daemon_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Writes the counts that are due; all: each. Call it every few seconds. */
void daemon_log_tick(struct daemon_log *l, bool all);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal of prowl top: lines out, keys and signals in. Leaves it as it was found, also when
 * prowl is ended by a signal, stopped, or crashes.
 *
 * There is one terminal: one screen at a time, of one thread.
 */
#pragma once

#include <stdbool.h>

#include "top_model.h"

struct top_screen;

/* Whether this prowl was built with a screen. */
bool top_screen_built(void);
/* An exit code, after an error message where there can be no screen: no ncurses, no terminal. */
enum prowl_code top_screen_check(void);
/* The same, with a screen. From here on, signals are the screen's. */
enum prowl_code top_screen_open(struct top_screen **ret);
void top_screen_close(struct top_screen *s);

/* Readable when top_screen_event has an event. */
int top_screen_fd(const struct top_screen *s);

/* A key (enum top_key), 0 for none, or one of these. Call it until it gives 0. */
enum {
	TOP_EVENT_QUIT = -1,     /* asked by a signal, or the terminal is gone */
	TOP_EVENT_REDRAW = -2,   /* the size has changed */
	TOP_EVENT_RETURNED = -3, /* prowl was stopped, and goes on */
};
int top_screen_event(struct top_screen *s);

void top_screen_draw(struct top_screen *s, struct top_model *m);
/* The same on a terminal with unknown content. */
void top_screen_repaint(struct top_screen *s, struct top_model *m);

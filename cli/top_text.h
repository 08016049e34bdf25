/* SPDX-License-Identifier: Apache-2.0 */
/* Text for the columns of a terminal. By the locale's LC_CTYPE, which the caller has set. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	TOP_LINE = 4096,   /* bytes of a line of text */
	TOP_COLUMNS = 1000 /* columns of one, at most: each takes up to four bytes */
};

/*
 * Puts foreign text into dst in at most `width` columns. Longer text is cut at its end or, in
 * _tail, at its beginning, with ".." instead. Control characters, invalid UTF-8 and characters that
 * the terminal can't show become '?', characters without a width are left out. Returns the columns
 * it takes.
 */
int top_text_fit(char dst[TOP_LINE], const char *src, int width);
int top_text_fit_tail(char dst[TOP_LINE], const char *src, int width);

/* The same, filled up with blanks to exactly `width` columns. */
void top_text_fill(char dst[TOP_LINE], const char *src, int width);
void top_text_fill_tail(char dst[TOP_LINE], const char *src, int width);

enum { TOP_NUMBER = 16 };
/* "120ms", "12.3s", "12.3min", "12.3h": at most 7 columns. */
const char *top_text_time(char dst[TOP_NUMBER], int64_t ns);
/* "62.3%": at most 6 columns. */
const char *top_text_percent(char dst[TOP_NUMBER], int64_t part, int64_t whole);

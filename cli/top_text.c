/* SPDX-License-Identifier: Apache-2.0 */
#include "top_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "utf8.h"

/* A character: its bytes, and its width on the screen. */
struct glyph {
	const char *text;
	size_t len;
	int width;
};

/* Written from right to left, or marks of direction and joining: they would move their neighbours.
 */
static bool is_format(uint32_t c)
{
	return (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0x61c;
}

/* The character at s; s is left behind it. */
static struct glyph next_glyph(const char **s)
{
	static const char unknown[] = "?";
	struct glyph g = {.text = *s, .width = -1};
	uint32_t c;

	g.len = utf8_decode(*s, &c);
	*s += g.len ? g.len : 1;
	if (g.len && !is_format(c))
		g.width = c < 0x80 ? (c >= 0x20 && c != 0x7f ? 1 : -1) : wcwidth((wchar_t)c);
	if (g.width < 0) {
		g.text = unknown;
		g.len = 1;
		g.width = 1;
	}
	return g;
}

static long width_of(const char *s)
{
	long width = 0;

	while (*s)
		width += next_glyph(&s).width;
	return width;
}

/* Appends glyphs until one would not fit any more. */
static int put(char dst[TOP_LINE], size_t *len, const char *s, int width)
{
	int used = 0;

	while (*s) {
		struct glyph g = next_glyph(&s);

		if (g.width == 0)
			continue;
		if (used + g.width > width || *len + g.len >= TOP_LINE)
			break;
		memcpy(dst + *len, g.text, g.len);
		*len += g.len;
		used += g.width;
	}
	dst[*len] = '\0';
	return used;
}

static int fit(char dst[TOP_LINE], const char *src, int width, bool tail)
{
	long all = width_of(src);
	size_t len = 0;
	int used;

	if (width > TOP_COLUMNS)
		width = TOP_COLUMNS;
	dst[0] = '\0';
	if (width <= 0)
		return 0;
	if (all <= width)
		return put(dst, &len, src, width);
	if (width < 4)
		return put(dst, &len, src, width);
	if (!tail) {
		used = put(dst, &len, src, width - 2);
		return used + put(dst, &len, "..", 2);
	}
	while (all > width - 2)
		all -= next_glyph(&src).width;
	used = put(dst, &len, "..", 2);
	return used + put(dst, &len, src, width - 2);
}

int top_text_fit(char dst[TOP_LINE], const char *src, int width)
{
	return fit(dst, src, width, false);
}

int top_text_fit_tail(char dst[TOP_LINE], const char *src, int width)
{
	return fit(dst, src, width, true);
}

static void fill(char dst[TOP_LINE], const char *src, int width, bool tail)
{
	int used = fit(dst, src, width, tail);
	size_t len = strlen(dst);

	if (width > TOP_COLUMNS)
		width = TOP_COLUMNS;
	for (; used < width && len + 1 < TOP_LINE; used++)
		dst[len++] = ' ';
	dst[len] = '\0';
}

void top_text_fill(char dst[TOP_LINE], const char *src, int width)
{
	fill(dst, src, width, false);
}

void top_text_fill_tail(char dst[TOP_LINE], const char *src, int width)
{
	fill(dst, src, width, true);
}

const char *top_text_time(char dst[TOP_NUMBER], int64_t ns)
{
	double s = (double)ns / 1e9;

	if (s < 10)
		snprintf(dst, TOP_NUMBER, "%.0fms", s * 1e3);
	else if (s < 600)
		snprintf(dst, TOP_NUMBER, "%.1fs", s);
	else if (s < 36000)
		snprintf(dst, TOP_NUMBER, "%.0fmin", s / 60);
	else
		snprintf(dst, TOP_NUMBER, "%.0fh", s / 3600);
	return dst;
}

const char *top_text_percent(char dst[TOP_NUMBER], int64_t part, int64_t whole)
{
	snprintf(dst, TOP_NUMBER, "%.1f%%", whole ? 100.0 * (double)part / (double)whole : 0.0);
	return dst;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Names as reports print them. */
#pragma once

#include <stddef.h>

/* Bytes of the C0 or C1 control character at s, 0 when it is none; the text is UTF-8. */
static inline size_t control_length(const char *s)
{
	unsigned char c = s[0], next = c ? s[1] : 0;

	return (c && c < 0x20) || c == 0x7f ? 1 : c == 0xc2 && next >= 0x80 && next < 0xa0 ? 2 : 0;
}

/* The name for code without symbols: its file's name in brackets. NULL: out of memory. */
char *pp_object_name(const char *path);

/* Control characters become '?'. */
void pp_make_printable(char *s);

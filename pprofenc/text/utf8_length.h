/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* Of a sequence that begins with a byte above 0x7f. */
size_t pp_utf8_multibyte(const char *s, size_t room);

/*
 * Length of the UTF-8 sequence at s, 0 when there is no valid one. At most `room` bytes are read,
 * and none beyond a NUL.
 */
static inline size_t pp_utf8_length(const char *s, size_t room)
{
	return (unsigned char)*s < 0x80 ? 1 : pp_utf8_multibyte(s, room);
}

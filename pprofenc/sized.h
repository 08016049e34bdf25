/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structs of the interface that callers allocate begin with their size, so that they can grow. A
 * caller built for an older version has a smaller one, of which the missing fields are 0.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Copies a caller's struct into `to`, of `room` bytes. NULL means all zero. -EINVAL: its size is
 * not set; -E2BIG: it is larger, of a newer version, and uses a field that this version doesn't
 * know.
 */
static inline int pp_sized(void *to, size_t room, const void *from)
{
	size_t size = room;

	memset(to, 0, room);
	if (from)
		memcpy(&size, from, sizeof size);
	if (size < sizeof size)
		return -EINVAL;
	for (size_t i = room; i < size; i++)
		if (((const char *)from)[i])
			return -E2BIG;
	if (from)
		memcpy(to, from, size < room ? size : room);
	memcpy(to, &room, sizeof room);
	return 0;
}

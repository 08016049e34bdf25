/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays that grow. */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/*
 * Makes room for n elements in *(T **)array, whose capacity is *cap. -ENOMEM leaves both unchanged.
 */
static inline int prowl_array_reserve(void *array, size_t *cap, size_t n, size_t size)
{
	size_t want = *cap ? *cap : 64;
	void *old, *bigger;

	if (n <= *cap)
		return 0;
	while (want < n)
		want += want / 2;
	memcpy(&old, array, sizeof old);
	bigger = reallocarray(old, want, size);
	if (!bigger)
		return -ENOMEM;
	memcpy(array, &bigger, sizeof bigger);
	*cap = want;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks in nanoseconds. */
#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t prowl_clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t prowl_now(void)
{
	return prowl_clock_ns(CLOCK_MONOTONIC);
}

static inline struct timespec prowl_timespec(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
				 .tv_nsec = (long)(ns % 1000000000u)};
}

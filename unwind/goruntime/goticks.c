/* SPDX-License-Identifier: Apache-2.0 */
#include "goticks.h"

#include <errno.h>
#include <time.h>

enum {
	/* Clocks that exist are between these rates. */
	MIN_HZ = 1000000,
	MEASURE_NS = 50000000,
	MIN_RUN_NS = 100000000, /* shorter than this since the start is too short to divide by */
};

#define MAX_HZ 1e11

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool sane(double hz)
{
	return hz >= MIN_HZ && hz <= MAX_HZ;
}

static int read_i64(const struct uw_mem *mem, uint64_t base, uint16_t off, int64_t *ret)
{
	uint64_t v;
	int r = off == UW_GO_NONE || !base ? -ENOENT : uw_read_u64(mem, base + off, &v);

	if (r == 0)
		*ret = (int64_t)v;
	return r;
}

static bool from_start(const struct uw_arch *arch, const struct uw_golayout *l,
		       const struct uw_mem *mem, uint64_t base, double *ret)
{
	int64_t ticks = 0, time = 0, ns = now_ns();
	uint64_t now = arch->ticks();

	if (read_i64(mem, base, l->ticks.start_ticks, &ticks) < 0 ||
	    read_i64(mem, base, l->ticks.start_time, &time) < 0 || time <= 0 ||
	    ns - time < MIN_RUN_NS || now <= (uint64_t)ticks)
		return false;
	*ret = (double)(now - (uint64_t)ticks) * 1e9 / (double)(ns - time);
	return sane(*ret);
}

double uw_goticks_measure(const struct uw_arch *arch)
{
	struct timespec pause = {.tv_nsec = MEASURE_NS};
	uint64_t c0;
	int64_t t0;

	if (!arch || !arch->ticks)
		return 1e9;
	t0 = now_ns();
	c0 = arch->ticks();
	nanosleep(&pause, NULL);
	return (double)(arch->ticks() - c0) * 1e9 / (double)(now_ns() - t0);
}

int uw_goticks_per_second(const struct uw_golayout *layout, const struct uw_goglobals *globals,
			  const struct uw_mem *mem, uint16_t machine, bool same_boot, double *ret,
			  enum uw_goticks_source *ret_source)
{
	const struct uw_arch *arch = uw_arch_of(machine);
	uint64_t base = uw_goglobal(globals, UW_GLOBAL_TICKS);
	int64_t val;

	*ret = 1e9;
	*ret_source = UW_TICKS_NANOSECONDS;
	if (arch && arch->ticks_are_ns)
		return 0;
	*ret_source = UW_TICKS_RUNTIME;
	if (read_i64(mem, base, layout->ticks.val, &val) == 0 && sane((double)val)) {
		*ret = (double)val;
		return 0;
	}
	if (!arch || !arch->ticks)
		return -ENOTSUP;
	*ret_source = UW_TICKS_START;
	if (same_boot && from_start(arch, layout, mem, base, ret))
		return 0;
	*ret_source = UW_TICKS_MEASURED;
	*ret = uw_goticks_measure(arch);
	return sane(*ret) ? 0 : -ENOTSUP;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows by the wall clock, measured by the monotonic one. The wall clock is read when a window
 * begins; in between it is only compared, so that a clock that is set ends the window.
 */
#include "clock.h"
#include "host_parts.h"

enum {
	STEP_NS = HOST_STEP_MS * 1000000,
	/* A clock that is slewed moves by less in an hour; so early a window is of the next slot.
	 */
	EARLY_PART = 10,
};

static uint64_t real(void)
{
	return prowl_clock_ns(CLOCK_REALTIME);
}

static uint64_t boot(void)
{
	return prowl_clock_ns(CLOCK_BOOTTIME);
}

void host_clock_init(struct host_clock *c, const struct prowl_host_clocks *now, uint64_t window_ns)
{
	*c = (struct host_clock){.now = *now, .window_ns = window_ns};
	if (!c->now.mono)
		c->now.mono = prowl_now;
	if (!c->now.wall)
		c->now.wall = real;
	if (!c->now.boot)
		c->now.boot = boot;
}

static int64_t offset_of(const struct host_clock *c)
{
	return (int64_t)(c->now.wall() - c->now.mono());
}

static int64_t slept_of(const struct host_clock *c)
{
	return (int64_t)(c->now.boot() - c->now.mono());
}

static int64_t round_down(int64_t v, int64_t to)
{
	int64_t rest = v % to;

	return v - (rest < 0 ? rest + to : rest);
}

static bool moved(int64_t a, int64_t b)
{
	return a - b > STEP_NS || b - a > STEP_NS;
}

void host_clock_begin(struct host_clock *c, uint64_t mono)
{
	int64_t window = (int64_t)c->window_ns;
	int64_t early = window / EARLY_PART < STEP_NS ? window / EARLY_PART : STEP_NS;

	c->offset = offset_of(c);
	c->slept = slept_of(c);
	c->mono_start = mono;
	c->wall_start = (int64_t)mono + c->offset;
	c->slot = round_down(c->wall_start + early, window);
	c->mono_end = (uint64_t)(c->slot + window - c->offset);
	c->flags = c->wall_start - c->slot > early ? PROWL_HOST_SHORT : 0;
	c->again = c->any && c->slot <= c->highest ? c->steps : 0;
	if (!c->any || c->slot > c->highest)
		c->highest = c->slot;
	c->any = true;
}

/*
 * A suspended machine's monotonic clock stands still, and the wall clock seems to have been set by
 * as much.
 */
static unsigned int look_at_clocks(const struct host_clock *c)
{
	int64_t slept = slept_of(c) - c->slept, set = offset_of(c) - c->offset;
	unsigned int flags = 0;

	if (moved(slept, 0)) {
		flags |= PROWL_HOST_SUSPENDED;
		set -= slept;
	}
	if (moved(set, 0))
		flags |= PROWL_HOST_CLOCK_STEPPED;
	return flags;
}

bool host_clock_over(struct host_clock *c)
{
	unsigned int flags = look_at_clocks(c);

	if (flags) {
		c->flags |= flags | PROWL_HOST_SHORT;
		c->steps++;
		return true;
	}
	return c->now.mono() >= c->mono_end;
}

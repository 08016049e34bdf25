/* SPDX-License-Identifier: Apache-2.0 */
#include "moment_pair.h"

#include <stdlib.h>
#include <string.h>

void prowl_moment_pair_fini(struct prowl_moment_pair *p)
{
	free(p->kept);
	*p = (struct prowl_moment_pair){.strays = p->strays};
}

void prowl_moment_pair_next(struct prowl_moment_pair *p)
{
	p->strays += p->waiting != NULL;
	p->waiting = NULL;
}

bool prowl_moment_pair_take(struct prowl_moment_pair *p, const struct perf_event_header *rec)
{
	if (p->id == 0 || prowl_perf_id(rec) != p->id)
		return false;
	prowl_moment_pair_next(p);
	p->waiting = rec;
	return true;
}

/* Which of the two the kernel gives its time first depends on its version. */
static bool near(uint64_t a, uint64_t b)
{
	return (a > b ? a - b : b - a) <= PROWL_MOMENT_NS;
}

const struct prowl_moment *prowl_moment_pair_of(struct prowl_moment_pair *p,
						const struct prowl_event *sample,
						struct prowl_moment *room)
{
	const struct perf_event_header *rec = p->waiting;
	const struct uw_regs *regs = sample->sample.has_regs ? &sample->sample.regs : NULL;
	size_t len = 0;
	const void *raw = rec ? prowl_perf_raw(rec, &len) : NULL;

	if (!raw || prowl_perf_tid(rec) != sample->tid ||
	    !near(prowl_perf_time(rec), sample->time) || prowl_moment_decode(raw, len, room) < 0 ||
	    !prowl_moment_fits(room, sample->sample.in_kernel, regs))
		return NULL;
	p->waiting = NULL;
	return room;
}

void prowl_moment_pair_keep(struct prowl_moment_pair *p)
{
	if (!p->waiting || p->waiting == p->kept)
		return;
	if (!p->kept)
		p->kept = malloc(UINT16_MAX + 1); /* a record has at most that */
	if (p->kept)
		memcpy(p->kept, p->waiting, p->waiting->size);
	else
		p->strays++;
	p->waiting = p->kept;
}

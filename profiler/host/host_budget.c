/* SPDX-License-Identifier: Apache-2.0 */
/* What we may cost, and what is left out when it is more. */
#include "host_parts.h"

enum {
	OVER = 3,  /* measurements in a row above the budget: a step further */
	BELOW = 6, /* below EASY of it: a step back */
};
#define EASY 0.7

const char *host_step_text(enum host_step step)
{
	static const char *const texts[HOST_STEPS] = {
		"all is sampled and looked at as often as it should be",
		"goroutines are looked at five times less often",
		"heap profiles are taken once an hour",
		"every second sample counts, for two",
		"every third sample counts, for three",
		"a quarter of the processes, those with the least CPU time, count among the others"};

	return texts[step];
}

bool host_budget_measure(struct host_budget *b, uint64_t mono, uint64_t sampler, uint64_t looker)
{
	double passed = (double)(mono - b->since), share, allowed = b->sampling + b->looking;
	enum host_step was = b->step;

	if (b->since == 0 || mono - b->since >= b->over_ns) {
		if (b->since) {
			b->was_sampling = (double)(sampler - b->sampler) / passed;
			b->was_looking = (double)(looker - b->looker) / passed;
		}
		share = b->was_sampling + b->was_looking;
		b->over = b->since && share > allowed ? b->over + 1 : 0;
		b->below = b->since && share < EASY * allowed ? b->below + 1 : 0;
		b->since = mono;
		b->sampler = sampler;
		b->looker = looker;
	}
	if (b->over >= OVER) {
		b->over = 0;
		if (b->step + 1 < HOST_STEPS)
			b->step++;
	} else if (b->below >= BELOW) {
		b->below = 0;
		if (b->step > HOST_STEP_NONE)
			b->step--;
	}
	return b->step != was;
}

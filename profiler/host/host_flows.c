/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runtime profiles count since the program began. What was added between two of them adds up, over
 * time and over restarts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host_parts.h"
#include "pprof.h"

enum { MOST_TYPES = 8 };

struct columns {
	size_t n, at[MOST_TYPES];
};

static int choose(const struct pprof_profile *p, const char *prefix, struct pprof_profile *to,
		  struct columns *c)
{
	int r = 0;

	c->n = 0;
	for (size_t i = 0; i < p->nsample_types && r == 0 && c->n < MOST_TYPES; i++) {
		const char *type = p->strings[p->sample_types[i].type];

		if (strncmp(type, prefix, strlen(prefix)) != 0)
			continue;
		c->at[c->n++] = i;
		r = pprof_sample_type(to, type, p->strings[p->sample_types[i].unit]);
	}
	return r < 0 ? r : c->n ? 0 : -ENOENT;
}

static int copy_head(const struct pprof_profile *p, struct pprof_profile *to)
{
	int r = 0;

	if (p->period_type.type)
		r = pprof_period(to, p->strings[p->period_type.type],
				 p->strings[p->period_type.unit], p->period);
	for (size_t i = 0; i < p->ncomments && r == 0; i++)
		r = pprof_comment(to, p->strings[p->comments[i]]);
	to->time_nanos = p->time_nanos;
	to->duration_nanos = p->duration_nanos;
	return r;
}

static int copy_sample(const struct pprof_profile *p, size_t i, const struct columns *c,
		       struct pprof_copier *copier, struct pprof_profile *to)
{
	const int64_t *all = pprof_sample_values(p, i);
	const struct pprof_label *labels;
	int64_t values[MOST_TYPES];
	const uint32_t *stack;
	bool any = false;
	int r;

	for (size_t k = 0; k < c->n; k++) {
		values[k] = all[c->at[k]] > 0 ? all[c->at[k]] : 0;
		any |= values[k] > 0;
	}
	if (!any)
		return 0;
	r = pprof_copier_stack(copier, i, &stack);
	if (r == 0)
		r = pprof_copier_labels(copier, i, &labels);
	return r < 0 ? r
		     : pprof_sample_append(to, stack, p->samples[i].nlocations, values, labels,
					   p->samples[i].nlabels);
}

int host_flow_columns(const struct pprof_profile *p, const char *prefix, struct pprof_profile **ret)
{
	struct pprof_copier *copier = NULL;
	struct pprof_profile *to;
	struct columns c;
	int r = pprof_profile_new(&to);

	if (r < 0)
		return r;
	r = choose(p, prefix, to, &c);
	if (r == 0)
		r = copy_head(p, to);
	if (r == 0)
		r = pprof_copier_new(p, to, &copier);
	for (size_t i = 0; i < p->nsamples && r == 0; i++)
		r = copy_sample(p, i, &c, copier, to);
	pprof_copier_free(copier);
	if (r < 0)
		pprof_profile_free(to);
	else
		*ret = to;
	return r;
}

int host_flow_change(const struct pprof_profile *from, const struct pprof_profile *to,
		     const char *prefix, struct pprof_profile **ret)
{
	const struct pprof_profile *pair[2] = {to};
	struct pprof_profile *less, *sum;
	int r;

	if (!from)
		return host_flow_columns(to, prefix, ret);
	r = pprof_merge_scaled(&from, 1, -1.0, &less, NULL);
	if (r < 0)
		return r;
	pair[1] = less;
	r = pprof_merge(pair, 2, &sum, NULL);
	pprof_profile_free(less);
	if (r < 0)
		return r;
	r = host_flow_columns(sum, prefix, ret);
	pprof_profile_free(sum);
	return r;
}

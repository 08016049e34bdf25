/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model_parts.h"
#include "units.h"

int pprof_merge_scaled(const struct pprof_profile *const *inputs, size_t n, double factor,
		       struct pprof_profile **ret_profile, struct pprof_diag *diag)
{
	struct pprof_profile *p;
	int r = pprof_merge(inputs, n, &p, diag);

	if (r < 0)
		return r;
	for (size_t i = 0; i < p->nsamples * p->nsample_types; i++) {
		double v = nearbyint((double)p->values[i] * factor);

		/* Saturates. */
		p->values[i] = v >= 9.2e18 ? INT64_MAX : v <= -9.2e18 ? -INT64_MAX : (int64_t)v;
	}
	*ret_profile = p;
	return 0;
}

/* Adds the label of a base to each sample of p, and negates its values. */
static int turn_into_base(struct pprof_profile *p)
{
	struct pprof_label *labels, mark = {0};
	size_t used = 0;
	int r = pprof_string(p, "pprof::base", &mark.key);

	if (r == 0)
		r = pprof_string(p, "true", &mark.str);
	if (r < 0)
		return r;
	labels = malloc((p->nlabels + p->nsamples + 1) * sizeof *labels);
	if (!labels)
		return -ENOMEM;
	for (size_t i = 0; i < p->nsamples; i++) {
		struct pprof_sample *s = &p->samples[i];

		memcpy(labels + used, p->labels + s->first_label, s->nlabels * sizeof *labels);
		s->first_label = (uint32_t)used;
		used += s->nlabels;
		labels[used++] = mark;
		s->nlabels++;
	}
	free(p->labels);
	p->labels = labels;
	p->nlabels = used;
	p->builder->cap_labels = used;
	for (size_t i = 0; i < p->nsamples * p->nsample_types; i++)
		p->values[i] = (int64_t) - (uint64_t)p->values[i];
	return 0;
}

int pprof_difference(const struct pprof_profile *base, const struct pprof_profile *head,
		     struct pprof_profile **ret_profile, struct pprof_diag *diag)
{
	struct pprof_profile *taken = NULL;
	int r = pprof_merge(&base, 1, &taken, diag);

	if (r == 0)
		r = turn_into_base(taken);
	if (r == 0)
		r = pprof_merge((const struct pprof_profile *[]){head, taken}, 2, ret_profile,
				diag);
	/* The times of both are not the time of the difference. */
	if (r == 0)
		(*ret_profile)->duration_nanos = head->duration_nanos;
	pprof_profile_free(taken);
	return r;
}

/* --- totals ---------------------------------------------------------------------- */

static bool is_base(const struct pprof_profile *p, size_t sample)
{
	const struct pprof_label *labels = pprof_sample_labels(p, sample);

	for (size_t i = 0; i < p->samples[sample].nlabels; i++)
		if (strcmp(p->strings[labels[i].key], "pprof::base") == 0 &&
		    strcmp(p->strings[labels[i].str], "true") == 0)
			return true;
	return false;
}

/* With samples of a base of comparison, 100 % is the base's sum, as in pprof. */
int64_t pprof_total(const struct pprof_profile *p, size_t sample_type)
{
	uint64_t total = 0, base = 0;

	for (size_t i = 0; i < p->nsamples; i++) {
		uint64_t v = magnitude(pprof_sample_values(p, i)[sample_type]);

		total += v;
		if (v && is_base(p, i))
			base += v;
	}
	return (int64_t)((int64_t)base > 0 ? base : total);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "relabel.h"

#include <errno.h>
#include <stdlib.h>

#include "pprof.h"

enum { MOST_LABELS = 128 };

bool relabel_wanted(const struct prowl_label_policy *p)
{
	return p->nkeep || p->ndrop || p->nrename;
}

static const char *text_of(const struct pprof_profile *p, uint32_t string)
{
	return p->strings[string];
}

/* All that is not a sample. */
static int copy_head(const struct pprof_profile *from, struct pprof_profile *to)
{
	int r = pprof_period(to, text_of(from, from->period_type.type),
			     text_of(from, from->period_type.unit), from->period);

	for (size_t i = 0; r == 0 && i < from->nsample_types; i++)
		r = pprof_sample_type(to, text_of(from, from->sample_types[i].type),
				      text_of(from, from->sample_types[i].unit));
	for (size_t i = 0; r == 0 && i < from->ncomments; i++)
		r = pprof_comment(to, text_of(from, from->comments[i]));
	if (r == 0)
		r = pprof_string(to, text_of(from, from->default_sample_type),
				 &to->default_sample_type);
	if (r == 0)
		r = pprof_string(to, text_of(from, from->drop_frames), &to->drop_frames);
	if (r == 0)
		r = pprof_string(to, text_of(from, from->keep_frames), &to->keep_frames);
	to->time_nanos = from->time_nanos;
	to->duration_nanos = from->duration_nanos;
	return r;
}

/* The labels of a sample that stay, of those that the copier gave. */
static int choose(struct pprof_profile *to, const struct prowl_label_policy *p,
		  const struct pprof_label *labels, size_t n, struct pprof_label kept[MOST_LABELS],
		  size_t *ret_n)
{
	*ret_n = 0;
	for (size_t i = 0; i < n && *ret_n < MOST_LABELS; i++) {
		const char *key = text_of(to, labels[i].key);
		const char *as = prowl_label_policy_name(p, key);
		int r;

		if (!as)
			continue;
		kept[*ret_n] = labels[i];
		r = as == key ? 0 : pprof_string(to, as, &kept[*ret_n].key);
		if (r < 0)
			return r;
		++*ret_n;
	}
	return 0;
}

static int copy_samples(const struct pprof_profile *from, struct pprof_profile *to,
			const struct prowl_label_policy *p)
{
	struct pprof_copier *c;
	int r = pprof_copier_new(from, to, &c);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < from->nsamples; i++) {
		struct pprof_label kept[MOST_LABELS];
		const struct pprof_label *labels;
		const uint32_t *stack;
		size_t n;

		r = pprof_copier_stack(c, i, &stack);
		if (r == 0)
			r = pprof_copier_labels(c, i, &labels);
		if (r == 0)
			r = choose(to, p, labels, from->samples[i].nlabels, kept, &n);
		if (r == 0)
			r = pprof_sample_add(to, stack, from->samples[i].nlocations,
					     pprof_sample_values(from, i), kept, n);
	}
	pprof_copier_free(c);
	return r;
}

int relabel(const struct pprof_profile *from, const struct prowl_label_policy *p,
	    struct pprof_profile **ret)
{
	struct pprof_profile *to;
	int r = pprof_profile_new(&to);

	if (r < 0)
		return r;
	r = copy_head(from, to);
	if (r == 0)
		r = copy_samples(from, to, p);
	if (r == 0)
		*ret = to;
	else
		pprof_profile_free(to);
	return r;
}

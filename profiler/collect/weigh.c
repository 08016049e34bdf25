/* SPDX-License-Identifier: Apache-2.0 */
/* What a window has beyond its stacks: time that no sample represents, and samples without one. */
#include "window_parts.h"

static int add_mark(struct window_maker *m, uint32_t process, enum window_mark mark,
		    int64_t samples, int64_t weight)
{
	struct window_target *t;
	struct pprof_label labels[2];
	int64_t values[] = {samples, weight};
	int r = window_target_of(m, process, &t), n = 0;

	if (r < 0)
		return r;
	if (process != UINT32_MAX)
		n = window_process_labels(m, t, process, labels);
	return pprof_sample_append(t->p, &(uint32_t){window_mark(m, t, mark)}, 1, values, labels,
				   (size_t)n);
}

int window_add_unsampled(struct window_maker *m)
{
	const struct prowl_window *w = m->w;
	int r = 0;

	m->made.unsampled = w->unsampled;
	if (w->unsampled)
		r = add_mark(m, UINT32_MAX, MARK_UNSAMPLED, 0, (int64_t)w->unsampled);
	for (size_t i = 0; r == 0 && i < w->nprocesses; i++) {
		uint64_t v = w->processes[i].unsampled;

		m->made.unsampled += v;
		if (v)
			r = add_mark(m, (uint32_t)i, MARK_UNSAMPLED, 0, (int64_t)v);
	}
	return r;
}

static int add_kernel_of(struct window_maker *m, uint32_t process, uint64_t ns)
{
	int64_t values[2] = {window_rounded((double)ns / (double)m->w->period), (int64_t)ns};
	struct window_target *t;
	uint32_t loc;
	int r;

	if (ns == 0)
		return 0;
	r = window_target_of(m, process, &t);
	if (r == 0)
		r = window_named_location(t, PPROF_NONE, 0, "[kernel, not sampled]", "", &loc);
	return r < 0 ? r : pprof_sample_append(t->p, &loc, 1, values, NULL, 0);
}

/* Kernel time that could not be sampled is one frame of its own, estimated from tick accounting. */
int window_add_unsampled_kernel(struct window_maker *m)
{
	uint64_t rest = m->w->kernel_ns;
	int r = 0;

	if (m->w->kernel)
		return 0;
	if (m->group == PROWL_TOGETHER)
		return add_kernel_of(m, UINT32_MAX, rest);
	for (size_t i = 0; r == 0 && i < m->w->nprocesses; i++) {
		uint64_t ns = m->w->processes[i].kernel;

		r = add_kernel_of(m, (uint32_t)i, ns);
		rest = rest > ns ? rest - ns : 0;
	}
	return r < 0 ? r : add_kernel_of(m, UINT32_MAX, rest);
}

/* Samples that found no room in the hash were counted before. */
int window_add_lost(struct window_maker *m)
{
	const struct prowl_window *w = m->w;
	double each = w->samples ? (double)w->sampled / (double)w->samples : (double)w->period;
	double weight = (double)w->lost * each + (double)m->dropped_weight, scaled = 0;
	uint64_t samples = w->lost + m->made.dropped;

	if (samples == 0)
		return 0;
	for (size_t i = 0; i < w->nprocesses; i++)
		scaled += w->processes[i].scale * (double)w->processes[i].sampled;
	if (w->sampled)
		weight *= scaled / (double)w->sampled;
	return add_mark(m, UINT32_MAX, MARK_LOST, (int64_t)samples, window_rounded(weight));
}

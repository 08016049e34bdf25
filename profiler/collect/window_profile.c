/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A window of the stack hash → its profiles. Each unique address is named once; what was lost,
 * truncated or unknown becomes a frame.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "window_parts.h"

/* --- targets --------------------------------------------------------------------- */

static int open_profile(struct window_maker *m, struct window_target *t, uint32_t process)
{
	const struct prowl_window *w = m->w;
	int r = pprof_profile_new(&t->p);

	if (r < 0)
		return r;
	r = pprof_sample_type(t->p, "samples", "count");
	if (r == 0)
		r = pprof_sample_type(t->p, w->kind->type, w->kind->unit);
	if (r == 0)
		r = pprof_period(t->p, w->kind->period_type, w->kind->period_unit,
				 (int64_t)w->period);
	t->p->time_nanos = w->wall_start;
	t->p->duration_nanos = (int64_t)w->duration_ns;
	if (r == 0 && process < w->nprocesses && w->processes[process].space)
		r = window_first_mapping(m, t, w->processes[process].space);
	return r;
}

int window_target_of(struct window_maker *m, uint32_t process, struct window_target **ret)
{
	bool apart = m->group != PROWL_TOGETHER;
	size_t i = 0;

	if (apart)
		i = process == UINT32_MAX ? m->ntargets - 1 : m->places[process];
	*ret = &m->targets[i];
	if ((*ret)->p)
		return 0;
	return open_profile(m, *ret, apart ? process : 0);
}

/* Each process its own target, or that of its group. Negative errno, or how many there are. */
static int place_processes(struct window_maker *m)
{
	const struct prowl_window *w = m->w;
	struct prowl_idmap groups = {0};
	uint32_t n = 0;
	int r = 0;

	for (size_t i = 0; i < w->nprocesses && r == 0; i++) {
		uint64_t key = (uint64_t)(uint32_t)w->processes[i].group + 1;

		if (m->group == PROWL_BY_GROUP && prowl_idmap_get(&groups, key, &m->places[i]))
			continue;
		if (m->group == PROWL_BY_GROUP)
			r = prowl_idmap_put(&groups, key, n);
		m->places[i] = n++;
	}
	prowl_idmap_fini(&groups);
	return r < 0 ? r : (int)n;
}

static int make_targets(struct window_maker *m)
{
	const struct prowl_window *w = m->w;
	bool apart = m->group != PROWL_TOGETHER;
	int n;

	m->places = calloc(w->nprocesses + 1, sizeof *m->places);
	n = !m->places ? -ENOMEM : apart ? place_processes(m) : 0;
	if (n < 0)
		return n;
	m->ntargets = (size_t)n + 1;
	m->targets = calloc(m->ntargets, sizeof *m->targets);
	m->images = calloc(w->nimages ? w->nimages : 1, sizeof *m->images);
	if (!m->targets || !m->images)
		return -ENOMEM;
	for (size_t i = 0; i < m->ntargets; i++) {
		struct window_target *t = &m->targets[i];

		t->kernel_map = PPROF_NONE;
		for (int k = 0; k < MARKS; k++)
			t->marks[k] = PPROF_NONE;
	}
	for (size_t i = 0; i < w->nprocesses && apart; i++)
		m->targets[m->places[i]].pid = m->group == PROWL_BY_GROUP ? w->processes[i].group
									  : w->processes[i].pid;
	for (size_t i = 0; i < w->nimages && apart; i++)
		m->images[i].target = m->places[w->images[i].process];
	return 0;
}

/* --- passes over the hash -------------------------------------------------------- */

const struct prowl_window_image *window_read_key(const struct window_maker *m,
						 const uint64_t *words, size_t n,
						 enum window_part part, struct prowl_stackkey *key)
{
	const struct prowl_window_image *im;
	size_t want;

	if (!prowl_stackkey_head(words, n, key) || key->image >= m->w->nimages)
		return NULL;
	im = &m->w->images[key->image];
	if (!im->space)
		return NULL;
	want = part == WHOLE ? SIZE_MAX : key->nkernel + 1;
	return prowl_stackkey_unpack(words, n, im->base, want, key) ? im : NULL;
}

int window_hash_error(const struct window_maker *m, int r)
{
	if (r == 0)
		return 0;
	if (r < 0)
		return -EIO;
	return m->error ? m->error : -ENOMEM;
}

static int collect(void *arg, const uint64_t *words, size_t n, uint64_t count, uint64_t weight)
{
	struct window_maker *m = arg;
	struct prowl_stackkey key;
	const struct prowl_window_image *im = window_read_key(m, words, n, UP_TO_LEAF, &key);
	struct window_target *t;
	int r;

	if (!im)
		return 0;
	r = window_target_of(m, im->process, &t);
	for (size_t i = 0; r == 0 && i < key.nkernel; i++)
		r = window_collect_pc(&m->kernel_pcs, &t->kernel_locations, key.pcs[i]);
	if (r == 0 && key.nuser) {
		struct window_image *ic = &m->images[key.image];
		uint64_t leaf = key.pcs[key.nkernel];

		if (window_is_go(im, leaf))
			r = window_collect_pc(&ic->leaves, &ic->locations[0], leaf);
		else
			m->has_native = true;
	}
	m->error = r;
	return r < 0;
}

/* The profile takes the place of what has been read. */
static void give_back(void *arg, void *at, size_t len)
{
	struct window_maker *m = arg;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)at + page - 1) & ~(page - 1);
	uintptr_t to = ((uintptr_t)at + len) & ~(page - 1);

	m->given_back = true;
	if (from < to)
		madvise((void *)from, to - from, MADV_DONTNEED);
}

static void count_dropped(struct window_maker *m)
{
	struct prowl_stackhash_stats st;

	if (prowl_stackhash_stats(m->w->hash, &st) != 0)
		return;
	m->made.dropped = st.dropped_count;
	m->dropped_weight = st.dropped_weight;
}

static int fill(struct window_maker *m)
{
	const struct prowl_window *w = m->w;
	struct window_target *t;
	int r = m->group == PROWL_TOGETHER ? window_target_of(m, 0, &t) : 0;

	if (r == 0)
		r = window_add_unsampled(m);
	if (r == 0)
		r = window_hash_error(m, prowl_stackhash_each(w->hash, collect, m));
	if (r == 0)
		r = window_name_kernel(m);
	if (r == 0 && (m->has_native || w->native))
		r = window_name_native(m);
	for (size_t i = 0; r == 0 && i < w->nimages; i++) {
		if (m->images[i].leaves.n)
			r = window_name_leaves(m, &w->images[i]);
	}
	count_dropped(m);
	if (r == 0)
		r = window_hash_error(
			m, prowl_stackhash_take(w->hash, window_add_stack, m, give_back));
	if (r == 0)
		r = window_add_unsampled_kernel(m);
	if (r == 0)
		r = window_add_lost(m);
	return r == 0 ? m->error : r;
}

/* --- all of it ------------------------------------------------------------------- */

/* All but the targets, whose profiles are what was made. */
static void forget_caches(struct window_maker *m)
{
	for (size_t i = 0; m->images && i < m->w->nimages; i++) {
		prowl_idmap_fini(&m->images[i].locations[0]);
		prowl_idmap_fini(&m->images[i].locations[1]);
		prowl_idmap_fini(&m->images[i].mappings);
		free(m->images[i].leaves.pc);
	}
	for (size_t i = 0; m->targets && i < m->ntargets; i++) {
		prowl_idmap_fini(&m->targets[i].kernel_locations);
		free(m->targets[i].facts);
	}
	uw_repairer_free(m->repairer);
	free(m->images);
	free(m->places);
	free(m->kernel_pcs.pc);
	free(m);
}

static int hand_out(struct window_target *targets, size_t n, prowl_window_fn cb, void *ctx)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct pprof_profile *p = targets[i].p;

		targets[i].p = NULL;
		if (p)
			r = cb(ctx, targets[i].pid, p);
	}
	return r;
}

int prowl_window_profiles(const struct prowl_window *w, enum prowl_group group, prowl_window_fn cb,
			  void *ctx, struct prowl_made *ret)
{
	struct window_maker *m = calloc(1, sizeof *m);
	struct window_target *targets;
	size_t n;
	int r;

	*ret = (struct prowl_made){0};
	if (!m)
		return -ENOMEM;
	m->w = w;
	m->group = group;
	r = make_targets(m);
	if (r == 0)
		r = uw_repairer_new(&m->repairer);
	if (r == 0)
		r = fill(m);
	*ret = m->made;
	targets = m->targets;
	n = m->ntargets;
	forget_caches(m);
	if (r == 0)
		r = hand_out(targets, n, cb, ctx);
	for (size_t i = 0; targets && i < n; i++)
		pprof_profile_free(targets[i].p);
	free(targets);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks of the hash → samples of a profile. */
#include <string.h>

#include "window_parts.h"

/* --- labels ---------------------------------------------------------------------- */

static int number_label(struct pprof_profile *p, const char *key, int64_t num,
			struct pprof_label *ret)
{
	*ret = (struct pprof_label){.num = num};
	return pprof_string(p, key, &ret->key) == 0 && pprof_string(p, "id", &ret->unit) == 0;
}

static int text_label(struct pprof_profile *p, const char *key, const char *text,
		      struct pprof_label *ret)
{
	*ret = (struct pprof_label){0};
	return pprof_string(p, key, &ret->key) == 0 && pprof_string(p, text, &ret->str) == 0;
}

static int thread_labels(const struct window_maker *m, struct pprof_profile *p, uint32_t number,
			 struct pprof_label *labels)
{
	const struct prowl_thread *t = prowl_threads_get(m->w->threads, number);
	int k;

	if (!t)
		return 0;
	k = number_label(p, "thread_id", t->tid, labels);
	if (k && t->name[0])
		k += text_label(p, "thread_name", t->name, labels + k);
	return k;
}

int window_process_labels(struct window_maker *m, struct window_target *t, uint32_t process,
			  struct pprof_label *labels)
{
	const struct prowl_window_process *p = &m->w->processes[process];
	int k;

	if (m->group != PROWL_TOGETHER || !m->w->label_processes)
		return 0;
	k = number_label(t->p, "pid", p->pid, labels);
	if (p->comm[0])
		k += text_label(t->p, "comm", p->comm, labels + k);
	return k;
}

static int go_labels(const struct window_maker *m, struct pprof_profile *p, uint32_t set,
		     struct pprof_label *labels)
{
	struct prowl_label go[UW_LABELS_MAX];
	size_t n = m->w->labels ? prowl_labels_get(m->w->labels, set, go, UW_LABELS_MAX) : 0;
	int k = 0;

	for (size_t i = 0; i < n; i++)
		k += text_label(p, go[i].key, go[i].value, labels + k);
	return k;
}

/* --- values ---------------------------------------------------------------------- */

struct counted { /* a stack of the hash, named */
	const uint32_t *locations;
	size_t nlocations;
	struct pprof_label *labels; /* with room for one more */
	size_t nlabels;
	uint64_t count;
	double weight; /* of all of them, scaled */
};

/* The cumulative weight of the first n, so that rounded parts add up to the total. */
static int64_t weight_of_first(const struct counted *c, uint64_t n)
{
	return window_rounded(c->weight * (double)n / (double)c->count);
}

/* Adds a sample for each time that is known; returns how many. */
static int64_t add_timed(struct window_maker *m, struct pprof_profile *p, uint64_t hash,
			 const struct counted *c)
{
	const struct prowl_window *w = m->w;
	const struct prowl_timed *times;
	size_t n = prowl_timeline_of(w->timeline, hash, &times);
	struct pprof_label *time = &c->labels[c->nlabels];
	int r;

	if (n > c->count)
		n = c->count;
	*time = (struct pprof_label){0};
	r = pprof_string(p, PPROF_LABEL_TIME, &time->key);
	if (r == 0)
		r = pprof_string(p, "nanoseconds", &time->unit);
	for (size_t i = 0; r == 0 && i < n; i++) {
		int64_t values[] = {1, weight_of_first(c, i + 1) - weight_of_first(c, i)};

		time->num = w->wall_start + (int64_t)(times[i].time - w->mono_start);
		r = pprof_sample_append(p, c->locations, c->nlocations, values, c->labels,
					c->nlabels + 1);
	}
	m->made.timed += n;
	return r < 0 ? r : (int64_t)n;
}

static int add_counted(struct window_maker *m, struct pprof_profile *p, const uint64_t *words,
		       size_t n, const struct counted *c)
{
	int64_t timed = 0, values[2];

	if (m->w->timeline && m->w->timeline->n)
		timed = add_timed(m, p, prowl_stackhash_hash(words, n), c);
	if (timed < 0 || (uint64_t)timed == c->count)
		return timed < 0 ? (int)timed : 0;
	values[0] = (int64_t)c->count - timed;
	values[1] = weight_of_first(c, c->count) - weight_of_first(c, (uint64_t)timed);
	/* Samples with equal stacks (keys distinguish more) are joined when it is written. */
	return pprof_sample_append(p, c->locations, c->nlocations, values, c->labels, c->nlabels);
}

/* --- stacks ---------------------------------------------------------------------- */

/* The location by way of those that were used last. */
static int recent_location(struct window_maker *m, const struct prowl_window_image *im,
			   uint32_t image, uint64_t pc, bool keep, uint32_t *ret)
{
	struct window_recent *e = window_recent_of(m, pc);
	int r = 0;

	if (keep)
		return window_user_location(m, im, pc, keep, ret);
	if (e->pc != pc || e->owner != image) {
		r = window_user_location(m, im, pc, false, &e->location);
		e->pc = r < 0 ? 0 : pc;
		e->owner = image;
	}
	*ret = e->location;
	return r;
}

struct stack { /* whose locations are being written */
	uint32_t locations[WINDOW_MAX_LOCATIONS];
	int n;
	bool unknown; /* some have no name */
};

static int kernel_part(struct window_maker *m, struct window_target *t,
		       const struct prowl_stackkey *key, struct stack *s)
{
	for (size_t i = 0; i < key->nkernel; i++) {
		int r = window_kernel_location(m, t, key->pcs[i], &s->locations[s->n]);

		if (r < 0)
			return r;
		s->n++;
		if (!m->made.kernel_names)
			break; /* without names one [kernel] says as much as twenty */
	}
	return 0;
}

static int user_part(struct window_maker *m, struct window_target *t,
		     const struct prowl_window_image *im, const struct prowl_stackkey *key,
		     struct stack *s)
{
	uint64_t fixed[PROWL_MAX_USER + 64];
	int facts = 0;
	size_t n = uw_repair(m->repairer, im->space, key->pcs + key->nkernel, key->nuser, fixed,
			     sizeof fixed / sizeof *fixed);

	for (size_t i = 0; i < n && s->n < WINDOW_MAX_LOCATIONS - 2; i++) {
		uint32_t loc;
		int r;

		if (fixed[i] == 0) {
			s->locations[s->n++] = window_mark(m, t, MARK_UNKNOWN);
			s->unknown = true;
			continue;
		}
		r = recent_location(m, im, key->image, fixed[i], facts & FACT_KEEPS_WRAPPER, &loc);
		if (r < 0)
			return r;
		if (loc == NO_LOCATION)
			continue;
		s->locations[s->n++] = loc;
		facts = t->facts[loc];
		s->unknown |= facts & FACT_UNKNOWN;
	}
	return 0;
}

static void root_mark(struct window_maker *m, struct window_target *t, enum uw_end end,
		      struct stack *s)
{
	if (end == UW_END_TRUNCATED || end == UW_END_NO_MEM)
		s->locations[s->n++] = window_mark(m, t, MARK_TRUNCATED);
	else if (end == UW_END_UNKNOWN || end == UW_END_NO_REGS)
		s->locations[s->n++] = window_mark(m, t, MARK_UNKNOWN);
	if (s->n > 0)
		return;
	/* Only wrappers, which aren't shown: the time must be shown all the same. */
	s->locations[s->n++] = window_mark(m, t, MARK_UNKNOWN);
	s->unknown = true;
}

int window_add_stack(void *maker, const uint64_t *words, size_t n, uint64_t count, uint64_t weight)
{
	struct window_maker *m = maker;
	struct prowl_stackkey key;
	const struct prowl_window_image *im = window_read_key(m, words, n, WHOLE, &key);
	struct pprof_label labels[5 + UW_LABELS_MAX];
	struct window_target *t;
	struct stack s;
	int nl;

	if (!im)
		return 0;
	s.n = 0;
	s.unknown = false;
	t = window_target_of_image(m, key.image);
	m->error = kernel_part(m, t, &key, &s);
	if (m->error == 0)
		m->error = user_part(m, t, im, &key, &s);
	if (m->error < 0)
		return 1;
	root_mark(m, t, (enum uw_end)key.end, &s);
	if (s.unknown)
		m->made.unknown_frames += count;
	nl = window_process_labels(m, t, im->process, labels);
	if (m->w->threads)
		nl += thread_labels(m, t->p, key.thread, labels + nl);
	nl += go_labels(m, t->p, key.labels, labels + nl);
	if (m->error == 0)
		m->error = add_counted(
			m, t->p, words, n,
			&(struct counted){.locations = s.locations,
					  .nlocations = (size_t)s.n,
					  .labels = labels,
					  .nlabels = (size_t)nl,
					  .count = count,
					  .weight = (double)weight *
						    m->w->processes[im->process].scale});
	return m->error < 0;
}

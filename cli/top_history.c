/* SPDX-License-Identifier: Apache-2.0 */
#include "top_history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOWS = 64, PARTS = 64 };

struct window {
	struct pprof_functions *functions;
	struct top_counts counts;
};

struct top_history {
	uint64_t recent_ns;
	bool keep_profile;
	size_t nwindows;
	struct window windows[WINDOWS]; /* oldest first */
	struct window all;
	/* Profiles, oldest first: parts of about the same size are merged, so that each stack is
	 * merged a few times only. */
	size_t nparts;
	struct pprof_profile *parts[PARTS];
	bool cut;
};

int top_history_new(uint64_t recent_ns, bool keep_profile, struct top_history **ret)
{
	struct top_history *h = calloc(1, sizeof *h);

	if (!h)
		return -ENOMEM;
	h->recent_ns = recent_ns;
	h->keep_profile = keep_profile;
	if (pprof_functions_new(NULL, NULL, &h->all.functions) < 0) {
		free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

void top_history_free(struct top_history *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->nwindows; i++)
		pprof_functions_free(h->windows[i].functions);
	for (size_t i = 0; i < h->nparts; i++)
		pprof_profile_free(h->parts[i]);
	pprof_functions_free(h->all.functions);
	free(h);
}

static void add_counts(struct top_counts *to, const struct top_counts *c)
{
	to->span_ns += c->span_ns;
	to->cpu_ns += c->cpu_ns;
	to->samples += c->samples;
	to->lost += c->lost;
	to->truncated += c->truncated;
	to->unknown += c->unknown;
}

/* --- windows --------------------------------------------------------------------- */

/* The first of the recent windows, to within half a window. */
static size_t first_recent(const struct top_history *h)
{
	size_t i = h->nwindows;
	uint64_t span = 0;

	while (i > 0 &&
	       (i == h->nwindows || span + h->windows[i - 1].counts.span_ns / 2 <= h->recent_ns)) {
		i--;
		span += h->windows[i].counts.span_ns;
	}
	return i;
}

static void forget_windows(struct top_history *h)
{
	size_t first = first_recent(h);

	if (first == 0 && h->nwindows == WINDOWS)
		first = 1;
	for (size_t i = 0; i < first; i++)
		pprof_functions_free(h->windows[i].functions);
	h->nwindows -= first;
	memmove(h->windows, h->windows + first, h->nwindows * sizeof *h->windows);
}

static int add_window(struct top_history *h, const struct pprof_profile *p,
		      const struct top_counts *counts)
{
	struct window w = {.counts = *counts};
	int r = pprof_functions_new(p, "cpu", &w.functions);

	if (r < 0)
		return r;
	forget_windows(h);
	h->windows[h->nwindows++] = w;
	add_counts(&h->all.counts, counts);
	return pprof_functions_add(h->all.functions, w.functions);
}

/* --- the profile of all ----------------------------------------------------------- */

static void forget_part(struct top_history *h)
{
	pprof_profile_free(h->parts[0]);
	h->nparts--;
	memmove(h->parts, h->parts + 1, h->nparts * sizeof *h->parts);
	h->cut = true;
}

static size_t stacks(const struct top_history *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->nparts; i++)
		n += h->parts[i]->nsamples;
	return n;
}

static int merge_last_two(struct top_history *h)
{
	struct pprof_profile **two = &h->parts[h->nparts - 2], *one;
	int r = pprof_merge((const struct pprof_profile *const *)two, 2, &one, NULL);

	if (r < 0)
		return r;
	pprof_profile_free(two[0]);
	pprof_profile_free(two[1]);
	two[0] = one;
	h->nparts--;
	return 0;
}

static bool mergeable(const struct top_history *h)
{
	size_t last, before;

	if (h->nparts < 2)
		return false;
	last = h->parts[h->nparts - 1]->nsamples;
	before = h->parts[h->nparts - 2]->nsamples;
	return 2 * last >= before && last + before <= TOP_HISTORY_PART;
}

static int add_part(struct top_history *h, struct pprof_profile *p)
{
	int r = 0;

	if (h->nparts == PARTS)
		forget_part(h);
	h->parts[h->nparts++] = p;
	while (r == 0 && mergeable(h))
		r = merge_last_two(h);
	while (h->nparts > 1 && stacks(h) > TOP_HISTORY_STACKS)
		forget_part(h);
	return r;
}

int top_history_add(struct top_history *h, struct pprof_profile *window,
		    const struct top_counts *counts)
{
	int r = add_window(h, window, counts), w = 0;

	if (h->keep_profile)
		w = add_part(h, window);
	else
		pprof_profile_free(window);
	return r < 0 ? r : w;
}

/* --- what is asked for ------------------------------------------------------------ */

static int sum(const struct window *w, size_t n, struct pprof_functions **ret,
	       struct top_counts *counts)
{
	struct pprof_functions *f;
	int r = pprof_functions_new(NULL, NULL, &f);

	*counts = (struct top_counts){0};
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = pprof_functions_add(f, w[i].functions);
		add_counts(counts, &w[i].counts);
	}
	if (r < 0)
		pprof_functions_free(f);
	else
		*ret = f;
	return r;
}

int top_history_recent(const struct top_history *h, struct pprof_functions **ret,
		       struct top_counts *counts)
{
	size_t first = first_recent(h);

	return sum(h->windows + first, h->nwindows - first, ret, counts);
}

int top_history_all(const struct top_history *h, struct pprof_functions **ret,
		    struct top_counts *counts)
{
	return sum(&h->all, 1, ret, counts);
}

int top_history_profile(const struct top_history *h, struct pprof_profile **ret)
{
	if (h->nparts == 0)
		return -ENODATA;
	return pprof_merge((const struct pprof_profile *const *)h->parts, h->nparts, ret, NULL);
}

bool top_history_cut(const struct top_history *h)
{
	return h->cut;
}

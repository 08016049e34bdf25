/* SPDX-License-Identifier: Apache-2.0 */
#include "tracks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "graph.h"
#include "table.h"
#include "units.h"

/* --- labels ---------------------------------------------------------------------- */

enum role { OTHER, PID, COMM, TID, NAME, TIME };

/* The meaning of a key. Datadog's libraries write the keys of threads with blanks. */
static enum role role_of(const char *key)
{
	static const struct {
		const char *key;
		enum role role;
	} keys[] = {
		{PPROF_LABEL_PID, PID},          {PPROF_LABEL_COMM, COMM},
		{PPROF_LABEL_THREAD_ID, TID},    {"thread id", TID},
		{PPROF_LABEL_THREAD_NAME, NAME}, {"thread name", NAME},
		{PPROF_LABEL_TIME, TIME},
	};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strcmp(keys[i].key, key) == 0)
			return keys[i].role;
	return OTHER;
}

static struct track_id read_labels(const struct pprof_profile *p, size_t sample,
				   const uint8_t *roles, int64_t *ret_time)
{
	const struct pprof_label *l = pprof_sample_labels(p, sample);
	struct track_id id = {0};

	*ret_time = TRACKS_NO_TIME;
	for (size_t i = 0; i < p->samples[sample].nlabels; i++) {
		switch ((enum role)roles[l[i].key]) {
		case PID:
			id.pid = l[i].num;
			id.pid_text = l[i].str;
			break;
		case COMM:
			id.comm = l[i].str;
			break;
		case TID:
			id.tid = l[i].num;
			id.tid_text = l[i].str;
			break;
		case NAME:
			id.name = l[i].str;
			break;
		case TIME:
			*ret_time = l[i].str ? TRACKS_NO_TIME : l[i].num;
			break;
		case OTHER:
			break;
		}
	}
	return id;
}

/* --- tracks ---------------------------------------------------------------------- */

struct track_key {
	const struct tracks *l;
	uint64_t words[5]; /* identity of a track: numbers, and names only where there are none */
};

static void key_of(const struct track_id *id, uint64_t words[5])
{
	bool process = id->pid || id->pid_text, thread = id->tid || id->tid_text;

	words[0] = (uint64_t)id->pid;
	words[1] = (uint64_t)id->tid;
	words[2] = (uint64_t)id->pid_text << 32 | id->tid_text;
	words[3] = process ? 0 : id->comm;
	words[4] = thread ? 0 : id->name;
}

static bool same_track(const void *ctx, uint32_t index)
{
	const struct track_key *k = ctx;
	uint64_t words[5];

	key_of(&k->l->track[index].id, words);
	return memcmp(words, k->words, sizeof words) == 0;
}

static int find_track(struct tracks *l, struct table *t, const struct track_id *id, uint32_t *ret)
{
	struct track_key key = {.l = l};
	uint32_t hash;
	int r;

	key_of(id, key.words);
	hash = (uint32_t)XXH3_64bits(key.words, sizeof key.words);
	*ret = pp_table_find(t, hash, same_track, &key);
	if (*ret != PPROF_NONE)
		return 0;
	r = pp_array_reserve(&l->track, &l->cap, l->n + 1, sizeof *l->track);
	if (r == 0)
		r = pp_table_reserve(t);
	if (r < 0)
		return r;
	*ret = (uint32_t)l->n;
	l->track[l->n++] = (struct track){.id = *id};
	pp_table_put(t, hash, *ret);
	return 0;
}

static int find_all(struct tracks *l, const uint8_t *roles, size_t type)
{
	const struct pprof_profile *p = l->f->p;
	struct table t = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->nsamples; i++) {
		struct track_item *it = &l->items[i];
		struct track_id id = read_labels(p, i, roles, &it->time);
		struct track *track;

		it->sample = (uint32_t)i;
		r = find_track(l, &t, &id, &it->track);
		if (r < 0)
			break;
		track = &l->track[it->track];
		track->n++;
		track->weight += magnitude(pprof_sample_values(p, i)[type]);
		/* A renamed thread has the name that sorts first. */
		if (id.name && (!track->id.name ||
				strcmp(p->strings[id.name], p->strings[track->id.name]) < 0))
			track->id.name = id.name;
		if (id.comm && !track->id.comm)
			track->id.comm = id.comm;
	}
	pp_table_fini(&t);
	return r;
}

/* --- order ----------------------------------------------------------------------- */

#define ORDER(a, b)                                \
	do {                                       \
		if ((a) != (b))                    \
			return (a) < (b) ? -1 : 1; \
	} while (0)

static int track_order(const void *va, const void *vb, void *ctx)
{
	const struct tracks *l = ctx;
	const struct track *a = &l->track[*(const uint32_t *)va],
			   *b = &l->track[*(const uint32_t *)vb];
	const char **s = l->f->p->strings;
	int r;

	ORDER(b->weight, a->weight);
	ORDER(a->id.pid, b->id.pid);
	ORDER(a->id.tid, b->id.tid);
	r = strcmp(s[a->id.pid_text], s[b->id.pid_text]);
	if (r == 0)
		r = strcmp(s[a->id.tid_text], s[b->id.tid_text]);
	if (r == 0)
		r = strcmp(s[a->id.comm], s[b->id.comm]);
	return r ? r : strcmp(s[a->id.name], s[b->id.name]);
}

static int item_order(const void *va, const void *vb, void *ctx)
{
	const struct track_item *a = va, *b = vb;
	const struct tracks *l = ctx;
	int r;

	ORDER(a->track, b->track);
	ORDER(a->time, b->time);
	r = pp_frames_compare(l->f, a->sample, b->sample);
	if (r)
		return r;
	for (size_t i = 0; i < l->f->p->nsample_types; i++)
		ORDER(pprof_sample_values(l->f->p, a->sample)[i],
		      pprof_sample_values(l->f->p, b->sample)[i]);
	return 0;
}

/* Gives tracks their final numbers. */
static int sort_tracks(struct tracks *l)
{
	uint32_t *order = malloc((l->n + 1) * sizeof *order);
	uint32_t *rank = malloc((l->n + 1) * sizeof *rank);
	struct track *sorted = malloc((l->n + 1) * sizeof *sorted);
	bool ok = order && rank && sorted;
	size_t at = 0;

	for (size_t i = 0; ok && i < l->n; i++)
		order[i] = (uint32_t)i;
	if (ok)
		qsort_r(order, l->n, sizeof *order, track_order, l);
	for (size_t i = 0; ok && i < l->n; i++) {
		rank[order[i]] = (uint32_t)i;
		sorted[i] = l->track[order[i]];
		sorted[i].first = at;
		at += sorted[i].n;
	}
	for (size_t i = 0; ok && i < l->f->p->nsamples; i++)
		l->items[i].track = rank[l->items[i].track];
	free(order);
	free(rank);
	if (!ok) {
		free(sorted);
		return -ENOMEM;
	}
	free(l->track);
	l->track = sorted;
	return 0;
}

static void sort_items(struct tracks *l)
{
	size_t n = l->f->p->nsamples;

	qsort_r(l->items, n, sizeof *l->items, item_order, l);
	for (size_t i = 0; i < n; i++) {
		struct track_item *it = &l->items[i];

		it->repeats = i > 0 && it->track == it[-1].track && it->time == TRACKS_NO_TIME &&
			      it[-1].time == TRACKS_NO_TIME &&
			      pp_frames_compare(l->f, it->sample, it[-1].sample) == 0;
	}
}

int pp_tracks_init(struct tracks *l, const struct frames *f, size_t type)
{
	const struct pprof_profile *p = f->p;
	uint8_t *roles = malloc(p->nstrings + 1);
	int r = -ENOMEM;

	*l = (struct tracks){.f = f};
	l->items = calloc(p->nsamples + 1, sizeof *l->items);
	if (roles && l->items) {
		for (size_t i = 0; i < p->nstrings; i++)
			roles[i] = (uint8_t)role_of(p->strings[i]);
		r = find_all(l, roles, type);
	}
	free(roles);
	if (r == 0)
		r = sort_tracks(l);
	if (r < 0)
		pp_tracks_fini(l);
	else
		sort_items(l);
	return r;
}

void pp_tracks_fini(struct tracks *l)
{
	free(l->track);
	free(l->items);
	*l = (struct tracks){0};
}

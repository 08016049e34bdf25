/* SPDX-License-Identifier: Apache-2.0 */
#include "labels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gosym.h"
#include "idmap.h"
#include "moment.h"

enum { THREADS = 1024 }; /* whose m is remembered; direct mapped */

_Static_assert((int)PROWL_LABEL_BYTES == (int)UW_LABEL_BYTES &&
		       (int)PROWL_LABELS_MAX == (int)UW_LABELS_MAX,
	       "label.h");

struct set {
	size_t n, len;
	bool cut;
	char text[]; /* key, NUL, value, NUL, key ... */
};

struct prowl_labels {
	struct prowl_labels_counts counts;
	struct prowl_idmap by_hash; /* of the text → index in sets */
	struct set *sets[PROWL_LABELS_MAX_SETS];
	size_t nsets;
	struct {
		pid_t tid;
		uint64_t m;
	} threads[THREADS];
	struct uw_golabels read;
};

int prowl_labels_new(struct prowl_labels **ret)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : -ENOMEM;
}

void prowl_labels_free(struct prowl_labels *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->nsets; i++)
		free(l->sets[i]);
	prowl_idmap_fini(&l->by_hash);
	free(l);
}

const struct prowl_labels_counts *prowl_labels_counts(const struct prowl_labels *l)
{
	return &l->counts;
}

/* FNV-1a; 0 is no key of the map. */
static uint64_t hash(const char *text, size_t len)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)text[i]) * 0x100000001b3;
	return h ? h : 1;
}

uint32_t prowl_labels_intern(struct prowl_labels *l, const struct uw_golabels *labels)
{
	char text[sizeof labels->text];
	size_t len = 0;
	struct set *s;
	uint64_t h;
	uint32_t i;

	for (size_t k = 0; k < labels->n; k++) {
		memcpy(text + len, labels->label[k].key, labels->label[k].key_len + 1u);
		len += labels->label[k].key_len + 1u;
		memcpy(text + len, labels->label[k].value, labels->label[k].value_len + 1u);
		len += labels->label[k].value_len + 1u;
	}
	for (h = hash(text, len); prowl_idmap_get(&l->by_hash, h, &i); h = h + 1 ? h + 1 : 1) {
		if (l->sets[i]->len == len && !memcmp(l->sets[i]->text, text, len))
			return i + 1;
	}
	if (l->nsets == PROWL_LABELS_MAX_SETS)
		return 0;
	s = malloc(sizeof *s + len);
	if (!s || prowl_idmap_put(&l->by_hash, h, (uint32_t)l->nsets) < 0) {
		free(s);
		return 0;
	}
	s->n = labels->n;
	s->len = len;
	s->cut = labels->cut || labels->left_out;
	memcpy(s->text, text, len);
	l->sets[l->nsets++] = s;
	return (uint32_t)l->nsets;
}

/* As they were when the sample was taken; negative where that isn't known. */
static int of_moment(struct prowl_labels *l, const struct uw_golayout *layout,
		     const struct prowl_event *ev, uint64_t *m)
{
	struct prowl_moment_reader r = {ev->sample.moment};
	struct uw_mem mem = prowl_moment_mem(&r);
	uint64_t g, known;

	if (!r.moment)
		return -ENOENT;
	known = prowl_moment_m(r.moment, layout, ev->sample.regs.sp, ev->tid, &g);
	if (known)
		*m = known;
	return uw_golabels_read(layout, &mem, &ev->sample.regs, m, &l->read);
}

uint32_t prowl_labels_of(struct prowl_labels *l, struct uw_space *space,
			 const struct prowl_event *ev, uint64_t now)
{
	const struct uw_go *go = uw_space_go(space);
	const struct uw_go_module *mod = NULL;
	size_t slot = (size_t)ev->tid % THREADS;
	uint32_t set = 0;
	uint64_t m;
	int n;

	if (!go) {
		l->counts.none++;
		return 0;
	}
	if (!ev->sample.has_regs) {
		l->counts.unknown++;
		return 0;
	}
	/* Of several runtimes the one that the thread is in; in C code it can't be identified. */
	for (size_t i = 0; space->nmods > 1 && !mod && i < ev->sample.nuser; i++)
		mod = uw_space_go_at(space, ev->sample.user[i]);
	if (mod && space->mods)
		go = space->mods[mod->runtime].go;
	m = l->threads[slot].tid == ev->tid ? l->threads[slot].m : 0;
	n = of_moment(l, uw_go_layout(go), ev, &m);
	if (n < 0 && now > ev->time && now - ev->time > PROWL_LABELS_MAX_AGE_NS) {
		l->counts.too_old++;
		return 0;
	}
	if (n < 0)
		n = uw_golabels_read(uw_go_layout(go), &space->live, &ev->sample.regs, &m,
				     &l->read);
	else
		l->counts.exact++;
	if (m) {
		l->threads[slot].tid = ev->tid;
		l->threads[slot].m = m;
	}
	if (n == 0) {
		l->counts.none++;
		return 0;
	}
	if (n > 0)
		set = prowl_labels_intern(l, &l->read);
	if (set)
		l->counts.labelled++;
	else
		l->counts.unknown++;
	l->counts.cut += prowl_labels_cut(l, set);
	return set;
}

bool prowl_labels_cut(const struct prowl_labels *l, uint32_t set)
{
	return set && set <= l->nsets && l->sets[set - 1]->cut;
}

size_t prowl_labels_get(const struct prowl_labels *l, uint32_t set, struct prowl_label *ret,
			size_t max)
{
	const struct set *s;
	const char *text;
	size_t k = 0;

	if (set == 0 || set > l->nsets)
		return 0;
	s = l->sets[set - 1];
	text = s->text;
	for (; k < s->n && k < max; k++) {
		ret[k].key = text;
		text += strlen(text) + 1;
		ret[k].value = text;
		text += strlen(text) + 1;
	}
	return k;
}

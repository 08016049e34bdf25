/* SPDX-License-Identifier: Apache-2.0 */
#include "push_work_parts.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "pprof.h"

enum { /* of Pyroscope, which are the narrowest */
       MOST_SAMPLES = 16000,
       MOST_DEPTH = 1000,
       MOST_LABELS = 100,
       /* a profile of one window is far below */
       MOST_PROFILE = 32 << 20,
};

/* --- copying, sample by sample ---------------------------------------------------- */

struct copying {
	const struct pprof_profile *from;
	const struct push_meta *meta;
	struct pprof_profile *to;
	struct pprof_copier *copier;
	uint32_t *stack;            /* MOST_DEPTH of them */
	struct pprof_label *labels; /* MOST_LABELS of them */
	uint32_t truncated;         /* location, or PPROF_NONE */
};

/* Letters, digits and '_': names of types become parts of names of series. */
static int copy_type(struct pprof_profile *to, const char *type, const char *unit,
		     int (*add)(struct pprof_profile *p, const char *type, const char *unit))
{
	char *name = strdup(type), *plain_unit = strdup(unit);
	int r = -ENOMEM;

	if (name && plain_unit) {
		push_label_name(name);
		push_label_name(plain_unit);
		r = add(to, name, plain_unit);
	}
	free(name);
	free(plain_unit);
	return r;
}

static int add_period(struct pprof_profile *p, const char *type, const char *unit)
{
	return pprof_period(p, type, unit, 0);
}

/* The main program is the first mapping, whether or not a sample of it is kept. */
static int copy_mappings(struct copying *c)
{
	const struct pprof_profile *from = c->from;
	int r = 0;

	for (size_t i = 0; i < from->nmappings && r == 0; i++) {
		struct pprof_mapping m = from->mappings[i];
		uint32_t at;

		r = pprof_string(c->to, from->strings[m.filename], &m.filename);
		if (r == 0)
			r = pprof_string(c->to, from->strings[m.build_id], &m.build_id);
		if (r == 0)
			r = pprof_mapping(c->to, &m, &at);
	}
	return r;
}

static int copy_header(struct copying *c)
{
	const struct pprof_profile *p = c->from;
	const struct {
		uint32_t from, *to;
	} texts[] = {{p->drop_frames, &c->to->drop_frames},
		     {p->keep_frames, &c->to->keep_frames},
		     {p->doc_url, &c->to->doc_url}};
	int r = 0;

	for (size_t i = 0; i < p->nsample_types && r == 0; i++) {
		r = copy_type(c->to, p->strings[p->sample_types[i].type],
			      p->strings[p->sample_types[i].unit], pprof_sample_type);
		if (r == 0 && p->default_sample_type == p->sample_types[i].type)
			c->to->default_sample_type = c->to->sample_types[i].type;
	}
	if (r == 0)
		r = copy_type(c->to, p->strings[p->period_type.type],
			      p->strings[p->period_type.unit], add_period);
	for (size_t i = 0; i < p->ncomments && r == 0; i++)
		r = pprof_comment(c->to, p->strings[p->comments[i]]);
	for (size_t i = 0; i < sizeof texts / sizeof *texts && r == 0; i++)
		r = pprof_string(c->to, p->strings[texts[i].from], texts[i].to);
	c->to->period = p->period;
	c->to->time_nanos = p->time_nanos;
	c->to->duration_nanos = p->duration_nanos;
	return r == 0 ? copy_mappings(c) : r;
}

static int truncated(struct copying *c, uint32_t *ret)
{
	struct pprof_function f = {0};
	struct pprof_line line = {0};
	int r = 0;

	if (c->truncated == PPROF_NONE) {
		r = pprof_string(c->to, "[truncated]", &f.name);
		f.system_name = f.name;
		if (r == 0)
			r = pprof_function(c->to, &f, &line.function);
		if (r == 0)
			r = pprof_location(c->to, PPROF_NONE, 0, &line, 1, &c->truncated);
	}
	*ret = c->truncated;
	return r;
}

/* Of a stack that is too deep the innermost frames: servers would drop those. */
static int copy_stack(struct copying *c, size_t sample, const uint32_t **stack, size_t *n)
{
	int r = pprof_copier_stack(c->copier, sample, stack);

	*n = c->from->samples[sample].nlocations;
	if (r < 0 || *n <= MOST_DEPTH)
		return r;
	memcpy(c->stack, *stack, MOST_DEPTH * sizeof *c->stack);
	*stack = c->stack;
	*n = MOST_DEPTH;
	return truncated(c, &c->stack[MOST_DEPTH - 1]);
}

static bool is_picked_by(const struct push_meta *meta, const char *key)
{
	for (size_t i = 0; i < meta->npick; i++) {
		if (strcmp(meta->pick[i].name, key) == 0)
			return true;
	}
	return false;
}

static int copy_labels(struct copying *c, size_t sample, const struct pprof_label **ret, size_t *n)
{
	const struct pprof_label *all;
	int r = pprof_copier_labels(c->copier, sample, &all);

	*ret = c->labels;
	*n = 0;
	for (size_t i = 0; r == 0 && i < c->from->samples[sample].nlabels; i++) {
		if (*n < MOST_LABELS && !is_picked_by(c->meta, c->to->strings[all[i].key]))
			c->labels[(*n)++] = all[i];
	}
	return r;
}

static int copy_sample(struct copying *c, size_t sample)
{
	const struct pprof_label *labels = NULL;
	const uint32_t *stack = NULL;
	size_t depth, nlabels;
	int r = copy_stack(c, sample, &stack, &depth);

	if (r == 0)
		r = copy_labels(c, sample, &labels, &nlabels);
	if (r == 0)
		r = pprof_sample_add(c->to, stack, depth, pprof_sample_values(c->from, sample),
				     labels, nlabels);
	return r;
}

static bool has_label(const struct pprof_profile *p, size_t sample,
		      const struct prowl_push_pair *wanted)
{
	const struct pprof_label *l = pprof_sample_labels(p, sample);
	char number[24];

	for (uint32_t i = 0; i < p->samples[sample].nlabels; i++) {
		if (strcmp(p->strings[l[i].key], wanted->name) != 0)
			continue;
		snprintf(number, sizeof number, "%lld", (long long)l[i].num);
		if (strcmp(l[i].str ? p->strings[l[i].str] : number, wanted->value) == 0)
			return true;
	}
	return false;
}

static bool is_picked(const struct copying *c, size_t sample)
{
	for (size_t i = 0; i < c->meta->npick; i++) {
		if (!has_label(c->from, sample, &c->meta->pick[i]))
			return false;
	}
	return true;
}

/* The samples from `first` on, n of them, that are picked. */
static int copy(const struct pprof_profile *from, const struct push_meta *meta, uint64_t first,
		uint64_t n, struct pprof_profile **ret)
{
	struct copying c = {.from = from, .meta = meta, .truncated = PPROF_NONE};
	int r = pprof_profile_new(&c.to);

	c.stack = calloc(MOST_DEPTH, sizeof *c.stack);
	c.labels = calloc(MOST_LABELS, sizeof *c.labels);
	if (r == 0 && (!c.stack || !c.labels))
		r = -ENOMEM;
	if (r == 0)
		r = copy_header(&c);
	if (r == 0)
		r = pprof_copier_new(from, c.to, &c.copier);
	for (uint64_t i = first; i < first + n && r == 0; i++) {
		if (is_picked(&c, i))
			r = copy_sample(&c, i);
	}
	pprof_copier_free(c.copier);
	free(c.stack);
	free(c.labels);
	if (r == 0)
		*ret = c.to;
	else
		pprof_profile_free(c.to);
	return r;
}

/* --- fitness ---------------------------------------------------------------------- */

static bool is_plain(const char *name)
{
	if (isdigit((unsigned char)*name))
		return false;
	while (isalnum((unsigned char)*name) || *name == '_')
		name++;
	return *name == '\0';
}

static bool are_types_plain(const struct pprof_profile *p)
{
	for (size_t i = 0; i < p->nsample_types; i++) {
		if (!is_plain(p->strings[p->sample_types[i].type]) ||
		    !is_plain(p->strings[p->sample_types[i].unit]))
			return false;
	}
	return is_plain(p->strings[p->period_type.type]) &&
	       is_plain(p->strings[p->period_type.unit]);
}

static bool are_samples_fit(const struct pprof_profile *p)
{
	for (size_t i = 0; i < p->nsamples; i++) {
		if (p->samples[i].nlocations > MOST_DEPTH || p->samples[i].nlabels > MOST_LABELS)
			return false;
	}
	return true;
}

/*
 * A level is a state of one moment, and has no duration: servers that see one take the values for
 * what happened meanwhile. The times are those of the window, also where the file is of more.
 */
static void set_times(struct pprof_profile *p, const struct push_meta *meta)
{
	uint64_t ns = meta->end_ns > meta->start_ns ? meta->end_ns - meta->start_ns : 0;

	p->time_nanos = (int64_t)(meta->level ? meta->end_ns : meta->start_ns);
	p->duration_nanos = meta->level ? 0 : (int64_t)ns;
}

/* Its last four bytes are the size of what it was made from. */
static uint64_t unpacked_size(const uint8_t *gz, size_t len)
{
	const uint8_t *end = gz + len;

	return len < 18 ? len
			: end[-4] | (uint64_t)end[-3] << 8 | (uint64_t)end[-2] << 16 |
				  (uint64_t)end[-1] << 24;
}

/*
 * How many samples a part has, as far as the size of the file tells: the same for each attempt, so
 * that parts, and their ids, are the same as well.
 */
static uint64_t usual(uint64_t nsamples, uint64_t file_bytes, uint64_t most_bytes)
{
	uint64_t n = MOST_SAMPLES;

	if (file_bytes > most_bytes)
		n = (uint64_t)((double)nsamples * (double)most_bytes / (double)file_bytes * 0.9);
	return n == 0 ? 1 : n < MOST_SAMPLES ? n : MOST_SAMPLES;
}

static int make_fit(struct pprof_profile **p, const struct push_meta *meta)
{
	struct pprof_profile *fit;
	int r;

	if (meta->npick == 0 && are_types_plain(*p) && are_samples_fit(*p))
		return 0;
	r = copy(*p, meta, 0, (*p)->nsamples, &fit);
	if (r < 0)
		return r;
	pprof_profile_free(*p);
	*p = fit;
	return 0;
}

/* --- an item ---------------------------------------------------------------------- */

int push_work_open(struct push_work *w, const struct prowl_push_sink *config, const uint64_t key[2],
		   struct push_meta *meta, const void *bytes, size_t len)
{
	struct pprof_diag diag;
	int r;

	*w = (struct push_work){.config = config,
				.key = {key[0], key[1]},
				.meta = *meta,
				.most_bytes = config->max_profile_bytes,
				.first = meta->done};
	*meta = (struct push_meta){0};
	r = pprof_decode(bytes, len, MOST_PROFILE, &w->profile, &diag);
	if (r == 0)
		w->usual = usual(w->profile->nsamples, unpacked_size(bytes, len), w->most_bytes);
	if (r == 0)
		r = make_fit(&w->profile, &w->meta);
	if (r == 0 && w->profile->nsamples == 0)
		r = -EBADMSG;
	if (r < 0) {
		push_work_close(w);
		return r;
	}
	set_times(w->profile, &w->meta);
	return 0;
}

void push_work_close(struct push_work *w)
{
	push_request_fini(&w->request);
	push_meta_fini(&w->meta);
	pprof_profile_free(w->profile);
	*w = (struct push_work){0};
}

bool push_work_is_open(const struct push_work *w)
{
	return w->profile;
}

bool push_work_is_done(const struct push_work *w)
{
	return w->first >= w->profile->nsamples;
}

void push_work_advance(struct push_work *w)
{
	w->first += w->n;
	w->n = 0;
	push_request_fini(&w->request);
}

bool push_work_halve(struct push_work *w)
{
	if (w->halved || w->n < 2)
		return false;
	w->halved = true;
	w->usual = w->n / 2;
	push_request_fini(&w->request);
	return true;
}

/* The request for n samples. */
static int make_request(struct push_work *w, const struct push_protocol *protocol, uint64_t n)
{
	bool whole = w->first == 0 && n == w->profile->nsamples;
	static const struct push_meta all = {0}; /* picks nothing out */
	struct push_part part = {.meta = &w->meta, .config = w->config, .profile = w->profile};
	struct pprof_profile *piece = NULL;
	int r = whole ? 0 : copy(w->profile, &all, w->first, n, &piece);

	push_request_fini(&w->request);
	if (r < 0)
		return r;
	if (piece)
		part.profile = piece;
	push_part_id(w->key, w->first, n, part.id, part.id_text);
	r = protocol->request(&part, &w->request);
	pprof_profile_free(piece);
	if (r < 0)
		push_request_fini(&w->request);
	return r;
}

int push_work_next(struct push_work *w, const struct push_protocol *protocol)
{
	uint64_t left = w->profile->nsamples - w->first;
	uint64_t n = left < w->usual ? left : w->usual;
	int r;

	for (;;) {
		uint64_t bytes, fewer;

		r = make_request(w, protocol, n);
		bytes = w->request.profile_bytes;
		if (r < 0 || bytes <= w->most_bytes)
			break;
		if (n == 1)
			return -EFBIG;
		/* what the samples share makes parts larger than their share */
		fewer = (uint64_t)((double)n * (double)w->most_bytes / (double)bytes * 0.9);
		n = fewer == 0 ? 1 : fewer < n ? fewer : n - 1;
	}
	w->n = n;
	return r;
}

/* --- as a file -------------------------------------------------------------------- */

int push_part_pprof(const struct push_part *part, uint8_t **ret, size_t *ret_len, uint64_t *ret_raw)
{
	int r = pprof_encode(part->profile, PPROF_LEVEL_DEFAULT, ret, ret_len);

	if (r == 0)
		*ret_raw = unpacked_size(*ret, *ret_len);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One profile of many windows: files one after the other, samples of the chosen windows only. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "pprof.h"
#include "store_parts.h"
#include "when.h"

enum { TRIES = 3, STRING = 64 /* bytes of a string, about */ };

struct pick { /* of a file: the windows of a series */
	const struct store_row *row;
	struct prowl_join *join;
	double factor;
	char (*keys)[PROWL_STORE_KEY]; /* sorted */
	size_t n;
};

struct merge {
	const struct prowl_query *q;
	struct store_all all;
	struct store_rows rows;
	struct pick *picks; /* by path */
	size_t npicks;
	struct prowl_join *out;
	struct prowl_join **joins; /* of levels: one for each series; values times factors[] */
	double *factors;
	char **names; /* of series, for their label */
	struct prowl_store_merged *m;
	bool gone; /* a file that the index has is not there */
	bool last_try;
	int64_t oldest, newest;
	int64_t *slots; /* of windows that were used */
	size_t nslots, cap_slots;
};

void prowl_store_merged_free(struct prowl_store_merged *m)
{
	if (!m)
		return;
	pprof_profile_free(m->profile);
	for (size_t i = 0; i < m->nnotes; i++)
		free(m->notes[i]);
	free(m->notes);
	free(m);
}

struct pprof_profile *prowl_store_merged_take(struct prowl_store_merged *m)
{
	struct pprof_profile *p = m->profile;

	m->profile = NULL;
	return p;
}

static void merge_reset(struct merge *g)
{
	for (size_t i = 0; i < g->npicks; i++)
		free(g->picks[i].keys);
	free(g->picks);
	for (size_t i = 0; g->joins && i < g->all.n; i++)
		prowl_join_free(g->joins[i]);
	free(g->joins);
	free(g->factors);
	for (size_t i = 0; g->names && i < g->all.n; i++)
		free(g->names[i]);
	free(g->names);
	free(g->slots);
	prowl_join_free(g->out);
	store_rows_fini(&g->rows);
	store_all_fini(&g->all);
	prowl_store_merged_free(g->m);
	*g = (struct merge){.q = g->q, .last_try = g->last_try};
}

/* --- which windows --------------------------------------------------------------- */

static int key_order(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int add_pick(struct merge *g, size_t row, const bool *kept)
{
	const struct store_row *from = &g->rows.r[row];
	struct pick *p = &g->picks[g->npicks];

	*p = (struct pick){.row = from, .factor = 1};
	p->keys = calloc(from->n + 1, sizeof *p->keys);
	if (!p->keys)
		return -ENOMEM;
	g->npicks++;
	for (size_t i = 0; i < from->n; i++) {
		if (!kept || kept[i])
			store_window_key(p->keys[p->n++], from->w[i].from, from->window_ns,
					 from->w[i].again);
	}
	if (p->n)
		qsort(p->keys, p->n, sizeof *p->keys, key_order);
	return 0;
}

/* The windows of a series' rows, [from, to), as levels. */
static struct store_level *levels_of(const struct merge *g, size_t from, size_t to, size_t *ret_n)
{
	struct store_level *v;
	size_t n = 0;

	for (size_t i = from; i < to; i++)
		n += g->rows.r[i].n;
	v = calloc(n + 1, sizeof *v);
	*ret_n = 0;
	for (size_t i = from; v && i < to; i++) {
		const struct store_row *row = &g->rows.r[i];

		for (size_t k = 0; k < row->n; k++)
			v[(*ret_n)++] = (struct store_level){
				.from = row->w[k].from,
				.who = row->w[k].process,
				.value = (double)row->w[k].values[row->by_default],
				.row = i,
				.window = k,
			};
	}
	return v;
}

static int pick_kept(struct merge *g, size_t row, const struct store_level *v, size_t n)
{
	bool *kept = calloc(g->rows.r[row].n + 1, sizeof *kept);
	bool some = false;
	int r = kept ? 0 : -ENOMEM;

	for (size_t i = 0; kept && i < n; i++) {
		if (v[i].row == row && v[i].kept)
			kept[v[i].window] = some = true;
	}
	if (r == 0 && some)
		r = add_pick(g, row, kept);
	free(kept);
	return r;
}

static int pick_levels(struct merge *g, size_t from, size_t to)
{
	size_t n, series = g->rows.r[from].series;
	struct store_level *v = levels_of(g, from, to, &n);
	int r = v ? 0 : -ENOMEM;

	if (r == 0)
		store_join_levels(v, n, store_turn(v, n, g->rows.r[from].window_ns), g->q->agg,
				  &g->factors[series]);
	for (size_t i = from; r == 0 && i < to; i++)
		r = pick_kept(g, i, v, n);
	free(v);
	return r;
}

static int pick_series(struct merge *g, size_t from, size_t to)
{
	int r = 0;

	g->m->nseries++;
	if (g->rows.r[from].level)
		return pick_levels(g, from, to);
	for (size_t i = from; r == 0 && i < to; i++) {
		if (g->rows.r[i].n)
			r = add_pick(g, i, NULL);
	}
	return r;
}

static int pick_order(const void *va, const void *vb)
{
	const struct pick *a = va, *b = vb;
	int order = strcmp(a->row->path, b->row->path);

	return order ? order : (a->row > b->row) - (a->row < b->row);
}

static int pick_all(struct merge *g)
{
	int r = 0;

	g->picks = calloc(g->rows.n + 1, sizeof *g->picks);
	g->joins = calloc(g->all.n + 1, sizeof *g->joins);
	g->factors = calloc(g->all.n + 1, sizeof *g->factors);
	if (!g->picks || !g->joins || !g->factors)
		return -ENOMEM;
	for (size_t from = 0, to; r == 0 && from < g->rows.n; from = to) {
		for (to = from; to < g->rows.n && g->rows.r[to].series == g->rows.r[from].series;)
			to++;
		r = pick_series(g, from, to);
	}
	if (g->npicks)
		qsort(g->picks, g->npicks, sizeof *g->picks, pick_order);
	return r;
}

/* --- names of series ------------------------------------------------------------- */

static bool is_same_everywhere(const struct merge *g, const char *name)
{
	for (size_t i = 1; i < g->all.n; i++) {
		if (strcmp(prowl_series_get(g->all.k[i].series, name),
			   prowl_series_get(g->all.k[0].series, name)) != 0)
			return false;
	}
	return true;
}

/* "etcd build=1.2": the service, and labels of the identity in which they differ. */
static char *name_of(const struct merge *g, const struct prowl_series *s)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	fputs(prowl_series_get(s, PROWL_SERIES_SERVICE), to);
	for (size_t i = 0; i < s->n; i++) {
		const struct prowl_series_label *l = &s->labels[i];

		if (l->identity && strcmp(l->name, PROWL_SERIES_SERVICE) != 0 &&
		    !is_same_everywhere(g, l->name))
			fprintf(to, " %s=%s", l->name, l->value);
	}
	if (fclose(to) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int name_series(struct merge *g)
{
	if (!(g->q->tags & PROWL_STORE_TAG_SERIES))
		return 0;
	g->names = calloc(g->all.n + 1, sizeof *g->names);
	for (size_t i = 0; g->names && i < g->all.n; i++) {
		g->names[i] = name_of(g, g->all.k[i].series);
		if (!g->names[i])
			return -ENOMEM;
	}
	return g->names ? 0 : -ENOMEM;
}

/* --- samples --------------------------------------------------------------------- */

static bool is_picked(void *ctx, const char *window)
{
	const struct pick *p = ctx;

	return bsearch(window, p->keys, p->n, sizeof *p->keys, key_order) != NULL;
}

static void add_facts(struct prowl_store_facts *to, const struct prowl_store_facts *f)
{
	if (!to->wall_start || f->wall_start < to->wall_start) {
		to->wall_start = f->wall_start;
		to->mono_start = f->mono_start;
		memcpy(to->boot_id, f->boot_id, sizeof to->boot_id);
	}
	if (f->wall_end > to->wall_end) {
		to->wall_end = f->wall_end;
		to->mono_end = f->mono_end;
	}
	to->samples += f->samples;
	to->cpu_ns += f->cpu_ns;
	to->lost += f->lost;
	to->truncated += f->truncated;
	to->unknown += f->unknown;
	to->own_cpu_ns += f->own_cpu_ns;
	to->rate = f->rate > to->rate ? f->rate : to->rate;
	to->flags |= f->flags;
}

static int note_window(struct merge *g, const struct store_window *w, int64_t window_ns)
{
	int r = prowl_array_reserve(&g->slots, &g->cap_slots, g->nslots + 1, sizeof *g->slots);

	if (r < 0)
		return r;
	g->slots[g->nslots++] = store_floor(w->facts.wall_start, window_ns);
	add_facts(&g->m->facts, &w->facts);
	g->m->used++;
	return 0;
}

static const struct store_member *find_member(const struct store_meta *m,
					      const struct prowl_series *series)
{
	for (size_t i = 0; i < m->n; i++) {
		if (prowl_series_same(m->members[i].series, series))
			return &m->members[i];
	}
	return NULL;
}

static bool has_comment(const struct pprof_profile *p, const char *text)
{
	for (size_t i = 0; i < p->ncomments; i++) {
		if (!strcmp(p->strings[p->comments[i]], text))
			return true;
	}
	return false;
}

static int add_comments(struct pprof_profile *p, const struct store_member *b)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->ncomments && p->ncomments < STORE_COMMENTS; i++) {
		if (!has_comment(p, b->comments[i]))
			r = pprof_comment(p, b->comments[i]);
	}
	return r;
}

static int join_of(struct merge *g, struct pick *p)
{
	size_t series = p->row->series;

	if (!p->row->level) {
		p->join = g->out;
		return 0;
	}
	if (!g->joins[series]) {
		int r = prowl_join_new(&g->joins[series]);

		if (r < 0)
			return r;
	}
	p->join = g->joins[series];
	return 0;
}

static int take_pick(struct merge *g, struct pick *p, const struct store_meta *meta,
		     const struct pprof_profile *profile)
{
	const struct prowl_series *series = g->all.k[p->row->series].series;
	const struct store_member *b = find_member(meta, series);
	struct prowl_join_rules rules = {
		.take = is_picked,
		.ctx = p,
		.drop_series = true,
		.drop_window = !(g->q->tags & PROWL_STORE_TAG_WINDOW),
		.add_series = g->names ? g->names[p->row->series] : NULL,
	};
	char id[20];
	int r = b ? join_of(g, p) : -EBADMSG;

	if (r < 0)
		return r;
	snprintf(id, sizeof id, "%016" PRIx64, series->hash);
	rules.only_series = p->row->tier == PROWL_STORE_LIVE ? id : NULL;
	rules.main = b->main[0] ? b->main : NULL;
	r = prowl_join_add(p->join, profile, &rules);
	for (size_t i = 0; r == 0 && i < b->n; i++) {
		if (is_picked(p, b->windows[i].key))
			r = note_window(g, &b->windows[i], meta->window_ns);
	}
	return r < 0 ? r : add_comments(prowl_join_profile(g->out), b);
}

static int note_skipped(struct merge *g, const struct pick *p, size_t n, const char *why)
{
	char **notes = reallocarray(g->m->notes, g->m->nnotes + 1, sizeof *notes);
	int len;

	if (!notes)
		return -ENOMEM;
	g->m->notes = notes;
	for (size_t i = 0; i < n; i++)
		g->m->skipped += p[i].n;
	len = asprintf(&notes[g->m->nnotes], "%s was left out: %s", p->row->path, why);
	return len < 0 ? -ENOMEM : (g->m->nnotes++, 0);
}

/* A file, for all series that are taken from it. */
static int take_file(struct prowl_store *s, struct merge *g, struct pick *p, size_t n)
{
	struct store_meta *meta = NULL;
	struct pprof_profile *profile = NULL;
	char why[96];
	int r = store_read(s->dir, p->row->path, &meta, &profile, why, sizeof why);

	if (r == -ENOENT && !g->last_try) {
		g->gone = true;
		return r;
	}
	for (size_t i = 0; r == 0 && i < n; i++)
		r = take_pick(g, &p[i], meta, profile);
	store_meta_free(meta);
	pprof_profile_free(profile);
	if (r == 0)
		g->m->nfiles++;
	if (r == 0 || r == -ENOMEM)
		return r;
	if (r == -EBADMSG)
		store_suspect(s, p->row->path);
	return note_skipped(g, p, n,
			    r == -ENOENT    ? "it was deleted meanwhile"
			    : r == -EINVAL  ? "its sample types are not those of the others"
			    : r == -EBADMSG ? (*why ? why : "it is damaged")
					    : strerror(-r));
}

static uint64_t bytes_of(struct prowl_join *join)
{
	const struct pprof_profile *p;

	if (!join)
		return 0;
	p = prowl_join_profile(join);
	return p->nsamples * (sizeof *p->samples + p->nsample_types * sizeof *p->values) +
	       p->nstacks * sizeof *p->stacks + p->nlabels * sizeof *p->labels +
	       p->nlocations * sizeof *p->locations + p->nlines * sizeof *p->lines +
	       p->nfunctions * sizeof *p->functions + p->nstrings * STRING;
}

/* Whether what has been joined is within the bounds. */
static int may_go_on(const struct merge *g)
{
	uint64_t bytes = g->rows.bytes + bytes_of(g->out);

	for (size_t i = 0; i < g->all.n; i++)
		bytes += bytes_of(g->joins[i]);
	return store_query_may(g->q, bytes);
}

static int take_all(struct prowl_store *s, struct merge *g)
{
	int r = 0;

	for (size_t i = 0, end; r == 0 && i < g->npicks; i = end) {
		for (end = i + 1;
		     end < g->npicks && !strcmp(g->picks[end].row->path, g->picks[i].row->path);)
			end++;
		r = take_file(s, g, &g->picks[i], end - i);
		if (r == 0)
			r = may_go_on(g);
	}
	return r;
}

/* Levels: the sums of each series, times its factor. */
static int join_levels(struct merge *g)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->all.n; i++) {
		struct prowl_join_rules rules = {.factor = g->factors[i]};
		const struct pprof_profile *p;

		if (!g->joins[i])
			continue;
		p = prowl_join_profile(g->joins[i]);
		if (p->nmappings)
			rules.main = p->strings[p->mappings[0].build_id ? p->mappings[0].build_id
									: p->mappings[0].filename];
		r = prowl_join_add(g->out, p, &rules);
	}
	return r;
}

/* --- the result ------------------------------------------------------------------ */

static int time_order(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void count_missing(struct merge *g)
{
	int64_t window = g->rows.n ? g->rows.r[0].window_ns : 0, from, to;
	size_t distinct = 0;

	if (!window || g->m->level)
		return;
	if (g->nslots)
		qsort(g->slots, g->nslots, sizeof *g->slots, time_order);
	for (size_t i = 0; i < g->nslots; i++)
		distinct += i == 0 || g->slots[i] != g->slots[i - 1];
	from = g->q->from > g->oldest ? g->q->from : g->oldest;
	to = g->q->to && g->q->to < g->newest ? g->q->to : g->newest;
	from = store_floor(from, window);
	to = store_floor(to + window - 1, window);
	if (to > from && (size_t)((to - from) / window) > distinct)
		g->m->missing = (size_t)((to - from) / window) - distinct;
}

struct span {
	int64_t from, to;
};

static int span_order(const void *va, const void *vb)
{
	const struct span *a = va, *b = vb;

	return (a->from > b->from) - (a->from < b->from);
}

/* What is in any window: series run at the same time, and not all of them all the time. */
static int64_t covered(const struct merge *g)
{
	int64_t sum = 0, end = INT64_MIN;
	struct span *all;
	size_t n = 0;

	for (size_t i = 0; i < g->rows.n; i++)
		n += g->rows.r[i].n;
	all = calloc(n + 1, sizeof *all);
	n = 0;
	for (size_t i = 0; all && i < g->rows.n; i++)
		for (size_t k = 0; k < g->rows.r[i].n; k++)
			all[n++] = (struct span){g->rows.r[i].w[k].from, g->rows.r[i].w[k].to};
	if (n)
		qsort(all, n, sizeof *all, span_order);
	for (size_t i = 0; i < n; i++) {
		int64_t from = all[i].from > end ? all[i].from : end;

		sum += all[i].to > from ? all[i].to - from : 0;
		end = all[i].to > end ? all[i].to : end;
	}
	free(all);
	return sum;
}

static int say_windows(struct merge *g, struct pprof_profile *p)
{
	const struct prowl_store_facts *f = &g->m->facts;
	char text[160], from[PROWL_WHEN], to[PROWL_WHEN];
	int r;

	snprintf(text, sizeof text, "windows: %zu from %s to %s; missing: %zu; left out: %zu",
		 g->m->used, prowl_when_text(from, f->wall_start), prowl_when_text(to, f->wall_end),
		 g->m->missing, g->m->skipped);
	r = pprof_comment(p, text);
	if (r < 0 || !(f->lost || f->truncated || f->unknown))
		return r;
	snprintf(text, sizeof text,
		 "samples: %llu; lost: %llu; cut stacks: %llu; with unknown frames: %llu",
		 (unsigned long long)f->samples, (unsigned long long)f->lost,
		 (unsigned long long)f->truncated, (unsigned long long)f->unknown);
	return pprof_comment(p, text);
}

static int finish(struct merge *g)
{
	struct pprof_profile *p = prowl_join_profile(g->out);
	int r = join_levels(g);

	count_missing(g);
	p->time_nanos = g->m->facts.wall_start;
	p->duration_nanos = g->m->level ? 0 : covered(g);
	if (r == 0 && g->m->used)
		r = say_windows(g, p);
	if (r == 0)
		g->m->profile = prowl_join_take(g->out);
	return r;
}

static int find_span(sqlite3 *db, struct merge *g)
{
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(db, "SELECT min(start), max(end) FROM file", &q);

	if (r == 0)
		r = store_index_step(q);
	if (r > 0) {
		g->oldest = sqlite3_column_int64(q, 0);
		g->newest = sqlite3_column_int64(q, 1);
	}
	sqlite3_finalize(q);
	return r < 0 ? r : 0;
}

static int look_up(struct prowl_store *s, sqlite3 *db, void *ctx)
{
	struct merge *g = ctx;
	int r;

	merge_reset(g);
	g->m = calloc(1, sizeof *g->m);
	r = g->m ? prowl_join_new(&g->out) : -ENOMEM;
	if (r == 0)
		r = find_span(db, g);
	if (r == 0)
		r = store_load_series(db, g->q->match, &g->all);
	if (r == 0)
		r = store_find_rows(s, db, g->q, &g->all, &g->rows);
	if (r == 0)
		r = name_series(g);
	if (r == 0 && g->rows.n)
		g->m->level = g->rows.r[0].level;
	return r < 0 ? r : pick_all(g);
}

/* A file that was deleted between looking it up and reading it: the index knows better by now. */
static int merge(struct prowl_store *s, struct merge *g)
{
	int r = -ENOENT;

	for (int tries = 1; r == -ENOENT && tries <= TRIES; tries++) {
		g->last_try = tries == TRIES;
		r = store_read_index(s, look_up, g);
		if (r == 0)
			r = take_all(s, g);
		if (r < 0 && !g->gone)
			break;
	}
	return r < 0 ? r : finish(g);
}

/* --- nothing --------------------------------------------------------------------- */

static void say_what_there_is(struct prowl_store *s, const struct merge *g, struct prowl_err *err)
{
	struct prowl_query all = {.limit = 10};
	struct prowl_store_names *names = NULL;
	char from[PROWL_WHEN], to[PROWL_WHEN], list[400] = "";
	size_t used = 0;

	if (!g->newest) {
		prowl_hint(err, "the store is empty");
		return;
	}
	if (prowl_store_labels(s, &all, PROWL_SERIES_SERVICE, NULL, &names, NULL) == PROWL_OK) {
		for (size_t i = 0; i < names->n && used < sizeof list; i++)
			used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
						 i ? ", " : "", names->names[i]);
		prowl_store_names_free(names);
	}
	prowl_hint(err, "the store has windows from %s to %s; services: %s",
		   prowl_when_text(from, g->oldest), prowl_when_text(to, g->newest), list);
}

static enum prowl_code nothing(struct prowl_store *s, const struct merge *g, struct prowl_err *err)
{
	if (g->m->skipped)
		prowl_fail(err, PROWL_FAILED, "none of %zu windows could be read: %s",
			   g->m->skipped, g->m->notes[0]);
	else if (g->all.n == 0)
		prowl_fail(err, PROWL_NOTHING, "no series matches");
	else
		prowl_fail(err, PROWL_NOTHING, "there is no window of kind %s in that range",
			   store_query_kind(g->q));
	if (err)
		say_what_there_is(s, g, err);
	return g->m->skipped ? PROWL_FAILED : PROWL_NOTHING;
}

enum prowl_code prowl_store_merge(struct prowl_store *s, const struct prowl_query *q,
				  struct prowl_store_merged **ret, struct prowl_err *err)
{
	struct merge g = {.q = q};
	enum prowl_code code = PROWL_OK;
	int r = merge(s, &g);

	if (r < 0)
		code = store_failed(s, r, "can't be read", err);
	else if (g.m->used == 0)
		code = nothing(s, &g, err);
	if (code == PROWL_OK) {
		*ret = g.m;
		g.m = NULL;
	}
	merge_reset(&g);
	return code;
}

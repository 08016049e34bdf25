/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows become live files: one for each kind and window, with all series, so that a minute costs
 * one flush to the disk. What can't be written waits in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"
#include "clock.h"
#include "pprof.h"
#include "store_parts.h"

struct batch { /* a file to be */
	struct store_meta *meta;
	struct prowl_join *join;
	int64_t at; /* begin of the window */
};

struct batches {
	struct batch *b;
	size_t n, cap;
};

static void batches_free(struct batches *all)
{
	for (size_t i = 0; i < all->n; i++) {
		store_meta_free(all->b[i].meta);
		prowl_join_free(all->b[i].join);
	}
	free(all->b);
}

/* --- what is put ----------------------------------------------------------------- */

static const char *wrong_with(const struct prowl_store_part *part)
{
	struct store_meta m;

	if (!part->series || part->series->n == 0)
		return "it has no series";
	if (!part->kind || !store_is_kind(part->kind))
		return "its kind is no name of letters, digits and _";
	if (!part->profile || store_meta_types(&m, part->profile) < 0)
		return "its profile has no, too many, or too long sample types";
	if (part->facts.wall_start <= 0 || part->facts.wall_end < part->facts.wall_start)
		return "its window has no time";
	return NULL;
}

/* JSON takes only UTF-8: the same series with U+FFFD for what is not. */
static int clean_series(const struct prowl_series *from, struct prowl_series **ret)
{
	struct prowl_series_label labels[PROWL_SERIES_LABELS];
	struct pprof_profile *texts;
	uint32_t at[2 * PROWL_SERIES_LABELS];
	int r = pprof_profile_new(&texts);

	for (size_t i = 0; r == 0 && i < from->n; i++) {
		r = pprof_string(texts, from->labels[i].name, &at[2 * i]);
		if (r == 0)
			r = pprof_string(texts, from->labels[i].value, &at[2 * i + 1]);
	}
	for (size_t i = 0; r == 0 && i < from->n; i++)
		labels[i] = (struct prowl_series_label){texts->strings[at[2 * i]],
							texts->strings[at[2 * i + 1]],
							from->labels[i].identity};
	if (r == 0)
		r = prowl_series_new(labels, from->n, ret);
	pprof_profile_free(texts);
	return r;
}

/* Whether a profile's comment holds for more than one window. */
static bool is_lasting(const char *comment)
{
	static const char *const begins[] = {"prowl ",
					     "target: ", "build: ", "machine: ", "warning: "};

	for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
		if (!strncmp(comment, begins[i], strlen(begins[i])))
			return true;
	}
	return false;
}

static int learn_profile(struct store_member *b, const struct pprof_profile *p)
{
	int r = 0;

	if (p->nmappings && !b->main[0]) {
		const struct pprof_mapping *m = &p->mappings[0];

		snprintf(b->main, sizeof b->main, "%s",
			 p->strings[m->build_id ? m->build_id : m->filename]);
	}
	for (size_t i = 0; r == 0 && i < p->ncomments; i++) {
		if (is_lasting(p->strings[p->comments[i]]))
			r = store_member_comment(b, p->strings[p->comments[i]]);
	}
	return r;
}

/* --- windows of the same time ---------------------------------------------------- */

static void raise_again(uint32_t *next, uint32_t again)
{
	if (again >= *next)
		*next = again + 1;
}

/* How many windows of that series, kind and time the index has. */
static int again_of_index(struct prowl_store *s, const struct prowl_series *series,
			  const char *kind, int64_t at, uint32_t *next)
{
	sqlite3_stmt *q = NULL;
	int r = store_index_prepare(
		s->db,
		"SELECT p.windows, f.ntypes FROM part p, series s, file f"
		" WHERE s.hash=?1 AND p.series=s.id AND p.kind=?2 AND p.start>?3 AND p.start<?4"
		" AND f.id=p.file",
		&q);

	if (r < 0)
		return r;
	sqlite3_bind_int64(q, 1, (int64_t)series->hash);
	sqlite3_bind_text(q, 2, kind, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 3, at - (int64_t)s->o.hour_ns);
	sqlite3_bind_int64(q, 4, at + (int64_t)s->o.window_ns);
	while ((r = store_index_step(q)) > 0) {
		struct store_blob_window *w = NULL;
		size_t n = 0;

		if (store_blob_decode(sqlite3_column_blob(q, 0), (size_t)sqlite3_column_bytes(q, 0),
				      (size_t)sqlite3_column_int(q, 1), &w, &n) == 0) {
			for (size_t i = 0; i < n; i++)
				if (store_floor(w[i].from, (int64_t)s->o.window_ns) == at)
					raise_again(next, w[i].again);
		}
		free(w);
	}
	sqlite3_finalize(q);
	return r;
}

static void again_of_meta(const struct store_meta *m, const struct prowl_series *series,
			  const char *kind, int64_t at, uint32_t *next)
{
	for (size_t i = 0; !strcmp(m->kind, kind) && i < m->n; i++) {
		const struct store_member *b = &m->members[i];

		for (size_t k = 0; prowl_series_same(b->series, series) && k < b->n; k++)
			if (store_floor(b->windows[k].facts.wall_start, m->window_ns) == at)
				raise_again(next, b->windows[k].again);
	}
}

static int find_again(struct prowl_store *s, const struct batches *all,
		      const struct prowl_series *series, const char *kind, int64_t at,
		      uint32_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < all->n; i++)
		again_of_meta(all->b[i].meta, series, kind, at, ret);
	for (size_t i = 0; i < s->nkept; i++)
		again_of_meta(s->kept[i].meta, series, kind, at, ret);
	return again_of_index(s, series, kind, at, ret);
}

/* --- batches --------------------------------------------------------------------- */

static int find_batch(struct prowl_store *s, struct batches *all,
		      const struct prowl_store_part *part, struct batch **ret)
{
	int64_t window = (int64_t)s->o.window_ns, at = store_floor(part->facts.wall_start, window);
	struct store_meta *m = NULL;
	struct batch *b = NULL;
	int r = store_meta_new(part->kind, part->level, window, &m);

	if (r == 0)
		r = store_meta_types(m, part->profile);
	for (size_t i = 0; r == 0 && i < all->n; i++) {
		if (all->b[i].at == at && !strcmp(all->b[i].meta->kind, part->kind) &&
		    store_meta_same_types(all->b[i].meta, m))
			b = &all->b[i];
	}
	if (r == 0 && !b) {
		r = prowl_array_reserve(&all->b, &all->cap, all->n + 1, sizeof *all->b);
		if (r == 0) {
			b = &all->b[all->n];
			*b = (struct batch){.meta = m, .at = at};
			r = prowl_join_new(&b->join);
		}
		if (r == 0) {
			all->n++;
			m = NULL;
		}
	}
	store_meta_free(m);
	*ret = b;
	return r;
}

static int add_processes(struct store_member *b, const struct prowl_store_part *part,
			 uint32_t *ret_one)
{
	uint32_t index = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < part->nprocesses; i++)
		r = store_member_process(b, part->facts.boot_id, &part->processes[i], &index);
	*ret_one = part->nprocesses == 1 ? index + 1 : 0;
	return r;
}

static int add_part(struct prowl_store *s, struct batches *all, const struct prowl_store_part *part,
		    const struct prowl_series *series)
{
	struct store_window w = {.facts = part->facts};
	struct prowl_join_rules rules = {0};
	struct store_member *member;
	struct batch *b;
	char id[20];
	int r = find_batch(s, all, part, &b);

	if (r == 0)
		r = store_meta_member(b->meta, series, &member);
	if (r == 0)
		r = find_again(s, all, series, part->kind, b->at, &w.again);
	if (r == 0)
		r = add_processes(member, part, &w.process);
	if (r == 0)
		r = learn_profile(member, part->profile);
	for (size_t i = 0; r == 0 && i < part->profile->nsample_types; i++)
		w.values[i] = (uint64_t)pprof_total(part->profile, i);
	w.facts.boot_id[PROWL_STORE_BOOT - 1] = '\0';
	if (r == 0)
		r = store_member_window(member, &w, b->meta->window_ns);
	if (r < 0)
		return r;
	snprintf(id, sizeof id, "%016" PRIx64, series->hash);
	rules.add_series = id;
	rules.add_window = member->windows[member->n - 1].key;
	return prowl_join_add(b->join, part->profile, &rules);
}

static int make_batches(struct prowl_store *s, const struct prowl_store_part *parts, size_t n,
			struct batches *all)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct prowl_series *series = NULL;

		r = clean_series(parts[i].series, &series);
		if (r == 0)
			r = add_part(s, all, &parts[i], series);
		prowl_series_free(series);
	}
	return r;
}

/* --- files ----------------------------------------------------------------------- */

/* Flows: how long the windows were. */
static int64_t covered(const struct store_meta *m)
{
	int64_t sum = 0;

	for (size_t i = 0; m->n == 1 && i < m->members[0].n; i++)
		sum += m->members[0].windows[i].facts.wall_end -
		       m->members[0].windows[i].facts.wall_start;
	return sum;
}

int store_finish_profile(struct pprof_profile *p, const struct store_meta *m, const char *text)
{
	int64_t from, to;
	uint64_t samples;
	char *line = malloc(strlen(text) + sizeof STORE_COMMENT);
	int r = line ? 0 : -ENOMEM;

	store_meta_span(m, &from, &to, &samples);
	p->time_nanos = from;
	p->duration_nanos = m->level ? 0 : m->n == 1 ? covered(m) : to - from;
	for (size_t i = 0; r == 0 && m->n == 1 && i < m->members[0].ncomments; i++)
		r = pprof_comment(p, m->members[0].comments[i]);
	if (r == 0 && m->level)
		r = pprof_comment(p, "warning: these are levels at the times in the label `window`;"
				     " their sum is none: choose one, or see prowl daemon query");
	if (r == 0) {
		stpcpy(stpcpy(line, STORE_COMMENT), text);
		r = pprof_comment(p, line);
	}
	free(line);
	return r;
}

/* A name that is not taken: 20261130T0805Z.cpu.pb.gz, 20261130T0805Z+1.cpu.pb.gz */
static void live_path(struct prowl_store *s, const struct batch *b, char *to, size_t len)
{
	char key[PROWL_STORE_KEY], more[16] = "";
	size_t n = 0;

	store_key_time(key, b->at, b->meta->window_ns);
	for (size_t i = 0; key[i]; i++) {
		if (!strchr("-:", key[i]))
			key[n++] = key[i];
	}
	key[n] = '\0';
	for (unsigned int i = 1;; i++) {
		bool waits = false;

		snprintf(to, len, "live/%s%s.%s.pb.gz", key, more, b->meta->kind);
		for (size_t k = 0; k < s->nkept; k++)
			waits |= !strcmp(s->kept[k].path, to);
		if (!waits && faccessat(s->dir, to, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return;
		snprintf(more, sizeof more, "+%u", i);
	}
}

static int pack_batch(struct prowl_store *s, struct batch *b, struct store_kept *ret)
{
	char *text = NULL;
	int r = store_meta_encode(b->meta, &text);

	live_path(s, b, ret->path, sizeof ret->path);
	if (r == 0)
		r = store_finish_profile(prowl_join_profile(b->join), b->meta, text);
	if (r == 0)
		r = store_pack(prowl_join_profile(b->join), text, STORE_LEVEL_LIVE, &ret->bytes,
			       &ret->len);
	free(text);
	if (r == 0) {
		ret->meta = b->meta;
		b->meta = NULL;
	}
	return r;
}

static void kept_fini(struct store_kept *k)
{
	store_meta_free(k->meta);
	free(k->bytes);
}

static void degrade(struct prowl_store *s, int r)
{
	pthread_mutex_lock(&s->counting);
	if (r < 0 && !s->state.degraded)
		store_log(s, "what is recorded now is not on disk: %s", strerror(-r));
	s->state.degraded = r < 0;
	snprintf(s->state.reason, sizeof s->state.reason, "%s", r < 0 ? strerror(-r) : "");
	pthread_mutex_unlock(&s->counting);
}

static int write_one(struct prowl_store *s, const struct store_kept *k)
{
	int r = store_write(s, k->path, k->bytes, k->len);
	int64_t from, to;
	uint64_t samples;

	if (r < 0)
		return r;
	store_meta_span(k->meta, &from, &to, &samples);
	pthread_mutex_lock(&s->counting);
	s->state.windows += store_count_windows(k->meta);
	if (to > s->state.newest)
		s->state.newest = to;
	pthread_mutex_unlock(&s->counting);
	return 0;
}

/* Files that are durable. Rows that can't be written come with the next tick. */
static void index_files(struct prowl_store *s, const struct store_kept *k, size_t n)
{
	int r = n ? store_index_exec(s->db, "BEGIN IMMEDIATE") : 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = store_index_add(s->db, k[i].path, PROWL_STORE_LIVE, k[i].meta, k[i].len);
	if (r == 0 && n)
		r = store_index_exec(s->db, "COMMIT");
	if (r < 0) {
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
		s->stale = true;
	}
}

static void keep_one(struct prowl_store *s, struct store_kept *k)
{
	pthread_mutex_lock(&s->counting);
	if (s->nkept == STORE_KEPT) {
		s->state.dropped += store_count_windows(s->kept[0].meta);
		kept_fini(&s->kept[0]);
		memmove(s->kept, s->kept + 1, (STORE_KEPT - 1) * sizeof *s->kept);
		s->nkept--;
	}
	s->kept[s->nkept++] = *k;
	s->state.kept = s->nkept;
	pthread_mutex_unlock(&s->counting);
}

static bool is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT;
}

int store_flush_kept(struct prowl_store *s)
{
	int r = 0;

	while (r == 0 && s->nkept) {
		r = write_one(s, &s->kept[0]);
		if (r < 0)
			break;
		index_files(s, &s->kept[0], 1);
		kept_fini(&s->kept[0]);
		pthread_mutex_lock(&s->counting);
		memmove(s->kept, s->kept + 1, (s->nkept - 1) * sizeof *s->kept);
		s->state.kept = --s->nkept;
		pthread_mutex_unlock(&s->counting);
	}
	degrade(s, r);
	return r;
}

/* Where the disk is full, the oldest makes room. */
static int write_or_make_room(struct prowl_store *s, const struct store_kept *k)
{
	int r = write_one(s, k);

	if (!is_full(r))
		return r;
	store_make_room(s);
	return write_one(s, k);
}

/* In their order: while others wait, these do so as well. */
static int write_batches(struct prowl_store *s, struct batches *all)
{
	struct store_kept *k = calloc(all->n + 1, sizeof *k);
	int r = store_flush_kept(s), wrong = k ? 0 : -ENOMEM;
	size_t n = 0;

	for (size_t i = 0; wrong == 0 && i < all->n; i++) {
		wrong = pack_batch(s, &all->b[i], &k[n]);
		if (wrong < 0)
			break;
		if (r == 0)
			r = write_or_make_room(s, &k[n]);
		if (r == 0)
			n++;
		else
			keep_one(s, &k[n]);
		if (r < 0)
			k[n] = (struct store_kept){0};
	}
	index_files(s, k, n);
	for (size_t i = 0; i < n; i++)
		kept_fini(&k[i]);
	free(k);
	degrade(s, r);
	return wrong < 0 ? wrong : r;
}

enum prowl_code prowl_store_put(struct prowl_store *s, const struct prowl_store_part *parts,
				size_t n, bool *ret_kept, struct prowl_err *err)
{
	struct batches all = {0};
	uint64_t begin = prowl_now();
	int r;

	if (ret_kept)
		*ret_kept = false;
	if (store_can_write(s, err) != PROWL_OK)
		return PROWL_USAGE;
	for (size_t i = 0; i < n; i++) {
		if (wrong_with(&parts[i]))
			return prowl_fail(err, PROWL_USAGE, "a window can't be stored: %s",
					  wrong_with(&parts[i]));
	}
	store_lock(s);
	r = make_batches(s, parts, n, &all);
	if (r == 0)
		r = write_batches(s, &all);
	if (ret_kept)
		*ret_kept = r < 0 && s->nkept > 0;
	pthread_mutex_lock(&s->counting);
	s->state.puts++;
	s->state.put_ns += prowl_now() - begin;
	pthread_mutex_unlock(&s->counting);
	store_unlock(s);
	batches_free(&all);
	return r < 0 ? store_failed(s, r, "a window can't be written", err) : PROWL_OK;
}

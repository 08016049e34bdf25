/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file says of itself: kind, series, and for each window its facts. As JSON, where a fact of
 * all windows is one array, or one number where all are equal: most are.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "pprof.h"
#include "store_parts.h"

/* --- the model ------------------------------------------------------------------- */

static void process_free(struct store_process *p)
{
	free((char *)p->p.pod);
	free((char *)p->p.container);
	free((char *)p->p.image);
	free((char *)p->p.exit);
}

static void member_free(struct store_member *b)
{
	prowl_series_free(b->series);
	free(b->windows);
	for (size_t i = 0; i < b->nprocesses; i++)
		process_free(&b->processes[i]);
	free(b->processes);
	for (size_t i = 0; i < b->ncomments; i++)
		free(b->comments[i]);
	free(b->comments);
}

int store_meta_new(const char *kind, bool level, int64_t window_ns, struct store_meta **ret)
{
	struct store_meta *m = calloc(1, sizeof *m);

	if (!m)
		return -ENOMEM;
	snprintf(m->kind, sizeof m->kind, "%s", kind);
	m->level = level;
	m->window_ns = window_ns;
	*ret = m;
	return 0;
}

void store_meta_free(struct store_meta *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		member_free(&m->members[i]);
	free(m->members);
	free(m);
}

int store_meta_member(struct store_meta *m, const struct prowl_series *series,
		      struct store_member **ret)
{
	int r;

	for (size_t i = 0; i < m->n; i++) {
		if (prowl_series_same(m->members[i].series, series)) {
			*ret = &m->members[i];
			return 0;
		}
	}
	r = prowl_array_reserve(&m->members, &m->cap, m->n + 1, sizeof *m->members);
	if (r < 0)
		return r;
	m->members[m->n] = (struct store_member){0};
	r = prowl_series_copy(series, &m->members[m->n].series);
	if (r == 0)
		*ret = &m->members[m->n++];
	return r;
}

int store_member_window(struct store_member *b, const struct store_window *w, int64_t window_ns)
{
	int r = prowl_array_reserve(&b->windows, &b->cap, b->n + 1, sizeof *b->windows);

	if (r < 0)
		return r;
	b->windows[b->n] = *w;
	store_window_key(b->windows[b->n].key, w->facts.wall_start, window_ns, w->again);
	b->n++;
	return 0;
}

static bool same_process(const struct store_process *a, const char *boot_id,
			 const struct prowl_store_process *p)
{
	return a->p.pid == p->pid && a->p.start == p->start && !strcmp(a->boot_id, boot_id);
}

/* What was not known yet. */
static int learn(const char **known, const char *text)
{
	char *copy;

	if (*known && (**known || !text || !*text))
		return 0;
	copy = strdup(text ? text : "");
	if (!copy)
		return -ENOMEM;
	free((char *)*known);
	*known = copy;
	return 0;
}

static int learn_all(struct store_process *to, const struct prowl_store_process *p)
{
	int r = learn(&to->p.pod, p->pod);

	if (r == 0)
		r = learn(&to->p.container, p->container);
	if (r == 0)
		r = learn(&to->p.image, p->image);
	if (r == 0)
		r = learn(&to->p.exit, p->exit);
	if (p->end > to->p.end)
		to->p.end = p->end;
	return r;
}

int store_member_process(struct store_member *b, const char *boot_id,
			 const struct prowl_store_process *p, uint32_t *ret)
{
	struct store_process *to;
	int r;

	for (size_t i = 0; i < b->nprocesses; i++) {
		if (same_process(&b->processes[i], boot_id, p)) {
			*ret = (uint32_t)i;
			return learn_all(&b->processes[i], p);
		}
	}
	r = prowl_array_reserve(&b->processes, &b->cap_processes, b->nprocesses + 1,
				sizeof *b->processes);
	if (r < 0)
		return r;
	to = &b->processes[b->nprocesses++];
	*to = (struct store_process){.p = {.pid = p->pid, .start = p->start}};
	snprintf(to->boot_id, sizeof to->boot_id, "%s", boot_id);
	*ret = (uint32_t)(b->nprocesses - 1);
	return learn_all(to, p);
}

int store_member_comment(struct store_member *b, const char *text)
{
	int r;

	for (size_t i = 0; i < b->ncomments; i++) {
		if (!strcmp(b->comments[i], text))
			return 0;
	}
	if (b->ncomments == STORE_COMMENTS)
		return 0;
	r = prowl_array_reserve(&b->comments, &b->cap_comments, b->ncomments + 1,
				sizeof *b->comments);
	if (r < 0)
		return r;
	b->comments[b->ncomments] = strdup(text);
	return b->comments[b->ncomments] ? (b->ncomments++, 0) : -ENOMEM;
}

static bool put_text(char *to, size_t len, const char *text)
{
	return (size_t)snprintf(to, len, "%s", text) < len;
}

int store_meta_types(struct store_meta *m, const struct pprof_profile *p)
{
	size_t chosen;

	if (p->nsample_types == 0 || p->nsample_types > PROWL_STORE_TYPES ||
	    pprof_find_sample_type(p, NULL, &chosen) < 0)
		return -EINVAL;
	for (size_t i = 0; i < p->nsample_types; i++) {
		struct store_type *t = &m->types[i];

		if (!put_text(t->name, sizeof t->name, p->strings[p->sample_types[i].type]) ||
		    !put_text(t->unit, sizeof t->unit, p->strings[p->sample_types[i].unit]))
			return -EINVAL;
	}
	m->ntypes = p->nsample_types;
	m->by_default = chosen;
	return 0;
}

bool store_meta_same_types(const struct store_meta *a, const struct store_meta *b)
{
	bool same = a->ntypes == b->ntypes && a->by_default == b->by_default &&
		    a->level == b->level && a->window_ns == b->window_ns;

	for (size_t i = 0; same && i < a->ntypes; i++)
		same = !strcmp(a->types[i].name, b->types[i].name) &&
		       !strcmp(a->types[i].unit, b->types[i].unit);
	return same;
}

int64_t store_floor(int64_t time, int64_t length)
{
	int64_t rest = time % length;

	return time - (rest < 0 ? rest + length : rest);
}

const char *store_key_time(char text[PROWL_STORE_KEY], int64_t time, int64_t window_ns)
{
	enum { SECOND = 1000000000 };
	int64_t at = store_floor(time, window_ns), second = store_floor(at, SECOND);
	time_t t = (time_t)(second / SECOND);
	struct tm tm;
	size_t n;

	if (!gmtime_r(&t, &tm))
		tm = (struct tm){.tm_mday = 1, .tm_year = 70};
	n = strftime(text, PROWL_STORE_KEY, "%Y-%m-%dT%H:%M", &tm);
	if (window_ns % (60ll * SECOND))
		n += (size_t)snprintf(text + n, PROWL_STORE_KEY - n, ":%02d", tm.tm_sec);
	if (window_ns % SECOND)
		n += (size_t)snprintf(text + n, PROWL_STORE_KEY - n, ".%03d",
				      (int)((at - second) / 1000000));
	snprintf(text + n, PROWL_STORE_KEY - n, "Z");
	return text;
}

void store_window_key(char key[PROWL_STORE_KEY], int64_t time, int64_t window_ns, uint32_t again)
{
	size_t n;

	store_key_time(key, time, window_ns);
	n = strlen(key);
	if (again)
		snprintf(key + n, PROWL_STORE_KEY - n, "+%" PRIu32, again);
}

uint64_t store_count_windows(const struct store_meta *m)
{
	uint64_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->members[i].n;
	return n;
}

void store_meta_span(const struct store_meta *m, int64_t *from, int64_t *to, uint64_t *samples)
{
	*from = INT64_MAX;
	*to = INT64_MIN;
	*samples = 0;
	for (size_t i = 0; i < m->n; i++) {
		for (size_t k = 0; k < m->members[i].n; k++) {
			const struct prowl_store_facts *f = &m->members[i].windows[k].facts;

			*from = f->wall_start < *from ? f->wall_start : *from;
			*to = f->wall_end > *to ? f->wall_end : *to;
			*samples += f->samples;
		}
	}
}

/* --- windows as columns ---------------------------------------------------------- */

/* In the order of names[]; the times are differences to what is to be expected. */
enum column {
	FROM,
	TO,
	AGAIN,
	MONO,
	MONO_TO,
	BOOT,
	SAMPLES,
	CPU,
	LOST,
	TRUNCATED,
	UNKNOWN,
	RATE,
	OWN,
	FLAGS,
	PROCESS,
	VALUES,
	COLUMNS = VALUES + PROWL_STORE_TYPES,
};

static const char *const names[COLUMNS] = {
	"from",   "to",     "again",   "mono",   "mono_to", "boot",   "samples", "cpu",
	"lost",   "cut",    "unknown", "rate",   "own",     "flags",  "process", "value0",
	"value1", "value2", "value3",  "value4", "value5",  "value6", "value7",
};

struct row {
	uint64_t c[COLUMNS];
};

/* Sums and differences wrap: what comes from a file may be any number. */
static void row_of(struct row *row, const struct store_window *w, const struct store_window *first,
		   uint32_t boot)
{
	const struct prowl_store_facts *f = &w->facts;
	uint64_t *c = row->c;

	c[FROM] = (uint64_t)f->wall_start - (uint64_t)first->facts.wall_start;
	c[TO] = (uint64_t)f->wall_end - (uint64_t)f->wall_start;
	c[AGAIN] = w->again;
	c[MONO] = (uint64_t)f->mono_start - (uint64_t)first->facts.mono_start - c[FROM];
	c[MONO_TO] = (uint64_t)f->mono_end - (uint64_t)f->mono_start - c[TO];
	c[BOOT] = boot;
	c[SAMPLES] = f->samples;
	c[CPU] = f->cpu_ns;
	c[LOST] = f->lost;
	c[TRUNCATED] = f->truncated;
	c[UNKNOWN] = f->unknown;
	c[RATE] = f->rate;
	c[OWN] = f->own_cpu_ns;
	c[FLAGS] = f->flags;
	c[PROCESS] = w->process;
	memcpy(c + VALUES, w->values, sizeof w->values);
}

static void window_of(struct store_window *w, const struct row *row, uint64_t start, uint64_t mono)
{
	struct prowl_store_facts *f = &w->facts;
	const uint64_t *c = row->c;

	f->wall_start = (int64_t)(start + c[FROM]);
	f->wall_end = (int64_t)(start + c[FROM] + c[TO]);
	w->again = (uint32_t)c[AGAIN];
	f->mono_start = (int64_t)(mono + c[FROM] + c[MONO]);
	f->mono_end = (int64_t)(mono + c[FROM] + c[MONO] + c[TO] + c[MONO_TO]);
	f->samples = c[SAMPLES];
	f->cpu_ns = c[CPU];
	f->lost = c[LOST];
	f->truncated = c[TRUNCATED];
	f->unknown = c[UNKNOWN];
	f->rate = c[RATE];
	f->own_cpu_ns = c[OWN];
	f->flags = (unsigned int)c[FLAGS];
	w->process = (uint32_t)c[PROCESS];
	memcpy(w->values, c + VALUES, sizeof w->values);
}

/* An array; one number where all are the same; nothing where they are 0. */
static int put_column(json_t *to, const char *name, const struct row *rows, size_t n, int column)
{
	bool same = true;
	json_t *all;

	for (size_t i = 1; same && i < n; i++)
		same = rows[i].c[column] == rows[0].c[column];
	if (same && rows[0].c[column] == 0)
		return 0;
	if (same)
		return json_object_set_new(to, name, json_integer((json_int_t)rows[0].c[column]));
	all = json_array();
	for (size_t i = 0; all && i < n; i++)
		json_array_append_new(all, json_integer((json_int_t)rows[i].c[column]));
	return json_object_set_new(to, name, all);
}

/* The number of a boot id among those that were seen; adds it. */
static int boot_index(json_t *boots, const char *id, uint32_t *ret)
{
	size_t n = json_array_size(boots), i = 0;

	while (i < n && strcmp(json_string_value(json_array_get(boots, i)), id) != 0)
		i++;
	*ret = (uint32_t)i;
	return i < n ? 0 : json_array_append_new(boots, json_string(id));
}

static int put_windows(json_t *to, const struct store_member *b)
{
	json_t *boots = json_array(), *columns = json_object();
	struct row *rows = calloc(b->n + 1, sizeof *rows);
	int r = rows && boots && columns ? 0 : -1;

	for (size_t i = 0; r == 0 && i < b->n; i++) {
		uint32_t boot;

		r = boot_index(boots, b->windows[i].facts.boot_id, &boot);
		if (r == 0)
			row_of(&rows[i], &b->windows[i], &b->windows[0], boot);
	}
	for (int c = 0; r == 0 && b->n > 0 && c < COLUMNS; c++)
		r = put_column(columns, names[c], rows, b->n, c);
	free(rows);
	r |= json_object_set_new(to, "n", json_integer((json_int_t)b->n));
	if (b->n) {
		r |= json_object_set_new(to, "start", json_integer(b->windows[0].facts.wall_start));
		r |= json_object_set_new(to, "mono", json_integer(b->windows[0].facts.mono_start));
	}
	r |= json_object_set_new(to, "boots", boots);
	return r | json_object_set_new(to, "windows", columns);
}

/* --- to JSON --------------------------------------------------------------------- */

static json_t *labels_of(const struct prowl_series *s, bool identity)
{
	json_t *o = json_object();

	for (size_t i = 0; o && i < s->n; i++) {
		if (s->labels[i].identity == identity)
			json_object_set_new(o, s->labels[i].name, json_string(s->labels[i].value));
	}
	return o;
}

static void put_unless_empty(json_t *to, const char *name, const char *text)
{
	if (text && *text)
		json_object_set_new(to, name, json_string(text));
}

static json_t *process_json(const struct store_process *p)
{
	json_t *o = json_object();

	json_object_set_new(o, "pid", json_integer(p->p.pid));
	json_object_set_new(o, "start", json_integer(p->p.start));
	if (p->p.end)
		json_object_set_new(o, "end", json_integer(p->p.end));
	put_unless_empty(o, "boot", p->boot_id);
	put_unless_empty(o, "pod", p->p.pod);
	put_unless_empty(o, "container", p->p.container);
	put_unless_empty(o, "image", p->p.image);
	put_unless_empty(o, "exit", p->p.exit);
	return o;
}

static json_t *member_json(const struct store_member *b)
{
	json_t *o = json_object(), *list = json_array();
	char id[20];
	int r = o ? 0 : -1;

	snprintf(id, sizeof id, "%016" PRIx64, b->series->hash);
	r |= json_object_set_new(o, "id", json_string(id));
	r |= json_object_set_new(o, "labels", labels_of(b->series, true));
	r |= json_object_set_new(o, "also", labels_of(b->series, false));
	for (size_t i = 0; i < b->nprocesses; i++)
		r |= json_array_append_new(list, process_json(&b->processes[i]));
	r |= json_object_set_new(o, "processes", list);
	list = json_array();
	for (size_t i = 0; i < b->ncomments; i++)
		r |= json_array_append_new(list, json_string(b->comments[i]));
	r |= json_object_set_new(o, "comments", list);
	put_unless_empty(o, "main", b->main);
	r |= put_windows(o, b);
	if (r == 0)
		return o;
	json_decref(o);
	return NULL;
}

int store_meta_encode(const struct store_meta *m, char **ret)
{
	json_t *o = json_object(), *types = json_array(), *members = json_array();
	char *text = NULL;
	int r = o ? 0 : -1;

	for (size_t i = 0; i < m->ntypes; i++)
		r |= json_array_append_new(types,
					   json_pack("[ss]", m->types[i].name, m->types[i].unit));
	for (size_t i = 0; i < m->n; i++)
		r |= json_array_append_new(members, member_json(&m->members[i]));
	r |= json_object_set_new(o, "format", json_integer(STORE_FORMAT));
	r |= json_object_set_new(o, "kind", json_string(m->kind));
	r |= json_object_set_new(o, "level", json_boolean(m->level));
	r |= json_object_set_new(o, "window", json_integer(m->window_ns));
	r |= json_object_set_new(o, "types", types);
	r |= json_object_set_new(o, "default", json_integer((json_int_t)m->by_default));
	r |= json_object_set_new(o, "series", members);
	if (r == 0)
		text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!text)
		return -ENOMEM;
	*ret = text;
	return 0;
}

/* --- from JSON ------------------------------------------------------------------- */

static bool get_number(const json_t *o, const char *name, int64_t *ret)
{
	const json_t *v = json_object_get(o, name);

	*ret = json_integer_value(v);
	return !v || json_is_integer(v);
}

static bool get_column(const json_t *o, const char *name, struct row *rows, size_t n, int column)
{
	const json_t *v = json_object_get(o, name);

	if (json_is_array(v) && json_array_size(v) != n)
		return false;
	if (v && !json_is_array(v) && !json_is_integer(v))
		return false;
	for (size_t i = 0; i < n; i++) {
		const json_t *e = json_is_array(v) ? json_array_get(v, i) : v;

		if (e && !json_is_integer(e))
			return false;
		rows[i].c[column] = (uint64_t)json_integer_value(e);
	}
	return true;
}

static bool is_sound(const struct store_window *w, const struct row *row, size_t nprocesses)
{
	const struct prowl_store_facts *f = &w->facts;

	return f->wall_start >= 0 && f->wall_end >= f->wall_start && w->process <= nprocesses &&
	       row->c[PROCESS] <= nprocesses && row->c[AGAIN] <= UINT32_MAX;
}

static int get_windows(const json_t *o, struct store_member *b, int64_t window_ns)
{
	const json_t *columns = json_object_get(o, "windows"), *boots = json_object_get(o, "boots");
	int64_t n, start, mono;
	struct row *rows;
	bool good = get_number(o, "n", &n) && get_number(o, "start", &start) &&
		    get_number(o, "mono", &mono) && n >= 0 && n <= STORE_MAX_WINDOWS;
	int r = 0;

	if (!good)
		return -EBADMSG;
	rows = calloc((size_t)n + 1, sizeof *rows);
	if (!rows)
		return -ENOMEM;
	for (int c = 0; good && c < COLUMNS; c++)
		good = get_column(columns, names[c], rows, (size_t)n, c);
	for (size_t i = 0; r == 0 && good && i < (size_t)n; i++) {
		struct store_window w = {0};
		const char *boot = json_string_value(json_array_get(boots, rows[i].c[BOOT]));

		window_of(&w, &rows[i], (uint64_t)start, (uint64_t)mono);
		snprintf(w.facts.boot_id, sizeof w.facts.boot_id, "%s", boot ? boot : "");
		good = is_sound(&w, &rows[i], b->nprocesses);
		if (good)
			r = store_member_window(b, &w, window_ns);
	}
	free(rows);
	return good ? r : -EBADMSG;
}

static size_t get_labels(json_t *o, bool identity, struct prowl_series_label *labels, size_t n)
{
	const char *name;
	json_t *v;

	json_object_foreach(o, name, v)
	{
		if (n < PROWL_SERIES_LABELS && json_is_string(v))
			labels[n++] = (struct prowl_series_label){name, json_string_value(v),
								  identity};
	}
	return n;
}

static int get_series(const json_t *o, struct prowl_series **ret)
{
	struct prowl_series_label labels[PROWL_SERIES_LABELS];
	const char *id = json_string_value(json_object_get(o, "id"));
	size_t n = get_labels(json_object_get(o, "labels"), true, labels, 0);
	char want[20];
	int r;

	n = get_labels(json_object_get(o, "also"), false, labels, n);
	r = prowl_series_new(labels, n, ret);
	if (r < 0)
		return r;
	snprintf(want, sizeof want, "%016" PRIx64, (*ret)->hash);
	if (id && !strcmp(id, want))
		return 0;
	prowl_series_free(*ret);
	*ret = NULL;
	return -EBADMSG;
}

static int get_process(const json_t *o, struct store_member *b)
{
	const char *boot = json_string_value(json_object_get(o, "boot"));
	struct prowl_store_process p = {
		.pod = json_string_value(json_object_get(o, "pod")),
		.container = json_string_value(json_object_get(o, "container")),
		.image = json_string_value(json_object_get(o, "image")),
		.exit = json_string_value(json_object_get(o, "exit")),
	};
	uint32_t index;

	if (!get_number(o, "pid", &p.pid) || !get_number(o, "start", &p.start) ||
	    !get_number(o, "end", &p.end))
		return -EBADMSG;
	return store_member_process(b, boot ? boot : "", &p, &index);
}

static int get_member(const json_t *o, struct store_meta *m)
{
	const json_t *processes = json_object_get(o, "processes");
	const json_t *comments = json_object_get(o, "comments");
	struct prowl_series *series;
	struct store_member *b;
	size_t before = m->n;
	const char *main = json_string_value(json_object_get(o, "main"));
	int r = get_series(o, &series);

	if (r < 0)
		return r;
	r = store_meta_member(m, series, &b);
	prowl_series_free(series);
	if (r == 0 && main)
		snprintf(b->main, sizeof b->main, "%s", main);
	if (r == 0 && m->n == before)
		r = -EBADMSG; /* twice */
	for (size_t i = 0; r == 0 && i < json_array_size(processes); i++)
		r = get_process(json_array_get(processes, i), b);
	for (size_t i = 0; r == 0 && i < json_array_size(comments); i++) {
		const char *text = json_string_value(json_array_get(comments, i));

		r = text ? store_member_comment(b, text) : -EBADMSG;
	}
	return r < 0 ? r : get_windows(o, b, m->window_ns);
}

static int get_types(const json_t *list, struct store_meta *m)
{
	size_t n = json_array_size(list);

	if (n == 0 || n > PROWL_STORE_TYPES)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++) {
		const json_t *pair = json_array_get(list, i);
		const char *name = json_string_value(json_array_get(pair, 0));
		const char *unit = json_string_value(json_array_get(pair, 1));

		if (!name || !unit || !put_text(m->types[i].name, sizeof m->types[i].name, name) ||
		    !put_text(m->types[i].unit, sizeof m->types[i].unit, unit))
			return -EBADMSG;
	}
	m->ntypes = n;
	return 0;
}

static int get_meta(const json_t *o, struct store_meta *m)
{
	const json_t *members = json_object_get(o, "series");
	const char *kind = json_string_value(json_object_get(o, "kind"));
	int64_t format, by_default;
	int r;

	if (!get_number(o, "format", &format) || format < 1 || format > STORE_FORMAT || !kind ||
	    !store_is_kind(kind) || !get_number(o, "window", &m->window_ns) || m->window_ns <= 0 ||
	    m->window_ns > 86400ll * 1000000000 || !get_number(o, "default", &by_default))
		return -EBADMSG;
	snprintf(m->kind, sizeof m->kind, "%s", kind);
	m->level = json_is_true(json_object_get(o, "level"));
	r = get_types(json_object_get(o, "types"), m);
	if (r < 0 || by_default < 0 || (size_t)by_default >= m->ntypes ||
	    json_array_size(members) > STORE_MAX_MEMBERS)
		return -EBADMSG;
	m->by_default = (size_t)by_default;
	for (size_t i = 0; r == 0 && i < json_array_size(members); i++)
		r = get_member(json_array_get(members, i), m);
	return r;
}

int store_meta_decode(const char *text, size_t len, struct store_meta **ret)
{
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	struct store_meta *m = NULL;
	int r = o ? store_meta_new("", false, 1, &m) : -EBADMSG;

	if (r == 0)
		r = get_meta(o, m);
	json_decref(o);
	if (r == 0)
		*ret = m;
	else
		store_meta_free(m);
	return r;
}

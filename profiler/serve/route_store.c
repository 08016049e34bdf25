/* SPDX-License-Identifier: Apache-2.0 */
/* What there is in the store: series, labels, values over time, events; pins. */
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "query.h"
#include "series.h"
#include "when.h"

#define MS   1000000
#define HOUR (3600 * INT64_C(1000000000))
/* What one query may take; there are few at a time. */
#define QUERY_BYTES (64u << 20)
#define QUERY_NS    UINT64_C(30000000000)

enum { MOST_POINTS = 2000, MOST_FILE = 64 << 20, CLOSED_S = 86400 };

/* --- what is asked for ---------------------------------------------------------------- */

static const char *side_param(const struct http_request *q, const char *side, const char *name)
{
	char full[48];
	const char *text;

	snprintf(full, sizeof full, "%s%s", side, name);
	text = weburl_param(&q->url, full);
	return text || !*side ? text : weburl_param(&q->url, name);
}

static bool read_agg(struct http_request *q, const char *side, enum prowl_store_agg *ret)
{
	static const char *const words[] = {"mean", "max", "min", "last"};
	const char *text = side_param(q, side, "agg");

	*ret = PROWL_STORE_MEAN;
	if (!text || !*text)
		return true;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(text, words[i]) == 0) {
			*ret = (enum prowl_store_agg)i;
			return true;
		}
	serve_error(q, 400, "bad_parameter", "agg is mean, max, min or last", NULL);
	return false;
}

static bool read_range(struct http_request *q, const char *side, int64_t back,
		       struct serve_query *x)
{
	int64_t now = (int64_t)prowl_clock_ns(CLOCK_REALTIME);
	char from[16], to[16];

	snprintf(from, sizeof from, "%sfrom", side);
	snprintf(to, sizeof to, "%sto", side);
	if (!serve_time(q, to, now, &x->q.to) ||
	    !serve_time(q, from, back ? x->q.to - back : 0, &x->q.from))
		return false;
	/* What is this old has its hour file. */
	x->keep_s = x->q.to <= now - 2 * HOUR ? CLOSED_S : 0;
	if (x->q.from < x->q.to)
		return true;
	serve_error(q, 400, "bad_parameter", "from is not before to", NULL);
	return false;
}

bool serve_query_of(struct prowl_serve *s, struct http_request *q, const char *side, int64_t back,
		    struct serve_query *ret)
{
	char match[16];
	uint64_t limit;

	*ret = (struct serve_query){0};
	if (!s->o.store) {
		serve_error(q, 404, "no_store",
			    "the daemon keeps no profiles: it runs with --no-store", NULL);
		return false;
	}
	snprintf(match, sizeof match, "%smatch", side);
	ret->q.kind = side_param(q, side, "kind");
	ret->q.type = side_param(q, side, "type");
	if (ret->q.kind && !*ret->q.kind)
		ret->q.kind = NULL;
	if (ret->q.type && !*ret->q.type)
		ret->q.type = NULL;
	if (!read_range(q, side, back, ret) || !read_agg(q, side, &ret->q.agg) ||
	    !serve_number(q, "limit", 1000, 1, 10000, &limit) ||
	    !serve_match(q, match, &ret->match))
		return false;
	ret->q.limit = limit;
	ret->q.match = ret->match;
	ret->q.max_bytes = QUERY_BYTES;
	ret->q.deadline = prowl_now() + QUERY_NS;
	return true;
}

void serve_query_fini(struct serve_query *x)
{
	prowl_selector_free(x->match);
	x->match = NULL;
}

/* True when it went well, or there is nothing; false after an answer. */
static bool is_there(struct http_request *q, enum prowl_code code, const struct prowl_err *err)
{
	if (code == PROWL_OK || code == PROWL_NOTHING)
		return true;
	serve_failed(q, code, err);
	return false;
}

/* --- series -------------------------------------------------------------------------- */

/* CPU time of each series, from the index; NULL: none. */
static struct prowl_store_timeline *cpu_of(struct prowl_serve *s, const struct serve_query *x)
{
	struct prowl_query q = x->q;
	struct prowl_store_timeline *t;

	q.kind = "cpu";
	q.type = "cpu";
	q.by = NULL;
	q.top = x->q.limit;
	q.step_ns = q.to - q.from;
	return prowl_store_timeline(s->o.store, &q, &t, NULL) == PROWL_OK ? t : NULL;
}

static double cpu_in(const struct prowl_store_timeline *t, const struct prowl_series *series)
{
	for (size_t i = 0; t && i < t->nlines; i++)
		if (t->lines[i].series && t->lines[i].series->hash == series->hash &&
		    prowl_series_same(t->lines[i].series, series))
			return t->lines[i].total;
	return 0;
}

static void put_words(struct jsonout *j, const char *key, const char *words)
{
	pp_json_open(j, key, '[');
	while (*words) {
		size_t n = strcspn(words, " ");
		char word[PROWL_STORE_KIND];

		if (n > 0 && n < sizeof word) {
			memcpy(word, words, n);
			word[n] = '\0';
			pp_json_text(j, NULL, word);
		}
		words += n + (words[n] == ' ');
	}
	pp_json_close(j, ']');
}

static void put_series(struct jsonout *j, const struct prowl_store_list *list,
		       const struct prowl_store_timeline *cpu)
{
	pp_json_open(j, "series", '[');
	for (size_t i = 0; list && i < list->n; i++) {
		const struct prowl_store_listed *row = &list->rows[i];

		pp_json_open(j, NULL, '{');
		serve_put_labels(j, "labels", row->series);
		put_words(j, "kinds", row->kinds);
		pp_json_number(j, "cpu_ns", (int64_t)cpu_in(cpu, row->series));
		pp_json_unsigned(j, "samples", row->samples);
		pp_json_unsigned(j, "windows", row->windows);
		serve_put_time(j, "first", row->first);
		serve_put_time(j, "last", row->last);
		pp_json_close(j, '}');
	}
	pp_json_close(j, ']');
	pp_json_bool(j, "truncated", list && list->truncated);
}

static void series(struct prowl_serve *s, struct http_request *q)
{
	struct prowl_store_timeline *cpu = NULL;
	struct prowl_store_list *list = NULL;
	struct prowl_err err = {0};
	struct serve_query x;
	struct serve_text t;
	struct jsonout j;

	if (!serve_query_of(s, q, "", 0, &x))
		return;
	if (is_there(q, prowl_store_series(s->o.store, &x.q, &list, &err), &err) &&
	    serve_json_begin(&t, &j, q)) {
		cpu = cpu_of(s, &x);
		put_series(&j, list, cpu);
		serve_json_end(&t, &j, q, x.keep_s);
	}
	prowl_store_timeline_free(cpu);
	prowl_store_list_free(list);
	serve_query_fini(&x);
}

static void put_names(struct prowl_serve *s, struct http_request *q, const char *name,
		      const char *key)
{
	struct prowl_store_names *names = NULL;
	struct prowl_err err = {0};
	struct serve_query x;
	struct serve_text t;
	struct jsonout j;

	if (!serve_query_of(s, q, "", 0, &x))
		return;
	if (is_there(q,
		     prowl_store_labels(s->o.store, &x.q, name, weburl_param(&q->url, "prefix"),
					&names, &err),
		     &err) &&
	    serve_json_begin(&t, &j, q)) {
		pp_json_open(&j, key, '[');
		for (size_t i = 0; names && i < names->n; i++)
			pp_json_text(&j, NULL, names->names[i]);
		pp_json_close(&j, ']');
		pp_json_bool(&j, "truncated", names && names->truncated);
		serve_json_end(&t, &j, q, x.keep_s);
	}
	prowl_store_names_free(names);
	serve_query_fini(&x);
}

static void labels(struct prowl_serve *s, struct http_request *q)
{
	put_names(s, q, NULL, "labels");
}

static void values(struct prowl_serve *s, struct http_request *q)
{
	put_names(s, q, q->url.segments[3], "values");
}

/* --- over time ------------------------------------------------------------------------ */

/* All digits of a sum; means are no whole numbers. */
static void put_value(struct jsonout *j, const char *key, double value)
{
	if (value == floor(value) && fabs(value) < 9e18)
		pp_json_number(j, key, (int64_t)value);
	else
		pp_json_real(j, key, value);
}

static void put_points(struct jsonout *j, const struct prowl_store_timeline *t,
		       const struct prowl_store_line *line)
{
	pp_json_open(j, "points", '[');
	for (size_t i = 0; i < t->npoints; i++) {
		const struct prowl_store_point *p = &line->points[i];

		if (!p->windows)
			continue;
		pp_json_open(j, NULL, '[');
		pp_json_number(j, NULL, (t->from + (int64_t)i * t->step_ns) / MS);
		put_value(j, NULL, p->value);
		pp_json_unsigned(j, NULL, p->flags);
		pp_json_close(j, ']');
	}
	pp_json_close(j, ']');
}

/* How many values of the label, or series, there are beside those of lines of their own. */
static size_t count_rest(struct prowl_serve *s, const struct serve_query *x,
			 const struct prowl_store_timeline *t)
{
	struct prowl_store_names *names = NULL;
	struct prowl_store_list *list = NULL;
	struct prowl_query q = x->q;
	size_t n = 0;

	q.limit = 10000;
	if (q.by && prowl_store_labels(s->o.store, &q, q.by, NULL, &names, NULL) == PROWL_OK)
		n = names->n;
	else if (!q.by && prowl_store_series(s->o.store, &q, &list, NULL) == PROWL_OK)
		n = list->n;
	prowl_store_names_free(names);
	prowl_store_list_free(list);
	return n >= t->nlines ? n - (t->nlines - 1) : 1;
}

static void put_line_labels(struct jsonout *j, const struct serve_query *x,
			    const struct prowl_store_line *line)
{
	if (!x->q.by && line->series && !line->other) {
		serve_put_labels(j, "labels", line->series);
		return;
	}
	pp_json_open(j, "labels", '{');
	if (!line->other)
		pp_json_text(j, x->q.by ? x->q.by : PROWL_SERIES_SERVICE, line->name);
	pp_json_close(j, '}');
}

static void put_lines(struct prowl_serve *s, struct jsonout *j, const struct serve_query *x,
		      const struct prowl_store_timeline *t)
{
	pp_json_open(j, "series", '[');
	for (size_t i = 0; i < t->nlines; i++) {
		const struct prowl_store_line *line = &t->lines[i];

		pp_json_line(j);
		pp_json_open(j, NULL, '{');
		put_line_labels(j, x, line);
		if (line->other)
			pp_json_unsigned(j, "rest", count_rest(s, x, t));
		pp_json_text(j, "unit", t->unit);
		pp_json_text(j, "type", t->type);
		pp_json_bool(j, "level", t->level);
		put_value(j, "total", line->total);
		put_points(j, t, line);
		pp_json_close(j, '}');
	}
	pp_json_close(j, ']');
}

/* What the first window behind a gap says of it. */
static const char *gap_reason(const struct prowl_store_timeline *t,
			      const struct prowl_store_gap *gap)
{
	unsigned int flags = 0;

	for (size_t i = 0; i < t->nlines; i++)
		for (size_t k = 0; k < t->npoints; k++) {
			int64_t begin = t->from + (int64_t)k * t->step_ns;

			if (t->lines[i].points[k].windows && begin + t->step_ns > gap->to &&
			    begin <= gap->to)
				flags |= t->lines[i].points[k].flags;
		}
	if (flags & PROWL_STORE_RESTARTED)
		return "the daemon was not running";
	if (flags & PROWL_STORE_SUSPENDED)
		return "the machine was suspended";
	return flags & PROWL_STORE_CLOCK_STEPPED ? "the clock was set" : "nothing was stored";
}

static void put_gaps(struct jsonout *j, const struct prowl_store_timeline *t)
{
	pp_json_open(j, "gaps", '[');
	for (size_t i = 0; i < t->ngaps; i++) {
		pp_json_open(j, NULL, '{');
		serve_put_time(j, "from", t->gaps[i].from);
		serve_put_time(j, "to", t->gaps[i].to);
		pp_json_text(j, "reason", gap_reason(t, &t->gaps[i]));
		pp_json_close(j, '}');
	}
	pp_json_close(j, ']');
}

/* A build that comes after another one of the same service. */
static bool is_release(const struct prowl_store_list *l, size_t i)
{
	const char *service = prowl_series_get(l->rows[i].series, PROWL_SERIES_SERVICE);
	const char *build = prowl_series_get(l->rows[i].series, PROWL_SERIES_BUILD);
	bool others = false;

	for (size_t k = 0; k < l->n; k++) {
		const struct prowl_store_listed *o = &l->rows[k];
		bool same = strcmp(prowl_series_get(o->series, PROWL_SERIES_BUILD), build) == 0;

		if (strcmp(prowl_series_get(o->series, PROWL_SERIES_SERVICE), service) != 0)
			continue;
		/* Several series of one build are one release. */
		if (same &&
		    (o->first < l->rows[i].first || (o->first == l->rows[i].first && k < i)))
			return false;
		others |= !same && o->first < l->rows[i].first;
	}
	return others && build[0];
}

static void put_releases(struct prowl_serve *s, struct jsonout *j, const struct serve_query *x)
{
	struct prowl_store_list *l = NULL;
	struct prowl_query q = x->q;

	q.from = 0; /* what came before is what makes it a release */
	q.kind = NULL;
	q.limit = 10000;
	pp_json_open(j, "releases", '[');
	if (prowl_store_series(s->o.store, &q, &l, NULL) == PROWL_OK)
		for (size_t i = 0; i < l->n; i++) {
			const struct prowl_store_listed *row = &l->rows[i];

			if (row->first < x->q.from || !is_release(l, i))
				continue;
			pp_json_open(j, NULL, '{');
			serve_put_time(j, "time", row->first);
			pp_json_text(j, "service",
				     prowl_series_get(row->series, PROWL_SERIES_SERVICE));
			pp_json_text(j, "build", prowl_series_get(row->series, PROWL_SERIES_BUILD));
			pp_json_close(j, '}');
		}
	pp_json_close(j, ']');
	prowl_store_list_free(l);
}

/* "auto", "90", "5m"; false after an answer. */
static bool read_step(struct http_request *q, struct serve_query *x)
{
	const char *text = weburl_param(&q->url, "step");
	int64_t least = (x->q.to - x->q.from) / MOST_POINTS + 1, then;
	char ago[32];

	x->q.step_ns = 0;
	if (!text || !*text || strcmp(text, "auto") == 0)
		return true;
	/* As long ago as that. */
	snprintf(ago, sizeof ago, "-%.20s%s", text, strpbrk(text, "smhd") ? "" : "s");
	if (!prowl_when_parse(ago, 0, &then) || then >= 0) {
		serve_error(q, 400, "bad_parameter", "step is auto, or a time such as 30s, 5m, 1h",
			    NULL);
		return false;
	}
	x->q.step_ns = -then < least ? least : -then;
	return true;
}

static void put_events(struct prowl_serve *s, struct jsonout *j, const struct prowl_query *q);

static void timeline(struct prowl_serve *s, struct http_request *q)
{
	struct prowl_store_timeline *t = NULL;
	struct prowl_err err = {0};
	struct serve_query x;
	struct serve_text text;
	struct jsonout j;
	uint64_t top;

	if (!serve_query_of(s, q, "", HOUR, &x))
		return;
	x.q.by = weburl_param(&q->url, "by");
	if (x.q.by && !*x.q.by)
		x.q.by = NULL;
	if (read_step(q, &x) && serve_number(q, "top", 20, 1, 200, &top)) {
		x.q.top = top;
		if (is_there(q, prowl_store_timeline(s->o.store, &x.q, &t, &err), &err) &&
		    serve_json_begin(&text, &j, q)) {
			serve_put_time(&j, "from", t ? t->from : x.q.from);
			serve_put_time(&j, "to", t ? t->to : x.q.to);
			pp_json_number(&j, "step", t ? t->step_ns / MS : 60000);
			pp_json_open(&j, "flags", '[');
			for (unsigned int i = 0; prowl_store_flag_name(1u << i); i++)
				pp_json_text(&j, NULL, prowl_store_flag_name(1u << i));
			pp_json_close(&j, ']');
			if (t) {
				put_lines(s, &j, &x, t);
				put_gaps(&j, t);
			} else {
				put_series(&j, NULL, NULL);
			}
			put_events(s, &j, &x.q);
			put_releases(s, &j, &x);
			serve_json_end(&text, &j, q, x.keep_s);
		}
	}
	prowl_store_timeline_free(t);
	serve_query_fini(&x);
}

/* --- events --------------------------------------------------------------------------- */

static void put_files(struct prowl_serve *s, struct jsonout *j,
		      const struct prowl_store_happened *e)
{
	pp_json_open(j, "files", '[');
	for (size_t i = 0; i < e->nfiles; i++) {
		int fd = prowl_store_event_open(s->o.store, e->id, e->files[i]);
		struct stat st = {0};

		if (fd >= 0) {
			fstat(fd, &st);
			close(fd);
		}
		pp_json_open(j, NULL, '{');
		pp_json_text(j, "name", e->files[i]);
		pp_json_number(j, "bytes", st.st_size);
		pp_json_close(j, '}');
	}
	pp_json_close(j, ']');
}

static void put_event(struct prowl_serve *s, struct jsonout *j,
		      const struct prowl_store_happened *e)
{
	pp_json_open(j, NULL, '{');
	pp_json_text(j, "id", e->id);
	serve_put_time(j, "time", e->event.time);
	pp_json_text(j, "kind", e->event.kind);
	if (e->event.series)
		serve_put_labels(j, "labels", e->event.series);
	if (e->event.pid)
		pp_json_number(j, "pid", e->event.pid);
	pp_json_text(j, "summary", e->event.summary ? e->event.summary : "");
	pp_json_bool(j, "keep", e->event.keep);
	put_files(s, j, e);
	pp_json_close(j, '}');
}

static void put_events(struct prowl_serve *s, struct jsonout *j, const struct prowl_query *query)
{
	struct prowl_store_events *events = NULL;
	struct prowl_query q = *query;

	q.kind = NULL;
	pp_json_open(j, "events", '[');
	if (prowl_store_events(s->o.store, &q, &events, NULL) == PROWL_OK)
		for (size_t i = 0; i < events->n; i++)
			put_event(s, j, &events->rows[i]);
	pp_json_close(j, ']');
	prowl_store_events_free(events);
}

static void events(struct prowl_serve *s, struct http_request *q)
{
	struct prowl_store_events *events = NULL;
	struct prowl_err err = {0};
	struct serve_query x;
	struct serve_text t;
	struct jsonout j;

	if (!serve_query_of(s, q, "", 0, &x))
		return;
	if (is_there(q, prowl_store_events(s->o.store, &x.q, &events, &err), &err) &&
	    serve_json_begin(&t, &j, q)) {
		pp_json_open(&j, "events", '[');
		for (size_t i = 0; events && i < events->n; i++)
			put_event(s, &j, &events->rows[i]);
		pp_json_close(&j, ']');
		pp_json_bool(&j, "truncated", events && events->truncated);
		serve_json_end(&t, &j, q, 0);
	}
	prowl_store_events_free(events);
	serve_query_fini(&x);
}

static bool is_name(const char *s, size_t n)
{
	if (n == 0 || s[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < 0x21 || strchr("/\\\x7f\"", s[i]))
			return false;
	return true;
}

/* DAY/NAME of two segments, or of one with the slash in it. */
static bool event_id(const struct http_request *q, char id[PROWL_STORE_ID], const char **file)
{
	const char *first = q->url.segments[3], *slash = strchr(first, '/');
	size_t next = slash ? 4 : 5;
	int n = slash ? snprintf(id, PROWL_STORE_ID, "%s", first)
		      : snprintf(id, PROWL_STORE_ID, "%s/%s", first,
				 q->url.nsegments > 4 ? q->url.segments[4] : "");

	*file = next < q->url.nsegments ? q->url.segments[next] : "event.json";
	slash = strchr(id, '/');
	return n > 0 && n < PROWL_STORE_ID && next + 1 >= q->url.nsegments && slash &&
	       is_name(id, (size_t)(slash - id)) && is_name(slash + 1, strlen(slash + 1)) &&
	       is_name(*file, strlen(*file));
}

static void send_file(struct http_request *q, int fd, const char *name)
{
	size_t len = strlen(name);
	bool json = len > 5 && strcmp(name + len - 5, ".json") == 0;
	bool text = len > 4 && strcmp(name + len - 4, ".txt") == 0;
	struct stat st;
	char *bytes = NULL, disposition[320];

	if (fstat(fd, &st) == 0 && st.st_size <= MOST_FILE)
		bytes = malloc((size_t)st.st_size + 1);
	if (!bytes || read(fd, bytes, (size_t)st.st_size) != st.st_size) {
		free(bytes);
		serve_no_memory(q);
		return;
	}
	if (!json && !text) {
		snprintf(disposition, sizeof disposition, "attachment; filename=\"%.250s\"", name);
		http_add(q, "Content-Disposition", disposition);
	}
	serve_bytes(q,
		    json   ? "application/json"
		    : text ? "text/plain; charset=utf-8"
			   : "application/octet-stream",
		    bytes, (size_t)st.st_size, CLOSED_S);
}

static void event_file(struct prowl_serve *s, struct http_request *q)
{
	char id[PROWL_STORE_ID];
	const char *file;
	int fd = -1;

	if (s->o.store && event_id(q, id, &file))
		fd = prowl_store_event_open(s->o.store, id, file);
	if (fd < 0) {
		serve_error(q, 404, "no_such_event",
			    "there is no such event, or no such file of it", NULL);
		return;
	}
	send_file(q, fd, file);
	close(fd);
}

/* --- pins ----------------------------------------------------------------------------- */

struct range {
	int64_t from, to;
	const char *reason;
};

static bool read_time(const json_t *value, int64_t *ret)
{
	int64_t now = (int64_t)prowl_clock_ns(CLOCK_REALTIME);
	char digits[32];
	const char *text = json_string_value(value);

	if (json_is_integer(value)) {
		snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(value));
		text = digits;
	}
	return text && prowl_when_parse(text, now, ret);
}

static bool read_order(struct prowl_serve *s, struct http_request *q, const json_t *root,
		       struct range *ret)
{
	ret->reason = json_string_value(json_object_get(root, "reason"));
	if (!s->o.store) {
		serve_error(q, 404, "no_store", "the daemon keeps no profiles", NULL);
		return false;
	}
	if (read_time(json_object_get(root, "from"), &ret->from) &&
	    read_time(json_object_get(root, "to"), &ret->to) && ret->from < ret->to)
		return true;
	serve_error(q, 400, "bad_parameter",
		    "the body is {\"from\": TIME, \"to\": TIME, \"reason\": TEXT}", NULL);
	return false;
}

static void say_done(struct http_request *q, uint64_t bytes)
{
	struct serve_text t;
	struct jsonout j;

	if (!serve_json_begin(&t, &j, q))
		return;
	pp_json_bool(&j, "ok", true);
	pp_json_unsigned(&j, "deleted_bytes", bytes);
	pp_json_end(&j);
	if (fclose(t.to) == 0)
		http_answer(q, 200, "application/json", t.bytes, t.len, HTTP_OWNED);
	else
		free(t.bytes);
}

enum order { ORDER_PIN, ORDER_UNPIN, ORDER_DELETE };

static void obey(struct prowl_serve *s, struct http_request *q, enum order order)
{
	json_t *root = json_loadb(q->body, q->body_len, JSON_REJECT_DUPLICATES, NULL);
	enum prowl_code code = PROWL_OK;
	struct prowl_err err = {0};
	uint64_t bytes = 0;
	struct range r;

	if (read_order(s, q, root, &r)) {
		if (order == ORDER_PIN)
			code = prowl_store_pin(s->o.store, r.from, r.to, r.reason ? r.reason : "",
					       &err);
		else if (order == ORDER_UNPIN)
			code = prowl_store_unpin(s->o.store, r.from, r.to, &err);
		else
			code = prowl_store_delete(s->o.store, r.from, r.to, &bytes, &err);
		if (code == PROWL_OK)
			say_done(q, bytes);
		else
			serve_failed(q, code, &err);
	}
	json_decref(root);
}

static void pin(struct prowl_serve *s, struct http_request *q)
{
	obey(s, q, ORDER_PIN);
}

static void unpin(struct prowl_serve *s, struct http_request *q)
{
	obey(s, q, ORDER_UNPIN);
}

static void delete (struct prowl_serve *s, struct http_request *q)
{
	obey(s, q, ORDER_DELETE);
}

const struct serve_route serve_store_routes[] = {
	{"/api/v1/series", AUTH_READ, false, true, series},
	{"/api/v1/labels", AUTH_READ, false, true, labels},
	{"/api/v1/labels/*/values", AUTH_READ, false, true, values},
	{"/api/v1/timeline", AUTH_READ, false, true, timeline},
	{"/api/v1/events", AUTH_READ, false, true, events},
	{"/api/v1/events/*", AUTH_READ, false, true, event_file},
	{"/api/v1/events/*/*", AUTH_READ, false, true, event_file},
	{"/api/v1/events/*/*/*", AUTH_READ, false, true, event_file},
	{"/api/v1/pin", AUTH_EFFECT, true, true, pin},
	{"/api/v1/unpin", AUTH_EFFECT, true, true, unpin},
	{"/api/v1/delete", AUTH_OWNER, true, true, delete},
	{NULL},
};

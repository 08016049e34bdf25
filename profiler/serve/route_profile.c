/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles out of the store: merged, filtered, in any format; two of them compared. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pprof_report.h"
#include "query.h"
#include "series.h"

#define HOUR (3600 * INT64_C(1000000000))

/* What is looked at, of one profile or of both sides of a comparison. */
struct look {
	const struct pprof_exporter *format;
	struct pprof_filter_options filter;
	struct pprof_report_options report;
	bool filtered;
	unsigned int tags;
};

struct side {
	struct serve_query query;
	struct prowl_store_merged *merged;
	struct pprof_profile *profile; /* as it is shown */
	int64_t total;
};

/* --- what is asked for ---------------------------------------------------------------- */

static bool read_word(struct http_request *q, const char *name, const char *const *words,
		      const char *message, unsigned int *ret)
{
	const char *text = weburl_param(&q->url, name);

	*ret = 0;
	if (!text || !*text)
		return true;
	for (unsigned int i = 0; words[i]; i++)
		if (strcmp(words[i], text) == 0) {
			*ret = i;
			return true;
		}
	serve_error(q, 400, "bad_parameter", message, NULL);
	return false;
}

static const char *filter_text(const struct http_request *q, const char *name, struct look *l)
{
	const char *text = weburl_param(&q->url, name);

	if (!text || !*text)
		return NULL;
	l->filtered = true;
	return text;
}

/* Labels that the store makes on demand. */
static unsigned int tags_in(const char *text)
{
	if (!text)
		return 0;
	return (strstr(text, "window") ? PROWL_STORE_TAG_WINDOW : 0) |
	       (strstr(text, "series") ? PROWL_STORE_TAG_SERIES : 0);
}

static bool read_format(struct http_request *q, const char *otherwise, unsigned int flags,
			struct look *l)
{
	const char *name = weburl_param(&q->url, "format");
	char message[256] = "format is one of", *end = message + strlen(message);

	l->format = pprof_exporter_named(name && *name ? name : otherwise);
	if (l->format && (l->format->flags & flags) == flags &&
	    strcmp(l->format->name, "peek") != 0)
		return true;
	for (size_t i = 0; pprof_exporter_at(i); i++)
		if ((pprof_exporter_at(i)->flags & flags) == flags &&
		    strcmp(pprof_exporter_at(i)->name, "peek") != 0 && end < message + 200)
			end += snprintf(end, 50, " %.40s", pprof_exporter_at(i)->name);
	serve_error(q, 400, "bad_parameter", message, NULL);
	return false;
}

static bool read_look(struct http_request *q, const char *otherwise, unsigned int flags,
		      struct look *l)
{
	static const char *const granularities[] = {
		[PPROF_FUNCTION] = "function", [PPROF_FILE_FUNCTION] = "filefunction",
		[PPROF_FILE] = "file",         [PPROF_LINE] = "line",
		[PPROF_ADDRESS] = "address",   [PPROF_PACKAGE] = "package",
		[PPROF_PACKAGE + 1] = NULL,
	};
	unsigned int granularity;
	uint64_t nodes;

	*l = (struct look){.filter = PPROF_SIZED(l->filter), .report = PPROF_SIZED(l->report)};
	if (!read_format(q, otherwise, flags, l) ||
	    !read_word(q, "granularity", granularities,
		       "granularity is function, filefunction, file, line, address or package",
		       &granularity) ||
	    !serve_number(q, "max_nodes", 0, 1, 1000000, &nodes))
		return false;
	l->filter.focus = filter_text(q, "focus", l);
	l->filter.ignore = filter_text(q, "ignore", l);
	l->filter.hide = filter_text(q, "hide", l);
	l->filter.show = filter_text(q, "show", l);
	l->filter.show_from = filter_text(q, "show_from", l);
	l->filter.tag_focus = filter_text(q, "tag", l);
	l->filter.tag_root = filter_text(q, "tagroot", l);
	l->filter.granularity = (enum pprof_granularity)granularity;
	l->filtered |= granularity != PPROF_FUNCTION;
	l->tags = tags_in(l->filter.tag_focus) | tags_in(l->filter.tag_root);
	l->report.nodes = nodes;
	return true;
}

/* --- making it ------------------------------------------------------------------------ */

static void side_fini(struct side *x)
{
	if (x->profile && x->merged && x->profile != x->merged->profile)
		pprof_profile_free(x->profile);
	prowl_store_merged_free(x->merged);
	serve_query_fini(&x->query);
}

static void say_wrong(struct http_request *q, const struct pprof_diag *diag, int e)
{
	char message[256];

	if (e != -EINVAL) {
		serve_no_memory(q);
		return;
	}
	snprintf(message, sizeof message, "%s%s%s", diag->what ? diag->what : "wrong",
		 diag->detail[0] ? ": " : "", diag->detail);
	serve_error(q, 400, "bad_parameter", message, NULL);
}

/* The profile of a range as it is shown; false after an answer. */
static bool make_side(struct prowl_serve *s, struct http_request *q, const struct look *l,
		      const char *name, struct side *x)
{
	/* Its own form is left as it is; reports leave out the frames that a profile itself drops.
	 */
	bool as_it_is = !l->filtered && (l->format->flags & PPROF_EXPORT_BINARY);
	struct pprof_diag diag = {0};
	struct prowl_err err = {0};
	enum prowl_code code;
	size_t type;
	int e;

	if (!serve_query_of(s, q, name, HOUR, &x->query))
		return false;
	x->query.q.tags = l->tags;
	code = prowl_store_merge(s->o.store, &x->query.q, &x->merged, &err);
	if (code != PROWL_OK) {
		serve_failed(q, code, &err);
		return false;
	}
	x->profile = x->merged->profile;
	if (pprof_find_sample_type(x->profile, x->query.q.type, &type) == 0)
		x->total = pprof_total(x->profile, type);
	if (as_it_is)
		return true;
	e = pprof_filter(x->profile, &l->filter, &x->profile, &diag);
	if (e < 0) {
		x->profile = NULL;
		say_wrong(q, &diag, e);
	}
	return e == 0;
}

static void add_facts(struct http_request *q, const struct side *a, const struct side *b)
{
	size_t used = a->merged->used, missing = a->merged->missing, skipped = a->merged->skipped;
	char text[96];

	if (b) {
		used += b->merged->used;
		missing += b->merged->missing;
		skipped += b->merged->skipped;
	}
	snprintf(text, sizeof text, "%zu/%zu/%zu", used, missing, skipped);
	http_add(q, "X-Prowl-Windows", text);
	http_add(q, "X-Prowl-Exact", "1");
}

/* What a browser saves: etcd-cpu.pb.gz. */
static void add_disposition(struct http_request *q, const struct look *l, const struct side *x)
{
	static const char *const shown[] = {"flame", "json",   "text",  "tree",
					    "svg",   "traces", "folded"};
	char text[200];

	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
		if (strcmp(l->format->name, shown[i]) == 0)
			return;
	snprintf(text, sizeof text, "attachment; filename=\"prowl-%.31s%s\"",
		 x->query.q.kind ? x->query.q.kind : "cpu", l->format->suffix);
	http_add(q, "Content-Disposition", text);
}

static void send_report(struct http_request *q, struct look *l, const struct side *x,
			const struct side *base)
{
	struct serve_text t;
	int e;

	if (!serve_text_begin(&t, q))
		return;
	l->report.sample_type = x->query.q.type;
	l->report.total = l->filtered ? x->total : 0;
	l->report.filtered = l->filtered ? &l->filter : NULL;
	l->report.base = base ? base->profile : NULL;
	e = l->format->write(x->profile, &l->report, t.to);
	if (e == 0) {
		add_facts(q, x, base);
		add_disposition(q, l, x);
		serve_text_end(&t, q, l->format->mime,
			       base && !base->query.keep_s ? 0 : x->query.keep_s);
		return;
	}
	fclose(t.to);
	free(t.bytes);
	if (e == -ENOENT)
		serve_error(q, 400, "bad_parameter", "the profile has no values of that type",
			    NULL);
	else if (e == -ENODATA || e == -EINVAL || e == -ENOTSUP)
		serve_error(
			q, 422, "no_data",
			"that can't be made of this profile: there is no such code or value in it",
			NULL);
	else
		serve_no_memory(q);
}

/* --- paths ---------------------------------------------------------------------------- */

static void profile(struct prowl_serve *s, struct http_request *q)
{
	struct side x = {0};
	struct look l;

	if (read_look(q, "pprof", 0, &l) && make_side(s, q, &l, "", &x))
		send_report(q, &l, &x, NULL);
	side_fini(&x);
}

static void pgo(struct prowl_serve *s, struct http_request *q)
{
	struct look l = {.format = pprof_exporter_named("pgo"),
			 .filter = PPROF_SIZED(l.filter),
			 .report = PPROF_SIZED(l.report)};
	struct side x = {0};

	if (make_side(s, q, &l, "", &x))
		send_report(q, &l, &x, NULL);
	side_fini(&x);
}

/* a is before, b is after. */
static void diff(struct prowl_serve *s, struct http_request *q)
{
	struct side a = {0}, b = {0};
	struct look l;

	if (read_look(q, "flame", PPROF_EXPORT_COMPARES, &l) && make_side(s, q, &l, "a.", &a) &&
	    make_side(s, q, &l, "b.", &b))
		send_report(q, &l, &b, &a);
	side_fini(&a);
	side_fini(&b);
}

const struct serve_route serve_profile_routes[] = {
	{"/api/v1/profile", AUTH_READ, false, true, profile},
	{"/api/v1/diff", AUTH_READ, false, true, diff},
	{"/api/v1/pgo", AUTH_READ, false, true, pgo},
	{NULL},
};

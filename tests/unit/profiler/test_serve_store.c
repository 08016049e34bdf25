/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon's server answers from a store that the test makes. */
#include "serve.h"

#include <ftw.h>
#include <jansson.h>
#include <math.h>
#include <sys/stat.h>

#include "ask_http.h"
#include "backend.h"
#include "httpask.h"
#include "pprof.h"
#include "series.h"
#include "store.h"
#include "weburl.h"

#define MINUTE INT64_C(60000000000)
#define BASE   INT64_C(1796025600000000000) /* 2026-11-30T08:00:00Z */

static struct {
	char dir[32], path[64], folder[64];
	struct prowl_store *store;
	struct prowl_serve *serve;
	struct prowl_series *old, *new, *web;
	char event[PROWL_STORE_ID];
} t;

/* --- the store ----------------------------------------------------------------------- */

static struct prowl_series *make_series(const char *service, const char *build)
{
	struct prowl_series_label labels[] = {{PROWL_SERIES_SERVICE, service, true},
					      {PROWL_SERIES_BUILD, build, true},
					      {"team", "edge", false}};
	struct prowl_series *s;

	assert_int_equal(prowl_series_new(labels, 3, &s), 0);
	return s;
}

static void add_stack(struct pprof_profile *p, const char *function, int64_t count, int64_t ns)
{
	int64_t values[] = {count, ns};
	struct pprof_function f = {.start_line = 10};
	struct pprof_mapping m = {.start = 0x400000, .limit = 0x500000};
	struct pprof_line line = {0, 12, 0};
	uint32_t mapping, stack[2];

	pprof_string(p, "/usr/bin/etcd", &m.filename);
	pprof_mapping(p, &m, &mapping);
	pprof_string(p, function, &f.name);
	f.system_name = f.name;
	pprof_string(p, "/src/main.go", &f.filename);
	pprof_function(p, &f, &line.function);
	pprof_location(p, mapping, 0x401000 + (uint64_t)function[5], &line, 1, &stack[0]);
	f.start_line = 1;
	pprof_string(p, "main.main", &f.name);
	f.system_name = f.name;
	pprof_function(p, &f, &line.function);
	pprof_location(p, mapping, 0x401001, &line, 1, &stack[1]);
	assert_int_equal(pprof_sample_add(p, stack, 2, values, NULL, 0), 0);
}

static struct pprof_profile *make_cpu(const char *function, int64_t n)
{
	struct pprof_profile *p;

	assert_int_equal(pprof_profile_new(&p), 0);
	pprof_sample_type(p, "samples", "count");
	pprof_sample_type(p, "cpu", "nanoseconds");
	pprof_period(p, "cpu", "nanoseconds", 10000000);
	add_stack(p, function, n, n * 10000000);
	return p;
}

static void put(const struct prowl_series *series, int minute, const char *function, int64_t n,
		unsigned int flags)
{
	struct pprof_profile *p = make_cpu(function, n);
	struct prowl_store_part part = {
		.series = series,
		.kind = "cpu",
		.profile = p,
		.facts = {.wall_start = BASE + minute * MINUTE,
			  .wall_end = BASE + (minute + 1) * MINUTE,
			  .mono_start = minute * MINUTE,
			  .mono_end = (minute + 1) * MINUTE,
			  .boot_id = "boot",
			  .samples = (uint64_t)n,
			  .cpu_ns = (uint64_t)n * 10000000,
			  .flags = flags},
	};
	struct prowl_err err;

	p->time_nanos = part.facts.wall_start;
	p->duration_nanos = MINUTE;
	if (prowl_store_put(t.store, &part, 1, NULL, &err) != PROWL_OK)
		fail_msg("%s", err.text);
	pprof_profile_free(p);
}

static void fill(void)
{
	struct prowl_store_event event = {.time = BASE + 5 * MINUTE,
					  .kind = "capture",
					  .summary = "asked for <b>",
					  .series = t.old,
					  .pid = 42};
	struct prowl_store_capture files[] = {{.name = "note.txt", .bytes = "hello", .len = 5}};
	struct prowl_err err;

	for (int i = 0; i < 4; i++) {
		put(t.old, i, "main.work", 100, 0);
		put(t.web, i, "main.serve", 10, 0);
	}
	/* Nothing for two minutes; then another build. */
	put(t.new, 6, "main.work", 150, PROWL_STORE_RESTARTED);
	put(t.new, 7, "main.other", 50, 0);
	if (prowl_store_event_put(t.store, &event, files, 1, t.event, &err) != PROWL_OK)
		fail_msg("%s", err.text);
}

/* --- a backend of nothing ------------------------------------------------------------- */

static void no_targets(void *ctx, unsigned int states,
		       void (*each)(void *arg, const struct prowl_backend_target *target),
		       void *arg)
{
}

static void no_metrics(void *ctx, void (*each)(void *arg, const struct prowl_metric *m), void *arg)
{
}

static const struct prowl_backend backend = {.targets = no_targets, .metrics = no_metrics};

static int start(void **state)
{
	struct prowl_store_options so = {.path = t.folder, .no_fsync = true};
	struct prowl_listener at;
	struct prowl_serve_options o = {
		.listeners = &at, .nlisteners = 1, .gid = (gid_t)-1, .backend = &backend};
	char address[80];
	struct prowl_err err;

	snprintf(t.dir, sizeof t.dir, "/tmp/prowl-unit-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	snprintf(t.path, sizeof t.path, "%s/sock", t.dir);
	snprintf(t.folder, sizeof t.folder, "%s/store", t.dir);
	snprintf(address, sizeof address, "unix:%s", t.path);
	t.old = make_series("etcd", "v1");
	t.new = make_series("etcd", "v2");
	t.web = make_series("web", "v7");
	if (prowl_store_open(&so, &t.store, &err) != PROWL_OK)
		fail_msg("%s", err.text);
	fill();
	assert_int_equal(prowl_serve_listen(address, (gid_t)-1, &at, &err), PROWL_OK);
	o.store = t.store;
	if (prowl_serve_open(&o, &t.serve, &err) != PROWL_OK)
		fail_msg("%s", err.text);
	return 0;
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

static int stop(void **state)
{
	prowl_serve_close(t.serve);
	prowl_store_close(t.store);
	nftw(t.dir, drop, 8, FTW_DEPTH | FTW_PHYS);
	prowl_series_free(t.old);
	prowl_series_free(t.new);
	prowl_series_free(t.web);
	return 0;
}

TEST_GROUP(start, stop);

#define RANGE "from=2026-11-30T08:00:00Z&to=2026-11-30T09:00:00Z"

static struct http_reply ask(const char *target)
{
	struct http_reply r;

	assert_int_equal(http_ask(t.path, target, NULL, -1, &r), 0);
	return r;
}

static json_t *ask_json(const char *target)
{
	struct http_reply r = ask(target);
	json_error_t wrong;
	json_t *root = json_loads(r.body, 0, &wrong);

	if (r.status != 200 || !root)
		fail_msg("%s: %u %s", target, r.status, r.body);
	http_reply_fini(&r);
	return root;
}

static void refused(const char *target, unsigned int status, const char *part)
{
	struct http_reply r = ask(target);

	if (r.status != status || !strstr(r.body, part))
		fail_msg("%s: %u %s", target, r.status, r.body);
	http_reply_fini(&r);
}

/* A member of an object in an array; NULL without it. */
static const char *text_at(json_t *root, const char *array, size_t i, const char *name)
{
	return json_string_value(
		json_object_get(json_array_get(json_object_get(root, array), i), name));
}

static json_t *member(json_t *root, const char *array, size_t i, const char *name)
{
	return json_object_get(json_array_get(json_object_get(root, array), i), name);
}

static int64_t total(const char *target)
{
	struct http_reply r = ask(target);
	struct pprof_profile *p;
	int64_t sum;

	if (r.status != 200 || pprof_decode(r.body, r.len, 0, &p, NULL) != 0)
		fail_msg("%s: %u %s", target, r.status, r.body);
	sum = pprof_total(p, 0);
	pprof_profile_free(p);
	http_reply_fini(&r);
	return sum;
}

/* --- tests ---------------------------------------------------------------------------- */

TEST(series_have_their_labels_kinds_and_cpu_time)
{
	json_t *root = ask_json("/api/v1/series?" RANGE "&match=service%3D%22etcd%22");
	double cpu = 0;

	assert_int_equal(json_array_size(json_object_get(root, "series")), 2);
	assert_string_equal(
		json_string_value(json_object_get(member(root, "series", 0, "labels"), "service")),
		"etcd");
	assert_string_equal(
		json_string_value(json_array_get(member(root, "series", 0, "kinds"), 0)), "cpu");
	for (size_t i = 0; i < 2; i++)
		cpu += json_number_value(member(root, "series", i, "cpu_ns"));
	assert_int_equal((int64_t)cpu, 600 * INT64_C(10000000));
	assert_int_equal(json_integer_value(member(root, "series", 0, "first")) % 60000, 0);
	json_decref(root);
}

TEST(labels_and_their_values)
{
	json_t *root = ask_json("/api/v1/labels?" RANGE);
	char *text;

	text = json_dumps(root, JSON_COMPACT);
	assert_non_null(strstr(text, "\"service\""));
	free(text);
	json_decref(root);
	root = ask_json("/api/v1/labels/service/values?" RANGE "&prefix=w");
	assert_int_equal(json_array_size(json_object_get(root, "values")), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(root, "values"), 0)),
			    "web");
	json_decref(root);
}

TEST(a_timeline_has_lines_gaps_releases_and_events)
{
	json_t *root = ask_json("/api/v1/timeline?" RANGE "&by=service&step=60s"), *points;

	assert_int_equal(json_integer_value(json_object_get(root, "step")), 60000);
	assert_int_equal(json_array_size(json_object_get(root, "series")), 2);
	assert_string_equal(text_at(root, "series", 0, "unit"), "nanoseconds");
	points = member(root, "series", 0, "points");
	assert_int_equal(json_array_size(points), 6);
	assert_int_equal(json_integer_value(json_array_get(json_array_get(points, 0), 0)),
			 BASE / 1000000);
	assert_int_equal((int64_t)json_number_value(json_array_get(json_array_get(points, 4), 1)),
			 150 * INT64_C(10000000));
	assert_string_equal(text_at(root, "releases", 0, "build"), "v2");
	assert_int_equal(json_array_size(json_object_get(root, "releases")), 1);
	assert_string_equal(text_at(root, "events", 0, "id"), t.event);
	assert_true(json_array_size(json_object_get(root, "gaps")) > 0);
	assert_string_equal(text_at(root, "gaps", 0, "reason"), "the daemon was not running");
	json_decref(root);
	refused("/api/v1/timeline?step=x", 400, "step is auto");
	refused("/api/v1/timeline?from=now&to=-1h", 400, "from is not before to");
	refused("/api/v1/timeline?from=yesterday", 400, "from is a time");
	refused("/api/v1/timeline?match=service%3D%22a", 400, "bad_parameter");
}

TEST(profiles_of_any_range)
{
	struct http_reply r;

	assert_int_equal(total("/api/v1/profile?" RANGE), 640);
	assert_int_equal(total("/api/v1/profile?" RANGE "&match=service%3D%22web%22"), 40);
	assert_int_equal(total("/api/v1/profile?from=2026-11-30T08:06Z&to=2026-11-30T08:07Z"), 150);
	assert_int_equal(total("/api/v1/profile?" RANGE "&focus=main.other"), 50);
	refused("/api/v1/profile?" RANGE "&match=service%3D%22none%22", 422, "no_data");
	refused("/api/v1/profile?" RANGE "&kind=heap", 422, "no_data");
	refused("/api/v1/profile?" RANGE "&focus=(", 400, "focus");
	refused("/api/v1/profile?" RANGE "&format=nothing", 400, "flame");
	refused("/api/v1/profile?" RANGE "&format=text&type=nothing", 400,
		"no values of that type");
	refused("/api/v1/profile?" RANGE "&agg=x", 400, "agg is");
	refused("/api/v1/profile?" RANGE "&granularity=x", 400, "granularity is");
	r = ask("/api/v1/profile?" RANGE "&format=text");
	assert_non_null(strstr(r.body, "main.work"));
	http_reply_fini(&r);
	r = ask("/api/v1/profile?" RANGE "&format=folded&tagroot=window");
	assert_non_null(strstr(r.body, "2026-11-30T08:07Z;main.main;main.other"));
	http_reply_fini(&r);
}

TEST(flame_graphs_for_the_page)
{
	json_t *root = ask_json("/api/v1/profile?" RANGE "&format=flame&max_nodes=1000");
	char *text = json_dumps(json_object_get(root, "names"), JSON_COMPACT);

	assert_non_null(strstr(text, "main.work"));
	free(text);
	json_decref(root);
	root = ask_json(
		"/api/v1/diff?a.from=2026-11-30T08:00Z&a.to=2026-11-30T08:04Z&a.match="
		"service%3D%22etcd%22&b.match=service%3D%22etcd%22&b.from=2026-11-30T08:06Z&"
		"b.to=2026-11-30T08:08Z&kind=cpu&format=flame");
	assert_non_null(json_object_get(root, "base"));
	json_decref(root);
	refused("/api/v1/diff?format=text", 400, "format is one of html svg flame");
}

TEST(profiles_for_the_compiler)
{
	struct http_reply r = ask("/api/v1/pgo?" RANGE "&match=service%3D%22etcd%22");
	struct pprof_profile *p;

	assert_int_equal(r.status, 200);
	assert_int_equal(pprof_decode(r.body, r.len, 0, &p, NULL), 0);
	assert_true(p->nsamples > 0);
	pprof_profile_free(p);
	http_reply_fini(&r);
}

TEST(events_and_their_files)
{
	json_t *root = ask_json("/api/v1/events?" RANGE);
	char target[400], escaped[200];
	struct http_reply r;

	assert_string_equal(text_at(root, "events", 0, "summary"), "asked for <b>");
	assert_int_equal(json_integer_value(member(root, "events", 0, "pid")), 42);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(member(root, "events", 0, "files"), 0), "name")),
			    "note.txt");
	assert_int_equal(json_integer_value(json_object_get(
				 json_array_get(member(root, "events", 0, "files"), 0), "bytes")),
			 5);
	json_decref(root);
	assert_true(weburl_escape(t.event, "", escaped, sizeof escaped));
	for (int i = 0; i < 2; i++) {
		snprintf(target, sizeof target, "/api/v1/events/%s/note.txt",
			 i ? escaped : t.event);
		r = ask(target);
		assert_int_equal(r.status, 200);
		assert_string_equal(r.body, "hello");
		assert_string_equal(r.type, "text/plain; charset=utf-8");
		http_reply_fini(&r);
		snprintf(target, sizeof target, "/api/v1/events/%s", i ? escaped : t.event);
		r = ask(target);
		assert_int_equal(r.status, 200);
		assert_non_null(strstr(r.body, "capture"));
		http_reply_fini(&r);
	}
	refused("/api/v1/events/..%2F..%2Fstore.json", 404, "no_such_event");
	refused("/api/v1/events/..%2Fdata/x", 404, "no_such_event");
	refused("/api/v1/events/2026-11-30/..%2F..%2Fx/..%2Fstore.json", 404, "no_such_event");
	snprintf(target, sizeof target, "/api/v1/events/%s/..%%2F..%%2F..%%2Fstore.json", escaped);
	refused(target, 404, "no_such_event");
	snprintf(target, sizeof target, "/api/v1/events/%s/.hidden", escaped);
	refused(target, 404, "no_such_event");
}

TEST(ranges_are_pinned)
{
	static const char range[] =
		"{\"from\": \"2026-11-30T08:00:00Z\", \"to\": 1796029200000, \"reason\": \"why\"}";
	struct prowl_store_pins *pins;
	struct http_reply r;

	assert_int_equal(http_ask(t.path, "/api/v1/pin", range, -1, &r), 0);
	if (r.status != 200)
		fail_msg("%s", r.body);
	http_reply_fini(&r);
	assert_int_equal(prowl_store_pins(t.store, &pins, NULL), PROWL_OK);
	assert_int_equal(pins->n, 1);
	assert_int_equal(pins->rows[0].from, BASE);
	assert_int_equal(pins->rows[0].to, BASE + 60 * MINUTE);
	prowl_store_pins_free(pins);
	assert_int_equal(http_ask(t.path, "/api/v1/unpin", range, -1, &r), 0);
	assert_int_equal(r.status, 200);
	http_reply_fini(&r);
	assert_int_equal(http_ask(t.path, "/api/v1/unpin", range, -1, &r), 0);
	assert_int_equal(r.status, 422);
	http_reply_fini(&r);
	assert_int_equal(http_ask(t.path, "/api/v1/pin", "{\"from\": 5}", -1, &r), 0);
	assert_int_equal(r.status, 400);
	http_reply_fini(&r);
}

TEST(the_page_is_there)
{
	struct http_reply r = ask("/");

	assert_int_equal(r.status, 200);
	assert_string_equal(r.type, "text/html; charset=utf-8");
	http_reply_fini(&r);
	refused("/ui/nothing", 404, "no_such_path");
}

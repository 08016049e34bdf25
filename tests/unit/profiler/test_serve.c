/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's server over a backend that the test makes: paths, errors, captures, figures. */
#include "serve.h"

#include <pthread.h>
#include <sys/stat.h>

#include "ask_http.h"
#include "backend.h"
#include "httpask.h"
#include "pprof.h"
#include "series.h"

/* --- in place of the profiler ------------------------------------------------------- */

static struct {
	struct prowl_series *series[3];
	pthread_mutex_t lock;
	unsigned int captures, ended, stopped, reloads;
	struct prowl_capture_wish last;
	bool busy, not_ready;
	bool begun; /* a capture with a window waits */
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *const all_kinds[] = {"cpu", "heap", "goroutine", NULL};
static const struct prowl_target_lack lacks[] = {{"heap", "its runtime is not known"}};

static void targets(void *ctx, unsigned int states,
		    void (*each)(void *arg, const struct prowl_backend_target *t), void *arg)
{
	const struct prowl_backend_target all[] = {
		{.id = {102, 2000},
		 .state = PROWL_TARGET_ACTIVE,
		 .series = fake.series[1],
		 .started = 2000000000,
		 .comm = "web\x1b[2J",
		 .exe = "/usr/bin/web",
		 .go = "go1.27.1",
		 .container_id = "0123456789abcdef0123456789abcdef",
		 .pod = "web-7d9",
		 .image = "",
		 .exit = "",
		 .kinds = all_kinds},
		{.id = {101, 1000},
		 .state = PROWL_TARGET_ACTIVE,
		 .series = fake.series[0],
		 .started = 1000000000,
		 .comm = "etcd",
		 .exe = "/usr/bin/etcd",
		 .go = "go1.19",
		 .container_id = "",
		 .pod = "",
		 .image = "",
		 .exit = "",
		 .kinds = all_kinds,
		 .lacks = lacks,
		 .nlacks = 1,
		 .cpu_ns = 5,
		 .last_window = 3000000000},
		{.id = {103, 1500},
		 .state = PROWL_TARGET_ACTIVE,
		 .series = fake.series[1],
		 .comm = "web",
		 .exe = "",
		 .go = "",
		 .container_id = "",
		 .pod = "",
		 .image = "",
		 .exit = ""},
		{.id = {101, 10},
		 .state = PROWL_TARGET_GONE,
		 .series = fake.series[2],
		 .ended = 500000000,
		 .comm = "old",
		 .exe = "",
		 .go = "",
		 .container_id = "",
		 .pod = "",
		 .image = "",
		 .exit = "killed by signal 9"},
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (states & 1u << all[i].state)
			each(arg, &all[i]);
}

static void status(void *ctx, void (*take)(void *arg, const struct prowl_backend_status *s),
		   void *arg)
{
	static const char *const degraded[] = {"the disk is full"};
	static const struct prowl_budget_use budgets[] = {{"cpu", 0.004, 0.01}};
	static const struct prowl_sink_status sinks[] = {{.name = "grafana",
							  .type = "pyroscope",
							  .url = "http://h:4040",
							  .sent = 3,
							  .last_error = "refused"}};
	const struct prowl_backend_status s = {.version = "0.1.0",
					       .host = "web-1",
					       .mode = "whole machine",
					       .mode_why = "",
					       .sampling = true,
					       .now = 5000000000,
					       .config = "",
					       .config_hash = "",
					       .rate = 19,
					       .active = 3,
					       .self_cpu = 0.004,
					       .store = "/var/lib/prowl",
					       .store_bytes = 7,
					       .degraded = degraded,
					       .ndegraded = 1,
					       .budgets = budgets,
					       .nbudgets = 1,
					       .sinks = sinks,
					       .nsinks = 1};

	take(arg, &s);
}

static bool ready(void *ctx, char *why, size_t len)
{
	snprintf(why, len, "%s", fake.not_ready ? "the first window is not over" : "");
	return !fake.not_ready;
}

static struct pprof_profile *make_profile(const char *kind, int64_t value)
{
	struct pprof_line line = {0, 12, 0};
	struct pprof_function f = {0};
	struct pprof_profile *p;
	struct pprof_label label = {0};
	uint32_t location;

	assert_int_equal(pprof_profile_new(&p), 0);
	pprof_sample_type(p, strcmp(kind, "goroutine") == 0 ? "goroutine" : kind, "count");
	pprof_string(p, "main.work", &f.name);
	pprof_string(p, "/src/main.go", &f.filename);
	pprof_function(p, &f, &line.function);
	pprof_location(p, PPROF_NONE, 0x401000, &line, 1, &location);
	pprof_string(p, "user", &label.key);
	pprof_string(p, "x", &label.str);
	pprof_sample_add(p, &location, 1, &value, &label, 1);
	p->time_nanos = 1000000000;
	return p;
}

/* One with a window lasts until nobody waits for it, or for 20 ms. */
static enum prowl_code capture(void *ctx, const struct prowl_capture_wish *wish,
			       struct pprof_profile **ret, bool *busy, struct prowl_err *err)
{
	struct pollfd wake = {wish->wake_fd, POLLIN, 0};
	unsigned int n;

	pthread_mutex_lock(&fake.lock);
	n = ++fake.captures;
	fake.last = *wish;
	fake.begun = true;
	pthread_mutex_unlock(&fake.lock);
	if (fake.busy) {
		*busy = true;
		return PROWL_FAILED;
	}
	if (wish->id.pid == 103 && strcmp(wish->kind, "cpu") == 0)
		return prowl_fail(err, PROWL_NOTHING, "the target used no CPU time");
	if (wish->id.pid == 101 && wish->id.start == 10)
		return prowl_fail(err, PROWL_NOTHING, "it is gone");
	if (wish->id.pid == 103)
		return prowl_fail(err, PROWL_UNSUPPORTED, "it is not a Go program");
	/* The long one ends by itself only if nobody ends it. */
	if (poll(&wake, 1, wish->ns == 60000000000u ? 20000 : wish->ns ? 300 : 0) > 0) {
		pthread_mutex_lock(&fake.lock);
		fake.ended++;
		pthread_mutex_unlock(&fake.lock);
	}
	*ret = make_profile(wish->kind, 10 + (int64_t)n);
	return PROWL_OK;
}

static enum prowl_code goroutine_text(void *ctx, const struct prowl_process_id *id, FILE *to,
				      struct prowl_err *err)
{
	fprintf(to, "goroutine 1 [running]:\nof %d\n", (int)id->pid);
	return PROWL_OK;
}

static ssize_t cmdline(void *ctx, const struct prowl_process_id *id, char *buf, size_t len)
{
	memcpy(buf, "etcd\0--name\0x\0", 14);
	return 14;
}

static bool symbol(void *ctx, const struct prowl_process_id *id, uint64_t address, char *name,
		   size_t len)
{
	snprintf(name, len, "main.f%llx", (unsigned long long)address);
	return address != 0x99;
}

static enum prowl_code window_now(void *ctx, const struct prowl_process_id *id, uint64_t ns,
				  struct pprof_profile **ret, struct prowl_err *err)
{
	*ret = make_profile("cpu", (int64_t)(ns / 1000000000u));
	return PROWL_OK;
}

static char event_asked[256];

static enum prowl_code capture_event(void *ctx, const struct prowl_capture_wish *wish,
				     const char *const *kinds, size_t nkinds, const char *reason,
				     char *id, size_t idlen, struct prowl_err *err)
{
	snprintf(event_asked, sizeof event_asked, "%d %llu %u %s %s %zu %s", (int)wish->id.pid,
		 (unsigned long long)wish->ns, wish->rate, kinds[0], kinds[nkinds - 1], nkinds,
		 reason);
	snprintf(id, idlen, "2026-11-30/081502Z-etcd-101-capture");
	return PROWL_OK;
}

static enum prowl_code reload(void *ctx, struct prowl_err *err)
{
	return fake.reloads++ ? prowl_fail(err, PROWL_USAGE, "line 3: what is that") : PROWL_OK;
}

static void stop_daemon(void *ctx)
{
	fake.stopped++;
}

static void metrics(void *ctx, void (*each)(void *arg, const struct prowl_metric *m), void *arg)
{
	static const struct prowl_metric all[] = {
		{"prowl_samples_total",
		 NULL,
		 "Samples.",
		 PROWL_COUNTER,
		 {{"target", "a\"b\\c\nd\xff"}, {"kind", "cpu"}},
		 12345678901.0},
		{"prowl_samples_total",
		 NULL,
		 "Samples.",
		 PROWL_COUNTER,
		 {{"target", "etcd"}, {"kind", "cpu"}},
		 0.5},
		{"prowl_x", "prowl_x_bucket", "X.", PROWL_HISTOGRAM, {{"le", "+Inf"}}, 3},
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		each(arg, &all[i]);
}

static const struct prowl_backend backend = {
	.targets = targets,
	.status = status,
	.ready = ready,
	.capture = capture,
	.goroutine_text = goroutine_text,
	.cmdline = cmdline,
	.symbol = symbol,
	.window_now = window_now,
	.capture_event = capture_event,
	.reload = reload,
	.stop = stop_daemon,
	.metrics = metrics,
};

/* --- the server --------------------------------------------------------------------- */

static struct {
	struct prowl_serve *serve;
	char dir[32], path[64], token_file[64];
	uint16_t port;
	char auth[96]; /* the header */
} t;

static struct prowl_series *make_series(const char *service)
{
	struct prowl_series_label labels[] = {{PROWL_SERIES_SERVICE, service, true},
					      {"team", "edge", false}};
	struct prowl_series *s;

	assert_int_equal(prowl_series_new(labels, 2, &s), 0);
	return s;
}

static struct http_reply ask_local(const char *target, const char *body)
{
	struct http_reply r;

	assert_int_equal(http_ask(t.path, target, body, -1, &r), 0);
	return r;
}

static int start(void **state)
{
	struct prowl_listener at[2];
	struct prowl_serve_options o = {
		.listeners = at,
		.nlisteners = 2,
		.token_file = t.token_file,
		.gid = (gid_t)-1,
		.max_captures = 2,
		.backend = &backend,
	};
	char address[80];
	struct prowl_err err;
	struct http_reply r;

	fake.series[0] = make_series("etcd");
	fake.series[1] = make_series("kube/web");
	fake.series[2] = make_series("old");
	snprintf(t.dir, sizeof t.dir, "/tmp/prowl-unit-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	snprintf(t.path, sizeof t.path, "%s/sock", t.dir);
	snprintf(t.token_file, sizeof t.token_file, "%s/token", t.dir);
	snprintf(address, sizeof address, "unix:%s", t.path);
	assert_int_equal(prowl_serve_listen(address, (gid_t)-1, &at[0], &err), PROWL_OK);
	assert_int_equal(prowl_serve_listen("http://127.0.0.1:0", (gid_t)-1, &at[1], &err),
			 PROWL_OK);
	t.port = at[1].port;
	if (prowl_serve_open(&o, &t.serve, &err) != PROWL_OK)
		fail_msg("%s", err.text);
	r = ask_local("/api/v1/token", "{}");
	assert_int_equal(r.status, 200);
	memcpy(t.auth, "Authorization: Bearer ", 22);
	memcpy(t.auth + 22, strstr(r.body, "\"token\": \"") + 10, 43);
	memcpy(t.auth + 65, "\r\n", 3);
	http_reply_fini(&r);
	return 0;
}

static int stop(void **state)
{
	struct stat st;

	prowl_serve_close(t.serve);
	assert_int_equal(stat(t.path, &st), -1); /* the socket is gone */
	unlink(t.token_file);
	rmdir(t.dir);
	for (size_t i = 0; i < 3; i++)
		prowl_series_free(fake.series[i]);
	return 0;
}

TEST_GROUP(start, stop);

static struct t_answer get(const char *path)
{
	char what[512];

	snprintf(what, sizeof what, "GET %s", path);
	return t_ask(t.port, what, t.auth);
}

#define assert_body(answer, part)                                             \
	do {                                                                  \
		if (!strstr((answer).body, part))                             \
			fail_msg("'%s' is not in '%s'", part, (answer).body); \
	} while (0)

/* --- who ---------------------------------------------------------------------------- */

TEST(the_socket_is_not_for_everybody)
{
	struct stat st;

	assert_int_equal(stat(t.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

TEST(only_the_own_socket_is_removed)
{
	struct prowl_listener first, second;
	char dir[] = "/tmp/prowl-unit-XXXXXX", address[64];
	const char *path = address + strlen("unix:");
	struct stat st;

	assert_non_null(mkdtemp(dir));
	snprintf(address, sizeof address, "unix:%s/s", dir);
	assert_int_equal(prowl_serve_listen(address, getegid(), &first, NULL), PROWL_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	/* It listens still. */
	assert_int_equal(prowl_serve_listen(address, getegid(), &second, NULL), PROWL_FAILED);
	close(first.fd);
	assert_int_equal(prowl_serve_listen(address, getegid(), &second, NULL), PROWL_OK);
	prowl_serve_unlink(&first);
	assert_int_equal(access(path, F_OK), 0);
	prowl_serve_unlink(&second);
	assert_int_equal(access(path, F_OK), -1);
	close(second.fd);
	rmdir(dir);
}

TEST(nothing_is_said_without_a_token)
{
	static const char *const paths[] = {"/",
					    "/metrics",
					    "/api/v1/status",
					    "/nothing",
					    "/targets/etcd/debug/pprof/heap",
					    "/api/v1/stop",
					    "/../x",
					    "/login"};

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		char what[128];
		struct t_answer a;

		snprintf(what, sizeof what, "GET %s", paths[i]);
		a = t_ask(t.port, what, "");
		if (a.status != (strcmp(paths[i], "/login") == 0 ? 400 : 401))
			fail_msg("%s: %s", paths[i], a.text);
		t_free(&a);
	}
	assert_status(t_ask(t.port, "GET /healthz", ""), 200);
	assert_status(t_ask(t.port, "GET /healthz", "Host: evil.example\r\n"), 421);
}

TEST(tcp_beyond_the_loopback_is_refused)
{
	struct prowl_listener at;
	struct prowl_serve_options o = {
		.listeners = &at, .nlisteners = 1, .gid = (gid_t)-1, .backend = &backend};
	struct prowl_serve *other;
	struct prowl_err err;

	assert_int_equal(prowl_serve_listen("http://0.0.0.0:0", (gid_t)-1, &at, &err), PROWL_OK);
	assert_true(at.beyond);
	assert_int_equal(prowl_serve_open(&o, &other, &err), PROWL_USAGE);
	assert_non_null(strstr(err.hint, "insecure"));
	assert_int_equal(prowl_serve_listen("http://0.0.0.0:0", (gid_t)-1, &at, &err), PROWL_OK);
	o.insecure = true;
	assert_int_equal(prowl_serve_open(&o, &other, &err), PROWL_OK);
	prowl_serve_close(other);
}

TEST(addresses_to_listen_at)
{
	static const char *const bad[] = {"",
					  "x",
					  "unix:relative",
					  "http://",
					  "http://example:1",
					  "http://127.0.0.1:99999",
					  "http://127.0.0.1:1x",
					  "http://127.0.0.1:80/x",
					  "http://[::1:80",
					  "https://127.0.0.1",
					  "fd:9999",
					  "fd:x",
					  "http://[127.0.0.1]:80"};
	struct prowl_listener at;
	struct prowl_err err;
	char address[80];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (prowl_serve_listen(bad[i], (gid_t)-1, &at, &err) != PROWL_USAGE)
			fail_msg("'%s': %s", bad[i], err.text);
	snprintf(address, sizeof address, "unix:%s", t.path);
	assert_int_equal(prowl_serve_listen(address, (gid_t)-1, &at, &err), PROWL_FAILED);
	assert_non_null(strstr(err.hint, "runs already"));
	snprintf(address, sizeof address, "unix:%s/dead", t.dir);
	for (int i = 0; i < 2; i++) { /* one that was left behind is no obstacle */
		assert_int_equal(prowl_serve_listen(address, (gid_t)-1, &at, &err), PROWL_OK);
		close(at.fd);
	}
	unlink(address + 5);
}

TEST(a_browser_logs_in_once)
{
	struct http_reply r = ask_local("/api/v1/login", "{}");
	char *url = strstr(r.body, "/login?once="), what[256], header[256];
	struct t_answer a;

	assert_int_equal(r.status, 200);
	snprintf(what, sizeof what, "GET %.*s", (int)strcspn(url, "\""), url);
	a = t_ask(t.port, what, "");
	assert_int_equal(a.status, 303);
	assert_true(t_has(&a, "Location: /"));
	assert_non_null(strstr(a.text, "HttpOnly; SameSite=Strict; Path=/"));
	url = strstr(a.text, "Set-Cookie: ") + 12;
	snprintf(header, sizeof header, "Cookie: %.*s\r\n", (int)strcspn(url, ";"), url);
	assert_status(t_ask(t.port, what, ""), 403);
	assert_status(t_ask(t.port, "GET /api/v1/status", header), 200);
	assert_status(t_post(t.port, "/api/v1/reload", header, "{}"), 403);
	t_free(&a);
	http_reply_fini(&r);
	/* Not at TCP. */
	snprintf(header, sizeof header, "%sContent-Type: application/json\r\n", t.auth);
	assert_status(t_post(t.port, "/api/v1/login", header, "{}"), 403);
	assert_status(t_post(t.port, "/api/v1/token", header, "{}"), 403);
	assert_status(t_post(t.port, "/api/v1/stop", header, "{}"), 403);
	assert_int_equal(fake.stopped, 0);
}

/* --- what it says of itself ---------------------------------------------------------- */

TEST(paths_and_methods_that_are_not_there)
{
	struct t_answer a = t_ask(t.port, "DELETE /api/v1/status", t.auth);

	assert_int_equal(a.status, 405);
	assert_true(t_has(&a, "Allow: GET, HEAD"));
	t_free(&a);
	a = get("/api/v1/reload");
	assert_int_equal(a.status, 405);
	assert_true(t_has(&a, "Allow: POST"));
	t_free(&a);
	a = get("/api/v1/nothing");
	assert_int_equal(a.status, 404);
	assert_body(a, "{\"error\": {\"code\": \"no_such_path\"");
	t_free(&a);
	assert_status(get("/api/v1/%2e%2e/status"), 400);
	assert_status(get("/api/v1/status/"), 404);
}

TEST(health)
{
	struct t_answer a = t_ask(t.port, "GET /readyz", "");

	assert_int_equal(a.status, 200);
	t_free(&a);
	fake.not_ready = true;
	a = t_ask(t.port, "GET /-/ready", "");
	fake.not_ready = false;
	assert_int_equal(a.status, 503);
	assert_body(a, "the first window is not over");
	t_free(&a);
}

TEST(figures_are_in_prometheus_format)
{
	struct t_answer a = get("/metrics");

	assert_int_equal(a.status, 200);
	assert_true(t_has(&a, "Content-Type: text/plain; version=0.0.4; charset=utf-8"));
	assert_body(a,
		    "# HELP prowl_samples_total Samples.\n# TYPE prowl_samples_total counter\n"
		    "prowl_samples_total{target=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\",kind=\"cpu\"} "
		    "12345678901\nprowl_samples_total{target=\"etcd\",kind=\"cpu\"} 0.5\n"
		    "# HELP prowl_x X.\n# TYPE prowl_x histogram\nprowl_x_bucket{le=\"+Inf\"} 3\n");
	assert_body(a, "prowl_http_requests_total{path=\"/readyz\",code=\"200\"} ");
	t_free(&a);
}

TEST(status_is_json)
{
	struct http_reply r = ask_local("/api/v1/status", NULL);

	assert_int_equal(r.status, 200);
	assert_string_equal(r.type, "application/json");
	assert_body(r, "\"degraded\": [\"the disk is full\"]");
	assert_body(r, "\"now\": 5000,");
	assert_body(r, "\"self\": {\"cpu\": 0.004");
	assert_body(r, "\"last_error\": \"refused\"");
	assert_body(r, "http://127.0.0.1:");
	http_reply_fini(&r);
}

TEST(processes_are_listed)
{
	struct t_answer a = get("/api/v1/targets");

	assert_int_equal(a.status, 200);
	assert_body(a, "\"key\": \"101@1000\",\"pid\": 101,\"start\": 1000,\"state\": \"active\","
		       "\"labels\": {\"service\": \"etcd\",\"team\": \"edge\"}");
	assert_body(a,
		    "\"why_not\": [{\"kind\": \"heap\",\"reason\": \"its runtime is not known\"}]");
	assert_body(a, "\"exit\": \"killed by signal 9\"");
	assert_null(strchr(a.body, '\x1b'));
	t_free(&a);
	a = get("/api/v1/targets?state=active");
	assert_null(strstr(a.body, "\"old\""));
	t_free(&a);
	assert_status(get("/api/v1/targets?state=x"), 400);
}

TEST(scrapers_find_them)
{
	struct t_answer a = get("/api/v1/sd");

	assert_int_equal(a.status, 200);
	assert_int_equal(a.body[0], '[');
	assert_body(a, "{\"targets\": [\"127.0.0.1\"],\"labels\": {\"__profile_path_prefix__\": "
		       "\"/targets/101@1000\",\"service_name\": \"etcd\"");
	t_free(&a);
}

TEST(what_did_not_change_is_not_sent_again)
{
	struct t_answer a = get("/api/v1/sd"), again;
	char headers[256], *tag = strstr(a.text, "ETag: ");

	assert_non_null(tag);
	snprintf(headers, sizeof headers, "%sIf-None-Match: %.*s\r\n", t.auth,
		 (int)strcspn(tag + 6, "\r"), tag + 6);
	again = t_ask(t.port, "GET /api/v1/sd", headers);
	assert_int_equal(again.status, 304);
	t_free(&again);
	t_free(&a);
}

/* --- profiles ----------------------------------------------------------------------- */

static int64_t sum(const struct t_answer *a)
{
	struct pprof_profile *p;
	int64_t total;

	if (pprof_decode(a->body, a->len, 0, &p, NULL) != 0)
		fail_msg("no profile: %s", a->text);
	total = p->nsamples ? pprof_sample_values(p, 0)[0] : 0;
	pprof_profile_free(p);
	return total;
}

TEST(a_profile_is_a_file)
{
	struct t_answer a = get("/targets/etcd/debug/pprof/heap");

	assert_int_equal(a.status, 200);
	assert_true(t_has(&a, "Content-Type: application/octet-stream"));
	assert_true(t_has(&a, "Content-Disposition: attachment; filename=\"heap\""));
	assert_null(strstr(a.text, "Content-Encoding"));
	assert_int_equal(sum(&a), 10 + fake.captures);
	assert_int_equal(fake.last.id.pid, 101);
	assert_int_equal(fake.last.id.start, 1000);
	assert_int_equal(fake.last.ns, 0);
	t_free(&a);
}

TEST(keys_name_processes)
{
	static const struct {
		const char *key;
		unsigned int status;
		int pid;
	} all[] = {
		{"101", 200, 101},
		{"101@1000", 200, 101},
		{"101@10", 422, 101},
		{"101@11", 404, 0},
		{"999", 404, 0},
		{"etcd", 200, 101},
		{"kube%2Fweb", 300, 0},
		{"kube%2Fweb?pick=oldest", 200, 103},
		{"kube%2Fweb?pick=newest", 200, 102},
		{"container:0123456789ab", 200, 102},
		{"container:01234", 404, 0},
		{"container:", 404, 0},
		{"pod:web-7d9", 200, 102},
		{"pod:web-7d9:other", 404, 0},
		{"pod:", 404, 0},
		{"old", 404, 0},
		{"99999999999999999999", 404, 0},
		{"-1", 404, 0},
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		size_t n = strcspn(all[i].key, "?");
		char path[128];
		struct t_answer a;

		snprintf(path, sizeof path, "/targets/%.*s/debug/pprof/goroutine%s", (int)n,
			 all[i].key, all[i].key + n);
		a = get(path);
		/* The one that can't be taken was the one that was meant. */
		if (all[i].pid == 103 ? a.status != 422 : a.status != all[i].status)
			fail_msg("%s: %s", path, a.text);
		if (all[i].pid)
			assert_int_equal(fake.last.id.pid, all[i].pid);
		if (all[i].status == 300)
			assert_body(a, "/targets/103@1500/debug/pprof/");
		t_free(&a);
	}
}

TEST(errors_are_text_as_go_tool_pprof_shows_it)
{
	struct t_answer a = get("/targets/103/debug/pprof/heap");

	assert_int_equal(a.status, 422);
	assert_true(t_has(&a, "X-Go-Pprof: 1"));
	assert_true(t_has(&a, "Content-Type: text/plain; charset=utf-8"));
	assert_string_equal(a.body, "it is not a Go program\n");
	t_free(&a);
	a = get("/targets/etcd/debug/pprof/nothing");
	assert_int_equal(a.status, 404);
	assert_string_equal(a.body, "Unknown profile\n");
	t_free(&a);
	a = get("/targets/etcd/debug/pprof/trace");
	assert_int_equal(a.status, 404);
	assert_body(a, "only the program itself");
	t_free(&a);
	a = get("/targets/etcd/debug/pprof/heap?seconds=x");
	assert_int_equal(a.status, 400);
	assert_body(a, "invalid value for \"seconds\" - must be a positive integer");
	t_free(&a);
	a = get("/targets/etcd/debug/pprof/heap?seconds=1&debug=1");
	assert_int_equal(a.status, 400);
	t_free(&a);
	assert_status(get("/targets/etcd/debug/pprof/profile?seconds=301"), 400);
	assert_status(get("/targets/etcd/debug/pprof/profile?seconds=1&rate=1000"), 400);
	fake.busy = true;
	a = get("/targets/etcd/debug/pprof/allocs");
	fake.busy = false;
	assert_int_equal(a.status, 429);
	assert_true(t_has(&a, "Retry-After: 5"));
	t_free(&a);
}

TEST(text_for_people)
{
	struct t_answer a = get("/targets/etcd/debug/pprof/goroutine?debug=1");

	assert_int_equal(a.status, 200);
	assert_true(t_has(&a, "Content-Type: text/plain; charset=utf-8"));
	assert_body(a, "goroutine profile: total ");
	assert_body(a, " @ 0x401000\n# labels: {\"user\":\"x\"}\n#\t0x401000\tmain.work\t"
		       "/src/main.go:12\n");
	t_free(&a);
	a = get("/targets/etcd/debug/pprof/goroutine?debug=2");
	assert_string_equal(a.body, "goroutine 1 [running]:\nof 101\n");
	t_free(&a);
}

TEST(a_window_of_the_past_is_there_at_once)
{
	struct t_answer a = get("/targets/etcd/debug/pprof/profile?seconds=7&now=0");

	assert_int_equal(a.status, 200);
	assert_int_equal(sum(&a), 7);
	t_free(&a);
	assert_status(get("/targets/etcd/debug/pprof/wall?seconds=7&now=0"), 400);
}

TEST(an_idle_program_has_an_empty_profile)
{
	struct t_answer a = get("/targets/103/debug/pprof/profile?seconds=1");
	struct pprof_profile *p;

	assert_int_equal(a.status, 200);
	assert_int_equal(pprof_decode(a.body, a.len, 0, &p, NULL), 0);
	assert_int_equal(p->nsamples, 0);
	assert_int_equal(p->duration_nanos, 1000000000);
	assert_string_equal(p->strings[p->sample_types[1].type], "cpu");
	assert_string_equal(p->strings[p->comments[0]], "the target used no CPU time");
	pprof_profile_free(p);
	t_free(&a);
	/* One that has ended has none. */
	assert_status(get("/targets/101@10/debug/pprof/profile?seconds=1"), 422);
}

TEST(the_difference_of_two_stacks)
{
	struct t_answer a = get("/targets/etcd/debug/pprof/goroutine?seconds=1");

	assert_int_equal(a.status, 200);
	assert_true(t_has(&a, "Content-Disposition: attachment; filename=\"goroutine-delta\""));
	assert_int_equal(sum(&a), 1); /* the second has one more */
	t_free(&a);
}

TEST(a_comment_says_that_gc_is_ignored_and_labels_can_be_left_out)
{
	struct t_answer a = get("/targets/etcd/debug/pprof/heap?gc=1&labels=0");
	struct pprof_profile *p;

	assert_int_equal(pprof_decode(a.body, a.len, 0, &p, NULL), 0);
	assert_int_equal(p->ncomments, 1);
	assert_non_null(strstr(p->strings[p->comments[0]], "gc=1 is ignored"));
	assert_int_equal(p->nlabels, 0);
	pprof_profile_free(p);
	t_free(&a);
}

static void wait_begun(void)
{
	bool begun = false;

	while (!begun) {
		usleep(1000);
		pthread_mutex_lock(&fake.lock);
		begun = fake.begun;
		pthread_mutex_unlock(&fake.lock);
	}
}

static int begin(const char *path)
{
	int fd = t_connect(t.port);
	char text[512];

	snprintf(text, sizeof text,
		 "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n", path, t.auth);
	t_send(fd, text);
	return fd;
}

TEST(a_client_that_goes_ends_the_capture)
{
	unsigned int before = fake.ended, ended;
	int fd;

	fake.begun = false;
	fd = begin("/targets/101/debug/pprof/profile?seconds=60");
	wait_begun();
	close(fd);
	do {
		usleep(1000);
		pthread_mutex_lock(&fake.lock);
		ended = fake.ended;
		pthread_mutex_unlock(&fake.lock);
	} while (ended == before);
	assert_int_equal(ended, before + 1);
	assert_status(t_ask(t.port, "HEAD /targets/101/debug/pprof/profile?seconds=60", t.auth),
		      200);
	assert_int_equal(fake.ended, before + 1);
}

TEST(equal_requests_share_a_capture)
{
	unsigned int before = fake.captures;
	struct t_answer a, b;
	int fd[2];

	fd[0] = begin("/targets/101/debug/pprof/wall?seconds=2");
	fd[1] = begin("/targets/etcd/debug/pprof/wall?seconds=2");
	a = t_receive(fd[0]);
	b = t_receive(fd[1]);
	assert_int_equal(a.status, 200);
	assert_int_equal(b.status, 200);
	/* The second was asked for while the first lasted, unless this machine was very slow. */
	if (fake.captures == before + 1)
		assert_int_equal(sum(&a), sum(&b));
	assert_true(fake.captures <= before + 2);
	t_free(&a);
	t_free(&b);
}

TEST(the_rest_of_net_http_pprof)
{
	struct t_answer a = get("/targets/etcd/debug/pprof/");
	char headers[256];

	assert_int_equal(a.status, 200);
	assert_body(a, "<a href=\"heap?debug=1\">heap</a>");
	t_free(&a);
	a = get("/targets/etcd/debug/pprof");
	assert_int_equal(a.status, 301);
	t_free(&a);
	a = get("/targets/etcd/debug/pprof/cmdline");
	assert_int_equal(a.len, 13);
	assert_memory_equal(a.body, "etcd\0--name\0x", 13);
	t_free(&a);
	a = get("/targets/etcd/debug/pprof/symbol?0x401000+0x99+0x1");
	assert_string_equal(a.body, "num_symbols: 1\n0x401000 main.f401000\n0x1 main.f1\n");
	t_free(&a);
	snprintf(headers, sizeof headers, "%sContent-Type: text/plain\r\n", t.auth);
	a = t_post(t.port, "/targets/etcd/debug/pprof/symbol", headers, "0x2+0x3");
	assert_string_equal(a.body, "num_symbols: 1\n0x2 main.f2\n0x3 main.f3\n");
	t_free(&a);
}

/* --- orders ------------------------------------------------------------------------- */

TEST(orders_are_json)
{
	char headers[256];
	struct http_reply r;

	snprintf(headers, sizeof headers, "%sContent-Type: text/plain\r\n", t.auth);
	assert_status(t_post(t.port, "/api/v1/reload", headers, "{}"), 415);
	r = ask_local("/api/v1/reload", "{}");
	assert_int_equal(r.status, 200);
	http_reply_fini(&r);
	r = ask_local("/api/v1/reload", "{}");
	assert_int_equal(r.status, 400);
	assert_body(r, "line 3: what is that");
	http_reply_fini(&r);
	r = ask_local("/api/v1/stop", "{}");
	assert_int_equal(r.status, 200);
	assert_int_equal(fake.stopped, 1);
	http_reply_fini(&r);
}

TEST(a_capture_that_becomes_an_event)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"target\": 5}",
		"{\"target\": \"etcd\"}",
		"{\"target\": \"etcd\", \"kinds\": []}",
		"{\"target\": \"etcd\", \"kinds\": [1]}",
		"{\"target\": \"etcd\", \"kinds\": [\"cpu\"], \"seconds\": 999}",
		"{\"target\": \"etcd\", \"kinds\": [\"cpu\"], \"rate\": 0}",
		"{\"target\": \"etcd\", \"kinds\": [\"cpu\"]} x"};
	struct http_reply r;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		r = ask_local("/api/v1/captures", bad[i]);
		if (r.status != 400)
			fail_msg("%s: %u", bad[i], r.status);
		http_reply_fini(&r);
	}
	r = ask_local("/api/v1/captures", "{\"target\": \"nobody\", \"kinds\": [\"cpu\"]}");
	assert_int_equal(r.status, 404);
	http_reply_fini(&r);
	r = ask_local("/api/v1/captures", "{\"target\": \"kube/web\", \"kinds\": [\"cpu\"]}");
	assert_int_equal(r.status, 409);
	http_reply_fini(&r);
	r = ask_local("/api/v1/captures",
		      "{\"target\": \"etcd\", \"kinds\": [\"cpu\", \"heap\"], \"seconds\": 1.5, "
		      "\"rate\": 50, \"reason\": \"slow\"}");
	assert_int_equal(r.status, 202);
	assert_string_equal(r.location, "/api/v1/events/2026-11-30/081502Z-etcd-101-capture");
	assert_body(r, "\"id\": \"2026-11-30/081502Z-etcd-101-capture\"");
	assert_string_equal(event_asked, "101 1500000000 50 cpu heap 2 slow");
	http_reply_fini(&r);
}

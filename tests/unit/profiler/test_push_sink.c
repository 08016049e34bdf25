/* SPDX-License-Identifier: Apache-2.0 */
/* Sinks and their spools, with the test as the server and the clock. */
#include "build_push.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "push_pyroscope.pb-c.h"
#include "push_sink_parts.h"
#include "unit_test.h"

enum { MINUTE = 60 };
static const uint64_t second = PUSH_SECOND;

struct world {
	char folder[64];
	int root;
	pthread_mutex_t lock;
	struct push_sink sink;
	struct prowl_series *series;
	uint64_t serial, now, real;
};

static void begin_with(struct world *w, const struct prowl_push_sink *config)
{
	*w = (struct world){.now = 5 * second, .real = T_END + second};
	t_folder(w->folder);
	assert_int_equal(push_spool_root(w->folder, &w->root), 0);
	pthread_mutex_init(&w->lock, NULL);
	assert_int_equal(push_sink_open(&w->sink, &w->lock, w->root, config, 42), 0);
	w->series = t_series("etcd");
}

static void begin(struct world *w, enum prowl_push_type type)
{
	const struct prowl_push_sink config = t_sink(type, "http://h");

	begin_with(w, &config);
}

static void end(struct world *w)
{
	push_sink_close(&w->sink);
	close(w->root);
	pthread_mutex_destroy(&w->lock);
	prowl_series_free(w->series);
	t_remove(w->folder);
}

/* As after a restart. */
static void reopen(struct world *w, const struct prowl_push_sink *config)
{
	push_sink_close(&w->sink);
	w->sink = (struct push_sink){0};
	assert_int_equal(push_sink_open(&w->sink, &w->lock, w->root, config, 42), 0);
}

/* The window of a minute, with these bytes. */
static int offer_bytes(struct world *w, unsigned int minute, const void *bytes, size_t len)
{
	struct prowl_push_item item = t_item(w->series, "cpu");
	struct spool_offer offer;
	char window[32];
	int r;

	snprintf(window, sizeof window, "minute %u", minute);
	item.window = window;
	item.start_ns = T_START + minute * MINUTE * second;
	item.end_ns = T_END + minute * MINUTE * second;
	item.bytes = bytes;
	item.len = len;
	assert_int_equal(push_spool_prepare(w->root, w->serial++, &item, &offer), 0);
	r = push_sink_take(&w->sink, &offer);
	push_spool_discard(&offer);
	return r;
}

static int offer(struct world *w, unsigned int minute)
{
	size_t len;
	uint8_t *bytes = t_bytes(t_many(3, 2), &len);
	int r = offer_bytes(w, minute, bytes, len);

	free(bytes);
	return r;
}

/* The start of the window in a request, in minutes; and the sum of its samples. */
static unsigned int minute_of(const struct push_request *r, int64_t *sum)
{
	PushPyroscope__PushRequest *m = push_pyroscope__push_request__unpack(NULL, r->len, r->body);
	const ProtobufCBinaryData *raw;
	struct pprof_profile *p;
	uint64_t start;

	assert_non_null(m);
	raw = &m->series[0]->samples[0]->raw_profile;
	assert_int_equal(pprof_decode(raw->data, raw->len, 0, &p, NULL), 0);
	start = (uint64_t)p->time_nanos;
	if (sum)
		*sum = pprof_total(p, 0);
	pprof_profile_free(p);
	push_pyroscope__push_request__free_unpacked(m, NULL);
	return (unsigned int)((start - T_START) / (MINUTE * second));
}

static const struct push_request *next(struct world *w)
{
	return push_sink_begin(&w->sink, w->now, w->real);
}

static void answer(struct world *w, unsigned int status, const char *type, const char *body,
		   const char *retry_after)
{
	struct push_answer a = {.status = status, .body = (uint8_t *)body, .len = strlen(body)};

	snprintf(a.content_type, sizeof a.content_type, "%s", type);
	snprintf(a.retry_after, sizeof a.retry_after, "%s", retry_after);
	snprintf(a.error, sizeof a.error, "connection refused");
	push_sink_end(&w->sink, &a, w->now, w->real);
}

static void take(struct world *w)
{
	answer(w, 200, "application/proto", "", "");
}

static void refuse(struct world *w, unsigned int status)
{
	answer(w, status, "text/plain", "no", "");
}

static struct prowl_push_status status(struct world *w)
{
	return push_sink_status(&w->sink, w->now, w->real);
}

static size_t files_in(const struct world *w, const char *folder)
{
	char path[128];
	struct dirent *f;
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof path, "%s/%s", w->folder, folder);
	d = opendir(path);
	assert_non_null(d);
	while ((f = readdir(d)))
		n += f->d_name[0] != '.';
	closedir(d);
	return n;
}

/* --- the spool -------------------------------------------------------------------- */

TEST(test_oldest_first_and_gone_when_taken)
{
	struct world w;

	begin(&w, PROWL_PUSH_PYROSCOPE);
	assert_int_equal(push_sink_due(&w.sink), UINT64_MAX);
	assert_int_equal(status(&w).state, PROWL_PUSH_IDLE);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(offer(&w, 2 - i), 0);
	w.real += 2 * MINUTE * second;
	assert_int_equal(status(&w).waiting, 3);
	assert_int_equal(status(&w).lag_ns, 2 * MINUTE * second + second);
	assert_int_equal(files_in(&w, "pyroscope"), 6);
	assert_int_equal(files_in(&w, "."), 1);
	for (unsigned int i = 0; i < 3; i++) {
		assert_true(push_sink_due(&w.sink) <= w.now);
		assert_int_equal(minute_of(next(&w), NULL), i);
		assert_int_equal(push_sink_due(&w.sink), UINT64_MAX);
		take(&w);
		w.now += second;
	}
	assert_null(next(&w));
	assert_int_equal(status(&w).sent, 3);
	assert_int_equal(status(&w).waiting, 0);
	assert_int_equal(status(&w).spool_bytes, 0);
	assert_int_equal(status(&w).requests[0].status, 200);
	assert_int_equal(status(&w).requests[0].n, 3);
	assert_int_equal(status(&w).last_success_ns, w.real);
	assert_int_equal(files_in(&w, "pyroscope"), 0);
	end(&w);
}

TEST(test_offered_twice_is_there_once)
{
	struct world w;

	begin(&w, PROWL_PUSH_PYROSCOPE);
	assert_int_equal(offer(&w, 1), 0);
	assert_int_equal(offer(&w, 1), 0);
	assert_int_equal(status(&w).waiting, 1);
	assert_int_equal(status(&w).dropped[PROWL_PUSH_SPOOL_FULL], 0);
	end(&w);
}

TEST(test_the_bound_in_bytes_drops_the_oldest_but_what_is_under_way)
{
	struct prowl_push_sink config = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	uint64_t each;
	struct world w;

	begin(&w, PROWL_PUSH_PYROSCOPE);
	assert_int_equal(offer(&w, 0), 0);
	each = status(&w).spool_bytes;
	end(&w);
	config.spool_max_bytes = 3 * each + each / 2;
	begin_with(&w, &config);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(offer(&w, i), 0);
	assert_int_equal(minute_of(next(&w), NULL), 0);
	for (unsigned int i = 3; i < 6; i++)
		assert_int_equal(offer(&w, i), 0);
	assert_int_equal(status(&w).dropped[PROWL_PUSH_SPOOL_FULL], 3);
	assert_int_equal(status(&w).waiting, 3);
	assert_true(status(&w).spool_bytes <= config.spool_max_bytes);
	take(&w);
	w.now += second;
	assert_int_equal(minute_of(next(&w), NULL), 4);
	end(&w);
}

TEST(test_what_is_larger_than_the_spool_is_lost)
{
	struct prowl_push_sink config = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	struct world w;

	config.spool_max_bytes = 100;
	begin_with(&w, &config);
	assert_int_equal(offer(&w, 0), -ENOSPC);
	assert_int_equal(status(&w).dropped[PROWL_PUSH_SPOOL_FULL], 1);
	assert_int_equal(files_in(&w, "pyroscope"), 0);
	end(&w);
}

TEST(test_too_old_is_dropped)
{
	struct world w;

	begin(&w, PROWL_PUSH_PYROSCOPE);
	assert_int_equal(offer(&w, 0), 0);
	assert_int_equal(offer(&w, 1), 0);
	/* the second one ended 59.5 minutes ago, but servers look at its beginning */
	assert_int_equal(offer(&w, 2), 0);
	w.real = T_END + 60 * MINUTE * second + 30 * second;
	assert_int_equal(minute_of(next(&w), NULL), 2);
	assert_int_equal(status(&w).dropped[PROWL_PUSH_TOO_OLD], 2);
	end(&w);
}

TEST(test_it_survives_a_restart)
{
	const struct prowl_push_sink config = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	struct world w;

	begin_with(&w, &config);
	assert_int_equal(offer(&w, 1), 0);
	assert_int_equal(offer(&w, 0), 0);
	reopen(&w, &config);
	assert_int_equal(status(&w).waiting, 2);
	assert_true(status(&w).spool_bytes > 0);
	assert_int_equal(minute_of(next(&w), NULL), 0);
	end(&w);
}

static void make_file(const struct world *w, const char *name)
{
	char path[160];
	int fd;

	snprintf(path, sizeof path, "%s/pyroscope/%s", w->folder, name);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
}

TEST(test_leftovers_go_and_what_is_not_ours_stays)
{
	const struct prowl_push_sink config = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	struct world w;

	begin_with(&w, &config);
	make_file(&w, "01796025660000000000-00000000000000010000000000000002.pb.gz");
	make_file(&w, "01796025660000000000-00000000000000010000000000000003.json");
	make_file(&w, "new-mark");
	make_file(&w, "letter.txt");
	make_file(&w, "1796025660000000000-10000000000000002.json");
	reopen(&w, &config);
	assert_int_equal(status(&w).waiting, 0);
	assert_int_equal(files_in(&w, "pyroscope"), 2);
	push_spool_forget(w.root, "pyroscope");
	assert_int_equal(files_in(&w, "pyroscope"), 2);
	end(&w);
}

TEST(test_damage_is_counted_and_skipped)
{
	struct world w;

	begin(&w, PROWL_PUSH_PYROSCOPE);
	assert_int_equal(offer_bytes(&w, 0, "no profile", 10), 0);
	assert_int_equal(offer(&w, 1), 0);
	assert_int_equal(minute_of(next(&w), NULL), 1);
	assert_int_equal(status(&w).dropped[PROWL_PUSH_UNREADABLE], 1);
	end(&w);
}

/* --- failures --------------------------------------------------------------------- */

TEST(test_backoff_doubles_within_its_bounds)
{
	struct prowl_push_sink config = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	uint64_t bound = second / 2, longest = 0;
	struct world w;

	config.backoff_max_ns = 8 * second;
	begin_with(&w, &config);
	assert_int_equal(offer(&w, 0), 0);
	for (unsigned int i = 0; i < 12; i++) {
		uint64_t due;

		assert_non_null(next(&w));
		refuse(&w, 0);
		due = push_sink_due(&w.sink);
		assert_in_range(due - w.now, 0, bound);
		assert_int_equal(status(&w).state, PROWL_PUSH_BACKOFF);
		assert_int_equal(status(&w).next_try_ns, due > w.now ? w.real + due - w.now : 0);
		longest = due - w.now > longest ? due - w.now : longest;
		w.now = due;
		bound = bound < 8 * second ? 2 * bound : bound;
	}
	assert_true(longest > second);
	assert_string_equal(status(&w).last_error, "connection refused");
	assert_non_null(next(&w));
	take(&w);
	assert_string_equal(status(&w).last_error, "");
	assert_int_equal(status(&w).sent, 1);
	assert_non_null(strstr(w.sink.line, "12 tries"));
	end(&w);
}

TEST(test_clients_that_fail_together_come_back_apart)
{
	struct prowl_push_sink config = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	uint64_t first = 0;
	bool apart = false;

	for (uint64_t seed = 1; seed < 5; seed++) {
		struct world w;

		begin_with(&w, &config);
		w.sink.random = seed;
		assert_int_equal(offer(&w, 0), 0);
		assert_non_null(next(&w));
		refuse(&w, 503);
		apart |= first && push_sink_due(&w.sink) != first;
		first = push_sink_due(&w.sink);
		end(&w);
	}
	assert_true(apart);
}

TEST(test_the_servers_wish_is_kept)
{
	struct world w;

	begin(&w, PROWL_PUSH_PYROSCOPE);
	assert_int_equal(offer(&w, 0), 0);
	assert_non_null(next(&w));
	answer(&w, 429, "text/plain", "slow down", "30");
	assert_in_range(push_sink_due(&w.sink) - w.now, 30 * second, 31 * second);
	assert_int_equal(status(&w).waiting, 1);
	pthread_mutex_lock(&w.lock);
	push_sink_retry(&w.sink);
	pthread_mutex_unlock(&w.lock);
	assert_int_equal(push_sink_due(&w.sink), 0);
	end(&w);
}

TEST(test_refused_credentials_pause_and_keep_what_waits)
{
	static const unsigned int refusals[] = {401, 403, 407, 302};

	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		struct world w;

		begin(&w, PROWL_PUSH_PYROSCOPE);
		assert_int_equal(offer(&w, 0), 0);
		assert_non_null(next(&w));
		refuse(&w, refusals[i]);
		assert_int_equal(status(&w).state, PROWL_PUSH_PAUSED);
		assert_int_equal(push_sink_due(&w.sink), w.now + 5 * MINUTE * second);
		assert_int_equal(status(&w).waiting, 1);
		end(&w);
	}
}

TEST(test_what_will_never_be_taken_is_dropped_and_the_next_goes_at_once)
{
	struct world w;

	begin(&w, PROWL_PUSH_PYROSCOPE);
	assert_int_equal(offer(&w, 0), 0);
	assert_int_equal(offer(&w, 1), 0);
	assert_non_null(next(&w));
	answer(&w, 400, "application/json",
	       "{\"code\":\"invalid_argument\",\"message\":\"not_in_ingestion_window\"}", "");
	assert_int_equal(status(&w).dropped[PROWL_PUSH_REFUSED], 1);
	assert_non_null(strstr(status(&w).last_error, "not_in_ingestion_window"));
	assert_true(push_sink_due(&w.sink) <= w.now);
	assert_int_equal(minute_of(next(&w), NULL), 1);
	end(&w);
}

TEST(test_an_item_that_breaks_the_server_lets_others_pass)
{
	struct world w;

	begin(&w, PROWL_PUSH_PYROSCOPE);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(offer(&w, i), 0);
	assert_int_equal(minute_of(next(&w), NULL), 0);
	refuse(&w, 500);
	w.now = push_sink_due(&w.sink);
	for (unsigned int i = 1; i < 3; i++) {
		assert_int_equal(minute_of(next(&w), NULL), i);
		take(&w);
		w.now += second;
	}
	assert_int_equal(minute_of(next(&w), NULL), 0);
	/* what is the whole server's fault doesn't change the order */
	assert_int_equal(offer(&w, 3), 0);
	refuse(&w, 503);
	w.now = push_sink_due(&w.sink);
	assert_int_equal(minute_of(next(&w), NULL), 3);
	end(&w);
}

TEST(test_old_servers_get_ingest)
{
	struct world w;

	begin(&w, PROWL_PUSH_PYROSCOPE);
	assert_int_equal(offer(&w, 0), 0);
	assert_int_equal(offer(&w, 1), 0);
	assert_non_null(strstr(next(&w)->url, "PusherService"));
	refuse(&w, 404);
	assert_true(push_sink_due(&w.sink) <= w.now);
	assert_non_null(strstr(next(&w)->url, "/ingest?"));
	answer(&w, 200, "", "", "");
	assert_int_equal(status(&w).sent, 1);
	w.now += second;
	assert_non_null(strstr(next(&w)->url, "/ingest?"));
	/* neither: the url is wrong */
	refuse(&w, 404);
	assert_int_equal(status(&w).state, PROWL_PUSH_PAUSED);
	w.now = push_sink_due(&w.sink);
	assert_non_null(strstr(next(&w)->url, "PusherService"));
	end(&w);
}

TEST(test_a_wrong_path_of_others_pauses)
{
	static const enum prowl_push_type types[] = {PROWL_PUSH_PARCA, PROWL_PUSH_OTLP};

	for (size_t i = 0; i < 2; i++) {
		struct world w;

		begin(&w, types[i]);
		assert_int_equal(offer(&w, 0), 0);
		assert_non_null(next(&w));
		refuse(&w, 404);
		assert_int_equal(status(&w).state, PROWL_PUSH_PAUSED);
		assert_int_equal(status(&w).waiting, 1);
		end(&w);
	}
}

TEST(test_too_large_is_halved_once)
{
	int64_t first, second_half;
	size_t len;
	uint8_t *bytes = t_bytes(t_many(100, 3), &len);
	struct world w;

	begin(&w, PROWL_PUSH_PYROSCOPE);
	assert_int_equal(offer_bytes(&w, 0, bytes, len), 0);
	assert_non_null(next(&w));
	refuse(&w, 413);
	assert_int_equal(minute_of(next(&w), &first), 0);
	take(&w);
	w.now += second;
	assert_int_equal(status(&w).sent, 0);
	assert_int_equal(minute_of(next(&w), &second_half), 0);
	take(&w);
	assert_int_equal(status(&w).sent, 1);
	assert_int_equal(first + second_half, 100 * 101 / 2);
	w.now += second;
	/* and dropped where the half is too large as well */
	assert_int_equal(offer_bytes(&w, 1, bytes, len), 0);
	assert_non_null(next(&w));
	refuse(&w, 413);
	assert_non_null(next(&w));
	refuse(&w, 413);
	assert_int_equal(status(&w).dropped[PROWL_PUSH_TOO_LARGE], 1);
	assert_int_equal(status(&w).waiting, 0);
	free(bytes);
	end(&w);
}

TEST(test_a_restart_goes_on_with_the_part_that_is_missing)
{
	struct prowl_push_sink config = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	int64_t sum, all = 0;
	unsigned int parts = 0;
	size_t len;
	uint8_t *bytes = t_bytes(t_many(1000, 3), &len);
	struct world w;

	config.max_profile_bytes = 65536;
	begin_with(&w, &config);
	assert_int_equal(offer_bytes(&w, 0, bytes, len), 0);
	for (; status(&w).waiting; parts++) {
		assert_int_equal(minute_of(next(&w), &sum), 0);
		take(&w);
		all += sum;
		w.now += second;
		if (status(&w).waiting)
			reopen(&w, &config);
	}
	assert_in_range(parts, 2, 20);
	assert_int_equal(all, 1000 * 1001 / 2);
	free(bytes);
	end(&w);
}

TEST(test_partial_success_is_counted)
{
	struct world w;

	begin(&w, PROWL_PUSH_OTLP);
	assert_int_equal(offer(&w, 0), 0);
	assert_non_null(next(&w));
	answer(&w, 200, "application/x-protobuf", "\x0a\x07\x08\x03\x12\x03old", "");
	assert_int_equal(status(&w).sent, 0);
	assert_int_equal(status(&w).dropped[PROWL_PUSH_REJECTED], 1);
	assert_int_equal(status(&w).waiting, 0);
	assert_non_null(strstr(status(&w).last_error, "old"));
	end(&w);
}

TEST(test_pyroscope_is_not_sent_more_than_it_takes)
{
	size_t len;
	uint8_t *bytes = t_bytes(t_many(5000, 3), &len);
	uint64_t size;
	struct world w;

	begin(&w, PROWL_PUSH_PYROSCOPE);
	assert_int_equal(offer_bytes(&w, 0, bytes, len), 0);
	assert_int_equal(offer_bytes(&w, 1, bytes, len), 0);
	size = next(&w)->profile_bytes;
	take(&w);
	assert_int_equal(push_sink_due(&w.sink), w.now + size * second / 3000000);
	free(bytes);
	end(&w);
}

TEST(test_the_log_has_a_failure_once_a_minute)
{
	struct world w;
	unsigned int lines = 0;

	begin(&w, PROWL_PUSH_PYROSCOPE);
	assert_int_equal(offer(&w, 0), 0);
	for (unsigned int i = 0; i < 20; i++) {
		assert_non_null(next(&w));
		refuse(&w, 0);
		lines += w.sink.line[0] != '\0';
		w.sink.line[0] = '\0';
		w.now += second;
		push_sink_retry(&w.sink);
	}
	assert_int_equal(lines, 1);
	w.now += MINUTE * second;
	assert_non_null(next(&w));
	refuse(&w, 0);
	assert_non_null(strstr(w.sink.line, "connection refused; next try in"));
	end(&w);
}

/* --- the configuration ------------------------------------------------------------ */

TEST(test_wrong_configurations_are_named)
{
	static const struct prowl_push_pair line_break[] = {{"X-A", "a\r\nX-B: b"}},
					    ours[] = {{"content-type", "text/html"}},
					    reserved[] = {{"__name__", "x"}};
	const struct {
		struct prowl_push_sink sink;
		const char *words;
	} wrong[] = {
		{{.name = "../x", .url = "http://h"}, "name: "},
		{{.name = "x", .url = "h:4040"}, "url: "},
		{{.name = "x", .url = "http://"}, "url: "},
		{{.name = "x", .url = "file:///etc/passwd"}, "url: "},
		{{.name = "x", .url = "http://user:secret@h"}, "url: no user"},
		{{.name = "x", .url = "http://h/?a=b"}, "url: "},
		{{.name = "x", .url = "http://h", .type = 9}, "type: "},
		{{.name = "x", .url = "http://h", .headers = line_break, .nheaders = 1},
		 "headers: "},
		{{.name = "x", .url = "http://h", .headers = ours, .nheaders = 1}, "headers: "},
		{{.name = "x",
		  .url = "http://h",
		  .external_labels = reserved,
		  .nexternal_labels = 1},
		 "external_labels: "},
		{{.name = "x", .url = "http://h", .cert = "c"}, "tls: "},
		{{.name = "x", .url = "http://h", .user = "u", .bearer_token_file = "f"},
		 "bearer_token_file: "},
		{{.name = "x", .url = "http://h", .max_profile_bytes = 4 << 20}, "batch: "},
		{{.name = "x", .url = "http://h", .backoff_min_ns = 2, .backoff_max_ns = 1},
		 "backoff: "},
	};
	struct prowl_push_sink right = t_sink(PROWL_PUSH_OTLP, "https://h:4318/x/");

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct prowl_err err = {0};

		assert_int_equal(prowl_push_check(&wrong[i].sink, &err), PROWL_USAGE);
		assert_int_equal(strncmp(err.text, wrong[i].words, strlen(wrong[i].words)), 0);
	}
	right.max_profile_bytes = 4 << 20;
	assert_int_equal(prowl_push_check(&right, NULL), PROWL_OK);
}

static bool is_etcd(void *ctx, const struct prowl_series *s)
{
	return strcmp(prowl_series_get(s, "service"), ctx) == 0;
}

TEST(test_a_sink_gets_its_kinds_and_series)
{
	const char *kinds[] = {"cpu", "heap"};
	struct prowl_push_sink config = t_sink(PROWL_PUSH_PYROSCOPE, "http://h");
	struct prowl_push_item item;
	struct world w;

	config.kinds = kinds;
	config.nkinds = 2;
	config.wants = is_etcd;
	config.wants_ctx = (char *)"etcd";
	begin_with(&w, &config);
	item = t_item(w.series, "heap");
	assert_true(push_sink_wants(&w.sink, &item));
	item.kind = "goroutine";
	assert_false(push_sink_wants(&w.sink, &item));
	w.sink.config.c.wants_ctx = (char *)"caddy";
	item.kind = "cpu";
	assert_false(push_sink_wants(&w.sink, &item));
	end(&w);
}

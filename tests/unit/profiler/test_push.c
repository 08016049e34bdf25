/* SPDX-License-Identifier: Apache-2.0 */
/* All of it, with a server of a few lines at the other end. */
#include "build_push.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "clock.h"
#include "push.h"
#include "unit_test.h"

static const char *needs_curl(void)
{
	struct prowl_push_options o = {.spool = "/tmp/prowl-push-probe"};
	struct prowl_push *p;
	struct prowl_err err;

	if (prowl_push_open(&o, &p, &err) == PROWL_UNSUPPORTED)
		return "no libcurl";
	prowl_push_close(p, 0);
	rmdir(o.spool);
	return NULL;
}
TEST_NEEDS(needs_curl);

/* --- a server --------------------------------------------------------------------- */

enum { KEPT = 64, HEAD = 4096 };

struct server {
	int fd, port;
	pthread_t thread;
	atomic_int requests, status; /* what it answers */
	atomic_bool stop, mute;      /* mute: it never answers */
	char heads[KEPT][HEAD];
};

/* Reads a request; its head goes into `head`. */
static bool read_request(int fd, char head[HEAD])
{
	static char body[1 << 16];
	size_t n = 0, want = 0;
	const char *end = NULL, *length;

	while (!end && n + 1 < HEAD && recv(fd, head + n, 1, 0) == 1) {
		head[++n] = '\0';
		end = n >= 4 && strcmp(head + n - 4, "\r\n\r\n") == 0 ? head + n : NULL;
	}
	length = end ? strstr(head, "Content-Length: ") : NULL;
	want = length ? strtoul(length + 16, NULL, 10) : 0;
	while (want) {
		ssize_t got = recv(fd, body, want < sizeof body ? want : sizeof body, 0);

		if (got <= 0)
			return false;
		want -= (size_t)got;
	}
	return end;
}

static void *serve(void *ctx)
{
	struct server *s = ctx;
	char reply[200];

	while (!s->stop) {
		struct pollfd p = {.fd = s->fd, .events = POLLIN};
		int fd = poll(&p, 1, 20) == 1 ? accept(s->fd, NULL, NULL) : -1, i = s->requests;

		if (fd < 0)
			continue;
		if (read_request(fd, s->heads[i % KEPT])) {
			snprintf(reply, sizeof reply,
				 "HTTP/1.1 %d X\r\nContent-Type: application/proto\r\n"
				 "Content-Length: 0\r\nConnection: close\r\n\r\n",
				 s->status);
			s->requests++; /* before anybody may have the answer */
			while (s->mute && !s->stop)
				poll(NULL, 0, 5);
			if (!s->mute)
				send(fd, reply, strlen(reply), MSG_NOSIGNAL);
		}
		close(fd);
	}
	return NULL;
}

static void start(struct server *s)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof at;

	*s = (struct server){.status = 200};
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(s->fd, 8), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &len), 0);
	s->port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(struct server *s)
{
	s->stop = true;
	pthread_join(s->thread, NULL);
	close(s->fd);
}

/* --- a push ----------------------------------------------------------------------- */

struct world {
	char folder[64], urls[2][64];
	struct prowl_push_sink sinks[2];
	struct prowl_push_options options;
	struct prowl_push *push;
	struct prowl_series *series;
};

static void open_push(struct world *w)
{
	struct prowl_err err = {0};

	if (prowl_push_open(&w->options, &w->push, &err) != PROWL_OK)
		fail_msg("%s", err.text);
}

/* The first sink is the server, the second one, if there is one, a port where nobody listens. */
static void begin(struct world *w, const struct server *s, size_t nsinks)
{
	*w = (struct world){0};
	t_folder(w->folder);
	snprintf(w->urls[0], sizeof w->urls[0], "http://127.0.0.1:%d", s->port);
	snprintf(w->urls[1], sizeof w->urls[1], "http://127.0.0.1:1");
	for (size_t i = 0; i < nsinks; i++) {
		w->sinks[i] = t_sink(PROWL_PUSH_PYROSCOPE, w->urls[i]);
		w->sinks[i].name = i ? "nobody" : "server";
		w->sinks[i].backoff_min_ns = w->sinks[i].backoff_max_ns = PUSH_SECOND / 50;
	}
	w->options = (struct prowl_push_options){
		.sinks = w->sinks, .nsinks = nsinks, .spool = w->folder, .seed = 7};
	w->series = t_series("etcd");
}

static void end(struct world *w)
{
	prowl_push_close(w->push, 0);
	prowl_series_free(w->series);
	t_remove(w->folder);
}

/* A window that has just ended. */
static int offer(struct world *w, unsigned int i)
{
	struct prowl_push_item item = t_item(w->series, "cpu");
	char window[16];
	uint8_t *bytes;
	size_t len;
	int r;

	bytes = t_bytes(t_many(3, 2), &len);
	snprintf(window, sizeof window, "%u", i);
	item.window = window;
	item.end_ns = prowl_clock_ns(CLOCK_REALTIME);
	item.start_ns = item.end_ns - PUSH_SECOND;
	item.bytes = bytes;
	item.len = len;
	r = prowl_push_offer(w->push, &item);
	free(bytes);
	return r;
}

struct seen {
	struct prowl_push_status s[2];
	size_t n;
};

static void note(void *ctx, const struct prowl_push_status *s)
{
	struct seen *seen = ctx;

	seen->s[seen->n++] = *s;
}

static struct seen look(struct world *w)
{
	struct seen seen = {0};

	prowl_push_status(w->push, note, &seen);
	return seen;
}

/* Until the sink has sent so many, or for a minute. */
static struct seen wait_for(struct world *w, size_t sink, uint64_t sent)
{
	uint64_t until = prowl_now() + 60ull * PUSH_SECOND;
	struct seen seen = look(w);

	while (seen.s[sink].sent < sent && prowl_now() < until) {
		poll(NULL, 0, 2);
		seen = look(w);
	}
	return seen;
}

/* --- tests ------------------------------------------------------------------------ */

TEST(test_a_sink_that_fails_does_not_delay_the_other)
{
	struct server s;
	struct seen seen;
	struct world w;

	start(&s);
	begin(&w, &s, 2);
	open_push(&w);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(offer(&w, i), 0);
	seen = wait_for(&w, 0, 5);
	assert_string_equal(seen.s[0].sink, "server");
	assert_int_equal(seen.s[0].sent, 5);
	assert_int_equal(seen.s[0].waiting, 0);
	assert_int_equal(seen.s[1].sent, 0);
	assert_int_equal(seen.s[1].waiting, 5);
	assert_int_equal(s.requests, 5);
	assert_non_null(strstr(s.heads[0], "POST /push.v1.PusherService/Push HTTP/1.1\r\n"));
	assert_non_null(strstr(s.heads[0], "User-Agent: prowl/" PROWL_VERSION "\r\n"));
	assert_null(strstr(s.heads[0], "Expect"));
	assert_null(strstr(s.heads[0], "Authorization"));
	end(&w);
	stop(&s);
}

TEST(test_a_failure_at_once_is_not_waited_for)
{
	struct server s;
	struct seen seen;
	struct world w;
	uint64_t before;

	start(&s);
	begin(&w, &s, 1);
	w.sinks[0].url = "http://127.0.0.1:1";
	open_push(&w);
	before = prowl_now();
	assert_int_equal(offer(&w, 0), 0);
	do {
		poll(NULL, 0, 2);
		seen = look(&w);
	} while (seen.s[0].nrequests == 0 || seen.s[0].requests[0].n < 3);
	/* far from the minute that the thread sleeps for when there is nothing to do */
	assert_true(prowl_now() - before < 50ull * PUSH_SECOND);
	end(&w);
	stop(&s);
}

TEST(test_what_waits_is_sent_after_a_restart)
{
	struct server s;
	struct world w;

	start(&s);
	s.status = 503;
	begin(&w, &s, 1);
	open_push(&w);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(offer(&w, i), 0);
	prowl_push_close(w.push, 0);
	s.status = 200;
	open_push(&w);
	assert_int_equal(wait_for(&w, 0, 3).s[0].sent, 3);
	end(&w);
	stop(&s);
}

TEST(test_retries_until_the_server_is_back)
{
	struct server s;
	struct seen seen;
	struct world w;

	start(&s);
	s.status = 502;
	begin(&w, &s, 1);
	open_push(&w);
	assert_int_equal(offer(&w, 0), 0);
	while (s.requests < 3)
		poll(NULL, 0, 2);
	s.status = 200;
	seen = wait_for(&w, 0, 1);
	assert_int_equal(seen.s[0].sent, 1);
	assert_int_equal(seen.s[0].requests[0].status, 502);
	assert_true(seen.s[0].requests[0].n >= 3);
	assert_int_equal(seen.s[0].requests[1].status, 200);
	assert_int_equal(seen.s[0].requests[1].n, 1);
	end(&w);
	stop(&s);
}

TEST(test_closing_waits_for_what_can_be_sent)
{
	struct server s;
	struct world w;

	start(&s);
	begin(&w, &s, 1);
	open_push(&w);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(offer(&w, i), 0);
	prowl_push_close(w.push, 60ull * PUSH_SECOND);
	w.push = NULL;
	assert_int_equal(s.requests, 5);
	end(&w);
	stop(&s);
}

TEST(test_closing_is_bounded)
{
	struct server s;
	struct world w;
	uint64_t before;

	start(&s);
	s.mute = true;
	begin(&w, &s, 2);
	w.sinks[0].timeout_ns = 600ull * PUSH_SECOND;
	open_push(&w);
	assert_int_equal(offer(&w, 0), 0);
	before = prowl_now();
	prowl_push_close(w.push, PUSH_SECOND / 10);
	/* far from the ten minutes of the request */
	assert_true(prowl_now() - before < 60ull * PUSH_SECOND);
	s.mute = false;
	open_push(&w);
	assert_int_equal(look(&w).s[1].waiting, 1);
	end(&w);
	stop(&s);
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

TEST(test_credentials_are_read_for_each_request)
{
	const struct prowl_push_pair headers[] = {{"X-Extra", "one"}, {"X-Empty", ""}};
	char path[96];
	struct server s;
	struct world w;

	start(&s);
	begin(&w, &s, 1);
	snprintf(path, sizeof path, "%s-token", w.folder);
	write_text(path, "first\n");
	w.sinks[0].bearer_token_file = path;
	w.sinks[0].tenant = "team-a";
	w.sinks[0].headers = headers;
	w.sinks[0].nheaders = 2;
	open_push(&w);
	assert_int_equal(offer(&w, 0), 0);
	wait_for(&w, 0, 1);
	write_text(path, "second");
	assert_int_equal(offer(&w, 1), 0);
	wait_for(&w, 0, 2);
	assert_non_null(strstr(s.heads[0], "Authorization: Bearer first\r\n"));
	assert_non_null(strstr(s.heads[0], "X-Scope-OrgID: team-a\r\n"));
	assert_non_null(strstr(s.heads[0], "X-Extra: one\r\n"));
	assert_non_null(strstr(s.heads[0], "X-Empty:\r\n"));
	assert_non_null(strstr(s.heads[1], "Authorization: Bearer second\r\n"));
	unlink(path);
	end(&w);
	stop(&s);
}

TEST(test_a_token_that_is_not_there_is_said)
{
	struct server s;
	struct seen seen;
	struct world w;

	start(&s);
	begin(&w, &s, 1);
	w.sinks[0].bearer_token_file = "/nonexistent/token";
	open_push(&w);
	assert_int_equal(offer(&w, 0), 0);
	do {
		poll(NULL, 0, 2);
		seen = look(&w);
	} while (!*seen.s[0].last_error);
	assert_non_null(
		strstr(seen.s[0].last_error, "bearer_token_file /nonexistent/token: No such file"));
	assert_int_equal(seen.s[0].waiting, 1);
	assert_int_equal(s.requests, 0);
	end(&w);
	stop(&s);
}

TEST(test_basic_authentication)
{
	char path[96];
	struct server s;
	struct world w;

	start(&s);
	begin(&w, &s, 1);
	snprintf(path, sizeof path, "%s-password", w.folder);
	write_text(path, "sesame\n");
	w.sinks[0].user = "aladdin";
	w.sinks[0].password_file = path;
	open_push(&w);
	assert_int_equal(offer(&w, 0), 0);
	wait_for(&w, 0, 1);
	assert_non_null(strstr(s.heads[0], "Authorization: Basic YWxhZGRpbjpzZXNhbWU=\r\n"));
	unlink(path);
	end(&w);
	stop(&s);
}

TEST(test_a_file_is_linked)
{
	struct prowl_push_item item;
	struct stat before, after;
	char path[96];
	struct server s;
	struct world w;
	uint8_t *bytes;
	size_t len;
	FILE *f;

	start(&s);
	s.mute = true;
	begin(&w, &s, 2);
	open_push(&w);
	bytes = t_bytes(t_many(3, 2), &len);
	snprintf(path, sizeof path, "%s-file", w.folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fwrite(bytes, 1, len, f);
	fclose(f);
	free(bytes);
	assert_int_equal(stat(path, &before), 0);
	item = t_item(w.series, "cpu");
	item.end_ns = prowl_clock_ns(CLOCK_REALTIME);
	item.start_ns = item.end_ns - PUSH_SECOND;
	item.file = path;
	assert_int_equal(prowl_push_offer(w.push, &item), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_nlink, 1);
	assert_int_equal(after.st_nlink, 3);
	s.mute = false;
	assert_int_equal(wait_for(&w, 0, 1).s[0].sent, 1);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_nlink, 2);
	unlink(path);
	item.file = "/nonexistent";
	assert_int_equal(prowl_push_offer(w.push, &item), -ENOENT);
	end(&w);
	stop(&s);
}

TEST(test_spools_of_sinks_that_are_gone_are_removed)
{
	char path[96];
	struct server s;
	struct world w;

	start(&s);
	begin(&w, &s, 2);
	open_push(&w);
	assert_int_equal(offer(&w, 0), 0);
	prowl_push_close(w.push, 0);
	w.options.nsinks = 1;
	open_push(&w);
	snprintf(path, sizeof path, "%s/nobody", w.folder);
	assert_int_equal(access(path, F_OK), -1);
	end(&w);
	stop(&s);
}

TEST(test_two_sinks_of_one_name_are_refused)
{
	struct server s = {.port = 1};
	struct prowl_err err = {0};
	struct prowl_push *p;
	struct world w;

	begin(&w, &s, 2);
	w.sinks[1].name = "server";
	assert_int_equal(prowl_push_open(&w.options, &p, &err), PROWL_USAGE);
	assert_non_null(strstr(err.text, "name: there are two called server"));
	w.sinks[1].name = "nobody";
	w.options.spool = "/proc/no/such/folder";
	assert_int_equal(prowl_push_open(&w.options, &p, &err), PROWL_FAILED);
	end(&w);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The server: limits, requests that are answered later, clients that go, and hostile ones. */
#include "http.h"

#include <pthread.h>
#include <sys/time.h>

#include "ask_http.h"
#include "httpask.h"
#include "jobs.h"

static struct {
	struct http_server *server;
	struct jobs *jobs;
	uint16_t port;
	char path[64];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool go; /* those that wait may answer */
	unsigned int gone, waiting, handled;
} t = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void say(struct http_request *q, const char *text)
{
	http_answer(q, 200, "text/plain", text, strlen(text), HTTP_COPY);
}

static void on_gone(void *arg, struct http_request *q)
{
	pthread_mutex_lock(&t.lock);
	t.gone++;
	pthread_cond_broadcast(&t.changed);
	pthread_mutex_unlock(&t.lock);
}

static void wait_and_answer(void *arg)
{
	struct http_request *q = arg;

	pthread_mutex_lock(&t.lock);
	t.waiting++;
	pthread_cond_broadcast(&t.changed);
	while (!t.go && !t.gone)
		pthread_cond_wait(&t.changed, &t.lock);
	pthread_mutex_unlock(&t.lock);
	say(q, "later");
	http_release(q);
}

enum { LONG = 6 << 20, MOST_ANSWERS = 8 << 20 };

static void handle(void *ctx, struct http_request *q)
{
	char text[256], cookie[HTTP_HEADER];

	pthread_mutex_lock(&t.lock);
	t.handled++;
	pthread_mutex_unlock(&t.lock);
	if (q->bad_url) {
		http_answer(q, 400, NULL, "", 0, HTTP_STATIC);
	} else if (q->too_long) {
		http_answer(q, 413, NULL, "", 0, HTTP_STATIC);
	} else if (q->url.nsegments && strcmp(q->url.segments[0], "later") == 0) {
		if (!http_hold(q, on_gone, NULL))
			http_answer(q, 503, NULL, "", 0, HTTP_STATIC);
		else if (jobs_add(t.jobs, wait_and_answer, q) < 0)
			fail();
	} else if (q->url.nsegments && strcmp(q->url.segments[0], "long") == 0) {
		http_answer(q, 200, NULL, calloc(1, LONG), LONG, HTTP_OWNED);
	} else {
		snprintf(text, sizeof text, "%s%s %zu %s %d [%s]", q->post ? "POST " : "",
			 q->url.nsegments ? q->url.segments[0] : "/", q->body_len,
			 q->local ? "local" : q->address, q->local ? (int)q->uid : -1,
			 http_header(q, "Cookie", cookie));
		http_add(q, "X-Test", "1");
		say(q, text);
	}
}

static int start(void **state)
{
	struct http_listener at[2] = {{t_listen_tcp(&t.port), false}, {-1, true}};
	struct http_options o = {.listeners = at,
				 .n = 2,
				 .max_accepted = 40,
				 .max_answers = MOST_ANSWERS,
				 .first_ms = 1500,
				 .policy = "default-src 'none'",
				 .handle = handle};
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	const char *why;

	snprintf(t.path, sizeof t.path, "/tmp/prowl-unit-%d.sock", (int)getpid());
	memcpy(local.sun_path, t.path, sizeof t.path);
	unlink(t.path);
	at[1].fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(at[1].fd, (struct sockaddr *)&local, sizeof local), 0);
	assert_int_equal(listen(at[1].fd, 128), 0);
	assert_int_equal(jobs_new(4, 4, &t.jobs), 0);
	return http_start(&o, &t.server, &why);
}

static int stop(void **state)
{
	http_stop_taking(t.server);
	jobs_end(t.jobs);
	http_end(t.server);
	jobs_free(t.jobs);
	unlink(t.path);
	return 0;
}

TEST_GROUP(start, stop);

static const char *needs(void)
{
	return http_built() ? NULL : "built without libmicrohttpd";
}
TEST_NEEDS(needs);

TEST(a_request_is_answered_with_headers_that_protect_it)
{
	struct t_answer a = t_ask(t.port, "GET /x?y=1", "Cookie: a=b\r\n");

	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "x 0 127.0.0.1 -1 [a=b]");
	assert_true(t_has(&a, "X-Content-Type-Options: nosniff"));
	assert_true(t_has(&a, "Content-Security-Policy: default-src 'none'"));
	assert_true(t_has(&a, "Cache-Control: no-store"));
	assert_true(t_has(&a, "X-Test: 1"));
	t_free(&a);
	a = t_ask(t.port, "HEAD /x", "");
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "");
	t_free(&a);
}

TEST(a_unix_socket_says_who_asks)
{
	struct http_reply r;
	char wanted[64];

	snprintf(wanted, sizeof wanted, "x 0 local %d []", (int)geteuid());
	assert_int_equal(http_ask(t.path, "/x", NULL, -1, &r), 0);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, wanted);
	assert_string_equal(r.type, "text/plain");
	http_reply_fini(&r);
	snprintf(wanted, sizeof wanted, "POST y 4 local %d []", (int)geteuid());
	assert_int_equal(http_ask(t.path, "/y", "{12}", -1, &r), 0);
	assert_string_equal(r.body, wanted);
	http_reply_fini(&r);
	assert_int_equal(http_ask("/tmp/nobody-listens-there", "/", NULL, -1, &r), -ENOENT);
}

TEST(several_requests_come_over_one_connection)
{
	int fd = t_connect(t.port);
	struct t_answer a;
	char *second;

	t_send(fd, "GET /one HTTP/1.1\r\nHost: a\r\n\r\n"
		   "GET /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	a = t_receive(fd);
	second = strstr(a.text, "one 0");
	assert_non_null(second);
	assert_non_null(strstr(second, "two 0"));
	t_free(&a);
}

/* --- limits ------------------------------------------------------------------------ */

static struct t_answer with_header(size_t n)
{
	char *text = malloc(n + 1);
	int fd = t_connect(t.port);

	memset(text, 'x', n);
	text[n] = '\0';
	t_send(fd, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Long: ");
	t_send(fd, text);
	t_send(fd, "\r\n\r\n");
	free(text);
	return t_receive(fd);
}

TEST(headers_are_bounded)
{
	struct t_answer a = with_header(65536);

	assert_status(with_header(8000), 200);
	if (a.status != 0 && a.status != 413 && a.status != 431)
		fail_msg("%u", a.status);
	t_free(&a);
	assert_status(t_ask(t.port, "GET /%2e%2e/x", ""), 400);
}

TEST(bodies_are_bounded)
{
	size_t most = HTTP_BODY;
	char *body = malloc(3 * most + 1);
	struct t_answer a;

	memset(body, 'x', 3 * most);
	body[most] = '\0';
	a = t_post(t.port, "/x", "", body);
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.body, "POST x 65536 "));
	t_free(&a);
	body[most] = 'x';
	body[most + 1] = '\0';
	assert_status(t_post(t.port, "/x", "", body), 413);
	body[most + 1] = 'x';
	body[3 * most] = '\0';
	assert_status(t_post(t.port, "/x", "", body), 413);
	free(body);
}

/* A byte from time to time keeps no connection open. */
TEST(headers_that_come_slowly_are_not_waited_for)
{
	static const char begin[] = "GET /x HTTP/1.1\r\nHost: a\r\nX: ";
	int fd = t_connect(t.port), sent = 0;
	char c;

	t_send(fd, begin);
	for (; sent < 300; sent++) {
		struct pollfd p = {fd, POLLIN, 0};

		if (poll(&p, 1, 100) == 1)
			break;
		t_send(fd, "x");
	}
	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
	if (sent == 300)
		fail_msg("it is open still");
}

TEST(silent_connections_lock_nobody_out)
{
	int silent[300];

	for (size_t i = 0; i < 300; i++) {
		silent[i] = t_connect(t.port);
		if (i % 50 == 49)
			assert_status(t_ask(t.port, "GET /x", ""), 200);
	}
	for (size_t i = 0; i < 300; i++)
		close(silent[i]);
	assert_status(t_ask(t.port, "GET /x", ""), 200);
}

TEST(what_is_no_http_is_refused)
{
	static const char *const bad[] = {"\r\n\r\n\r\n", "hello\r\n\r\n", "GET\r\n\r\n",
					  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
					  "GET /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		int fd = t_connect(t.port);
		struct t_answer a;

		t_send(fd, bad[i]);
		shutdown(fd, SHUT_WR);
		a = t_receive(fd);
		if (a.status && (a.status < 400 || a.status > 505))
			fail_msg("%s: %s", bad[i], a.text);
		t_free(&a);
	}
	assert_status(t_ask(t.port, "GET /x", ""), 200);
}

/* --- later ------------------------------------------------------------------------- */

static void wait_until(const unsigned int *what, unsigned int n)
{
	pthread_mutex_lock(&t.lock);
	while (*what < n)
		pthread_cond_wait(&t.changed, &t.lock);
	pthread_mutex_unlock(&t.lock);
}

static void let(bool go)
{
	pthread_mutex_lock(&t.lock);
	t.go = go;
	t.gone = t.waiting = 0;
	pthread_cond_broadcast(&t.changed);
	pthread_mutex_unlock(&t.lock);
}

TEST(others_are_answered_while_one_waits)
{
	int fd = t_connect(t.port);
	struct t_answer a;

	let(false);
	t_send(fd, "GET /later HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	wait_until(&t.waiting, 1);
	assert_status(t_ask(t.port, "GET /x", ""), 200);
	let(true);
	a = t_receive(fd);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "later");
	t_free(&a);
}

TEST(a_client_that_goes_is_seen)
{
	int fd;

	let(false);
	fd = t_connect(t.port);
	t_send(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
	wait_until(&t.waiting, 1);
	close(fd);
	wait_until(&t.gone, 1);
	let(true);
	assert_status(t_ask(t.port, "GET /x", ""), 200);
}

/* The status of GET /long at the Unix socket. */
static unsigned int ask_long(void)
{
	struct http_reply r;
	unsigned int status;

	assert_int_equal(http_ask(t.path, "/long", NULL, -1, &r), 0);
	status = r.status;
	http_reply_fini(&r);
	return status;
}

TEST(answers_that_nobody_reads_are_bounded)
{
	int fd = t_connect_local(t.path);
	char first;

	t_send(fd, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(recv(fd, &first, 1, 0), 1);
	assert_int_equal(ask_long(), 503);
	assert_status(t_ask(t.port, "GET /x", ""), 200);
	close(fd);
	/* Until the server has seen that. */
	while (ask_long() != 200)
		usleep(1000);
}

/* --- work -------------------------------------------------------------------------- */

static void count(void *arg)
{
	__atomic_add_fetch((unsigned int *)arg, 1, __ATOMIC_SEQ_CST);
}

TEST(all_work_that_was_taken_is_done)
{
	unsigned int n = 0, taken = 0;
	struct jobs *j;

	assert_int_equal(jobs_new(3, 5, &j), 0);
	for (size_t i = 0; i < 1000; i++)
		taken += jobs_add(j, count, &n) == 0;
	jobs_end(j);
	assert_int_equal(n, taken);
	assert_true(taken >= 8);
	assert_int_equal(jobs_add(j, count, &n), -EAGAIN);
	jobs_free(j);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "push_curl_parts.h"

#include <errno.h>

#ifdef PROWL_CURL

#include <ctype.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct functions {
	typeof(curl_global_init) *global_init;
	typeof(curl_easy_init) *easy;
	typeof(curl_easy_cleanup) *easy_end;
	typeof(curl_easy_reset) *reset;
	typeof(curl_easy_setopt) *set;
	typeof(curl_easy_getinfo) *get;
	typeof(curl_easy_strerror) *text;
	typeof(curl_slist_append) *append;
	typeof(curl_slist_free_all) *list_end;
	typeof(curl_multi_init) *multi;
	typeof(curl_multi_cleanup) *multi_end;
	typeof(curl_multi_add_handle) *add;
	typeof(curl_multi_remove_handle) *remove;
	typeof(curl_multi_perform) *perform;
	typeof(curl_multi_poll) *poll;
	typeof(curl_multi_wakeup) *wakeup;
	typeof(curl_multi_info_read) *info;
};

struct slot {
	CURL *easy;
	struct curl_slist *headers;
	struct push_answer answer;
	char error[CURL_ERROR_SIZE];
	bool under_way, answered; /* answered: without libcurl */
};

struct push_curl {
	struct functions f;
	void *lib;
	CURLM *multi;
	char agent[80];
	struct slot *slots;
	size_t nslots;
};

bool prowl_push_built(void)
{
	return true;
}

/* --- the library ------------------------------------------------------------------ */

static int find_functions(struct push_curl *c)
{
	const struct {
		const char *name;
		void *to; /* a pointer to a function */
	} wanted[] = {
		{"curl_global_init", &c->f.global_init},
		{"curl_easy_init", &c->f.easy},
		{"curl_easy_cleanup", &c->f.easy_end},
		{"curl_easy_reset", &c->f.reset},
		{"curl_easy_setopt", &c->f.set},
		{"curl_easy_getinfo", &c->f.get},
		{"curl_easy_strerror", &c->f.text},
		{"curl_slist_append", &c->f.append},
		{"curl_slist_free_all", &c->f.list_end},
		{"curl_multi_init", &c->f.multi},
		{"curl_multi_cleanup", &c->f.multi_end},
		{"curl_multi_add_handle", &c->f.add},
		{"curl_multi_remove_handle", &c->f.remove},
		{"curl_multi_perform", &c->f.perform},
		{"curl_multi_poll", &c->f.poll},
		{"curl_multi_wakeup", &c->f.wakeup},
		{"curl_multi_info_read", &c->f.info},
	};
	/* Debian's other one has the same interface. */
	static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};

	/* Never unloaded: the libraries that it brings don't all support it. */
	for (size_t i = 0; i < sizeof names / sizeof *names && !c->lib; i++)
		c->lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!c->lib)
		return -ENOTSUP;
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		void *found = dlsym(c->lib, wanted[i].name);

		if (!found)
			return -ENOTSUP;
		memcpy(wanted[i].to, &found, sizeof found);
	}
	return 0;
}

static int open_handles(struct push_curl *c)
{
	if (c->f.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOTSUP;
	c->multi = c->f.multi();
	if (!c->multi)
		return -ENOMEM;
	for (size_t i = 0; i < c->nslots; i++) {
		struct slot *s = &c->slots[i];

		s->easy = c->f.easy();
		s->answer.body = malloc(PUSH_ANSWER + 1);
		if (!s->easy || !s->answer.body)
			return -ENOMEM;
	}
	return 0;
}

int push_curl_open(size_t slots, const char *version, struct push_curl **ret, const char **ret_why)
{
	struct push_curl *c = calloc(1, sizeof *c);
	int r;

	*ret_why = "libcurl is not there, or too old (7.68 is needed); Debian: apt-get install "
		   "libcurl4";
	if (!c)
		return -ENOMEM;
	c->nslots = slots;
	c->slots = calloc(slots + 1, sizeof *c->slots);
	snprintf(c->agent, sizeof c->agent, "prowl/%s", version);
	r = c->slots ? find_functions(c) : -ENOMEM;
	if (r == 0)
		r = open_handles(c);
	if (r < 0)
		push_curl_close(c);
	else
		*ret = c;
	return r;
}

void push_curl_close(struct push_curl *c)
{
	if (!c)
		return;
	for (size_t i = 0; c->slots && i < c->nslots; i++) {
		push_curl_abort(c, i);
		if (c->slots[i].easy)
			c->f.easy_end(c->slots[i].easy);
		free(c->slots[i].answer.body);
	}
	if (c->multi)
		c->f.multi_end(c->multi);
	if (c->lib)
		dlclose(c->lib);
	free(c->slots);
	free(c);
}

/* --- answers ---------------------------------------------------------------------- */

/* The value of a header line that has this name. */
static bool take_header(const char *line, size_t len, const char *name, char *to, size_t room)
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return false;
	for (n++; n < len && isblank((unsigned char)line[n]);)
		n++;
	while (len > n && isspace((unsigned char)line[len - 1]))
		len--;
	snprintf(to, room, "%.*s", (int)(len - n < room ? len - n : room), line + n);
	return true;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
	struct push_answer *a = ctx;
	size_t len = size * n;

	if (len > 5 && strncmp(line, "HTTP/", 5) == 0) /* after one of a proxy, or 100 */
		a->retry_after[0] = a->content_type[0] = a->grpc_status[0] = a->grpc_message[0] = 0;
	else if (!take_header(line, len, "Retry-After", a->retry_after, sizeof a->retry_after) &&
		 !take_header(line, len, "Content-Type", a->content_type, sizeof a->content_type) &&
		 !take_header(line, len, "Grpc-Status", a->grpc_status, sizeof a->grpc_status))
		take_header(line, len, "Grpc-Message", a->grpc_message, sizeof a->grpc_message);
	return len;
}

/* What is beyond the bound is read and left. */
static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
	struct push_answer *a = ctx;
	size_t len = size * n, room = PUSH_ANSWER - a->len;

	memcpy(a->body + a->len, bytes, len < room ? len : room);
	a->len += len < room ? len : room;
	return len;
}

static void clear(struct push_answer *a)
{
	uint8_t *body = a->body;

	*a = (struct push_answer){.body = body};
}

/* --- requests --------------------------------------------------------------------- */

static bool add_header(struct push_curl *c, struct slot *s, const char *name, const char *value)
{
	char *line = NULL;
	struct curl_slist *more;

	/* "Name;" is an empty one, "Name:" would remove it */
	if (asprintf(&line, *value ? "%s: %s" : "%s;%s", name, value) < 0)
		return false;
	more = c->f.append(s->headers, line);
	explicit_bzero(line, strlen(line));
	free(line);
	if (more)
		s->headers = more;
	return more;
}

static bool add_line(struct push_curl *c, struct slot *s, const char *line)
{
	struct curl_slist *more = c->f.append(s->headers, line);

	if (more)
		s->headers = more;
	return more;
}

/* The first line of a file. */
static int read_secret(const char *path, char *to, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, to, room - 1) : -1;
	int r = n < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	to[n > 0 ? n : 0] = '\0';
	to[strcspn(to, "\r\n")] = '\0';
	return r < 0 ? r : *to ? 0 : -ENODATA;
}

static int fail(struct slot *s, const char *what, const char *path, int r)
{
	snprintf(s->answer.error, sizeof s->answer.error, "%s %s: %s", what, path,
		 r == -ENODATA ? "it is empty" : strerror(-r));
	return r;
}

/* The credentials, read anew each time. */
static int set_login(struct push_curl *c, struct slot *s, const struct prowl_push_sink *k)
{
	char secret[4096];
	int r = 0;

	if (*k->user) {
		if (*k->password_file)
			r = read_secret(k->password_file, secret, sizeof secret);
		else
			secret[0] = '\0';
		if (r < 0)
			return fail(s, "password_file", k->password_file, r);
		c->f.set(s->easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		c->f.set(s->easy, CURLOPT_USERNAME, k->user);
		c->f.set(s->easy, CURLOPT_PASSWORD, secret);
	} else if (*k->bearer_token_file) {
		r = read_secret(k->bearer_token_file, secret, sizeof secret);
		if (r < 0)
			return fail(s, "bearer_token_file", k->bearer_token_file, r);
		c->f.set(s->easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
		c->f.set(s->easy, CURLOPT_XOAUTH2_BEARER, secret);
	}
	explicit_bzero(secret, sizeof secret);
	return 0;
}

static void set_tls(struct push_curl *c, struct slot *s, const struct prowl_push_sink *k)
{
	c->f.set(s->easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	if (*k->ca)
		c->f.set(s->easy, CURLOPT_CAINFO, k->ca);
	if (*k->cert) {
		c->f.set(s->easy, CURLOPT_SSLCERT, k->cert);
		c->f.set(s->easy, CURLOPT_SSLKEY, k->key);
	}
	if (k->insecure) {
		c->f.set(s->easy, CURLOPT_SSL_VERIFYPEER, 0L);
		c->f.set(s->easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static int set_headers(struct push_curl *c, struct slot *s, const struct prowl_push_sink *k,
		       const struct push_request *r)
{
	/* no wait for "100 Continue" */
	bool done = add_line(c, s, "Expect:") && add_header(c, s, "Content-Type", r->content_type);

	for (size_t i = 0; i < r->nheaders && done; i++)
		done = add_line(c, s, r->headers[i]);
	if (*k->tenant && done)
		done = add_header(c, s, "X-Scope-OrgID", k->tenant);
	for (size_t i = 0; i < k->nheaders && done; i++)
		done = add_header(c, s, k->headers[i].name, k->headers[i].value);
	c->f.set(s->easy, CURLOPT_HTTPHEADER, s->headers);
	return done ? 0 : -ENOMEM;
}

static long milliseconds(uint64_t ns)
{
	uint64_t ms = ns / 1000000;

	return ms == 0 ? 1 : ms > 86400000 ? 86400000 : (long)ms;
}

static void set_transfer(struct push_curl *c, struct slot *s, const struct prowl_push_sink *k,
			 const struct push_request *r)
{
	c->f.set(s->easy, CURLOPT_URL, r->url);
#if LIBCURL_VERSION_NUM >= 0x075500
	c->f.set(s->easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	c->f.set(s->easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
	c->f.set(s->easy, CURLOPT_HTTP_VERSION,
		 r->http1 ? (long)CURL_HTTP_VERSION_1_1 : (long)CURL_HTTP_VERSION_2TLS);
	c->f.set(s->easy, CURLOPT_POST, 1L);
	c->f.set(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->len);
	c->f.set(s->easy, CURLOPT_POSTFIELDS, r->body);
	c->f.set(s->easy, CURLOPT_USERAGENT, c->agent);
	c->f.set(s->easy, CURLOPT_PROXY, k->proxy); /* "": none, whatever the environment says */
	c->f.set(s->easy, CURLOPT_NOSIGNAL, 1L);
	c->f.set(s->easy, CURLOPT_TIMEOUT_MS, milliseconds(k->timeout_ns));
	c->f.set(s->easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(k->timeout_ns));
	c->f.set(s->easy, CURLOPT_ERRORBUFFER, s->error);
	c->f.set(s->easy, CURLOPT_HEADERFUNCTION, on_header);
	c->f.set(s->easy, CURLOPT_HEADERDATA, &s->answer);
	c->f.set(s->easy, CURLOPT_WRITEFUNCTION, on_body);
	c->f.set(s->easy, CURLOPT_WRITEDATA, &s->answer);
}

void push_curl_send(struct push_curl *c, size_t slot, const struct prowl_push_sink *config,
		    const struct push_request *request)
{
	struct slot *s = &c->slots[slot];
	int r;

	clear(&s->answer);
	s->error[0] = '\0';
	c->f.reset(s->easy);
	set_transfer(c, s, config, request);
	set_tls(c, s, config);
	r = set_login(c, s, config);
	if (r == 0)
		r = set_headers(c, s, config, request);
	if (r == 0 && c->f.add(c->multi, s->easy) != CURLM_OK)
		r = -ENOMEM;
	if (r == -ENOMEM)
		snprintf(s->answer.error, sizeof s->answer.error, "out of memory");
	s->under_way = r == 0;
	s->answered = r < 0;
}

static void finish(struct push_curl *c, struct slot *s)
{
	if (s->under_way)
		c->f.remove(c->multi, s->easy);
	c->f.list_end(s->headers);
	s->headers = NULL;
	s->under_way = s->answered = false;
}

void push_curl_abort(struct push_curl *c, size_t slot)
{
	if (c->slots[slot].easy && c->f.list_end)
		finish(c, &c->slots[slot]);
}

/* --- the loop --------------------------------------------------------------------- */

void push_curl_wait(struct push_curl *c, uint64_t ns)
{
	int running, under_way = 0;

	c->f.perform(c->multi, &running);
	for (size_t i = 0; i < c->nslots; i++) {
		under_way += c->slots[i].under_way;
		if (c->slots[i].answered)
			ns = 0;
	}
	/* what has ended already is nothing to wait for */
	if (running < under_way)
		ns = 0;
	c->f.poll(c->multi, NULL, 0, ns == 0 ? 0 : (int)milliseconds(ns), NULL);
	c->f.perform(c->multi, &running);
}

void push_curl_wake(struct push_curl *c)
{
	c->f.wakeup(c->multi);
}

static size_t slot_of(const struct push_curl *c, const CURL *easy)
{
	size_t i = 0;

	while (i < c->nslots && c->slots[i].easy != easy)
		i++;
	return i;
}

static void note_answer(struct push_curl *c, struct slot *s, CURLcode code)
{
	long status = 0;

	c->f.get(s->easy, CURLINFO_RESPONSE_CODE, &status);
	/* One that was cut short is none; a refusal may come before all has been sent. */
	if (status > 0 && (code == CURLE_OK || status >= 400))
		s->answer.status = (unsigned int)status;
	s->answer.body[s->answer.len] = '\0';
	if (s->answer.status == 0)
		snprintf(s->answer.error, sizeof s->answer.error, "%s",
			 s->error[0] ? s->error : c->f.text(code));
}

bool push_curl_answered(struct push_curl *c, size_t *ret_slot, const struct push_answer **ret)
{
	const CURLMsg *m;
	size_t i;
	int left;

	for (i = 0; i < c->nslots && !c->slots[i].answered;)
		i++;
	while (i == c->nslots && (m = c->f.info(c->multi, &left))) {
		if (m->msg != CURLMSG_DONE)
			continue;
		i = slot_of(c, m->easy_handle);
		note_answer(c, &c->slots[i], m->data.result);
	}
	if (i == c->nslots)
		return false;
	finish(c, &c->slots[i]);
	*ret_slot = i;
	*ret = &c->slots[i].answer;
	return true;
}

#else

bool prowl_push_built(void)
{
	return false;
}

int push_curl_open(size_t slots, const char *version, struct push_curl **ret, const char **ret_why)
{
	*ret_why = "this prowl was built without libcurl (Debian: libcurl4-openssl-dev)";
	return -ENOTSUP;
}

void push_curl_close(struct push_curl *c)
{
}

void push_curl_send(struct push_curl *c, size_t slot, const struct prowl_push_sink *config,
		    const struct push_request *request)
{
}

void push_curl_abort(struct push_curl *c, size_t slot)
{
}

void push_curl_wait(struct push_curl *c, uint64_t ns)
{
}

void push_curl_wake(struct push_curl *c)
{
}

bool push_curl_answered(struct push_curl *c, size_t *ret_slot, const struct push_answer **ret)
{
	return false;
}

#endif

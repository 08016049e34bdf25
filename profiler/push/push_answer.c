/* SPDX-License-Identifier: Apache-2.0 */
#include "push_wire_parts.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* --- requests -------------------------------------------------------------------- */

void push_request_fini(struct push_request *r)
{
	free(r->url);
	free(r->body);
	*r = (struct push_request){0};
}

int push_request_url(struct push_request *r, const struct prowl_push_sink *config, const char *path)
{
	if (asprintf(&r->url, "%s%s", config->url, path) < 0) {
		r->url = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* --- texts ----------------------------------------------------------------------- */

/* One line of at most `most` - 1 bytes of ASCII; what else becomes '?' or a blank. */
static void put_line(char *to, size_t most, const char *from, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && from[i] && n + 1 < most; i++) {
		unsigned char c = (unsigned char)from[i];

		if (isspace(c))
			c = ' ';
		if (c == ' ' && (n == 0 || to[n - 1] == ' '))
			continue;
		to[n++] = isprint(c) ? (char)c : '?';
	}
	n -= n && to[n - 1] == ' ';
	to[n] = '\0';
}

void push_verdict_say(struct push_verdict *v, const char *fmt, ...)
{
	char text[2 * sizeof v->text];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	put_line(v->text, sizeof v->text, text, strlen(text));
}

bool push_content_is(const struct push_answer *a, const char *type)
{
	size_t n = strlen(type);

	return strncasecmp(a->content_type, type, n) == 0 &&
	       (a->content_type[n] == '\0' || strchr("; +", a->content_type[n]));
}

/* Longer waits are no different from this one: eleven days. */
enum { MOST_SECONDS = 1000000 };

/* --- times ----------------------------------------------------------------------- */

/* `digits` digits at *s, which moves behind them; -1: there are others. */
static int number(const char **s, int digits)
{
	int v = 0;

	for (int i = 0; i < digits; i++, (*s)++) {
		if (!isdigit((unsigned char)**s))
			return -1;
		v = 10 * v + (**s - '0');
	}
	return v;
}

static bool skip(const char **s, const char *what)
{
	size_t n = strlen(what);

	if (strncmp(*s, what, n) != 0)
		return false;
	*s += n;
	return true;
}

/* "08:49:37" */
static bool read_clock(const char **s, struct tm *tm)
{
	tm->tm_hour = number(s, 2);
	if (tm->tm_hour < 0 || !skip(s, ":"))
		return false;
	tm->tm_min = number(s, 2);
	if (tm->tm_min < 0 || !skip(s, ":"))
		return false;
	tm->tm_sec = number(s, 2);
	return tm->tm_sec >= 0;
}

static bool is_sound(const struct tm *tm)
{
	return tm->tm_year >= 70 && tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday >= 1 &&
	       tm->tm_mday <= 31 && tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec <= 60;
}

/* From `real` (ns) to tm, which is UTC, plus seconds. */
static uint64_t until(struct tm *tm, int plus, uint64_t real)
{
	uint64_t now = real / PUSH_SECOND;
	int64_t then = is_sound(tm) ? (int64_t)timegm(tm) + plus : 0;

	if (then <= 0 || (uint64_t)then <= now)
		return 0;
	return ((uint64_t)then - now < MOST_SECONDS ? (uint64_t)then - now : MOST_SECONDS) *
	       PUSH_SECOND;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool read_http_date(const char *s, struct tm *tm)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const char *month;
	char name[4];

	s = strchr(s, ',');
	if (!s || !skip(&s, ", "))
		return false;
	tm->tm_mday = number(&s, 2);
	if (tm->tm_mday < 0 || !skip(&s, " ") || strnlen(s, 4) < 4)
		return false;
	memcpy(name, s, 3);
	name[3] = '\0';
	month = strstr(months, name);
	if (!month || (month - months) % 3)
		return false;
	tm->tm_mon = (int)(month - months) / 3;
	s += 3;
	if (!skip(&s, " "))
		return false;
	tm->tm_year = number(&s, 4) - 1900;
	return tm->tm_year >= 0 && skip(&s, " ") && read_clock(&s, tm) && skip(&s, " GMT");
}

uint64_t push_retry_after(const char *text, uint64_t real)
{
	struct tm tm = {0};
	uint64_t seconds = 0;

	text += strspn(text, " \t");
	if (!isdigit((unsigned char)*text))
		return read_http_date(text, &tm) ? until(&tm, 0, real) : 0;
	for (; isdigit((unsigned char)*text); text++) {
		seconds = 10 * seconds + (uint64_t)(*text - '0');
		if (seconds > MOST_SECONDS)
			seconds = MOST_SECONDS;
	}
	text += strspn(text, " \t\r\n");
	return *text ? 0 : seconds * PUSH_SECOND;
}

uint64_t push_next_reset(const char *text, uint64_t real)
{
	static const char words[] = "next reset at ";
	const char *s = strstr(text, words);
	struct tm tm = {0};
	int hours = 0, minutes = 0, sign = 0;

	if (!s)
		return 0;
	s += sizeof words - 1;
	tm.tm_year = number(&s, 4) - 1900;
	if (tm.tm_year < 0 || !skip(&s, "-"))
		return 0;
	tm.tm_mon = number(&s, 2) - 1;
	if (tm.tm_mon < 0 || !skip(&s, "-"))
		return 0;
	tm.tm_mday = number(&s, 2);
	if (tm.tm_mday < 0 || !skip(&s, "T") || !read_clock(&s, &tm))
		return 0;
	if (*s == '.')
		s += 1 + strspn(s + 1, "0123456789");
	if (*s == '+' || *s == '-') {
		sign = *s++ == '+' ? -1 : 1;
		hours = number(&s, 2);
		if (hours < 0 || !skip(&s, ":"))
			return 0;
		minutes = number(&s, 2);
		if (minutes < 0)
			return 0;
	} else if (*s != 'Z') {
		return 0;
	}
	return until(&tm, sign * (3600 * hours + 60 * minutes), real);
}

/* --- bodies ---------------------------------------------------------------------- */

bool push_connect_error(const uint8_t *body, size_t len, char code[32], char message[200])
{
	json_t *j = json_loadb((const char *)body, len, JSON_REJECT_DUPLICATES, NULL);
	const char *c = json_string_value(json_object_get(j, "code"));
	const char *m = json_string_value(json_object_get(j, "message"));

	code[0] = message[0] = '\0';
	if (c)
		put_line(code, 32, c, strlen(c));
	if (m)
		put_line(message, 200, m, strlen(m));
	json_decref(j);
	return code[0];
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* Of a grpc-message: "%20" is a blank. */
static void unescape(char *to, size_t most, const char *from, size_t len)
{
	char plain[512];
	size_t n = 0;

	for (size_t i = 0; i < len && n < sizeof plain; i++) {
		int high = from[i] == '%' && i + 2 < len ? hex(from[i + 1]) : -1;
		int low = high >= 0 ? hex(from[i + 2]) : -1;

		plain[n++] = low >= 0 ? (char)(16 * high + low) : from[i];
		i += low >= 0 ? 2 : 0;
	}
	put_line(to, most, plain, n);
}

/* The value of a trailer, of `len` bytes of lines; its length in *ret. NULL: it is not there. */
static const char *trailer(const char *text, size_t len, const char *name, size_t *ret)
{
	size_t n = strlen(name);

	for (size_t at = 0; at < len;) {
		const char *line = text + at, *end = memchr(line, '\n', len - at);
		size_t room = end ? (size_t)(end - line) : len - at;

		if (room > n && strncasecmp(line, name, n) == 0 && line[n] == ':') {
			for (n++; n < room && line[n] == ' ';)
				n++;
			*ret = room - n;
			return line + n;
		}
		at += room + 1;
	}
	return NULL;
}

/* A small number of digits. */
static int read_status(const char *s, size_t len)
{
	int v = -1;

	for (size_t i = 0; i < len && isdigit((unsigned char)s[i]) && v < 1000; i++)
		v = 10 * (v < 0 ? 0 : v) + (s[i] - '0');
	return v;
}

int push_grpc_web_status(const uint8_t *body, size_t len, char message[200])
{
	enum { HEAD = 5, TRAILERS = 0x80 };

	message[0] = '\0';
	for (size_t at = 0; len - at >= HEAD;) {
		size_t n = (size_t)body[at + 1] << 24 | (size_t)body[at + 2] << 16 |
			   (size_t)body[at + 3] << 8 | body[at + 4];
		const char *text = (const char *)body + at + HEAD, *value;
		size_t size;

		if (n > len - at - HEAD)
			return -1;
		if (body[at] & TRAILERS) {
			value = trailer(text, n, "grpc-message", &size);
			if (value)
				unescape(message, 200, value, size);
			value = trailer(text, n, "grpc-status", &size);
			return value ? read_status(value, size) : -1;
		}
		at += HEAD + n;
	}
	return -1;
}

/* --- by the status of HTTP ------------------------------------------------------- */

static bool is_text(const struct push_answer *a)
{
	return a->len &&
	       (push_content_is(a, "text/plain") || push_content_is(a, "application/json"));
}

static void judge_refusal(const struct push_answer *a, struct push_verdict *v)
{
	switch (a->status) {
	case 401:
	case 403:
	case 407:
		v->outcome = PUSH_PAUSE;
		push_verdict_say(v, "%s (HTTP %u): the credentials are not accepted",
				 a->status == 407 ? "the proxy refuses" : "the server refuses",
				 a->status);
		return;
	case 404:
	case 405:
	case 501:
		v->outcome = PUSH_OTHER_WAY;
		push_verdict_say(v, "HTTP %u: the server doesn't know this path", a->status);
		return;
	case 413:
		v->outcome = PUSH_HALVE;
		break;
	default:
		v->outcome = PUSH_FINAL;
	}
	push_verdict_say(v, "HTTP %u%s%.*s", a->status, is_text(a) ? ": " : "",
			 is_text(a) ? (int)(a->len < 150 ? a->len : 150) : 0,
			 is_text(a) ? (const char *)a->body : "");
}

void push_judge_http(const struct push_answer *a, uint64_t real, struct push_verdict *v)
{
	*v = (struct push_verdict){.outcome = PUSH_TAKEN};
	if (a->status == 0) {
		v->outcome = PUSH_AGAIN;
		push_verdict_say(v, "%s", a->error);
	} else if (a->status == 408 || a->status == 429 || (a->status >= 500 && a->status != 501)) {
		v->outcome = PUSH_AGAIN;
		v->wait_ns = push_retry_after(a->retry_after, real);
		v->of_item = a->status == 500;
		push_verdict_say(v, "HTTP %u%s%.*s", a->status, is_text(a) ? ": " : "",
				 is_text(a) ? (int)(a->len < 150 ? a->len : 150) : 0,
				 is_text(a) ? (const char *)a->body : "");
	} else if (a->status >= 300 && a->status < 400) {
		v->outcome = PUSH_PAUSE;
		push_verdict_say(v,
				 "HTTP %u: the server has moved; its new address belongs into url",
				 a->status);
	} else if (a->status < 200 || a->status >= 400) {
		judge_refusal(a, v);
	}
}

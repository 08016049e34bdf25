/* SPDX-License-Identifier: Apache-2.0 */
#include "weburl.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* --- addresses --------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool printable_byte(unsigned char c)
{
	return c >= 0x20 && c != 0x7f;
}

struct decoding {
	char *to;
	size_t used;
};

/* Decodes n bytes behind what is there, and a NUL. NULL: they are not as they should be. */
static const char *decode(struct decoding *d, const char *from, size_t n, bool query)
{
	char *begin = d->to + d->used;

	for (size_t i = 0; i < n; i++) {
		int c = (unsigned char)from[i];

		if (c == '%') {
			int high = i + 2 < n ? hex_digit(from[i + 1]) : -1;
			int low = i + 2 < n ? hex_digit(from[i + 2]) : -1;

			if (high < 0 || low < 0)
				return NULL;
			c = high * 16 + low;
			i += 2;
		} else if (c == '+' && query) {
			c = ' ';
		}
		if (!printable_byte((unsigned char)c))
			return NULL;
		d->to[d->used++] = (char)c;
	}
	d->to[d->used++] = '\0';
	return begin;
}

static bool parse_path(struct weburl *u, struct decoding *d)
{
	const char *p = u->text, *end = u->text + u->path_len;

	if (p == end || *p != '/')
		return false;
	while (++p <= end) {
		size_t n = strcspn(p, "/?");
		const char *segment;

		if (p + n > end)
			n = (size_t)(end - p);
		if (n == 0 && p == end) {
			u->folder = true;
			return true;
		}
		segment = decode(d, p, n, false);
		if (!segment || n == 0 || u->nsegments == WEBURL_SEGMENTS ||
		    strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0)
			return false;
		u->segments[u->nsegments++] = segment;
		p += n;
	}
	return true;
}

static bool parse_query(struct weburl *u, struct decoding *d, const char *query)
{
	while (*query) {
		size_t n = strcspn(query, "&"), name = strcspn(query, "=&");
		struct weburl_param *p = &u->params[u->nparams];

		if (n > 0) {
			if (u->nparams == WEBURL_PARAMS)
				return false;
			p->name = decode(d, query, name, true);
			p->value = name < n ? decode(d, query + name + 1, n - name - 1, true) : "";
			if (!p->name || !p->value)
				return false;
			u->nparams++;
		}
		query += n + (query[n] == '&');
	}
	return true;
}

bool weburl_parse(struct weburl *u, const char *address)
{
	struct decoding d = {u->decoded, 0};
	size_t len = strlen(address);

	u->nsegments = u->nparams = u->path_len = 0;
	u->folder = false;
	u->text[0] = '\0';
	/* Each part that is decoded gets a NUL in place of the character that ended it. */
	if (len + 2 >= WEBURL_LEN)
		return false;
	memcpy(u->text, address, len + 1);
	u->path_len = strcspn(u->text, "?");
	return parse_path(u, &d) &&
	       (!u->text[u->path_len] || parse_query(u, &d, u->text + u->path_len + 1));
}

const char *weburl_param(const struct weburl *u, const char *name)
{
	for (size_t i = 0; i < u->nparams; i++)
		if (strcmp(u->params[i].name, name) == 0)
			return u->params[i].value;
	return NULL;
}

bool weburl_escape(const char *text, const char *more, char *to, size_t len)
{
	size_t used = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = c < 0x80 && (isalnum(c) || strchr("-._~", c) || strchr(more, c));

		if (used + 4 > len)
			return false;
		if (plain)
			to[used++] = (char)c;
		else
			used += (size_t)snprintf(to + used, len - used, "%%%02X", c);
	}
	to[used] = '\0';
	return true;
}

/* --- headers ----------------------------------------------------------------------- */

bool weburl_host(const char *host, char name[WEBURL_HOST])
{
	bool bracket = host[0] == '[';
	size_t n = bracket ? strcspn(host, "]") : strcspn(host, ":");
	const char *rest = host + n + bracket;

	if (bracket && host[n] != ']')
		return false;
	host += bracket;
	n -= bracket;
	if (n == 0 || n >= WEBURL_HOST)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)host[i];

		if (!(isalnum(c) || strchr(bracket ? ":." : "-._", c)))
			return false;
		name[i] = (char)tolower(c);
	}
	name[n] = '\0';
	return rest[0] == '\0' || (rest[0] == ':' && rest[1 + strspn(rest + 1, "0123456789")] == 0);
}

static int sextet(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* What comes behind the first colon of the decoded text. */
static bool basic_password(const char *text, char token[WEBURL_TOKEN])
{
	size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
	size_t used = 0;
	unsigned int bits = 0, have = 0;
	bool colon = false;

	if (text[n + strspn(text + n, "=")] != '\0' || n % 4 == 1)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c;

		bits = bits << 6 | (unsigned int)sextet(text[i]);
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		c = (char)(bits >> have & 0xff);
		if (!colon) {
			colon = c == ':';
			continue;
		}
		if (used + 1 >= WEBURL_TOKEN || !printable_byte((unsigned char)c))
			return false;
		token[used++] = c;
	}
	token[used] = '\0';
	return colon;
}

bool weburl_credentials(const char *authorization, char token[WEBURL_TOKEN])
{
	size_t scheme = strcspn(authorization, " ");
	const char *rest = authorization + scheme + strspn(authorization + scheme, " ");
	size_t n = strlen(rest);

	if (scheme == 5 && strncasecmp(authorization, "Basic", 5) == 0)
		return basic_password(rest, token);
	if (scheme != 6 || strncasecmp(authorization, "Bearer", 6) != 0 || n == 0 ||
	    n >= WEBURL_TOKEN || strchr(rest, ' '))
		return false;
	memcpy(token, rest, n + 1);
	return true;
}

bool weburl_cookie(const char *cookies, const char *name, char value[WEBURL_TOKEN])
{
	size_t len = strlen(name);

	while (*cookies) {
		size_t n;

		cookies += strspn(cookies, " ;");
		n = strcspn(cookies, ";");
		if (n > len && strncmp(cookies, name, len) == 0 && cookies[len] == '=') {
			size_t size = n - len - 1;

			if (size >= WEBURL_TOKEN)
				return false;
			memcpy(value, cookies + len + 1, size);
			value[size] = '\0';
			return true;
		}
		cookies += n;
	}
	return false;
}

void weburl_base64(const void *bytes, size_t len, char *text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const uint8_t *b = bytes;
	unsigned int bits = 0, have = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | b[i];
		for (have += 8; have >= 6; have -= 6)
			*text++ = digits[bits >> (have - 6) & 63];
	}
	if (have)
		*text++ = digits[bits << (6 - have) & 63];
	*text = '\0';
}

bool weburl_same_secret(const char *given, const char *secret)
{
	size_t n = strlen(secret);
	unsigned int differs = 0;

	if (n == 0 || strlen(given) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		differs |= (unsigned int)(given[i] ^ secret[i]);
	return differs == 0;
}

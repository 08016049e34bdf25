/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <stddef.h>

static void put_string(FILE *f, const char *s);

static void start(struct json *j, const char *key)
{
	fprintf(j->f, "%s\n%*s", j->some ? "," : "", (int)j->depth * 2, "");
	j->some = true;
	if (key) {
		put_string(j->f, key);
		fputs(": ", j->f);
	}
}

/* The length of the UTF-8 character at s, or 0: overlong, a surrogate, cut off, too large. */
static size_t utf8_len(const unsigned char *s)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80   ? 1
		   : s[0] < 0xc0 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
		   : s[0] < 0xf8 ? 4
				 : 0;
	uint32_t v = n > 1 ? s[0] & (0x7fu >> n) : s[0];

	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (s[i] & 0x3f);
	}
	if (n > 1 && (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000)))
		return 0;
	return n;
}

static void put_string(FILE *f, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	putc('"', f);
	while (*p) {
		size_t n = utf8_len(p);

		if (n == 0) {
			fputs("\\ufffd", f);
			n = 1;
		} else if (*p == '"' || *p == '\\') {
			fprintf(f, "\\%c", *p);
		} else if (*p < 0x20 || *p == 0x7f) {
			fprintf(f, "\\u%04x", *p);
		} else if (n == 2 && p[0] == 0xc2 && p[1] < 0xa0) { /* C1 control characters */
			fprintf(f, "\\u%04x", p[1]);
		} else {
			fwrite(p, 1, n, f);
		}
		p += n;
	}
	putc('"', f);
}

void json_begin(struct json *j, FILE *f)
{
	*j = (struct json){.f = f, .depth = 1};
	putc('{', f);
	json_number(j, "schema_version", JSON_SCHEMA_VERSION);
}

void json_end(struct json *j)
{
	fputs("\n}\n", j->f);
}

void json_open(struct json *j, const char *key, char bracket)
{
	start(j, key);
	putc(bracket, j->f);
	j->depth++;
	j->some = false;
}

void json_close(struct json *j, char bracket)
{
	j->depth--;
	if (j->some)
		fprintf(j->f, "\n%*s", (int)j->depth * 2, "");
	putc(bracket, j->f);
	j->some = true;
}

void json_string(struct json *j, const char *key, const char *s)
{
	start(j, key);
	if (s)
		put_string(j->f, s);
	else
		fputs("null", j->f);
}

void json_number(struct json *j, const char *key, uint64_t v)
{
	start(j, key);
	fprintf(j->f, "%llu", (unsigned long long)v);
}

void json_signed(struct json *j, const char *key, int64_t v)
{
	start(j, key);
	fprintf(j->f, "%lld", (long long)v);
}

void json_real(struct json *j, const char *key, double v)
{
	start(j, key);
	fprintf(j->f, "%.9g", v);
}

void json_bool(struct json *j, const char *key, bool v)
{
	start(j, key);
	fputs(v ? "true" : "false", j->f);
}

void json_address(struct json *j, const char *key, uint64_t v)
{
	start(j, key);
	fprintf(j->f, "\"0x%llx\"", (unsigned long long)v);
}

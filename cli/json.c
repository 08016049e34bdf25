/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <stddef.h>

#include "utf8.h"

static void put_string(FILE *f, const char *s);

static void new_line(struct json *j)
{
	if (!j->line)
		fprintf(j->f, "\n%*s", (int)j->depth * 2, "");
}

static void start(struct json *j, const char *key)
{
	fputs(j->some ? "," : "", j->f);
	new_line(j);
	j->some = true;
	if (key) {
		put_string(j->f, key);
		fputs(": ", j->f);
	}
}

static void put_string(FILE *f, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	uint32_t c;

	putc('"', f);
	while (*p) {
		size_t n = utf8_decode((const char *)p, &c);

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

void json_begin_line(struct json *j, FILE *f)
{
	*j = (struct json){.f = f, .depth = 1, .line = true};
	putc('{', f);
	json_number(j, "schema_version", JSON_SCHEMA_VERSION);
}

void json_end(struct json *j)
{
	fputs(j->line ? "}\n" : "\n}\n", j->f);
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
		new_line(j);
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

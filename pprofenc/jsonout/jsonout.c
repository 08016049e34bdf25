/* SPDX-License-Identifier: Apache-2.0 */
#include "jsonout.h"

#include <inttypes.h>

#include "utf8_length.h"

/* Bytes of the character at s; its number in *escape, or 0 when it can stand as it is. */
static size_t character(const char *text, unsigned int *escape)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = pp_utf8_length(text, 4);

	*escape = 0;
	if (n == 0)
		*escape = 0xfffd;
	else if (s[0] < 0x20 || s[0] == '"' || s[0] == '\\' || s[0] == 0x7f)
		*escape = s[0];
	else if (s[0] == 0xc2 && s[1] < 0xa0)
		*escape = s[1];
	else if (s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9))
		*escape = 0x2000u | (s[2] & 0x3f);
	return n ? n : 1;
}

static void put_text(FILE *to, const char *text)
{
	const char *plain = text; /* not written yet */

	putc('"', to);
	for (const char *s = text; *s;) {
		unsigned int c;
		size_t n = character(s, &c);

		s += n;
		if (c == 0)
			continue;
		fwrite(plain, 1, (size_t)(s - n - plain), to);
		if (c == '"' || c == '\\')
			fprintf(to, "\\%c", (int)c);
		else
			fprintf(to, "\\u%04x", c);
		plain = s;
	}
	fputs(plain, to);
	putc('"', to);
}

static void indent(struct jsonout *j)
{
	if (j->style == JSONOUT_INDENTED)
		fprintf(j->to, "\n%*s", (int)j->depth * 2, "");
}

static void start(struct jsonout *j, const char *key)
{
	if (j->some)
		putc(',', j->to);
	j->some = true;
	if (j->depth > 0)
		indent(j);
	if (key) {
		put_text(j->to, key);
		fputs(j->style == JSONOUT_COMPACT ? ":" : ": ", j->to);
	}
}

void pp_json_begin(struct jsonout *j, FILE *to, enum jsonout_style style)
{
	*j = (struct jsonout){.to = to, .style = style};
	pp_json_open(j, NULL, '{');
	pp_json_number(j, "schema_version", JSONOUT_SCHEMA_VERSION);
}

void pp_json_end(struct jsonout *j)
{
	pp_json_close(j, '}');
	putc('\n', j->to);
}

void pp_json_open(struct jsonout *j, const char *key, char bracket)
{
	start(j, key);
	putc(bracket, j->to);
	j->depth++;
	j->some = false;
}

void pp_json_close(struct jsonout *j, char bracket)
{
	j->depth--;
	if (j->some)
		indent(j);
	putc(bracket, j->to);
	j->some = true;
}

void pp_json_text(struct jsonout *j, const char *key, const char *s)
{
	start(j, key);
	if (s)
		put_text(j->to, s);
	else
		fputs("null", j->to);
}

/* fprintf(3) takes three times as long. */
static void put_number(FILE *to, bool negative, uint64_t v)
{
	char digits[24];
	size_t at = sizeof digits;

	do
		digits[--at] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	if (negative)
		digits[--at] = '-';
	fwrite(digits + at, 1, sizeof digits - at, to);
}

void pp_json_number(struct jsonout *j, const char *key, int64_t v)
{
	start(j, key);
	put_number(j->to, v < 0, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void pp_json_unsigned(struct jsonout *j, const char *key, uint64_t v)
{
	start(j, key);
	put_number(j->to, false, v);
}

void pp_json_real(struct jsonout *j, const char *key, double v)
{
	start(j, key);
	fprintf(j->to, "%.9g", v);
}

void pp_json_null(struct jsonout *j, const char *key)
{
	start(j, key);
	fputs("null", j->to);
}

void pp_json_bool(struct jsonout *j, const char *key, bool v)
{
	start(j, key);
	fputs(v ? "true" : "false", j->to);
}

void pp_json_address(struct jsonout *j, const char *key, uint64_t v)
{
	start(j, key);
	fprintf(j->to, "\"0x%" PRIx64 "\"", v);
}

void pp_json_line(struct jsonout *j)
{
	if (j->some)
		putc(',', j->to);
	j->some = false;
	putc('\n', j->to);
}

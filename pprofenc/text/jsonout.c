/* SPDX-License-Identifier: Apache-2.0 */
#include "jsonout.h"

#include <inttypes.h>
#include <string.h>

/* Bytes of the character at s, when it can't stand as it is; *ret is its number. */
static size_t to_escape(const unsigned char *s, unsigned int *ret)
{
	*ret = s[0];
	if (s[0] < 0x20 || s[0] == '"' || s[0] == '\\' || s[0] == 0x7f)
		return 1;
	*ret = s[1];
	if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0)
		return 2;
	if (s[0] != 0xe2 || s[1] != 0x80 || (s[2] != 0xa8 && s[2] != 0xa9))
		return 0;
	*ret = 0x2000u | (s[2] & 0x3f);
	return 3;
}

static void put_text(FILE *to, const char *text)
{
	const char *plain = text; /* what is not written yet */

	putc('"', to);
	for (const char *s = text; *s;) {
		unsigned int c;
		size_t n = to_escape((const unsigned char *)s, &c);

		if (n == 0) {
			s++;
			continue;
		}
		fwrite(plain, 1, (size_t)(s - plain), to);
		if (c == '"' || c == '\\')
			fprintf(to, "\\%c", (int)c);
		else
			fprintf(to, "\\u%04x", c);
		plain = s += n;
	}
	fputs(plain, to);
	putc('"', to);
}

static void start(struct jsonout *j, const char *key)
{
	if (j->some)
		putc(',', j->to);
	j->some = true;
	if (key) {
		put_text(j->to, key);
		putc(':', j->to);
	}
}

void pp_json_open(struct jsonout *j, const char *key, char bracket)
{
	start(j, key);
	putc(bracket, j->to);
	j->some = false;
}

void pp_json_close(struct jsonout *j, char bracket)
{
	putc(bracket, j->to);
	j->some = true;
}

void pp_json_text(struct jsonout *j, const char *key, const char *s)
{
	start(j, key);
	put_text(j->to, s);
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

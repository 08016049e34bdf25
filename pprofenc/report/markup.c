/* SPDX-License-Identifier: Apache-2.0 */
#include "markup.h"

#include <string.h>

#include "printable.h"

static const char replacement[] = "\xef\xbf\xbd";

size_t pp_unshowable(const char *s)
{
	/* marks, embeddings, overrides and isolates; separators of lines; no characters at all */
	static const char *const bad[] = {
		"\xd8\x9c",     "\xe2\x80\x8e", "\xe2\x80\x8f", "\xe2\x80\xa8", "\xe2\x80\xa9",
		"\xe2\x80\xaa", "\xe2\x80\xab", "\xe2\x80\xac", "\xe2\x80\xad", "\xe2\x80\xae",
		"\xe2\x81\xa6", "\xe2\x81\xa7", "\xe2\x81\xa8", "\xe2\x81\xa9", "\xef\xbb\xbf",
		"\xef\xbf\xbe", "\xef\xbf\xbf"};
	unsigned char c = s[0];
	size_t n = control_length(s);

	if (n || (c != 0xd8 && c != 0xe2 && c != 0xef))
		return n;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (strncmp(s, bad[i], strlen(bad[i])) == 0)
			return strlen(bad[i]);
	return 0;
}

int pp_json_string(markup_put put, void *ctx, const char *s)
{
	int r = put(ctx, "\"", 1);

	while (r == 0 && *s) {
		size_t bad = pp_unshowable(s), n = 0;

		if (bad) {
			r = put(ctx, replacement, 3);
			s += bad;
		} else if (*s == '<') {
			r = put(ctx, "\\u003c", 6);
			s++;
		} else if (*s == '"' || *s == '\\') {
			r = put(ctx, (char[]){'\\', *s}, 2);
			s++;
		} else {
			while (s[n] && !pp_unshowable(s + n) && !strchr("<\"\\", s[n]))
				n++;
			r = put(ctx, s, n);
			s += n;
		}
	}
	return r < 0 ? r : put(ctx, "\"", 1);
}

static size_t char_length(const char *s)
{
	size_t n = 1;

	while (((unsigned char)s[n] & 0xc0) == 0x80)
		n++;
	return n;
}

static void xml_char(FILE *to, const char *s, size_t n)
{
	switch (*s) {
	case '<':
		fputs("&lt;", to);
		break;
	case '>':
		fputs("&gt;", to);
		break;
	case '&':
		fputs("&amp;", to);
		break;
	case '"':
		fputs("&quot;", to);
		break;
	default:
		fwrite(s, 1, n, to);
	}
}

void pp_xml_text(FILE *to, const char *s, size_t limit)
{
	size_t done = 0;

	while (*s) {
		size_t n = char_length(s);

		if (limit && done + n > limit) {
			fputs("\xe2\x80\xa6", to);
			return;
		}
		if (pp_unshowable(s))
			fputs(replacement, to);
		else
			xml_char(to, s, n);
		s += n;
		done += n;
	}
}

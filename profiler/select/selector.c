/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <ctype.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selector.h"

enum { MOST_MATCHERS = 32, MOST_TEXT = 4096, MATCH_LIMIT = 100000, DEPTH_LIMIT = 1000 };

struct matcher {
	char *name, *value;
	bool not ;
	pcre2_code *pattern; /* NULL: equal */
};

struct prowl_selector {
	struct matcher m[MOST_MATCHERS];
	size_t n;
};

void prowl_selector_free(struct prowl_selector *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		free(s->m[i].name);
		free(s->m[i].value);
		pcre2_code_free(s->m[i].pattern);
	}
	free(s);
}

/* --- matching -------------------------------------------------------------------- */

static bool pattern_matches(const pcre2_code *pattern, const char *value)
{
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	pcre2_match_context *limits = pcre2_match_context_create(NULL);
	int r = -1;

	if (data && limits) {
		pcre2_set_match_limit(limits, MATCH_LIMIT);
		pcre2_set_depth_limit(limits, DEPTH_LIMIT);
		r = pcre2_match(pattern, (PCRE2_SPTR)value, strlen(value), 0, 0, data, limits);
	}
	pcre2_match_context_free(limits);
	pcre2_match_data_free(data);
	return r >= 0;
}

bool prowl_selector_matches(const struct prowl_selector *s, const struct prowl_series *series)
{
	for (size_t i = 0; s && i < s->n; i++) {
		const struct matcher *m = &s->m[i];
		const char *value = prowl_series_get(series, m->name);
		bool found = m->pattern ? pattern_matches(m->pattern, value)
					: !strcmp(m->value, value);

		if (found == m->not )
			return false;
	}
	return true;
}

/* --- parsing --------------------------------------------------------------------- */

struct text {
	const char *at, *begin;
	struct prowl_err *err;
};

static enum prowl_code wrong(const struct text *t, const char *what)
{
	prowl_fail(t->err, PROWL_USAGE, "'%.200s' is no selector: %s at character %zu", t->begin,
		   what, (size_t)(t->at - t->begin) + 1);
	prowl_hint(t->err, "as in service=\"etcd\",pod=~\"a.*\",build!=\"x\"");
	return PROWL_USAGE;
}

static void skip_blanks(struct text *t)
{
	while (*t->at == ' ' || *t->at == '\t' || *t->at == '\n')
		t->at++;
}

static bool is_name_byte(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("_.-/", c));
}

static enum prowl_code take_name(struct text *t, struct matcher *m)
{
	size_t n = 0;

	while (is_name_byte(t->at[n]))
		n++;
	if (n == 0)
		return wrong(t, "the name of a label was expected");
	m->name = strndup(t->at, n);
	t->at += n;
	return m->name ? PROWL_OK : wrong(t, "out of memory");
}

static enum prowl_code take_operator(struct text *t, struct matcher *m, bool *ret_pattern)
{
	static const char *const operators[] = {"=~", "!~", "!=", "="};

	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
		size_t n = strlen(operators[i]);

		if (strncmp(t->at, operators[i], n) != 0)
			continue;
		m->not = operators[i][0] == '!';
		*ret_pattern = operators[i][n - 1] == '~';
		t->at += n;
		return PROWL_OK;
	}
	return wrong(t, "=, !=, =~ or !~ was expected");
}

/* In quotes, with \" and \\; or without, up to a comma. */
static enum prowl_code take_value(struct text *t, struct matcher *m)
{
	char quote = *t->at == '"' || *t->at == '\'' ? *t->at : 0;
	char *to = m->value = malloc(strlen(t->at) + 1);

	if (!to)
		return wrong(t, "out of memory");
	t->at += quote != 0;
	while (*t->at && (quote ? *t->at != quote : !strchr(", }=\"'\t\n", *t->at))) {
		if (quote && *t->at == '\\' && (t->at[1] == quote || t->at[1] == '\\'))
			t->at++;
		*to++ = *t->at++;
	}
	*to = '\0';
	if (quote && *t->at != quote)
		return wrong(t, "a quote is missing");
	t->at += quote != 0;
	return PROWL_OK;
}

static enum prowl_code compile(struct text *t, struct matcher *m)
{
	size_t len = strlen(m->value) + 8;
	char *whole = malloc(len);
	int error = 0;
	PCRE2_SIZE at;

	if (!whole)
		return wrong(t, "out of memory");
	snprintf(whole, len, "^(?:%s)$", m->value);
	m->pattern = pcre2_compile((PCRE2_SPTR)whole, PCRE2_ZERO_TERMINATED,
				   PCRE2_DOLLAR_ENDONLY | PCRE2_DOTALL | PCRE2_NEVER_BACKSLASH_C,
				   &error, &at, NULL);
	free(whole);
	return m->pattern ? PROWL_OK : wrong(t, "that is no regular expression");
}

static enum prowl_code take_matcher(struct text *t, struct prowl_selector *s)
{
	struct matcher *m = &s->m[s->n];
	bool pattern = false;
	enum prowl_code code;

	if (s->n == MOST_MATCHERS)
		return wrong(t, "there are too many conditions");
	s->n++;
	code = take_name(t, m);
	skip_blanks(t);
	if (code == PROWL_OK)
		code = take_operator(t, m, &pattern);
	skip_blanks(t);
	if (code == PROWL_OK)
		code = take_value(t, m);
	if (code == PROWL_OK && pattern)
		code = compile(t, m);
	skip_blanks(t);
	return code;
}

static enum prowl_code take_all(struct text *t, struct prowl_selector *s)
{
	enum prowl_code code = PROWL_OK;
	bool braces;

	skip_blanks(t);
	braces = *t->at == '{';
	t->at += braces;
	skip_blanks(t);
	while (code == PROWL_OK && *t->at && *t->at != '}') {
		code = take_matcher(t, s);
		if (code == PROWL_OK && *t->at == ',') {
			t->at++;
			skip_blanks(t);
		} else if (code == PROWL_OK && *t->at && *t->at != '}') {
			code = wrong(t, "a comma was expected");
		}
	}
	if (code != PROWL_OK)
		return code;
	if (braces != (*t->at == '}'))
		return wrong(t, braces ? "} is missing" : "there is no { before it");
	t->at += braces;
	skip_blanks(t);
	return *t->at ? wrong(t, "nothing was expected") : PROWL_OK;
}

enum prowl_code prowl_selector_new(const char *text, struct prowl_selector **ret,
				   struct prowl_err *err)
{
	struct prowl_selector *s = calloc(1, sizeof *s);
	struct text t = {text, text, err};
	enum prowl_code code;

	if (!s)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	code = strlen(text) > MOST_TEXT ? wrong(&t, "it is too long") : take_all(&t, s);
	if (code == PROWL_OK)
		*ret = s;
	else
		prowl_selector_free(s);
	return code;
}

enum prowl_code prowl_selector_service(const char *service, struct prowl_selector **ret,
				       struct prowl_err *err)
{
	struct prowl_selector *s = calloc(1, sizeof *s);

	if (s) {
		s->n = 1;
		s->m[0].name = strdup(PROWL_SERIES_SERVICE);
		s->m[0].value = strdup(service);
		if (s->m[0].name && s->m[0].value) {
			*ret = s;
			return PROWL_OK;
		}
	}
	prowl_selector_free(s);
	return prowl_fail(err, PROWL_FAILED, "out of memory");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What people write: which series, and which time. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store_parts.h"

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
	while (*t->at && (quote ? *t->at != quote : !strchr(", }\t\n", *t->at))) {
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

/* --- times ----------------------------------------------------------------------- */

#define SECOND 1000000000ll

/* n digits. */
static bool take_digits(const char **at, size_t n, int *ret)
{
	int v = 0;

	for (size_t i = 0; i < n; i++) {
		if (!isdigit((unsigned char)(*at)[i]))
			return false;
		v = v * 10 + ((*at)[i] - '0');
	}
	*at += n;
	*ret = v;
	return true;
}

static bool take_byte(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

static bool take_fraction(const char **at, int64_t *ns)
{
	int64_t unit = SECOND / 10;

	if (!take_byte(at, '.'))
		return true;
	if (!isdigit((unsigned char)**at))
		return false;
	for (; isdigit((unsigned char)**at); (*at)++, unit /= 10)
		*ns += (**at - '0') * unit;
	return true;
}

/* Z or +02:00; nothing is UTC. */
static bool take_zone(const char **at, int64_t *seconds)
{
	int hours, minutes, sign = **at == '-' ? -1 : 1;

	if (!**at || take_byte(at, 'Z'))
		return true;
	if (!take_byte(at, '+') && !take_byte(at, '-'))
		return false;
	if (!take_digits(at, 2, &hours) || !take_byte(at, ':') || !take_digits(at, 2, &minutes) ||
	    hours > 23 || minutes > 59)
		return false;
	*seconds -= sign * (hours * 3600 + minutes * 60);
	return true;
}

static bool take_clock(const char **at, struct tm *tm, int64_t *ns)
{
	if (!take_byte(at, 'T') && !take_byte(at, ' '))
		return false;
	if (!take_digits(at, 2, &tm->tm_hour) || !take_byte(at, ':') ||
	    !take_digits(at, 2, &tm->tm_min))
		return false;
	if (**at == ':') {
		(*at)++;
		if (!take_digits(at, 2, &tm->tm_sec) || !take_fraction(at, ns))
			return false;
	}
	return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 61;
}

static bool parse_date(const char *text, int64_t *ret)
{
	struct tm tm = {0};
	int64_t ns = 0, seconds;
	const char *at = text;

	if (!take_digits(&at, 4, &tm.tm_year) || !take_byte(&at, '-') ||
	    !take_digits(&at, 2, &tm.tm_mon) || !take_byte(&at, '-') ||
	    !take_digits(&at, 2, &tm.tm_mday) || tm.tm_year < 1970 || tm.tm_year > 2261 ||
	    tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	if (*at && !take_clock(&at, &tm, &ns))
		return false;
	seconds = timegm(&tm);
	if (!take_zone(&at, &seconds) || *at || seconds < 0)
		return false;
	*ret = seconds * SECOND + ns;
	return true;
}

/* Seconds, milliseconds or nanoseconds, by how large it is. */
static bool parse_unix(const char *text, int64_t *ret)
{
	size_t n = strspn(text, "0123456789");
	int64_t v, ns = 0;
	const char *at = text + n;

	if (n == 0 || n > 19 || !take_fraction(&at, &ns) || *at)
		return false;
	errno = 0;
	v = strtoll(text, NULL, 10);
	if (errno)
		return false;
	if (n <= 10)
		*ret = v * SECOND + ns;
	else if (n <= 13)
		*ret = v * 1000000;
	else
		*ret = v;
	return n <= 10 || !ns;
}

static int64_t unit_of(const char **at)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {{"ms", 1000000},      {"s", SECOND},         {"m", 60 * SECOND},
		     {"h", 3600 * SECOND}, {"d", 86400 * SECOND}, {"w", 7 * 86400 * SECOND}};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		size_t n = strlen(units[i].name);

		if (!strncmp(*at, units[i].name, n)) {
			*at += n;
			return units[i].ns;
		}
	}
	return 0;
}

/* "1d12h" */
static bool parse_span(const char *text, int64_t *ret)
{
	int64_t sum = 0;

	if (!*text)
		return false;
	while (*text) {
		int64_t v = 0, unit;
		size_t digits = strspn(text, "0123456789");

		if (digits == 0 || digits > 9)
			return false;
		for (size_t i = 0; i < digits; i++)
			v = v * 10 + (text[i] - '0');
		text += digits;
		unit = unit_of(&text);
		if (!unit || __builtin_mul_overflow(v, unit, &v) ||
		    __builtin_add_overflow(sum, v, &sum))
			return false;
	}
	*ret = sum;
	return true;
}

bool prowl_store_time(const char *text, int64_t now, int64_t *ret)
{
	const char *at = text;
	int64_t span, sign;

	if (!strncmp(at, "now", 3))
		at += 3;
	if (at != text && !*at) {
		*ret = now;
		return true;
	}
	if (*at == '-' || (at != text && *at == '+')) {
		sign = *at == '-' ? -1 : 1;
		return parse_span(at + 1, &span) && !__builtin_add_overflow(now, sign * span, ret);
	}
	return at == text && (parse_date(text, ret) || parse_unix(text, ret));
}

const char *prowl_store_time_text(char text[PROWL_STORE_TIME], int64_t time)
{
	int64_t second = store_floor(time, SECOND), ns = time - second;
	time_t t = (time_t)(second / SECOND);
	struct tm tm;
	size_t n;

	if (!gmtime_r(&t, &tm))
		tm = (struct tm){.tm_mday = 1, .tm_year = 70};
	n = strftime(text, PROWL_STORE_TIME, "%Y-%m-%dT%H:%M:%S", &tm);
	if (ns) {
		n += (size_t)snprintf(text + n, PROWL_STORE_TIME - n, ".%09" PRId64, ns);
		while (text[n - 1] == '0')
			n--;
	}
	snprintf(text + n, PROWL_STORE_TIME - n, "Z");
	return text;
}

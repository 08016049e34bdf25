/* SPDX-License-Identifier: Apache-2.0 */
#include "when.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
	if (n > 10 && ns)
		return false;
	return !__builtin_mul_overflow(v,
				       n <= 10   ? SECOND
				       : n <= 13 ? 1000000
						 : 1,
				       ret) &&
	       !__builtin_add_overflow(*ret, ns, ret);
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

bool prowl_when_parse(const char *text, int64_t now, int64_t *ret)
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

const char *prowl_when_text(char text[PROWL_WHEN], int64_t time)
{
	int64_t ns = (time % SECOND + SECOND) % SECOND, second = time - ns;
	time_t t = (time_t)(second / SECOND);
	struct tm tm;
	size_t n;

	if (!gmtime_r(&t, &tm))
		tm = (struct tm){.tm_mday = 1, .tm_year = 70};
	n = strftime(text, PROWL_WHEN, "%Y-%m-%dT%H:%M:%S", &tm);
	if (ns) {
		n += (size_t)snprintf(text + n, PROWL_WHEN - n, ".%09" PRId64, ns);
		while (text[n - 1] == '0')
			n--;
	}
	snprintf(text + n, PROWL_WHEN - n, "Z");
	return text;
}

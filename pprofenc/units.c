/* SPDX-License-Identifier: Apache-2.0 */
#include "units.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "pprof.h"
#include "printable.h"

static const struct unit times[] = {{"ns", 1},  {"us", 1e3},     {"ms", 1e6},
				    {"s", 1e9}, {"hrs", 3600e9}, {NULL, 0}};
static const struct unit sizes[] = {{"B", 1},
				    {"kB", 1024.0},
				    {"MB", 1024.0 * 1024},
				    {"GB", 1024.0 * 1024 * 1024},
				    {"TB", 1024.0 * 1024 * 1024 * 1024},
				    {"PB", 1024.0 * 1024 * 1024 * 1024 * 1024},
				    {NULL, 0}};

/* Spellings in profiles, without a plural s. */
static const struct {
	const char *word;
	const struct unit *family;
	int index;
} words[] = {
	{"nanosecond", times, 0}, {"ns", times, 0},      {"microsecond", times, 1},
	{"us", times, 1},         {"\u03bcs", times, 1}, {"millisecond", times, 2},
	{"ms", times, 2},         {"second", times, 3},  {"sec", times, 3},
	{"s", times, 3},          {"hour", times, 4},    {"hr", times, 4},
	{"byte", sizes, 0},       {"b", sizes, 0},       {"kilobyte", sizes, 1},
	{"kbyte", sizes, 1},      {"kb", sizes, 1},      {"megabyte", sizes, 2},
	{"mbyte", sizes, 2},      {"mb", sizes, 2},      {"gigabyte", sizes, 3},
	{"gbyte", sizes, 3},      {"gb", sizes, 3},      {"terabyte", sizes, 4},
	{"tbyte", sizes, 4},      {"tb", sizes, 4},      {"petabyte", sizes, 5},
	{"pbyte", sizes, 5},      {"pb", sizes, 5},
};

static const struct unit *find_unit(const char *unit, const struct unit **ret_family)
{
	size_t len = strlen(unit);

	if (len > 2 && (unit[len - 1] == 's' || unit[len - 1] == 'S'))
		len--;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strlen(words[i].word) == len && strncasecmp(words[i].word, unit, len) == 0) {
			*ret_family = words[i].family;
			return &words[i].family[words[i].index];
		}
	}
	return NULL;
}

static bool is_auto(const char *unit)
{
	return strcmp(unit, "minimum") == 0 || strcmp(unit, "auto") == 0;
}

/* Counts of things are printed as bare numbers. */
static struct scale plain(const char *unit)
{
	static const char *const bare[] = {"count", "sample", "unit"};

	for (size_t i = 0; i < sizeof bare / sizeof *bare; i++)
		if (strcmp(unit, bare[i]) == 0)
			return (struct scale){"", 1, 1};
	return (struct scale){is_auto(unit) ? "" : unit, 1, 1};
}

static struct scale fit(double value, const char *unit)
{
	const struct unit *family, *from = find_unit(unit, &family), *to;

	if (!from)
		return plain(unit);
	to = family;
	for (const struct unit *u = family; u->name; u++)
		if (fabs(value) * from->factor >= u->factor)
			to = u;
	return (struct scale){to->name, from->factor, to->factor};
}

struct scale pp_units_fit(int64_t value, const char *unit)
{
	return fit(value, unit);
}

/*
 * The unit of the least value, so that it doesn't vanish; with a wide span, one in which it is
 * still 0.01, so that the large values stay short.
 */
struct scale pp_units_common(int64_t least, int64_t most, const char *unit)
{
	struct scale low = fit(least, unit), high = fit(most, unit);

	/* Each has a name. NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
	if (strcmp(low.suffix, high.suffix) != 0 && fabs((double)least) * 100 < fabs((double)most))
		return fit(100.0 * least, unit);
	return low;
}

struct scale pp_units_in(int64_t value, const char *unit, const char *wanted)
{
	const struct unit *family, *other, *from = find_unit(unit, &family), *to;

	if (is_auto(wanted))
		return from ? fit(value, unit) : (struct scale){"", 1, 1};
	if (!from)
		return plain(wanted);
	to = find_unit(wanted, &other);
	if (!to || other != family)
		to = family == times ? &times[3] : &sizes[0];
	return (struct scale){to->name, from->factor, to->factor};
}

double pp_units_scaled(int64_t value, struct scale scale)
{
	return value * scale.from / scale.to;
}

double pp_units_ratio(const char *from, const char *to)
{
	const struct unit *family, *other, *a = find_unit(from, &family), *b;

	b = find_unit(to, &other);
	return a && b && family == other ? a->factor / b->factor : strcmp(from, to) == 0;
}

double pp_units_nanoseconds(const char *unit)
{
	const struct unit *family, *u = find_unit(unit, &family);

	return u && family == times ? u->factor : 0;
}

double pp_units_bytes(const char *unit)
{
	const struct unit *family, *u = find_unit(unit, &family);

	return u && family == sizes ? u->factor : 0;
}

/* Removes a last character that was cut in the middle. */
static void drop_part(char *text)
{
	size_t n = strlen(text), begin = n;
	unsigned char lead;

	while (begin > 0 && ((unsigned char)text[begin - 1] & 0xc0) == 0x80)
		begin--;
	if (begin == 0)
		return;
	lead = (unsigned char)text[--begin];
	if (n - begin < (lead >= 0xf0 ? 4u : lead >= 0xe0 ? 3u : lead >= 0xc0 ? 2u : 1u))
		text[begin] = '\0';
}

const char *pp_units_format(char text[UNITS_TEXT], int64_t value, struct scale scale)
{
	int n = snprintf(text, UNITS_TEXT, "%.2f", pp_units_scaled(value, scale));

	if (n > 3 && strcmp(text + n - 3, ".00") == 0)
		text[n -= 3] = '\0';
	if (strcmp(text, "0") == 0 || strcmp(text, "-0") == 0)
		strcpy(text, "0");
	else
		snprintf(text + n, UNITS_TEXT - n, "%s", scale.suffix);
	drop_part(text);
	return text;
}

const char *pp_units_percent(char text[UNITS_TEXT], int64_t value, int64_t total)
{
	double share = total ? fabs((double)value / total) * 100 : 0;

	if (share >= 99.95 && share <= 100.05)
		snprintf(text, UNITS_TEXT, "  100%%");
	else if (share >= 1)
		snprintf(text, UNITS_TEXT, "%5.2f%%", share);
	else
		snprintf(text, UNITS_TEXT, "%5.2g%%", share);
	return text;
}

const char *pprof_value_text(char *text, double value, const char *unit)
{
	enum { PUBLIC_TEXT = 32 };
	struct scale scale = fit(value, unit);
	double v = value * scale.from / scale.to;
	int digits = fabs(v) >= 100 || v == 0 ? 0 : fabs(v) >= 10 ? 1 : 2;

	snprintf(text, PUBLIC_TEXT, "%.*f%s", digits, v, v == 0 ? "" : scale.suffix);
	drop_part(text);
	pp_make_printable(text);
	return text;
}

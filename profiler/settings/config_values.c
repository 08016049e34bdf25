/* SPDX-License-Identifier: Apache-2.0 */
#include "config_values.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

/* --- values ------------------------------------------------------------------------- */

struct unit {
	const char *name;
	uint64_t factor;
};

/* The unit at s, up to what is no letter. */
static uint64_t factor_of(const struct unit *units, const char *s, size_t *len)
{
	*len = 0;
	while (isalpha((unsigned char)s[*len]))
		++*len;
	for (; units->name; units++) {
		if (strlen(units->name) == *len && !strncmp(units->name, s, *len))
			return units->factor;
	}
	return 0;
}

/* A sum of so many numbers with units; no sign, no white space. */
static bool parse_sum(const struct unit *units, unsigned int most, const char *text, uint64_t *ret)
{
	double total = 0;

	do {
		uint64_t factor;
		size_t len;
		char *end;
		double v;

		if (!isdigit((unsigned char)*text) || most-- == 0)
			return false;
		v = strtod(text, &end);
		factor = factor_of(units, end, &len);
		if (!factor || (end[len] && !isdigit((unsigned char)end[len])))
			return false;
		total += v * (double)factor;
		text = end + len;
	} while (*text);
	if (!(total <= 1e18))
		return false;
	*ret = (uint64_t)total;
	return true;
}

bool config_time(const char *text, uint64_t *ret)
{
	static const struct unit units[] = {{"ms", 1000000},       {"s", 1000000000},
					    {"m", 60000000000},    {"h", 3600000000000},
					    {"d", 86400000000000}, {0}};

	return parse_sum(units, 4, text, ret);
}

bool config_size(const char *text, uint64_t *ret)
{
	static const struct unit units[] = {{"", 1},
					    {"B", 1},
					    {"KB", 1000},
					    {"MB", 1000000},
					    {"GB", 1000000000},
					    {"KiB", 1 << 10},
					    {"MiB", 1 << 20},
					    {"GiB", 1 << 30},
					    {"TB", 1000000000000},
					    {"TiB", (uint64_t)1 << 40},
					    {0}};

	return parse_sum(units, 1, text, ret);
}

bool config_share(const char *text, double *ret)
{
	char *end;
	double v;

	if (!isdigit((unsigned char)*text))
		return false;
	v = strtod(text, &end);
	if (strcmp(end, "%") != 0 || !(v <= 100000))
		return false;
	*ret = v / 100;
	return true;
}

bool config_bool(const char *text, bool *ret)
{
	*ret = !strcmp(text, "true");
	return *ret || !strcmp(text, "false");
}

bool config_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return !errno && !*end && *ret >= min && *ret <= max;
}

/* --- keys --------------------------------------------------------------------------- */

static const char *const other_words[] = {"name", "one", NULL};
static const char *const level_words[] = {"error", "warning", "info", "debug", NULL};
static const char *const format_words[] = {"auto", "journal", "text", "json", NULL};

#define MS ((uint64_t)1000000)
#define S  (1000 * MS)

/* Types and fields take no parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
/* clang-format off */
#define AT(field, T) \
	_Generic(((struct prowl_config *)0)->field, T : offsetof(struct prowl_config, field))
#define KEY_BOOL(n, field) {.name = (n), .type = CONFIG_BOOL, .at = AT(field, bool)}
#define KEY_NUMBER(n, field, lo, hi) {.name = (n), .type = CONFIG_NUMBER, \
	.at = AT(field, unsigned int), .min = (lo), .max = (hi)}
#define KEY_TIME(n, field, lo, hi, z) {.name = (n), .type = CONFIG_TIME, \
	.at = AT(field, uint64_t), .min = (lo), .max = (hi), .zero = (z)}
#define KEY_SIZE(n, field, lo, hi, z) {.name = (n), .type = CONFIG_SIZE, \
	.at = AT(field, uint64_t), .min = (lo), .max = (hi), .zero = (z)}
#define KEY_SHARE(n, field, hi) {.name = (n), .type = CONFIG_SHARE, .at = AT(field, double), \
	.max = (hi)}
#define KEY_TEXT(n, field) {.name = (n), .type = CONFIG_TEXT, .at = AT(field, const char *)}
#define KEY_TEXTS(n, field) {.name = (n), .type = CONFIG_TEXTS, .at = AT(field, struct prowl_texts)}
#define KEY_WORD(n, field, list) {.name = (n), .type = CONFIG_WORD, \
	.at = AT(field, unsigned int), .words = (list)}
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

const struct config_key config_keys[] = {
	KEY_NUMBER("profile.rate", profile.rate, 1, 1000),
	KEY_TIME("profile.window", profile.window, 1 * S, 3600 * S, NULL),
	KEY_BOOL("profile.kernel", profile.kernel),
	KEY_BOOL("profile.labels", profile.labels),
	KEY_BOOL("profile.self", profile.self),
	KEY_SIZE("profile.stack_bytes", profile.stack_bytes, 256, 65528, "auto"),
	KEY_WORD("profile.other", profile.other, other_words),
	KEY_BOOL("discovery.cmdline", discovery.cmdline),
	KEY_BOOL("discovery.environment", discovery.environment),
	KEY_NUMBER("discovery.opens_per_second", discovery.opens_per_second, 1, 10000),
	KEY_TIME("discovery.rescan", discovery.rescan, 1 * S, 3600 * S, NULL),
	KEY_TEXT("kubernetes.pod_logs", kubernetes.pod_logs),
	KEY_TEXT("docker.containers", docker.containers),
	KEY_TIME("runtime.figures", runtime[PROWL_SCHEDULE_FIGURES], 1 * S, 86400 * S, "none"),
	KEY_TIME("runtime.heap", runtime[PROWL_SCHEDULE_HEAP], 1 * S, 86400 * S, "none"),
	KEY_TIME("runtime.goroutine", runtime[PROWL_SCHEDULE_GOROUTINE], 1 * S, 86400 * S, "none"),
	KEY_TIME("runtime.block", runtime[PROWL_SCHEDULE_BLOCK], 1 * S, 86400 * S, "none"),
	KEY_TIME("runtime.mutex", runtime[PROWL_SCHEDULE_MUTEX], 1 * S, 86400 * S, "none"),
	KEY_TEXT("store.path", store.path),
	KEY_SIZE("store.max_bytes", store.max_bytes, 1 << 20, (uint64_t)1 << 50, "auto"),
	KEY_SIZE("store.min_free", store.min_free, 1, (uint64_t)1 << 50, "auto"),
	KEY_TIME("store.max_age", store.max_age, 3600 * S, 86400 * 3660 * S, NULL),
	KEY_SHARE("store.max_delete_fraction", store.max_delete_fraction, 100),
	KEY_BOOL("store.fsync", store.fsync),
	KEY_NUMBER("store.events.max", store.events.max, 1, 1000000),
	KEY_SIZE("store.events.max_bytes", store.events.max_bytes, 1 << 20, (uint64_t)1 << 50,
		 NULL),
	KEY_TIME("store.events.max_age", store.events.max_age, 3600 * S, 86400 * 3660 * S, NULL),
	KEY_TEXTS("listen", listen),
	KEY_NUMBER("limits.targets", limits.targets, 1, 100000),
	KEY_NUMBER("limits.label_values", limits.label_values, 1, 100000),
	KEY_NUMBER("limits.events_fds", limits.events_fds, 16, 1000000),
	KEY_NUMBER("captures.max", captures.max, 1, 64),
	KEY_NUMBER("captures.max_seconds", captures.max_seconds, 1, 3600),
	KEY_NUMBER("captures.max_rate", captures.max_rate, 1, 20000),
	KEY_TEXT("http.token_file", http.token_file),
	KEY_TEXTS("http.allowed_hosts", http.allowed_hosts),
	KEY_BOOL("http.metrics_without_token", http.metrics_without_token),
	KEY_BOOL("http.insecure", http.insecure),
	KEY_NUMBER("http.max_connections", http.max_connections, 1, 10000),
	KEY_NUMBER("query.threads", query.threads, 1, 16),
	KEY_SHARE("budget.cpu", budget.cpu, 100),
	KEY_WORD("log.level", log.level, level_words),
	KEY_WORD("log.format", log.format, format_words),
};
const size_t config_nkeys = sizeof config_keys / sizeof *config_keys;

void config_variable(const struct config_key *k, char ret[CONFIG_VARIABLE])
{
	size_t n = (size_t)snprintf(ret, CONFIG_VARIABLE, "PROWL_%s", k->name);

	for (size_t i = 0; i < n && i < CONFIG_VARIABLE - 1; i++)
		ret[i] = ret[i] == '.' ? '_' : (char)toupper((unsigned char)ret[i]);
}

/* --- storing one ---------------------------------------------------------------------- */

/* "5s", with the largest unit that divides it. */
static void put_time(char *buf, size_t len, uint64_t ns)
{
	if (ns % (86400 * S) == 0)
		snprintf(buf, len, "%llud", (unsigned long long)(ns / (86400 * S)));
	else if (ns % (3600 * S) == 0)
		snprintf(buf, len, "%lluh", (unsigned long long)(ns / (3600 * S)));
	else
		snprintf(buf, len, "%llus", (unsigned long long)(ns / S));
}

static bool store_number(const struct config_key *k, void *field, const char *text, char *why,
			 size_t len)
{
	uint64_t v;

	if (config_number(text, k->min, k->max, &v)) {
		*(unsigned int *)field = (unsigned int)v;
		return true;
	}
	snprintf(why, len, "wants a whole number from %llu to %llu", (unsigned long long)k->min,
		 (unsigned long long)k->max);
	return false;
}

static bool store_time(const struct config_key *k, void *field, const char *text, char *why,
		       size_t len)
{
	char lo[24], hi[24];

	if (config_time(text, field) && *(uint64_t *)field >= k->min &&
	    *(uint64_t *)field <= k->max)
		return true;
	put_time(lo, sizeof lo, k->min);
	put_time(hi, sizeof hi, k->max);
	snprintf(why, len, "wants a time such as 10s, 5m, 2h or 30d, from %s to %s%s%s", lo, hi,
		 k->zero ? ", or " : "", k->zero ? k->zero : "");
	return false;
}

static bool store_size(const struct config_key *k, void *field, const char *text, char *why,
		       size_t len)
{
	if (config_size(text, field) && *(uint64_t *)field >= k->min &&
	    *(uint64_t *)field <= k->max)
		return true;
	snprintf(why, len, "wants a size such as 64MiB or 2GB, from %llu to %llu bytes%s%s",
		 (unsigned long long)k->min, (unsigned long long)k->max, k->zero ? ", or " : "",
		 k->zero ? k->zero : "");
	return false;
}

static bool store_share(const struct config_key *k, void *field, const char *text, char *why,
			size_t len)
{
	double v;

	if (config_share(text, &v) && v > 0 && v * 100 <= (double)k->max) {
		*(double *)field = v;
		return true;
	}
	snprintf(why, len, "wants a share such as 1%%, above 0 %% and up to %llu %%",
		 (unsigned long long)k->max);
	return false;
}

static bool store_word(const struct config_key *k, void *field, const char *text, char *why,
		       size_t len)
{
	size_t used;

	for (unsigned int i = 0; k->words[i]; i++) {
		if (!strcmp(k->words[i], text)) {
			*(unsigned int *)field = i;
			return true;
		}
	}
	used = (size_t)snprintf(why, len, "wants");
	for (size_t i = 0; k->words[i] && used < len; i++)
		used += (size_t)snprintf(why + used, len - used, "%s %s",
					 i == 0            ? ""
					 : k->words[i + 1] ? ","
							   : " or",
					 k->words[i]);
	return false;
}

static bool store_bool(void *field, const char *text, char *why, size_t len)
{
	if (config_bool(text, field))
		return true;
	snprintf(why, len, "wants true or false");
	return false;
}

bool config_store(const struct config_key *k, struct prowl_config *c, const char *text, char *why,
		  size_t len)
{
	void *field = (char *)c + k->at;

	if (k->zero && !strcmp(k->zero, text)) {
		*(uint64_t *)field = 0;
		return true;
	}
	switch (k->type) {
	case CONFIG_BOOL:
		return store_bool(field, text, why, len);
	case CONFIG_NUMBER:
		return store_number(k, field, text, why, len);
	case CONFIG_TIME:
		return store_time(k, field, text, why, len);
	case CONFIG_SIZE:
		return store_size(k, field, text, why, len);
	case CONFIG_SHARE:
		return store_share(k, field, text, why, len);
	case CONFIG_WORD:
		return store_word(k, field, text, why, len);
	case CONFIG_TEXT:
		*(const char **)field = text;
		return true;
	case CONFIG_TEXTS:
		break;
	}
	snprintf(why, len, "wants a list");
	return false;
}

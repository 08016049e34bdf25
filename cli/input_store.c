/* SPDX-License-Identifier: Apache-2.0 */
#include "input_store.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "config.h"
#include "pprof.h"
#include "store.h"
#include "term.h"
#include "when.h"

#define SCHEME "store:"

bool input_is_store(const char *path)
{
	return !strncmp(path, SCHEME, strlen(SCHEME));
}

int64_t input_now(void)
{
	return (int64_t)prowl_clock_ns(CLOCK_REALTIME);
}

bool input_time(const char *what, const char *text, int64_t *ret)
{
	if (prowl_when_parse(text, input_now(), ret))
		return true;
	say_error("%s: '%s' is no time: -2h, now, 2026-11-30T08:05:00Z or a Unix time", what, text);
	return false;
}

static const char *const aggs[] = {"mean", "max", "min", "last"};

bool input_agg(const char *text, struct prowl_query *q)
{
	for (unsigned int i = 0; i < sizeof aggs / sizeof *aggs; i++) {
		if (!strcmp(text, aggs[i])) {
			q->agg = i;
			return true;
		}
	}
	say_error("'%s' is not mean, max, min or last", text);
	return false;
}

bool input_tag(const char *text, struct prowl_query *q)
{
	if (!strcmp(text, "window"))
		q->tags |= PROWL_STORE_TAG_WINDOW;
	else if (!strcmp(text, "series"))
		q->tags |= PROWL_STORE_TAG_SERIES;
	else
		say_error("'%s' is no label that is kept: window or series", text);
	return !strcmp(text, "window") || !strcmp(text, "series");
}

/* --- the store ------------------------------------------------------------------- */

static bool own_store(char *dir, size_t len)
{
	struct prowl_config *config;
	struct prowl_err err = {0};
	bool found;

	if (prowl_config_load(NULL, &config, &err) != PROWL_OK) {
		say_failure(&err);
		return false;
	}
	found = prowl_config_store(config, dir, len);
	prowl_config_free(config);
	if (!found)
		say_error("no store: give its folder with --store DIR");
	return found;
}

struct prowl_store *input_open_store(const char *dir, bool write, enum prowl_code *code)
{
	struct prowl_store_options o = {.path = dir, .read_only = !write};
	struct prowl_store *s = NULL;
	struct prowl_err err = {0};
	char own[4096];

	*code = PROWL_FAILED;
	if (!dir || !*dir) {
		if (!own_store(own, sizeof own))
			return NULL;
		o.path = own;
	}
	*code = prowl_store_open(&o, &s, &err);
	if (*code != PROWL_OK)
		say_failure(&err);
	return s;
}

static void warn(const struct prowl_store_merged *m)
{
	for (size_t i = 0; i < m->nnotes; i++)
		say_warning("%s", m->notes[i]);
	if (m->missing)
		say_warning("%zu windows of that time are missing, %zu are there", m->missing,
			    m->used);
	if (m->facts.lost)
		say_warning("%llu samples were lost", (unsigned long long)m->facts.lost);
}

struct pprof_profile *input_query_store(struct prowl_store *s, const struct prowl_query *q,
					enum prowl_code *code)
{
	struct prowl_store_merged *m;
	struct pprof_profile *p;
	struct prowl_err err = {0};

	*code = prowl_store_merge(s, q, &m, &err);
	if (*code != PROWL_OK) {
		say_failure(&err);
		return NULL;
	}
	warn(m);
	p = prowl_store_merged_take(m);
	prowl_store_merged_free(m);
	return p;
}

/* --- the path -------------------------------------------------------------------- */

struct place {
	char *text; /* a copy, cut into parts */
	const char *dir;
	struct prowl_query q;
	FILE *match; /* a selector */
};

static int hex(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10
					    : -1;
}

/* %41 is A. */
static void decode(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s == '%' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
			*to++ = (char)(hex(s[1]) * 16 + hex(s[2]));
			s += 2;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static void put_matcher(FILE *to, const char *name, const char *value)
{
	fprintf(to, "%s%s=\"", ftell(to) > 0 ? "," : "", name);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			fputc('\\', to);
		fputc(*value, to);
	}
	fputc('"', to);
}

static bool take_key(struct place *p, const char *key, char *value)
{
	if (!strcmp(key, "from"))
		return input_time(key, value, &p->q.from);
	if (!strcmp(key, "to"))
		return input_time(key, value, &p->q.to);
	if (!strcmp(key, "agg"))
		return input_agg(value, &p->q);
	if (!strcmp(key, "tag"))
		return input_tag(value, &p->q);
	if (!strcmp(key, "kind"))
		p->q.kind = value;
	else if (!strcmp(key, "match"))
		fprintf(p->match, "%s%s", ftell(p->match) > 0 ? "," : "", value);
	else
		put_matcher(p->match, key, value);
	return true;
}

static bool take_keys(struct place *p, char *keys)
{
	char *next, *value;

	for (; keys && *keys; keys = next) {
		next = strchr(keys, '&');
		if (next)
			*next++ = '\0';
		value = strchr(keys, '=');
		if (!value) {
			say_error("'%s' has no value: store:DIR?service=NAME&from=-2h", keys);
			return false;
		}
		*value++ = '\0';
		decode(keys);
		decode(value);
		if (!take_key(p, keys, value))
			return false;
	}
	return true;
}

static struct pprof_profile *load(struct place *p, const char *match)
{
	struct prowl_selector *selector = NULL;
	struct pprof_profile *profile = NULL;
	struct prowl_err err = {0};
	struct prowl_store *s;
	enum prowl_code code;

	if (prowl_selector_new(match, &selector, &err) != PROWL_OK) {
		say_failure(&err);
		return NULL;
	}
	p->q.match = selector;
	if (!p->q.from)
		p->q.from = (p->q.to ? p->q.to : input_now()) - 3600000000000;
	s = input_open_store(p->dir, false, &code);
	if (s)
		profile = input_query_store(s, &p->q, &code);
	prowl_store_close(s);
	prowl_selector_free(selector);
	return profile;
}

struct pprof_profile *input_load_store(const char *path)
{
	struct place p = {.text = strdup(path + strlen(SCHEME))};
	struct pprof_profile *profile = NULL;
	char *match = NULL, *keys = p.text ? strchr(p.text, '?') : NULL;
	size_t len;
	bool good;

	p.match = open_memstream(&match, &len);
	if (!p.text || !p.match) {
		say_error("out of memory");
		free(p.text);
		return NULL;
	}
	if (keys)
		*keys++ = '\0';
	p.dir = p.text;
	good = take_keys(&p, keys);
	good = fclose(p.match) == 0 && good;
	if (good)
		profile = load(&p, match);
	free(match);
	free(p.text);
	return profile;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "config_triggers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"

static const char *const figure_names[PROWL_TRIGGER_FIGURES] = {
	[PROWL_TRIGGER_CPU] = "cpu",         [PROWL_TRIGGER_RSS] = "rss",
	[PROWL_TRIGGER_MEMORY] = "memory",   [PROWL_TRIGGER_GOROUTINES] = "goroutines",
	[PROWL_TRIGGER_THREADS] = "threads", [PROWL_TRIGGER_HEAP_LIVE] = "heap_live",
};

const char *prowl_trigger_figure_name(size_t figure)
{
	return figure < PROWL_TRIGGER_FIGURES ? figure_names[figure] : NULL;
}

/* --- conditions ---------------------------------------------------------------------------- */

static bool is_bytes(enum prowl_trigger_figure f)
{
	return f == PROWL_TRIGGER_RSS || f == PROWL_TRIGGER_MEMORY || f == PROWL_TRIGGER_HEAP_LIVE;
}

/* "3x median(1h)" */
static bool parse_median(const char *text, struct prowl_condition *ret)
{
	char span[32], *end;
	size_t n;

	ret->kind = PROWL_ABOVE_MEDIAN;
	ret->value = strtod(text, &end);
	if (end == text || strncmp(end, "x median(", 9) != 0 || !(ret->value > 1) ||
	    !(ret->value < 1e6))
		return false;
	n = strcspn(end + 9, ")");
	if (strcmp(end + 9 + n, ")") != 0 || n >= sizeof span)
		return false;
	snprintf(span, sizeof span, "%.*s", (int)n, end + 9);
	return config_time(span, &ret->span) && ret->span >= 60000000000 &&
	       ret->span <= 7 * 86400000000000;
}

bool prowl_condition_parse(const char *text, enum prowl_trigger_figure figure,
			   struct prowl_condition *ret)
{
	uint64_t bytes;
	char *end;

	*ret = (struct prowl_condition){.figure = figure};
	if (*text++ != '>')
		return false;
	text += strspn(text, " ");
	if (strstr(text, "median"))
		return parse_median(text, ret);
	if (is_bytes(figure) && config_share(text, &ret->value)) {
		ret->kind = PROWL_ABOVE_LIMIT;
		return ret->value > 0;
	}
	if (is_bytes(figure) && config_size(text, &bytes)) {
		ret->value = (double)bytes;
		return true;
	}
	ret->value = strtod(text, &end);
	return !is_bytes(figure) && end != text && !*end && ret->value >= 0 && ret->value < 1e12;
}

static enum prowl_code read_when(struct config_reader *r, const struct yaml_item *map,
				 struct prowl_trigger *t)
{
	enum prowl_code code = config_want(r, map, YAML_DICT);
	const char *names[PROWL_TRIGGER_FIGURES + 1], *text;

	memcpy(names, figure_names, sizeof figure_names);
	names[PROWL_TRIGGER_FIGURES] = "min";
	for (const struct yaml_item *i = map->first; i && code == PROWL_OK; i = i->next) {
		size_t k = config_index(r, i, "when", names, PROWL_TRIGGER_FIGURES + 1, &code);
		uint64_t min;

		if (code == PROWL_OK)
			code = config_want_text(r, i, &text);
		if (code != PROWL_OK)
			return code;
		if (k == PROWL_TRIGGER_FIGURES) {
			if (!config_size(text, &min))
				return config_wrong(r, i->at, "min wants a number, not '%.60s'",
						    text);
			t->min = (double)min;
		} else if (!prowl_condition_parse(text, (enum prowl_trigger_figure)k,
						  &t->when[t->nwhen++])) {
			return config_wrong(
				r, i->at,
				"%s wants \"> 100\", \"> 2GiB\" or \"> 90%%\" of bytes, or "
				"\"> 3x median(1h)\", not '%.60s'",
				i->key, text);
		}
	}
	return code;
}

/* --- a trigger ------------------------------------------------------------------------------ */

/* "heap", "cpu=10s" */
static enum prowl_code read_capture(struct config_reader *r, const struct yaml_item *item,
				    struct prowl_trigger *t)
{
	struct prowl_trigger_capture *c = &t->capture[t->ncapture];
	const char *text;
	enum prowl_code code = config_want_text(r, item, &text);
	char kind[32];

	if (code != PROWL_OK)
		return code;
	if (t->ncapture == PROWL_TRIGGER_CAPTURES)
		return config_wrong(r, item->at, "more than %d captures", PROWL_TRIGGER_CAPTURES);
	snprintf(kind, sizeof kind, "%.*s", (int)strcspn(text, "="), text);
	text += strcspn(text, "=");
	if (*text && (!config_time(text + 1, &c->ns) || c->ns < 100000000 || c->ns > 300000000000))
		return config_wrong(r, item->at, "%s wants a time up to 5m, not '%.60s'", kind,
				    text + 1);
	c->kind = config_copy(r->config, kind);
	if (!c->kind)
		return prowl_fail(r->err, PROWL_FAILED, "out of memory");
	t->ncapture++;
	return PROWL_OK;
}

static enum prowl_code read_captures(struct config_reader *r, const struct yaml_item *list,
				     struct prowl_trigger *t)
{
	enum prowl_code code = config_want(r, list, YAML_LIST);

	for (const struct yaml_item *i = list->first; i && code == PROWL_OK; i = i->next)
		code = read_capture(r, i, t);
	return code;
}

static enum prowl_code read_time(struct config_reader *r, const struct yaml_item *item,
				 uint64_t *ret)
{
	const char *text;
	enum prowl_code code = config_want_text(r, item, &text);

	if (code != PROWL_OK || config_time(text, ret))
		return code;
	return config_wrong(r, item->at, "%s wants a time such as 30s or 10m, not '%.60s'",
			    item->key, text);
}

static enum prowl_code read_per_day(struct config_reader *r, const struct yaml_item *item,
				    struct prowl_trigger *t)
{
	const char *text;
	enum prowl_code code = config_want_text(r, item, &text);
	uint64_t v;

	if (code != PROWL_OK)
		return code;
	if (!config_number(text, 1, 1000, &v))
		return config_wrong(r, item->at,
				    "max_per_day wants a whole number from 1 to 1000, not '%.60s'",
				    text);
	t->max_per_day = (unsigned int)v;
	return PROWL_OK;
}

static bool is_name(const char *s)
{
	return *s && strlen(s) <= 32 &&
	       s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static enum prowl_code read_key(struct config_reader *r, const struct yaml_item *item,
				struct prowl_trigger *t)
{
	static const char *const names[] = {"name",     "when",        "for",
					    "cooldown", "max_per_day", "capture"};
	enum prowl_code code = PROWL_OK;

	switch (config_index(r, item, "a trigger", names, 6, &code)) {
	case 0:
		return config_want_text(r, item, &t->name);
	case 1:
		return read_when(r, item, t);
	case 2:
		return read_time(r, item, &t->for_);
	case 3:
		return read_time(r, item, &t->cooldown);
	case 4:
		return read_per_day(r, item, t);
	case 5:
		return read_captures(r, item, t);
	default:
		return code;
	}
}

static enum prowl_code read_trigger(struct config_reader *r, const struct yaml_item *map,
				    struct prowl_trigger *t)
{
	enum prowl_code code = config_want(r, map, YAML_DICT);

	*t = (struct prowl_trigger){.name = "", .cooldown = 600000000000, .max_per_day = 20};
	for (const struct yaml_item *i = map->first; i && code == PROWL_OK; i = i->next)
		code = read_key(r, i, t);
	if (code != PROWL_OK)
		return code;
	if (!is_name(t->name))
		return config_wrong(r, map->at,
				    "a trigger needs a name of small letters, digits and _");
	if (!t->nwhen || !t->ncapture)
		return config_wrong(r, map->at, "the trigger %s needs when and capture", t->name);
	return PROWL_OK;
}

enum prowl_code config_read_triggers(struct config_reader *r, const struct yaml_item *list)
{
	struct prowl_config *c = r->config;
	enum prowl_code code = config_want(r, list, YAML_LIST);
	struct prowl_trigger *triggers;

	if (code != PROWL_OK)
		return code;
	triggers = config_alloc(c, config_count(list), sizeof *triggers);
	if (!triggers)
		return prowl_fail(r->err, PROWL_FAILED, "out of memory");
	c->triggers = triggers;
	c->ntriggers = 0;
	for (const struct yaml_item *i = list->first; i && code == PROWL_OK; i = i->next)
		code = read_trigger(r, i, &triggers[c->ntriggers++]);
	return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* targets: and labels: of the configuration. */
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "config_parts.h"

/* --- match: ------------------------------------------------------------------------------ */

enum { MATCH_GO = PROWL_FACTS, MATCH_UID, MATCH_NAME, MATCHES };

static enum prowl_code want_bool(struct config_reader *r, const struct yaml_item *item, bool *ret)
{
	const char *text;
	enum prowl_code code = config_want_text(r, item, &text);

	if (code != PROWL_OK || config_bool(text, ret))
		return code;
	return config_wrong(r, item->at, "%s wants true or false, not '%.60s'", item->key, text);
}

/* A number, or the name of a user. */
static enum prowl_code want_uid(struct config_reader *r, const struct yaml_item *item, uid_t *ret)
{
	const struct passwd *pw;
	const char *text;
	enum prowl_code code = config_want_text(r, item, &text);
	uint64_t v;

	if (code != PROWL_OK)
		return code;
	if (config_number(text, 0, UINT32_MAX - 1, &v)) {
		*ret = (uid_t)v;
		return PROWL_OK;
	}
	pw = getpwnam(text);
	if (!pw)
		return config_wrong(r, item->at, "there is no user '%.60s'", text);
	*ret = pw->pw_uid;
	return PROWL_OK;
}

static enum prowl_code read_match(struct config_reader *r, const struct yaml_item *map,
				  struct prowl_rule *rule)
{
	enum prowl_code code = config_want(r, map, YAML_DICT);
	const char *names[MATCHES];

	for (size_t i = 0; i < PROWL_FACTS; i++)
		names[i] = prowl_fact_name(i);
	names[MATCH_GO] = "go";
	names[MATCH_UID] = "uid";
	names[MATCH_NAME] = "name";
	for (const struct yaml_item *i = map->first; i && code == PROWL_OK; i = i->next) {
		size_t k = config_index(r, i, "match", names, MATCHES, &code);

		switch (k) {
		case MATCHES:
			break;
		case MATCH_GO:
			rule->has_go = true;
			code = want_bool(r, i, &rule->go);
			break;
		case MATCH_UID:
			rule->has_uid = true;
			code = want_uid(r, i, &rule->uid);
			break;
		case MATCH_NAME:
			code = config_want_text(r, i, &rule->name);
			break;
		default:
			code = config_want_text(r, i, &rule->pattern[k]);
			break;
		}
	}
	return code;
}

/* --- a rule ------------------------------------------------------------------------------ */

/* Names of labels are those that Prometheus and the pushed servers take. */
static bool is_label_name(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";

	return *s && strlen(s) < PROWL_SERIES_NAME && strchr(letters, *s) &&
	       s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")] ==
		       '\0';
}

static enum prowl_code read_rule_labels(struct config_reader *r, const struct yaml_item *map,
					struct prowl_rule *rule)
{
	enum prowl_code code = config_want(r, map, YAML_DICT);
	struct prowl_series_label *labels;

	if (code != PROWL_OK)
		return code;
	labels = config_alloc(r->config, config_count(map), sizeof *labels);
	if (!labels)
		return prowl_fail(r->err, PROWL_FAILED, "out of memory");
	for (const struct yaml_item *i = map->first; i && code == PROWL_OK; i = i->next) {
		if (!is_label_name(i->key))
			return config_wrong(r, i->key_at,
					    "'%.60s' is no name of a label: letters, digits and _",
					    i->key);
		labels[rule->nlabels].name = i->key;
		labels[rule->nlabels].identity = true;
		code = config_want_text(r, i, &labels[rule->nlabels++].value);
	}
	rule->labels = labels;
	return code;
}

static enum prowl_code read_schedule(struct config_reader *r, const struct yaml_item *map,
				     struct prowl_rule *rule)
{
	enum prowl_code code = config_want(r, map, YAML_DICT);
	const char *names[PROWL_SCHEDULES];

	for (size_t i = 0; i < PROWL_SCHEDULES; i++)
		names[i] = prowl_schedule_name(i);
	for (const struct yaml_item *i = map->first; i && code == PROWL_OK; i = i->next) {
		size_t k = config_index(r, i, "runtime", names, PROWL_SCHEDULES, &code);
		const char *text;

		if (code == PROWL_OK)
			code = config_want_text(r, i, &text);
		if (code != PROWL_OK)
			return code;
		rule->has_period[k] = true;
		if (strcmp(text, "none") != 0 &&
		    (!config_time(text, &rule->period[k]) || rule->period[k] < 1000000000))
			return config_wrong(r, i->at,
					    "%s wants a time from 1s, or none, not '%.60s'", i->key,
					    text);
	}
	return code;
}

static enum prowl_code read_template(struct config_reader *r, const struct yaml_item *item,
				     struct prowl_rule *rule)
{
	enum prowl_code code = config_want_text(r, item, &rule->service);
	const char *why = code == PROWL_OK ? prowl_template_check(rule->service) : NULL;

	return why ? config_wrong(r, item->at, "service: %s", why) : code;
}

static enum prowl_code read_rate(struct config_reader *r, const struct yaml_item *item,
				 struct prowl_rule *rule)
{
	const char *text;
	enum prowl_code code = config_want_text(r, item, &text);
	uint64_t v;

	if (code != PROWL_OK)
		return code;
	if (!config_number(text, 1, 1000, &v))
		return config_wrong(r, item->at,
				    "rate wants a whole number from 1 to 1000, not '%.60s'", text);
	rule->rate = (unsigned int)v;
	return PROWL_OK;
}

static enum prowl_code read_profile(struct config_reader *r, const struct yaml_item *item,
				    struct prowl_rule *rule)
{
	return want_bool(r, item, &rule->profile);
}

static enum prowl_code read_rule(struct config_reader *r, const struct yaml_item *map,
				 struct prowl_rule *rule)
{
	static const char *const names[] = {"match",  "profile", "service",
					    "labels", "rate",    "runtime"};
	static enum prowl_code (*const read[])(struct config_reader *, const struct yaml_item *,
					       struct prowl_rule *) = {
		read_match,       read_profile, read_template,
		read_rule_labels, read_rate,    read_schedule};
	enum { N = sizeof names / sizeof *names };
	enum prowl_code code = config_want(r, map, YAML_DICT);
	const char *slash = strrchr(r->name, '/');
	char origin[160];

	*rule = (struct prowl_rule){.profile = true};
	snprintf(origin, sizeof origin, "%.120s:%u", slash ? slash + 1 : r->name, map->at.line);
	rule->origin = config_copy(r->config, origin);
	if (!rule->origin)
		return prowl_fail(r->err, PROWL_FAILED, "out of memory");
	for (const struct yaml_item *i = map->first; i && code == PROWL_OK; i = i->next) {
		size_t k = config_index(r, i, "a target", names, N, &code);

		if (k < N)
			code = read[k](r, i, rule);
	}
	return code;
}

enum prowl_code config_read_rules(struct config_reader *r, const struct yaml_item *list)
{
	struct prowl_rules *rules = &r->config->rules;
	enum prowl_code code = config_want(r, list, YAML_LIST);

	if (code != PROWL_OK)
		return code;
	*rules = (struct prowl_rules){
		.rules = config_alloc(r->config, config_count(list), sizeof *rules->rules)};
	if (!rules->rules)
		return prowl_fail(r->err, PROWL_FAILED, "out of memory");
	for (const struct yaml_item *i = list->first; i && code == PROWL_OK; i = i->next)
		code = read_rule(r, i, &rules->rules[rules->n++]);
	return code;
}

struct prowl_rule *config_rule_in_front(struct prowl_config *c)
{
	struct prowl_rule *more = config_alloc(c, c->rules.n + 1, sizeof *more);

	if (!more)
		return NULL;
	if (c->rules.n)
		memcpy(more + 1, c->rules.rules, c->rules.n * sizeof *more);
	c->rules = (struct prowl_rules){more, c->rules.n + 1};
	return more;
}

/* --- labels: ----------------------------------------------------------------------------- */

static enum prowl_code read_renames(struct config_reader *r, const struct yaml_item *map)
{
	struct prowl_label_policy *policy = &r->config->labels;
	struct prowl_config_pairs pairs = {0};
	enum prowl_code code = config_want_pairs(r, map, &pairs);
	struct prowl_rename *renames;

	if (code != PROWL_OK)
		return code;
	renames = config_alloc(r->config, pairs.n, sizeof *renames);
	if (!renames)
		return prowl_fail(r->err, PROWL_FAILED, "out of memory");
	for (size_t i = 0; i < pairs.n; i++)
		renames[i] = (struct prowl_rename){pairs.pair[i].name, pairs.pair[i].value};
	policy->rename = renames;
	policy->nrename = pairs.n;
	return PROWL_OK;
}

enum prowl_code config_read_labels(struct config_reader *r, const struct yaml_item *map)
{
	static const char *const names[] = {"keep", "drop", "rename"};
	struct prowl_label_policy *policy = &r->config->labels;
	enum prowl_code code = config_want(r, map, YAML_DICT);

	for (const struct yaml_item *i = map->first; i && code == PROWL_OK; i = i->next) {
		struct prowl_texts list = {0};
		size_t k = config_index(r, i, "labels", names, 3, &code);

		if (k == 2)
			code = read_renames(r, i);
		else if (k < 2)
			code = config_want_texts(r, i, &list);
		if (k == 0) {
			policy->keep = list.text;
			policy->nkeep = list.n;
		} else if (k == 1) {
			policy->drop = list.text;
			policy->ndrop = list.n;
		}
	}
	return code;
}

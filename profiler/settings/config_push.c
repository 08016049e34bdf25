/* SPDX-License-Identifier: Apache-2.0 */
/* push: of the configuration. */
#include <stdio.h>
#include <string.h>

#include "config_parts.h"

enum field_type { TEXT, FLAG, TIME, SIZE, LIST, PAIRS };

struct field {
	const char *name;
	enum field_type type;
	size_t at; /* in struct prowl_config_sink */
};

#define AT(field) offsetof(struct prowl_config_sink, field)

static const struct field sink_fields[] = {
	{"name", TEXT, AT(name)},
	{"type", TEXT, AT(type)},
	{"url", TEXT, AT(url)},
	{"tenant", TEXT, AT(tenant)},
	{"bearer_token_file", TEXT, AT(bearer_token_file)},
	{"proxy", TEXT, AT(proxy)},
	{"match", TEXT, AT(match)},
	{"kinds", LIST, AT(kinds)},
	{"headers", PAIRS, AT(headers)},
	{"external_labels", PAIRS, AT(external_labels)},
	{"timeout", TIME, AT(timeout)},
	{"max_profile_bytes", SIZE, AT(max_profile_bytes)},
};

static const struct field auth_fields[] = {
	{"user", TEXT, AT(user)},
	{"password_file", TEXT, AT(password_file)},
};

static const struct field tls_fields[] = {
	{"ca", TEXT, AT(ca)},
	{"cert", TEXT, AT(cert)},
	{"key", TEXT, AT(key)},
	{"insecure", FLAG, AT(insecure)},
};

static const struct field spool_fields[] = {
	{"max_bytes", SIZE, AT(spool_max_bytes)},
	{"max_age", TIME, AT(spool_max_age)},
};

static const struct field backoff_fields[] = {
	{"min", TIME, AT(backoff_min)},
	{"max", TIME, AT(backoff_max)},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Maps in a sink. */
static const struct group {
	const char *name;
	const struct field *fields;
	size_t n;
} groups[] = {
	{"basic_auth", auth_fields, COUNT(auth_fields)},
	{"tls", tls_fields, COUNT(tls_fields)},
	{"spool", spool_fields, COUNT(spool_fields)},
	{"backoff", backoff_fields, COUNT(backoff_fields)},
};

enum { MOST_NAMES = COUNT(sink_fields) + COUNT(groups) };

static enum prowl_code read_scalar(struct config_reader *r, const struct yaml_item *item,
				   enum field_type type, void *at)
{
	const char *text, *wanted;
	enum prowl_code code = config_want_text(r, item, &text);
	bool good = true;

	if (code != PROWL_OK)
		return code;
	switch (type) {
	case TIME:
		good = config_time(text, at) && *(uint64_t *)at > 0;
		wanted = "a time such as 10s or 5m";
		break;
	case SIZE:
		good = config_size(text, at) && *(uint64_t *)at > 0;
		wanted = "a size such as 64MiB";
		break;
	case FLAG:
		good = config_bool(text, at);
		wanted = "true or false";
		break;
	default:
		*(const char **)at = text;
		return PROWL_OK;
	}
	return good ? PROWL_OK
		    : config_wrong(r, item->at, "%s wants %s, not '%.60s'", item->key, wanted,
				   text);
}

static enum prowl_code read_field(struct config_reader *r, const struct yaml_item *item,
				  const struct field *f, struct prowl_config_sink *sink)
{
	void *at = (char *)sink + f->at;

	switch (f->type) {
	case LIST:
		return config_want_texts(r, item, at);
	case PAIRS:
		return config_want_pairs(r, item, at);
	default:
		return read_scalar(r, item, f->type, at);
	}
}

/* A map of fields, and of maps where `with` says so. */
static enum prowl_code read_fields(struct config_reader *r, const struct yaml_item *map,
				   const char *in, const struct field *fields, size_t n,
				   bool with_groups, struct prowl_config_sink *sink)
{
	enum prowl_code code = config_want(r, map, YAML_DICT);
	const char *names[MOST_NAMES];
	size_t all = n;

	for (size_t i = 0; i < n; i++)
		names[i] = fields[i].name;
	for (size_t i = 0; with_groups && i < COUNT(groups); i++)
		names[all++] = groups[i].name;
	for (const struct yaml_item *i = map->first; i && code == PROWL_OK; i = i->next) {
		size_t k = config_index(r, i, in, names, all, &code);

		if (k < n)
			code = read_field(r, i, &fields[k], sink);
		else if (k < all)
			code = read_fields(r, i, groups[k - n].name, groups[k - n].fields,
					   groups[k - n].n, false, sink);
	}
	return code;
}

/* Names become folders of the spool, and labels of metrics. */
static bool is_sink_name(const char *s)
{
	return *s && strlen(s) <= 64 && *s != '.' &&
	       s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")] ==
		       '\0';
}

static enum prowl_code read_sink(struct config_reader *r, const struct yaml_item *map,
				 struct prowl_config_sink *sink)
{
	enum prowl_code code;

	*sink = (struct prowl_config_sink){.name = "",
					   .type = "",
					   .url = "",
					   .tenant = "",
					   .user = "",
					   .password_file = "",
					   .bearer_token_file = "",
					   .ca = "",
					   .cert = "",
					   .key = "",
					   .proxy = "",
					   .match = "",
					   .line = map->at.line};
	code = read_fields(r, map, "a sink of push", sink_fields, COUNT(sink_fields), true, sink);
	if (code != PROWL_OK)
		return code;
	if (!is_sink_name(sink->name))
		return config_wrong(r, map->at,
				    "a sink of push needs a name of letters, digits, -, _ and .");
	if (!*sink->type || !*sink->url)
		return config_wrong(r, map->at, "the sink %s needs type and url", sink->name);
	return PROWL_OK;
}

enum prowl_code config_read_push(struct config_reader *r, const struct yaml_item *list)
{
	struct prowl_config *c = r->config;
	enum prowl_code code = config_want(r, list, YAML_LIST);

	if (code != PROWL_OK)
		return code;
	c->push = config_alloc(c, config_count(list), sizeof *c->push);
	if (!c->push)
		return prowl_fail(r->err, PROWL_FAILED, "out of memory");
	c->npush = 0;
	for (const struct yaml_item *i = list->first; i && code == PROWL_OK; i = i->next) {
		code = read_sink(r, i, &c->push[c->npush]);
		for (size_t k = 0; code == PROWL_OK && k < c->npush; k++) {
			if (!strcmp(c->push[k].name, c->push[c->npush].name))
				return config_wrong(r, i->at, "two sinks are named %s",
						    c->push[k].name);
		}
		c->npush++;
	}
	return code;
}

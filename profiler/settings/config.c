/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"
#include "config_parts.h"
#include "words.h"

#define MIB ((uint64_t)1 << 20)
#define S   ((uint64_t)1000000000)

/* Files that are taken whole, beyond which yaml_doc refuses them. */
enum { MOST_BYTES = (1 << 20) + 1 };

/* --- defaults --------------------------------------------------------------------------- */

/* Before a memory limit kills, and when goroutines pile up. */
static const struct prowl_trigger default_triggers[] = {
	{.name = "memory",
	 .when = {{PROWL_TRIGGER_MEMORY, PROWL_ABOVE_LIMIT, .value = 0.9}},
	 .nwhen = 1,
	 .cooldown = 600 * S,
	 .max_per_day = 20,
	 .capture = {{"heap", 0}, {"goroutine", 0}},
	 .ncapture = 2},
	{.name = "goroutines",
	 .when = {{PROWL_TRIGGER_GOROUTINES, PROWL_ABOVE_MEDIAN, .value = 3, .span = 3600 * S}},
	 .nwhen = 1,
	 .min = 1000,
	 .for_ = 30 * S,
	 .cooldown = 1800 * S,
	 .max_per_day = 10,
	 .capture = {{"goroutine", 0}},
	 .ncapture = 1},
};

static const struct prowl_config defaults = {
	.profile = {.rate = 19, .window = 60 * S, .kernel = true, .labels = true},
	.discovery = {.opens_per_second = 50, .rescan = 30 * S},
	.kubernetes = {.pod_logs = "/var/log/pods"},
	.docker = {.containers = "/var/lib/docker/containers"},
	.runtime = {[PROWL_SCHEDULE_FIGURES] = 15 * S,
		    [PROWL_SCHEDULE_HEAP] = 600 * S,
		    [PROWL_SCHEDULE_GOROUTINE] = 600 * S,
		    [PROWL_SCHEDULE_BLOCK] = 600 * S,
		    [PROWL_SCHEDULE_MUTEX] = 600 * S},
	.store = {.path = "",
		  .max_age = 30 * 86400 * S,
		  .max_delete_fraction = 0.2,
		  .fsync = true,
		  .events = {.max = 500, .max_bytes = 256 * MIB, .max_age = 90 * 86400 * S}},
	.limits = {.targets = 500, .label_values = 200, .events_fds = 2000},
	.captures = {.max = 2, .max_seconds = 300, .max_rate = 999},
	.http = {.token_file = "", .max_connections = 128},
	.query = {.threads = 2},
	.budget = {.cpu = 0.01},
	.log = {.level = PROWL_LOG_INFO},
	.triggers = default_triggers,
	.ntriggers = sizeof default_triggers / sizeof *default_triggers,
	.file = "",
};

/* The whole of what is profiled where nothing is configured: Go programs. */
static int default_rules(struct prowl_config *c)
{
	struct prowl_rule *r = config_alloc(c, 1, sizeof *r);

	if (!r)
		return -ENOMEM;
	*r = (struct prowl_rule){.has_go = true, .go = true, .profile = true, .origin = "default"};
	c->rules = (struct prowl_rules){.rules = r, .n = 1};
	return 0;
}

static struct prowl_config *config_new(void)
{
	struct prowl_config *c = malloc(sizeof *c);

	if (!c)
		return NULL;
	*c = defaults;
	c->own = calloc(1, sizeof *c->own);
	if (c->own && default_rules(c) == 0)
		return c;
	prowl_config_free(c);
	return NULL;
}

void prowl_config_free(struct prowl_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; c->own && i < c->own->n; i++)
		free(c->own->blocks[i]);
	if (c->own) {
		free(c->own->blocks);
		yaml_doc_free(c->own->doc);
	}
	free(c->own);
	free(c);
}

void *config_alloc(struct prowl_config *c, size_t n, size_t size)
{
	struct prowl_config_own *own = c->own;
	void *p;

	if (prowl_array_reserve(&own->blocks, &own->cap, own->n + 1, sizeof *own->blocks) < 0)
		return NULL;
	p = calloc(n + 1, size);
	if (p)
		own->blocks[own->n++] = p;
	return p;
}

const char *config_copy(struct prowl_config *c, const char *text)
{
	char *p = config_alloc(c, strlen(text), 1);

	return p ? memcpy(p, text, strlen(text) + 1) : NULL;
}

/* --- what the file has -------------------------------------------------------------------- */

enum prowl_code config_unknown(struct config_reader *r, const struct yaml_item *item,
			       const char *in, const char *const *names, size_t n)
{
	const char *best = NULL;
	size_t d = 4;

	for (size_t i = 0; i < n; i++) {
		size_t k = prowl_word_distance(item->key, names[i]);

		if (k < d) {
			d = k;
			best = names[i];
		}
	}
	return config_wrong(r, item->key_at, "%s has no key '%.60s'%s%s%s", in, item->key,
			    best ? "; did you mean '" : "", best ? best : "", best ? "'?" : "");
}

size_t config_index(struct config_reader *r, const struct yaml_item *item, const char *in,
		    const char *const *names, size_t n, enum prowl_code *code)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(names[i], item->key))
			return i;
	}
	*code = config_unknown(r, item, in, names, n);
	return n;
}

/* "key: ", or "key: ~". */
static bool is_nothing(const struct yaml_item *item)
{
	return item->kind == YAML_TEXT && item->plain &&
	       (!*item->text || !strcmp(item->text, "~") || !strcmp(item->text, "null"));
}

enum prowl_code config_want(struct config_reader *r, const struct yaml_item *item,
			    enum yaml_kind kind)
{
	static const char *const what[] = {"a value", "a list", "keys with values"};

	if (item->kind == kind && !is_nothing(item))
		return PROWL_OK;
	return config_wrong(r, item->at, "%s%swants %s", item->key ? item->key : "",
			    item->key ? " " : "this ", what[kind]);
}

enum prowl_code config_want_text(struct config_reader *r, const struct yaml_item *item,
				 const char **ret)
{
	*ret = item->text;
	return config_want(r, item, YAML_TEXT);
}

enum prowl_code config_want_texts(struct config_reader *r, const struct yaml_item *item,
				  struct prowl_texts *ret)
{
	bool one = item->kind == YAML_TEXT;
	enum prowl_code code = PROWL_OK;
	size_t n = 0;

	for (const struct yaml_item *i = one ? item : item->first; i; i = one ? NULL : i->next)
		n++;
	*ret = (struct prowl_texts){.text = config_alloc(r->config, n, sizeof *ret->text)};
	if (!ret->text)
		return prowl_fail(r->err, PROWL_FAILED, "out of memory");
	if (item->kind == YAML_DICT)
		return config_want(r, item, YAML_LIST);
	for (const struct yaml_item *i = one ? item : item->first; i && code == PROWL_OK;
	     i = one ? NULL : i->next)
		code = config_want_text(r, i, &ret->text[ret->n++]);
	return code;
}

size_t config_count(const struct yaml_item *item)
{
	size_t n = 0;

	for (const struct yaml_item *i = item->first; i; i = i->next)
		n++;
	return n;
}

enum prowl_code config_want_pairs(struct config_reader *r, const struct yaml_item *item,
				  struct prowl_config_pairs *ret)
{
	enum prowl_code code = config_want(r, item, YAML_DICT);

	if (code != PROWL_OK)
		return code;
	ret->pair = config_alloc(r->config, config_count(item), sizeof *ret->pair);
	if (!ret->pair)
		return prowl_fail(r->err, PROWL_FAILED, "out of memory");
	for (const struct yaml_item *i = item->first; i && code == PROWL_OK; i = i->next) {
		struct prowl_config_pair *one = &ret->pair[ret->n++];

		one->name = i->key;
		code = config_want_text(r, i, &one->value);
		if (code == PROWL_OK && (!*one->name || !*one->value))
			return config_wrong(r, i->at, "neither name nor value must be empty");
	}
	return code;
}

/* The keys of the table and, in the same map, these. */
static const struct {
	const char *name;
	enum prowl_code (*read)(struct config_reader *r, const struct yaml_item *item);
} sections[] = {
	{"targets", config_read_rules},
	{"labels", config_read_labels},
	{"push", config_read_push},
	{"triggers", config_read_triggers},
};
enum { SECTIONS = sizeof sections / sizeof *sections, NAME = 128, MOST_NAMES = 64 };

static bool begins(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

/* The names of all keys of a map: once each, as the table has their order. */
static enum prowl_code unknown_key(struct config_reader *r, const struct yaml_item *item,
				   const char *prefix)
{
	char text[MOST_NAMES][32], in[NAME];
	const char *names[MOST_NAMES];
	size_t n = 0;

	for (size_t i = 0; i < config_nkeys && n < MOST_NAMES; i++) {
		const char *rest = config_keys[i].name + strlen(prefix);

		if (!begins(config_keys[i].name, prefix))
			continue;
		snprintf(text[n], sizeof text[n], "%.*s", (int)strcspn(rest, "."), rest);
		names[n] = text[n];
		if (n == 0 || strcmp(text[n - 1], text[n]) != 0)
			n++;
	}
	for (size_t i = 0; !*prefix && i < SECTIONS && n < MOST_NAMES; i++)
		names[n++] = sections[i].name;
	snprintf(in, sizeof in, "%s", *prefix ? prefix : "the configuration");
	if (*prefix)
		in[strlen(in) - 1] = '\0';
	return config_unknown(r, item, in, names, n);
}

static enum prowl_code read_value(struct config_reader *r, const struct config_key *k,
				  const struct yaml_item *item)
{
	enum prowl_code code;
	const char *text;
	char why[200];

	if (k->type == CONFIG_TEXTS)
		return config_want_texts(r, item, (void *)((char *)r->config + k->at));
	/* An empty text is one in quotes. */
	code = config_want_text(r, item, &text);
	if (code != PROWL_OK || config_store(k, r->config, text, why, sizeof why))
		return code;
	return config_wrong(r, item->at, "%s %s, not '%.60s'", k->name, why, text);
}

static enum prowl_code read_map(struct config_reader *r, const struct yaml_item *map,
				const char *prefix);

static enum prowl_code read_key(struct config_reader *r, const struct yaml_item *item,
				const char *prefix)
{
	char name[NAME], inner[NAME + 1];

	for (size_t i = 0; !*prefix && i < SECTIONS; i++) {
		if (!strcmp(item->key, sections[i].name))
			return sections[i].read(r, item);
	}
	if ((size_t)snprintf(name, sizeof name, "%s%s", prefix, item->key) >= sizeof name ||
	    strchr(item->key, '.'))
		return unknown_key(r, item, prefix);
	snprintf(inner, sizeof inner, "%s.", name);
	for (size_t i = 0; i < config_nkeys; i++) {
		if (!strcmp(config_keys[i].name, name))
			return read_value(r, &config_keys[i], item);
		if (begins(config_keys[i].name, inner))
			return read_map(r, item, inner);
	}
	return unknown_key(r, item, prefix);
}

static enum prowl_code read_map(struct config_reader *r, const struct yaml_item *map,
				const char *prefix)
{
	enum prowl_code code = config_want(r, map, YAML_DICT);

	for (const struct yaml_item *i = map->first; i && code == PROWL_OK; i = i->next)
		code = read_key(r, i, prefix);
	return code;
}

/* What one value alone can't say. */
static enum prowl_code check_together(const struct prowl_config *c, struct prowl_err *err)
{
	if (3600 * S % c->profile.window == 0)
		return PROWL_OK;
	return prowl_fail(err, PROWL_USAGE,
			  "profile.window must divide an hour: 10s, 15s, 30s, 60s, 5m");
}

enum prowl_code prowl_config_parse(const char *name, const char *text, size_t len,
				   struct prowl_config **ret, struct prowl_err *err)
{
	struct config_reader r = {.config = config_new(), .name = name, .err = err};
	const struct yaml_item *root;
	enum prowl_code code;

	if (!r.config)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	code = yaml_doc_parse(name, text, len, &r.config->own->doc, err);
	root = code == PROWL_OK ? yaml_doc_root(r.config->own->doc) : NULL;
	if (root && !is_nothing(root))
		code = read_map(&r, root, "");
	if (code == PROWL_OK)
		code = check_together(r.config, err);
	if (code == PROWL_OK)
		*ret = r.config;
	else
		prowl_config_free(r.config);
	return code;
}

/* --- the environment and flags ---------------------------------------------------------- */

/* A text that came from outside the file, into the field of a key. */
static enum prowl_code set(struct prowl_config *c, const struct config_key *k, const char *value,
			   const char *origin, struct prowl_err *err)
{
	const char *text = config_copy(c, value);
	struct prowl_texts *list = (void *)((char *)c + k->at);
	const char **bigger;
	char why[200];

	if (!text)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	if (k->type != CONFIG_TEXTS) {
		if (config_store(k, c, text, why, sizeof why))
			return check_together(c, err);
		return prowl_fail(err, PROWL_USAGE, "%s %s, not '%.60s'", origin, why, value);
	}
	bigger = config_alloc(c, list->n + 1, sizeof *bigger);
	if (!bigger)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	if (list->n)
		memcpy(bigger, list->text, list->n * sizeof *bigger);
	bigger[list->n] = text;
	*list = (struct prowl_texts){bigger, list->n + 1};
	return PROWL_OK;
}

enum prowl_code prowl_config_set(struct prowl_config *c, const char *key, const char *value,
				 const char *origin, struct prowl_err *err)
{
	for (size_t i = 0; i < config_nkeys; i++) {
		if (!strcmp(config_keys[i].name, key))
			return set(c, &config_keys[i], value, origin, err);
	}
	return prowl_fail(err, PROWL_USAGE, "%s: there is no key %s", origin, key);
}

/* A list is separated by commas, and replaces the file's. */
static enum prowl_code set_list(struct prowl_config *c, const struct config_key *k,
				const char *value, const char *origin, struct prowl_err *err)
{
	enum prowl_code code = PROWL_OK;
	char one[512];
	size_t n;

	*(struct prowl_texts *)(void *)((char *)c + k->at) = (struct prowl_texts){0};
	for (; *value && code == PROWL_OK; value += n + (value[n] == ',')) {
		n = strcspn(value, ",");
		if (n >= sizeof one)
			return prowl_fail(err, PROWL_USAGE, "%s: too long", origin);
		snprintf(one, sizeof one, "%.*s", (int)n, value);
		code = set(c, k, one, origin, err);
	}
	return code;
}

/* The value of a variable; NULL: it is not set. */
static const char *value_of(char *const *variables, const char *name)
{
	size_t n = strlen(name);

	for (; *variables; variables++) {
		if (!strncmp(*variables, name, n) && (*variables)[n] == '=')
			return *variables + n + 1;
	}
	return NULL;
}

enum prowl_code prowl_config_environment(struct prowl_config *c, char *const *variables,
					 struct prowl_err *err)
{
	enum prowl_code code = PROWL_OK;

	for (size_t i = 0; i < config_nkeys && code == PROWL_OK; i++) {
		char name[CONFIG_VARIABLE];
		const char *value;

		config_variable(&config_keys[i], name);
		value = value_of(variables, name);
		if (value)
			code = config_keys[i].type == CONFIG_TEXTS
				       ? set_list(c, &config_keys[i], value, name, err)
				       : set(c, &config_keys[i], value, name, err);
	}
	return code;
}

enum prowl_code prowl_config_add_pid(struct prowl_config *c, pid_t pid, struct prowl_err *err)
{
	struct prowl_rule *r = config_rule_in_front(c);

	if (!r)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	*r = (struct prowl_rule){.has_pid = true, .pid = pid, .profile = true, .origin = "--pid"};
	return PROWL_OK;
}

enum prowl_code prowl_config_add_name(struct prowl_config *c, const char *name,
				      struct prowl_err *err)
{
	struct prowl_rule *r = config_rule_in_front(c);
	const char *copy = config_copy(c, name);

	if (!r || !copy)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	*r = (struct prowl_rule){.name = copy, .profile = true, .origin = "--name"};
	return PROWL_OK;
}

/* --- files and folders -------------------------------------------------------------------- */

/* Its bytes; freed by the caller. Negative errno. */
static ssize_t read_file(const char *path, char **ret)
{
	char *buf = malloc(MOST_BYTES);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n = 0, got = fd < 0 ? -1 : 1;

	while (buf && got > 0 && n < MOST_BYTES) {
		got = read(fd, buf + n, (size_t)(MOST_BYTES - n));
		n += got > 0 ? got : 0;
	}
	n = !buf ? -ENOMEM : got < 0 ? -errno : n;
	if (fd >= 0)
		close(fd);
	if (n < 0)
		free(buf);
	else
		*ret = buf;
	return n;
}

/* "$VAR/REST", or "$HOME/HOME_PART/REST" where there is no such variable. */
static bool below(const char *variable, const char *home_part, const char *rest, char *buf,
		  size_t len)
{
	const char *dir = getenv(variable), *home = getenv("HOME");
	int n;

	if (dir && *dir == '/')
		n = snprintf(buf, len, "%s/%s", dir, rest);
	else if (home_part && home && *home == '/')
		n = snprintf(buf, len, "%s/%s/%s", home, home_part, rest);
	else
		return false;
	return n > 0 && (size_t)n < len;
}

static bool usual_path(char *buf, size_t len)
{
	if (below("XDG_CONFIG_HOME", ".config", "prowl/daemon.yaml", buf, len) &&
	    access(buf, F_OK) == 0)
		return true;
	snprintf(buf, len, "/etc/prowl/daemon.yaml");
	return access(buf, F_OK) == 0;
}

static enum prowl_code load_file(const char *path, struct prowl_config **ret, struct prowl_err *err)
{
	enum prowl_code code;
	char *text;
	ssize_t n;

	n = read_file(path, &text);
	if (n < 0)
		return prowl_fail(err, n == -EACCES ? PROWL_PERMISSION : PROWL_USAGE, "%.300s: %s",
				  path, strerror((int)-n));
	code = prowl_config_parse(path, text, (size_t)n, ret, err);
	free(text);
	if (code != PROWL_OK)
		return code;
	(*ret)->file = config_copy(*ret, path);
	if ((*ret)->file)
		return PROWL_OK;
	prowl_config_free(*ret);
	return prowl_fail(err, PROWL_FAILED, "out of memory");
}

enum prowl_code prowl_config_load(const char *path, struct prowl_config **ret,
				  struct prowl_err *err)
{
	struct prowl_config *c = NULL;
	enum prowl_code code;
	char usual[4096];

	if (!path && usual_path(usual, sizeof usual))
		path = usual;
	code = path ? load_file(path, &c, err) : prowl_config_parse("", "", 0, &c, err);
	if (code == PROWL_OK)
		code = prowl_config_environment(c, environ, err);
	if (code == PROWL_OK)
		*ret = c;
	else if (c)
		prowl_config_free(c);
	return code;
}

bool prowl_config_store(const struct prowl_config *c, char *buf, size_t len)
{
	const char *systemd = getenv("STATE_DIRECTORY");

	if (*c->store.path)
		return (size_t)snprintf(buf, len, "%s", c->store.path) < len;
	if (systemd && *systemd == '/')
		return (size_t)snprintf(buf, len, "%.*s", (int)strcspn(systemd, ":"), systemd) <
		       len;
	if (geteuid() == 0)
		return (size_t)snprintf(buf, len, "/var/lib/prowl") < len;
	return below("XDG_STATE_HOME", ".local/state", "prowl", buf, len);
}

bool prowl_config_socket(char *buf, size_t len)
{
	const char *systemd = getenv("RUNTIME_DIRECTORY");

	if (systemd && *systemd == '/')
		return (size_t)snprintf(buf, len, "%.*s/prowl.sock", (int)strcspn(systemd, ":"),
					systemd) < len;
	if (geteuid() == 0)
		return (size_t)snprintf(buf, len, "/run/prowl/prowl.sock") < len;
	return below("XDG_RUNTIME_DIR", NULL, "prowl.sock", buf, len);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "push_parts.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "array.h"

enum {
	MAX_TEXT = 4096,
	DEFAULT_PROFILE = 1 << 20,
	MAX_PROFILE_PYROSCOPE = 1400000,
	MAX_PROFILE = 8 << 20,
};

static const char *const types[PROWL_PUSH_TYPES] = {"pyroscope", "parca", "otlp"};

const char *prowl_push_type_name(enum prowl_push_type type)
{
	return types[type];
}

int prowl_push_type_named(const char *name, enum prowl_push_type *ret)
{
	for (unsigned int i = 0; i < PROWL_PUSH_TYPES; i++) {
		if (strcmp(types[i], name) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *prowl_push_reason_name(enum prowl_push_reason reason)
{
	static const char *const names[PROWL_PUSH_REASONS] = {
		"spool_full", "too_old", "refused", "too_large", "rejected", "unreadable"};

	return names[reason];
}

const char *prowl_push_state_name(enum prowl_push_state state)
{
	static const char *const names[] = {"idle", "sending", "backoff", "paused"};

	return names[state];
}

/* --- checks ---------------------------------------------------------------------- */

static bool is_line(const char *s)
{
	size_t n = 0;

	for (; s && s[n] && n <= MAX_TEXT; n++) {
		if (iscntrl((unsigned char)s[n]))
			return false;
	}
	return n <= MAX_TEXT;
}

static bool is_name(const char *s, const char *more, size_t most)
{
	size_t n = 0;

	for (; s[n]; n++) {
		if (!isalnum((unsigned char)s[n]) && !strchr(more, s[n]))
			return false;
	}
	return n && n <= most;
}

static enum prowl_code check_url(const char *field, const char *url, struct prowl_err *err)
{
	const char *host = url && strncasecmp(url, "http://", 7) == 0    ? url + 7
			   : url && strncasecmp(url, "https://", 8) == 0 ? url + 8
									 : NULL;

	if (!host || !*host || *host == '/')
		return prowl_fail(err, PROWL_USAGE, "%s: it must begin with http:// or https://",
				  field);
	if (!is_line(url) || strpbrk(url, " ?#"))
		return prowl_fail(err, PROWL_USAGE, "%s: only a host, a port and a path", field);
	if (memchr(host, '@', strcspn(host, "/")))
		return prowl_fail(err, PROWL_USAGE,
				  "%s: no user or password in it: they would be in logs; there is "
				  "basic_auth",
				  field);
	return PROWL_OK;
}

static enum prowl_code check_headers(const struct prowl_push_sink *s, struct prowl_err *err)
{
	static const char *const ours[] = {"Connect-Protocol-Version",
					   "Content-Encoding",
					   "Content-Length",
					   "Content-Type",
					   "Expect",
					   "Transfer-Encoding"};

	for (size_t i = 0; i < s->nheaders; i++) {
		const char *name = s->headers[i].name;

		if (!name || !is_name(name, "-_.", 128) || !is_line(s->headers[i].value))
			return prowl_fail(err, PROWL_USAGE,
					  "headers: '%s' is no header, or has a line break",
					  name ? name : "");
		for (size_t j = 0; j < sizeof ours / sizeof *ours; j++) {
			if (strcasecmp(name, ours[j]) == 0)
				return prowl_fail(err, PROWL_USAGE,
						  "headers: %s is set by the protocol", name);
		}
	}
	return PROWL_OK;
}

static enum prowl_code check_labels(const struct prowl_push_sink *s, struct prowl_err *err)
{
	for (size_t i = 0; i < s->nexternal_labels; i++) {
		const char *name = s->external_labels[i].name;

		if (!name || !is_name(name, "_", PROWL_SERIES_NAME) ||
		    isdigit((unsigned char)name[0]) || strncmp(name, "__", 2) == 0)
			return prowl_fail(err, PROWL_USAGE,
					  "external_labels: '%s' is no name of a label: letters, "
					  "digits and '_', and no '__' at its beginning",
					  name ? name : "");
	}
	return PROWL_OK;
}

static enum prowl_code check_login(const struct prowl_push_sink *s, struct prowl_err *err)
{
	const char *const lines[] = {
		s->tenant, s->user, s->password_file, s->bearer_token_file, s->ca, s->cert, s->key};

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		if (!is_line(lines[i]))
			return prowl_fail(err, PROWL_USAGE,
					  "a text is too long, or has a line break in it");
	}
	if (s->user && *s->user && strchr(s->user, ':'))
		return prowl_fail(err, PROWL_USAGE, "basic_auth: no ':' in the user");
	if (s->user && *s->user && s->bearer_token_file && *s->bearer_token_file)
		return prowl_fail(err, PROWL_USAGE,
				  "bearer_token_file: there is a basic_auth already");
	if (!(s->cert && *s->cert) != !(s->key && *s->key))
		return prowl_fail(err, PROWL_USAGE, "tls: cert and key need each other");
	return PROWL_OK;
}

static enum prowl_code check_figures(const struct prowl_push_sink *s, struct prowl_err *err)
{
	uint64_t most = s->type == PROWL_PUSH_PYROSCOPE ? MAX_PROFILE_PYROSCOPE : MAX_PROFILE;

	if (s->max_profile_bytes > most)
		return prowl_fail(err, PROWL_USAGE, "batch: bytes: at most %llu, which %s takes",
				  (unsigned long long)most, types[s->type]);
	if (s->max_profile_bytes && s->max_profile_bytes < 4096)
		return prowl_fail(err, PROWL_USAGE, "batch: bytes: at least 4096");
	if (s->backoff_max_ns && s->backoff_min_ns > s->backoff_max_ns)
		return prowl_fail(err, PROWL_USAGE, "backoff: min is above max");
	return PROWL_OK;
}

enum prowl_code prowl_push_check(const struct prowl_push_sink *s, struct prowl_err *err)
{
	enum prowl_code code;

	if (!s->name || !is_name(s->name, "-_.", 64) || s->name[0] == '.')
		return prowl_fail(err, PROWL_USAGE,
				  "name: letters, digits, '-', '_' and '.', at most 64");
	if ((unsigned int)s->type >= PROWL_PUSH_TYPES)
		return prowl_fail(err, PROWL_USAGE, "type: pyroscope, parca or otlp");
	code = check_url("url", s->url, err);
	if (code == PROWL_OK && s->proxy && *s->proxy && !is_line(s->proxy))
		code = prowl_fail(err, PROWL_USAGE, "proxy: it is no URL");
	if (code == PROWL_OK)
		code = check_login(s, err);
	if (code == PROWL_OK)
		code = check_headers(s, err);
	if (code == PROWL_OK)
		code = check_labels(s, err);
	return code == PROWL_OK ? check_figures(s, err) : code;
}

/* --- a copy ---------------------------------------------------------------------- */

/* *text, copied; NULL becomes "". */
static int own(struct push_config *config, const char **text)
{
	int r = prowl_array_reserve(&config->owned, &config->cap, config->nowned + 1,
				    sizeof *config->owned);
	char *copy = r == 0 ? strdup(*text ? *text : "") : NULL;

	if (!copy)
		return -ENOMEM;
	config->owned[config->nowned++] = copy;
	*text = copy;
	return 0;
}

/* n elements, copied; never empty. */
static void *own_array(struct push_config *config, const void *from, size_t n, size_t size)
{
	void *copy = calloc(n + 1, size);

	if (!copy || prowl_array_reserve(&config->owned, &config->cap, config->nowned + 1,
					 sizeof *config->owned) < 0) {
		free(copy);
		return NULL;
	}
	config->owned[config->nowned++] = copy;
	if (n)
		memcpy(copy, from, n * size);
	return copy;
}

static int own_pairs(struct push_config *config, const struct prowl_push_pair **pairs, size_t n)
{
	struct prowl_push_pair *copy = own_array(config, *pairs, n, sizeof *copy);
	int r = copy ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = own(config, &copy[i].name);
		if (r == 0)
			r = own(config, &copy[i].value);
	}
	*pairs = copy;
	return r;
}

static int own_kinds(struct push_config *config)
{
	const char **copy = own_array(config, config->c.kinds, config->c.nkinds, sizeof *copy);
	int r = copy ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < config->c.nkinds; i++)
		r = own(config, &copy[i]);
	config->c.kinds = copy;
	return r;
}

static void set_default(uint64_t *figure, uint64_t value)
{
	if (*figure == 0)
		*figure = value;
}

static void set_defaults(struct prowl_push_sink *c)
{
	set_default(&c->timeout_ns, 10ull * PUSH_SECOND);
	set_default(&c->max_profile_bytes,
		    c->type == PROWL_PUSH_PYROSCOPE ? DEFAULT_PROFILE : 4 * DEFAULT_PROFILE);
	set_default(&c->spool_max_bytes, 128u << 20);
	set_default(&c->spool_max_age_ns, 3600ull * PUSH_SECOND);
	set_default(&c->backoff_max_ns, 300ull * PUSH_SECOND);
	set_default(&c->backoff_min_ns, PUSH_SECOND / 2);
	if (c->backoff_min_ns > c->backoff_max_ns)
		c->backoff_min_ns = c->backoff_max_ns;
}

int push_config_copy(struct push_config *config, const struct prowl_push_sink *sink)
{
	const char **texts[] = {&config->c.name, &config->c.url,   &config->c.tenant,
				&config->c.user, &config->c.proxy, &config->c.password_file,
				&config->c.ca,   &config->c.cert,  &config->c.bearer_token_file,
				&config->c.key};
	int r = 0;

	*config = (struct push_config){.c = *sink};
	for (size_t i = 0; r == 0 && i < sizeof texts / sizeof *texts; i++)
		r = own(config, texts[i]);
	if (r == 0)
		r = own_pairs(config, &config->c.headers, config->c.nheaders);
	if (r == 0)
		r = own_pairs(config, &config->c.external_labels, config->c.nexternal_labels);
	if (r == 0)
		r = own_kinds(config);
	if (r < 0) {
		push_config_fini(config);
		return r;
	}
	set_defaults(&config->c);
	for (char *url = config->owned[1]; *url && url[strlen(url) - 1] == '/';)
		url[strlen(url) - 1] = '\0';
	return 0;
}

void push_config_fini(struct push_config *config)
{
	for (size_t i = 0; i < config->nowned; i++)
		free(config->owned[i]);
	free(config->owned);
	*config = (struct push_config){0};
}

bool push_config_has_kind(const struct prowl_push_sink *c, const char *kind)
{
	for (size_t i = 0; i < c->nkinds; i++) {
		if (strcmp(c->kinds[i], kind) == 0)
			return true;
	}
	return c->nkinds == 0;
}

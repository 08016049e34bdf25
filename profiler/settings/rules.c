/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "words.h"

static const char *const fact_names[PROWL_FACTS] = {
	[PROWL_FACT_COMM] = "comm",
	[PROWL_FACT_EXE] = "exe",
	[PROWL_FACT_PACKAGE] = "package",
	[PROWL_FACT_MODULE] = "module",
	[PROWL_FACT_CGROUP] = "cgroup",
	[PROWL_FACT_UNIT] = "unit",
	[PROWL_FACT_CONTAINER] = "container",
	[PROWL_FACT_NAMESPACE] = "namespace",
	[PROWL_FACT_POD] = "pod",
	[PROWL_FACT_COMPOSE] = "compose",
};

const char *prowl_fact_name(size_t fact)
{
	return fact < PROWL_FACTS ? fact_names[fact] : NULL;
}

const char *prowl_schedule_name(size_t schedule)
{
	static const char *const names[PROWL_SCHEDULES] = {
		[PROWL_SCHEDULE_FIGURES] = "figures",     [PROWL_SCHEDULE_HEAP] = "heap",
		[PROWL_SCHEDULE_GOROUTINE] = "goroutine", [PROWL_SCHEDULE_BLOCK] = "block",
		[PROWL_SCHEDULE_MUTEX] = "mutex",
	};

	return schedule < PROWL_SCHEDULES ? names[schedule] : NULL;
}

/* --- rules -------------------------------------------------------------------------- */

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The facts that are of a program, not of a process: the first ones. */
enum { PROGRAM_FACTS = PROWL_FACT_MODULE + 1 };

_Static_assert((int)PROWL_FACT_PACKAGE < PROGRAM_FACTS && (int)PROWL_FACT_CGROUP == PROGRAM_FACTS,
	       "their order");

static bool patterns_match(const struct prowl_rule *r, const struct prowl_subject *s, size_t first,
			   size_t end)
{
	for (size_t i = first; i < end; i++) {
		if (r->pattern[i] && !prowl_glob(r->pattern[i], s->fact[i]))
			return false;
	}
	return true;
}

static bool program_matches(const struct prowl_rule *r, const struct prowl_subject *s)
{
	if (r->has_go && r->go != s->go)
		return false;
	if (r->name && strcmp(r->name, s->fact[PROWL_FACT_COMM]) != 0 &&
	    strcmp(r->name, last_part(s->fact[PROWL_FACT_EXE])) != 0)
		return false;
	return patterns_match(r, s, 0, PROGRAM_FACTS);
}

static bool matches(const struct prowl_rule *r, const struct prowl_subject *s)
{
	return program_matches(r, s) && (!r->has_uid || r->uid == s->uid) &&
	       (!r->has_pid || r->pid == s->pid) &&
	       patterns_match(r, s, PROGRAM_FACTS, PROWL_FACTS);
}

static bool is_of_programs_only(const struct prowl_rule *r)
{
	bool only = !r->has_uid && !r->has_pid;

	for (size_t i = PROGRAM_FACTS; i < PROWL_FACTS; i++)
		only &= !r->pattern[i];
	return only;
}

bool prowl_rules_exclude(const struct prowl_rules *r, const struct prowl_subject *s)
{
	for (size_t i = 0; i < r->n; i++) {
		if (!program_matches(&r->rules[i], s))
			continue;
		if (r->rules[i].profile)
			return false;
		if (is_of_programs_only(&r->rules[i]))
			return true;
	}
	return true;
}

const struct prowl_rule *prowl_rules_find(const struct prowl_rules *r,
					  const struct prowl_subject *s)
{
	for (size_t i = 0; i < r->n; i++) {
		if (matches(&r->rules[i], s))
			return &r->rules[i];
	}
	return NULL;
}

/* --- templates ---------------------------------------------------------------------- */

/* The fact of the placeholder at s, which begins with '{'; its length. PROWL_FACTS: none. */
static size_t placeholder(const char *s, size_t *len)
{
	const char *end = strchr(s, '}');

	*len = end ? (size_t)(end - s) + 1 : strlen(s);
	for (size_t i = 0; end && i < PROWL_FACTS; i++) {
		if (strlen(fact_names[i]) == *len - 2 && !strncmp(fact_names[i], s + 1, *len - 2))
			return i;
	}
	return PROWL_FACTS;
}

const char *prowl_template_check(const char *text)
{
	size_t len;

	if (!*text)
		return "a name must not be empty";
	for (const char *s = strchr(text, '{'); s; s = strchr(s + len, '{')) {
		if (placeholder(s, &len) == PROWL_FACTS)
			return "it has a '{' that begins none of {comm}, {exe}, {package}, "
			       "{module}, {cgroup}, {unit}, {container}, {namespace}, {pod}, "
			       "{compose}";
	}
	return NULL;
}

static size_t add(char *buf, size_t used, size_t len, const char *s, size_t n)
{
	if (n > len - 1 - used)
		n = len - 1 - used;
	memcpy(buf + used, s, n);
	buf[used + n] = '\0';
	return used + n;
}

/* Fills a template. False: one of its facts is not known. */
static bool fill(const char *text, const struct prowl_subject *s, char *buf, size_t len)
{
	size_t used = add(buf, 0, len, "", 0), n;

	for (; *text; text += n) {
		size_t fact;

		n = strcspn(text, "{");
		used = add(buf, used, len, text, n);
		text += n;
		n = 0;
		if (!*text)
			break;
		fact = placeholder(text, &n);
		if (fact == PROWL_FACTS || !*s->fact[fact])
			return false;
		used = add(buf, used, len, s->fact[fact], strlen(s->fact[fact]));
	}
	return used > 0;
}

/* --- the service's name --------------------------------------------------------------- */

enum { NAME = PROWL_SERIES_VALUE + 1 };

/* "v2" at the end of an import path is no name. */
static bool is_version(const char *s, size_t n)
{
	return n > 1 && s[0] == 'v' && strspn(s + 1, "0123456789") == n - 1;
}

static bool by_package(const struct prowl_subject *s, char buf[NAME])
{
	const char *path = s->fact[PROWL_FACT_PACKAGE];
	size_t end = strlen(path), begin = end;

	for (;;) {
		while (begin > 0 && path[begin - 1] != '/')
			begin--;
		if (begin == 0 || !is_version(path + begin, end - begin))
			break;
		end = --begin;
	}
	/* What `go run` and tests of a file are called says nothing. */
	if (!strcmp(path, "command-line-arguments") || !strcmp(path, "main"))
		return false;
	return snprintf(buf, NAME, "%.*s", (int)(end - begin), path + begin) > 0;
}

static bool by_unit(const struct prowl_subject *s, char buf[NAME])
{
	static const char suffix[] = ".service";
	const char *unit = s->fact[PROWL_FACT_UNIT];
	size_t n = strlen(unit), k = sizeof suffix - 1;

	if (n <= k || strcmp(unit + n - k, suffix) != 0)
		return false;
	return snprintf(buf, NAME, "%.*s", (int)(n - k), unit) > 0;
}

static bool by_container(const struct prowl_subject *s, char buf[NAME])
{
	const char *space = s->fact[PROWL_FACT_NAMESPACE];
	const char *container = s->fact[PROWL_FACT_CONTAINER];

	if (!*container)
		return false;
	return snprintf(buf, NAME, "%s%s%s", space, *space ? "/" : "", container) > 0;
}

static bool by_compose(const struct prowl_subject *s, char buf[NAME])
{
	return snprintf(buf, NAME, "%s", s->fact[PROWL_FACT_COMPOSE]) > 0;
}

static bool by_environment(const struct prowl_subject *s, char buf[NAME])
{
	return snprintf(buf, NAME, "%s", s->otel_service) > 0;
}

static bool by_exe(const struct prowl_subject *s, char buf[NAME])
{
	return snprintf(buf, NAME, "%s", last_part(s->fact[PROWL_FACT_EXE])) > 0;
}

static bool by_comm(const struct prowl_subject *s, char buf[NAME])
{
	return snprintf(buf, NAME, "%s", s->fact[PROWL_FACT_COMM]) > 0;
}

/* Where the name came from, which is a label, too. */
static const char *service_name(const struct prowl_subject *s, const struct prowl_rule *rule,
				char buf[NAME])
{
	static const struct {
		const char *source;
		bool (*name)(const struct prowl_subject *s, char buf[NAME]);
	} ways[] = {
		{"environment", by_environment},
		{"compose", by_compose},
		{"container", by_container},
		{"unit", by_unit},
		{"package", by_package},
		{"exe", by_exe},
		{"comm", by_comm},
	};

	if (s->self) {
		snprintf(buf, NAME, "prowl");
		return "self";
	}
	if (rule && rule->service && fill(rule->service, s, buf, NAME))
		return "rule";
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		if (ways[i].name(s, buf))
			return ways[i].source;
	}
	snprintf(buf, NAME, "unknown");
	return "none";
}

/* --- labels --------------------------------------------------------------------------- */

static bool any_fits(const char *const *patterns, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (prowl_glob(patterns[i], name))
			return true;
	}
	return false;
}

const char *prowl_label_policy_name(const struct prowl_label_policy *p, const char *name)
{
	if (!strcmp(name, PROWL_SERIES_SERVICE))
		return name;
	if ((p->nkeep && !any_fits(p->keep, p->nkeep, name)) || any_fits(p->drop, p->ndrop, name))
		return NULL;
	for (size_t i = 0; i < p->nrename; i++) {
		if (!strcmp(p->rename[i].from, name))
			return p->rename[i].to;
	}
	return name;
}

struct labels {
	const struct prowl_label_policy *policy;
	size_t n;
	struct prowl_series_label label[PROWL_SERIES_LABELS];
};

static void add_label(struct labels *l, const char *name, const char *value, bool identity)
{
	const char *as = prowl_label_policy_name(l->policy, name);

	if (as && value && *value && l->n < PROWL_SERIES_LABELS)
		l->label[l->n++] = (struct prowl_series_label){as, value, identity};
}

int prowl_subject_series(const struct prowl_subject *s, const struct prowl_rule *rule,
			 const struct prowl_label_policy *policy, const char *host,
			 struct prowl_series **ret)
{
	static const struct prowl_label_policy all;
	struct labels l = {.policy = policy ? policy : &all};
	char name[NAME];
	const char *source = service_name(s, rule, name);

	add_label(&l, PROWL_SERIES_SERVICE, name, true);
	add_label(&l, PROWL_SERIES_NAMESPACE, s->fact[PROWL_FACT_NAMESPACE], true);
	add_label(&l, PROWL_SERIES_CONTAINER, s->fact[PROWL_FACT_CONTAINER], true);
	add_label(&l, PROWL_SERIES_UNIT, s->fact[PROWL_FACT_UNIT], true);
	add_label(&l, PROWL_SERIES_HOST, host, true);
	add_label(&l, PROWL_SERIES_BUILD, s->build, true);
	for (size_t i = 0; rule && i < rule->nlabels; i++)
		add_label(&l, rule->labels[i].name, rule->labels[i].value, true);
	add_label(&l, PROWL_SERIES_GO, s->go_version, false);
	add_label(&l, PROWL_SERIES_SOURCE, source, false);
	return prowl_series_new(l.label, l.n, ret);
}

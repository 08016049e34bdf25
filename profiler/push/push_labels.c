/* SPDX-License-Identifier: Apache-2.0 */
#include "push_wire_parts.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"

enum { /* of Pyroscope: labels of a series, bytes of a name and a value */
       MOST_PYROSCOPE = 30,
       MOST = 64,
       MOST_NAME = 1024,
       MOST_VALUE = 2048,
};

void push_label_name(char *name)
{
	for (char *s = name; *s; s++) {
		if (!isalnum((unsigned char)*s) && *s != '_')
			*s = '_';
	}
	if (isdigit((unsigned char)*name))
		*name = '_';
}

const char *push_profile_name(const char *kind)
{
	static const char *const names[][2] = {
		{"cpu", "process_cpu"}, {"heap", "memory"}, {"allocs", "memory"}};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(names[i][0], kind) == 0)
			return names[i][1];
	}
	return kind;
}

/* A copy of at most `most` bytes, cut at a character. */
static char *cut(const char *s, size_t most)
{
	size_t n = strnlen(s, most + 1);

	if (n > most) {
		for (n = most; n && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
			;
	}
	return strndup(s, n);
}

static bool has(const struct push_labels *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->labels[i].name, name) == 0)
			return true;
	}
	return false;
}

/* The first of a name counts; one without a value is none. */
static int add(struct push_labels *l, const char *name, const char *value)
{
	struct push_label one = {0};
	int r;

	if (!*value)
		return 0;
	r = prowl_array_reserve(&l->labels, &l->cap, l->n + 1, sizeof *l->labels);
	one.name = r == 0 ? cut(name, l->most_name) : NULL;
	one.value = one.name ? cut(value, l->most_value) : NULL;
	if (one.value)
		push_label_name(one.name);
	if (one.value && !has(l, one.name) && l->n < l->most) {
		l->labels[l->n++] = one;
		return 0;
	}
	l->omitted += one.value && !has(l, one.name);
	r = one.value ? 0 : -ENOMEM;
	free(one.name);
	free(one.value);
	return r;
}

/* Those that Pyroscope gives a meaning. */
static int add_pyroscope(struct push_labels *l, const struct push_part *part)
{
	const char *service = prowl_series_get(part->meta->series, PROWL_SERIES_SERVICE);
	const char *revision = push_meta_fact(part->meta, PROWL_PUSH_REVISION);
	const char *const own[][2] = {
		{"service_name", *service ? service : "unknown_service"},
		/* values are to be taken as they are; otherwise the server makes differences */
		{"__delta__", "false"},
		{"service_git_ref", revision},
		{"service_repository", push_meta_fact(part->meta, PROWL_PUSH_REPOSITORY)},
		{"pyroscope_spy", "prowl"},
	};
	int r = 0;

	for (size_t i = 0; i < sizeof own / sizeof *own && r == 0; i++)
		r = add(l, own[i][0], own[i][1]);
	return r;
}

static int add_all(struct push_labels *l, const struct push_part *part)
{
	const struct prowl_push_sink *c = part->config;
	const struct prowl_series *s = part->meta->series;
	bool pyroscope = c->type == PROWL_PUSH_PYROSCOPE;
	int r = add(l, "__name__", push_profile_name(part->meta->kind));

	if (r == 0 && pyroscope)
		r = add_pyroscope(l, part);
	for (size_t i = 0; i < c->nexternal_labels && r == 0; i++)
		r = add(l, c->external_labels[i].name, c->external_labels[i].value);
	for (size_t i = 0; i < s->n && r == 0; i++) {
		const char *name = s->labels[i].name;

		/* names with "__" are the server's */
		if (strncmp(name, "__", 2) == 0 ||
		    (pyroscope && strcmp(name, PROWL_SERIES_SERVICE) == 0))
			continue;
		r = add(l, name, s->labels[i].value);
	}
	if (r == 0)
		r = add(l, "pod", push_meta_fact(part->meta, PROWL_PUSH_POD));
	if (r == 0)
		r = add(l, "node", push_meta_fact(part->meta, PROWL_PUSH_NODE));
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct push_label *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int push_labels_make(const struct push_part *part, struct push_labels *l)
{
	bool pyroscope = part->config->type == PROWL_PUSH_PYROSCOPE;
	int r;

	*l = (struct push_labels){.most = pyroscope ? MOST_PYROSCOPE : MOST,
				  .most_name = MOST_NAME,
				  .most_value = MOST_VALUE};
	r = add_all(l, part);
	/* the name of a kind is a value here, but it becomes part of a type's name */
	if (r == 0)
		push_label_name(l->labels[0].value);
	if (r == 0)
		qsort(l->labels, l->n, sizeof *l->labels, by_name);
	else
		push_labels_fini(l);
	return r;
}

void push_labels_fini(struct push_labels *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->labels[i].name);
		free(l->labels[i].value);
	}
	free(l->labels);
	*l = (struct push_labels){0};
}

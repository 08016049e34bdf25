/* SPDX-License-Identifier: Apache-2.0 */
#include "series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static int by_name(const void *a, const void *b)
{
	const struct prowl_series_label *const *x = a, *const *y = b;
	int order = strcmp((*x)->name, (*y)->name);

	/* those of one name in the order in which they were given */
	return order ? order : (*x > *y) - (*x < *y);
}

/* At most `most` bytes, and no part of a character. */
static size_t cut(const char *s, size_t most)
{
	size_t n = strnlen(s, most + 1);

	if (n <= most)
		return n;
	for (n = most; n && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
		;
	return n;
}

static char *put(char **at, const char *s, size_t most)
{
	size_t n = cut(s, most);
	char *start = *at;

	memcpy(start, s, n);
	start[n] = '\0';
	*at += n + 1;
	return start;
}

static uint64_t hash(const struct prowl_series *s)
{
	XXH3_state_t state;

	XXH3_64bits_reset(&state);
	for (size_t i = 0; i < s->n; i++) {
		const struct prowl_series_label *l = &s->labels[i];

		if (!l->identity)
			continue;
		XXH3_64bits_update(&state, l->name, strlen(l->name));
		XXH3_64bits_update(&state, "=", 1);
		XXH3_64bits_update(&state, l->value, strlen(l->value));
		XXH3_64bits_update(&state, "\n", 1);
	}
	return XXH3_64bits_digest(&state);
}

static bool is_given(const struct prowl_series_label *l)
{
	return l->name && *l->name && l->value && *l->value;
}

/* Those that count, sorted; returns how many, and the bytes of their texts. */
static size_t choose(const struct prowl_series_label *labels, size_t n,
		     const struct prowl_series_label **chosen, size_t *bytes)
{
	size_t given = 0, kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (is_given(&labels[i]))
			chosen[given++] = &labels[i];
	}
	if (given)
		qsort(chosen, given, sizeof *chosen, by_name);
	*bytes = 0;
	for (size_t i = 0; i < given && kept < PROWL_SERIES_LABELS; i++) {
		if (kept && !strcmp(chosen[kept - 1]->name, chosen[i]->name))
			continue;
		chosen[kept++] = chosen[i];
		*bytes += cut(chosen[i]->name, PROWL_SERIES_NAME) +
			  cut(chosen[i]->value, PROWL_SERIES_VALUE) + 2;
	}
	return kept;
}

int prowl_series_new(const struct prowl_series_label *labels, size_t n, struct prowl_series **ret)
{
	const struct prowl_series_label **chosen = calloc(n + 1, sizeof *chosen);
	struct prowl_series_label *own;
	struct prowl_series *s = NULL;
	size_t kept, bytes;
	char *text;

	if (!chosen)
		return -ENOMEM;
	kept = choose(labels, n, chosen, &bytes);
	s = malloc(sizeof *s + kept * sizeof *own + bytes);
	if (s) {
		own = (struct prowl_series_label *)(s + 1);
		text = (char *)(own + kept);
		for (size_t i = 0; i < kept; i++) {
			own[i].name = put(&text, chosen[i]->name, PROWL_SERIES_NAME);
			own[i].value = put(&text, chosen[i]->value, PROWL_SERIES_VALUE);
			own[i].identity = chosen[i]->identity;
		}
		*s = (struct prowl_series){.n = kept, .labels = own};
		s->hash = hash(s);
		*ret = s;
	}
	free(chosen);
	return s ? 0 : -ENOMEM;
}

int prowl_series_copy(const struct prowl_series *s, struct prowl_series **ret)
{
	return prowl_series_new(s->labels, s->n, ret);
}

void prowl_series_free(struct prowl_series *s)
{
	free(s);
}

const char *prowl_series_get(const struct prowl_series *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!strcmp(s->labels[i].name, name))
			return s->labels[i].value;
	}
	return "";
}

static size_t next_of_identity(const struct prowl_series *s, size_t i)
{
	while (i < s->n && !s->labels[i].identity)
		i++;
	return i;
}

bool prowl_series_same(const struct prowl_series *a, const struct prowl_series *b)
{
	size_t i = next_of_identity(a, 0), j = next_of_identity(b, 0);

	if (a->hash != b->hash)
		return false;
	while (i < a->n && j < b->n) {
		if (strcmp(a->labels[i].name, b->labels[j].name) != 0 ||
		    strcmp(a->labels[i].value, b->labels[j].value) != 0)
			return false;
		i = next_of_identity(a, i + 1);
		j = next_of_identity(b, j + 1);
	}
	return i == a->n && j == b->n;
}

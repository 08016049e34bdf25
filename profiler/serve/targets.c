/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes a KEY means. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "serve_parts.h"
#include "series.h"

enum key_form { KEY_SERVICE, KEY_PID, KEY_PROCESS, KEY_CONTAINER, KEY_POD };

enum { LEAST_ID = 6 /* characters of a container's id */ };

struct key {
	enum key_form form;
	struct prowl_process_id id;
	const char *name; /* service, container's id, pod */
	size_t name_len;
	const char *container; /* of a pod; "": any */
};

struct finding {
	struct key key;
	struct serve_targets *to;
	size_t cap;
};

/* --- keys -------------------------------------------------------------------------- */

/* Digits up to `end`; false: there is something else. */
static bool parse_digits(const char *text, const char *end, uint64_t max, uint64_t *ret)
{
	*ret = 0;
	if (text == end)
		return false;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9' || *ret > (max - (uint64_t)(*text - '0')) / 10)
			return false;
		*ret = *ret * 10 + (uint64_t)(*text - '0');
	}
	return true;
}

static struct key parse_key(const char *text)
{
	const char *end = text + strlen(text), *at = strchr(text, '@');
	struct key k = {.form = KEY_SERVICE, .name = text, .name_len = strlen(text)};
	uint64_t pid, start = 0;

	if (parse_digits(text, at ? at : end, INT32_MAX, &pid) &&
	    (!at || parse_digits(at + 1, end, UINT64_MAX, &start))) {
		k.form = at ? KEY_PROCESS : KEY_PID;
		k.id = (struct prowl_process_id){(pid_t)pid, start};
	} else if (strncmp(text, "container:", 10) == 0) {
		k.form = KEY_CONTAINER;
		k.name = text + 10;
		k.name_len = strlen(k.name);
	} else if (strncmp(text, "pod:", 4) == 0) {
		k.form = KEY_POD;
		k.name = text + 4;
		k.name_len = strcspn(k.name, ":");
		k.container = k.name[k.name_len] ? k.name + k.name_len + 1 : "";
	}
	return k;
}

static bool is_meant(const struct key *k, const struct prowl_backend_target *t)
{
	switch (k->form) {
	case KEY_PID:
		return t->id.pid == k->id.pid && t->state != PROWL_TARGET_GONE;
	case KEY_PROCESS:
		return t->id.pid == k->id.pid && t->id.start == k->id.start;
	case KEY_CONTAINER:
		return k->name_len >= LEAST_ID &&
		       strncmp(t->container_id, k->name, k->name_len) == 0 &&
		       t->state != PROWL_TARGET_GONE;
	case KEY_POD:
		return k->name_len > 0 && strlen(t->pod) == k->name_len &&
		       memcmp(t->pod, k->name, k->name_len) == 0 &&
		       (!k->container[0] ||
			strcmp(prowl_series_get(t->series, PROWL_SERIES_CONTAINER), k->container) ==
				0) &&
		       t->state != PROWL_TARGET_GONE;
	case KEY_SERVICE:
		break;
	}
	return t->state != PROWL_TARGET_GONE && k->name_len > 0 &&
	       strcmp(prowl_series_get(t->series, PROWL_SERIES_SERVICE), k->name) == 0;
}

/* --- finding ----------------------------------------------------------------------- */

static void take(void *arg, const struct prowl_backend_target *t)
{
	struct finding *f = arg;
	struct serve_target row = {.id = t->id, .state = t->state, .started = t->started};

	if (!t->series || !is_meant(&f->key, t))
		return;
	row.service = strdup(prowl_series_get(t->series, PROWL_SERIES_SERVICE));
	row.comm = strdup(t->comm);
	if (!row.service || !row.comm ||
	    prowl_array_reserve(&f->to->rows, &f->cap, f->to->n + 1, sizeof row) < 0) {
		free(row.service);
		free(row.comm);
		f->to->incomplete = true;
		return;
	}
	f->to->rows[f->to->n++] = row;
}

static int by_start(const void *va, const void *vb)
{
	const struct serve_target *a = va, *b = vb;

	if (a->id.start != b->id.start)
		return a->id.start < b->id.start ? -1 : 1;
	return a->id.pid < b->id.pid ? -1 : 1;
}

void serve_targets_find(struct prowl_serve *s, const char *key, struct serve_targets *ret)
{
	struct finding f = {.key = parse_key(key), .to = ret};

	*ret = (struct serve_targets){0};
	s->b->targets(s->b->ctx,
		      1u << PROWL_TARGET_ACTIVE | 1u << PROWL_TARGET_DENIED |
			      1u << PROWL_TARGET_DEFERRED | 1u << PROWL_TARGET_GONE,
		      take, &f);
	if (ret->n)
		qsort(ret->rows, ret->n, sizeof *ret->rows, by_start);
}

void serve_targets_free(struct serve_targets *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->rows[i].service);
		free(t->rows[i].comm);
	}
	free(t->rows);
	*t = (struct serve_targets){0};
}

const char *serve_key(const struct prowl_process_id *id, char key[SERVE_KEY])
{
	snprintf(key, SERVE_KEY, "%d@%" PRIu64, (int)id->pid, id->start);
	return key;
}

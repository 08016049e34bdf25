/* SPDX-License-Identifier: Apache-2.0 */
#include "push_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8_length.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FORMAT = 1 };

/* --- writing --------------------------------------------------------------------- */

/* Each byte that is not UTF-8 becomes U+FFFD, as in profiles. */
static json_t *text(const char *s)
{
	size_t len = strlen(s), n = 0;
	char *valid = malloc(3 * len + 1);
	json_t *j;

	if (!valid)
		return NULL;
	for (size_t i = 0; i < len;) {
		size_t k = pp_utf8_length(s + i, len - i);

		memcpy(valid + n, k ? s + i : "\xef\xbf\xbd", k ? k : 3);
		n += k ? k : 3;
		i += k ? k : 1;
	}
	j = json_stringn(valid, n);
	free(valid);
	return j;
}

static json_t *pair(const char *name, const char *value)
{
	json_t *j = json_array();

	json_array_append_new(j, text(name));
	json_array_append_new(j, text(value));
	return j;
}

static json_t *pairs(const struct prowl_push_pair *p, size_t n)
{
	json_t *j = json_array();

	for (size_t i = 0; i < n; i++) {
		if (p[i].name && p[i].value && *p[i].value)
			json_array_append_new(j, pair(p[i].name, p[i].value));
	}
	return j;
}

static json_t *labels(const struct prowl_series *s)
{
	json_t *all = json_array(), *j;

	for (size_t i = 0; i < s->n; i++) {
		j = pair(s->labels[i].name, s->labels[i].value);
		json_array_append_new(j, json_boolean(s->labels[i].identity));
		json_array_append_new(all, j);
	}
	return all;
}

int push_meta_write(const struct prowl_push_item *item, char **ret)
{
	/* A part that memory was missing for is NULL, which json_pack refuses. */
	json_t *j = json_pack("{s:i, s:o, s:b, s:I, s:I, s:o, s:o, s:o}", "format", FORMAT, "kind",
			      text(item->kind), "level", item->level, "start",
			      (json_int_t)item->start_ns, "end", (json_int_t)item->end_ns, "labels",
			      labels(item->series), "facts", pairs(item->facts, item->nfacts),
			      "pick", pairs(item->pick, item->npick));

	*ret = j ? json_dumps(j, JSON_COMPACT) : NULL;
	json_decref(j);
	return *ret ? 0 : -ENOMEM;
}

int push_meta_again(struct push_meta *meta, uint64_t done, char **ret)
{
	if (json_object_set_new(meta->root, "done", json_integer((json_int_t)done)) < 0)
		return -ENOMEM;
	meta->done = done;
	*ret = json_dumps(meta->root, JSON_COMPACT);
	return *ret ? 0 : -ENOMEM;
}

/* --- reading --------------------------------------------------------------------- */

static const char *string_at(const json_t *array, size_t i)
{
	return json_string_value(json_array_get(array, i));
}

/* Their texts are the JSON's. */
static int read_pairs(const json_t *j, struct prowl_push_pair **ret, size_t *ret_n)
{
	size_t n = json_array_size(j);
	struct prowl_push_pair *p = calloc(n + 1, sizeof *p);

	if (!p)
		return -ENOMEM;
	*ret = p;
	*ret_n = n;
	for (size_t i = 0; i < n; i++) {
		p[i].name = string_at(json_array_get(j, i), 0);
		p[i].value = string_at(json_array_get(j, i), 1);
		if (!p[i].name || !p[i].value)
			return -EBADMSG;
	}
	return 0;
}

static int read_series(const json_t *j, struct prowl_series **ret)
{
	size_t n = json_array_size(j);
	struct prowl_series_label *l = calloc(n + 1, sizeof *l);
	int r = l ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const json_t *one = json_array_get(j, i);

		/* what isn't there is NULL, and left out */
		l[i] = (struct prowl_series_label){string_at(one, 0), string_at(one, 1),
						   json_is_true(json_array_get(one, 2))};
	}
	if (r == 0)
		r = prowl_series_new(l, n, ret);
	free(l);
	return r;
}

static uint64_t figure(const json_t *root, const char *name)
{
	json_int_t v = json_integer_value(json_object_get(root, name));

	return v > 0 ? (uint64_t)v : 0;
}

int push_meta_read(const char *bytes, size_t len, struct push_meta *ret)
{
	json_t *root = json_loadb(bytes, len, 0, NULL);
	int r = 0;

	*ret = (struct push_meta){
		.root = root,
		.kind = json_string_value(json_object_get(root, "kind")),
		.level = json_is_true(json_object_get(root, "level")),
		.start_ns = figure(root, "start"),
		.end_ns = figure(root, "end"),
		.done = figure(root, "done"),
	};
	if (figure(root, "format") != FORMAT || !ret->kind || !ret->end_ns)
		r = -EBADMSG;
	if (r == 0)
		r = read_series(json_object_get(root, "labels"), &ret->series);
	if (r == 0)
		r = read_pairs(json_object_get(root, "facts"), &ret->facts, &ret->nfacts);
	if (r == 0)
		r = read_pairs(json_object_get(root, "pick"), &ret->pick, &ret->npick);
	if (r < 0)
		push_meta_fini(ret);
	return r;
}

void push_meta_fini(struct push_meta *meta)
{
	prowl_series_free(meta->series);
	free(meta->facts);
	free(meta->pick);
	json_decref(meta->root);
	*meta = (struct push_meta){0};
}

const char *push_meta_fact(const struct push_meta *meta, const char *name)
{
	for (size_t i = 0; i < meta->nfacts; i++) {
		if (strcmp(meta->facts[i].name, name) == 0)
			return meta->facts[i].value;
	}
	return "";
}

/* --- ids ------------------------------------------------------------------------- */

void push_item_key(const struct prowl_push_item *item, uint64_t key[2])
{
	XXH3_state_t state;
	XXH128_hash_t h;

	XXH3_128bits_reset(&state);
	XXH3_128bits_update(&state, &item->series->hash, sizeof item->series->hash);
	XXH3_128bits_update(&state, item->kind, strlen(item->kind) + 1);
	if (item->window)
		XXH3_128bits_update(&state, item->window, strlen(item->window));
	else
		XXH3_128bits_update(&state, &item->start_ns, sizeof item->start_ns);
	h = XXH3_128bits_digest(&state);
	key[0] = h.high64;
	key[1] = h.low64;
}

/* A UUID of version 8 (RFC 9562): what it is made from is our own affair. */
void push_part_id(const uint64_t key[2], uint64_t first, uint64_t n, uint8_t bytes[16],
		  char id[PUSH_ID])
{
	const uint64_t from[4] = {key[0], key[1], first, n};
	XXH128_hash_t h = XXH3_128bits(from, sizeof from);
	uint64_t high = (h.high64 & ~0xf000ull) | 0x8000;
	uint64_t low = (h.low64 & ~(3ull << 62)) | (2ull << 62);

	for (unsigned int i = 0; i < 8; i++) {
		bytes[i] = (uint8_t)(high >> (56 - 8 * i));
		bytes[8 + i] = (uint8_t)(low >> (56 - 8 * i));
	}
	snprintf(id, PUSH_ID, "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64,
		 high >> 32, high >> 16 & 0xffff, high & 0xffff, low >> 48, low & 0xffffffffffff);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml_doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { MOST_BYTES = 1 << 20, MOST_ITEMS = 5000, MOST_LEVELS = 16 };

struct held { /* what is freed with the document */
	struct held *next;
	struct yaml_item item;
	char text[]; /* the item's text, and its key behind it */
};

struct yaml_doc {
	char *name;
	struct held *all;
	size_t n;
	struct yaml_item *root;
};

struct reading {
	struct yaml_doc *doc;
	yaml_parser_t parser;
	struct prowl_err *err;
};

enum prowl_code yaml_doc_wrong(const struct yaml_doc *d, struct yaml_place at,
			       struct prowl_err *err, const char *fmt, ...)
{
	char text[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	return prowl_fail(err, PROWL_USAGE, "%.80s:%u:%u: %s", d->name, at.line, at.column, text);
}

static struct yaml_place place_of(yaml_mark_t m)
{
	return (struct yaml_place){(unsigned int)m.line + 1, (unsigned int)m.column + 1};
}

/* --- events ------------------------------------------------------------------------- */

static enum prowl_code next_event(struct reading *r, yaml_event_t *ret)
{
	if (yaml_parser_parse(&r->parser, ret))
		return PROWL_OK;
	return yaml_doc_wrong(r->doc,
			      place_of(r->parser.problem ? r->parser.problem_mark : r->parser.mark),
			      r->err, "no YAML: %s%s%s", r->parser.context ? r->parser.context : "",
			      r->parser.context ? ": " : "",
			      r->parser.problem ? r->parser.problem : "it can't be read");
}

/* A text with its NUL, without others: what follows one would be ignored silently. */
static bool has_nul(const yaml_event_t *e)
{
	return e->type == YAML_SCALAR_EVENT &&
	       memchr(e->data.scalar.value, 0, e->data.scalar.length) != NULL;
}

/* An item for the event, whose texts are copied. */
static enum prowl_code new_item(struct reading *r, const yaml_event_t *e, const char *key,
				struct yaml_item **ret)
{
	bool scalar = e->type == YAML_SCALAR_EVENT;
	const char *text = scalar ? (const char *)e->data.scalar.value : "";
	size_t n = strlen(text) + 1, nkey = key ? strlen(key) + 1 : 0;
	struct held *h;

	if (has_nul(e))
		return yaml_doc_wrong(r->doc, place_of(e->start_mark), r->err,
				      "a text with a byte 0");
	if (r->doc->n >= MOST_ITEMS)
		return yaml_doc_wrong(r->doc, place_of(e->start_mark), r->err,
				      "more than %d values", MOST_ITEMS);
	h = calloc(1, sizeof *h + n + nkey);
	if (!h)
		return prowl_fail(r->err, PROWL_FAILED, "out of memory");
	memcpy(h->text, text, n);
	if (key)
		memcpy(h->text + n, key, nkey);
	h->item = (struct yaml_item){
		.kind = scalar                                 ? YAML_TEXT
			: e->type == YAML_SEQUENCE_START_EVENT ? YAML_LIST
							       : YAML_DICT,
		.at = place_of(e->start_mark),
		.text = h->text,
		.plain = scalar && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE,
		.key = key ? h->text + n : NULL,
	};
	h->next = r->doc->all;
	r->doc->all = h;
	r->doc->n++;
	*ret = &h->item;
	return PROWL_OK;
}

/* --- the tree ------------------------------------------------------------------------- */

static enum prowl_code read_inside(struct reading *r, struct yaml_item *item, unsigned int level);

/* The item that begins with this event, which is consumed. */
static enum prowl_code read_item(struct reading *r, yaml_event_t *e, const char *key,
				 unsigned int level, struct yaml_item **ret)
{
	enum prowl_code code;

	if (e->type == YAML_ALIAS_EVENT)
		code = yaml_doc_wrong(r->doc, place_of(e->start_mark), r->err,
				      "aliases (*%.40s) are not taken", e->data.alias.anchor);
	else if (level > MOST_LEVELS)
		code = yaml_doc_wrong(r->doc, place_of(e->start_mark), r->err,
				      "more than %d levels", MOST_LEVELS);
	else
		code = new_item(r, e, key, ret);
	yaml_event_delete(e);
	if (code == PROWL_OK && (*ret)->kind != YAML_TEXT)
		code = read_inside(r, *ret, level);
	return code;
}

static const struct yaml_item *named(const struct yaml_item *in, const char *key)
{
	for (const struct yaml_item *i = in->first; i; i = i->next) {
		if (!strcmp(i->key, key))
			return i;
	}
	return NULL;
}

/* The value of a key, whose event is consumed. */
static enum prowl_code read_pair(struct reading *r, struct yaml_item *in, yaml_event_t *key,
				 unsigned int level, struct yaml_item **ret)
{
	struct yaml_place at = place_of(key->start_mark);
	const char *name = (const char *)key->data.scalar.value;
	enum prowl_code code = PROWL_OK;
	yaml_event_t e;

	if (key->type != YAML_SCALAR_EVENT || has_nul(key))
		code = yaml_doc_wrong(r->doc, at, r->err, "a key must be a text");
	else if (named(in, name))
		code = yaml_doc_wrong(r->doc, at, r->err, "'%.60s' is there twice", name);
	if (code == PROWL_OK)
		code = next_event(r, &e);
	if (code == PROWL_OK)
		code = read_item(r, &e, name, level, ret);
	if (code == PROWL_OK)
		(*ret)->key_at = at;
	yaml_event_delete(key);
	return code;
}

static enum prowl_code read_inside(struct reading *r, struct yaml_item *item, unsigned int level)
{
	struct yaml_item **tail = &item->first;

	for (;;) {
		struct yaml_item *inner;
		enum prowl_code code;
		yaml_event_t e;

		code = next_event(r, &e);
		if (code != PROWL_OK)
			return code;
		if (e.type == YAML_MAPPING_END_EVENT || e.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&e);
			return PROWL_OK;
		}
		code = item->kind == YAML_DICT ? read_pair(r, item, &e, level + 1, &inner)
					       : read_item(r, &e, NULL, level + 1, &inner);
		if (code != PROWL_OK)
			return code;
		*tail = inner;
		tail = &inner->next;
	}
}

/* The one document, which may be missing. */
static enum prowl_code read_stream(struct reading *r)
{
	size_t documents = 0;

	for (;;) {
		enum prowl_code code;
		yaml_event_t e;

		code = next_event(r, &e);
		if (code != PROWL_OK)
			return code;
		switch (e.type) {
		case YAML_STREAM_END_EVENT:
			yaml_event_delete(&e);
			return PROWL_OK;
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		case YAML_DOCUMENT_START_EVENT:
			if (documents++ > 0)
				code = yaml_doc_wrong(r->doc, place_of(e.start_mark), r->err,
						      "a second document");
			break;
		default:
			code = read_item(r, &e, NULL, 1, &r->doc->root);
			if (code != PROWL_OK)
				return code;
			continue;
		}
		yaml_event_delete(&e);
		if (code != PROWL_OK)
			return code;
	}
}

enum prowl_code yaml_doc_parse(const char *name, const char *text, size_t len,
			       struct yaml_doc **ret, struct prowl_err *err)
{
	struct reading r = {.doc = calloc(1, sizeof *r.doc), .err = err};
	enum prowl_code code;

	if (!r.doc)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	r.doc->name = strdup(name);
	if (!r.doc->name || !yaml_parser_initialize(&r.parser)) {
		yaml_doc_free(r.doc);
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	}
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	if (len > MOST_BYTES)
		code = prowl_fail(err, PROWL_USAGE, "%.200s: larger than 1 MiB", name);
	else
		code = read_stream(&r);
	yaml_parser_delete(&r.parser);
	if (code == PROWL_OK)
		*ret = r.doc;
	else
		yaml_doc_free(r.doc);
	return code;
}

const struct yaml_item *yaml_doc_root(const struct yaml_doc *d)
{
	return d->root;
}

void yaml_doc_free(struct yaml_doc *d)
{
	struct held *next;

	if (!d)
		return;
	for (struct held *h = d->all; h; h = next) {
		next = h->next;
		free(h);
	}
	free(d->name);
	free(d);
}

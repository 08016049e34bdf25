/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML file as a tree that knows where everything stands, so that each mistake in it can be told
 * with line and column. Texts, lists and maps; aliases, several documents and keys that are written
 * twice are refused, as are files beyond 1 MiB, 5,000 items or 16 levels.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_DICT };

struct yaml_place {
	unsigned int line, column; /* from 1 */
};

struct yaml_item {
	enum yaml_kind kind;
	struct yaml_place at;
	const char *text; /* of a text; "" is also what nothing is */
	bool plain;       /* a text without quotes */
	const char *key;  /* in a map; else NULL */
	struct yaml_place key_at;
	struct yaml_item *first, *next; /* of what it contains; beside it in what contains it */
};

struct yaml_doc;

/* `name` is that of the file, for messages, which are "NAME:LINE:COLUMN: what is wrong". */
enum prowl_code yaml_doc_parse(const char *name, const char *text, size_t len,
			       struct yaml_doc **ret, struct prowl_err *err);
void yaml_doc_free(struct yaml_doc *d);

/* NULL: the file has nothing in it. */
const struct yaml_item *yaml_doc_root(const struct yaml_doc *d);

/* Fills err and returns PROWL_USAGE. */
enum prowl_code yaml_doc_wrong(const struct yaml_doc *d, struct yaml_place at,
			       struct prowl_err *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

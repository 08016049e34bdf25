/* SPDX-License-Identifier: Apache-2.0 */
/* How the parts of the configuration are read; private to the room. */
#pragma once

#include "config.h"
#include "yaml_doc.h"

/* What a configuration has beside its values: memory, freed with it. */
struct prowl_config_own {
	struct yaml_doc *doc;
	void **blocks;
	size_t n, cap;
};

/* Zeroed memory, or a copy of a text, that is freed with the configuration; NULL: none left. */
void *config_alloc(struct prowl_config *c, size_t n, size_t size);
const char *config_copy(struct prowl_config *c, const char *text);

struct config_reader { /* of a file, under way */
	struct prowl_config *config;
	const char *name; /* of the file */
	struct prowl_err *err;
};

#define config_wrong(r, at, ...) yaml_doc_wrong((r)->config->own->doc, (at), (r)->err, __VA_ARGS__)

/* A key that a map doesn't have; the nearest of n names is proposed. */
enum prowl_code config_unknown(struct config_reader *r, const struct yaml_item *item,
			       const char *in, const char *const *names, size_t n);

/* The item as one of these, or an error that says what is wanted. */
enum prowl_code config_want(struct config_reader *r, const struct yaml_item *item,
			    enum yaml_kind kind);
enum prowl_code config_want_text(struct config_reader *r, const struct yaml_item *item,
				 const char **ret);
/* A list of texts, or one text. */
enum prowl_code config_want_texts(struct config_reader *r, const struct yaml_item *item,
				  struct prowl_texts *ret);

/*
 * For a map of few keys: its index in names, each of which there is once in a map; n after an error
 * message. */
size_t config_index(struct config_reader *r, const struct yaml_item *item, const char *in,
		    const char *const *names, size_t n, enum prowl_code *code);

/* Pairs of names and texts. */
enum prowl_code config_want_pairs(struct config_reader *r, const struct yaml_item *item,
				  struct prowl_config_pairs *ret);

/* How many items it contains. */
size_t config_count(const struct yaml_item *item);

/* targets:, labels:, push:, triggers: */
enum prowl_code config_read_rules(struct config_reader *r, const struct yaml_item *item);
enum prowl_code config_read_labels(struct config_reader *r, const struct yaml_item *item);
enum prowl_code config_read_triggers(struct config_reader *r, const struct yaml_item *item);
enum prowl_code config_read_push(struct config_reader *r, const struct yaml_item *item);

/* A rule in front of the others, zeroed. NULL: no memory. */
struct prowl_rule *config_rule_in_front(struct prowl_config *c);

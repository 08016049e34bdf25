/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: a sink's configuration, an item of the spool. */
#pragma once

#include <jansson.h>

#include "push.h"

enum { PUSH_SECOND = 1000000000 };

/* --- push_config.c --------------------------------------------------------------- */

struct push_config {
	struct prowl_push_sink c; /* with its defaults; all texts are there, "" if not given */
	char **owned;
	size_t nowned, cap;
};

/* A checked sink. -ENOMEM leaves nothing behind. */
int push_config_copy(struct push_config *config, const struct prowl_push_sink *sink);
void push_config_fini(struct push_config *config);
bool push_config_has_kind(const struct prowl_push_sink *c, const char *kind);

/* --- push_meta.c ----------------------------------------------------------------- */

/* What the spool knows of an item beside its profile. */
struct push_meta {
	const char *kind;
	bool level;
	uint64_t start_ns, end_ns;
	uint64_t done; /* samples of the profile that the server has already */
	struct prowl_series *series;
	struct prowl_push_pair *facts, *pick;
	size_t nfacts, npick;
	json_t *root; /* owns the texts */
};

/* One line of JSON; freed by the caller. */
int push_meta_write(const struct prowl_push_item *item, char **ret);
/* -EBADMSG: it is none. */
int push_meta_read(const char *text, size_t len, struct push_meta *ret);
/* The text of it with another `done`. */
int push_meta_again(struct push_meta *meta, uint64_t done, char **ret);
void push_meta_fini(struct push_meta *meta);
const char *push_meta_fact(const struct push_meta *meta, const char *name); /* "": none */

/* What an item is known by: the same for the same series, kind and window. */
void push_item_key(const struct prowl_push_item *item, uint64_t key[2]);

enum { PUSH_ID = 37 }; /* the text of a UUID and a NUL */

/* The id of a part of an item: the same for the same samples. The bytes of the UUID, and its text.
 */
void push_part_id(const uint64_t key[2], uint64_t first, uint64_t n, uint8_t bytes[16],
		  char text[PUSH_ID]);

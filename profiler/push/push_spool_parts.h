/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool: a folder for each sink, and in it two files for each item: END-KEY.json with what is
 * known of it, and END-KEY.pb.gz, its profile. The first is there last and goes first: without it
 * there is no item. Files are the same for all sinks, by hard links.
 *
 * A spool belongs to whoever holds the lock of the push, except for push_spool_read.
 */
#pragma once

#include "push_parts.h"

struct spool_entry {
	uint64_t end_ns; /* Unix */
	uint64_t key[2];
	uint64_t bytes;     /* of both files */
	unsigned int tries; /* that failed by this item's own fault, it may be */
};

struct push_spool {
	int dir;
	struct spool_entry *entries; /* oldest first */
	size_t n, cap;
	uint64_t bytes;
	/* The one that is being sent is not dropped for others. */
	bool busy;
	uint64_t busy_key[2];
};

/* The folder of all; made if it isn't there. Leftovers of offers that were cut short are removed.
 */
int push_spool_root(const char *folder, int *ret_dir);
/* The folder of a sink and its items. */
int push_spool_open(int root, const char *sink, struct push_spool *ret);
void push_spool_close(struct push_spool *s);
/* Removes the items of a folder, and the folder, where nothing else is in it. */
void push_spool_forget(int root, const char *sink);

/* Two files that are in no sink's folder yet, by their common name in the root. */
struct spool_offer {
	int root;
	char name[40];
	struct spool_entry entry;
};

/* Writes them, or links the item's file. */
int push_spool_prepare(int root, uint64_t serial, const struct prowl_push_item *item,
		       struct spool_offer *ret);
/* -EEXIST: it waits there already. */
int push_spool_add(struct push_spool *s, const struct spool_offer *offer);
void push_spool_discard(const struct spool_offer *offer);

/*
 * Drops the oldest items until `more` bytes fit below `most`; how many were dropped. *ret_fits:
 * whether they do now.
 */
uint64_t push_spool_make_room(struct push_spool *s, uint64_t more, uint64_t most, bool *ret_fits);
/* Drops the items that ended before `end_ns`; how many. */
uint64_t push_spool_expire(struct push_spool *s, uint64_t end_ns);
void push_spool_drop(struct push_spool *s, const struct spool_entry *e);

/* The oldest of those that failed least often; NULL: it is empty. Valid until the next change. */
struct spool_entry *push_spool_next(struct push_spool *s);
struct spool_entry *push_spool_find(struct push_spool *s, const uint64_t key[2]);

/* The files of an entry. -EBADMSG: it is damaged; the bytes are freed by the caller. */
int push_spool_read(int dir, const struct spool_entry *e, struct push_meta *meta, uint8_t **ret,
		    size_t *ret_len);
/* Writes down how much of it the server has. */
int push_spool_mark(int dir, const struct spool_entry *e, struct push_meta *meta, uint64_t done);

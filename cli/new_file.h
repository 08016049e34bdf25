/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that is written: it appears whole or not at all, and what was there before stays until
 * then.
 *
 * All of it with the user's own rights: what prowl has beyond them is laid down (privilege.h).
 *
 * A name that the user gave may be a link, a device or a FIFO, and open() then decides, with what
 * the system forbids (fs.protected_symlinks); nothing is put in the place of a link. A name that
 * prowl made up is a new file, whatever others have put under that name before.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

enum new_file_way {
	NEW_FILE_DIRECT,  /* standard output, a device, a FIFO: as it is */
	NEW_FILE_REPLACE, /* a file of another name, which takes the place of the old one */
	NEW_FILE_UNUSED,  /* the same, in no one's place */
	NEW_FILE_LINK,    /* kept in memory, and then written to where a link leads */
};

struct new_file {
	char path[PATH_MAX]; /* "-" is standard output */
	int fd;              /* to be written to */
	enum new_file_way way;
	char tmp[PATH_MAX];
	const char *suffix;
	mode_t mode;
};

/* "-" and /dev/stdout */
bool new_file_is_stdout(const char *path);

/*
 * mode as in open(2), of a new file; one of ours that is replaced keeps its own. Negative errno.
 */
int new_file_open(struct new_file *f, const char *path, mode_t mode);

/* Under that name, or the first free one of NAME-2SUFFIX, NAME-3SUFFIX, ...; path tells which. */
int new_file_open_unused(struct new_file *f, const char *path, const char *suffix, mode_t mode);

/* What `write` writes, to a path that the user named. 0, or what failed. */
int new_file_words(const char *path, void (*write)(FILE *to, void *ctx), void *ctx);

/* Behind what new_file_words has written there. */
int new_file_more_words(const char *path, void (*write)(FILE *to, void *ctx), void *ctx);

/* With r == 0 it takes its place, else it goes. r, or what failed. */
int new_file_close(struct new_file *f, int r);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a file that appears whole or not at all; the old one stays until then.
 *
 * With the user's own rights: prowl's privilege is lowered first (privilege.h).
 *
 * A name that the user gave may be a link, a device or a FIFO: open() decides, with the system's
 * restrictions (fs.protected_symlinks), and a link is never replaced. A name that prowl made up is
 * always a new file, whatever others have planted under it.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

enum new_file_way {
	NEW_FILE_DIRECT,  /* standard output, a device, a FIFO: as it is */
	NEW_FILE_REPLACE, /* a temporary file that replaces the old one */
	NEW_FILE_UNUSED,  /* the same, but replaces nothing */
	NEW_FILE_LINK,    /* kept in memory, then written through the link */
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
 * mode as in open(2), for a new file; the user's own file keeps its mode when it is replaced.
 * Negative errno.
 */
int new_file_open(struct new_file *f, const char *path, mode_t mode);

/* Under that name, or the first free one of NAME-2SUFFIX, NAME-3SUFFIX, ...: see path. */
int new_file_open_unused(struct new_file *f, const char *path, const char *suffix, mode_t mode);

/* Writes the output of `write` to a path that the user named. 0 or a negative errno. */
int new_file_words(const char *path, void (*write)(FILE *to, void *ctx), void *ctx);

/* The same, appended to what new_file_words wrote. */
int new_file_more_words(const char *path, void (*write)(FILE *to, void *ctx), void *ctx);

/* Puts the file in its place when r is 0, else removes it. Returns r, or a negative errno. */
int new_file_close(struct new_file *f, int r);

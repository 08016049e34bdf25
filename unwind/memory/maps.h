/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mappings of a process, from the text of /proc/PID/maps (proc_pid_maps(5)).
 *
 * Entries come in the kernel's order, ascending by address. A live process may map and unmap
 * between two of the kernel's 4 KiB pieces of the file: each entry was true when it was read, the
 * whole need never have been.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uw_map {
	uint64_t start, end; /* half open, page aligned */
	uint64_t offset;     /* bytes into the file; 0 for anonymous memory */
	uint64_t inode;      /* 0: no file behind it */
	uint32_t major, minor;
	uint8_t prot; /* PROT_READ | PROT_WRITE | PROT_EXEC */
	bool shared;
	bool deleted; /* the file has no name any more; path is its last one, without the marker */
	/*
	 * "" for anonymous memory; "[heap]", "[stack]", "[vdso]", "[anon:name]", ...: no file; else
	 * a path as the target's mount namespace sees it, newlines restored. NUL terminated; valid
	 * during the callback only.
	 */
	const char *path;
	size_t path_len;
};

/* Non-zero ends the parse, which then returns it: negative errno, or positive for "seen enough". */
typedef int (*uw_maps_cb)(void *ctx, const struct uw_map *map);

/*
 * Calls cb for each line of text[0..len), which needs no NUL. The last line may lack its newline.
 * -EBADMSG at the first line that is not in the kernel's format; the lines above it were delivered.
 */
int uw_maps_parse(const char *text, size_t len, uw_maps_cb cb, void *ctx);

/*
 * The same for an open file, from its present position to its end; fd stays the caller's. Also
 * negative errno of read: -ESRCH when the process is gone. The file of an exited process, or of a
 * kernel thread, is empty: no callback, 0.
 */
int uw_maps_read(int fd, uw_maps_cb cb, void *ctx);

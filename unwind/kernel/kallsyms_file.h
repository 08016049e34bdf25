/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel symbols in a file, from one run to the next: naming a hundred addresses then costs some
 * 100 KiB of reading instead of the kernel's formatting of all of its symbols.
 *
 * The file belongs to one boot of one kernel with one set of modules: its key. Symbols that come
 * and go while the key stays the same (compiled BPF programs, trampolines of ftrace and kprobes)
 * are not in it; neither is what lies on the page after the last symbol of a module, where
 * something else may be put. Such addresses have no name in what is loaded: /proc/kallsyms has to
 * be asked for them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kallsyms.h"

struct uw_kallsyms_key {
	uint64_t boot, kernel, modules;
};

struct uw_text {
	const char *p;
	size_t len;
};

/*
 * Of the text of the boot id, of any text that distinguishes kernels, and of that of /proc/modules,
 * of which name, size and address count. `instance`, which may be NULL, gives a number that differs
 * between two loadings of a module of this name. -ENODATA: there is no boot id. -EAGAIN: a module
 * is being loaded or unloaded, so that its symbols are about to change. -EBADMSG: not
 * /proc/modules.
 */
int uw_kallsyms_key_make(struct uw_kallsyms_key *key, struct uw_text boot_id, struct uw_text kernel,
			 struct uw_text modules,
			 uint64_t (*instance)(void *ctx, const char *module), void *ctx);

/* Writes k, which uw_kallsyms_read made, to the empty file fd. The errno of write. */
int uw_kallsyms_save(const struct uw_kallsyms *k, const struct uw_kallsyms_key *key, int fd);

/*
 * The symbols that cover one of the n addresses, which are in ascending order, from a file that
 * uw_kallsyms_save wrote. Only what is needed is read, with pread, so that a file that shrinks
 * meanwhile does no harm; all that is read is bounds-checked and has a checksum. -ESTALE: of
 * another key. -EBADMSG: damaged, or no such file. -ENOMEM, or the errno of pread.
 */
int uw_kallsyms_load(int fd, const struct uw_kallsyms_key *key, const uint64_t *pcs, size_t n,
		     struct uw_kallsyms **ret);

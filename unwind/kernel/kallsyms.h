/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel symbols, from /proc/kallsyms. Immutable once read; any thread may ask.
 *
 * Reading costs what the kernel needs to format the file (35 ms of CPU for 120,000 symbols,
 * measured) plus about a quarter of that. Keeping all symbols takes some 35 bytes each; a profile
 * that is to be named once keeps only those that it hits, with uw_kallsyms_resolve.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uw_kallsyms;

/*
 * Reads fd (kept by the caller) to its end, text symbols only. -EPERM: the kernel hides the
 * addresses (kptr_restrict, or no CAP_SYSLOG): all are 0. -ENODATA: there is no text symbol.
 * -ENOMEM, or the errno of read. Of several symbols at one address one is kept: strong before weak,
 * global before local, fewer leading underscores.
 */
int uw_kallsyms_read(int fd, struct uw_kallsyms **ret);

/*
 * The same, but keeps only the symbols that cover one of the n addresses, which are in ascending
 * order (repetitions allowed). Memory is proportional to n. The answers for these addresses are
 * those that uw_kallsyms_read would give; for others there may be none.
 */
int uw_kallsyms_resolve(int fd, const uint64_t *pcs, size_t n, struct uw_kallsyms **ret);

void uw_kallsyms_free(struct uw_kallsyms *k);

/*
 * The symbol that covers pc, or NULL; *module is the module's name ("bpf" for compiled BPF
 * programs) or NULL for the kernel itself, *start the symbol's address; both may be NULL. Borrowed
 * from k. The file has no sizes: a symbol reaches to the next one, but the last one of the kernel
 * or of a module no further than the page after the one that it starts in. Past that is no name.
 */
const char *uw_kallsyms_name(const struct uw_kallsyms *k, uint64_t pc, const char **module,
			     uint64_t *start);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds pclntab and moduledata in a Go binary, proves that they are what they seem, and gives the
 * tables as bounded byte ranges. Private to the Go readers of this folder.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "diag.h"
#include "elf.h"
#include "golayout.h"
#include "gosym.h"
#include "mem.h"

struct uw_gosect {         /* one text section, runtime.textsect */
	uint64_t off, end; /* offsets as the tables have them */
	uint64_t base;     /* link-time address of `off` */
};

struct uw_gomodule {
	const struct uw_golayout *layout;
	uint64_t addr;   /* of runtime.firstmoduledata */
	uint64_t header; /* of the pclntab */
	uint8_t quantum; /* pc deltas count these: 1 on amd64, 4 on arm64 */
	size_t nfuncs;

	struct uw_bytes names, cutab, files, pctab;
	struct uw_bytes funcs; /* functab, then the _func records; funcoff counts from its start */
	uint64_t funcs_addr;   /* its link-time address */

	/* runtime.findfunctab: for each 4 KiB of text from minpc on, about where in functab. A
	 * hint; empty when it can't be read. */
	struct uw_bytes find;

	uint64_t minpc, maxpc, text, etext, gofunc;
	struct uw_go_range vars[UW_GO_SEGMENTS];
	size_t nsects; /* 0 unless there are several text sections */
	struct uw_gosect *sects;

	uint64_t table_bias; /* to subtract from the addresses inside the tables */
	uint8_t *copy;       /* the tables, when they are read from memory */
};

/*
 * layout NULL: the version is not known; the newest row that fits is chosen. -ENOENT: no pclntab;
 * -ENOTSUP: one from before Go 1.16; -EBADMSG: one without a moduledata that verifies; -ENOMEM.
 */
int uw_gomodule_open(const struct uw_elf *elf, const struct uw_golayout *layout,
		     const struct uw_mem *live, uint64_t bias, struct uw_gomodule *ret,
		     struct uw_diag *diag);
/* False: there can be no Go in it; by the names of its sections, which costs nothing. */
bool uw_gomodule_maybe(const struct uw_elf *elf);
void uw_gomodule_fini(struct uw_gomodule *m);

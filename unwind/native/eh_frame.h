/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call frame information of one file: which entry describes a pc, and where its instructions
 * are. From .eh_frame by the search table of .eh_frame_hdr, and where that is missing (gcc -static,
 * musl) by a table made in one pass over .eh_frame; else from .debug_frame, in the same way.
 *
 * Files are foreign: a pass and its table are bounded, whatever the sections hold, and entries of a
 * kind that no compiler writes are refused. Personality routines and their data are stepped over.
 *
 * All addresses are link-time addresses. Tables are made on first use: one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "elf.h"

struct uw_eh_frame;

struct uw_fde {              /* one function, or a part of one */
	uint64_t start, end; /* its code */
	/* Call frame instructions: those that all functions of its kind begin with, and its own. */
	struct uw_bytes common, own;
	uint64_t code_align;
	int64_t data_align;
	uint64_t ra;      /* the column of the return address */
	uint64_t set_loc; /* address of the first byte of `own`, for pointers relative to it */
	uint8_t encoding; /* of pointers in `own`: see uw_eh_pointer */
	bool signal;      /* its caller was interrupted, not calling */
};

/* elf is borrowed. -ENOMEM. */
int uw_eh_frame_new(const struct uw_elf *elf, struct uw_eh_frame **ret);
void uw_eh_frame_free(struct uw_eh_frame *f);
const struct uw_elf *uw_eh_frame_elf(const struct uw_eh_frame *f);

/* The entry that describes the instruction at pc; false: none that can be used. */
bool uw_eh_frame_find(struct uw_eh_frame *f, uint64_t pc, struct uw_fde *ret);

/*
 * The pointer at the cursor, whose own address is `at`, in an encoding of the LSB (DW_EH_PE_*): any
 * format, absolute, relative to itself, or aligned. The cursor becomes bad on others, which need
 * memory of the process.
 */
uint64_t uw_eh_pointer(struct uw_bytes *b, uint64_t at, uint8_t encoding);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Build information that every Go linker leaves in a binary (debug/buildinfo): the version of the
 * toolchain, the modules, the settings. Stripping keeps it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf.h"
#include "mem.h"

struct uw_gobuild {
	char version[128]; /* "go1.24.4", with its suffixes; "" when unknown */
	const char *mod; /* module text without its markers, borrowed from the file; "" when none */
	size_t mod_len;
};

/*
 * Looks in section .go.buildinfo; without section headers in the writable segments. Up to Go 1.17
 * the blob holds pointers, which in a position-independent file may be left to the loader: they are
 * then read from `live` (may be NULL) at `bias`. False when the file has no build information.
 */
bool uw_gobuild_read(const struct uw_elf *elf, const struct uw_mem *live, uint64_t bias,
		     struct uw_gobuild *ret);

/*
 * "go1.24.4", "go1.22.1 X:foo", "devel go1.25-abcdef" -> 24, 4. False when it names no version
 * ("devel +0123abc", as development builds up to 1.16 said).
 */
bool uw_gobuild_version(const char *version, int *ret_minor, int *ret_patch);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame with names, as symbolizers give it: one address may expand to several of them, because
 * of inlining. Strings are borrowed from the binary's tables and live as long as it does.
 */
#pragma once

#include <stdint.h>

struct uw_frame {
	const char *name;     /* linker name ("main.(*T).Run", "_ZN3foo3barEv"); never NULL */
	const char *readable; /* demangled name; equal to `name` for Go and C */
	const char *file;     /* NULL when unknown */
	int32_t line;         /* 0 when unknown */
	int32_t start_line;   /* line of the function's declaration, 0 when unknown */
	uint64_t func;        /* link-time address of the physical function's entry */
};

enum {
	UW_MAX_INLINE = 64, /* deepest inline chain that is expanded */
};

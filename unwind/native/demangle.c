/* SPDX-License-Identifier: Apache-2.0 */
#include "demangle_parts.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <libiberty/demangle.h>

enum {
	MAX_IN = 4096,
	MAX_OUT = 16384,
};

struct out {
	jmp_buf full;
	size_t len;
	char text[MAX_OUT];
};

/* The demangler can't be stopped, so a full buffer leaves it by a jump: on this way it holds
 * no heap memory but the one buffer of a punycode identifier. */
static void collect(const char *piece, size_t len, void *ctx)
{
	struct out *o = ctx;

	if (len >= sizeof o->text - o->len)
		longjmp(o->full, 1);
	memcpy(o->text + o->len, piece, len);
	o->len += len;
}

char *uw_demangle(const char *name)
{
	const int options = DMGL_PARAMS | DMGL_ANSI;
	struct out o;

	if (name[0] != '_' || (name[1] != 'Z' && name[1] != 'R') ||
	    strnlen(name, MAX_IN + 1) > MAX_IN)
		return NULL;
	if (setjmp(o.full) != 0)
		return NULL;
	/* Rust's legacy scheme is valid C++ mangling too, with a hash at its end: so Rust first. */
	o.len = 0;
	if (!rust_demangle_callback(name, options, collect, &o)) {
		o.len = 0;
		if (!cplus_demangle_v3_callback(name, options, collect, &o))
			return NULL;
	}
	return strndup(o.text, o.len);
}

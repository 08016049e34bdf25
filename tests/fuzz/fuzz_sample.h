/* SPDX-License-Identifier: Apache-2.0 */
/* The sample program as built for each layout: made once, so that an input costs no building. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gosym.h"
#include "sample_go.h"

enum fuzz_sample_flags { /* what an input may choose */
			 FUZZ_NO_VERSION = 1,
			 FUZZ_SECTIONS = 2,
			 FUZZ_SECOND_TEXT = 4,
			 FUZZ_FLAGS = 8,
};

static inline struct built_go fuzz_sample_make(const struct uw_golayout *l, unsigned int flags,
					       enum build_pointers pointers, uint64_t bias)
{
	struct sample_go s;
	char version[32];

	snprintf(version, sizeof version, "go1.%d.%d", l->minor, l->patch);
	sample_go_init(&s, l, flags & FUZZ_NO_VERSION ? NULL : version);
	s.go.sections = flags & FUZZ_SECTIONS;
	s.go.second_sect = flags & FUZZ_SECOND_TEXT ? 2 : 0;
	s.go.pointers = pointers;
	s.go.bias = bias;
	return build_go(&s.go);
}

/* Each pointers with one and the same bias. The same object each time; it is not to be changed. */
static inline const struct built_go *fuzz_sample(unsigned int layout, unsigned int flags,
						 enum build_pointers pointers, uint64_t bias)
{
	static struct built_go made[32][FUZZ_FLAGS][BUILD_LOADED + 1];
	size_t l = layout % uw_golayouts_count;
	struct built_go *b = &made[l][flags % FUZZ_FLAGS][pointers];

	if (uw_golayouts_count > 32)
		abort();
	if (!b->bytes)
		*b = fuzz_sample_make(&uw_golayouts[l], flags, pointers, bias);
	return b;
}

/* The same, in bytes of its own, which fuzz_sample_end frees. */
static inline struct built_go fuzz_sample_copy(const struct built_go *made)
{
	struct built_go b = *made;

	b.bytes = malloc(b.size);
	if (!b.bytes)
		abort();
	memcpy(b.bytes, made->bytes, b.size);
	return b;
}

static inline void fuzz_sample_end(struct built_go *b)
{
	free(b->bytes);
}

/* Its tables, for all inputs the same. */
static inline struct uw_go *fuzz_sample_go(unsigned int layout)
{
	static struct uw_go *opened[32];
	struct uw_go **go = &opened[layout % uw_golayouts_count];

	if (!*go) {
		const struct built_go *b = fuzz_sample(layout, FUZZ_SECTIONS, BUILD_LINKED, 0);

		if (uw_go_open(built_go_elf(b), NULL, 0, go, NULL) < 0)
			abort();
	}
	return *go;
}

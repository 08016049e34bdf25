/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks that a Go runtime has stored → locations of a profile, as Go's own writer makes them. Each
 * address is named once. Private to this folder; one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gostored.h"
#include "idmap.h"
#include "pprof.h"
#include "space.h"

struct prowl_rtstack_place;

struct prowl_rtstack { /* borrows what it is made of */
	struct pprof_profile *p;
	struct uw_space *space;
	struct uw_go *go;
	/*
	 * The runtime itself stored these stacks, and left out then what it would leave out:
	 * nothing in its own writer drops a word. So a wrapper that has a word of its own shows;
	 * block and mutex profiles of go1.23 and later have them, since those follow frame pointers
	 * only. Stacks that we walked leave wrappers out here.
	 */
	bool recorded;
	struct prowl_idmap places[2]; /* word → place; [1]: with wrappers kept */
	struct prowl_idmap maps;      /* start of mapping → mapping of the profile */
	struct prowl_idmap hidden;    /* word → is it in the runtime */
	struct prowl_rtstack_place *place;
	size_t n, cap;
	uint64_t *follow;
	size_t nfollow, cap_follow;
	uint64_t outside; /* words that no mapping holds: left out */
	uint64_t unknown; /* words without a name */
};

void prowl_rtstack_init(struct prowl_rtstack *s, struct pprof_profile *p, struct uw_space *space,
			struct uw_go *go, bool recorded);
void prowl_rtstack_fini(struct prowl_rtstack *s);
/* The program itself becomes the first mapping of the profile. */
int prowl_rtstack_first_mapping(struct prowl_rtstack *s);
/*
 * The locations of a stack, leaf first: at most n, into locs. hide_runtime: without the frames of
 * the runtime at the leaf, unless there are no others. Returns their number or negative errno.
 */
int prowl_rtstack_stack(struct prowl_rtstack *s, const uint64_t *words, size_t n, bool hide_runtime,
			uint32_t *locs);

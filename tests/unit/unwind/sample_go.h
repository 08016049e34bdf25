/* SPDX-License-Identifier: Apache-2.0 */
/* The small program that the tests and the fuzzers' seeds are built from; see build_go.h. */
#pragma once

#include "build_go.h"

enum { /* indices of its functions */
       SAMPLE_MAIN,
       SAMPLE_SYSTEMSTACK_WRAPPER,
       SAMPLE_SYSTEMSTACK,
       SAMPLE_GOEXIT,
       SAMPLE_PADDED,
       SAMPLE_NFUNCS,
};

struct sample_go {
	struct build_func funcs[SAMPLE_NFUNCS];
	struct build_inlined tree[2];
	struct build_go go;
};

/* Fills s for the layout and keeps pointers into it. Change s->go before building. */
void sample_go_init(struct sample_go *s, const struct uw_golayout *layout, const char *version);

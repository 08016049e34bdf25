/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "plug.h"

static compare_fn compare;

KEEP static void sort_some(unsigned x)
{
	unsigned v[32];

	for (unsigned i = 0; i < 32; i++)
		v[i] = x += i * 2654435761u;
	qsort(v, 32, sizeof *v, compare);
	*(volatile unsigned *)v = 0;
}

LINK(plug_7, sort_some, 40)
LINK(plug_6, plug_7, 8)
LINK_VLA(plug_5, plug_6)
LINK(plug_4, plug_5, 300)
LINK(plug_3, plug_4, 16)
LINK_VLA(plug_2, plug_3)
LINK(plug_1, plug_2, 24)
LINK(plug_0, plug_1, 1000)

KEEP __attribute__((visibility("default"))) void plug_enter(unsigned rounds, compare_fn f)
{
	compare = f;
	for (unsigned i = 0; rounds == 0 || i < rounds; i++)
		plug_0(i);
}

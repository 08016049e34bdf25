/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/maps holds names that the target chose: what is parsed is in order and within bounds.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "maps.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static int check(void *ctx, const struct uw_map *m)
{
	size_t *n = ctx;

	++*n;
	if (m->start >= m->end || m->prot > 7 || m->path[m->path_len] != '\0' || m->path_len > 4200)
		abort();
	return m->path_len == 13 ? 1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	size_t n = 0, lines = 1;
	int r = uw_maps_parse((const char *)bytes, len, check, &n);

	for (size_t i = 0; i < len; i++)
		lines += bytes[i] == '\n';
	if (n > lines || r > 1)
		abort();
	return 0;
}

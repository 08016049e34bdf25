/* SPDX-License-Identifier: Apache-2.0 */
/* The input is the text of /proc/PID/cgroup, whose paths any user may choose. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "place.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct prowl_place p;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	prowl_place_of(text, &p);
	if ((p.container_id[0] && strlen(p.container_id) != 64) ||
	    (p.pod_uid[0] && strlen(p.pod_uid) != 36 && strlen(p.pod_uid) != 32) ||
	    strlen(p.path) >= sizeof p.path || strlen(p.unit) >= sizeof p.unit ||
	    (p.unit[0] && p.container_id[0]))
		abort();
	free(text);
	return 0;
}

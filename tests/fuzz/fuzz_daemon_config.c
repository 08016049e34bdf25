/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a configuration of the daemon. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct prowl_config *c = NULL;
	struct prowl_err err = {0};

	if (prowl_config_parse("f.yaml", (const char *)data, size, &c, &err) != PROWL_OK) {
		/* What is refused is refused with a sentence. */
		if (c || !err.text[0])
			abort();
		return 0;
	}
	for (size_t i = 0; i < c->rules.n; i++) {
		if (c->rules.rules[i].service && prowl_template_check(c->rules.rules[i].service))
			abort();
	}
	if (c->profile.rate < 1 || c->profile.rate > 1000 || c->profile.window == 0)
		abort();
	prowl_config_free(c);
	return 0;
}

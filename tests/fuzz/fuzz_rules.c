/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a file of rules for a build gate, as a pull request may bring one. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "diff_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(double v)
{
	if (isnan(v))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("rules", MFD_CLOEXEC);
	struct diff_rules *r;
	char path[64];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	r = diff_rules_load(path);
	if (r) {
		check(diff_rules_tolerance(r));
		check(diff_rules_tolerance_of(r, "main.parse"));
		check(diff_rules_tolerance_of(r, "example.org/app/render.(*Table).Draw[...]"));
		check(diff_rules_tolerance_of(r, ""));
	}
	diff_rules_free(r);
	close(fd);
	return 0;
}

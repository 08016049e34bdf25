/* SPDX-License-Identifier: Apache-2.0 */
#include "residency.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
	STEP = 48, /* look-ups between two questions; each may map 64 KiB three times */
	BUDGET = 6 * (1 << 20), /* bytes */
};

static uint64_t resident(const struct prowl_residency *t)
{
	unsigned long long shared = 0;
	char text[128];
	ssize_t n = t->fd < 0 ? -1 : pread(t->fd, text, sizeof text - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%*u %*u %llu", &shared) != 1)
		return 0;
	return (uint64_t)shared * (uint64_t)sysconf(_SC_PAGESIZE);
}

void prowl_residency_init(struct prowl_residency *t)
{
	*t = (struct prowl_residency){.fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)};
	t->floor = resident(t);
	t->next = STEP;
}

void prowl_residency_fini(struct prowl_residency *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

void prowl_residency_keep(struct prowl_residency *t, struct uw_binaries *files, uint64_t lookups)
{
	if (lookups < t->next)
		return;
	t->next = lookups + STEP;
	if (t->fd < 0 || resident(t) > t->floor + BUDGET)
		uw_binaries_trim(files);
}

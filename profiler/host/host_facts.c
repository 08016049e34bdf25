/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc says of a process, as far as rules may ask for it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host_parts.h"
#include "procfs.h"
#include "proclist.h"
#include "task.h"

enum { MOST_TEXT = 32768 }; /* bytes of a command line or an environment */

static uint64_t start_in(const char *stat)
{
	char field[32];

	return prowl_stat_field(stat, 22, field, sizeof field) ? strtoull(field, NULL, 10) : 0;
}

uint64_t host_start_of(pid_t pid)
{
	char stat[1024];

	return prowl_read_of(pid, "stat", stat, sizeof stat) > 0 ? start_in(stat) : 0;
}

bool host_facts_uid(pid_t pid, uid_t *ret)
{
	char buf[4096];
	uint64_t v;

	if (prowl_read_of(pid, "status", buf, sizeof buf) <= 0 ||
	    !prowl_status_field(buf, "Uid", 10, &v))
		return false;
	*ret = (uid_t)v;
	return true;
}

/* Without the mark of a file that has no name any more. */
static void read_exe(pid_t pid, struct host_facts *f)
{
	static const char mark[] = " (deleted)";
	ssize_t n = prowl_read_exe(pid, f->exe, sizeof f->exe);
	size_t len = n > 0 ? (size_t)n : 0;

	f->exe_error = n < 0 ? -errno : 0;
	if (len > sizeof mark - 1 && !strcmp(f->exe + len - (sizeof mark - 1), mark))
		f->exe[len - (sizeof mark - 1)] = '\0';
}

/* The strings of a file whose parts end with NUL; two NULs at the end. */
static char *read_strings(pid_t pid, const char *name, char between)
{
	char *buf = malloc(MOST_TEXT + 2);
	ssize_t n = buf ? prowl_read_of(pid, name, buf, MOST_TEXT) : -1;

	if (n < 0) {
		free(buf);
		return NULL;
	}
	buf[n] = buf[n + 1] = '\0';
	while (n > 0 && buf[n - 1] == '\0')
		n--;
	for (ssize_t i = 0; between && i < n; i++) {
		if (buf[i] == '\0')
			buf[i] = between;
	}
	return buf;
}

bool host_facts_read(pid_t pid, const struct prowl_host_options *o, struct host_facts *ret)
{
	char stat[1024], field[32];

	*ret = (struct host_facts){0};
	if (prowl_read_of(pid, "stat", stat, sizeof stat) <= 0)
		return false;
	ret->start = start_in(stat);
	if (prowl_stat_field(stat, 4, field, sizeof field))
		ret->parent = (pid_t)atoi(field);
	prowl_comm(pid, ret->comm, sizeof ret->comm);
	read_exe(pid, ret);
	if (ret->exe_error == -ENOENT || ret->exe_error == -ESRCH)
		return true; /* a kernel thread, or it is ending */
	host_facts_uid(pid, &ret->uid);
	prowl_read_of(pid, "cgroup", ret->cgroup, sizeof ret->cgroup);
	if (o->cmdline)
		ret->cmdline = read_strings(pid, "cmdline", ' ');
	if (o->environment)
		ret->environment = read_strings(pid, "environ", '\0');
	return true;
}

void host_facts_fini(struct host_facts *f)
{
	free(f->cmdline);
	free(f->environment);
	f->cmdline = f->environment = NULL;
}

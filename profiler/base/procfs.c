/* SPDX-License-Identifier: Apache-2.0 */
#include "procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH = 96, FIRST_FIELD = 3 /* of /proc/PID/stat, behind the name */ };

ssize_t prowl_read_text(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -errno : read(fd, buf, len - 1);

	if (fd >= 0 && n < 0)
		n = -errno;
	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return n;
}

static void path_of(pid_t pid, const char *name, char *buf, size_t len)
{
	if (pid)
		snprintf(buf, len, "/proc/%d/%s", (int)pid, name);
	else
		snprintf(buf, len, "/proc/self/%s", name);
}

ssize_t prowl_read_of(pid_t pid, const char *name, char *buf, size_t len)
{
	char path[PATH];

	path_of(pid, name, path, sizeof path);
	return prowl_read_text(path, buf, len);
}

int prowl_read_number(const char *path, int none)
{
	char buf[64];

	return prowl_read_text(path, buf, sizeof buf) > 0 ? atoi(buf) : none;
}

void prowl_comm(pid_t pid, char *buf, size_t len)
{
	prowl_read_of(pid, "comm", buf, len);
	buf[strcspn(buf, "\n")] = '\0';
}

void prowl_thread_comm(pid_t pid, pid_t tid, char *buf, size_t len)
{
	char name[PATH / 2];

	snprintf(name, sizeof name, "task/%d/comm", (int)tid);
	prowl_read_of(pid, name, buf, len);
	buf[strcspn(buf, "\n")] = '\0';
}

bool prowl_status_field(const char *status, const char *name, int base, uint64_t *ret)
{
	size_t n = strlen(name);

	for (const char *line = status; line; line = strchr(line, '\n')) {
		char *end;

		line += *line == '\n';
		if (strncmp(line, name, n) != 0 || line[n] != ':')
			continue;
		*ret = strtoull(line + n + 1, &end, base);
		return end != line + n + 1;
	}
	return false;
}

bool prowl_stat_field(const char *stat, int field, char *buf, size_t len)
{
	const char *at = strrchr(stat, ')'); /* the name may have anything in it */

	buf[0] = '\0';
	at = at && field >= FIRST_FIELD ? at + 1 : NULL;
	for (int i = FIRST_FIELD; at; i++) {
		size_t n;

		at += strspn(at, " ");
		n = strcspn(at, " \n");
		if (n == 0)
			return false;
		if (i == field) {
			snprintf(buf, len, "%.*s", (int)n, at);
			return true;
		}
		at += n;
	}
	return false;
}

ino_t prowl_namespace(pid_t pid, const char *kind)
{
	char name[32], path[PATH];
	struct stat st;

	snprintf(name, sizeof name, "ns/%s", kind);
	path_of(pid, name, path, sizeof path);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "task.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_text(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, buf, len - 1) : -1;

	if (fd >= 0)
		close(fd); /* of a file in /proc: the errno of read stays */
	buf[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* Of one thread: the file of the thread, not of the process, which adds up all its threads. */
static char state_of(pid_t pid, pid_t tid)
{
	char path[64], stat[1024];
	const char *p;

	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)pid, (int)tid);
	if (!read_text(path, stat, sizeof stat))
		return 0;
	p = strrchr(stat, ')'); /* the name may hold anything, also ')' */
	return p && p[1] == ' ' ? p[2] : 0;
}

static bool is_dead(char state)
{
	return state == 'Z' || state == 'X' || state == 'x';
}

/* A thread that has not ended; 0: there is none. */
static pid_t any_living(pid_t pid)
{
	char path[64];
	struct dirent *d;
	pid_t found = 0;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && !found && (d = readdir(dir))) {
		pid_t tid = (pid_t)atoi(d->d_name);
		char state = tid > 0 && tid != pid ? state_of(pid, tid) : 0;

		if (state && !is_dead(state))
			found = tid;
	}
	if (dir)
		closedir(dir);
	return found;
}

pid_t uw_task_living(pid_t pid)
{
	pid_t tid = is_dead(state_of(pid, pid)) ? any_living(pid) : 0;

	return tid ? tid : pid;
}

/* The number after "\nNAME:\t" of /proc/PID/status; -1: it isn't there. */
static long field(const char *status, const char *name)
{
	const char *p = strstr(status, name);

	return p ? strtol(p + strlen(name), NULL, 10) : -1;
}

void uw_task_of(pid_t pid, struct uw_task *ret)
{
	char path[64], status[4096], stat[1024];
	long tgid;

	*ret = (struct uw_task){.kind = UW_TASK_NONE, .process = pid, .living = pid};
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	if (pid <= 0)
		return;
	errno = 0;
	if (!read_text(path, status, sizeof status)) {
		ret->error = errno == ENOENT || errno == ESRCH ? 0 : -errno;
		return;
	}
	tgid = field(status, "\nTgid:\t");
	ret->parent = (pid_t)field(status, "\nPPid:\t");
	if (tgid > 0 && tgid != pid) {
		ret->kind = UW_TASK_THREAD;
		ret->process = (pid_t)tgid;
		return;
	}
	ret->kind = UW_TASK_PROCESS;
	if (is_dead(state_of(pid, pid))) {
		ret->living = any_living(pid);
		if (!ret->living) {
			ret->living = pid;
			ret->kind = UW_TASK_ZOMBIE;
		}
		return;
	}
	/* A process without memory that is no zombie; PF_KTHREAD in field 9 identifies it. */
	if (field(status, "\nVmSize:\t") < 0) {
		unsigned int flags = 0;
		const char *p;

		snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
		p = read_text(path, stat, sizeof stat) ? strrchr(stat, ')') : NULL;
		if (p && sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
		    (flags & 0x00200000))
			ret->kind = UW_TASK_KERNEL;
	}
}

void uw_task_path(pid_t pid, const char *name, char *buf, size_t len)
{
	snprintf(buf, len, "/proc/%d/%s", (int)uw_task_living(pid), name);
}

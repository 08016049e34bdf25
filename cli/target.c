/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "proclist.h"
#include "inspect.h"
#include "privilege.h"
#include "procfs.h"
#include "term.h"

bool target_add_pid(struct target_pids *t, pid_t pid)
{
	for (size_t i = 0; i < t->n; i++) {
		if (t->pid[i] == pid)
			return true;
	}
	if (t->n == TARGET_MAX_PIDS) {
		say_error("more than %d processes", TARGET_MAX_PIDS);
		return false;
	}
	t->pid[t->n++] = pid;
	return true;
}

/* Whether it is one of the words between dashes. A name with dashes may be added twice. */
static bool has_word(const char *names, const char *word)
{
	size_t n = strlen(word);

	for (const char *s = names; (s = strstr(s, word)); s++)
		if ((s == names || s[-1] == '-') && (!s[n] || s[n] == '-'))
			return true;
	return false;
}

void target_names(char *names, size_t len, const char *comm)
{
	size_t used = strlen(names);

	if (*comm && !has_word(names, comm) && used + 1 + strlen(comm) < len)
		snprintf(names + used, len - used, used ? "-%s" : "%s", comm);
}

static bool has_name(pid_t pid, const char *name)
{
	char buf[4096];
	const char *base;

	prowl_comm(pid, buf, sizeof buf);
	if (buf[0] && !strcmp(buf, name))
		return true;
	if (prowl_read_exe(pid, buf, sizeof buf) <= 0)
		return false;
	base = strrchr(buf, '/');
	return base && !strcmp(base + 1, name);
}

static enum prowl_code add_named(struct target_pids *t, const char *name)
{
	size_t before = t->n;
	DIR *dir = opendir("/proc");
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		pid_t pid = (pid_t)atoi(d->d_name);

		if (pid > 0 && pid != getpid() && has_name(pid, name) && !target_add_pid(t, pid)) {
			closedir(dir);
			return PROWL_USAGE;
		}
	}
	if (dir)
		closedir(dir);
	if (t->n > before)
		return PROWL_OK;
	say_error("no process is named '%s'", name);
	return PROWL_NOTHING;
}

enum prowl_code target_add_name(struct target_pids *t, const char *name)
{
	enum prowl_code code;

	prowl_privilege_raise(); /* to read the names of their programs */
	code = add_named(t, name);
	prowl_privilege_lower();
	return code;
}

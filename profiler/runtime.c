/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inspect.h"
#include "procs.h"

static enum prowl_code not_readable(pid_t pid, const char *what, int error, struct prowl_err *err)
{
	if (error == -ESRCH)
		return prowl_fail(err, PROWL_NOTHING, "there is no process %d", (int)pid);
	if (error == -ENOMEM)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	prowl_fail(err, PROWL_PERMISSION, "not allowed to read the %s of process %d (%s; uid %d)",
		   what, (int)pid, strerror(-error), (int)geteuid());
	prowl_hint(err,
		   "run prowl as root, or grant:\n"
		   "  sudo setcap cap_sys_ptrace=ep \"$(command -v prowl)\"\n"
		   "prowl doctor --pid %d tells what forbids it",
		   (int)pid);
	return PROWL_PERMISSION;
}

static enum prowl_code no_tables(const struct prowl_runtime *rt, struct prowl_err *err)
{
	const struct uw_binary *exe = rt->space.exe;
	int why = exe ? exe->go_error : -ENOENT;

	if (why == -ENOTSUP)
		return prowl_fail(err, PROWL_UNSUPPORTED,
				  "process %d (%s) was built with a Go version before 1.16",
				  (int)rt->pid, rt->comm);
	if (why == -EBADMSG)
		return prowl_fail(
			err, PROWL_UNSUPPORTED,
			"process %d (%s) is a Go program, but its tables don't verify (%s)",
			(int)rt->pid, rt->comm, exe->go_diag.what ? exe->go_diag.what : "tables");
	return prowl_fail(err, PROWL_UNSUPPORTED, "process %d (%s) is not a Go program",
			  (int)rt->pid, rt->comm);
}

/* --- which image it is -------------------------------------------------------------------------
 */

/* Fields 22 and 28 of /proc/PID/stat: an image has a stack at a place of its own. */
static void read_started(pid_t pid, char *buf, size_t len)
{
	char path[64], stat[2048], *at, *save = NULL;
	ssize_t n = -1;
	int fd, field = 3;

	buf[0] = '\0';
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, stat, sizeof stat - 1);
		close(fd);
	}
	stat[n > 0 ? n : 0] = '\0';
	at = strrchr(stat, ')'); /* behind the name, which may have anything in it */
	for (char *word = at ? strtok_r(at + 1, " ", &save) : NULL; word; field++) {
		size_t used = strlen(buf);

		if (field == 22 || field == 28)
			snprintf(buf + used, len - used, "%s ", word);
		word = strtok_r(NULL, " ", &save);
	}
}

static void note_image(struct prowl_runtime *rt)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/mem", (int)rt->pid);
	rt->image = open(path, O_RDONLY | O_CLOEXEC);
	read_started(rt->pid, rt->started, sizeof rt->started);
}

bool prowl_runtime_same(const struct prowl_runtime *rt)
{
	char started[sizeof rt->started], byte;

	if (rt->core)
		return true;
	/* Of an image that is gone it gives 0 bytes. */
	if (rt->image >= 0 && pread(rt->image, &byte, 1, (off_t)rt->globals.data_lo) == 0)
		return false;
	read_started(rt->pid, started, sizeof started);
	return !strcmp(started, rt->started);
}

/* --- opening -----------------------------------------------------------------------------------
 */

static enum prowl_code open_process(struct prowl_runtime *rt, struct prowl_err *err)
{
	char path[64];
	int r;

	note_image(rt); /* first: what is read after an exec is found to be another's */
	r = uw_space_load(&rt->space);
	if (r < 0)
		return not_readable(rt->pid, "mappings", r, err);
	snprintf(path, sizeof path, "/proc/%d/comm", (int)rt->pid);
	prowl_read_comm(path, rt->comm, sizeof rt->comm);
	r = prowl_probe_memory(rt->pid);
	if (r < 0)
		return not_readable(rt->pid, "memory", r, err);
	rt->go = uw_space_go(&rt->space);
	if (!rt->go && prowl_short_of(&rt->space, rt->pid, err))
		return PROWL_FAILED;
	if (!rt->go)
		return no_tables(rt, err);
	rt->layout = uw_go_layout(rt->go);
	r = uw_goglobals_find(&rt->space, true, &rt->globals);
	if (r < 0)
		return prowl_fail(err, PROWL_FAILED, "process %d: looking for the runtime: %s",
				  (int)rt->pid, strerror(-r));
	return PROWL_OK;
}

enum prowl_code prowl_runtime_open(pid_t pid, struct prowl_runtime **ret, struct prowl_err *err)
{
	struct prowl_runtime *rt = calloc(1, sizeof *rt);
	enum prowl_code code;

	if (!rt)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	rt->pid = pid;
	uw_space_init(&rt->space, &rt->files, pid);
	code = open_process(rt, err);
	if (code != PROWL_OK) {
		prowl_runtime_free(rt);
		return code;
	}
	*ret = rt;
	return PROWL_OK;
}

void prowl_runtime_free(struct prowl_runtime *rt)
{
	if (!rt)
		return;
	uw_space_fini(&rt->space);
	prowl_corefile_close(&rt->corefile);
	uw_binaries_fini(&rt->files);
	if (rt->image >= 0)
		close(rt->image);
	free(rt);
}

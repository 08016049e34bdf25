/* SPDX-License-Identifier: Apache-2.0 */
#include "whatis.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "access.h"
#include "gobuild.h"
#include "procfs.h"

/* " (NAME)" of a process, or "". */
static void name_of(pid_t pid, char *buf, size_t len)
{
	char comm[64];

	prowl_comm(pid, comm, sizeof comm);
	snprintf(buf, len, comm[0] ? " (%s)" : "%s", comm);
}

enum prowl_code prowl_whatis(pid_t pid, struct uw_task *ret, struct prowl_err *err)
{
	struct uw_task task;
	char name[80];

	uw_task_of(pid, &task);
	if (ret)
		*ret = task;
	name_of(task.process, name, sizeof name);
	switch (task.kind) {
	case UW_TASK_NONE:
		if (task.error)
			return prowl_fail(
				err, PROWL_FAILED, "process %d can't be looked at: %s%s", (int)pid,
				strerror(-task.error),
				task.error == -EMFILE ? " (limit on open files, ulimit -n?)" : "");
		return prowl_fail(err, PROWL_NOTHING, "there is no process %d", (int)pid);
	case UW_TASK_THREAD:
		prowl_fail(err, PROWL_USAGE, "%d is a thread of process %d%s", (int)pid,
			   (int)task.process, name);
		prowl_hint(err, "use --pid %d", (int)task.process);
		return PROWL_USAGE;
	case UW_TASK_ZOMBIE:
		return prowl_fail(err, PROWL_NOTHING,
				  "process %d%s is a zombie: it has ended, and its parent (pid %d) "
				  "has not asked yet how",
				  (int)pid, name, (int)task.parent);
	case UW_TASK_KERNEL:
		return prowl_fail(err, PROWL_UNSUPPORTED,
				  "process %d%s runs no program: it is a thread of the kernel",
				  (int)pid, name);
	default:
		return PROWL_OK;
	}
}

const char *prowl_whatis_program(const struct uw_space *space, const char *comm)
{
	return space->exe && space->exe->path[0] ? space->exe->path : comm;
}

/* The sentence for a file whose tables can't be used. */
enum prowl_code prowl_whatis_refuse(const struct uw_elf *elf, const char *who, int error,
				    const struct uw_diag *diag, struct prowl_err *err)
{
	struct uw_gobuild b = {.version = ""};

	uw_gobuild_read(elf, NULL, 0, &b);
	switch (error) {
	case -ENOTSUP:
		prowl_fail(err, PROWL_UNSUPPORTED,
			   "%s was built with %s: Go versions before 1.16 are not supported", who,
			   b.version[0] ? b.version : "a Go older than 1.16");
		prowl_hint(err, "build it with Go 1.16 or later");
		return PROWL_UNSUPPORTED;
	case -EBADMSG:
		return prowl_fail(err, PROWL_UNSUPPORTED,
				  "%s is a Go program (%s), but its tables don't verify (%s at "
				  "0x%llx): nothing read from them could be trusted",
				  who, b.version[0] ? b.version : "version unknown",
				  diag->what ? diag->what : "tables", (unsigned long long)diag->at);
	case -ENOMEM:
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	default:
		return prowl_fail(err, PROWL_UNSUPPORTED, "%s is not a Go program", who);
	}
}

/* The binary whose Go tables can't be used: the program, else a library. */
static struct uw_binary *damaged(struct uw_space *space)
{
	if (space->exe && space->exe->go_error < 0 && space->exe->go_error != -ENOENT)
		return space->exe;
	for (size_t i = 0; i < space->n; i++) {
		struct uw_binary *b = space->maps[i].bin;

		if (b && b->go_error < 0 && b->go_error != -ENOENT)
			return b;
	}
	return NULL;
}

bool prowl_whatis_changed(struct uw_space *space)
{
	const struct uw_elf *elf = space->exe ? uw_binary_elf(space->exe) : NULL;
	struct uw_gobuild build;

	for (size_t i = 0; i < space->n; i++) {
		if (space->maps[i].bin == space->exe)
			return false;
	}
	return elf && uw_gobuild_read(elf, NULL, 0, &build);
}

enum prowl_code prowl_whatis_not_go(struct uw_space *space, const char *comm, struct prowl_err *err)
{
	struct uw_binary *bad = damaged(space);
	char who[4300];

	snprintf(who, sizeof who, "process %d (%s)", (int)space->pid,
		 bad ? bad->path : prowl_whatis_program(space, comm));
	if (bad)
		return prowl_whatis_refuse(uw_binary_elf(bad), who, bad->go_error, &bad->go_diag,
					   err);
	if (prowl_whatis_changed(space))
		return prowl_fail(err, PROWL_UNSUPPORTED,
				  "%s is a Go program, but the code that it executes is not that "
				  "of its file: it was changed in memory",
				  who);
	if (space->exe && uw_binary_elf(space->exe))
		return prowl_fail(err, PROWL_UNSUPPORTED, "%s is not a Go program", who);
	if (prowl_whatis(space->pid, NULL, err) != PROWL_OK)
		return err ? err->code : PROWL_NOTHING;
	if (!space->n)
		return prowl_fail(err, PROWL_UNSUPPORTED, "%s runs no program: it is ending", who);
	prowl_fail(err, PROWL_PERMISSION, "the program of process %d (%s) can't be read",
		   (int)space->pid, comm);
	prowl_hint_reading(err, space->pid);
	return PROWL_PERMISSION;
}

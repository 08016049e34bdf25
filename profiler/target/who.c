/* SPDX-License-Identifier: Apache-2.0 */
#include "who.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "access.h"

/* "PID (NAME, GO VERSION)", as far as known. */
static void describe(const struct prowl_target *t, bool version, char *buf, size_t len)
{
	bool both = version && t->comm[0] && t->go_version[0];

	snprintf(buf, len, "%d%s%s%s%s%s", (int)t->pid, t->comm[0] ? " (" : "", t->comm,
		 both ? ", " : "", both ? t->go_version : "", t->comm[0] ? ")" : "");
}

static enum prowl_code not_allowed(struct prowl_err *err, const struct prowl_target *t,
				   const char *what, int error)
{
	prowl_fail(err, PROWL_PERMISSION, "not allowed to read the %s of process %d (%s; uid %d)",
		   what, (int)t->pid, strerror(-error), (int)geteuid());
	prowl_hint_reading(err, t->pid);
	return PROWL_PERMISSION;
}

enum prowl_code prowl_fail_target(struct prowl_err *err, const struct prowl_target *t,
				  const char *what, int error)
{
	char name[160], build[160];

	describe(t, false, name, sizeof name);
	describe(t, true, build, sizeof build);
	switch (error) {
	case -ENOMEM:
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	case -ENOENT:
		return prowl_fail(err, PROWL_UNSUPPORTED,
				  "process %s: where its runtime keeps its %s was not found", build,
				  what);
	case -ESRCH:
		return prowl_fail(err, PROWL_NOTHING, "process %d is gone", (int)t->pid);
	case -ESTALE:
		return prowl_fail(err, PROWL_NOTHING,
				  "process %s has ended or executes another program", name);
	case -EBADMSG:
		return prowl_fail(err, PROWL_UNSUPPORTED,
				  "process %s: its %s is not of the form that is known of this "
				  "version",
				  build, what);
	case -EACCES:
	case -EPERM:
		return not_allowed(err, t, what, error);
	default:
		if (error == -EFAULT && t->core)
			return prowl_fail(
				err, PROWL_FAILED,
				"the core file of process %s does not have its whole %s%s", name,
				what, t->core_cut ? ": it was cut short" : "");
		return prowl_fail(err, PROWL_FAILED, "process %s: reading its %s: %s", name, what,
				  strerror(-error));
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"
#include "procfs.h"
#include "procs.h"
#include "task.h"
#include "whatis.h"

/* --- which image it is --- */

/* Appends a field of /proc/NUMBER/stat and a blank. */
static void add_field(pid_t number, int wanted, char *buf, size_t len)
{
	char stat[2048], field[32];
	size_t used = strlen(buf);

	if (prowl_read_of(number, "stat", stat, sizeof stat) > 0 &&
	    prowl_stat_field(stat, wanted, field, sizeof field))
		snprintf(buf + used, len - used, "%s ", field);
}

/*
 * The start time of the process and the address of its stack, which differs from image to image;
 * the stack is read by a live thread.
 */
static void read_started(pid_t pid, char *buf, size_t len)
{
	buf[0] = '\0';
	add_field(pid, 22, buf, len);
	add_field(uw_task_living(pid), 28, buf, len);
}

static void note_image(struct prowl_runtime *rt)
{
	char path[64];

	uw_task_path(rt->target.pid, "mem", path, sizeof path);
	rt->image = open(path, O_RDONLY | O_CLOEXEC);
	read_started(rt->target.pid, rt->started, sizeof rt->started);
}

bool prowl_runtime_same(const struct prowl_runtime *rt)
{
	char started[sizeof rt->started], byte;

	if (rt->target.core)
		return true;
	/* Reading an image that is gone returns 0. */
	if (rt->image >= 0 && pread(rt->image, &byte, 1, (off_t)rt->globals.data_lo) == 0)
		return false;
	read_started(rt->target.pid, started, sizeof started);
	return !strcmp(started, rt->started);
}

bool prowl_runtime_heap_linked_out(const struct prowl_runtime *rt)
{
	struct uw_go_func f;

	return !uw_go_func_named(rt->go, "runtime.MemProfile", &f) &&
	       !uw_go_func_named(rt->go, "runtime.memProfileInternal", &f) &&
	       !uw_go_func_named(rt->go, "runtime.pprof_memProfileInternal", &f);
}

/* --- opening --- */

static enum prowl_code open_process(struct prowl_runtime *rt, struct prowl_err *err)
{
	enum prowl_code code = prowl_whatis(rt->target.pid, NULL, err);
	int r;

	if (code != PROWL_OK)
		return code;
	note_image(rt); /* first, so that data read after an exec is recognised */
	r = uw_space_load(&rt->space);
	if (r < 0)
		return prowl_fail_target(err, &rt->target, "mappings", r);
	prowl_comm(rt->target.pid, rt->target.comm, sizeof rt->target.comm);
	r = prowl_probe_memory(rt->target.pid);
	if (r < 0)
		return prowl_fail_target(err, &rt->target, "memory", r);
	if (!uw_space_go(&rt->space) && prowl_short_of(&rt->space, rt->target.pid, err))
		return PROWL_FAILED;
	if (!uw_space_go(&rt->space))
		return prowl_whatis_not_go(&rt->space, rt->target.comm, err);
	return prowl_runtime_choose(rt, 0, err);
}

enum prowl_code prowl_runtime_choose(struct prowl_runtime *rt, size_t which, struct prowl_err *err)
{
	int r;

	rt->target.nruntimes = uw_space_runtimes(&rt->space);
	rt->target.which = which;
	uw_space_choose_go(&rt->space, uw_space_runtime(&rt->space, which));
	rt->go = rt->space.go;
	snprintf(rt->target.go_version, sizeof rt->target.go_version, "%s", uw_go_version(rt->go));
	rt->target.go_guessed = uw_go_guessed(rt->go);
	rt->layout = uw_go_layout(rt->go);
	r = uw_goglobals_find(&rt->space, true, &rt->globals);
	if (r < 0)
		return prowl_fail(err, PROWL_FAILED, "process %d: looking for the runtime: %s",
				  (int)rt->target.pid, strerror(-r));
	return PROWL_OK;
}

const char *prowl_runtime_file(const struct prowl_runtime *rt)
{
	return rt->space.go_bin->path;
}

static enum prowl_code open_core(struct prowl_runtime *rt, const struct prowl_who *who,
				 struct prowl_err *err)
{
	struct prowl_corefile *c = &rt->corefile;
	enum prowl_code code = prowl_corefile_open(who->core, who->exe, &rt->space, c, err);

	if (code != PROWL_OK)
		return code;
	rt->target.pid = c->core->pid;
	rt->target.core = true;
	rt->target.core_cut = c->core->missing != 0;
	memcpy(rt->target.comm, c->core->comm, sizeof c->core->comm);
	return prowl_runtime_choose(rt, 0, err);
}

enum prowl_code prowl_runtime_open(const struct prowl_who *who, struct prowl_runtime **ret,
				   struct prowl_err *err)
{
	struct prowl_runtime *rt = calloc(1, sizeof *rt);
	enum prowl_code code;

	if (!rt)
		return prowl_fail(err, PROWL_FAILED, "out of memory");
	rt->target.pid = who->core ? 0 : who->pid;
	rt->image = -1;
	uw_space_init(&rt->space, &rt->files, rt->target.pid);
	code = who->core ? open_core(rt, who, err) : open_process(rt, err);
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

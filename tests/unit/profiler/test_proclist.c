/* SPDX-License-Identifier: Apache-2.0 */
/* The list of processes, what can be read of one, and why not. */
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"
#include "proclist.h"
#include "unit_test.h"

struct seen {
	size_t n;
	pid_t last, parent;
	bool found_parent;
};

static int see(void *ctx, const struct prowl_process *p)
{
	struct seen *s = ctx;

	assert_true(p->pid > s->last);
	assert_int_not_equal(p->pid, getpid());
	s->last = p->pid;
	s->n++;
	s->found_parent |= p->pid == s->parent;
	return 0;
}

TEST(test_list_all)
{
	struct seen s = {.parent = getppid()};
	struct prowl_list_result r;
	struct prowl_err err;

	assert_int_equal(prowl_list(PROWL_LIST_ALL, see, &s, &r, &err), PROWL_OK);
	assert_int_equal(s.n, r.listed);
	assert_true(s.found_parent);
}

static int stop(void *ctx, const struct prowl_process *p)
{
	++*(int *)ctx;
	return 1;
}

TEST(test_list_ends)
{
	struct prowl_list_result r;
	struct prowl_err err;
	int n = 0;

	assert_int_equal(prowl_list(PROWL_LIST_ALL, stop, &n, &r, &err), PROWL_OK);
	assert_int_equal(n, 1);
}

TEST(test_probes)
{
	const pid_t nobody = 0x7ffffff0; /* beyond every pid_max */

	assert_int_equal(prowl_probe_memory(getpid()), 0);
	assert_int_equal(prowl_probe_maps(getpid()), 0);
	assert_int_not_equal(prowl_probe_memory(nobody), 0);
	assert_int_not_equal(prowl_probe_maps(nobody), 0);
	assert_int_not_equal(prowl_probe_perf(nobody, -1, false), 0);
}

static const char *obstacle(const struct prowl_process *p)
{
	static char buf[200];

	prowl_process_obstacle(p, buf, sizeof buf);
	return buf;
}

TEST(test_obstacles)
{
	struct prowl_process p = {.perf_error = -EACCES};

	assert_string_equal(obstacle(&p), "no permission: perf events");
	p.maps_error = -EPERM;
	assert_string_equal(obstacle(&p), "no permission: its mappings");
	p.exe_error = -ENOENT;
	assert_string_equal(obstacle(&p), "No such file or directory: its program");
	p.changed = true;
	assert_string_equal(obstacle(&p), "its code was changed in memory");
	p.zombie = true;
	assert_string_equal(obstacle(&p), "a zombie: it has ended");
	assert_string_equal(obstacle(&(struct prowl_process){.memory_error = -EPERM}), "");
}

TEST(test_program_of_a_process)
{
	char path[4096], own[4096];
	ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);

	assert_true(n > 0);
	own[n] = '\0';
	assert_int_equal(prowl_read_exe(getpid(), path, sizeof path), n);
	assert_string_equal(path, own);
	assert_true(prowl_read_exe(0x7ffffff0, path, sizeof path) < 0);
	assert_string_equal(path, "");
}
